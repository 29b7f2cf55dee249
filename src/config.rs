//! Flags and variables: one row each, from which the command line, its help,
//! the environment and the README's table come.

mod platform;
mod store;
pub(crate) mod values;

use std::{env, time::Duration};

use bytesize::ByteSize;

pub(crate) use self::store::StoreSettings;
use self::values::{checkpoint, default_host, link, on_or_off, set, some_text, some_time};
use crate::{
    Error,
    service::ServiceConfig,
    telemetry::{Config, log::LogFormat},
    track::{DEFAULT_REDACTED, Redaction},
};

/// What an operator has set. What is `None` is left to the program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) admin_addr: Option<String>,
    pub(crate) body_limit: Option<usize>,
    pub(crate) history: Option<usize>,
    pub(crate) store: StoreSettings,
    pub(crate) drain: Option<Duration>,
    pub(crate) max_active: Option<usize>,
    pub(crate) max_age: Option<Duration>,
    /// Zero where there are to be none.
    pub(crate) checkpoints: Option<Duration>,
    pub(crate) platform: platform::Limits,
    pub(crate) busy_while_invoking: Option<bool>,
    pub(crate) debug_actions: Option<bool>,
    pub(crate) log_format: Option<LogFormat>,
    pub(crate) redaction: Option<Redaction>,
    pub(crate) baggage_keys: Option<Vec<String>>,
    pub(crate) sample_tasks_always: Option<bool>,
    pub(crate) flush_on_idle: Option<bool>,
    pub(crate) jaeger_url: Option<String>,
    pub(crate) grafana_url: Option<String>,
}

/// A flag and its variable. `S` is what its value becomes a part of.
#[derive(Debug)]
#[cfg_attr(
    not(any(feature = "cli", test)),
    expect(dead_code, reason = "the command line and its help read the rest")
)]
pub(crate) struct Setting<S = Settings> {
    /// Without the dashes.
    pub(crate) flag: &'static str,
    pub(crate) variable: &'static str,
    /// What the value is called in the help; nothing for a switch.
    pub(crate) value: Option<&'static str>,
    pub(crate) default: &'static str,
    pub(crate) help: &'static str,
    pub(crate) heading: &'static str,
    /// Takes the value over, or says what is allowed.
    pub(crate) read: fn(&mut S, &str) -> Result<(), String>,
}

/// The heading of the flags that matter first.
pub(crate) const FIRST: &str = "Options";
const SERVING: &str = "Serving";
const TRACKING: &str = "Tasks and status";
const TELLING: &str = "Telemetry";

