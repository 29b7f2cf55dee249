//! Pages: their length, the way from one to the next, and their size.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
};

use serde_json::{Value, json};
use taskpulse::App;

use crate::harness::{PATIENCE, Server, eventually};

#[test]
fn pages_are_full_but_for_the_last() {
    let server = Server::spawn(App::new());
    let ids: Vec<_> = (0..1_101)
        .map(|_| server.tasks.add_async_task("n", ()).unwrap())
        .collect();
    let page = |query: &str| {
        let page = server.get(&format!("/tasks{query}")).json();
        (
            page["tasks"].as_array().unwrap().len(),
            page["next"].clone(),
        )
    };
    assert_eq!(page("").0, 100, "the default");
    assert_eq!(page("?limit=1"), (1, json!(ids[1_100])));
    let (length, next) = page("?limit=1000");
    assert_eq!(length, 1_000);
    assert_eq!(
        page(&format!("?limit=1000&cursor={next}")),
        (101, Value::Null)
    );
    assert_eq!(
        page(&format!("?limit=101&cursor={next}")),
        (101, Value::Null)
    );
    assert_eq!(
        page(&format!("?limit=100&cursor={next}")),
        (100, json!(ids[1]))
    );
    assert_eq!(page(&format!("?cursor={}", ids[0])), (0, Value::Null));
    for id in ids {
        assert!(server.tasks.complete_async_task(id));
    }
}

/// While others begin and end, what was there before is seen once.
#[test]
fn a_walk_visits_each_task_once() {
    let server = Server::spawn(App::new());
    let tasks = &server.tasks;
    // The history keeps the last 1,000: those that end meanwhile are fewer.
    let there: Vec<_> = (0..600)
        .map(|_| tasks.add_async_task("there", ()).unwrap())
        .collect();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Ends them from both sides while they are looked at.
            let (old, new) = there.split_at(300);
            for (old, new) in old.iter().zip(new.iter().rev()) {
                assert!(tasks.complete_async_task(*old));
                assert!(tasks.complete_async_task(*new));
                thread::yield_now();
            }
            over.store(true, SeqCst);
        });
        scope.spawn(|| {
            while !over.load(SeqCst) {
                // They stay active, so that the history keeps the others.
                tasks.add_async_task("new", ()).unwrap();
                thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        let mut walks = 0;
        while walks == 0 || !over.load(SeqCst) {
            let seen = walk(&server, 7);
            let distinct: HashSet<_> = seen.iter().copied().collect();
            assert_eq!(distinct.len(), seen.len(), "none twice");
            assert!(
                seen.windows(2).all(|pair| pair[0] > pair[1]),
                "newest first"
            );
            for id in &there {
                assert!(distinct.contains(&u64::from(*id)), "{id} was passed over");
            }
            walks += 1;
        }
    });
    for job in tasks.get_async_task_info().running_jobs {
        assert!(tasks.complete_async_task(job.id));
    }
}

fn walk(server: &Server, limit: usize) -> Vec<u64> {
    let mut client = server.client();
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/tasks?limit={limit}{cursor}");
        let page = client.request("GET", &path, "", "").json();
        let tasks = page["tasks"].as_array().unwrap();
        seen.extend(tasks.iter().map(|task| task["id"].as_u64().unwrap()));
        if page["next"].is_null() {
            return seen;
        }
        assert_eq!(tasks.len(), limit, "full but for the last");
        cursor = format!("&cursor={}", page["next"]);
    }
}

/// 200 MB go out piece by piece, and the status in between.
#[test]
fn a_page_of_great_tasks_does_not_keep_ping_waiting() {
    const TASKS: usize = 1_000;
    let server = Server::spawn(App::new());
    let text = "x".repeat(200 * 1_024);
    let ids: Vec<_> = (0..TASKS)
        .map(|_| {
            server
                .tasks
                .add_async_task("great", json!({"text": text}))
                .unwrap()
        })
        .collect();
    let mut client = server.client();
    client.send("GET /tasks?limit=1000 HTTP/1.1\r\nHost: t\r\n\r\n");
    let head = client.head();
    assert_eq!(head.status, 200);
    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    // Nobody reads the page yet.
    assert_eq!(server.ping().0, "HealthyBusy");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut pinging = server.client();
        let done = &done;
        let pings = scope.spawn(move || {
            let mut slowest = std::time::Duration::ZERO;
            let mut pings = 0;
            while !done.load(SeqCst) {
                let asked = std::time::Instant::now();
                let ping = pinging.request("GET", "/ping", "", "").json();
                assert_eq!(ping["status"], "HealthyBusy");
                slowest = slowest.max(asked.elapsed());
                pings += 1;
            }
            (pings, slowest)
        });
        let (mut length, mut tail) = (0, Vec::new());
        while let Some(chunk) = client.chunk() {
            length += chunk.len();
            tail = chunk;
        }
        done.store(true, SeqCst);
        assert!(length > TASKS * text.len(), "{length}");
        assert!(tail.ends_with(b"],\"next\":null}"));
        let (pings, slowest) = pings.join().unwrap();
        assert!(pings > 100, "{pings} pings while it was written");
        assert!(slowest < PATIENCE / 10, "{slowest:?}");
    });
    for id in ids {
        assert!(server.tasks.complete_async_task(id));
    }
    eventually("healthy again", || server.ping().0 == "Healthy");
}
