//! The active tasks of a shard by kind, oldest first.
//!
//! A linked list per kind, so that a task comes and goes in constant time in
//! whatever order tasks end. All lists share their nodes, which lie in blocks:
//! a vector of a million would at times be copied while others wait.

use std::num::NonZeroU32;

use super::{
    KindId,
    sync::{AtomicU32, Ordering},
};

/// The lists.
#[derive(Debug)]
pub(super) struct Ages {
    lists: Box<[List]>,
    blocks: Vec<Box<[Node; BLOCK]>>,
    /// Nodes that were ever used.
    used: u32,
    /// The first of those that are free; `newer` leads to the next one.
    free: Option<Place>,
}

/// Where a task stands, as it notes itself. Looked at by whoever holds its
/// shard's lock.
#[derive(Debug)]
pub(super) struct Seat(AtomicU32);

#[derive(Clone, Copy, Debug)]
struct Place(NonZeroU32);

#[derive(Clone, Copy, Debug, Default)]
struct List {
    oldest: Option<Place>,
    newest: Option<Place>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    begun: u64,
    older: Option<Place>,
    newer: Option<Place>,
}

/// Nodes of a block: 4 KiB.
const BLOCK: usize = 256;

// === impl Ages ===

impl Ages {
    pub(super) fn new() -> Self {
        Self {
            lists: [List::default(); KindId::COUNT].into(),
            blocks: Vec::new(),
            used: 0,
            free: None,
        }
    }

    /// Lets a task in that was begun then, and notes where it stands.
    ///
    /// Clocks are read before the shard's lock is taken, so a thread that was
    /// held up in between brings an older task than those before it, and must
    /// look past what was begun meanwhile: rarely more than one.
    pub(super) fn enter(&mut self, kind: KindId, begun: u64, seat: &Seat) {
        let place = self.take();
        let mut older = self.lists[kind.index()].newest;
        let mut newer = None;
        while let Some(one) = older.filter(|one| self.node(*one).begun > begun) {
            newer = older;
            older = self.node(one).older;
        }
        *self.node_mut(place) = Node {
            begun,
            older,
            newer,
        };
        self.join(kind, older, Some(place));
        self.join(kind, Some(place), newer);
        seat.take(place);
    }

    /// Lets the task out that stands there.
    pub(super) fn leave(&mut self, kind: KindId, seat: &Seat) {
        let Some(place) = seat.place() else { return };
        let Node { older, newer, .. } = *self.node(place);
        self.join(kind, older, newer);
        self.node_mut(place).newer = self.free;
        self.free = Some(place);
    }

    /// When the oldest one was begun.
    pub(super) fn oldest(&self, kind: KindId) -> Option<u64> {
        let oldest = self.lists[kind.index()].oldest?;
        Some(self.node(oldest).begun)
    }

    /// Makes two neighbours of a list. Beyond its ends there is nothing.
    fn join(&mut self, kind: KindId, older: Option<Place>, newer: Option<Place>) {
        match older {
            Some(older) => self.node_mut(older).newer = newer,
            None => self.lists[kind.index()].oldest = newer,
        }
        match newer {
            Some(newer) => self.node_mut(newer).older = older,
            None => self.lists[kind.index()].newest = older,
        }
    }

    /// A free place.
    fn take(&mut self) -> Place {
        if let Some(place) = self.free {
            self.free = self.node(place).newer;
            return place;
        }
        if self.used as usize == self.blocks.len() * BLOCK {
            self.blocks.push(Box::new([Node::default(); BLOCK]));
        }
        self.used += 1; // Far from its end: the ping counts to 2^26.
        Place(NonZeroU32::MIN.saturating_add(self.used - 1))
    }

    fn node(&self, place: Place) -> &Node {
        let at = place.at();
        &self.blocks[at / BLOCK][at % BLOCK]
    }

    fn node_mut(&mut self, place: Place) -> &mut Node {
        let at = place.at();
        &mut self.blocks[at / BLOCK][at % BLOCK]
    }
}

// === impl Seat ===

impl Seat {
    /// Of a task that stands nowhere yet.
    pub(super) fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    fn take(&self, place: Place) {
        self.0.store(place.0.get(), Ordering::Relaxed);
    }

    fn place(&self) -> Option<Place> {
        NonZeroU32::new(self.0.load(Ordering::Relaxed)).map(Place)
    }
}

// === impl Place ===

impl Place {
    const fn at(self) -> usize {
        self.0.get() as usize - 1
    }
}
