//! What survives a crash: tasks, written down by one thread while they run.
//!
//! [`queue`] takes in what changes, [`writer`] writes it, [`recover`] finds at the start
//! what an earlier process has left. [`backend`] says what a store can do, and [`sqlite`]
//! does it with an embedded file; [`lock`] keeps a second process away from it, and
//! [`aside`] what cannot be read.

mod aside;
mod backend;
mod lock;
mod queue;
mod record;
mod recover;
mod shed;
mod site;
mod sqlite;
#[cfg(test)]
mod tests;

mod writer;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use tracing::error;

pub(crate) use self::recover::Found;
use self::{
    backend::{Fault, FaultKind, Owner},
    queue::{Queue, Room},
    site::Files,
    writer::{Site, Writer},
};
use crate::{
    Error,
    task::{Health, Journal, Note, Task},
    telemetry::quietly,
    track::{Live, Tracker, panic_text},
};

/// How long the start waits for the store. A disk that takes longer is waited for while
/// the service runs.
const PATIENCE: Duration = Duration::from_secs(5);

/// See [`Terms::beat`].
const BEAT: Duration = Duration::from_secs(1);

/// How much and for how long.
#[derive(Clone, Copy, Debug)]
struct Terms {
    /// How long ended tasks are kept.
    kept: Duration,
    room: Room,
    /// How long the start waits.
    patience: Duration,
    /// How often the process says that it lives, and everything is done that need not be
    /// done more often.
    beat: Duration,
}

/// How long whoever lets go of the tracker waits for the last changes to be written,
/// where nobody has closed the store.
const LAST: Duration = Duration::from_secs(1);

/// The writer's thread.
const THREAD: &str = "taskpulse-store";

/// What the tracker writes to. When it goes, the writer ends.
#[derive(Debug)]
struct Pen {
    shared: Arc<Shared>,
    /// Whether somebody has closed it, and waited as long as was right.
    closed: AtomicBool,
}

/// What the writer and everybody else share.
#[derive(Debug)]
struct Shared {
    path: String,
    terms: Terms,
    queue: Queue,
    state: Mutex<State>,
    /// The writer has ended.
    ended: Condvar,
    failures: AtomicU64,
    /// Whether nothing is written any more, ever.
    dead: AtomicBool,
}

#[derive(Debug)]
struct State {
    fault: Option<Arc<str>>,
    /// Whether the writer has written everything, or will never.
    settled: bool,
    /// Whether the writer has ended.
    ended: bool,
}

/// Writes the tasks of `tracker` to the file at `path` from now on. Gives back what an
/// earlier process has left there, to be [announced](Found::announce).
///
/// Blocks until that is known, for five seconds at most.
///
/// # Errors
///
/// [`Error::Usage`] for a path where no file can be, [`Error::StoreInUse`] where another
/// process has it, [`Error::Thread`]. Whatever else is wrong with the file is logged, and
/// tasks are kept in memory alone.
pub(crate) fn start(
    path: &Path,
    kept: Duration,
    instance: String,
    tracker: &Arc<Tracker>,
) -> Result<Found, Error> {
    let owner = Owner {
        instance,
        started: tracker.registry().clock.wall(),
    };
    let site = Files::claim(path, owner)?;
    let path = path.display().to_string();
    let terms = Terms {
        kept,
        room: Room::ENOUGH,
        patience: PATIENCE,
        beat: BEAT,
    };
    start_at(Box::new(site), path, terms, tracker)
}

