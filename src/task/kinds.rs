//! The task names that metrics know, and what is counted of each.
//!
//! A name becomes known when it is declared or first begun, and stays known.
//! Names beyond the [greatest number](Kinds::MOST) share the label `_OTHER`.
//! A known name is looked up without a lock and without an allocation.
//!
//! Counts are kept once per shard, on cache lines of their own, and written
//! under that shard's lock alone: plain loads and stores, on which two threads
//! that use one name do not meet. Whoever reads adds them up and takes no lock.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use super::{
    Condition, TaskState,
    sync::{AtomicU64, AtomicUsize, Mutex, Ordering, Padded, lock},
};

/// The label of tasks whose names are not known.
pub(crate) const OTHER: &str = "_OTHER";

/// A known name, and what is counted of its tasks. Or [`OTHER`], and what is
/// counted of all others.
pub(crate) struct Kind {
    pub(crate) id: KindId,
    /// What metrics call it.
    pub(crate) label: Arc<str>,
    /// One per shard.
    cells: Box<[Padded<Cell>]>,
}

/// Which kind a task is of: a place in a table of [`KindId::COUNT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KindId(u8);

/// Every kind, by its id.
pub(super) struct Kinds {
    /// The known names where their hashes lead to, or the next free place; the
    /// last place is for [`OTHER`]. What is set is never changed.
    slots: Box<[OnceLock<Kind>]>,
    /// How many names are known. Written under `adding`.
    known: AtomicUsize,
    adding: Mutex<()>,
    /// One of the three below.
    beyond: AtomicUsize,
    shards: usize,
}

/// What is counted of a kind's tasks in one shard.
#[derive(Debug)]
#[repr(C)] // What is written most often lies on one cache line.
pub(super) struct Cell {
    active: AtomicU64,
    /// When the oldest active task was begun, in nanoseconds; else [`NONE`].
    oldest: AtomicU64,
    /// By state.
    entered: [AtomicU64; TaskState::ALL.len()],
    /// By condition: tasks that are noted to be in it, and those that ever were.
    noted: [AtomicU64; Condition::ALL.len()],
    crossed: [AtomicU64; Condition::ALL.len()],
}

/// What [`Cell::oldest`] says where no task is active.
const NONE: u64 = u64::MAX;

/// Values of [`Kinds::beyond`]: no name was beyond the greatest number, or some
/// were, and that has been told or not.
const NEVER: usize = 0;
const UNTOLD: usize = 1;
const TOLD: usize = 2;

// === impl Kind ===

impl Kind {
    fn new(id: KindId, label: &str, shards: usize) -> Self {
        Self {
            id,
            label: label.into(),
            cells: (0..shards).map(|_| Padded::new(Cell::new())).collect(),
        }
    }

    /// How many tasks have entered this state, ever. Each enters `running` when
    /// it begins.
    pub(crate) fn entered(&self, state: TaskState) -> u64 {
        self.sum(|cell| &cell.entered[state as usize])
    }

    /// How many tasks are active.
    pub(crate) fn active(&self) -> u64 {
        self.sum(|cell| &cell.active)
    }

    /// How many active tasks are noted to be in this condition.
    pub(crate) fn noted(&self, condition: Condition) -> u64 {
        self.sum(|cell| &cell.noted[condition as usize])
    }

    /// How many times a task came into this condition, ever.
    pub(crate) fn crossed(&self, condition: Condition) -> u64 {
        self.sum(|cell| &cell.crossed[condition as usize])
    }

    /// When the oldest active task was begun, on the registry's monotonic clock.
    pub(crate) fn oldest(&self) -> Option<Duration> {
        let begun = self.cells.iter().map(|cell| cell.oldest());
        begun
            .min()
            .filter(|nanos| *nanos != NONE)
            .map(Duration::from_nanos)
    }

