//! From listening to the end.

use std::{
    future::{Future, pending, poll_fn},
    io::{IsTerminal as _, Write as _, stdout},
    net::{SocketAddr, TcpListener as StdListener},
    pin::pin,
    sync::{Arc, mpsc},
    task::Poll,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    net::TcpListener,
    runtime::{Builder, Handle},
    sync::Mutex,
    task::spawn_blocking,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use super::{App, links::Links, listen::listen, signals::Signals};
use crate::{
    Error, Tasks,
    config::Settings,
    service::{Away, Front, Service, Surface, user_router},
    telemetry::{
        self, Config,
        log::{self, LogFormat, LogGuard},
        quietly,
    },
    track::chain_hook,
};

/// How long what is queued may take to be sent at the end.
///
/// With the drain's 10 s it stays below the 15 s that the platform waits.
const FLUSH: Duration = Duration::from_secs(3);

/// After a second signal, which asks to end at once: for tasks and streams to be
/// told, and then for each, the telemetry and the printed log, a half of it.
const HURRY: Duration = Duration::from_millis(100);

/// How often draining looks whether it is done.
const LOOK: Duration = Duration::from_millis(20);

/// The listeners and how they are announced.
struct Doors {
    listeners: Vec<(StdListener, Surface)>,
    address: SocketAddr,
    /// Where the tasks API has an address of its own.
    admin: Option<SocketAddr>,
    on_terminal: bool,
    /// What is to be said once the address has been.
    links: Links,
    warning: Option<String>,
}

impl App {
    /// Runs until SIGTERM or Ctrl-C, on a runtime of its own.
    ///
    /// Reads the `TASKPULSE_*` variables, which win over what the code says,
    /// and prints the log to standard output as `RUST_LOG` asks for, unless the
    /// program has set a subscriber. Then `/ready` and new requests are answered
    /// with 503, while `/ping` goes on; requests and tasks have 10 s to end
    /// (`TASKPULSE_DRAIN`), what remains becomes `interrupted`. A second signal
    /// cuts that short.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for a variable that cannot be read or an app that was
    /// put together wrongly, [`Error::InsideRuntime`] inside a tokio runtime
    /// (use [`serve`](Self::serve) there), [`Error::AddressInUse`] and
    /// [`Error::Listen`], [`Error::Start`] where the operating system refuses a
    /// thread or a socket, [`Error::CutShort`] after a second signal.
    pub fn run(self) -> Result<(), Error> {
        self.run_with(&Settings::from_env()?)
    }

    pub(crate) fn run_with(mut self, settings: &Settings) -> Result<(), Error> {
        if Handle::try_current().is_ok() {
            return Err(Error::InsideRuntime);
        }
        // Before anything is opened: a taken port must not hide the mistake.
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        self.configure(settings);
        let config = settings.telemetry(Config::from_env()?);
        let links = Links::new(settings, telemetry::service_name(&config));
        let on_terminal = stdout().is_terminal();
        let format = settings.log_format.unwrap_or(match on_terminal {
            true => LogFormat::Pretty,
            false => LogFormat::Json,
        });
        let telemetry = telemetry::start(config)?;
        let log = log::start(format, &telemetry);
        chain_hook();
        self.telemetry.get_or_insert_with(|| telemetry.clone());
        let mut doors = Doors::open(settings, links, on_terminal && format == LogFormat::Pretty)?;
        doors.warning = log.as_ref().and_then(LogGuard::warning).map(str::to_owned);
        let work = Builder::new_multi_thread()
            .enable_all()
            .thread_name("taskpulse-work")
            .build()
            .map_err(Error::Start)?;
        // Signals and the time to drain are watched here: the drivers of the
        // other runtime rest while user code blocks all of its workers.
        let control = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::Start)?;
        // Metrics of the end are read from it.
        let tracker = Arc::clone(&self.tracker);
        let ended = control.block_on(async {
            let signals = Arc::new(Mutex::new(Signals::listen().map_err(Error::Start)?));
            let again = Arc::clone(&signals);
            let first = async move {
                signals.lock().await.next().await;
            };
            let second = async move { again.lock().await.next().await };
            self.operate(doors, work.handle().clone(), first, second)
                .await
        });
        // A worker that user code blocks must not keep the process.
        work.shutdown_background();
        match ended {
            Err(Error::CutShort { .. }) => {
                within(HURRY / 2, move || telemetry.end(HURRY / 2));
                within(HURRY / 2, move || drop(log));
            }
            _ => telemetry.end(FLUSH),
        }
        drop(tracker);
        ended
    }

    /// Serves on `listener` until `shutdown` is ready, from inside a tokio
    /// runtime of any flavour: that runtime runs the handlers and tasks, a
    /// thread of our own answers `/ping`.
    ///
    /// Reads no variables, prints no log and handles no signals. At the end it
    /// drains as [`run`](Self::run) does. Dropping the future stops serving
    /// without draining; active tasks then go on.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// let shutdown = async {}; // At once, in this example.
    /// taskpulse::App::new().serve(listener, shutdown).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for an app that was put together wrongly,
    /// [`Error::Start`] where the operating system refuses a thread or a socket.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), Error> {
        let address = listener.local_addr().map_err(Error::Start)?;
        let listener = listener.into_std().map_err(Error::Start)?;
        let doors = Doors {
            listeners: vec![(listener, Surface::All)],
            address,
            admin: None,
            on_terminal: false,
            links: Links::default(),
            warning: None,
        };
        let tracker = Arc::clone(&self.tracker);
        let ended = self
            .operate(doors, Handle::current(), shutdown, pending())
            .await;
        // The last values can be read as long as the tracker is there.
        if let Some(reporter) = tracker.reporter() {
            reporter.telemetry.flush_soon(FLUSH).await;
        }
        ended
    }

    /// Serves until `shutdown`, then drains, unless `hurry` comes first. User
    /// code runs on `work`.
    async fn operate(
        mut self,
        doors: Doors,
        work: Handle,
        shutdown: impl Future<Output = ()>,
        hurry: impl Future<Output = u8>,
    ) -> Result<(), Error> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        self.tracker.runs_on(&work);
        let telemetry = self.report()?;
        // Before anybody is answered: what listens for a signal from its first
        // poll on misses none that is sent after an answer.
        let mut shutdown = pin!(shutdown);
        let is_over = poll_fn(|cx| Poll::Ready(shutdown.as_mut().poll(cx).is_ready())).await;
        let service = Arc::new(Service::new(Arc::clone(&self.tracker), self.config));
        let router = user_router(self.routes);
        let front = Front::start(doors.listeners, &service, router, self.probe, work.clone())?;
        if let Some(reporter) = self.tracker.reporter() {
            reporter.watch(&[("front", front.runtime().clone()), ("work", work.clone())]);
        }
        announce(doors.address, doors.admin, doors.on_terminal, self.greeting);
        doors.links.announce();
        let names = self.tracker.registry().overflowed().then(|| {
            "App::task_names has more names than metrics tell apart; the last ones are _OTHER there"
                .to_owned()
        });
        let warnings = doors.warning.into_iter().chain(names);
        for warning in warnings.chain(telemetry.complaints()) {
            quietly(|| warn!("{warning}"));
        }
        for hook in self.on_start {
            let tasks = Tasks::new(Arc::clone(&self.tracker));
            work.spawn(async move { hook(tasks) });
        }
        if !is_over {
            shutdown.await;
        }
        end(front, &service, hurry).await
    }
}

