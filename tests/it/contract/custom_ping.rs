//! Rows 12 to 18: a status that user code decides, and a forced one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Instant,
};

use taskpulse::{App, PingStatus, Tasks, ping::PingHandler};

use super::{
    child::Child,
    routing::echo,
    table::{
        Check::Story,
        Row,
        Verdict::{Differs, NoEquivalent, Same, SameBut},
        rows,
    },
};
use crate::harness::{Server, eventually};

rows! {
    row_12_the_handler_fails: Row {
        number: 12,
        request: "a custom ping handler raises",
        sdk: "200, automatic status; a warning in the log on every ping",
        check: Story(
            "200, automatic status, after an error as after a panic; a warning each time it is asked, which is once a second",
            a_failing_handler_leaves_it_to_the_tasks,
        ),
        verdict: Differs("The handler is asked off the path of `/ping`, so the log does not grow with the pings."),
    },
    row_13_the_handler_returns_a_text: Row {
        number: 13,
        request: "it returns `\"HealthyBusy\"` or `\"Healthy\"`, a string",
        sdk: "200, accepted",
        check: Story("200, accepted, from the next time it is asked", a_text_is_a_status),
        verdict: SameBut("It is asked once a second."),
    },
    row_14_the_handler_returns_another_text: Row {
        number: 14,
        request: "it returns an unknown string, `\"Sick\"`",
        sdk: "200, automatic status",
        check: Story("200, automatic status", another_text_is_none),
        verdict: Same,
    },
    row_15_the_handler_returns_none: Row {
        number: 15,
        request: "it returns `None`",
        sdk: "200, automatic status",
        check: Story("200, automatic status", none_leaves_it_to_the_tasks),
        verdict: Same,
    },
    row_16_the_handler_is_async: Row {
        number: 16,
        request: "it returns another type (an int), or is `async def`",
        sdk: "200, always `Healthy` and now, even with tasks running",
        check: Story(
            "200, an `async` handler's status counts, its timestamp moves with the status only",
            an_async_handler_counts,
        ),
        verdict: Differs("A handler that returns another type does not compile."),
    },
    row_17_forced_with_a_text: Row {
        number: 17,
        request: "`force_ping_status(\"HealthyBusy\")`, a plain string",
        sdk: "200, `Healthy` and now; any string is accepted",
        check: Story("200, what is forced", only_a_status_can_be_forced),
        verdict: NoEquivalent("`force_ping_status` takes a `PingStatus`: a string does not compile."),
    },
    row_18_the_handler_asks_for_the_status: Row {
        number: 18,
        request: "it calls `get_current_ping_status()`",
        sdk: "200, about 499 nested calls per ping, then the automatic status",
        check: Story(
            "200, the handler is told what holds without it: the forced or the automatic status",
            the_handler_may_ask_for_the_status,
        ),
        verdict: Differs("So it may say `busy` at times and leave the rest to the tasks."),
    },
}

/// A handler of these answers, and how often it was asked.
#[derive(Clone, Debug, Default)]
struct Asked(Arc<AtomicUsize>);

// === impl Asked ===

impl Asked {
    /// One more time; the number of the times before.
    fn count(&self) -> usize {
        self.0.fetch_add(1, SeqCst)
    }

    /// Waits until what was answered the first `times` has been taken over.
    fn wait(&self, times: usize) {
        eventually("the handler is asked again", || self.0.load(SeqCst) > times);
    }
}

fn serving<Kind>(handler: impl PingHandler<Kind>) -> Server {
    Server::spawn(echo().ping(handler))
}

/// Whatever the handler does, the tasks decide.
#[track_caller]
fn tasks_decide(server: &Server, asked: &Asked) {
    asked.wait(1);
    assert_eq!(server.ping().0, "Healthy");
    let task = server.tasks.add_async_task("job", ()).unwrap();
    assert_eq!(server.ping().0, "HealthyBusy");
    asked.wait(2);
    assert_eq!(server.ping().0, "HealthyBusy");
    assert!(server.tasks.complete_async_task(task));
    assert_eq!(server.ping().0, "Healthy");
}

