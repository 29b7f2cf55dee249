//! What callers say of their trace, and what decides whether it is kept.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{CALLER, TRACE, exporting, invoke, traceparent, variables, with};
use crate::harness::{Collector, Process, eventually};

const QUICK: &str = r#"{"action": "process", "seconds": 0}"#;

fn quick() -> Value {
    serde_json::from_str(QUICK).unwrap()
}

#[test]
fn the_answer_carries_the_trace_and_nothing_else() {
    let collector = Collector::start();
    let agent = exporting(&collector, &[], &[]);
    let told = "tracestate: vendor=opaque\r\nbaggage: tenant.id=t-1,secret=hush\r\n";
    let headers = traceparent("01") + told;
    let answer = invoke(&agent, &headers, &quick());
    let request = collector.span_named("POST /invocations");
    assert_eq!((&*request.trace_id, &*request.parent), (TRACE, CALLER));
    let expected = format!("00-{TRACE}-{}-01", request.span_id);
    assert_eq!(answer.header("traceparent"), Some(&*expected));
    assert_eq!(answer.header("baggage"), None);
    assert_eq!(answer.header("tracestate"), None);
    for span in [request, collector.span_named("data_processing")] {
        let attributes = format!("{:?}", span.attributes);
        let leaks = attributes.contains("hush") || attributes.contains("t-1");
        assert!(!leaks, "baggage that nobody asked for: {attributes}");
    }
}

#[test]
fn baggage_that_is_asked_for_is_on_every_span_and_line() {
    let collector = Collector::start();
    let arguments = ["--baggage-keys", "tenant.id, user.id"];
    let agent = exporting(&collector, &arguments, &[]);
    let headers = "baggage: tenant.id=acme%207,secret=hush\r\n";
    let id = invoke(&agent, headers, &quick()).json()["task_id"].clone();
    for name in ["POST /invocations", "data_processing"] {
        let span = collector.span_named(name);
        assert_eq!(span.get("tenant.id"), "acme 7", "{name}");
        assert_eq!(span.get("user.id"), &Value::Null, "{name}");
        assert_eq!(span.get("secret"), &Value::Null, "{name}");
    }
    let streamed = json!({"action": "stream", "seconds": 0.05});
    invoke(&agent, headers, &streamed);
    let stream = collector.span_named("stream");
    assert_eq!(stream.get("tenant.id"), "acme 7");
    let lines = || {
        let mut log = agent.log();
        log.retain(|line| line["task_id"] == id);
        log
    };
    eventually("the end is logged", || lines().len() >= 2);
    for line in lines() {
        assert_eq!(line["tenant.id"], "acme 7", "{line}");
        assert_eq!(line.get("secret"), None, "{line}");
    }
    let text = agent.get("/metrics").text();
    assert!(
        !text.contains("acme 7") && !text.contains("tenant"),
        "{text}"
    );
}

#[test]
fn a_caller_that_does_not_sample_decides_for_all() {
    let collector = Collector::start();
    let agent = exporting(&collector, &[], &[]);
    let answer = invoke(&agent, &traceparent("00"), &quick());
    let came_back = answer.header("traceparent").expect("a traceparent");
    assert!(
        came_back.starts_with(&format!("00-{TRACE}-")),
        "{came_back}"
    );
    assert!(came_back.ends_with("-00"), "{came_back}");
    let path = format!("/tasks/{}", answer.json()["task_id"]);
    eventually("it ends", || {
        agent.get("/ping").json()["status"] == "Healthy"
    });
    agent.get(&path);
    // Spans are delivered in the order in which they ended.
    collector.span_named("GET /tasks/{id}");
    assert_eq!(collector.spans().len(), 1, "{:#?}", collector.summary());
    assert_eq!(agent.get(&path).json()["trace_id"], TRACE);
}

#[test]
fn tasks_can_be_kept_all_the_same() {
    let collector = Collector::start();
    let agent = exporting(&collector, &["--sample-tasks", "always"], &[]);
    let answer = invoke(&agent, &traceparent("00"), &quick());
    let task = collector.span_named("data_processing");
    assert_eq!(task.trace_id, TRACE);
    let known = agent.get(&format!("/tasks/{}", answer.json()["task_id"]));
    assert_eq!(known.json()["trace_id"], *task.trace_id);
    assert_eq!(known.json()["span_id"], *task.span_id);
    collector.span_named("GET /tasks/{id}");
    assert!(collector.spans_named("POST /invocations").is_empty());
}

