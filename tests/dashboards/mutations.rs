//! The checks see what they are there for: one thing is changed in a copy of the
//! dashboards, and they say so.

use crate::boards::{committed, findings};

/// Changes every `from` to `to`, which is something else in each dashboard that has it.
#[track_caller]
fn check(from: &str, to: &str, finding: &str) {
    let boards = committed();
    let changed = boards.iter().map(|it| it.replace(from, to));
    let changed: Vec<_> = changed.collect();
    assert_ne!(boards, changed, "{from} is nowhere");
    let found = findings(&changed);
    let seen = found.iter().any(|it| it.contains(finding));
    assert!(seen, "{from} -> {to}: {found:#?}");
}

#[test]
fn names_of_metrics() {
    check(
        "task_active{",
        "tasks_active{",
        "there is no metric \"taskpulse_tasks_active\"",
    );
    check(
        "otelcol_exporter_queue_size{",
        "otelcol_queue_size{",
        "there is no metric",
    );
    check(
        "label_values(taskpulse_ping_status,",
        "label_values(taskpulse_status,",
        "there is no metric",
    );
    check(
        "resets(process_uptime_seconds",
        "resets(uptime_seconds",
        "there is no metric",
    );
}

#[test]
fn names_of_labels() {
    check(
        "sum by (task_state)",
        "sum by (state)",
        "by (state): nothing has it",
    );
    check(
        "by (le, http_route)",
        "by (le, route)",
        "by (route): nothing has it",
    );
    check("{{task_state}}", "{{state}}", "the legend has {{state}}");
    check(
        "sum by (signal)",
        "sum by (task_name)",
        "by (task_name): nothing has it",
    );
    check("task_state!~", "state!~", "has no label state");
    check(
        "on (job, instance)",
        "on (job, pod)",
        "on (pod): one side has none",
    );
    check(
        "group_left (service_name)",
        "group_left (service)",
        "group_left (service)",
    );
    check(
        "status{job=\\\"$job\\\"}, instance)",
        "status{job=\\\"$job\\\"}, pod)",
        "has no label pod",
    );
    check(
        "{{service_version}}",
        "{{version}}",
        "the legend has {{version}}",
    );
    check(
        "__data.fields.service_name",
        "__data.fields.service",
        "stands for nothing",
    );
    check(
        "__field.labels.task_name",
        "__field.labels.name",
        "stands for nothing",
    );
}

#[test]
fn jobs() {
    check("job=\\\"$job\\\",", "", "not of the one job");
    check(
        "job=\\\"$job\\\",",
        "job=~\\\"$job.*\\\",",
        "not of the one job",
    );
    check(
        "job=\\\"$collector_job\\\"",
        "job=\\\"$job\\\"",
        "not of the one job",
    );
    check("$task_name", "$name", "Grafana leaves a variable");
}

#[test]
fn edges_of_buckets() {
    check("900(\\\\\\\\.0)?", "901(\\\\\\\\.0)?", "is no edge");
    check(
        "le=~\\\"900(\\\\\\\\.0)?\\\"",
        "le=\\\"900\\\"",
        "is no edge",
    );
    check("900(\\\\\\\\.0)?", "900|1800(\\\\\\\\.0)?", "is no edge");
}

#[test]
fn numbers_that_are_none() {
    check(") >= 0", ")", "NaN when nothing happens");
    check("[5m])) > 0)", "[5m])))", "which may be 0");
    check(
        "queue_capacity{job=\\\"$collector_job\\\"} > 0",
        "queue_capacity{job=\\\"$collector_job\\\"}",
        "which may be 0",
    );
}

#[test]
fn functions() {
    check(
        "rate(taskpulse_task_transitions_total",
        "sum_over_time(taskpulse_task_transitions_total",
        "without a rate",
    );
    check(
        "task_state=\\\"lost\\\"} and",
        "task_state=\\\"failed\\\"} and",
        "without a rate",
    );
    check(
        "avg_over_time(taskpulse_ping_status",
        "rate(taskpulse_ping_status",
        "which is no counter",
    );
    check("sum by (le, task_name)", "sum by (task_name)", "has no le");
    check(
        "duration_seconds_count{",
        "duration_seconds_bucket{",
        "many times",
    );
    check(
        "sum by (le) (rate(taskpulse_task_duration_seconds_bucket",
        "sum by (le) (rate(taskpulse_task_duration_seconds_sum",
        "by (le): nothing has it",
    );
}

#[test]
fn sources_and_links() {
    check(
        "\"uid\": \"${datasource}\"",
        "\"uid\": \"prom\"",
        "no data source has the uid \"prom\"",
    );
    check(
        "taskpulse-prometheus",
        "taskpulse-prom",
        "no data source has the uid \"taskpulse-prom\"",
    );
    check(
        "/d/taskpulse-ping",
        "/d/taskpulse-pong",
        "leads to no dashboard",
    );
    check(
        "${jaeger_url}/search?",
        "http://localhost:16686/search?",
        "leads neither",
    );
    check(
        "\"keepTime\": true",
        "\"keepTime\": false",
        "does not carry time",
    );
    check("&${job:queryparam}", "", "does not carry ${job:queryparam}");
    check("&start=", "&from=", "does not carry start=");
    check(
        "\"Value #A\": \"active\"",
        "\"Value #A\": \"now\"",
        "there is no column active",
    );
}

#[test]
fn panels() {
    check(
        "\"type\": \"timeseries\"",
        "\"type\": \"graph\"",
        "not one of those that last",
    );
    check("\"unit\": \"percentunit\"", "\"unit\": \"\"", "has no unit");
    check(
        "\"noValue\": \"no alert fires\"",
        "\"noValue\": \"\"",
        "why it is empty",
    );
    check("\"id\": 2,", "\"id\": 1,", "its id is not its own");
    check("\"x\": 8,", "\"x\": 4,", "lies on another panel");
    check("\"w\": 9,", "\"w\": 25,", "outside of the screen");
    check(
        "taskpulse-tasks\",\n  \"title",
        "taskpulse-overview\",\n  \"title",
        "is not the name of one dashboard",
    );
}
