//! What this program does when it is started as a child.

use std::{fs, io, net::SocketAddr};

use axum::{
    Json, Router,
    routing::{get, post},
};
use serde::Serialize;
use serde_json::{Value, json};
use taskpulse::{App, Payload, Tasks};
use tokio::{net::TcpListener, runtime::Runtime};

use super::{
    Outcome,
    by_hand::by_hand,
    full::full,
    receiver::{Answer, receive},
};

/// How many tasks are many.
pub(crate) const CROWD: u32 = 1_000_000;

/// A server, or what needs a process without a past.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    /// An axum app that answers `/ping` with JSON.
    BarePing,
    /// An axum app that answers `/invocations` with the JSON it was sent.
    BareEcho,
    /// An app of ours that echoes, and begins and ends a task for it.
    Idle,
    /// The same with many active tasks.
    Crowded,
    /// Says how many bytes an active task takes.
    Memory,
    /// An app of ours with all its telemetry.
    Full,
    /// The same spans, lines and metrics without this crate.
    ByHand,
    /// A collector that takes everything.
    Collector,
    /// A collector that answers 503.
    Unavailable,
    /// A collector that does not answer.
    Hanging,
}

/// The same JSON as ours.
#[derive(Serialize)]
struct Pong {
    status: &'static str,
    time_of_last_update: u64,
}

// === impl Role ===

impl Role {
    const ALL: [Self; 10] = [
        Self::BarePing,
        Self::BareEcho,
        Self::Idle,
        Self::Crowded,
        Self::Memory,
        Self::Full,
        Self::ByHand,
        Self::Collector,
        Self::Unavailable,
        Self::Hanging,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::BarePing => "role:bare-ping",
            Self::BareEcho => "role:bare-echo",
            Self::Idle => "role:idle",
            Self::Crowded => "role:crowded",
            Self::Memory => "role:memory",
            Self::Full => "role:full",
            Self::ByHand => "role:by-hand",
            Self::Collector => "role:collector",
            Self::Unavailable => "role:unavailable",
            Self::Hanging => "role:hanging",
        }
    }

    /// Does it; a server until standard input ends.
    pub(crate) fn play(self) -> Outcome<()> {
        match self {
            Self::BarePing => bare(Router::new().route("/ping", get(pong))),
            Self::BareEcho => bare(Router::new().route("/invocations", post(echo))),
            Self::Idle => ours(0),
            Self::Crowded => ours(CROWD),
            Self::Memory => memory(),
            Self::Full => full(),
            Self::ByHand => by_hand(),
            Self::Collector => receive(Answer::Accepted),
            Self::Unavailable => receive(Answer::Unavailable),
            Self::Hanging => receive(Answer::Never),
        }
    }
}

async fn pong() -> Json<Pong> {
    Json(Pong {
        status: "Healthy",
        time_of_last_update: 1_795_357_387,
    })
}

async fn echo(Json(event): Json<Value>) -> Json<Value> {
    Json(event)
}

pub(crate) async fn echo_in_a_task(
    tasks: Tasks,
    Payload(event): Payload<Value>,
) -> Result<Json<Value>, taskpulse::Error> {
    tasks.begin("echo").start()?.succeed();
    Ok(Json(event))
}

/// `axum::serve` with all that it does by default, on tokio's default runtime.
fn bare(router: Router) -> Outcome<()> {
    let runtime = Runtime::new()?;
    let listener = listen(&runtime)?;
    say(listener.local_addr()?);
    runtime.spawn(async { axum::serve(listener, router).await });
    dismissed()
}

/// `App::serve` on the same runtime.
fn ours(tasks: u32) -> Outcome<()> {
    let runtime = Runtime::new()?;
    let listener = listen(&runtime)?;
    let address = listener.local_addr()?;
    let app = App::new().entrypoint(echo_in_a_task);
    for page in 0..tasks {
        begin(&app, page)?;
    }
    runtime.spawn(app.serve(listener, std::future::pending()));
    say(address);
    dismissed()
}

fn listen(runtime: &Runtime) -> io::Result<TcpListener> {
    runtime.block_on(TcpListener::bind("127.0.0.1:0"))
}

fn say(address: SocketAddr) {
    println!("{address}");
}

/// Waits until standard input ends, which it does with the program that
/// started this one.
fn dismissed() -> Outcome<()> {
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

/// Begins a task with two metadata keys.
fn begin(app: &App, page: u32) -> Outcome<()> {
    app.add_async_task(
        "data_processing",
        json!({ "data_id": "sample_data", "page": page }),
    )?;
    Ok(())
}

/// The difference of resident memory without and with many tasks.
fn memory() -> Outcome<()> {
    let app = App::new();
    // What is paid once, is paid.
    begin(&app, 0)?;
    let before = resident()?;
    for page in 0..CROWD {
        begin(&app, page)?;
    }
    println!("{}", (resident()? - before) / f64::from(CROWD));
    Ok(())
}

/// Resident memory of this process in bytes.
pub(crate) fn resident() -> Outcome<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kilobytes.ok_or("Linux tells VmRSS")?.parse::<f64>()? * 1_024.0)
}
