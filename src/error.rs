//! The one error of the public interface.

use std::{borrow::Cow, fmt, io, net::SocketAddr};

/// What can go wrong, said to the person who can do something about it.
///
/// As a response: what the caller sent is at fault, 400; capacity and draining,
/// 503 with `Retry-After`; everything else, 500. Its `Debug` is its one-line
/// `Display`, since that is what a `main` that returns it prints.
///
/// ```
/// use taskpulse::Error;
///
/// let error = Error::invalid("`pages` is 0; at least 1 is needed");
/// assert_eq!(format!("{error:?}"), "`pages` is 0; at least 1 is needed");
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input is at fault: a task's name or metadata, or what a handler says
    /// of its request.
    #[error("{0}")]
    Invalid(Cow<'static, str>),

    /// As many tasks are active as may be.
    #[error("as many tasks are active as may be ({max_active}); try again when one has ended")]
    Capacity {
        /// The greatest number of active tasks.
        max_active: usize,
    },

    /// The process shuts down and begins nothing new.
    #[error("shutting down; nothing new is begun here")]
    Draining,

    /// A handler's work failed.
    #[error("{0}")]
    Failed(Cow<'static, str>),

    /// There is no runtime to spawn onto.
    #[error(
        "no runtime to spawn task `{name}` onto; begin it while the app runs, or inside a tokio runtime"
    )]
    NoRuntime {
        /// The task's name.
        name: String,
    },

    /// The operating system refused a thread.
    #[error("cannot start a thread for `{name}`: {source}")]
    Thread {
        /// What the thread was for.
        name: String,
        /// Why not.
        source: io::Error,
    },

    /// `App::run` was called inside a tokio runtime.
    #[error(
        "App::run starts a runtime of its own and cannot be called inside one; use App::serve(listener, shutdown) here"
    )]
    InsideRuntime,

    /// A flag, a variable or a call on [`App`](crate::App) was wrong.
    #[error("{0}")]
    Usage(Cow<'static, str>),

    /// The address is taken.
    #[error(
        "{address} is already in use; stop what listens there, or choose another port with --port or TASKPULSE_PORT (0 picks a free one)"
    )]
    AddressInUse {
        /// The address.
        address: SocketAddr,
    },

    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address, or the host that has none.
        address: String,
        /// Why not.
        source: io::Error,
    },

    /// Another process has the file that tasks are to be written to.
    #[error("{0}")]
    StoreInUse(String),

    /// A second signal came while the app was shutting down.
    #[error("stopped at once by a second signal; what was running is interrupted")]
    CutShort {
        /// The number of that signal.
        signal: u8,
    },

    /// The operating system refused something a server needs.
    #[error("cannot start: {0}")]
    Start(io::Error),
}

// === impl Error ===

impl Error {
    /// What the caller sent is at fault: 400.
    ///
    /// ```
    /// use axum::response::IntoResponse;
    /// use taskpulse::Error;
    ///
    /// assert_eq!(Error::invalid("`pages` is 0").into_response().status(), 400);
    /// ```
    #[must_use]
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid(message.into())
    }

    /// The work failed: 500.
    ///
    /// ```
    /// use axum::response::IntoResponse;
    /// use taskpulse::Error;
    ///
    /// let error = "x".parse::<u32>().map_err(Error::failed);
    /// assert!(error.is_err_and(|error| error.into_response().status() == 500));
    /// ```
    #[must_use]
    pub fn failed(error: impl fmt::Display) -> Self {
        Self::Failed(error.to_string().into())
    }

    pub(crate) fn usage(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Usage(message.into())
    }

    /// The exit code of a program that ends with this error: 2 for usage, as
    /// command lines have it, 128 and the signal's number after a second signal
    /// (130 for Ctrl-C, 143 for SIGTERM), 1 for all others.
    ///
    /// ```
    /// use std::process::ExitCode;
    ///
    /// fn start() -> ExitCode {
    ///     let app = taskpulse::App::new();
    /// #   let app = app.route("/ping", axum::routing::get(|| async {}));
    ///     match app.run() {
    ///         Ok(()) => ExitCode::SUCCESS,
    ///         Err(error) => {
    ///             eprintln!("{error}");
    ///             ExitCode::from(error.exit_code())
    ///         }
    ///     }
    /// }
    /// # assert_eq!(start(), ExitCode::from(2));
    /// ```
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::InsideRuntime => 2,
            Self::CutShort { signal } => signal.saturating_add(128),
            Self::Invalid(_)
            | Self::Capacity { .. }
            | Self::Draining
            | Self::Failed(_)
            | Self::NoRuntime { .. }
            | Self::Thread { .. }
            | Self::AddressInUse { .. }
            | Self::Listen { .. }
            | Self::StoreInUse(_)
            | Self::Start(_) => 1,
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
