//! Rows 70 to 79: WebSockets.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use axum::extract::ws::{CloseFrame, Message as Sent};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use taskpulse::{App, WebSocket};
use tokio::{runtime::Builder, time::sleep};
use tokio_tungstenite::tungstenite::{
    self, Message, client::IntoClientRequest as _, protocol::WebSocketConfig,
};

use super::{
    routing::echo,
    table::{
        Ask, Body,
        Check::{Asks, Story},
        Row,
        Verdict::{Differs, NoEquivalent, Same, SameBut},
        answer, rows,
    },
};
use crate::harness::{Client, PATIENCE, Server};

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

const ACCEPTS: &str = "Every upgrade is accepted before the handler is called: whoever must refuse one does so in a layer.";
const CLOSES: &str = "A client must be able to tell an end from a broken connection.";
const REFUSED: Body = Body::Error("No WebSocket handler defined");

rows! {
    row_70_no_handler: Row {
        number: 70,
        request: "an upgrade at `/ws`, no handler registered",
        sdk: "403, no body",
        check: Asks(echo, &[(Ask::Sent("GET", "/ws", UPGRADE, b""), answer(403, REFUSED))]),
        verdict: Differs("Every error of ours says what is wrong, in JSON."),
    },
    row_71_another_path: Row {
        number: 71,
        request: "an upgrade at another path, or at `/invocations`",
        sdk: "403, no body",
        check: Asks(echoing, &[
            (Ask::Sent("GET", "/nope", UPGRADE, b""), answer(403, REFUSED)),
            (Ask::Sent("GET", "/invocations", UPGRADE, b""), answer(403, REFUSED)),
        ]),
        verdict: Differs("Every error of ours says what is wrong, in JSON."),
    },
    row_72_failing_before_accepting: Row {
        number: 72,
        request: "the handler raises before it accepts",
        sdk: "403",
        check: Story("101, then a close frame 1011", a_handler_may_fail_at_once),
        verdict: NoEquivalent(ACCEPTS),
    },
    row_73_returning_before_accepting: Row {
        number: 73,
        request: "the handler returns before it accepts",
        sdk: "500 `Internal Server Error`",
        check: Story("101, then a close frame 1000", a_handler_may_return_at_once),
        verdict: NoEquivalent(ACCEPTS),
    },
    row_74_failing: Row {
        number: 74,
        request: "the handler raises after it has accepted",
        sdk: "close frame 1011 without a reason",
        check: Story("close frame 1011 without a reason, after an error as after a panic", failures_close_with_1011),
        verdict: Same,
    },
    row_75_returning: Row {
        number: 75,
        request: "the handler returns without closing",
        sdk: "the connection ends without a close frame (1006 for the client)",
        check: Story("what it sent, then a close frame 1000", an_end_closes_with_1000),
        verdict: Differs(CLOSES),
    },
    row_76_closing: Row {
        number: 76,
        request: "the handler closes",
        sdk: "close frame 1000",
        check: Story("close frame 1000, or the handler's own code and reason", the_handler_may_close),
        verdict: Same,
    },
    row_77_sizes: Row {
        number: 77,
        request: "texts of 40 KB, of 2 MiB, of more than 16 MiB",
        sdk: "taken, taken, close frame 1009",
        check: Story("taken, taken, close frame 1009", messages_may_have_16_mib),
        verdict: Same,
    },
    row_78_extensions: Row {
        number: 78,
        request: "extensions, sub-protocols, pings",
        sdk: "permessage-deflate is offered; sub-protocols are ignored; the server pings every 20 s, and drops a client that does not answer within 20 s",
        check: Story(
            "no extension; sub-protocols are ignored; the server pings every 20 s, and a client that is gone is noticed by TCP",
            nothing_is_negotiated_and_pings_go_out,
        ),
        verdict: Differs("Compression costs memory for each connection. A client that answers no ping may be slow; to one that is gone, nothing can be written before long."),
    },
    row_79_context: Row {
        number: 79,
        request: "the handler's context",
        sdk: "session id and headers as for HTTP; accepting is the handler's job",
        check: Story("session id, request id and headers as for HTTP, tasks under these ids; accepting is done", the_handler_has_the_context),
        verdict: SameBut(ACCEPTS),
    },
}

