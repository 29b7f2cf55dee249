//! The AgentCore HTTP contract and what stands around it.
//!
//! A request's way: [`front`] accepts the connection on a thread of its own,
//! [`connection`] reads it, [`routes`] decides whose it is. `/ping`, `/ready`,
//! `/metrics` and the tasks API are answered there. Everything else crosses over to the
//! runtime of the user's code ([`crossing`]) with its whole body ([`upload`]),
//! and the answer comes back ([`body`]). No user code runs on the front, not
//! even a destructor.

mod account;
mod body;
mod budget;
mod connection;
mod context;
mod crossing;
mod debug;
mod errors;
mod fallback;
mod flying;
mod front;
mod headers;
mod in_flight;
mod introduction;
mod metrics;
mod payload;
mod ping;
mod ping_handler;
mod ready;
mod router;
mod routes;
mod state;
mod stream;
mod tasks;
mod upload;
mod visit;
mod websocket;

#[cfg(feature = "cli")]
pub(crate) use context::SESSION_ID;
pub use context::{Context, Secret};
pub(crate) use front::{Front, Surface};
pub(crate) use in_flight::NoteRoute;
pub use payload::Payload;
pub use ping_handler::{Answer, Asked, AtOnce, Awaited, IntoPing, PingHandler};
pub(crate) use ping_handler::{Probe, keep_asking};
pub(crate) use router::{RESERVED, UserRoutes, mounted_router, user_router};
pub(crate) use state::{Away, Service, ServiceConfig};
pub use stream::stream;
pub(crate) use websocket::websocket_route;
pub use websocket::{WebSocket, WebSocketOutcome};
