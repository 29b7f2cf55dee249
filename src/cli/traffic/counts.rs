//! What was done and what came of it.

use std::{
    array::from_fn,
    fmt::Write as _,
    ops::Index,
    sync::{Mutex, PoisonError},
};

use hyper::{
    HeaderMap, StatusCode,
    header::{CONNECTION, RETRY_AFTER},
};

use super::behaviours::{BEHAVIOURS, Behaviour, End};

/// What is counted. Each request is in one of `Ok` to `Unanswered` once it is
/// over, each task in one of `Succeeded` to `Panicked`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Sent, or tried to.
    Requests,
    /// Answered with 2xx.
    Ok,
    /// Answered with 4xx.
    ClientErrors,
    /// Answered with 503 and told to try again: as many tasks are active as may be.
    Rejected,
    /// The same, and the connection is closed: the service shuts down.
    Draining,
    /// Answered with anything else.
    ServerErrors,
    /// There was no connection: nothing was sent.
    Unreached,
    /// There was a connection and no answer. What was asked may have been done.
    Unanswered,
    /// Not sent, since too many were outstanding. No request.
    Skipped,
    /// Tasks that were begun to succeed.
    Succeeded,
    /// To fail.
    Failed,
    /// To panic, which ends in the state `failed`, too.
    Panicked,
    /// Streams that began.
    Streams,
    /// Of these: left on purpose.
    StreamsLeft,
    /// Of these: cut off by the other side.
    StreamsBroken,
    /// Of these: still open when sending ended, and cut off by that.
    StreamsCut,
}

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    of: [u64; What::COUNT],
    by_row: [u64; BEHAVIOURS.len()],
}

/// Counts that many add to.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

// === impl What ===

impl What {
    const COUNT: usize = Self::StreamsCut as usize + 1;

    /// What an answer is. Headers tell one 503 from another, and not the text,
    /// which a service of another version words differently.
    pub(super) fn of(status: StatusCode, headers: &HeaderMap) -> Self {
        if status.is_success() {
            Self::Ok
        } else if status.is_client_error() {
            Self::ClientErrors
        } else if status != StatusCode::SERVICE_UNAVAILABLE {
            Self::ServerErrors
        } else if !headers.contains_key(RETRY_AFTER) {
            // A proxy's, say.
            Self::ServerErrors
        } else if headers.get(CONNECTION).is_some_and(|end| end == "close") {
            Self::Draining
        } else {
            Self::Rejected
        }
    }
}

impl From<End> for What {
    fn from(end: End) -> Self {
        match end {
            End::Succeeded => Self::Succeeded,
            End::Failed => Self::Failed,
            End::Panicked => Self::Panicked,
        }
    }
}

// === impl Counts ===

impl Counts {
    /// Tasks whose begin was acknowledged.
    pub(super) fn begun(&self) -> u64 {
        self[What::Succeeded] + self[What::Failed] + self[What::Panicked]
    }

    /// What has come since.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            of: from_fn(|at| self.of[at].saturating_sub(before.of[at])),
            by_row: from_fn(|at| self.by_row[at].saturating_sub(before.by_row[at])),
        }
    }

    /// `name=requests` for each behaviour.
    pub(super) fn behaviours(&self) -> String {
        let mut text = String::new();
        for (row, count) in BEHAVIOURS.iter().zip(self.by_row) {
            let space = if text.is_empty() { "" } else { " " };
            write!(text, "{space}{}={count}", row.name).expect("a string takes all");
        }
        text
    }
}

impl Index<What> for Counts {
    type Output = u64;

    fn index(&self, what: What) -> &u64 {
        &self.of[what as usize]
    }
}

// === impl Tally ===

impl Tally {
    pub(super) fn add(&self, what: What) {
        self.with(|counts| counts.of[what as usize] += 1);
    }

    /// A request is about to be sent.
    pub(super) fn sends(&self, row: &Behaviour) {
        let place = BEHAVIOURS.iter().position(|other| other.name == row.name);
        self.with(|counts| {
            counts.of[What::Requests as usize] += 1;
            if let Some(place) = place {
                counts.by_row[place] += 1;
            }
        });
    }

    pub(super) fn now(&self) -> Counts {
        self.with(|counts| *counts)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn an_answer_is_one_thing() {
        let [again, close] = [(RETRY_AFTER, "1"), (CONNECTION, "close")];
        for (status, headers, what) in [
            (200, vec![], What::Ok),
            (204, vec![&close], What::Ok),
            (404, vec![], What::ClientErrors),
            (429, vec![&again, &close], What::ClientErrors),
            (503, vec![&again], What::Rejected),
            (503, vec![&again, &close], What::Draining),
            (503, vec![&close], What::ServerErrors),
            (503, vec![], What::ServerErrors),
            (500, vec![&again, &close], What::ServerErrors),
            (307, vec![], What::ServerErrors),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let headers = headers.into_iter().cloned();
            let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
            let headers = headers.collect();
            assert_eq!(What::of(status, &headers), what, "{status} {headers:?}");
        }
    }

    #[test]
    fn what_has_come_since_is_told() {
        let tally = Tally::default();
        tally.sends(&BEHAVIOURS[0]);
        let before = tally.now();
        tally.sends(&BEHAVIOURS[1]);
        for end in [End::Succeeded, End::Failed, End::Panicked] {
            tally.add(end.into());
        }
        let since = tally.now().since(&before);
        assert_eq!((since[What::Requests], since.begun()), (1, 3));
        assert!(since.behaviours().starts_with("ping=0 process=1 slow=0 "));
        assert_eq!(tally.now()[What::Requests], 2);
    }
}
