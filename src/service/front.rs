//! The thread that owns the listeners and answers `/ping`.

use std::{
    convert::Infallible,
    future::{Future, pending},
    io,
    net::TcpListener as StdListener,
    pin::pin,
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

use axum::Router;
use futures_util::future::{join, join_all};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Handle, Runtime},
    sync::{mpsc, watch},
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It accepts connections; while it drains, too, for `/ping`.
    Serving,
    /// Connections of before finish what they write, and end. Others are
    /// accepted, for `/ping`.
    Closing,
    /// Those have ended, or must now.
    Quiet,
    /// It ends.
    Ended,
}

/// The running front.
#[derive(Debug)]
pub(crate) struct Front {
    phase: Arc<watch::Sender<Phase>>,
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
    /// Comes so far, unless it has come further.
    fn reach(self, phase: &watch::Sender<Self>) {
        phase.send_modify(|phase| *phase = self.max(*phase));
    }

    /// Ready once the front has come so far.
    pub(super) async fn reached(self, mut phase: watch::Receiver<Self>) {
        // An error means that the front is gone already.
        drop(phase.wait_for(|phase| *phase >= self).await);
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
        let phase = Arc::new(watch::Sender::new(Phase::Serving));
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
        let told = phase.subscribe();
        // Not the sender itself: a front that is dropped stops serving.
        let tell = Arc::downgrade(&phase);
        let thread = thread::Builder::new()
            .name("taskpulse-front".to_owned())
            .spawn(move || {
                runtime.block_on(run(listeners, routes, probe, (told, tell)));
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

    /// Lets connections and WebSockets write what they are writing, and ends them,
    /// in a second or so at most. New ones are accepted still: whoever asks for
    /// our health until the very end is answered.
    pub(crate) async fn see_off(&self) {
        Phase::Closing.reach(&self.phase);
        let quiet = Phase::Quiet.reached(self.phase.subscribe());
        // There, since a front that has gone never says that it is quiet, but ends what
        // is spawned on it.
        let told = self.spawn(async { drop(timeout(2 * GOODBYE, quiet).await) });
        told.await.unwrap_or_default();
    }

    /// Stops accepting, and ends the thread. Blocks for a moment.
    pub(crate) fn close(self) {
        self.end();
        // It panics never; and if it did, the hook has told.
        self.thread.join().unwrap_or_default();
    }

    /// The same without waiting for it.
    pub(crate) fn end(&self) {
        Phase::Ended.reach(&self.phase);
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
    (phase, tell): (watch::Receiver<Phase>, Weak<watch::Sender<Phase>>),
) {
    let mut asking = JoinSet::new();
    let service = Arc::clone(&routes.crossing.service);
    if let Some(probe) = probe {
        let tracker = Arc::clone(&service.tracker);
        asking.spawn(keep_asking(probe, tracker, routes.crossing.runtime.clone()));
    }
    // Held by each listener and connection that is waited for.
    let (open, mut all_closed) = mpsc::channel(1);
    let accepting = listeners.into_iter().map(|(listener, surface)| {
        let routes = routes.clone();
        let routes = Routes { surface, ..routes };
        accept(listener, routes, phase.clone(), open.clone())
    });
    let accepting = join_all(accepting.collect::<Vec<_>>());
    drop(open);
    let end = async {
        Phase::Closing.reached(phase.clone()).await;
        // WebSockets are the other runtime's, but write by this one's driver.
        let gone = join(service.sockets_closed(), all_closed.recv());
        drop(timeout(GOODBYE, gone).await);
        if let Some(phase) = tell.upgrade() {
            Phase::Quiet.reach(&phase);
        }
        Phase::Ended.reached(phase.clone()).await;
    };
    tokio::select! {
        _never = accepting => {}
        () = end => {}
    }
}

/// Accepts connections until the end. From the front's closing on they are for
/// `/ping`, and nobody waits for them.
async fn accept(
    listener: TcpListener,
    routes: Routes,
    phase: watch::Receiver<Phase>,
    open: mpsc::Sender<Infallible>,
) -> Infallible {
    let mut open = Some(open);
    let mut connections = JoinSet::new();
    let mut closing = pin!(Phase::Closing.reached(phase.clone()));
    let mut ended = pin!(Phase::Ended.reached(phase.clone()));
    let warned = RateLimit::default();
    let started = Instant::now();
    loop {
        let accepted = tokio::select! {
            () = ended.as_mut() => break,
            () = closing.as_mut(), if open.is_some() => {
                open = None;
                continue;
            }
            Some(_ended) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _peer)) => {
                let (routes, phase) = (routes.clone(), phase.clone());
                connections.spawn(connection::serve(stream, routes, phase, open.clone()));
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
    while connections.join_next().await.is_some() {}
    pending().await
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_front_that_has_gone_is_not_waited_for() {
        let gone = runtime().unwrap();
        let front = Front {
            phase: Arc::new(watch::Sender::new(Phase::Serving)),
            runtime: gone.handle().clone(),
            thread: thread::spawn(|| {}),
        };
        gone.shutdown_background();
        let patience = Duration::from_secs(10);
        timeout(patience, front.see_off()).await.unwrap();
        front.close();
    }
}
