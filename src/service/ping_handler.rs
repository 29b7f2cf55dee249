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
    track::Tracker,
};

/// How often the handler is asked.
const EVERY: Duration = Duration::from_secs(1);

/// How long it may think.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long its last good answer counts.
const STALE: Duration = Duration::from_secs(10);

/// Something that can be read as a ping status, or as none.
///
/// Texts are `Healthy` and `HealthyBusy`; whatever else is nonsense, and then
/// the tasks decide, as they do after `None` and after an error.
pub trait IntoPing: Send + 'static {
    /// The status; an error says why there is none.
    ///
    /// # Errors
    ///
    /// If the handler failed or gave back what is no status.
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

/// A status, none, or why there is none.
pub type Answer = Result<Option<PingStatus>, String>;

/// A handler, its type forgotten.
#[derive(Clone)]
pub(crate) struct Probe(Arc<dyn Fn() -> Asked + Send + Sync>);

// === impl IntoPing ===

impl IntoPing for PingStatus {
    fn into_ping(self) -> Answer {
        Ok(Some(self))
    }
}

impl IntoPing for &'static str {
    fn into_ping(self) -> Answer {
        read(self)
    }
}

impl IntoPing for String {
    fn into_ping(self) -> Answer {
        read(&self)
    }
}

impl<T: IntoPing> IntoPing for Option<T> {
    fn into_ping(self) -> Answer {
        self.map_or(Ok(None), IntoPing::into_ping)
    }
}

impl<T: IntoPing, E: Display + Send + 'static> IntoPing for Result<T, E> {
    fn into_ping(self) -> Answer {
        self.map_err(|error| error.to_string())?.into_ping()
    }
}

fn read(text: &str) -> Answer {
    text.parse().map(Some).map_err(|()| {
        format!(
            "`{}` is no status; there are Healthy and HealthyBusy",
            text.escape_debug()
        )
    })
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

/// Asks the handler again and again, for ever.
///
/// It thinks on `work`; the waiting is done here, so that an answer that does
/// not come is noticed even while every worker there is blocked. A handler that
/// still blocks is not asked a second time.
pub(crate) async fn keep_asking(probe: Probe, tracker: Arc<Tracker>, work: Handle) {
    let started = Instant::now();
    let warned = RateLimit::default();
    let mut good: Option<Instant> = None;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut thinking: Option<JoinHandle<Answer>> = None;
    loop {
        ticks.tick().await;
        let probe = probe.clone();
        let asked = thinking.get_or_insert_with(|| work.spawn(async move { (probe.0)().await }));
        let answer = match timeout(PATIENCE, &mut *asked).await {
            Err(_late) => {
                asked.abort();
                if asked.is_finished() {
                    thinking = None;
                }
                Err(format!("no answer within {} s", PATIENCE.as_secs()))
            }
            Ok(answer) => {
                thinking = None;
                answer.unwrap_or_else(|_panic| Err("it panicked".to_owned()))
            }
        };
        let ping = &tracker.registry().ping;
        let clock = &tracker.registry().clock;
        match answer {
            Ok(status) => {
                good = status.map(|_| Instant::now());
                ping.customise(clock, status);
            }
            Err(error) => {
                if good.is_none_or(|at| at.elapsed() >= STALE) {
                    ping.customise(clock, None);
                }
                if let Some(unsaid) = warned.speak(started.elapsed() / 10) {
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
    }
}