fn start_at(
    site: Box<dyn Site>,
    path: String,
    terms: Terms,
    tracker: &Arc<Tracker>,
) -> Result<Found, Error> {
    let shared = Arc::new(Shared::new(path, terms));
    let writer = Writer::new(&shared, tracker, site);
    tracker.write_to(Box::new(Pen {
        shared: Arc::clone(&shared),
        closed: AtomicBool::new(false),
    }));
    // Without room in between: what nobody takes is given back.
    let (tell, told) = mpsc::sync_channel(0);
    let starting = Arc::clone(tracker);
    let name = THREAD.to_owned();
    let thread = thread::Builder::new().name(name.clone());
    let writing = Arc::clone(&shared);
    let started = thread.spawn(move || {
        let write = || write(writer, starting, tell);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(write)) {
            writing.panicked(&panic_text(&*panic));
        }
        writing.end();
    });
    if let Err(source) = started {
        shared.end();
        return Err(Error::Thread { name, source });
    }
    match told.recv_timeout(terms.patience) {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(fault)) => Err(Error::usage(fault.message)),
        Err(mpsc::RecvTimeoutError::Timeout) => Ok(Found::complaint(format!(
            "the store {} takes long to open: nothing is written until it has",
            shared.path
        ))),
        // It has been said.
        Err(mpsc::RecvTimeoutError::Disconnected) => Ok(Found::default()),
    }
}

/// What the thread does.
fn write(mut writer: Writer, tracker: Arc<Tracker>, tell: mpsc::SyncSender<Result<Found, Fault>>) {
    let found = writer.begin(&tracker);
    match tell.send(found) {
        Ok(()) => {}
        // Nobody waits any more.
        Err(mpsc::SendError(Ok(found))) => found.announce(&tracker),
        Err(mpsc::SendError(Err(fault))) => quietly(|| {
            error!("the store cannot be used: {fault}; tasks are kept in memory alone");
        })
        .unwrap_or_default(),
    }
    drop((tracker, tell));
    writer.run();
}

// === impl Pen ===

impl Journal<Live> for Pen {
    fn note(&self, task: &Arc<Task<Live>>, what: Note) {
        self.shared.queue.note(task, what);
    }

    fn health(&self) -> Health {
        let shared = &self.shared;
        Health {
            fault: shared.state().fault.clone(),
            queue: shared.queue.unwritten(),
            shed: shared.queue.shed(),
            failures: shared.failures.load(Ordering::Relaxed),
        }
    }

    fn close(&self, patience: Duration) -> bool {
        let shared = &self.shared;
        self.closed.store(true, Ordering::Relaxed);
        shared.queue.close();
        let ended = |state: &mut State| !state.ended;
        let waited = shared
            .ended
            .wait_timeout_while(shared.state(), patience, ended);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.settled
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        let closed = *self.closed.get_mut();
        // The writer holds the tracker while it works, so it may be the last to let go:
        // it cannot wait for itself.
        let is_writer = thread::current().name() == Some(THREAD);
        let patience = match closed || is_writer {
            true => Duration::ZERO,
            false => LAST,
        };
        self.close(patience);
    }
}

// === impl Shared ===

impl Shared {
    fn new(path: String, terms: Terms) -> Self {
        let opening = format!("{path} is being opened");
        Self {
            path,
            terms,
            queue: Queue::new(terms.room),
            state: Mutex::new(State {
                fault: Some(opening.into()),
                settled: false,
                ended: false,
            }),
            ended: Condvar::new(),
            failures: AtomicU64::new(0),
            dead: AtomicBool::new(false),
        }
    }

    /// Counts a failure; whether it worked before.
    fn fail(&self, fault: &Fault) -> bool {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let fault = Some(fault.message.as_str().into());
        let first = self.failures.load(Ordering::Relaxed) == 1;
        let before = std::mem::replace(&mut self.state().fault, fault);
        before.is_none() || first
    }

    /// It works; whether it did not before.
    fn recover(&self) -> bool {
        self.state().fault.take().is_some()
    }

    fn panicked(&self, text: &str) {
        let fault = Fault {
            kind: FaultKind::Broken,
            message: format!("the writer of {} {text}", self.path),
        };
        self.fail(&fault);
        self.die();
        quietly(
            || error!(error = %fault, "the store is of no use any more: tasks are kept in memory alone until the next start"),
        );
    }

    fn die(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.queue.shut();
        self.settle();
    }

    fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Nothing more is to be written.
    fn settle(&self) {
        self.state().settled = true;
    }

    fn end(&self) {
        self.state().ended = true;
        self.ended.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
