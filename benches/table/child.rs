//! Processes that this program starts, and stops again.

use std::{
    fs,
    io::{BufRead, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    process::{Command, Stdio},
    time::Duration,
};

use super::{Outcome, roles::Role};

/// Linux tells processor time in hundredths of a second, on every machine.
const MILLISECONDS_A_TICK: u64 = 10;

/// A process that plays a role. Killed when dropped.
pub(crate) struct Child {
    process: std::process::Child,
    /// The first line that it printed.
    pub(crate) said: String,
    replies: Box<dyn BufRead>,
}

/// Where a child with telemetry sends it, and what it prints.
#[derive(Clone, Copy)]
pub(crate) struct Telling<'a> {
    /// None where the SDK is disabled.
    pub(crate) to: Option<SocketAddr>,
    /// `RUST_LOG`.
    pub(crate) log: &'static str,
    /// Spans that may wait.
    pub(crate) queue: u32,
    /// `TASKPULSE_CHECKPOINTS`.
    pub(crate) checkpoints: &'static str,
    /// `TASKPULSE_STORE`.
    pub(crate) store: &'a str,
}

// === impl Child ===

impl Child {
    /// Starts this program again and waits for what it has to say.
    pub(crate) fn playing(role: Role) -> Outcome<Self> {
        Self::start(Command::new(std::env::current_exe()?).arg(role.name()))
    }

    /// The same with telemetry, and with nothing in the environment but what
    /// says so. Its log goes to where it costs least, so it talks on standard
    /// error.
    pub(crate) fn telling(role: Role, telling: Telling<'_>) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg(role.name())
            .env_clear()
            .env("RUST_LOG", telling.log)
            .env("TASKPULSE_HOST", "127.0.0.1")
            .env("TASKPULSE_CHECKPOINTS", telling.checkpoints)
            .env("TASKPULSE_STORE", telling.store)
            .env("TASKPULSE_PORT", free_address()?.port().to_string())
            .env("OTEL_BSP_MAX_QUEUE_SIZE", telling.queue.to_string())
            // Soon quiet again after each round.
            .env("OTEL_BSP_SCHEDULE_DELAY", "100")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        match telling.to {
            Some(to) => command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{to}")),
            None => command.env("OTEL_SDK_DISABLED", "true"),
        };
        let mut process = command.spawn()?;
        let error = process.stderr.take().ok_or("it is piped")?;
        Self::listening(process, BufReader::new(error))
    }

    /// Starts a program and waits for its first line.
    pub(crate) fn start(command: &mut Command) -> Outcome<Self> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("its output is piped")?;
        Self::listening(process, BufReader::new(output))
    }

    fn listening(process: std::process::Child, replies: impl BufRead + 'static) -> Outcome<Self> {
        let mut child = Self {
            process,
            said: String::new(),
            replies: Box::new(replies),
        };
        child.said = child.reply()?;
        Ok(child)
    }

    /// Has it do something; what came of it.
    pub(crate) fn ask(&mut self, order: &str) -> Outcome<String> {
        let input = self.process.stdin.as_mut().ok_or("its input is piped")?;
        writeln!(input, "{order}")?;
        self.reply()
    }

    /// The same where what came of it are numbers.
    pub(crate) fn figures<const N: usize>(&mut self, order: &str) -> Outcome<[f64; N]> {
        let reply = self.ask(order)?;
        let figures = reply.split_whitespace().map(str::parse::<f64>);
        let figures: Result<Vec<f64>, _> = figures.collect();
        let figures = figures.ok().and_then(|figures| figures.try_into().ok());
        Ok(figures.ok_or_else(|| format!("`{order}` came to `{reply}`"))?)
    }

    fn reply(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.replies.read_line(&mut line)?;
        Ok(line)
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
        let said = self.said.trim();
        Ok(said.parse().map_err(|_| format!("it said `{said}`"))?)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended already.
        self.process.kill().unwrap_or_default();
        drop(self.process.wait());
    }
}

// === impl Telling ===

impl Telling<'_> {
    /// As many as there are unless it is said.
    pub(crate) const QUEUE: u32 = 16_384;

    /// Nothing is told to anybody.
    pub(crate) const NOTHING: Self = Self {
        to: None,
        log: "off",
        queue: Self::QUEUE,
        checkpoints: "off",
        store: "memory",
    };
}

/// An address that nobody listens on.
pub(crate) fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
