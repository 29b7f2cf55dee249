//! The custom ping handler, while it is being asked.

use std::future::Future;

use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static ASKED: ();
}

/// Asks the handler. Code that runs in it is told the status that holds without
/// it: told its own last answer, it would give that back for ever.
pub(crate) fn asking<F: Future>(handler: F) -> TaskLocalFuture<(), F> {
    ASKED.scope((), handler)
}

/// Whether the caller runs in the handler.
pub(super) fn is_asked() -> bool {
    ASKED.try_with(|()| ()).is_ok()
}
