//! Says a thing once a second at most, and then how often it was not said.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Lets one line a second through.
#[derive(Debug, Default)]
pub(crate) struct RateLimit {
    /// The second, counted from one, of the last line.
    last: AtomicU64,
    unsaid: AtomicU64,
}

// === impl RateLimit ===

impl RateLimit {
    /// Whether to speak at `now`, any clock's time; if so, how many times
    /// nothing was said since the last time.
    pub(crate) fn speak(&self, now: Duration) -> Option<u64> {
        let second = now.as_secs() + 1;
        let last = self.last.load(Relaxed);
        let first = second > last
            && self
                .last
                .compare_exchange(last, second, Relaxed, Relaxed)
                .is_ok();
        if first {
            return Some(self.unsaid.swap(0, Relaxed));
        }
        self.unsaid.fetch_add(1, Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_counts_the_others() {
        let limit = RateLimit::default();
        let at = |millis| limit.speak(Duration::from_millis(millis));
        assert_eq!(at(0), Some(0));
        assert_eq!(at(10), None);
        assert_eq!(at(999), None);
        assert_eq!(at(1_000), Some(2));
        assert_eq!(at(2_000), Some(0));
    }
}
