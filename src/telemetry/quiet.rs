//! Keeps a panic of somebody else's subscriber away from the tasks.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs telemetry, and carries on without it if it panics.
///
/// The panic hook has run by then, so the panic has been printed.
pub(crate) fn quietly<R>(telemetry: impl FnOnce() -> R) -> Option<R> {
    let caught = catch_unwind(AssertUnwindSafe(telemetry));
    // What a panic carries may panic again when it is dropped.
    caught.map_err(drop_quietly).ok()
}

/// Drops what a panic carried; a second panic in doing so ends there.
pub(crate) fn drop_quietly(panic: Box<dyn std::any::Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        // A third is not waited for: leaking a few bytes is the lesser harm.
        #[expect(
            clippy::disallowed_methods,
            reason = "its drop panics, and is no task's guard"
        )]
        std::mem::forget(second);
    }
}
