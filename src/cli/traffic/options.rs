//! The flags of `traffic` and their variables.

use std::time::Duration;

use clap::ArgMatches;
use uuid::Uuid;

use crate::{
    Error,
    cli::{take_flags, url},
    config::{FIRST, Setting},
    telemetry::log::LogFormat,
};

/// What was asked for.
#[derive(Debug)]
pub(super) struct Options {
    /// Without a slash at the end.
    pub(super) url: String,
    pub(super) rate: f64,
    pub(super) seed: u64,
    pub(super) time: Option<Duration>,
    pub(super) log_format: Option<LogFormat>,
}

/// What was given.
#[derive(Debug, Default)]
pub(super) struct Given {
    url: Option<String>,
    rate: Option<f64>,
    seed: Option<u64>,
    time: Option<Duration>,
    log_format: Option<LogFormat>,
}

const RATE: f64 = 5.0;

/// What one connection to a service on the same machine can take, and more than
/// anybody reads a dashboard of.
const RATES: std::ops::RangeInclusive<f64> = 0.1..=1_000.0;

pub(super) const ROWS: [Setting<Given>; 5] = [
    Setting {
        flag: "url",
        variable: "TASKPULSE_TRAFFIC_URL",
        value: Some("URL"),
        default: url::DEFAULT,
        help: "Base URL of the service",
        heading: FIRST,
        read: |given, text| {
            given.url = Some(url::base(text).ok_or(url::ALLOWED)?);
            Ok(())
        },
    },
    Setting {
        flag: "rate",
        variable: "TASKPULSE_TRAFFIC_RATE",
        value: Some("RATE"),
        default: "5",
        help: "Requests a second on average; bursts and /ping come on top",
        heading: FIRST,
        read: |given, text| {
            let rate = text.parse().ok().filter(|rate| RATES.contains(rate));
            given.rate = Some(rate.ok_or("a number from 0.1 to 1000")?);
            Ok(())
        },
    },
    Setting {
        flag: "seed",
        variable: "TASKPULSE_TRAFFIC_SEED",
        value: Some("SEED"),
        default: "another one each time, which is printed",
        help: "The same seed and rate give the same requests at the same times",
        heading: FIRST,
        read: |given, text| {
            let seed = text.parse().map_err(|_| "an integer from 0")?;
            given.seed = Some(seed);
            Ok(())
        },
    },
    Setting {
        flag: "for",
        variable: "TASKPULSE_TRAFFIC_FOR",
        value: Some("TIME"),
        default: "until SIGTERM or Ctrl-C",
        help: "How long to send requests",
        heading: FIRST,
        read: |given, text| {
            let time = humantime::parse_duration(text).ok();
            let time = time.filter(|time| !time.is_zero());
            given.time = Some(time.ok_or("a time such as `30s`, `10m` or `1h`")?);
            Ok(())
        },
    },
    // As `serve` has it: the variable is the program's.
    Setting {
        flag: "log-format",
        variable: "TASKPULSE_LOG_FORMAT",
        value: Some("FORMAT"),
        default: "pretty on a terminal, else json",
        help: "How the log is printed: pretty or json; RUST_LOG says what of it",
        heading: FIRST,
        read: |given, text| {
            given.log_format = Some(text.parse()?);
            Ok(())
        },
    },
];

// === impl Options ===

impl Options {
    /// What the command line says, else the environment, else the default.
    pub(super) fn of(matches: &ArgMatches) -> Result<Self, Error> {
        let mut given = Given::default();
        for row in &ROWS {
            row.take_variable(&mut given)?;
        }
        take_flags(&ROWS, matches, &mut given)?;
        Ok(Self {
            url: given.url.map_or_else(default_url, Ok)?,
            rate: given.rate.unwrap_or(RATE),
            seed: given.seed.unwrap_or_else(any_seed),
            time: given.time,
            log_format: given.log_format,
        })
    }
}

fn default_url() -> Result<String, Error> {
    let url = url::default();
    url::base(&url).ok_or_else(|| {
        Error::usage(format!(
            "TASKPULSE_PORT makes the URL `{}`; it must be {}",
            url.escape_debug(),
            url::ALLOWED
        ))
    })
}

/// A seed that is short enough to be typed.
fn any_seed() -> u64 {
    Uuid::new_v4().as_u64_pair().0 % 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SETTINGS;

    #[test]
    fn the_log_is_asked_for_as_that_of_serve_is() {
        let same = |of: &Setting<Given>| {
            let serves = SETTINGS.iter().find(|row| row.flag == of.flag)?;
            let serves = (serves.variable, serves.value, serves.default, serves.help);
            Some(serves == (of.variable, of.value, of.default, of.help))
        };
        let also_serves: Vec<_> = ROWS.iter().filter_map(same).collect();
        assert_eq!(also_serves, [true]);
    }

    #[test]
    fn the_default_rate_is_told() {
        assert_eq!(ROWS[1].default, RATE.to_string());
        let allowed = format!("a number from {} to {}", RATES.start(), RATES.end());
        let told = (ROWS[1].read)(&mut Given::default(), "x");
        assert_eq!(told, Err(allowed));
    }
}