type Socket = tungstenite::WebSocket<TcpStream>;

/// An app that sends back what it gets.
fn echoing() -> App {
    echo().websocket(|mut socket: WebSocket| async move {
        while let Some(message) = socket.next().await {
            socket.send(message?).await?;
        }
        Ok::<_, axum::Error>(())
    })
}

/// A client that takes whatever it is sent.
fn connect(address: SocketAddr, headers: &[(&'static str, &'static str)]) -> Socket {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let config = WebSocketConfig::default()
        .max_message_size(None)
        .max_frame_size(None);
    let (socket, response) =
        tungstenite::client::client_with_config(request, stream, Some(config)).unwrap();
    assert_eq!(response.status(), 101);
    socket
}

/// Reads to the close frame: the texts before it, its code and reason.
#[track_caller]
fn read_out(socket: &mut Socket) -> (Vec<String>, u16, String) {
    let mut texts = Vec::new();
    loop {
        match socket.read().expect("a close frame comes first") {
            Message::Text(text) => texts.push(text.to_string()),
            Message::Close(Some(frame)) => {
                return (texts, frame.code.into(), frame.reason.to_string());
            }
            other => panic!("{other:?} comes from nobody"),
        }
    }
}

/// What a client sees that says nothing.
#[track_caller]
fn check_end(app: App, texts: &[&str], code: u16, reason: &str) {
    let server = Server::spawn(app);
    let mut socket = connect(server.address, &[]);
    let texts = texts.iter().map(|&text| text.to_owned()).collect();
    assert_eq!(read_out(&mut socket), (texts, code, reason.to_owned()));
    // Our close frame was answered; then the server hangs up.
    assert!(matches!(
        socket.read(),
        Err(tungstenite::Error::ConnectionClosed)
    ));
}

fn a_handler_may_fail_at_once() {
    check_end(
        echo().websocket(|_: WebSocket| async { Err("no") }),
        &[],
        1011,
        "",
    );
}

fn a_handler_may_return_at_once() {
    check_end(echo().websocket(|_: WebSocket| async {}), &[], 1000, "");
}

fn failures_close_with_1011() {
    let fails = |mut socket: WebSocket| async move {
        socket.send(Sent::text("so far")).await.unwrap();
        Err("no further")
    };
    check_end(echo().websocket(fails), &["so far"], 1011, "");
    let panics = |mut socket: WebSocket| async move {
        socket.send(Sent::text("so far")).await.unwrap();
        assert!(
            socket.context().session_id().is_some(),
            "nobody named a session"
        );
    };
    check_end(echo().websocket(panics), &["so far"], 1011, "");
}

fn an_end_closes_with_1000() {
    let returns = |mut socket: WebSocket| async move {
        socket.send(Sent::text("one")).await.unwrap();
        socket.send(Sent::text("two")).await.unwrap();
    };
    check_end(echo().websocket(returns), &["one", "two"], 1000, "");
}

fn the_handler_may_close() {
    for (code, reason) in [(1000, ""), (4001, "enough")] {
        let closes = move |mut socket: WebSocket| async move {
            let reason = reason.into();
            let frame = CloseFrame { code, reason };
            socket.send(Sent::Close(Some(frame))).await.unwrap();
        };
        check_end(echo().websocket(closes), &[], code, reason);
    }
}

fn messages_may_have_16_mib() {
    const MOST: usize = 16 * 1_024 * 1_024;
    let server = Server::spawn(echoing());
    let mut socket = connect(server.address, &[]);
    for length in [40_000, 2 * 1_024 * 1_024, MOST] {
        let text = "x".repeat(length);
        socket.send(Message::text(text.clone())).unwrap();
        assert!(
            socket.read().unwrap() == Message::text(text),
            "{length} come back"
        );
    }
    let mut stream = socket.get_ref().try_clone().unwrap();
    let sending = thread::spawn(move || {
        let mut frame = vec![0x81, 0xff];
        frame.extend((MOST as u64 + 1).to_be_bytes());
        frame.resize(2 + 8 + 4 + MOST + 1, b' ');
        // The server need not read it all.
        stream.write_all(&frame).unwrap_or_default();
    });
    let (_, code, _) = read_out(&mut socket);
    assert_eq!(code, 1009);
    sending.join().unwrap();
    assert_eq!(server.ping().0, "Healthy");
}

