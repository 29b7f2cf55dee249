//! The memory that all request bodies together may take.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Bytes of bodies in flight at most: five of the greatest ones, in a session
/// that has 8 GB.
const MOST: usize = 512_000_000;

/// Counts the bytes of bodies in flight.
#[derive(Clone, Debug, Default)]
pub(super) struct Budget(Arc<AtomicUsize>);

/// A request's share, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Budget,
    bytes: usize,
}

// === impl Budget ===

impl Budget {
    pub(super) fn share(&self) -> Share {
        Share {
            budget: self.clone(),
            bytes: 0,
        }
    }
}

// === impl Share ===

impl Share {
    /// Takes `bytes` more; false where that is more than there is.
    #[must_use]
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let taken = self.budget.0.fetch_update(Relaxed, Relaxed, |used| {
            used.checked_add(bytes).filter(|used| *used <= MOST)
        });
        if taken.is_ok() {
            self.bytes += bytes;
        }
        taken.is_ok()
    }

    /// Bytes taken so far.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back() {
        let budget = Budget::default();
        let mut first = budget.share();
        assert!(first.take(MOST - 1));
        let mut second = budget.share();
        assert!(!second.take(2));
        assert!(second.take(1));
        drop(first);
        assert!(second.take(MOST - 1));
        assert_eq!(second.bytes(), MOST);
    }
}
