//! Rows 60 to 67: the SDK's debug actions.

use serde_json::json;

use super::{
    child::Child,
    routing::echo,
    table::{
        Answer, Ask, Body,
        Check::{Asks, Story},
        Row,
        Verdict::{Differs, Same, SameBut},
        answer, check_all, get, invoke, rows,
    },
};
use crate::harness::Process;

rows! {
    row_60_ping_status: Row {
        number: 60,
        request: "`ping_status`",
        sdk: r#"200 `{"status":"Healthy","time_of_last_update":N}`"#,
        check: Story("the answer of `/ping`", the_status_is_that_of_ping),
        verdict: Same,
    },
    row_61_job_status: Row {
        number: 61,
        request: "`job_status`",
        sdk: r#"200 `{"active_count":2,"running_jobs":[{"name":"job-a","duration":0.0038}, …]}`"#,
        check: Story("the same, and in each job its `id` and `metadata`", jobs_are_listed),
        verdict: SameBut("Without an id a job in the list cannot be told from another."),
    },
    row_62_forcing: Row {
        number: 62,
        request: "`force_busy`, `force_healthy`, `clear_forced_status`",
        sdk: r#"200 `{"forced_status":"HealthyBusy"}`, `"Healthy"`, `"Cleared"`"#,
        check: Story(r#"200 `{"forced_status":"HealthyBusy"}`, `"Healthy"`, `"Cleared"`"#, a_status_is_forced_and_cleared),
        verdict: Same,
    },
    row_63_unknown: Row {
        number: 63,
        request: "an unknown string or number",
        sdk: r#"400 `{"error":"Unknown action: bogus"}`"#,
        check: Story(r#"400 `{"error":"Unknown action: bogus"}`"#, unknown_actions_are_refused),
        verdict: Same,
    },
    row_64_falsy: Row {
        number: 64,
        request: "`\"\"`, `null`, `0`",
        sdk: "200, a request to the handler like any other",
        check: Story("200, a request to the handler like any other", nothing_is_no_action),
        verdict: Same,
    },
    row_65_neither_string_nor_number: Row {
        number: 65,
        request: "a list or an object",
        sdk: r#"500 `{"error":"Debug action failed","details":…}`"#,
        check: Story(r#"400 `{"error":"Unknown action: [\"a\"]"}`"#, lists_and_objects_are_unknown),
        verdict: Differs("What the client sends wrongly is the client's error."),
    },
    row_66_switched_off: Row {
        number: 66,
        request: "any, with debug actions off, as they are by default",
        sdk: "200, a request to the handler like any other",
        check: Asks(echo, &[
            (
                invoke(br#"{"_agent_core_app_action":"force_busy"}"#),
                answer(200, Body::Json(r#"{"_agent_core_app_action":"force_busy"}"#)),
            ),
            (get("/ping"), answer(200, Body::Ping("Healthy"))),
        ]),
        verdict: SameBut("The second answer is that of `/ping` afterwards."),
    },
    row_67_no_entrypoint: Row {
        number: 67,
        request: "any, with no entrypoint registered",
        sdk: r#"200; other requests 500 `{"error":"No entrypoint defined"}`"#,
        check: Story(r#"200; other requests 500 `{"error":"No entrypoint defined"}`"#, actions_need_no_entrypoint),
        verdict: Same,
    },
}

const PING_STATUS: Ask = invoke(br#"{"_agent_core_app_action":"ping_status"}"#);
const FORCE_BUSY: Ask = invoke(br#"{"_agent_core_app_action":"force_busy"}"#);
const FORCE_HEALTHY: Ask = invoke(br#"{"_agent_core_app_action":"force_healthy"}"#);
const CLEAR: Ask = invoke(br#"{"_agent_core_app_action":"clear_forced_status"}"#);

const HEALTHY: Answer = answer(200, Body::Ping("Healthy"));
const BUSY: Answer = answer(200, Body::Ping("HealthyBusy"));

const fn forced(json: &'static str) -> Answer {
    answer(200, Body::Json(json))
}

const fn unknown(error: &'static str) -> Answer {
    answer(400, Body::Error(error))
}

fn the_status_is_that_of_ping() {
    let child = Child::spawn("echo");
    check_all(child.address(), &[(PING_STATUS, HEALTHY)]);
    let mut client = child.client();
    let ping = get("/ping").put(&mut client).json();
    assert_eq!(PING_STATUS.put(&mut client).json(), ping);
}

fn jobs_are_listed() {
    // The binary's agent has tasks to list.
    let agent = Process::spawn(&["--debug-actions"]);
    for data_id in ["a", "b"] {
        let started = agent.invoke(&json!({"action": "process", "data_id": data_id}));
        assert_eq!(started.status, 200);
    }
    let response = agent.invoke(&json!({"_agent_core_app_action": "job_status"}));
    assert_eq!(response.status, 200);
    let info = response.json();
    assert_eq!(info["active_count"], 2);
    let jobs = info["running_jobs"].as_array().expect("a list");
    assert_eq!(jobs.len(), 2);
    for (job, data_id) in jobs.iter().zip(["a", "b"]) {
        assert_eq!(job["name"], "data_processing");
        assert!(job["duration"].as_f64() > Some(0.0), "{job}");
        assert!(job["duration"].is_f64(), "{job}");
        assert!(job["id"].is_u64(), "{job}");
        assert_eq!(job["metadata"], json!({"data_id": data_id}));
    }
}

fn a_status_is_forced_and_cleared() {
    let child = Child::spawn("echo");
    check_all(
        child.address(),
        &[
            (FORCE_BUSY, forced(r#"{"forced_status":"HealthyBusy"}"#)),
            (get("/ping"), BUSY),
            (FORCE_HEALTHY, forced(r#"{"forced_status":"Healthy"}"#)),
            (get("/ping"), HEALTHY),
            (FORCE_BUSY, forced(r#"{"forced_status":"HealthyBusy"}"#)),
            (CLEAR, forced(r#"{"forced_status":"Cleared"}"#)),
            (get("/ping"), HEALTHY),
        ],
    );
}

fn unknown_actions_are_refused() {
    let child = Child::spawn("echo");
    check_all(
        child.address(),
        &[
            (
                invoke(br#"{"_agent_core_app_action":"bogus"}"#),
                unknown("Unknown action: bogus"),
            ),
            (
                invoke(br#"{"_agent_core_app_action":5}"#),
                unknown("Unknown action: 5"),
            ),
        ],
    );
}

fn nothing_is_no_action() {
    let child = Child::spawn("echo");
    for nothing in ["\"\"", "null", "0", "0.0", "false", "[]", "{}"] {
        let body = format!(r#"{{"_agent_core_app_action":{nothing}}}"#);
        let response = child.client().request("POST", "/invocations", "", &body);
        assert_eq!((response.status, response.text()), (200, body));
    }
    check_all(child.address(), &[(get("/ping"), HEALTHY)]);
}

fn lists_and_objects_are_unknown() {
    let child = Child::spawn("echo");
    check_all(
        child.address(),
        &[
            (
                invoke(br#"{"_agent_core_app_action":["a"]}"#),
                unknown(r#"Unknown action: ["a"]"#),
            ),
            (
                invoke(br#"{"_agent_core_app_action":{"a":1}}"#),
                unknown(r#"Unknown action: {"a":1}"#),
            ),
        ],
    );
}

fn actions_need_no_entrypoint() {
    let child = Child::spawn("no_entrypoint");
    check_all(
        child.address(),
        &[
            (PING_STATUS, HEALTHY),
            (FORCE_BUSY, forced(r#"{"forced_status":"HealthyBusy"}"#)),
            (get("/ping"), BUSY),
            (
                invoke(b"{}"),
                answer(500, Body::Error("No entrypoint defined")),
            ),
        ],
    );
}
