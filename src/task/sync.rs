//! The primitives that the registry is built on, swapped for loom's when the
//! interleavings are tried (`RUSTFLAGS="--cfg taskpulse_loom"`).

#[cfg(taskpulse_loom)]
pub(super) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
};
#[cfg(not(taskpulse_loom))]
pub(super) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
};
use std::{ops::Deref, sync::PoisonError};

/// Something on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Padded<T>(T);

/// Locks, poisoned or not: every critical section of this module leaves its
/// data whole, and a panic elsewhere must not take the health check down.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Padded ===

impl<T> Padded<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for Padded<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
