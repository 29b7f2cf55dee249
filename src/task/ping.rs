//! The ping status: what is busy, who overrides it, and since when.
//!
//! Everything lives in one atomic word, so that a reader takes no lock and
//! never sees a status with another one's timestamp:
//!
//! | bits | what |
//! |---|---|
//! | 34 | when the served status last changed, in Unix seconds (until the year 2514) |
//! | 2 | forced status: none, Healthy, HealthyBusy |
//! | 2 | custom status: likewise |
//! | 26 | how many active tasks and, if asked for, invocations keep it busy |

use std::{fmt, str::FromStr};

use super::{
    Clock,
    sync::{AtomicU64, Ordering},
};

/// What `/ping` answers.
///
/// There is no third value in the contract: a process that cannot answer is
/// found unhealthy by not answering.
///
/// Source: AgentCore Runtime HTTP contract, `GET /ping`.
///
/// ```
/// use taskpulse::PingStatus;
///
/// assert_eq!(PingStatus::HealthyBusy.to_string(), "HealthyBusy");
/// assert_eq!("Healthy".parse(), Ok(PingStatus::Healthy));
/// assert!("Sick".parse::<PingStatus>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PingStatus {
    /// Ready for new work.
    Healthy,
    /// Working on background tasks; the platform keeps the session alive.
    HealthyBusy,
}

/// The status that is served, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    pub(crate) status: PingStatus,
    /// Unix seconds of the last change of `status`. Never goes back.
    pub(crate) since: u64,
}

/// The sources of the status, and what they come to: forced wins over custom,
/// custom over automatic.
#[derive(Debug)]
pub(crate) struct Ping {
    word: AtomicU64,
    /// How often each status was entered.
    entered: [AtomicU64; 2],
}

#[derive(Clone, Copy)]
struct Word(u64);

// === impl PingStatus ===

impl PingStatus {
    /// The status as the contract spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::HealthyBusy => "HealthyBusy",
        }
    }
}

impl fmt::Display for PingStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for PingStatus {
    type Err = ();

    /// Reads the contract's spelling, to the letter.
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "Healthy" => Ok(Self::Healthy),
            "HealthyBusy" => Ok(Self::HealthyBusy),
            _ => Err(()),
        }
    }
}

// === impl Ping ===

impl Ping {
    /// How many holders the word can count.
    pub(super) const MOST_HOLDERS: usize = Word::HOLDERS as usize;

    /// Healthy since now.
    pub(super) fn new(clock: &Clock) -> Self {
        Self {
            word: AtomicU64::new(Word(0).since(clock.wall().as_secs()).0),
            entered: [AtomicU64::new(0), AtomicU64::new(0)],
        }
    }

    /// What to answer now.
    pub(crate) fn served(&self) -> Served {
        let word = self.word();
        Served {
            status: word.status(),
            since: word.stamp(),
        }
    }

    /// What holds whatever a custom handler says.
    pub(crate) fn without_custom(&self) -> PingStatus {
        self.word().with(Word::CUSTOM_AT, None).status()
    }

    /// What is forced.
    pub(crate) fn forced(&self) -> Option<PingStatus> {
        self.word().get(Word::FORCED_AT)
    }

    /// How often the served status became this one. The first status, and a
    /// change that leads to the same one, count for nothing.
    pub(crate) fn entered(&self, status: PingStatus) -> u64 {
        self.entered[status as usize].load(Ordering::Relaxed)
    }

    /// Something that keeps the status busy has come.
    pub(crate) fn enter(&self, clock: &Clock) {
        self.change(clock, |word| Word(word.0 + 1));
    }

    /// Something that kept the status busy has gone.
    pub(crate) fn leave(&self, clock: &Clock) {
        self.change(clock, |word| Word(word.0 - 1));
    }

    /// Forces a status, or ends that.
    pub(crate) fn force(&self, clock: &Clock, status: Option<PingStatus>) {
        self.change(clock, |word| word.with(Word::FORCED_AT, status));
    }

    /// What a custom handler says, or that it says nothing.
    pub(crate) fn customise(&self, clock: &Clock, status: Option<PingStatus>) {
        self.change(clock, |word| word.with(Word::CUSTOM_AT, status));
    }

    /// Takes one change over. The stamp moves in the same step as the status
    /// and only with it, and is counted just after.
    fn change(&self, clock: &Clock, to: impl Fn(Word) -> Word) {
        let mut old = self.word();
        loop {
            let mut new = to(old);
            let entered = new.status();
            let changes = entered != old.status();
            if changes {
                new = new.since(clock.wall().as_secs().max(old.stamp()));
            }
            match self.exchange(old, new) {
                Ok(_) if changes => {
                    self.entered[entered as usize].fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Ok(_) => return,
                Err(seen) => old = Word(seen),
            }
        }
    }

    fn exchange(&self, old: Word, new: Word) -> Result<u64, u64> {
        self.word
            .compare_exchange_weak(old.0, new.0, Ordering::AcqRel, Ordering::Acquire)
    }

    fn word(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }
}

// === impl Word ===

impl Word {
    const HOLDERS: u64 = (1 << 26) - 1;
    const CUSTOM_AT: u32 = 26;
    const FORCED_AT: u32 = 28;
    const STAMP_AT: u32 = 30;

    fn status(self) -> PingStatus {
        self.get(Self::FORCED_AT)
            .or_else(|| self.get(Self::CUSTOM_AT))
            .unwrap_or(if self.0 & Self::HOLDERS == 0 {
                PingStatus::Healthy
            } else {
                PingStatus::HealthyBusy
            })
    }

    const fn stamp(self) -> u64 {
        self.0 >> Self::STAMP_AT
    }

    fn since(self, seconds: u64) -> Self {
        let below = self.0 & ((1 << Self::STAMP_AT) - 1);
        Self(below | seconds.min(u64::MAX >> Self::STAMP_AT) << Self::STAMP_AT)
    }

    const fn get(self, at: u32) -> Option<PingStatus> {
        match self.0 >> at & 0b11 {
            1 => Some(PingStatus::Healthy),
            2 => Some(PingStatus::HealthyBusy),
            _ => None,
        }
    }

    const fn with(self, at: u32, status: Option<PingStatus>) -> Self {
        let bits = match status {
            None => 0,
            Some(PingStatus::Healthy) => 1,
            Some(PingStatus::HealthyBusy) => 2,
        };
        Self(self.0 & !(0b11 << at) | bits << at)
    }
}
