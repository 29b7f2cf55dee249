//! Processes are killed, and what the next one says of their tasks: the promises of
//! `docs/store.md`.

mod clients;
mod dice;
mod files;
mod ledger;
mod lost;
mod program;
mod seen;
mod stall;

use std::{
    env,
    fmt::Debug,
    str::FromStr,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use self::{
    clients::Crowd,
    dice::Dice,
    ledger::{Ledger, Life},
    program::Site,
    stall::Stalls,
};
use crate::{
    alone,
    harness::Process,
    peer::{JAEGER, Jaeger, are_here},
};

/// After so many rounds, Jaeger, which keeps its spans in memory, starts anew.
const ROUNDS_OF_A_JAEGER: usize = 10;

/// What of the time before a kill matters.
const LAST: Duration = Duration::from_millis(500);

/// The rounds: a process, killed while clients are at work, and the next one.
#[derive(Debug)]
struct Rounds {
    site: Site,
    jaeger: Jaeger,
    dice: Dice,
    ledger: Ledger,
    stalls: Stalls,
}

fn number<T: FromStr<Err: Debug>>(variable: &str) -> Option<T> {
    let text = env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|error| panic!("{variable} is {text}: {error:?}")),
    )
}

/// `TASKPULSE_CRASH_ROUNDS` says how many, `TASKPULSE_CRASH_SEED` repeats what is random.
#[test]
fn killed_at_random_moments() {
    let _alone = alone();
    if !are_here(&[JAEGER]) {
        return;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = number("TASKPULSE_CRASH_SEED").unwrap_or(u64::from(now.subsec_nanos()));
    println!("TASKPULSE_CRASH_SEED={seed}");
    let jaeger = Jaeger::start();
    let mut rounds = Rounds {
        site: Site::new(Some(format!("http://{}", jaeger.otlp))),
        jaeger,
        dice: Dice::new(seed),
        ledger: Ledger::default(),
        stalls: Stalls::watch(),
    };
    let count = number("TASKPULSE_CRASH_ROUNDS").unwrap_or(5);
    for round in 1..=count {
        rounds.round(round % ROUNDS_OF_A_JAEGER == 0);
        println!("{round}: {:?}", rounds.ledger.figures);
    }
    rounds.recover();
}

// === impl Rounds ===

impl Rounds {
    /// A process that is asked about the ones before it, clients, a kill; and two times
    /// out of three some more that are killed soon after their start.
    fn round(&mut self, forget: bool) {
        let process = self.recover();
        if forget {
            self.jaeger.kill();
            self.jaeger.restart();
        }
        let after = Duration::from_millis(100 + self.dice.next() % 1_400);
        self.work(process, after);
        for _ in 0..self.dice.below(3) {
            self.brief();
        }
    }

    /// Starts one, and asks it.
    fn recover(&mut self) -> Process {
        let started = Instant::now();
        let process = self.site.start(&self.instance());
        self.ledger.check(&process, &self.jaeger);
        self.ledger.figures.recovered(started.elapsed());
        process
    }

    /// One that is killed before it is done with what the ones before it have left.
    fn brief(&mut self) {
        let instance = self.instance();
        let after = Duration::from_millis(self.dice.next() % 400);
        if self.dice.of_hundred(50) {
            let process = self.site.start(&instance);
            return self.work(process, after);
        }
        let log = self.site.start_doomed(&instance, after);
        let life = Life::ending(instance, Duration::ZERO);
        self.ledger.bury(life, &log, Vec::new());
    }

    /// Clients use it, and it is killed.
    fn work(&mut self, mut process: Process, after: Duration) {
        let crowd = Crowd::start(&process, self.ledger.life(), &mut self.dice);
        thread::sleep(after);
        let life = Life::ending(self.instance(), self.stalls.worst(LAST));
        process.kill();
        self.ledger.figures.busy += after;
        self.ledger.bury(life, &process.log(), crowd.gather());
    }

    fn instance(&self) -> String {
        format!("life-{}", self.ledger.life())
    }
}
