//! From the first signal to the end.

use std::{
    future::Future,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use futures_util::future::join;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

use crate::{
    Error,
    service::{Away, Front, Service},
    telemetry::{Telemetry, log::LogGuard, quietly},
    track::Tracker,
};

/// After the drain, for last words and then for what is queued to be sent.
///
/// With the second that the printed log is given and the drain's 10 s it stays
/// below the 15 s that the platform waits.
const LAST: Duration = Duration::from_secs(3);

/// Of that, for what is queued, however long the words were.
const FLUSH: Duration = Duration::from_secs(1);

/// Of that, for the store to have what it has not yet.
const STORE: Duration = Duration::from_secs(1);

/// After a second signal, which asks to end at once: for tasks and streams to be
/// told. Then the telemetry has a half of it, the printed log and the store a quarter
/// each: 200 ms in all.
const HURRY: Duration = Duration::from_millis(100);

/// How often draining looks whether it is done.
const LOOK: Duration = Duration::from_millis(20);

/// Drains, interrupts what remains, sees connections off, does what is `last` in
/// the time it is given, and closes the front, which answers `/ping` until then.
/// `hurry` cuts short whatever is being done.
pub(super) async fn end<L: Future<Output = ()>>(
    front: Front,
    service: &Arc<Service>,
    hurry: impl Future<Output = u8>,
    last: impl FnOnce(Duration) -> L,
) -> Result<(), Error> {
    let limit = service.config.drain;
    service.tracker.drain();
    let active = service.tracker.registry().active();
    quietly(|| {
        info!(
            active_tasks = active,
            drain_seconds = limit.as_secs_f64(),
            "shutting down: nothing new is begun, what runs may end",
        );
    });
    let leave = async {
        // By the front's clock: this runtime's may stand still, its workers blocked.
        let drained = |limit| front.spawn(drained(Arc::clone(service), limit));
        drained(limit).await.unwrap_or_default();
        let since = Instant::now();
        // First, so that code which is told next finds its task interrupted.
        interrupt(service).await;
        service.go_away(Away::Leaving);
        front.see_off().await;
        // For the other runtime to see that nobody takes its streams any more.
        drained(HURRY).await.unwrap_or_default();
        let time = LAST.saturating_sub(since.elapsed()).max(FLUSH);
        join(write_down(service), last(time)).await;
    };
    let cut_short = tokio::select! {
        () = leave => None,
        signal = hurry => Some(signal),
    };
    let Some(signal) = cut_short else {
        front.close();
        return Ok(());
    };
    // Streams have their last word from the front, whatever tasks take.
    service.go_away(Away::Hurrying);
    let said = join(interrupt(service), front.see_off());
    drop(timeout(HURRY, said).await);
    front.end();
    Err(Error::CutShort { signal })
}

/// Says what can be said after a second signal.
pub(super) fn hurry(tracker: &Tracker, telemetry: Telemetry, log: Option<LogGuard>) {
    // The store is written meanwhile.
    tracker.close_journal(Duration::ZERO);
    within(HURRY / 2, move || telemetry.end(HURRY / 2));
    within(HURRY / 4, move || drop(log));
    tracker.close_journal(HURRY / 4);
}

/// Writes what the store does not have yet.
async fn write_down(service: &Arc<Service>) {
    let tracker = Arc::clone(&service.tracker);
    let write = move || {
        if !tracker.close_journal(STORE) {
            quietly(|| {
                warn!(
                    "the store does not have all that has ended: the next start calls such tasks lost"
                );
            });
        }
    };
    aside(write).await;
}

/// Ends what is still active.
async fn interrupt(service: &Arc<Service>) {
    let service = Arc::clone(service);
    // There may be many.
    aside(move || {
        let interrupted = service.tracker.interrupt_all();
        if interrupted > 0 {
            quietly(|| {
                warn!(
                    interrupted_tasks = interrupted,
                    "shut down with tasks running"
                )
            });
        }
    })
    .await;
}

/// Does something that blocks on a thread of its own: those of the runtime may
/// all be taken by user code. Without a thread it is left undone.
pub(super) async fn aside(last: impl FnOnce() + Send + 'static) {
    let (tell, told) = oneshot::channel();
    let thread = thread::Builder::new().name("taskpulse-end".to_owned());
    let started = thread.spawn(move || {
        last();
        tell.send(()).unwrap_or_default();
    });
    if started.is_ok() {
        told.await.unwrap_or_default();
    }
}

/// The same outside of a runtime, and waits for so long only: it may depend on
/// others.
fn within(time: Duration, last: impl FnOnce() + Send + 'static) {
    let (told, done) = mpsc::channel();
    let thread = thread::Builder::new().name("taskpulse-end".to_owned());
    let started = thread.spawn(move || {
        last();
        told.send(()).unwrap_or_default();
    });
    if started.is_ok() {
        done.recv_timeout(time).unwrap_or_default();
    }
}

/// Ready when neither a request nor a task is at work, or the time is up.
async fn drained(service: Arc<Service>, limit: Duration) {
    let quiet = async {
        while service.tracker.is_working() {
            sleep(LOOK).await;
        }
    };
    timeout(limit, quiet).await.unwrap_or_default();
}
