//! Opens `tracing` spans on few threads, however many begin tasks.
//!
//! `tracing-subscriber` keeps a place for each live thread that has opened a
//! span, has 4,096 of them, and panics beyond. Entering and closing spans takes
//! no such place.

use std::{
    cell::Cell,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

use tracing::{Span, dispatcher};

/// Threads that open their spans themselves: a quarter of those there may be,
/// so that the program's own spans find places, too.
const MOST: usize = 1_024;

/// Spans that wait for the helper. Who finds no room waits, as for a lock.
const WAITING: usize = 64;

/// Threads that have a place.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static PLACE: Place = const { Place(Cell::new(false)) };
}

/// Whether this thread opens its spans itself. Given back when it ends.
struct Place(Cell<bool>);

/// Opens a span, here or on the thread that does it for all who are too many.
pub(super) fn open(open: impl FnOnce() -> Span + Send + 'static) -> Option<Span> {
    // A thread that is being torn down has no place any more.
    if PLACE.try_with(Place::take).unwrap_or(false) {
        return Some(open());
    }
    let subscriber = dispatcher::get_default(Clone::clone);
    let (tell, told) = sync_channel(1);
    let job = move || {
        let span = super::quietly(|| dispatcher::with_default(&subscriber, open));
        tell.send(span).unwrap_or_default();
    };
    helper()?.send(Box::new(job)).ok()?;
    told.recv().ok().flatten()
}

type Job = Box<dyn FnOnce() + Send>;

/// The helper, started when it is first needed; none where the operating system
/// refuses the thread.
fn helper() -> Option<&'static SyncSender<Job>> {
    static HELPER: OnceLock<Option<SyncSender<Job>>> = OnceLock::new();
    let start = || {
        let (sender, jobs) = sync_channel::<Job>(WAITING);
        let thread = thread::Builder::new().name("taskpulse-spans".to_owned());
        let work = move || {
            // It has a place: a span that opens another one must not wait for
            // itself.
            PLACE.with(|place| place.0.set(true));
            TAKEN.fetch_add(1, Relaxed);
            jobs.into_iter().for_each(|job| job());
        };
        thread.spawn(work).ok().map(|_detached| sender)
    };
    HELPER.get_or_init(start).as_ref()
}

// === impl Place ===

impl Place {
    fn take(&self) -> bool {
        let taken = self.0.get()
            || TAKEN
                .fetch_update(Relaxed, Relaxed, |taken| {
                    (taken < MOST).then_some(taken + 1)
                })
                .is_ok();
        self.0.set(taken);
        taken
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.get() {
            TAKEN.fetch_sub(1, Relaxed);
        }
    }
}
