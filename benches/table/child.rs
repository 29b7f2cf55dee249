//! Processes that this program starts, and stops again.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
};

use super::{Outcome, roles::Role};

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
