//! The `taskpulse` program: `taskpulse --help` tells what it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    taskpulse::cli::main(std::env::args_os())
}
