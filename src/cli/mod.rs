//! The command line, made from the rows of the settings.

mod ping;
mod traffic;
mod url;

use std::{ffi::OsString, process::ExitCode};

use clap::{Arg, ArgAction, ArgMatches, Command, error::ErrorKind};

use crate::{
    Error, agent,
    config::{FIRST, SETTINGS, Setting, Settings},
};

/// Runs the program; what goes wrong is one line on standard error.
///
/// 0 if all went well, 2 for a command line that cannot be understood, else 1.
#[must_use]
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => return explain(&error),
    };
    let done = match matches.subcommand() {
        Some(("ping", matches)) => ping::run(matches),
        Some(("traffic", matches)) => traffic::run(matches),
        Some((_serve, matches)) => serve(matches),
        None => serve(&matches),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}

fn serve(matches: &ArgMatches) -> Result<(), Error> {
    let mut settings = Settings::from_env()?;
    take_flags(&SETTINGS, matches, &mut settings)?;
    agent::app().run_with(&settings)
}

/// Takes over what the command line says.
fn take_flags<S>(rows: &[Setting<S>], matches: &ArgMatches, settings: &mut S) -> Result<(), Error> {
    for row in rows {
        if let Some(value) = matches.get_one::<String>(row.flag) {
            row.take(settings, &format!("--{}", row.flag), value)?;
        }
    }
    Ok(())
}

fn command() -> Command {
    let serve = Command::new("serve")
        .about("Run the example agent (what happens without a command, too)")
        .args(SETTINGS.iter().map(argument));
    Command::new("taskpulse")
        .about("Runs the AgentCore \"Async Processing\" agent: background tasks, tracked and observable")
        .version(env!("CARGO_PKG_VERSION"))
        .args(SETTINGS.iter().map(argument))
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .subcommand(serve)
        .subcommand(ping::command())
        .subcommand(traffic::command())
        .after_help("RUST_LOG says what is logged: `warn`, `taskpulse=debug`, ...")
}

fn argument<S>(setting: &Setting<S>) -> Arg {
    let help = format!(
        "{} [default: {}] [env: {}]",
        setting.help, setting.default, setting.variable
    );
    // The first ones stand under the heading that clap has for `--help` itself.
    let heading = Some(setting.heading).filter(|heading| *heading != FIRST);
    let argument = Arg::new(setting.flag)
        .long(setting.flag)
        .help(help)
        .help_heading(heading)
        // So that `-1` is told what is allowed, and not taken for a flag.
        .allow_negative_numbers(true);
    match setting.value {
        Some(name) => argument.value_name(name).action(ArgAction::Set),
        None => argument
            .value_name("on|off")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("on"),
    }
}

/// Help and version are no errors; an error of clap's is told on one line.
fn explain(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        // A closed pipe is no reason to complain.
        error.print().unwrap_or_default();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let lines = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:"));
    let says = |line: &&str| !line.is_empty() && !line.starts_with("For more information");
    let lines: Vec<_> = lines.filter(says).collect();
    complain(&format!(
        "{}; see --help",
        lines.join("; ").trim_start_matches("error: ")
    ));
    ExitCode::from(2)
}

#[expect(clippy::print_stderr, reason = "for the person who typed the command")]
fn complain(text: &str) {
    eprintln!("error: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn four_flags_come_first() {
        let first = SETTINGS
            .iter()
            .take_while(|setting| setting.heading == FIRST);
        let flags: Vec<_> = first.map(|setting| setting.flag).collect();
        assert_eq!(flags, ["port", "host", "max-active", "drain"]);
    }
}