#[test]
fn samplers_by_variable() {
    for (sampler, argument, sampled) in [
        ("always_off", "", false),
        ("always_on", "", true),
        ("traceidratio", "0.0", false),
        ("parentbased_always_off", "", false),
        ("parentbased_traceidratio", "1", true),
    ] {
        let collector = Collector::start();
        let more = [
            ("OTEL_TRACES_SAMPLER", sampler),
            ("OTEL_TRACES_SAMPLER_ARG", argument),
        ];
        let mut agent = exporting(&collector, &[], &more);
        let answer = invoke(&agent, "", &quick());
        let flags = answer.header("traceparent").map(|text| &text[53..]);
        assert_eq!(flags, Some(if sampled { "01" } else { "00" }), "{sampler}");
        agent.terminate();
        assert!(agent.wait().success());
        let spans = collector.spans().len();
        assert_eq!(spans, if sampled { 2 } else { 0 }, "{sampler}");
    }
}

#[test]
fn amazons_header_counts_where_there_is_no_other() {
    let amazon = "X-Amzn-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793;\
        Parent=53995c3f42cd8ad8;Sampled=1\r\n";
    let root = "5759e988bd862e3fe1be46a994272793";
    let unsampled = amazon.replace("Sampled=1", "Sampled=0");
    for (headers, trace, parent) in [
        (amazon.to_owned(), Some(root), "53995c3f42cd8ad8"),
        (
            format!("{}{amazon}", traceparent("01")),
            Some(TRACE),
            CALLER,
        ),
        (unsampled, None, ""),
        ("X-Amzn-Trace-Id: Root=1-nonsense\r\n".to_owned(), None, ""),
    ] {
        let collector = Collector::start();
        let more = [("AGENT_OBSERVABILITY_ENABLED", "true")];
        let agent = exporting(&collector, &[], &more);
        invoke(&agent, &headers, &quick());
        let request = collector.span_named("POST /invocations");
        assert_eq!(request.parent, parent, "{headers}");
        let same = trace.is_none_or(|trace| trace == request.trace_id);
        assert!(same && (trace.is_some() || request.trace_id != root));
        let kind = &request.resource["aws.service.type"];
        assert_eq!(kind, "gen_ai_agent");
        let task = collector.span_named("data_processing");
        assert_eq!(task.trace_id, request.trace_id);
    }
}

#[test]
fn nonsense_from_callers_begins_a_trace() {
    let collector = Collector::start();
    let agent = exporting(&collector, &[], &[]);
    let zeros = format!("00-{}-{CALLER}-01", "0".repeat(32));
    let long = format!("00-{TRACE}-{CALLER}-01-{}", "x".repeat(9_000));
    for sent in ["", "00", &zeros, &long, "ff-x-y-z"] {
        let answer = invoke(&agent, &format!("traceparent: {sent}\r\n"), &quick());
        let came_back = answer.header("traceparent").expect("a traceparent");
        assert_eq!(came_back.len(), 55, "{came_back}");
        assert!(!came_back.contains(&"0".repeat(32)), "{came_back}");
    }
    collector.wait_for("every span", |collector| collector.spans().len() == 10);
}

#[test]
fn what_is_printed_does_not_decide_what_is_traced() {
    let names = |agent: &Process, collector: &Collector| {
        invoke(agent, &traceparent("01"), &quick());
        collector.span_named("POST /invocations");
        let task = collector.span_named("data_processing");
        let spans = collector.spans().into_iter();
        let seen: BTreeSet<_> = spans
            .map(|span| {
                let keys: Vec<_> = span.attributes.into_keys().collect();
                (span.name, span.kind, keys)
            })
            .collect();
        (seen, task.status)
    };
    let collector = Collector::start();
    let expected = names(&exporting(&collector, &[], &[]), &collector);
    assert_eq!(expected.0.len(), 2);
    for level in ["off", "error", "trace", "taskpulse=off", "hyper=trace"] {
        let collector = Collector::start();
        let agent = exporting(&collector, &[], &[("RUST_LOG", level)]);
        assert_eq!(names(&agent, &collector), expected, "RUST_LOG={level}");
    }
    let collector = Collector::start();
    let agent = Process::spawn_pretty(&with(&variables(&collector), &[]));
    assert_eq!(names(&agent, &collector), expected, "pretty");
}