/// Every flag, the four that matter first.
pub(crate) const SETTINGS: [Setting; 22] = [
    Setting {
        flag: "port",
        variable: "TASKPULSE_PORT",
        value: Some("PORT"),
        default: "8080",
        help: "Port to listen on; 0 picks a free one and prints it",
        heading: FIRST,
        read: |settings, text| {
            settings.port = Some(text.parse().map_err(|_| "an integer from 0 to 65535")?);
            Ok(())
        },
    },
    Setting {
        flag: "host",
        variable: "TASKPULSE_HOST",
        value: Some("HOST"),
        default: "127.0.0.1, in a container 0.0.0.0",
        help: "Address or name to listen on",
        heading: FIRST,
        read: |settings, text| {
            settings.host = Some(some_text(text)?);
            Ok(())
        },
    },
    Setting {
        flag: "max-active",
        variable: "TASKPULSE_MAX_ACTIVE",
        value: Some("TASKS"),
        default: "no limit",
        help: "Active tasks at a time; a request that would begin one more gets a 503",
        heading: FIRST,
        read: |settings, text| {
            let tasks = text.parse().ok().filter(|tasks| *tasks > 0);
            settings.max_active = Some(tasks.ok_or("an integer from 1")?);
            Ok(())
        },
    },
    Setting {
        flag: "drain",
        variable: "TASKPULSE_DRAIN",
        value: Some("TIME"),
        default: "10s",
        help: "How long requests and tasks may take to end after SIGTERM or Ctrl-C",
        heading: FIRST,
        read: |settings, text| {
            let drain = humantime::parse_duration(text).ok();
            settings.drain = Some(drain.ok_or("a time such as `10s`, `500ms` or `2m`")?);
            Ok(())
        },
    },
    Setting {
        flag: "admin-addr",
        variable: "TASKPULSE_ADMIN_ADDR",
        value: Some("HOST:PORT"),
        default: "shares the port",
        help: "Serve /ready, /metrics and the tasks API on an address of their own",
        heading: SERVING,
        read: |settings, text| {
            let parts = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            let port = parts.map(|(_, port)| port.parse::<u16>());
            if !matches!(port, Some(Ok(_))) {
                return Err("an address and a port, such as `127.0.0.1:9090`".to_owned());
            }
            settings.admin_addr = Some(text.to_owned());
            Ok(())
        },
    },
    Setting {
        flag: "body-limit",
        variable: "TASKPULSE_BODY_LIMIT",
        value: Some("SIZE"),
        default: "100MB",
        help: "Bytes of a request's body at most; 100MB is 100,000,000, 1MiB is 1,048,576",
        heading: SERVING,
        read: |settings, text| {
            let size = text.parse::<ByteSize>().ok();
            let bytes = size.and_then(|size| usize::try_from(size.as_u64()).ok());
            settings.body_limit = Some(bytes.ok_or("a size such as `100MB` or `64MiB`")?);
            Ok(())
        },
    },
    Setting {
        flag: "busy-while-invoking",
        variable: "TASKPULSE_BUSY_WHILE_INVOKING",
        value: None,
        default: "off",
        help: "An invocation in flight makes /ping say HealthyBusy, too",
        heading: TRACKING,
        read: |settings, text| {
            settings.busy_while_invoking = Some(on_or_off(text)?);
            Ok(())
        },
    },
    Setting {
        flag: "max-age",
        variable: "TASKPULSE_MAX_AGE",
        value: Some("TIME"),
        default: "no limit",
        help: "Age at which a task that has none of its own is ended as timed_out",
        heading: TRACKING,
        read: |settings, text| {
            settings.max_age = Some(some_time(text, "`8h`, `30m` or `90s`")?);
            Ok(())
        },
    },
    platform::IDLE,
    platform::LIFETIME,
    Setting {
        flag: "history",
        variable: "TASKPULSE_HISTORY",
        value: Some("TASKS"),
        default: "1000",
        help: "Ended tasks that are remembered",
        heading: TRACKING,
        read: |settings, text| {
            settings.history = Some(text.parse().map_err(|_| "an integer from 0")?);
            Ok(())
        },
    },
    store::STORE,
    store::HISTORY_AGE,
    Setting {
        flag: "debug-actions",
        variable: "TASKPULSE_DEBUG_ACTIONS",
        value: None,
        default: "off",
        help: "Obey `_agent_core_app_action` in the body of an invocation",
        heading: TRACKING,
        read: |settings, text| {
            settings.debug_actions = Some(on_or_off(text)?);
            Ok(())
        },
    },
    Setting {
        flag: "log-format",
        variable: "TASKPULSE_LOG_FORMAT",
        value: Some("FORMAT"),
        default: "pretty on a terminal, else json",
        help: "How the log is printed: pretty or json; RUST_LOG says what of it",
        heading: TELLING,
        read: |settings, text| {
            settings.log_format = Some(text.parse()?);
            Ok(())
        },
    },
    Setting {
        flag: "redact-keys",
        variable: "TASKPULSE_REDACT_KEYS",
        value: Some("WORDS"),
        default: "password, passwd, secret, token, authorization, cookie, credential, apikey, api key, private key",
        help: "Metadata under a key with one of these words (comma-separated) is redacted; they take the place of the default ones, `default` among them adds to those",
        heading: TELLING,
        read: |settings, text| {
            let words = text
                .split(',')
                .map(str::trim)
                .filter(|word| !word.is_empty());
            let words = words.flat_map(|word| match word {
                "default" => DEFAULT_REDACTED.to_vec(),
                _ => vec![word],
            });
            settings.redaction = Some(Redaction::of(words));
            Ok(())
        },
    },
    Setting {
        flag: "baggage-keys",
        variable: "TASKPULSE_BAGGAGE_KEYS",
        value: Some("KEYS"),
        default: "none",
        help: "Entries of a request's `baggage` (comma-separated keys) that become attributes of spans and fields of the log",
        heading: TELLING,
        read: |settings, text| {
            let keys = text.split(',').map(str::trim);
            let keys = keys.filter(|key| !key.is_empty()).map(str::to_owned);
            settings.baggage_keys = Some(keys.collect());
            Ok(())
        },
    },
    Setting {
        flag: "sample-tasks",
        variable: "TASKPULSE_SAMPLE_TASKS",
        value: Some("WHEN"),
        default: "parent",
        help: "Spans of tasks are kept when their request's is (parent), or always",
        heading: TELLING,
        read: |settings, text| {
            settings.sample_tasks_always = Some(match text {
                "parent" => false,
                "always" => true,
                _ => return Err("`parent` or `always`".to_owned()),
            });
            Ok(())
        },
    },
    Setting {
        flag: "flush-on-idle",
        variable: "TASKPULSE_FLUSH_ON_IDLE",
        value: Some("on|off"),
        default: "on",
        help: "Send queued spans, metrics and logs as soon as nothing is active, once a second at most",
        heading: TELLING,
        read: |settings, text| {
            settings.flush_on_idle = Some(on_or_off(text)?);
            Ok(())
        },
    },
    Setting {
        flag: "checkpoints",
        variable: "TASKPULSE_CHECKPOINTS",
        value: Some("TIME|off"),
        default: "5s",
        help: "Age at which a running task is first exported; again at twice that age and so on, every 30 minutes at least",
        heading: TELLING,
        read: |settings, text| {
            settings.checkpoints = Some(checkpoint(text)?);
            Ok(())
        },
    },
    Setting {
        flag: "jaeger-url",
        variable: "TASKPULSE_JAEGER_URL",
        value: Some("URL"),
        default: "none",
        help: "Where a browser finds Jaeger; the log names it at the start",
        heading: TELLING,
        read: |settings, text| {
            settings.jaeger_url = Some(link(text)?);
            Ok(())
        },
    },
    Setting {
        flag: "grafana-url",
        variable: "TASKPULSE_GRAFANA_URL",
        value: Some("URL"),
        default: "none",
        help: "Where a browser finds Grafana; the log names it at the start",
        heading: TELLING,
        read: |settings, text| {
            settings.grafana_url = Some(link(text)?);
            Ok(())
        },
    },
];

