//! An app that is put together wrongly does not start, and says why.

use axum::{Router, routing::get};
use taskpulse::{App, Error, WebSocket};
use tokio::{net::TcpListener, runtime::Builder};

use super::{child::complaint, routing::echo};
use crate::harness::Server;

async fn handler() {}

async fn talk(_: WebSocket) {}

/// Both ways of starting give back this error.
#[track_caller]
fn check(app: fn() -> App, message: &str) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let served = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        app().serve(listener, std::future::pending()).await
    });
    for started in [served, app().run()] {
        let error = started.expect_err(message);
        assert!(matches!(error, Error::Usage(_)), "{error}");
        assert_eq!(error.to_string(), message);
        assert_eq!(error.exit_code(), 2);
    }
    let mounted = std::panic::catch_unwind(|| drop(app().into_router()));
    let panic = mounted.expect_err(message);
    assert_eq!(
        panic.downcast_ref::<String>().map(String::as_str),
        Some(message)
    );
}

#[test]
fn paths_of_ours_are_no_routes_of_yours() {
    macro_rules! check_paths {
        ($($path:literal)*) => {$(
            check(
                || echo().route($path, get(handler)),
                concat!("the route ", $path, " is taskpulse's own; choose another path"),
            );
        )*};
    }
    check_paths!("/" "/ping" "/invocations" "/ws" "/metrics" "/ready" "/tasks" "/tasks/events");
    check_paths!("/tasks/{id}" "/tasks/{id}/cancel" "/tasks/mine" "/console" "/openapi.json");
}

#[test]
fn other_paths_are() {
    let app = echo()
        .route("/mine", get(|| async { "mine" }))
        .route("/task", get(|| async { "task" }))
        .route("/pings", get(|| async { "pings" }))
        .merge(Router::new().route("/merged/{name}", get(|| async { "merged" })));
    let server = Server::spawn(app);
    for (path, text) in [
        ("/mine", "mine"),
        ("/task", "task"),
        ("/pings", "pings"),
        ("/merged/x", "merged"),
    ] {
        assert_eq!(server.get(path).text(), text);
    }
}

#[test]
fn there_is_one_handler_of_a_kind() {
    check(
        || echo().entrypoint(handler),
        "App::entrypoint was called twice; one handler answers POST /invocations",
    );
    check(
        || echo().websocket(talk).websocket(talk),
        "App::websocket was called twice; one handler answers GET /ws",
    );
}

#[test]
fn the_first_mistake_is_named() {
    check(
        || echo().route("/ready", get(handler)).entrypoint(handler),
        "the route /ready is taskpulse's own; choose another path",
    );
}

#[test]
fn run_is_not_for_the_inside_of_a_runtime() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let error = runtime
        .block_on(async { echo().run() })
        .expect_err("it starts none");
    assert!(matches!(error, Error::InsideRuntime), "{error}");
    assert!(error.to_string().contains("App::serve"), "{error}");
}

#[test]
fn a_taken_port_is_named_but_does_not_hide_a_mistake() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let said = complaint("echo", port);
    let in_use = format!("127.0.0.1:{port} is already in use");
    assert!(said.contains(&in_use) && said.contains("--port"), "{said}");
    let said = complaint("two_entrypoints", port);
    assert!(said.contains("App::entrypoint was called twice"), "{said}");
}