    fn sum(&self, count: impl Fn(&Cell) -> &AtomicU64) -> u64 {
        let counts = self.cells.iter().map(|cell| count(cell));
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// What is counted in this shard, whose lock the caller holds.
    pub(super) fn cell(&self, shard: usize) -> &Cell {
        &self.cells[shard]
    }

    /// A task's own name; the kind's text where they are the same.
    pub(super) fn name(&self, name: Box<str>) -> Arc<str> {
        if self.id == KindId::OTHER {
            name.into()
        } else {
            Arc::clone(&self.label)
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kind")
            .field("label", &self.label)
            .field("active", &self.active())
            .finish_non_exhaustive()
    }
}

// === impl KindId ===

impl KindId {
    /// What [`OTHER`] has.
    pub(crate) const OTHER: Self = Self(Kinds::SLOTS as u8);

    /// Every [`index`](Self::index) is below.
    pub(crate) const COUNT: usize = Kinds::SLOTS + 1;

    #[cfg(all(test, not(taskpulse_loom)))]
    pub(super) const fn of(index: u8) -> Self {
        Self(index)
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

// === impl Kinds ===

impl Kinds {
    /// Names that are known at most.
    ///
    /// Each costs about 150 time series, most of them a histogram's buckets: 50
    /// make some 7,500, which a small Prometheus takes from every instance.
    /// More names than that are ids in disguise.
    #[cfg(not(taskpulse_loom))]
    pub(super) const MOST: usize = 50;
    #[cfg(taskpulse_loom)]
    pub(super) const MOST: usize = 1;

    /// More than twice as many as names, so that most are found at once. A
    /// power of two.
    const SLOTS: usize = 128;

    /// No names yet.
    pub(super) fn new(shards: usize) -> Self {
        Self {
            slots: (0..KindId::COUNT).map(|_| OnceLock::new()).collect(),
            known: AtomicUsize::new(0),
            adding: Mutex::new(()),
            beyond: AtomicUsize::new(NEVER),
            shards,
        }
    }

    /// The kind of tasks with this name, which becomes known if there is room.
    pub(super) fn of(&self, name: &str) -> &Kind {
        // In this order: what filled the table is found in it.
        let full = self.known.load(Ordering::Acquire) == Self::MOST;
        match self.find(name) {
            Ok(kind) => kind,
            Err(_) if full => self.other(name),
            Err(_) => self.add(name),
        }
    }

    /// The kind of tasks with this name, where it is known. Makes nothing known.
    pub(super) fn known(&self, name: &str) -> Option<&Kind> {
        self.find(name).ok()
    }

    /// The kind with this id.
    pub(super) fn get(&self, id: KindId) -> &Kind {
        let kind = self.slots[id.index()].get();
        kind.expect("an id is given out with its kind")
    }

    /// Every kind there is, in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.slots.iter().filter_map(OnceLock::get)
    }

    /// Whether a name was beyond the greatest number and nobody has been told.
    /// Tells it once.
    pub(super) fn overflowed(&self) -> bool {
        self.goes(UNTOLD, TOLD)
    }

    /// Whether `beyond` was the one and has become the other, here.
    fn goes(&self, from: usize, to: usize) -> bool {
        let relaxed = Ordering::Relaxed;
        // Looked at first, since it rarely is.
        self.beyond.load(relaxed) == from
            && self
                .beyond
                .compare_exchange(from, to, relaxed, relaxed)
                .is_ok()
    }

    /// A known name's kind, else the place where it would stand.
    fn find(&self, name: &str) -> Result<&Kind, KindId> {
        if name == OTHER {
            return self.slots[KindId::OTHER.index()].get().ok_or(KindId::OTHER);
        }
        let mut at = hash(name) as usize % Self::SLOTS;
        loop {
            match self.slots[at].get() {
                Some(kind) if *kind.label == *name => return Ok(kind),
                Some(_) => at = (at + 1) % Self::SLOTS,
                None => return Err(KindId(at as u8)),
            }
        }
    }

    fn add(&self, name: &str) -> &Kind {
        let adding = lock(&self.adding);
        let id = match self.find(name) {
            Ok(kind) => return kind,
            Err(id) => id,
        };
        let known = self.known.load(Ordering::Relaxed);
        if id != KindId::OTHER && known == Self::MOST {
            drop(adding);
            return self.other(name);
        }
        let kind = self.slots[id.index()].get_or_init(|| Kind::new(id, name, self.shards));
        if id != KindId::OTHER {
            self.known.store(known + 1, Ordering::Release);
        }
        kind
    }

    /// The kind of names that are not known.
    fn other(&self, name: &str) -> &Kind {
        if name != OTHER {
            self.goes(NEVER, UNTOLD);
        }
        self.find(OTHER).unwrap_or_else(|_| self.add(OTHER))
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// FNV-1a, whose high bits are folded onto the low ones. Whoever chooses names
/// to collide makes a look-up of [`Kinds::MOST`] steps.
fn hash(name: &str) -> u64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^ hash >> 32
}

// === impl Cell ===

impl Cell {
    fn new() -> Self {
        Self {
            active: AtomicU64::new(0),
            oldest: AtomicU64::new(NONE),
            entered: std::array::from_fn(|_| AtomicU64::new(0)),
            noted: std::array::from_fn(|_| AtomicU64::new(0)),
            crossed: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// A task has begun.
    pub(super) fn begun(&self, oldest: Option<u64>) {
        change(&self.active, |active| active + 1);
        self.enter(TaskState::Running, oldest);
    }

    /// A task has ended so.
    pub(super) fn ended(&self, state: TaskState, oldest: Option<u64>) {
        change(&self.active, |active| active.saturating_sub(1));
        self.enter(state, oldest);
    }

    /// A task that had begun in an earlier process has ended so.
    pub(super) fn found(&self, state: TaskState) {
        change(&self.entered[state as usize], |entered| entered + 1);
    }

    /// A task has come into this condition.
    pub(super) fn crossed(&self, condition: Condition) {
        change(&self.noted[condition as usize], |noted| noted + 1);
        change(&self.crossed[condition as usize], |crossed| crossed + 1);
    }

    /// A task is out of this condition, or has ended.
    pub(super) fn cleared(&self, condition: Condition) {
        change(&self.noted[condition as usize], |noted| {
            noted.saturating_sub(1)
        });
    }

    fn enter(&self, state: TaskState, oldest: Option<u64>) {
        change(&self.entered[state as usize], |entered| entered + 1);
        self.oldest.store(oldest.unwrap_or(NONE), Ordering::Relaxed);
    }

    fn oldest(&self) -> u64 {
        self.oldest.load(Ordering::Relaxed)
    }
}

/// Not one atomic step: the caller holds the shard's lock, so nobody else
/// writes.
fn change(count: &AtomicU64, to: impl FnOnce(u64) -> u64) {
    count.store(to(count.load(Ordering::Relaxed)), Ordering::Relaxed);
}
