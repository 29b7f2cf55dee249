//! Processes that this program starts, and stops again.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

use super::{Outcome, roles::Role};

/// Linux tells processor time in hundredths of a second, on every machine.
const MILLISECONDS_A_TICK: u64 = 10;

/// A process that plays a role. Killed when dropped.
pub(crate) struct Child {
    process: std::process::Child,
    /// The one line that it printed.
    pub(crate) said: String,
}

// === impl Child ===

impl Child {
    /// Starts this program again and waits for what it has to say.
    pub(crate) fn playing(role: Role) -> Outcome<Self> {
        Self::start(Command::new(std::env::current_exe()?).arg(role.name()))
    }

    /// Starts a program and waits for its first line.
    pub(crate) fn start(command: &mut Command) -> Outcome<Self> {
        let process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut child = Self {
            process,
            said: String::new(),
        };
        let output = child.process.stdout.as_mut().ok_or("its output is piped")?;
        BufReader::new(output).read_line(&mut child.said)?;
        Ok(child)
    }

    /// Processor time that it has taken so far, all threads, user and system.
    pub(crate) fn processor_time(&self) -> Outcome<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The second field is the program's name, which may contain anything.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|field| field.parse().unwrap_or(0)).sum();
        Ok(Duration::from_millis(ticks * MILLISECONDS_A_TICK))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Outcome<SocketAddr> {
        Ok(self.said.trim().parse()?)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already.
        self.process.kill().unwrap_or_default();
        drop(self.process.wait());
    }
}
