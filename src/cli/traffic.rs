//! `taskpulse traffic`: callers for a running service, so that dashboards have
//! something to show.
//!
//! [`behaviours`] says what callers do, [`plan`] when, [`caller`] does it, and
//! [`counts`] keeps what came of it. No answer changes what comes next, but for
//! one: while the service is away, nothing is sent.

mod behaviours;
mod caller;
mod counts;
mod dice;
mod options;
mod plan;

use std::{
    future::pending,
    io::{self, IsTerminal as _},
    sync::Arc,
    time::Duration,
};

use clap::{ArgMatches, Command};
use tokio::{
    runtime::Builder,
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout},
};
use tracing::{info, warn};

use self::{
    caller::Caller,
    counts::{Counts, Tally, What},
    options::{Options, ROWS},
    plan::{DAY, Plan, Planned},
};
use super::argument;
use crate::{
    Error,
    app::signals::Signals,
    telemetry::log::{self, LogFormat, LogGuard},
};

/// Requests that are on their way, and what is to be sent.
#[derive(Debug)]
struct Traffic {
    caller: Arc<Caller>,
    tally: Arc<Tally>,
    room: Arc<Semaphore>,
    calls: JoinSet<()>,
    started: Instant,
    until: Option<Instant>,
    /// How long the service has been away, by which all is later.
    away: Duration,
}

/// Requests outstanding at a time. Those beyond are not sent: a service that is
/// slow gets no more for it.
const OUTSTANDING: usize = 256;

/// For outstanding answers at the end.
const GOODBYE: Duration = Duration::from_secs(2);

/// How often it is printed what was done.
const MINUTE: Duration = Duration::from_secs(60);

/// Between two looks whether the service is there: the first, and the longest.
const LOOKS: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(5)];

pub(super) fn command() -> Command {
    Command::new("traffic")
        .about("Send requests to a running service, as its callers would, until told to stop")
        .args(ROWS.iter().map(argument))
        .after_help(format!(
            "Tasks that succeed, fail and panic, streams, some of them late and some left, bad \
             requests, a burst every two minutes (12 s' worth at once, at most 200), a task that \
             hangs for 200 s once a day, and /ping every two seconds. A day takes {} minutes: the \
             rate rises to twice its average at noon, after a quarter of them, and falls to nothing \
             at midnight.\n\n\
             Prints what was done once a minute and in total at the end. Waits for a service that \
             is not there. Ends with exit code 0.",
            DAY.as_secs() / 60
        ))
}

pub(super) fn run(matches: &ArgMatches) -> Result<(), Error> {
    let options = Options::of(matches)?;
    let usual = match io::stdout().is_terminal() {
        true => LogFormat::Pretty,
        false => LogFormat::Json,
    };
    // Its drop prints what is queued.
    let log = log::start_alone(options.log_format.unwrap_or(usual));
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Start)?;
    runtime.block_on(async {
        let signals = Signals::listen().map_err(Error::Start)?;
        info!(
            url = options.url,
            rate = options.rate,
            seed = options.seed,
            "traffic begins"
        );
        if let Some(warning) = log.as_ref().and_then(LogGuard::warning) {
            warn!("{warning}");
        }
        Traffic::new(&options).run(&options, signals).await;
        Ok(())
    })
}

/// Prints what was done, each minute.
async fn tell(tally: &Tally) {
    let mut minutes = interval_at(Instant::now() + MINUTE, MINUTE);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = Counts::default();
    loop {
        minutes.tick().await;
        let now = tally.now();
        print("traffic of a minute", MINUTE, &now.since(&before));
        before = now;
    }
}

fn print(message: &str, time: Duration, counts: &Counts) {
    info!(
        seconds = time.as_secs(),
        requests = counts[What::Requests],
        ok = counts[What::Ok],
        client_errors = counts[What::ClientErrors],
        server_errors = counts[What::ServerErrors],
        rejected = counts[What::Rejected],
        draining = counts[What::Draining],
        unreached = counts[What::Unreached],
        unanswered = counts[What::Unanswered],
        skipped = counts[What::Skipped],
        begun = counts.begun(),
        succeeded = counts[What::Succeeded],
        failed = counts[What::Failed],
        panicked = counts[What::Panicked],
        streams = counts[What::Streams],
        streams_left = counts[What::StreamsLeft],
        streams_broken = counts[What::StreamsBroken],
        streams_cut = counts[What::StreamsCut],
        behaviours = counts.behaviours(),
        "{message}"
    );
}

// === impl Traffic ===

impl Traffic {
    fn new(options: &Options) -> Self {
        let tally: Arc<Tally> = Arc::default();
        let started = Instant::now();
        Self {
            caller: Arc::new(Caller::new(options.url.clone(), Arc::clone(&tally))),
            tally,
            room: Arc::new(Semaphore::new(OUTSTANDING)),
            calls: JoinSet::new(),
            started,
            // A time that no clock reaches has no end.
            until: options.time.and_then(|time| started.checked_add(time)),
            away: Duration::ZERO,
        }
    }

    /// Sends until it is told to stop or the time is over, and says what it did.
    async fn run(mut self, options: &Options, mut signals: Signals) {
        let tally = Arc::clone(&self.tally);
        tokio::select! {
            () = self.send(Plan::new(options.seed, options.rate)) => {}
            () = tell(&tally) => {}
            _signal = signals.next() => {}
        }
        tokio::select! {
            _ended = timeout(GOODBYE, async { while self.calls.join_next().await.is_some() {} }) => {}
            _signal = signals.next() => {}
        }
        // What is still outstanding is counted as such when it is dropped.
        self.calls.shutdown().await;
        print("traffic in total", self.started.elapsed(), &tally.now());
    }

    async fn send(&mut self, plan: Plan) {
        self.wait_for_service(false).await;
        for planned in plan {
            let due = self.started + self.away + planned.at;
            if self.until.is_some_and(|until| until <= due) {
                break;
            }
            sleep_until(due).await;
            if self.caller.doubts() {
                self.wait_for_service(true).await;
            }
            self.begin(planned);
        }
        end(self.until).await;
    }

    fn begin(&mut self, planned: Planned) {
        // Those that are over make room in the set as well.
        while self.calls.try_join_next().is_some() {}
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            return self.tally.add(What::Skipped);
        };
        let caller = Arc::clone(&self.caller);
        self.calls.spawn(async move {
            caller.call(&planned).await;
            drop(room);
        });
    }

    /// Waits until the service answers, or the time is over. `was_there` decides
    /// whether its absence is worth a warning.
    async fn wait_for_service(&mut self, was_there: bool) {
        let asked = Instant::now();
        let until = self.until;
        let was_away = tokio::select! {
            was_away = self.look(was_there) => was_away,
            () = end(until) => true,
        };
        if was_away {
            self.away += asked.elapsed();
        }
    }

    /// Looks for the service until it answers; whether it was away.
    async fn look(&self, was_there: bool) -> bool {
        let asked = Instant::now();
        let Err(why) = self.caller.ping().await else {
            return false;
        };
        match was_there {
            true => warn!(why, "the service is away"),
            false => info!(why, "the service is not there yet"),
        }
        let [mut pause, longest] = LOOKS;
        loop {
            sleep(pause).await;
            if self.caller.ping().await.is_ok() {
                let away = asked.elapsed();
                info!(away_seconds = away.as_secs_f64(), "the service is there");
                return true;
            }
            pause = longest.min(pause * 2);
        }
    }
}

/// Ready when the time is over.
async fn end(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests;
