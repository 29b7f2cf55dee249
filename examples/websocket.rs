//! A WebSocket that sends back what it gets, and counts it in a task.
//!
//! ```text
//! cargo run --example websocket
//! python3 -m websockets ws://127.0.0.1:8080/ws
//! curl http://127.0.0.1:8080/tasks
//! ```

use axum::extract::ws::Message;
use futures_util::{SinkExt as _, StreamExt as _};
use taskpulse::{App, Error, WebSocket};

async fn echo(mut socket: WebSocket) -> Result<(), axum::Error> {
    let begun = socket.tasks().begin("echo").start();
    let task = begun.map_err(axum::Error::new)?;
    let mut echoed = 0;
    while let Some(message) = socket.next().await {
        match message? {
            // What a client says in text or bytes goes back as it came.
            said @ (Message::Text(_) | Message::Binary(_)) => {
                socket.send(said).await?;
                echoed += 1;
            }
            Message::Close(_) => break,
            // Pings have been answered already.
            Message::Ping(_) | Message::Pong(_) => {}
        }
    }
    // An error above, or a client that vanished, leaves the task `interrupted`.
    task.succeed_with(echoed);
    Ok(())
}

fn main() -> Result<(), Error> {
    App::new().websocket(echo).run()
}
