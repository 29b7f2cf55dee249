//! `taskpulse traffic`, and what it says it did.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::Value;

use crate::harness::BINARY;

/// Callers of one instance.
#[derive(Debug)]
pub(crate) struct Traffic {
    child: Child,
    said: BufReader<ChildStdout>,
}

/// What its last line says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    pub(crate) begun: f64,
    pub(crate) succeeded: f64,
    pub(crate) failed: f64,
    pub(crate) panicked: f64,
    pub(crate) rejected: f64,
}

// === impl Traffic ===

impl Traffic {
    /// Sends so many requests a second, for a time such as `30s`.
    pub(crate) fn start(to: SocketAddr, rate: &str, time: &str) -> Self {
        let url = format!("http://{to}");
        let mut child = Command::new(BINARY)
            .args([
                "traffic", "--url", &url, "--seed", "1", "--rate", rate, "--for", time,
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let said = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, said }
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Done {
        let lines: Vec<String> = (&mut self.said).lines().map_while(Result::ok).collect();
        let status = self.child.wait().expect("it is our child");
        assert!(status.success(), "{status}: {lines:#?}");
        let last = lines.last().expect("it says what it did");
        let last: Value = serde_json::from_str(last).expect("a line of JSON");
        println!("traffic: {last}");
        let number = |name: &str| {
            let number = last[name].as_f64();
            number.unwrap_or_else(|| panic!("no {name} in {last}"))
        };
        Done {
            begun: number("begun"),
            succeeded: number("succeeded"),
            failed: number("failed"),
            panicked: number("panicked"),
            rejected: number("rejected"),
        }
    }
}

// === impl Done ===

impl Done {
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            begun: self.begun + other.begun,
            succeeded: self.succeeded + other.succeeded,
            failed: self.failed + other.failed,
            panicked: self.panicked + other.panicked,
            rejected: self.rejected + other.rejected,
        }
    }

    /// The share of tasks that ended well.
    pub(crate) fn success(self) -> f64 {
        self.succeeded / (self.succeeded + self.failed + self.panicked)
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().unwrap_or_default();
        self.child.wait().expect("it is our child");
    }
}
