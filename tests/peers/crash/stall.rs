//! How long this machine keeps a thread from going on.
//!
//! What is promised of a process holds while the machine lets it run. These threads do as
//! the store's does, a little every 20 ms, with nothing to wait for but a processor.

use std::{
    hint::black_box,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const PERIOD: Duration = Duration::from_millis(20);
const THREADS: usize = 2;

/// Threads that are late where the machine is busy.
#[derive(Debug)]
pub(super) struct Stalls {
    threads: Arc<[Mutex<Thread>]>,
    over: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Thread {
    /// When it is to be done with what it does.
    due: Instant,
    /// How late it was, and when.
    late: Vec<(Instant, Duration)>,
}

// === impl Stalls ===

impl Stalls {
    pub(super) fn watch() -> Self {
        let thread = || {
            Mutex::new(Thread {
                due: Instant::now(),
                late: Vec::new(),
            })
        };
        let threads: Arc<[_]> = (0..THREADS).map(|_| thread()).collect();
        let over = Arc::new(AtomicBool::new(false));
        for at in 0..THREADS {
            let (threads, over) = (Arc::clone(&threads), Arc::clone(&over));
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    threads[at].lock().unwrap().due = Instant::now() + PERIOD;
                    thread::sleep(PERIOD);
                    work();
                    let mut thread = threads[at].lock().unwrap();
                    let now = Instant::now();
                    let late = now.saturating_duration_since(thread.due);
                    thread.late.push((now, late));
                }
            });
        }
        Self { threads, over }
    }

    /// The longest in the time before now.
    pub(super) fn worst(&self, before: Duration) -> Duration {
        let now = Instant::now();
        let worst = |thread: &Mutex<Thread>| {
            let thread = thread.lock().unwrap();
            let recent = thread.late.iter().rev();
            let recent = recent.take_while(|(at, _)| now.duration_since(*at) <= before);
            let late = recent.map(|(_, late)| *late).max().unwrap_or_default();
            late.max(now.saturating_duration_since(thread.due))
        };
        self.threads.iter().map(worst).max().unwrap_or_default()
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// About a millisecond of it, as much as a group takes to be written.
fn work() {
    let mut sum = 0_u64;
    for number in 0..50_000_u64 {
        sum = black_box(sum.rotate_left(5) ^ number);
    }
    black_box(sum);
}
