//! What a store can do, whatever it is made of: an embedded file today.

use std::{borrow::Cow, fmt, time::Duration};

use crate::{TaskId, TaskState};

/// Keeps tasks where a crash of this process does not reach them.
///
/// One thread calls it. Times are those since the Unix epoch, unless a name says
/// otherwise.
pub(super) trait Backend: fmt::Debug + Send {
    /// Writes a group: all of it or nothing. What it has written survives a kill of
    /// the process.
    ///
    /// # Errors
    ///
    /// A [`Fault`]; nothing of the group has been written.
    fn write(&mut self, group: &Group<'_>) -> Result<(), Fault>;

    /// The id that is to be handed out next: all below may have been.
    ///
    /// # Errors
    ///
    /// A [`Fault`].
    fn next_id(&mut self) -> Result<u64, Fault>;

    /// The tasks, by id, that are running for whoever wrote them, and that one is dead.
    /// They stay so until a group says something else of them.
    ///
    /// # Errors
    ///
    /// A [`Fault`].
    fn lost(&mut self) -> Result<Found<Lost>, Fault>;

    /// The tasks that ended at `since` or later, the last `most` of them, oldest end
    /// first.
    ///
    /// # Errors
    ///
    /// A [`Fault`].
    fn history(&mut self, most: usize, since: Duration) -> Result<Found<Record<'static>>, Fault>;

    /// Forgets ended tasks beyond the last `most`, those that ended before `since`, and
    /// what [`lost`](Self::lost) and [`history`](Self::history) could not read; a
    /// bounded number at a time. Says whether there is more to forget.
    ///
    /// # Errors
    ///
    /// A [`Fault`].
    fn prune(&mut self, most: usize, since: Duration) -> Result<bool, Fault>;

    /// Does what must be done from time to time, and takes longer than a write.
    ///
    /// # Errors
    ///
    /// A [`Fault`].
    fn tend(&mut self) -> Result<(), Fault>;

    /// Says whether what is written still goes where it should.
    ///
    /// # Errors
    ///
    /// A [`Fault`] that says what has become of it.
    fn check(&mut self) -> Result<(), Fault>;

    /// Notes that this process has ended in order, at `now`, and closes.
    ///
    /// # Errors
    ///
    /// A [`Fault`].
    fn close(self: Box<Self>, now: Duration) -> Result<(), Fault>;
}

/// What is written at once.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// Each task as it is now.
    pub(super) tasks: &'a [Record<'a>],
    /// This process is alive at this time.
    pub(super) seen: Duration,
    /// Ids below this one may be handed out from now on.
    pub(super) ids_until: u64,
}

/// A task as it is written and read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record<'a> {
    pub(super) id: TaskId,
    /// Whether this store has it already, so that only what may have changed of it
    /// needs to be written: what is below `trace`. False for what is read.
    pub(super) known: bool,
    pub(super) name: Cow<'a, str>,
    /// A JSON object as compact text.
    pub(super) metadata: Cow<'a, str>,
    pub(super) session_id: Option<Cow<'a, str>>,
    pub(super) request_id: Option<Cow<'a, str>>,
    /// A JSON object as text, where there is any.
    pub(super) baggage: Option<Cow<'a, str>>,
    /// Where in its program it was begun.
    pub(super) file: Cow<'a, str>,
    pub(super) line: u32,
    pub(super) begun: Duration,
    pub(super) deadline: Option<Duration>,
    pub(super) trace: Option<Trace>,
    /// Its last heartbeat or progress.
    pub(super) last_seen: Option<Duration>,
    /// From 0 to 1.
    pub(super) progress: Option<f64>,
    pub(super) progress_message: Option<Cow<'a, str>>,
    /// None where it is running.
    pub(super) end: Option<End<'a>>,
}

/// A task's span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trace {
    pub(super) trace_id: [u8; 16],
    pub(super) span_id: [u8; 8],
    pub(super) parent_id: Option<[u8; 8]>,
    pub(super) sampled: bool,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End<'a> {
    /// One of the end states.
    pub(super) state: TaskState,
    /// From the begin to the end.
    pub(super) duration: Duration,
    /// JSON text.
    pub(super) result: Option<Cow<'a, str>>,
    pub(super) error: Option<Cow<'a, str>>,
    /// Whether the error is a panic.
    pub(super) panicked: bool,
}

/// What was found. One row that is damaged does not hide the others.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found<T> {
    pub(super) rows: Vec<T>,
    /// Rows that were left out, since they are not as they were written.
    pub(super) unreadable: usize,
}

/// A task whose owner is dead.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lost {
    pub(super) task: Record<'static>,
    /// The `service.instance.id` of the process that it ran in.
    pub(super) instance: String,
    /// That process's last sign of life.
    pub(super) owner_seen: Duration,
}

/// Who writes.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    /// The `service.instance.id`.
    pub(super) instance: String,
    pub(super) started: Duration,
}

/// Why a store does not do what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    /// What is wrong, with the path, for a person.
    pub(super) message: String,
}

/// What can be done about a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// It may pass by itself or with an operator's help: a full disk, missing rights, an
    /// input or output error. Worth another try.
    Passing,
    /// The file is not what it should be: truncated, corrupted, no database, written by
    /// a newer version, gone. It must not be written any more.
    Broken,
    /// It is a sound file of another program: most probably a path that was mistyped.
    /// It must be neither written nor moved.
    Foreign,
}

// === impl Fault ===

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
