//! Changed tasks wait here until the writer has time for them.
//!
//! A task waits once, however often it changes meanwhile, since what is written is the
//! task as it is by then. The queue is bounded. Of what finds no room, a begin is shed
//! and counted: its task is only missing if the process crashes. An end is kept all the
//! same, if its begin may have been written: else the next process would call it lost.
//! There are no more of those than tasks that were active when the writer fell behind.
//! The end of a task whose begin was shed is of no use to the next process.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    task::{Note, Task},
    track::Live,
};

/// Changed tasks, as a writer takes them.
pub(super) type Changed = Arc<Task<Live>>;

/// What waits to be written.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    room: Room,
    /// Tasks that wait.
    waiting: AtomicU64,
    /// Tasks that the writer has taken and not written yet.
    in_hand: AtomicU64,
    shed: AtomicU64,
    /// Whether a begin has been shed that may be written after all.
    owes_begins: AtomicBool,
    /// Whether anything is taken in.
    open: AtomicBool,
}

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) tasks: usize,
    /// Of metadata, results and errors, since a queued task is kept in memory when it has
    /// been forgotten everywhere else.
    pub(super) bytes: usize,
    /// Tasks of which nothing is new but a sign of life.
    pub(super) signs: usize,
}

#[derive(Debug, Default)]
struct State {
    /// With their bytes.
    changed: VecDeque<(Changed, usize)>,
    bytes: usize,
    /// Of ends of tasks that waited already.
    more_bytes: usize,
    /// Ended tasks that found no room and must be written.
    owed: VecDeque<Changed>,
    signs: Vec<Changed>,
    /// Whether the writer must be woken.
    asleep: bool,
    closing: bool,
}

/// It waits in the queue, or the writer is about to look at it.
const QUEUED: u8 = 1;
/// It waits among the signs.
const SIGNED: u8 = 2;
/// It may be in the store.
const TAKEN: u8 = 4;
/// It is in the store.
const KNOWN: u8 = 8;

/// Lets the store know that it has this task already.
pub(super) fn mark_known(task: &Task<Live>) {
    flags(task).fetch_or(TAKEN | KNOWN, Ordering::AcqRel);
}

/// The writer is about to look at this task, which may be in no queue.
pub(super) fn mark_taken(task: &Task<Live>) {
    flags(task).fetch_or(TAKEN, Ordering::AcqRel);
}

/// Whether the store has this task.
pub(super) fn is_known(task: &Task<Live>) -> bool {
    flags(task).load(Ordering::Acquire) & KNOWN != 0
}

fn flags(task: &Task<Live>) -> &AtomicU8 {
    &task.payload.written
}

// === impl Room ===

impl Room {
    /// At 10,000 tasks a second, some three seconds.
    pub(super) const ENOUGH: Self = Self {
        tasks: 65_536,
        bytes: 64 << 20,
        signs: 65_536,
    };
}

// === impl Queue ===

