//! The generator of load: 32 keep-alive connections on one thread, each asking
//! again as soon as it is answered.

use std::{
    io,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    runtime::Builder,
    task::JoinSet,
};

use super::Outcome;

const CONNECTIONS: usize = 32;

/// One connection.
struct Client {
    stream: TcpStream,
    buffer: [u8; 4_096],
    /// Bytes of an answer; all of one kind of request have the same.
    length: usize,
}

/// Requests that were answered with 200 per second, over `time`.
pub(crate) fn rate(address: SocketAddr, request: &'static str, time: Duration) -> Outcome<f64> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let answered = runtime.block_on(async {
        let mut clients = JoinSet::new();
        let until = Instant::now() + time;
        for _ in 0..CONNECTIONS {
            clients.spawn(ask(address, request, until));
        }
        let mut answered = 0;
        while let Some(client) = clients.join_next().await {
            answered += client??;
        }
        Outcome::Ok(answered)
    })?;
    Ok(f64::from(answered) / time.as_secs_f64())
}

/// One request on a connection of its own.
pub(crate) fn once(address: SocketAddr, request: &str) -> Outcome<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    Ok(runtime.block_on(async { Client::connect(address).await?.exchange(request).await })?)
}

/// How long each answer took in microseconds, on one connection, at so many
/// requests per second.
pub(crate) fn latencies(
    address: SocketAddr,
    request: &str,
    rate: u32,
    time: Duration,
) -> Outcome<Vec<f64>> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let mut client = runtime.block_on(Client::connect(address))?;
    let started = Instant::now();
    let mut took = Vec::new();
    let mut due = started;
    while due < started + time {
        let early = due.saturating_duration_since(Instant::now());
        thread::sleep(early);
        // Who was kept waiting by the answer before has waited.
        let from = if early.is_zero() { due } else { Instant::now() };
        runtime.block_on(client.exchange(request))?;
        took.push(from.elapsed().as_secs_f64() * 1e6);
        due += Duration::from_secs(1) / rate;
    }
    Ok(took)
}

async fn ask(address: SocketAddr, request: &str, until: Instant) -> io::Result<u32> {
    let mut client = Client::connect(address).await?;
    let mut answered = 0;
    while Instant::now() < until {
        client.exchange(request).await?;
        answered += 1;
    }
    Ok(answered)
}

// === impl Client ===

impl Client {
    async fn connect(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            stream: TcpStream::connect(address).await?,
            buffer: [0; 4_096],
            length: 0,
        })
    }

    /// Sends a request and reads its answer.
    async fn exchange(&mut self, request: &str) -> io::Result<()> {
        self.stream.write_all(request.as_bytes()).await?;
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            filled += read;
            let answer = &self.buffer[..filled];
            if self.length == 0 {
                self.length = length(answer).unwrap_or(0);
            }
            let good = answer.starts_with(b"HTTP/1.1 200 ");
            if good && filled == self.length {
                return Ok(());
            }
            let longer = self.length > 0 && filled > self.length;
            if read == 0 || filled >= 13 && !good || longer {
                let answer = String::from_utf8_lossy(answer);
                return Err(io::Error::other(format!("not as expected: {answer}")));
            }
        }
    }
}

/// How long an answer is, head and body, once its head is whole.
fn length(answer: &[u8]) -> Option<usize> {
    let (head, _) = std::str::from_utf8(answer).ok()?.split_once("\r\n\r\n")?;
    let body = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    Some(head.len() + 4 + body.1.trim().parse::<usize>().ok()?)
}
