//! What the tasks API and Jaeger show.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};

use super::{clients::Known, ledger::Life};
use crate::{
    harness::{Process, eventually},
    jaeger::{parent, tag, times},
    peer::Jaeger,
};

/// Tasks after `last`, by id, as `/tasks` lists them.
pub(super) fn listed(process: &Process, last: u64) -> BTreeMap<u64, Value> {
    let mut client = process.client();
    let mut listed = BTreeMap::new();
    let mut path = "/tasks?limit=1000".to_owned();
    loop {
        let mut page = client.request("GET", &path, "", "").json();
        let Value::Array(tasks) = page["tasks"].take() else {
            panic!("no tasks: {page}");
        };
        for task in tasks {
            let id = task["id"].as_u64().expect("an id");
            if id <= last {
                return listed;
            }
            let before = listed.insert(id, task);
            assert_eq!(before, None, "it is listed twice");
        }
        match page["next"].as_u64() {
            Some(next) => path = format!("/tasks?limit=1000&cursor={next}"),
            None => return listed,
        }
    }
}

/// A time in microseconds since the Unix epoch.
pub(super) fn micros(time: &Value) -> u64 {
    let time = time.as_str().expect("a time");
    since_epoch(humantime::parse_rfc3339(time).expect("RFC 3339"))
}

pub(super) fn now_micros() -> u64 {
    since_epoch(SystemTime::now())
}

fn since_epoch(time: SystemTime) -> u64 {
    let time = time.duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(time.as_micros()).expect("before 2500")
}

/// The spans of a lost task that have its own id: one, or more where several processes
/// have told of it. What ended in the last moment before a kill may be there once more,
/// as it ended.
fn spans(jaeger: &Jaeger, known: &Known, task: &Value) -> Vec<Value> {
    let trace = task["trace_id"].as_str().expect("an id");
    let trace = jaeger.sent_trace(trace).unwrap_or_default();
    let spans = trace["spans"].as_array().cloned().unwrap_or_default();
    let succeeded = Some(("string".to_owned(), json!("succeeded")));
    let own = |span: &Value| {
        let ended = known.end_asked && tag(span, "task.state") == succeeded;
        span["spanID"] == task["span_id"] && !ended
    };
    spans.into_iter().filter(own).collect()
}

/// Waits until each lost task that is sampled has a span in Jaeger.
pub(super) fn await_spans(jaeger: &Jaeger, lost: &[(&Known, &Value)]) {
    let mut left: Vec<_> = lost.iter().filter(|(known, _)| known.sampled).collect();
    eventually("each lost task is in Jaeger", || {
        left.retain(|(known, task)| spans(jaeger, known, task).is_empty());
        left.is_empty()
    });
}

/// That the span of a lost task says all that there is to say.
pub(super) fn assert_span(jaeger: &Jaeger, known: &Known, task: &Value, life: &Life) {
    let why = format!("lost: process {} ended without settling it", life.instance);
    let (began, ended) = (micros(&task["started_at"]), micros(&task["ended_at"]));
    let text = |text: &str| Some(("string".to_owned(), json!(text)));
    for span in spans(jaeger, known, task) {
        assert_eq!(span["operationName"], "import", "{span}");
        if let Some(begun) = &known.begun {
            assert_eq!(parent(&span), begun.request, "{span}");
        }
        assert_eq!(
            tag(&span, "task.id"),
            Some(("int64".to_owned(), task["id"].clone()))
        );
        assert_eq!(tag(&span, "task.state"), text("lost"));
        assert_eq!(tag(&span, "task.metadata.key"), text(&known.key));
        assert_eq!(tag(&span, "session.id"), text("s-1"));
        assert_eq!(tag(&span, "otel.status_code"), text("ERROR"));
        assert_eq!(tag(&span, "otel.status_description"), text(&why));
        assert_eq!(tag(&span, "error.message"), text(&why));
        // Jaeger rounds both.
        let (from, to) = times(&span);
        assert!(
            from.abs_diff(began) <= 1 && to.abs_diff(ended) <= 2,
            "{span} of {task}"
        );
    }
}