// === impl Settings ===

impl Settings {
    /// What the environment says.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`], naming the variable, its value and what is allowed.
    pub(crate) fn from_env() -> Result<Self, Error> {
        let mut settings = Self::default();
        for setting in &SETTINGS {
            setting.take_variable(&mut settings)?;
        }
        Ok(settings)
    }

    /// Where to listen.
    pub(crate) fn host(&self) -> &str {
        self.host.as_deref().unwrap_or_else(|| default_host())
    }

    /// The port to listen on.
    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap_or(8080)
    }

    /// Changes what the program has configured where the operator says so.
    pub(crate) fn apply(&self, config: &mut ServiceConfig) {
        set(&mut config.body_limit, self.body_limit);
        set(&mut config.drain, self.drain);
        set(&mut config.busy_while_invoking, self.busy_while_invoking);
        set(&mut config.debug_actions, self.debug_actions);
    }

    /// What the standard variables say of telemetry, and ours besides.
    pub(crate) fn telemetry(&self, mut config: Config) -> Config {
        if let Some(keys) = &self.baggage_keys {
            config = config.baggage_keys(keys.clone());
        }
        if let Some(always) = self.sample_tasks_always {
            config = config.sample_tasks_always(always);
        }
        if let Some(flush) = self.flush_on_idle {
            config = config.flush_on_idle(flush);
        }
        config
    }
}

// === impl Setting ===

impl<S> Setting<S> {
    /// Takes over what the environment says.
    pub(crate) fn take_variable(&self, settings: &mut S) -> Result<(), Error> {
        match env::var(self.variable) {
            // Compose files hand over variables that are not set as empty.
            Ok(value) if value.is_empty() => Ok(()),
            Ok(value) => self.take(settings, self.variable, &value),
            Err(env::VarError::NotPresent) => Ok(()),
            Err(env::VarError::NotUnicode(_)) => {
                Err(Error::usage(format!("{} is not UTF-8", self.variable)))
            }
        }
    }

    /// Takes a value over. `source` is the flag or the variable it came from.
    pub(crate) fn take(&self, settings: &mut S, source: &str, value: &str) -> Result<(), Error> {
        (self.read)(settings, value).map_err(|allowed| {
            Error::usage(format!(
                "{source} is `{}`; it must be {allowed}",
                value.escape_debug()
            ))
        })
    }
}

#[cfg(test)]
mod tests;
