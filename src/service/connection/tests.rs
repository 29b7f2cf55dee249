//! The time limits, with time that passes at once.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    runtime::Handle,
    time::{interval, sleep},
};

use super::*;
use crate::{
    service::{
        Service, ServiceConfig, Surface, UserRoutes,
        crossing::Crossing,
        ping::PingAnswer,
        router::{admin_router, user_router},
    },
    task::Limits,
    track::Tracker,
};

const PING: &[u8] = b"GET /ping HTTP/1.1\r\nHost: t\r\n\r\n";

fn routes() -> Routes {
    let limits = Limits {
        history: 1,
        max_active: Limits::NO_LIMIT,
    };
    let tracker = Arc::new(Tracker::new(limits));
    let service = Arc::new(Service::new(Arc::clone(&tracker), ServiceConfig::default()));
    let mut user = UserRoutes::default();
    user.entrypoint(async || {
        sleep(Duration::from_secs(3_600)).await;
        "at last"
    });
    Routes {
        surface: Surface::All,
        admin: admin_router(&service),
        ping: PingAnswer::new(tracker),
        crossing: Crossing {
            router: user_router(user),
            service,
            runtime: Handle::current(),
        },
    }
}

/// The client's end of a connection that is served, and its beginning.
async fn connection() -> (TcpStream, Instant) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await;
    let (stream, _) = listener.accept().await.unwrap();
    let (tell, phase) = watch::channel(Phase::Serving);
    tokio::spawn(async move {
        serve(stream, routes(), phase, None).await;
        drop(tell);
    });
    (client.unwrap(), Instant::now())
}

/// What comes next, up to a pause.
async fn answer(client: &mut TcpStream) -> String {
    let mut bytes = [0; 1_024];
    let read = client.read(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}

/// Asserts that the server hangs up, in silence, `seconds` after `since`.
#[track_caller]
fn assert_cut(answer: &str, since: Instant, seconds: u64) {
    assert_eq!(answer, "");
    assert_eq!(since.elapsed().as_secs(), seconds);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_cut() {
    let (mut client, began) = connection().await;
    assert_cut(&answer(&mut client).await, began, 10);
}

#[tokio::test(start_paused = true)]
async fn dripping_headers_are_cut() {
    let (client, began) = connection().await;
    let (mut answers, mut requests) = client.into_split();
    let dripping = tokio::spawn(async move {
        let mut ticks = interval(Duration::from_millis(300));
        requests.write_all(b"GET /ping HTTP/1.1\r\nX: ").await?;
        while requests.write_all(b"x").await.is_ok() {
            ticks.tick().await;
        }
        Ok::<_, io::Error>(())
    });
    let mut nothing = [0];
    // A reset, where a byte came after the end.
    assert!(matches!(answers.read(&mut nothing).await, Ok(0) | Err(_)));
    assert_eq!(began.elapsed().as_secs(), 10);
    dripping.abort();
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_stays_for_75_s() {
    let (mut client, _) = connection().await;
    sleep(Duration::from_secs(3)).await;
    for _ in 0..3 {
        client.write_all(PING).await.unwrap();
        assert!(answer(&mut client).await.contains("Healthy"));
        sleep(Duration::from_secs(70)).await;
    }
    client.write_all(PING).await.unwrap();
    assert!(answer(&mut client).await.contains("Healthy"));
    let idle = Instant::now();
    assert_cut(&answer(&mut client).await, idle, 75);
}

#[tokio::test(start_paused = true)]
async fn a_later_request_has_10_s_for_its_headers_as_well() {
    let (mut client, _) = connection().await;
    client.write_all(PING).await.unwrap();
    assert!(answer(&mut client).await.contains("Healthy"));
    sleep(Duration::from_secs(30)).await;
    client.write_all(b"GET /pi").await.unwrap();
    let half = Instant::now();
    assert_cut(&answer(&mut client).await, half, 10);
}

#[tokio::test(start_paused = true)]
async fn a_body_may_be_silent_for_30_s() {
    let (mut client, began) = connection().await;
    let head = b"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\n";
    client.write_all(head).await.unwrap();
    sleep(Duration::from_secs(29)).await;
    client.write_all(b"1").await.unwrap();
    let text = answer(&mut client).await;
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    assert_eq!(began.elapsed().as_secs(), 59);
    assert_cut(&answer(&mut client).await, began, 60);
}

#[tokio::test(start_paused = true)]
async fn an_answer_takes_as_long_as_it_takes() {
    let (mut client, began) = connection().await;
    let head = b"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n";
    client.write_all(head).await.unwrap();
    assert!(answer(&mut client).await.ends_with("at last"));
    assert_eq!(began.elapsed().as_secs(), 3_600);
}
