//! What all dashboards share: variables, annotations, links, and the numbers that
//! are said once.

use serde_json::{Value, json};

use super::model::{Link, spelled_out};

/// What the platform's limits and the alerts say, in seconds or as a share.
pub(crate) const IDLE_LIMIT: f64 = 900.0;
pub(crate) const NEAR_IDLE_LIMIT: f64 = 810.0;
pub(crate) const LIFETIME: f64 = 28_800.0;
pub(crate) const NEAR_LIFETIME: f64 = 25_920.0;
pub(crate) const PING_SLOW: f64 = 0.25;
pub(crate) const OBJECTIVE: f64 = 0.99;

/// Every dashboard has all of these, so that a link carries each of them on: one
/// that its queries do not use is hidden.
pub(crate) const VARIABLES: [&str; 6] = [
    "datasource",
    "job",
    "instance",
    "task_name",
    "collector_job",
    "jaeger_url",
];

/// The dashboards, as links name them.
pub(crate) const DASHBOARDS: [(&str, &str); 4] = [
    ("taskpulse-overview", "Overview"),
    ("taskpulse-tasks", "Tasks"),
    ("taskpulse-ping", "Ping contract"),
    ("taskpulse-runtime", "Runtime and telemetry"),
];

pub(crate) fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

// === Variables ===

pub(crate) fn variables(shows: &[&str]) -> Vec<Value> {
    let hide = |name: &str| match name {
        _ if !shows.contains(&name) => 2,                   // Nowhere.
        "datasource" | "collector_job" | "jaeger_url" => 3, // In the menu of controls.
        _ => 0,
    };
    let variable = |name: &&str| {
        let mut variable = variable(name);
        variable["hide"] = json!(hide(name));
        variable
    };
    VARIABLES.iter().map(variable).collect()
}

fn variable(name: &str) -> Value {
    match name {
        "datasource" => json!({
            "type": "datasource", "name": name, "label": "Prometheus", "query": "prometheus",
            "current": {"text": "Prometheus", "value": "taskpulse-prometheus"},
            "regex": "", "refresh": 1, "multi": false, "includeAll": false, "options": [],
            "skipUrlSync": false,
        }),
        "job" => one(
            name,
            "Job",
            "taskpulse is what Prometheus reads itself, taskpulse-otlp the pushed copy. \
             One at a time: both together count twice.",
            "label_values(taskpulse_ping_status, job)",
            "taskpulse",
        ),
        "instance" => many(
            name,
            "Instance",
            "label_values(taskpulse_ping_status{job=\"$job\"}, instance)",
        ),
        "task_name" => many(
            name,
            "Task name",
            "label_values(taskpulse_task_active{OWN}, task_name)",
        ),
        "collector_job" => one(
            name,
            "Collector",
            "The job under which Prometheus reads the collector's own metrics.",
            "label_values(otelcol_process_memory_rss_bytes, job)",
            "otel-collector",
        ),
        _ => json!({
            "type": "textbox", "name": name, "label": "Jaeger",
            "description": "Where your browser finds Jaeger; links to traces begin with this.",
            "query": "http://localhost:16686",
            "current": {"text": "http://localhost:16686", "value": "http://localhost:16686"},
            "options": [], "skipUrlSync": false,
        }),
    }
}

fn query(name: &str, label: &str, query: &str) -> Value {
    json!({
        "type": "query", "name": name, "label": label, "datasource": datasource(),
        "query": {
            "qryType": 1, "query": spelled_out(query),
            "refId": "PrometheusVariableQueryEditor-VariableQuery",
        },
        "regex": "", "refresh": 2, "sort": 1, "options": [], "skipUrlSync": false,
    })
}

fn one(name: &str, label: &str, description: &str, values: &str, first: &str) -> Value {
    let mut variable = query(name, label, values);
    variable["description"] = json!(description);
    variable["multi"] = json!(false);
    variable["includeAll"] = json!(false);
    variable["current"] = json!({"text": first, "value": first});
    variable
}

