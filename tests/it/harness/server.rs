//! A server in this process.

use std::{net::SocketAddr, sync::mpsc, thread};

use serde_json::{Value, json};
use taskpulse::{App, Error, Tasks};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::oneshot,
};

use super::{Client, PATIENCE, Response};

/// An app that serves on a free port until it is dropped.
///
/// Dropping it shuts it down and asserts that serving ended well and that no
/// task was left over.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) tasks: Tasks,
    stop: Option<oneshot::Sender<()>>,
    ended: mpsc::Receiver<Result<(), Error>>,
}

impl Server {
    /// Serves `app`, its handlers on a runtime with two workers.
    pub(crate) fn spawn(app: App) -> Self {
        Self::spawn_on(
            app,
            Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap(),
        )
    }

    /// Serves `app`, its handlers on `runtime`.
    pub(crate) fn spawn_on(app: App, runtime: Runtime) -> Self {
        let tasks = app.tasks();
        let (told, address) = mpsc::channel();
        let (say_ended, ended) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        thread::spawn(move || {
            let result = runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                told.send(listener.local_addr().unwrap()).unwrap();
                app.serve(listener, async { drop(stopped.await) }).await
            });
            say_ended.send(result).unwrap_or_default();
            runtime.shutdown_background();
        });
        Self {
            address: address.recv_timeout(PATIENCE).expect("the server starts"),
            tasks,
            stop: Some(stop),
            ended,
        }
    }

    /// A new connection.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// One request on a connection of its own.
    pub(crate) fn request(&self, method: &str, path: &str, body: impl AsRef<[u8]>) -> Response {
        self.client().request(method, path, "", body)
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.request("GET", path, "")
    }

    /// `POST /invocations`.
    pub(crate) fn invoke(&self, payload: &Value) -> Response {
        self.request("POST", "/invocations", payload.to_string())
    }

    /// `GET /ping`: the status and the timestamp.
    #[track_caller]
    pub(crate) fn ping(&self) -> (String, u64) {
        let json = self.get("/ping").json();
        let status = json["status"].as_str().expect("a status").to_owned();
        (
            status,
            json["time_of_last_update"].as_u64().expect("an integer"),
        )
    }

    /// `GET /tasks/{id}`.
    #[track_caller]
    pub(crate) fn task(&self, id: impl std::fmt::Display) -> Value {
        self.get(&format!("/tasks/{id}")).json()
    }

    /// How many tasks `/tasks` shows in this state.
    pub(crate) fn count(&self, state: &str) -> usize {
        let page = self.get(&format!("/tasks?state={state}&limit=1000")).json();
        page["tasks"].as_array().map_or(0, Vec::len)
    }

    /// Asks the server to shut down, as a signal would.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Shuts down and waits for the end.
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        self.stop();
        self.ended.recv_timeout(PATIENCE).expect("the server ends")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        let left = self.tasks.get_async_task_info();
        assert_eq!(left.active_count, 0, "left over: {}", json!(left));
        if self.stop.is_some() {
            self.end().expect("serving ends well");
        }
    }
}