fn nothing_is_negotiated_and_pings_go_out() {
    // The handler's clock moves on when there is nothing to do.
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let app = echo().websocket(|mut socket: WebSocket| async move {
        for text in ["after 19.9 s", "after 39.8 s", "after 59.7 s"] {
            sleep(Duration::from_millis(19_900)).await;
            if socket.send(Sent::text(text)).await.is_err() {
                return; // The first client has left.
            }
        }
        // Ending here would race with a client that is not done reading.
        while let Some(Ok(_)) = socket.next().await {}
    });
    let server = Server::spawn_on(app, runtime);
    let offers = "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: chat\r\n";
    let mut client = Client::connect(server.address);
    client.send(format!(
        "GET /ws HTTP/1.1\r\nHost: t\r\n{UPGRADE}{offers}\r\n"
    ));
    let head = client.head();
    assert_eq!(head.status, 101);
    assert_eq!(
        head.header("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    assert_eq!(head.header("sec-websocket-extensions"), None);
    assert_eq!(head.header("sec-websocket-protocol"), None);
    drop(client);

    let mut socket = connect(server.address, &[]);
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| last != "after 59.7 s") {
        match socket.read().unwrap() {
            Message::Text(text) => seen.push(text.to_string()),
            other => {
                assert!(other.is_ping(), "{other:?}");
                seen.push("ping".to_owned());
            }
        }
    }
    assert_eq!(
        seen,
        [
            "after 19.9 s",
            "ping",
            "after 39.8 s",
            "ping",
            "after 59.7 s"
        ]
    );
}

fn the_handler_has_the_context() {
    let app = echo().websocket(|mut socket: WebSocket| async move {
        let id = socket.tasks().add_async_task("talk", ()).unwrap();
        let context = socket.context();
        let headers = context.headers().keys().map(|name| name.as_str());
        let said = json!({
            "session": context.session_id(),
            "request": context.request_id(),
            "headers": headers.collect::<Vec<_>>(),
            "task": id,
        });
        assert!(socket.tasks().complete_async_task(id));
        socket.send(Sent::text(said.to_string())).await.unwrap();
    });
    let server = Server::spawn(app);
    let headers = [
        ("x-amzn-bedrock-agentcore-runtime-session-id", "session-1"),
        ("x-amzn-bedrock-agentcore-runtime-request-id", "request-1"),
        ("x-tenant", "acme"),
    ];
    let mut socket = connect(server.address, &headers);
    let (texts, code, _) = read_out(&mut socket);
    assert_eq!(code, 1000);
    let said: Value = serde_json::from_str(&texts[0]).unwrap();
    assert_eq!(said["session"], "session-1");
    assert_eq!(said["request"], "request-1");
    assert_eq!(said["headers"], json!(["x-tenant"]));
    let task = server.task(&said["task"]);
    assert_eq!(task["session_id"], "session-1");
    assert_eq!(task["request_id"], "request-1");
}

#[test]
fn a_ping_of_the_client_is_answered() {
    let server = Server::spawn(echoing());
    let mut socket = connect(server.address, &[]);
    socket.send(Message::Ping("are you there".into())).unwrap();
    loop {
        // The handler's messages include the ping, which it sends back.
        match socket.read().unwrap() {
            Message::Pong(payload) => break assert_eq!(payload, "are you there"),
            other => assert_eq!(other, Message::Ping("are you there".into())),
        }
    }
    socket.send(Message::text("go on")).unwrap();
    socket.close(None).unwrap();
}

#[test]
fn a_bad_upgrade_is_refused() {
    let server = Server::spawn(echoing());
    let plain = server.get("/ws");
    answer(404, Body::Detailed("Not Found")).check(&plain, "no upgrade");
    let no_key = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    let response = server.client().request("GET", "/ws", no_key, "");
    answer(400, Body::Detailed("Bad WebSocket upgrade")).check(&response, "no key");
    let old = UPGRADE.replace("13", "8");
    let response = server.client().request("GET", "/ws", &old, "");
    answer(400, Body::Detailed("Bad WebSocket upgrade")).check(&response, "an old version");
}
