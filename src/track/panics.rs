//! What a panic said and where, so that the task it ended can say so too.

use std::{any::Any, cell::RefCell, panic, sync::Once};

use crate::task::file;

thread_local! {
    /// The last panic of this thread: its message and its place.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Notes every panic's message and place from now on, then does what the hook
/// before did. Once is enough; more calls do nothing.
pub(crate) fn chain_hook() {
    static CHAINED: Once = Once::new();
    CHAINED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info
                .location()
                .map(|at| format!(" at {}:{}", file(at), at.line()));
            let text = format!(
                "panicked{}: {}",
                place.unwrap_or_default(),
                message(info.payload())
            );
            // A panic of a thread that is being torn down is not noted.
            LAST.try_with(|last| last.replace(Some(text)))
                .unwrap_or_default();
            before(info);
        }));
    });
}

/// The panic that this thread is unwinding from, as far as it is known.
///
/// It stays noted: other guards that the same panic drops say it as well, and
/// so does whoever catches it.
pub(super) fn current() -> String {
    let noted = LAST.try_with(|last| last.borrow().clone()).ok().flatten();
    noted.unwrap_or_else(|| "panicked".to_owned())
}

/// The text of a panic that this thread has just caught.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let message = message(payload);
    // A panic that was resumed went past the hook, which then noted another.
    noted()
        .filter(|text| text.ends_with(message))
        .unwrap_or_else(|| format!("panicked: {message}"))
}

fn noted() -> Option<String> {
    LAST.try_with(|last| last.borrow().clone()).ok().flatten()
}

fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a value that is not text")
}
