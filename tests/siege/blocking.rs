//! An app whose user code blocks, wherever there is user code.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, routing::get};
use futures_util::{
    Stream, StreamExt as _,
    stream::{once, pending, poll_fn},
};
use taskpulse::{App, Tasks, WebSocket};
use tower::util::MapRequestLayer;

/// Holds the threads that come to it until it is opened.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<State>);

#[derive(Default)]
struct State {
    held: AtomicUsize,
    open: AtomicBool,
}

impl Gate {
    /// Blocks this thread, as user code should not.
    fn hold(&self) {
        self.0.held.fetch_add(1, SeqCst);
        while !self.0.open.load(SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
        self.0.held.fetch_sub(1, SeqCst);
    }

    /// Threads that are blocked.
    pub(crate) fn held(&self) -> usize {
        self.0.held.load(SeqCst)
    }

    pub(crate) fn open(&self) {
        self.0.open.store(true, SeqCst);
    }

    /// A stream that blocks when it is asked for its first item.
    fn source(&self) -> impl Stream<Item = Result<&'static str, Infallible>> + Send + use<> {
        let gate = self.clone();
        poll_fn(move |_| {
            gate.hold();
            Poll::Ready(None)
        })
    }
}

/// One item and its end; dropping it blocks.
struct Clinging(Option<&'static str>, Gate);

impl Stream for Clinging {
    type Item = Result<&'static str, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

impl Drop for Clinging {
    fn drop(&mut self) {
        self.1.hold();
    }
}

/// Each path blocks in a way of its own, but for `/idle` and `/plain`; that one
/// is blocked by a layer where a header asks for it.
pub(crate) fn app(gate: &Gate) -> App {
    let gates: [Gate; 8] = std::array::from_fn(|_| gate.clone());
    let [
        handler,
        layer,
        merged,
        events,
        body,
        destructor,
        websocket,
        task,
    ] = gates;
    App::new()
        .route("/plain", get(async || ()))
        .layer(MapRequestLayer::new(move |request: Request| {
            if request.headers().contains_key("x-block") {
                layer.hold();
            }
            request
        }))
        .entrypoint(async move || handler.hold())
        .merge(Router::new().route("/merged", get(async move || merged.hold())))
        .route(
            "/events",
            get(async move || taskpulse::stream(events.source())),
        )
        .route("/body", get(async move || Body::from_stream(body.source())))
        .route(
            "/destructor",
            get(async move || Body::from_stream(Clinging(Some("item"), destructor))),
        )
        .route(
            "/task",
            get(async move |tasks: Tasks| {
                let work = async move {
                    task.hold();
                    Ok::<_, Infallible>(())
                };
                tasks.begin("blocking").spawn(work).map(drop)
            }),
        )
        .websocket(move |socket: WebSocket| {
            let gate = websocket.clone();
            async move {
                gate.hold();
                drop(socket);
            }
        })
        .route(
            "/idle",
            get(async || {
                let first = once(async { Ok::<_, Infallible>("open") });
                taskpulse::stream(first.chain(pending()))
            }),
        )
}
