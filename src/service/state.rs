//! What every part of the service shares.

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use tokio::sync::watch;

use super::{budget::Budget, in_flight::Flight};
use crate::track::Tracker;

/// How the service behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServiceConfig {
    /// Bytes of a request's body at most.
    pub(crate) body_limit: usize,
    /// How long requests and tasks may take to end at shutdown.
    pub(crate) drain: Duration,
    /// Whether an invocation in flight makes the status busy.
    pub(crate) busy_while_invoking: bool,
    /// Whether `_agent_core_app_action` is obeyed.
    pub(crate) debug_actions: bool,
}

/// The parts that requests need.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) tracker: Arc<Tracker>,
    pub(crate) config: ServiceConfig,
    pub(super) bodies: Budget,
    /// Requests of the front's own whose spans wait to be made.
    pub(super) accounts: AtomicUsize,
    going_away: watch::Sender<Away>,
    /// How many WebSockets are open.
    sockets: watch::Sender<usize>,
}

/// An open WebSocket, until it is dropped.
#[derive(Debug)]
pub(super) struct OpenSocket(Arc<Service>);

/// Whether WebSockets and streams must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Away {
    No,
    /// The time to drain is up.
    Leaving,
    /// A second signal leaves no time.
    Hurrying,
}

// === impl ServiceConfig ===

impl ServiceConfig {
    /// The payload limit of the AgentCore data plane: 100,000,000 bytes.
    pub(crate) const BODY_LIMIT: usize = 100_000_000;

    /// Below the 15 s that the platform waits before it kills, and equal to
    /// what Docker waits.
    pub(crate) const DRAIN: Duration = Duration::from_secs(10);
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            body_limit: Self::BODY_LIMIT,
            drain: Self::DRAIN,
            busy_while_invoking: false,
            debug_actions: false,
        }
    }
}

// === impl Service ===

impl Service {
    pub(crate) fn new(tracker: Arc<Tracker>, config: ServiceConfig) -> Self {
        Self {
            tracker,
            config,
            bodies: Budget::default(),
            accounts: AtomicUsize::new(0),
            going_away: watch::Sender::new(Away::No),
            sockets: watch::Sender::new(0),
        }
    }

    /// Counts a request in, until what is given back is dropped.
    pub(super) fn take_off(&self, path: &str) -> Flight {
        let busy = self.config.busy_while_invoking && path == "/invocations";
        Flight::take_off(Arc::clone(&self.tracker), busy)
    }

    /// Counts a WebSocket in.
    pub(super) fn open_socket(self: &Arc<Self>) -> OpenSocket {
        self.sockets.send_modify(|open| *open += 1);
        OpenSocket(Arc::clone(self))
    }

    /// Ready when no WebSocket is open.
    pub(super) async fn sockets_closed(&self) {
        // It cannot fail: we hold the sender.
        drop(self.sockets.subscribe().wait_for(|open| *open == 0).await);
    }

    /// Tells open WebSockets and streams that the process goes away.
    pub(crate) fn go_away(&self, how: Away) {
        self.going_away.send_replace(how);
    }

    pub(super) fn is_going_away(&self) -> bool {
        *self.going_away.borrow() != Away::No
    }

    /// Ready when the process goes away; says how.
    pub(super) async fn going_away(&self) -> Away {
        let mut told = self.going_away.subscribe();
        let away = told.wait_for(|away| *away != Away::No).await;
        // It cannot fail: we hold the sender.
        away.map_or(Away::Leaving, |away| *away)
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.sockets.send_modify(|open| *open -= 1);
    }
}