/// Drains, interrupts what remains, and closes the front.
async fn end(
    front: Front,
    service: &Arc<Service>,
    hurry: impl Future<Output = u8>,
) -> Result<(), Error> {
    let limit = service.config.drain;
    service.tracker.drain();
    let active = service.tracker.registry().active();
    quietly(|| {
        info!(
            active_tasks = active,
            drain_seconds = limit.as_secs_f64(),
            "shutting down: nothing new is begun, what runs may end",
        );
    });
    // By the front's clock: this runtime's may stand still, its workers blocked.
    let drained = front.spawn(drained(Arc::clone(service), limit));
    let cut_short = tokio::select! {
        _drained = drained => None,
        signal = hurry => Some(signal),
    };
    if let Some(signal) = cut_short {
        service.go_away(Away::Hurrying);
        let service = Arc::clone(service);
        // Streams have their last word from the front, whatever tasks take.
        let closing = move || front.close();
        within(HURRY, move || {
            let closed = thread::Builder::new().spawn(closing);
            interrupt(&service);
            closed.map_or(Ok(()), JoinHandle::join).unwrap_or_default();
        });
        return Err(Error::CutShort { signal });
    }
    service.go_away(Away::Leaving);
    interrupt(service);
    // It blocks for a moment, which this runtime may need to end answers in.
    spawn_blocking(|| front.close()).await.unwrap_or_default();
    Ok(())
}

