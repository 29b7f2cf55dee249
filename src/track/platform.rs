//! The platform's limits: it ends a session that has been idle, or has lived, for
//! so long.
//!
//! The watcher looks twenty times within the shorter of the two, so that a warning
//! comes between 90 % and 95 % of a limit, and beginning or ending a task costs
//! nothing.

use std::{sync::Arc, time::Duration};

use humantime::format_duration;
use tracing::warn;

use super::Tracker;
use crate::{
    PingStatus,
    telemetry::{emit_near_limit, quietly},
};

/// After how long the platform ends a session. Zero where it does not.
///
/// Source: AgentCore's defaults, which are its greatest ones as well: 900 s
/// (`idleRuntimeSessionTimeout`) and 28,800 s (`maxLifetime`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlatformLimits {
    /// Of a status that is `Healthy` all the while.
    pub(crate) idle: Duration,
    /// In any case.
    pub(crate) lifetime: Duration,
}

/// What has been warned of.
#[derive(Debug, Default)]
pub(super) struct Platform {
    /// The newest task that is near the end of a lifetime.
    task: u64,
    process: bool,
    /// When the status became what was warned of.
    idle: Option<u64>,
    /// When to look next.
    next: Duration,
}

/// Tasks that are warned of at a look at most: the others have their turn at the
/// next ones.
const MOST: usize = 100;

// === impl PlatformLimits ===

impl PlatformLimits {
    /// How often to look; nothing where there is no limit.
    fn interval(&self) -> Option<Duration> {
        let limits = [self.idle, self.lifetime];
        let shortest = limits.into_iter().filter(|limit| !limit.is_zero()).min();
        // A limit of less than 20 ms is somebody's joke.
        shortest.map(|limit| (limit / 20).max(Duration::from_millis(1)))
    }
}

impl Default for PlatformLimits {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(900),
            lifetime: Duration::from_secs(28_800),
        }
    }
}

// === impl Tracker ===

impl Tracker {
    /// Warns of these limits from now on. The first call counts.
    pub(crate) fn heed(self: &Arc<Self>, limits: PlatformLimits) {
        self.platform.get_or_init(|| limits);
        if limits.interval().is_some() {
            self.watch.start(self);
            self.watch.nudge();
        }
    }
}

// === impl Platform ===

impl Platform {
    /// Looks, if it is time; says when it is next.
    pub(super) fn look(&mut self, tracker: &Tracker) -> Option<Duration> {
        let limits = tracker.platform.get()?;
        let interval = limits.interval()?;
        let now = tracker.now();
        if now >= self.next {
            self.look_at_lifetime(tracker, limits.lifetime, now);
            self.look_at_idleness(tracker, limits.idle, now);
            self.next = now + interval;
        }
        Some(self.next)
    }

    fn look_at_lifetime(&mut self, tracker: &Tracker, limit: Duration, now: Duration) {
        if limit.is_zero() || now < near(limit) {
            return;
        }
        let active = tracker.registry().active();
        if active > 0 && !self.process {
            self.process = true;
            quietly(|| {
                warn!(
                    active_tasks = active,
                    "the process is {} old, and a session is ended at {}",
                    told(now),
                    told(limit)
                );
            });
        }
        for _ in 0..MOST {
            let Some(task) = tracker.registry().oldest_after(self.task) else {
                return;
            };
            let age = now.saturating_sub(task.begun.mono);
            if age < near(limit) {
                return;
            }
            self.task = task.id.into();
            let reporter = tracker.reporter().map(|reporter| &**reporter);
            emit_near_limit(&task, age, limit, reporter);
        }
    }

    /// While tasks are active, a status of `Healthy` is somebody's will. It may be a
    /// mistake.
    fn look_at_idleness(&mut self, tracker: &Tracker, limit: Duration, now: Duration) {
        let registry = tracker.registry();
        let served = registry.ping.served();
        if limit.is_zero() || served.status != PingStatus::Healthy {
            return;
        }
        let oldest = registry.kinds().filter_map(|kind| kind.oldest()).min();
        let Some(oldest) = oldest else { return };
        let healthy = registry.clock.wall();
        let healthy = healthy.saturating_sub(Duration::from_secs(served.since));
        let idle = healthy.min(now.saturating_sub(oldest));
        if idle < near(limit) || self.idle == Some(served.since) {
            return;
        }
        self.idle = Some(served.since);
        let active = registry.active();
        let whose = match registry.ping.forced() {
            Some(_) => "it is forced",
            None => "the ping handler says so",
        };
        quietly(|| {
            warn!(
                active_tasks = active,
                "/ping has said Healthy for {} although tasks are active ({whose}), and an idle session is ended at {}",
                told(idle),
                told(limit)
            );
        });
    }
}

/// Close enough to a limit to warn of it.
fn near(limit: Duration) -> Duration {
    limit / 10 * 9
}

/// In milliseconds, seconds above a minute.
pub(super) fn told(time: Duration) -> impl std::fmt::Display {
    let minute = Duration::from_secs(60);
    format_duration(match time < minute {
        true => Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        false => Duration::from_secs(time.as_secs()),
    })
}
