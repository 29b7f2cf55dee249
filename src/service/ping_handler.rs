//! A ping status that user code decides.

use std::{
    fmt::{self, Display},
    future::Future,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tracing::warn;

use crate::{
    PingStatus,
    telemetry::{RateLimit, quietly},
    track::{Tracker, asking},
};

/// How often the handler is asked.
const EVERY: Duration = Duration::from_secs(1);

/// How long it may think.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long its last good answer counts.
const STALE: Duration = Duration::from_secs(10);

/// What a handler said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This status.
    Status(PingStatus),
    /// Nothing: the tasks decide.
    Nothing,
    /// What is no status: the tasks decide.
    Nonsense(String),
    /// Why it could not say: its last good answer counts for a while.
    Failed(String),
}

/// Something that can be read as a ping status: the status, its name, an
/// `Option` or a `Result` of these.
///
/// ```
/// use taskpulse::{
///     PingStatus,
///     ping::{Answer, IntoPing},
/// };
///
/// assert_eq!("HealthyBusy".into_ping(), Answer::Status(PingStatus::HealthyBusy));
/// assert_eq!(None::<PingStatus>.into_ping(), Answer::Nothing);
/// assert!(matches!("Sick".into_ping(), Answer::Nonsense(_)));
/// ```
pub trait IntoPing: Send + 'static {
    /// What it says.
    fn into_ping(self) -> Answer;
}

/// A function that decides the ping status: `Fn() -> impl IntoPing`, `async` or
/// not. See [`App::ping`](crate::App::ping).
///
/// `Kind` tells the two apart and is inferred.
pub trait PingHandler<Kind>: Send + Sync + 'static {
    /// Asks for the status. Runs on the runtime of the user's code.
    fn ask(self: Arc<Self>) -> Asked;
}

/// A status that is being thought about.
pub type Asked = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// A handler, its type forgotten.
#[derive(Clone)]
pub(crate) struct Probe(Arc<dyn Fn() -> Asked + Send + Sync>);

/// The asking, from one tick to the next.
struct Asking {
    probe: Probe,
    work: Handle,
    /// A handler that has not answered yet.
    thinking: Option<JoinHandle<Answer>>,
}

// === impl IntoPing ===

impl IntoPing for PingStatus {
    fn into_ping(self) -> Answer {
        Answer::Status(self)
    }
}

impl IntoPing for &'static str {
    fn into_ping(self) -> Answer {
        Answer::read(self)
    }
}

impl IntoPing for String {
    fn into_ping(self) -> Answer {
        Answer::read(&self)
    }
}

impl<T: IntoPing> IntoPing for Option<T> {
    fn into_ping(self) -> Answer {
        self.map_or(Answer::Nothing, IntoPing::into_ping)
    }
}

impl<T: IntoPing, E: Display + Send + 'static> IntoPing for Result<T, E> {
    fn into_ping(self) -> Answer {
        match self {
            Ok(status) => status.into_ping(),
            Err(error) => Answer::Failed(error.to_string()),
        }
    }
}

// === impl Answer ===

impl Answer {
    fn read(text: &str) -> Self {
        text.parse().map_or_else(
            |()| {
                Self::Nonsense(format!(
                    "`{}` is no status; there are Healthy and HealthyBusy",
                    text.escape_debug()
                ))
            },
            Self::Status,
        )
    }
}

// === impl PingHandler ===

/// Marks a handler that gives its answer at once.
#[derive(Debug)]
pub enum AtOnce {}

/// Marks an `async` handler.
#[derive(Debug)]
pub enum Awaited {}

impl<F, T> PingHandler<(AtOnce, T)> for F
where
    F: Fn() -> T + Send + Sync + 'static,
    T: IntoPing,
{
    fn ask(self: Arc<Self>) -> Asked {
        Box::pin(async move { self().into_ping() })
    }
}

impl<F, A> PingHandler<(Awaited, A)> for F
where
    F: Fn() -> A + Send + Sync + 'static,
    A: Future<Output: IntoPing> + Send + 'static,
{
    fn ask(self: Arc<Self>) -> Asked {
        Box::pin(async move { self().await.into_ping() })
    }
}

// === impl Probe ===

impl Probe {
    pub(crate) fn new<Kind>(handler: impl PingHandler<Kind>) -> Self {
        let handler = Arc::new(handler);
        Self(Arc::new(move || Arc::clone(&handler).ask()))
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}

// === impl Asking ===

impl Asking {
    /// One answer. A handler that still blocks is not asked a second time.
    async fn answer(&mut self) -> Answer {
        let probe = self.probe.clone();
        let ask = || self.work.spawn(asking(async move { (probe.0)().await }));
        let mut thinking = self
            .thinking
            .take()
            .filter(|asked| !asked.is_finished())
            .unwrap_or_else(ask);
        match timeout(PATIENCE, &mut thinking).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if error.is_panic() => Answer::Failed("it panicked".to_owned()),
            Ok(Err(_)) | Err(_) => {
                thinking.abort();
                self.thinking = Some(thinking);
                Answer::Failed(format!("no answer within {} s", PATIENCE.as_secs()))
            }
        }
    }
}

/// Asks the handler again and again, for ever.
///
/// It thinks on `work`; the waiting is done here, so that an answer that does
/// not come is noticed even while every worker there is blocked.
pub(crate) async fn keep_asking(probe: Probe, tracker: Arc<Tracker>, work: Handle) {
    let mut asking = Asking {
        probe,
        work,
        thinking: None,
    };
    let registry = tracker.registry();
    let says = |status| registry.ping.customise(&registry.clock, status);
    let warned = RateLimit::default();
    let mut good: Option<Instant> = None;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let error = match asking.answer().await {
            Answer::Status(status) => {
                good = Some(Instant::now());
                says(Some(status));
                continue;
            }
            Answer::Nothing => {
                says(None);
                continue;
            }
            Answer::Nonsense(error) => {
                says(None);
                error
            }
            Answer::Failed(error) => {
                if good.is_none_or(|at| at.elapsed() >= STALE) {
                    says(None);
                }
                error
            }
        };
        // Ten times rarer than the handler is asked.
        if let Some(unsaid) = warned.speak(tracker.now() / 10) {
            quietly(|| {
                warn!(
                    error,
                    unsaid_warnings = unsaid,
                    "the ping handler gave no status"
                )
            });
        }
    }
}