fn a_failing_handler_leaves_it_to_the_tasks() {
    let asked = Asked::default();
    let counted = asked.clone();
    let fails = move || match counted.count() % 2 {
        0 => Err::<PingStatus, _>("no idea"),
        _ => panic!("no idea either"),
    };
    tasks_decide(&serving(fails), &asked);

    let child = Child::spawn("failing_ping");
    let warnings = || child.log_of("the ping handler gave no status");
    eventually("a second warning", || {
        assert_eq!(child.client().request("GET", "/ping", "", "").status, 200);
        warnings().len() > 1
    });
    assert!(warnings().len() < 4, "as many as pings: {:?}", warnings());
    assert!(warnings().iter().all(|line| line["error"] == "no idea"));
}

fn a_text_is_a_status() {
    let asked = Asked::default();
    let counted = asked.clone();
    let server = serving(move || match counted.count() {
        0 => "HealthyBusy",
        _ => "Healthy",
    });
    asked.wait(0);
    eventually("busy", || server.ping().0 == "HealthyBusy");
    let task = server.tasks.add_async_task("job", ()).unwrap();
    // Custom wins over automatic.
    eventually("healthy", || server.ping().0 == "Healthy");
    assert!(server.tasks.complete_async_task(task));
}

fn another_text_is_none() {
    let asked = Asked::default();
    let counted = asked.clone();
    let sick = move || {
        counted.count();
        String::from("Sick")
    };
    tasks_decide(&serving(sick), &asked);

    let child = Child::spawn("string_ping");
    let said = "`Sick` is no status; there are Healthy and HealthyBusy";
    eventually("a warning that says what there is", || {
        let warnings = child.log_of("the ping handler gave no status");
        warnings.iter().any(|line| line["error"] == said)
    });
}

fn none_leaves_it_to_the_tasks() {
    let asked = Asked::default();
    let counted = asked.clone();
    let none = move || {
        counted.count();
        None::<PingStatus>
    };
    tasks_decide(&serving(none), &asked);
}

fn an_async_handler_counts() {
    let asked = Asked::default();
    let counted = asked.clone();
    let server = serving(move || {
        let counted = counted.clone();
        async move {
            tokio::task::yield_now().await;
            counted.count();
            Some(PingStatus::HealthyBusy)
        }
    });
    eventually("busy", || server.ping().0 == "HealthyBusy");
    let (_, since) = server.ping();
    asked.wait(2);
    assert_eq!(server.ping(), ("HealthyBusy".to_owned(), since));
}

fn only_a_status_can_be_forced() {
    let server = Server::spawn(echo());
    server.tasks.force_ping_status(PingStatus::HealthyBusy);
    assert_eq!(server.ping().0, "HealthyBusy");
    assert_eq!(
        server.tasks.get_current_ping_status(),
        PingStatus::HealthyBusy
    );
}

/// Busy the first time; then what the tasks say.
fn busy_at_first(tasks: &Tasks, asked: &Asked) -> PingStatus {
    match asked.count() {
        0 => PingStatus::HealthyBusy,
        _ => tasks.get_current_ping_status(),
    }
}

fn the_handler_may_ask_for_the_status() {
    let started = Instant::now();
    let asked = Asked::default();
    let app: App = echo();
    let (tasks, counted) = (app.tasks(), asked.clone());
    let server = Server::spawn(app.ping(move || busy_at_first(&tasks, &counted)));
    eventually("busy", || server.ping().0 == "HealthyBusy");
    // It does not take its own answer of before for that of the tasks.
    eventually("healthy", || server.ping().0 == "Healthy");
    let task = server.tasks.add_async_task("job", ()).unwrap();
    eventually("busy by the task", || server.ping().0 == "HealthyBusy");
    // Elsewhere the call says what is served.
    assert_eq!(
        server.tasks.get_current_ping_status(),
        PingStatus::HealthyBusy
    );
    assert!(server.tasks.complete_async_task(task));
    eventually("healthy without it", || server.ping().0 == "Healthy");
    let times = asked.0.load(SeqCst) as u64;
    let seconds = started.elapsed().as_secs();
    assert!(
        times <= seconds + 2,
        "asked {times} times in {seconds} s, which is not once a second"
    );
}
