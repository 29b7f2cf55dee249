//! `taskpulse ping`: asks a running service how it is.

use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use serde_json::Value;
use ureq::Agent;

use super::url;
use crate::Error;

/// For the whole question. A container's health check usually waits longer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn command() -> Command {
    let url = Arg::new("url").long("url").value_name("URL").help(format!(
        "Base URL of the service [default: {}]",
        url::DEFAULT
    ));
    Command::new("ping")
        .about("Print the ping status; exit code 0 for Healthy and HealthyBusy, else 1")
        .arg(url)
}

pub(super) fn run(matches: &ArgMatches) -> Result<(), Error> {
    let given = match matches.get_one::<String>("url") {
        Some(url) => url.clone(),
        None => url::default(),
    };
    let Some(base) = url::base(&given) else {
        return Err(Error::usage(format!(
            "--url is `{}`; it must be {}",
            given.escape_debug(),
            url::ALLOWED
        )));
    };
    let url = format!("{base}/ping");
    let status = ask(&url).map_err(|why| Error::failed(format_args!("{url}: {why}")))?;
    #[expect(clippy::print_stdout, reason = "the answer")]
    {
        println!("{status}");
    }
    Ok(())
}

/// The status, or why there is none.
fn ask(url: &str) -> Result<String, String> {
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        // A health check asks this service and not a proxy.
        .proxy(None)
        .build()
        .into();
    let mut response = agent.get(url).call().map_err(|error| error.to_string())?;
    let status = response.status();
    let body = response
        .body_mut()
        .read_to_string()
        .map_err(|error| error.to_string())?;
    if status != 200 {
        return Err(format!("answered {status}"));
    }
    let answer: Value = serde_json::from_str(&body).map_err(|_| "answered no JSON".to_owned())?;
    match answer["status"].as_str() {
        Some(status @ ("Healthy" | "HealthyBusy")) => Ok(status.to_owned()),
        _ => Err(format!("answered no known status: {body}")),
    }
}
