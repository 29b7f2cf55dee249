//! The thread that owns the listeners and answers `/ping`.

use std::{
    future::Future, io, net::TcpListener as StdListener, pin::pin, sync::Arc, thread,
    time::Duration,
};

use axum::Router;
use futures_util::future::join_all;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Handle, Runtime},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, timeout},
};
use tracing::warn;

use super::{
    Probe, Service, connection, crossing::Crossing, keep_asking, ping::PingAnswer,
    router::admin_router, routes::Routes,
};
use crate::{
    Error,
    telemetry::{RateLimit, quietly},
};

/// Threads for what the front may not do itself: pages of tasks, and
/// scrapes, which share these threads.
const BLOCKING_THREADS: usize = 2;

/// When there are no more file descriptors, until one may be free.
const BACK_OFF: Duration = Duration::from_millis(100);

/// For connections to write what is still to be written at the end.
const GOODBYE: Duration = Duration::from_secs(1);

/// What a listener offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surface {
    /// All there is.
    All,
    /// The contract and the user's own routes.
    Contract,
    /// `/ping`, `/ready`, `/metrics` and the tasks API.
    Admin,
}

/// How far the front has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It accepts connections; while it drains, too, for `/ping`.
    Serving,
    /// It accepts no more, finishes what it writes, and ends.
    Closing,
}

/// The running front.
#[derive(Debug)]
pub(crate) struct Front {
    phase: watch::Sender<Phase>,
    runtime: Handle,
    thread: thread::JoinHandle<()>,
}

// === impl Surface ===

impl Surface {
    pub(super) fn has_admin(self) -> bool {
        self != Self::Contract
    }

    pub(super) fn has_contract(self) -> bool {
        self != Self::Admin
    }
}

// === impl Phase ===

impl Phase {
    /// Ready once the front closes.
    pub(super) async fn closing(mut phase: watch::Receiver<Self>) {
        // An error means that the front is gone already.
        drop(phase.wait_for(|phase| *phase == Self::Closing).await);
    }
}

// === impl Front ===

impl Front {
    /// Starts the thread. `work` is the runtime of the user's code.
    pub(crate) fn start(
        listeners: Vec<(StdListener, Surface)>,
        service: &Arc<Service>,
        router: Router,
        probe: Option<Probe>,
        work: Handle,
    ) -> Result<Self, Error> {
        raise_file_limit();
        let runtime = runtime().map_err(Error::Start)?;
        let (phase, told) = watch::channel(Phase::Serving);
        let routes = Routes {
            surface: Surface::All,
            admin: admin_router(service),
            ping: PingAnswer::new(Arc::clone(&service.tracker)),
            crossing: Crossing {
                service: Arc::clone(service),
                runtime: work,
                router,
            },
        };
        let listeners = listeners
            .into_iter()
            .map(|(listener, surface)| Ok((adopt(&runtime, listener)?, surface)))
            .collect::<io::Result<Vec<_>>>()
            .map_err(Error::Start)?;
        let handle = runtime.handle().clone();
        let thread = thread::Builder::new()
            .name("taskpulse-front".to_owned())
            .spawn(move || {
                runtime.block_on(run(listeners, routes, probe, told));
                // Not waiting for a page of tasks that is still being put together.
                runtime.shutdown_background();
            })
            .map_err(Error::Start)?;
        Ok(Self {
            phase,
            runtime: handle,
            thread,
        })
    }

    /// The runtime of the front.
    pub(crate) const fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Runs something of ours where no user code can hold it up.
    pub(crate) fn spawn(&self, ours: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.runtime.spawn(ours)
    }

    /// Stops accepting, lets connections write what they are writing, and ends
    /// the thread. Blocks for as long as that takes: a second or so at most.
    pub(crate) fn close(self) {
        self.phase.send_replace(Phase::Closing);
        // It panics never; and if it did, the hook has told.
        self.thread.join().unwrap_or_default();
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("taskpulse-pages")
        .build()
}

fn adopt(runtime: &Runtime, listener: StdListener) -> io::Result<TcpListener> {
    let _inside = runtime.enter();
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn run(
    listeners: Vec<(TcpListener, Surface)>,
    routes: Routes,
    probe: Option<Probe>,
    phase: watch::Receiver<Phase>,
) {
    let mut asking = JoinSet::new();
    if let Some(probe) = probe {
        let Crossing {
            service, runtime, ..
        } = &routes.crossing;
        let tracker = Arc::clone(&service.tracker);
        asking.spawn(keep_asking(probe, tracker, runtime.clone()));
    }
    let accepting = listeners.into_iter().map(|(listener, surface)| {
        let routes = routes.clone();
        accept(listener, Routes { surface, ..routes }, phase.clone())
    });
    join_all(accepting).await;
}

/// Accepts connections until the front closes, then waits a moment for what
/// they still write.
async fn accept(listener: TcpListener, routes: Routes, phase: watch::Receiver<Phase>) {
    let mut connections = JoinSet::new();
    let mut closing = pin!(Phase::closing(phase.clone()));
    let warned = RateLimit::default();
    let started = Instant::now();
    loop {
        let accepted = tokio::select! {
            () = closing.as_mut() => break,
            Some(_ended) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _peer)) => {
                connections.spawn(connection::serve(stream, routes.clone(), phase.clone()));
            }
            // The client left before we came.
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
                if let Some(unsaid) = warned.speak(started.elapsed()) {
                    quietly(
                        || warn!(%error, unsaid_warnings = unsaid, "cannot accept connections"),
                    );
                }
                sleep(BACK_OFF).await;
            }
        }
    }
    drop(listener);
    let written = async { while connections.join_next().await.is_some() {} };
    timeout(GOODBYE, written).await.unwrap_or_default();
}

fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// Raises the soft limit of open files to the hard one: a connection costs one.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        quietly(|| warn!(%error, "cannot raise the limit of open files"));
    }
}