impl Queue {
    pub(super) fn new(room: Room) -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            room,
            waiting: AtomicU64::new(0),
            in_hand: AtomicU64::new(0),
            shed: AtomicU64::new(0),
            owes_begins: AtomicBool::new(false),
            open: AtomicBool::new(true),
        }
    }

    /// This has happened to a task.
    pub(super) fn note(&self, task: &Changed, what: Note) {
        if !self.open.load(Ordering::Relaxed) {
            return;
        }
        let end = match what {
            Note::Sign => return self.sign(task),
            Note::Begun => None,
            Note::Ended { bytes } => Some(bytes),
        };
        // Who clears the bit looks at the task after that, and so sees this change.
        let before = flags(task).fetch_or(QUEUED, Ordering::AcqRel);
        if before & QUEUED == 0 {
            self.push(task, end, before & TAKEN != 0);
        } else if let Some(bytes @ 1..) = end {
            self.state().more_bytes += bytes;
        }
    }

    fn push(&self, task: &Changed, end: Option<usize>, taken: bool) {
        let mut state = self.state();
        let bytes = task.metadata().len() + end.unwrap_or(0);
        let full = state.changed.len() >= self.room.tasks
            || state.bytes + state.more_bytes + bytes > self.room.bytes;
        if full && !(end.is_some() && taken) {
            drop(state);
            flags(task).fetch_and(!QUEUED, Ordering::AcqRel);
            if end.is_none() {
                self.shed.fetch_add(1, Ordering::Relaxed);
                self.owe_begins();
            }
            return;
        }
        if full {
            state.owed.push_back(Arc::clone(task));
        } else {
            state.bytes += bytes;
            state.changed.push_back((Arc::clone(task), bytes));
        }
        self.count(&state);
        let asleep = std::mem::replace(&mut state.asleep, false);
        drop(state);
        if asleep {
            self.wake.notify_one();
        }
    }

    fn sign(&self, task: &Changed) {
        // Looked at first, since a task may give signs without end.
        if flags(task).load(Ordering::Relaxed) & (QUEUED | SIGNED) != 0 {
            return;
        }
        if flags(task).fetch_or(SIGNED, Ordering::AcqRel) & SIGNED != 0 {
            return;
        }
        let mut state = self.state();
        if state.signs.len() < self.room.signs {
            state.signs.push(Arc::clone(task));
        } else {
            // The next sign is as good.
            flags(task).fetch_and(!SIGNED, Ordering::AcqRel);
        }
    }

    /// Waits: for `gather` while tasks change, else until one does, but for no longer than
    /// `rest`. False once the queue is closing.
    ///
    /// While tasks change, nobody needs to wake the writer, which would cost a begin more
    /// than all the rest of this.
    pub(super) fn wait(&self, gather: Duration, rest: Duration, changing: bool) -> bool {
        let mut state = self.state();
        let mut gather = gather.min(rest);
        if !changing && state.is_empty() {
            state.asleep = true;
            let asleep = |state: &mut State| state.asleep && !state.closing;
            let waited = self.wake.wait_timeout_while(state, rest, asleep);
            let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.asleep = false;
            if timeout.timed_out() {
                gather = Duration::ZERO;
            }
        }
        let open = |state: &mut State| !state.closing;
        let waited = self.wake.wait_timeout_while(state, gather, open);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.closing
    }

    /// Appends up to `most` changed tasks. Whatever happens to them from now on puts them
    /// into the queue again.
    pub(super) fn take(&self, most: usize, into: &mut Vec<Changed>) {
        let from = into.len();
        let mut state = self.state();
        let changed = state.changed.len().min(most);
        let mut bytes = 0;
        into.extend(state.changed.drain(..changed).map(|(task, its)| {
            bytes += its;
            task
        }));
        state.bytes -= bytes;
        let owed = state.owed.len().min(most - changed);
        into.extend(state.owed.drain(..owed));
        if state.is_empty() {
            state.more_bytes = 0;
            // A burst is over: its memory is given back.
            state.changed.shrink_to(most);
            state.owed.shrink_to(0);
        }
        self.count(&state);
        drop(state);
        for task in &into[from..] {
            // In this order: an end that comes between finds it queued, one that comes
            // later knows that it may be written.
            flags(task).fetch_or(TAKEN, Ordering::AcqRel);
            flags(task).fetch_and(!QUEUED, Ordering::AcqRel);
        }
    }

    /// The same of tasks that have given signs of life.
    pub(super) fn take_signs(&self, most: usize, into: &mut Vec<Changed>) {
        let mut state = self.state();
        let count = state.signs.len().min(most);
        let signs: Vec<_> = state.signs.drain(..count).collect();
        drop(state);
        for task in &signs {
            flags(task).fetch_and(!SIGNED, Ordering::AcqRel);
        }
        // Of those that were shed, and of ended ones, nothing is to be said.
        let signs = signs.into_iter();
        into.extend(signs.filter(|task| is_known(task) && task.ending().is_none()));
    }

    /// There are active tasks that the store does not have.
    pub(super) fn owe_begins(&self) {
        self.owes_begins.store(true, Ordering::Relaxed);
    }

    /// Whether there are, since the last time that this was asked.
    pub(super) fn take_debt(&self) -> bool {
        self.owes_begins.swap(false, Ordering::Relaxed)
    }

    /// Whether there are; this leaves it so.
    pub(super) fn owes_begins(&self) -> bool {
        self.owes_begins.load(Ordering::Relaxed)
    }

    /// Tasks that wait.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// The writer has so many tasks that it has not written.
    pub(super) fn hold(&self, tasks: usize) {
        self.in_hand.store(tasks as u64, Ordering::Relaxed);
    }

    /// Tasks that are not written, wherever they wait.
    pub(super) fn unwritten(&self) -> u64 {
        self.waiting() + self.in_hand.load(Ordering::Relaxed)
    }

    /// Begins that found no room, ever.
    pub(super) fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }

    /// Lets the writer write what waits, and end.
    pub(super) fn close(&self) {
        self.state().closing = true;
        self.wake.notify_one();
    }

    /// Takes nothing in any more, and forgets what waits.
    pub(super) fn shut(&self) {
        self.open.store(false, Ordering::Relaxed);
        let left = std::mem::take(&mut *self.state());
        self.waiting.store(0, Ordering::Relaxed);
        self.hold(0);
        drop(left); // Here, where no lock is held.
    }

    fn count(&self, state: &State) {
        let waiting = state.changed.len() + state.owed.len();
        self.waiting.store(waiting as u64, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.owed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TaskHandle, Tasks, task::Limits, track::Tracker};

    #[test]
    fn an_end_is_kept_from_the_moment_that_its_begin_may_be_written() {
        let tracker = Arc::new(Tracker::new(Limits {
            history: 10,
            max_active: 10,
        }));
        let tasks = Tasks::new(Arc::clone(&tracker));
        let begin = || tasks.begin("import").start().unwrap();
        let handles = [begin(), begin(), begin()];
        let task = |handle: &TaskHandle| tracker.registry().task(handle.id()).unwrap();
        let [first, second, third] = handles.each_ref().map(task);
        let room = Room {
            tasks: 1,
            ..Room::ENOUGH
        };
        let queue = Queue::new(room);
        let end = Note::Ended { bytes: 0 };
        queue.note(&first, Note::Begun);
        let mut taken = Vec::new();
        queue.take(9, &mut taken);
        // The writer is about to write it. There is no room for anything else.
        queue.note(&second, Note::Begun);
        queue.note(&third, Note::Begun);
        queue.note(&third, end);
        queue.note(&first, end);
        assert_eq!((queue.waiting(), queue.shed()), (2, 1));
        queue.take(9, &mut taken);
        let ids: Vec<_> = taken.iter().map(|task| task.id).collect();
        assert_eq!(ids, [first.id, second.id, first.id]);
        assert!(queue.take_debt(), "the third one runs, as far as is known");
    }
}