fn many(name: &str, label: &str, values: &str) -> Value {
    let mut variable = query(name, label, values);
    variable["multi"] = json!(true);
    variable["includeAll"] = json!(true);
    variable["allValue"] = json!(".*");
    variable["current"] = json!({"text": ["All"], "value": ["$__all"]});
    variable
}

// === Annotations ===

pub(crate) fn annotations() -> Value {
    json!({"list": [
        {
            "builtIn": 1, "datasource": {"type": "grafana", "uid": "-- Grafana --"},
            "enable": true, "hide": true, "iconColor": "rgba(0, 211, 255, 1)",
            "name": "Annotations & Alerts", "type": "dashboard",
        },
        annotation(
            "Starts", "red", "{{instance}} started", "Its uptime is short, or went back to 0.",
            "max by (instance) (process_uptime_seconds{OWN}) < $__interval_ms / 1000 + 10
             or max by (instance) (resets(process_uptime_seconds{OWN}[$__rate_interval])) > 0",
        ),
        annotation(
            "Versions", "purple", "{{instance}} runs {{service_version}}",
            "Another version than in the ten minutes before.",
            "group by (instance, service_version) (target_info{OWN})
             unless group by (instance, service_version)
                 (last_over_time(target_info{OWN}[10m] offset $__rate_interval))
             and on (instance) group by (instance)
                 (last_over_time(target_info{OWN}[10m] offset $__rate_interval))",
        ),
    ]})
}

fn annotation(name: &str, color: &str, title: &str, text: &str, expr: &str) -> Value {
    json!({
        "name": name, "enable": true, "hide": false, "iconColor": color,
        "datasource": datasource(),
        "target": {"refId": "Anno", "expr": spelled_out(expr), "interval": "10s"},
        "titleFormat": title, "textFormat": text, "tagKeys": "instance", "useValueForTime": false,
    })
}

// === Links ===

/// The links at the top of the dashboard with this uid: to the others, and to Jaeger.
pub(crate) fn links(uid: &str) -> Vec<Value> {
    let link = |title: &str, url: String, tooltip: &str, ours: bool| {
        json!({
            "type": "link", "title": title, "url": url, "tooltip": tooltip,
            "icon": if ours { "dashboard" } else { "external link" },
            "includeVars": ours, "keepTime": ours, "targetBlank": !ours,
            "asDropdown": false, "tags": [],
        })
    };
    let others = DASHBOARDS.iter().filter(|(other, _)| *other != uid);
    let mut links: Vec<_> = others
        .map(|(uid, title)| {
            link(
                title,
                format!("/d/{uid}"),
                "With this time and these choices",
                true,
            )
        })
        .collect();
    let jaeger = "${jaeger_url}/search".to_owned();
    links.push(link(
        "Jaeger",
        jaeger,
        "Traces of requests and tasks",
        false,
    ));
    links
}

/// To another dashboard, with all that is chosen here.
pub(crate) fn to_dashboard(title: &'static str, uid: &str) -> Link {
    Link {
        title,
        url: format!("/d/{uid}?${{__url_time_range}}&${{__all_variables}}"),
        elsewhere: false,
    }
}

/// To the Tasks dashboard, for the task name that this macro of Grafana's gives.
pub(crate) fn to_tasks(name: &str) -> Link {
    let carried = VARIABLES
        .iter()
        .filter(|&&variable| variable != "task_name");
    let carried: String = carried
        .map(|variable| format!("&${{{variable}:queryparam}}"))
        .collect();
    Link {
        title: "This name alone, on Tasks",
        url: format!(
            "/d/taskpulse-tasks?var-task_name=${{{name}:percentencode}}\
             &${{__url_time_range}}{carried}"
        ),
        elsewhere: false,
    }
}

/// To Jaeger's search among the traces of the row's service.
///
/// Jaeger takes microseconds, and finds a span by when it began. `start` and `end`
/// are in milliseconds.
pub(crate) fn to_jaeger(title: &'static str, search: &str, start: &str, end: &str) -> Link {
    Link {
        title,
        url: format!(
            "${{jaeger_url}}/search?service=${{__data.fields.service_name:percentencode}}{search}\
             &start=${{{start}}}000&end=${{{end}}}000&lookback=custom&limit=100"
        ),
        elsewhere: true,
    }
}