/// Ends what is still active.
fn interrupt(service: &Service) {
    let interrupted = service.tracker.interrupt_all();
    if interrupted > 0 {
        quietly(|| {
            warn!(
                interrupted_tasks = interrupted,
                "shut down with tasks running"
            )
        });
    }
}

/// Waits for `last` things to be done, but for so long only: they may depend on
/// others.
fn within(time: Duration, last: impl FnOnce() + Send + 'static) {
    let (told, done) = mpsc::channel();
    let thread = thread::Builder::new().name("taskpulse-end".to_owned());
    // Without a thread they are left undone.
    let started = thread.spawn(move || {
        last();
        told.send(()).unwrap_or_default();
    });
    if started.is_ok() {
        done.recv_timeout(time).unwrap_or_default();
    }
}

/// Ready when neither a request nor a task is at work, or the time is up.
async fn drained(service: Arc<Service>, limit: Duration) {
    let quiet = async {
        while service.tracker.is_working() {
            sleep(LOOK).await;
        }
    };
    timeout(limit, quiet).await.unwrap_or_default();
}

/// The first thing that is printed, whatever `RUST_LOG` says.
fn announce(
    address: SocketAddr,
    admin: Option<SocketAddr>,
    on_terminal: bool,
    greeting: Option<fn(SocketAddr) -> String>,
) {
    if on_terminal {
        let admin = admin.map(|admin| format!(", admin on http://{admin}"));
        let admin = admin.unwrap_or_default();
        let greeting = greeting
            .map(|greeting| greeting(address))
            .unwrap_or_default();
        // A terminal that has gone is no reason to end.
        writeln!(stdout(), "listening on http://{address}{admin}{greeting}").unwrap_or_default();
    } else {
        let admin_address = admin.map(tracing::field::display);
        quietly(|| info!(target: log::LISTENING, %address, admin_address, "listening"));
    }
}

// === impl Doors ===

impl Doors {
    fn open(settings: &Settings, links: Links, on_terminal: bool) -> Result<Self, Error> {
        let listener = listen(settings.host(), settings.port())?;
        let address = listener.local_addr().map_err(Error::Start)?;
        let Some(admin) = &settings.admin_addr else {
            return Ok(Self {
                listeners: vec![(listener, Surface::All)],
                address,
                admin: None,
                on_terminal,
                links,
                warning: None,
            });
        };
        let (host, port) = admin.rsplit_once(':').unwrap_or((admin, "0"));
        let admin = listen(host, port.parse().unwrap_or(0))?;
        let admin_address = admin.local_addr().map_err(Error::Start)?;
        Ok(Self {
            listeners: vec![(listener, Surface::Contract), (admin, Surface::Admin)],
            address,
            admin: Some(admin_address),
            on_terminal,
            links,
            warning: None,
        })
    }
}
