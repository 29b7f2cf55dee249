//! From listening to the end.

use std::{
    future::{Future, pending, poll_fn},
    io::{IsTerminal as _, Write as _, stdout},
    net::{SocketAddr, TcpListener as StdListener},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{
    net::TcpListener,
    runtime::{Builder, Handle},
    sync::Mutex,
};
use tracing::{info, warn};

use super::{
    App,
    end::{aside, end, hurry},
    links::Links,
    listen::listen,
    signals::Signals,
};
use crate::{
    Error, Tasks,
    config::Settings,
    service::{Front, Service, Surface, user_router},
    telemetry::{
        self, Config,
        log::{self, LogFormat, LogGuard},
        quietly,
    },
    track::chain_hook,
};

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
    /// thread or a socket, [`Error::StoreInUse`] where another process has the
    /// store, [`Error::CutShort`] after a second signal.
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
        let handle = work.handle().clone();
        let mut work = Some(work);
        let last = telemetry.clone();
        let last = |time| {
            // A worker that user code blocks must not keep the process.
            if let Some(work) = work.take() {
                work.shutdown_background();
            }
            aside(move || last.end(time))
        };
        let ended = control.block_on(async {
            let signals = Arc::new(Mutex::new(Signals::listen().map_err(Error::Start)?));
            let again = Arc::clone(&signals);
            let first = async move {
                signals.lock().await.next().await;
            };
            let second = async move { again.lock().await.next().await };
            self.operate(doors, handle, first, (second, last)).await
        });
        if let Some(work) = work {
            work.shutdown_background();
        }
        if let Err(Error::CutShort { .. }) = ended {
            hurry(&tracker, telemetry, log);
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
    /// [`Error::Start`] where the operating system refuses a thread or a socket,
    /// [`Error::StoreInUse`] where another process has the store.
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
        let last = async move |time| {
            // The last values can be read as long as the tracker is there.
            if let Some(reporter) = tracker.reporter() {
                reporter.telemetry.flush_soon(time).await;
            }
        };
        self.operate(doors, Handle::current(), shutdown, (pending(), last))
            .await
    }

    /// Serves until `shutdown`, then goes down as `end` has it. User code runs on
    /// `work`.
    async fn operate<L: Future<Output = ()>>(
        mut self,
        doors: Doors,
        work: Handle,
        shutdown: impl Future<Output = ()>,
        (hurry, last): (impl Future<Output = u8>, impl FnOnce(Duration) -> L),
    ) -> Result<(), Error> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        self.tracker.runs_on(&work);
        let telemetry = self.report()?;
        // Before the store is read: names of lost tasks are not what the app was given.
        let names = self.tracker.registry().overflowed().then(|| {
            "App::task_names has more names than metrics tell apart; the last ones are _OTHER there"
                .to_owned()
        });
        let found = self.store.start(&self.tracker, &telemetry).await?;
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
        found.announce(&service.tracker);
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
        end(front, &service, hurry, last).await
    }
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
