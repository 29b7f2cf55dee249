//! Work to track: what it is done to, how long it takes and how it ends, as the
//! request asks.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

/// A day, in seconds: the longest that a demonstration may take.
const LONGEST: f64 = 86_400.0;

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Work {
    #[serde(default, deserialize_with = "seconds")]
    pub seconds: Option<f64>,
    #[serde(default, deserialize_with = "outcome")]
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, Default)]
enum Outcome {
    #[default]
    Succeeded,
    Failed,
    Panicked,
}

impl Work {
    /// Waits, for `usual` seconds unless asked otherwise, and ends as asked.
    pub async fn run(self, usual: f64) -> Result<(), String> {
        let seconds = self.seconds.unwrap_or(usual);
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        match self.outcome {
            Outcome::Succeeded => Ok(()),
            Outcome::Failed => Err("failed, as the request asked for".to_owned()),
            Outcome::Panicked => panic!("panicked, as the request asked for"),
        }
    }
}

/// The action of a request that names none.
pub(super) fn info() -> String {
    "info".to_owned()
}

/// What is processed unless the request names it.
pub(crate) fn default_data() -> String {
    "default_data".to_owned()
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let given = Value::deserialize(deserializer)?;
    let seconds = given
        .as_f64()
        .filter(|seconds| (0.0..=LONGEST).contains(seconds));
    let wrong = || {
        D::Error::custom(format!(
            "seconds is {given}; it must be a number from 0 to {LONGEST}"
        ))
    };
    seconds.map(Some).ok_or_else(wrong)
}

fn outcome<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Outcome, D::Error> {
    let given = Value::deserialize(deserializer)?;
    match given.as_str() {
        Some("succeeded") => Ok(Outcome::Succeeded),
        Some("failed") => Ok(Outcome::Failed),
        Some("panicked") => Ok(Outcome::Panicked),
        _ => Err(D::Error::custom(format!(
            "outcome is {given}; it must be \"succeeded\", \"failed\" or \"panicked\""
        ))),
    }
}
