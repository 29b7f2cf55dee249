//! Metrics at `/metrics`.

use axum::routing::get;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use serde_json::json;
use taskpulse::{App, Error, Tasks, telemetry, testing::TestApp};

#[tokio::test(start_paused = true)]
async fn counters_are_born_at_zero_when_a_name_is_known() {
    let app = TestApp::new(App::new().task_names(["import"]));
    for state in [
        "running",
        "succeeded",
        "failed",
        "cancelled",
        "timed_out",
        "interrupted",
        "lost",
    ] {
        let labels = [("task_name", "import"), ("task_state", state)];
        assert_eq!(
            app.metric("taskpulse_task_transitions_total", &labels),
            Some(0.0),
            "{state}"
        );
    }
    assert_eq!(
        app.metric("taskpulse_task_active", &[("task_name", "import")]),
        Some(0.0)
    );
    let age = "taskpulse_task_oldest_age_seconds";
    assert_eq!(app.metric(age, &[("task_name", "import")]), Some(0.0));
    let first = app.tasks().begin("import").start().unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(90)).await;
    let second = app.tasks().begin("import").start().unwrap();
    assert_eq!(
        app.metric("taskpulse_task_active", &[("task_name", "import")]),
        Some(2.0)
    );
    assert_eq!(app.metric(age, &[("task_name", "import")]), Some(90.0));
    first.succeed();
    assert_eq!(app.metric(age, &[("task_name", "import")]), Some(0.0));
    second.succeed();
}

#[tokio::test(start_paused = true)]
async fn names_beyond_the_cap_share_a_label() {
    let app = TestApp::new(App::new());
    for n in 0..60 {
        app.tasks()
            .begin(format!("name-{n}"))
            .start()
            .unwrap()
            .succeed();
    }
    let labels = [("task_name", "_OTHER"), ("task_state", "succeeded")];
    assert_eq!(
        app.metric("taskpulse_task_transitions_total", &labels),
        Some(10.0)
    );
    let count =
        |labels: &[(&str, &str)]| app.metric("taskpulse_task_duration_seconds_count", labels);
    assert_eq!(count(&labels), Some(10.0));
    let first = [("task_name", "name-0"), ("task_state", "succeeded")];
    assert_eq!(count(&first), Some(1.0));
    assert_eq!(
        app.span("name-59").name,
        "name-59",
        "spans have the true name"
    );
    let (_, shown) = app.get("/tasks?name=name-59").await;
    assert_eq!(shown["tasks"][0]["name"], "name-59");
}

#[tokio::test(start_paused = true)]
async fn a_name_may_have_edges_of_its_own_and_keeps_the_platforms() {
    let app = App::new().duration_buckets("lookup", [0.001, 0.01]);
    let app = TestApp::new(app);
    for name in ["lookup", "import"] {
        app.tasks().begin(name).start().unwrap().succeed();
    }
    let edges = |name: &str| {
        let start = format!("taskpulse_task_duration_seconds_bucket{{task_name=\"{name}\"");
        let text = app.metrics();
        let lines = text.lines().filter(|line| line.starts_with(&start));
        let edge = |line: &str| {
            line.split("le=\"")
                .nth(1)?
                .split('"')
                .next()
                .map(str::to_owned)
        };
        lines.filter_map(edge).collect::<Vec<_>>()
    };
    assert_eq!(edges("lookup"), ["0.001", "0.01", "900", "28800", "+Inf"]);
    let usual = [
        "0.01", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30", "60", "120", "300",
        "600", "900", "1800", "3600", "7200", "14400", "28800", "+Inf",
    ];
    assert_eq!(edges("import"), usual);
    let families = app.metrics();
    let declared = "# TYPE taskpulse_task_duration_seconds histogram";
    assert_eq!(families.matches(declared).count(), 1, "one family for both");
}

#[tokio::test]
async fn edges_that_do_not_ascend_are_refused() {
    for edges in [
        vec![1.0, 1.0],
        vec![2.0, 1.0],
        vec![0.0],
        vec![f64::NAN],
        vec![f64::INFINITY],
    ] {
        let app = App::new().duration_buckets("lookup", edges);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = app.serve(listener, async {}).await.unwrap_err();
        assert!(matches!(error, Error::Usage(_)), "{error}");
        assert!(
            error
                .to_string()
                .starts_with("the duration buckets of `lookup` are ["),
            "{error}"
        );
    }
}

#[tokio::test]
async fn refused_tasks_are_counted_by_reason() {
    let app = TestApp::new(App::new().max_active(1));
    let held = app.tasks().begin("held").start().unwrap();
    app.tasks().begin("more").start().unwrap_err();
    app.tasks().begin("").start().unwrap_err();
    app.tasks()
        .begin("x")
        .metadata_map([1])
        .start()
        .unwrap_err();
    let rejected = |reason| app.metric("taskpulse_task_rejected_total", &[("reason", reason)]);
    assert_eq!(rejected("capacity"), Some(1.0));
    assert_eq!(rejected("invalid"), Some(2.0));
    assert_eq!(rejected("draining"), Some(0.0));
    held.succeed();
}

#[tokio::test]
async fn the_ping_status_is_a_state_set_with_its_changes() {
    let app = TestApp::new(App::new());
    let value = |name: &str, status| app.metric(name, &[("ping_status", status)]);
    assert_eq!(value("taskpulse_ping_status", "Healthy"), Some(1.0));
    assert_eq!(value("taskpulse_ping_status", "HealthyBusy"), Some(0.0));
    assert_eq!(
        value("taskpulse_ping_transitions_total", "Healthy"),
        Some(0.0)
    );
    let held = app.tasks().begin("held").start().unwrap();
    assert_eq!(value("taskpulse_ping_status", "HealthyBusy"), Some(1.0));
    assert_eq!(
        value("taskpulse_ping_transitions_total", "HealthyBusy"),
        Some(1.0)
    );
    app.tasks()
        .force_ping_status(taskpulse::PingStatus::Healthy);
    assert_eq!(app.metric("taskpulse_ping_forced", &[]), Some(1.0));
    assert_eq!(value("taskpulse_ping_status", "Healthy"), Some(1.0));
    assert_eq!(
        value("taskpulse_ping_transitions_total", "Healthy"),
        Some(1.0)
    );
    app.tasks().clear_forced_ping_status();
    assert_eq!(app.metric("taskpulse_ping_forced", &[]), Some(0.0));
    held.succeed();
    let (_, ping) = app.get("/ping").await;
    let stamp = app.metric("taskpulse_ping_last_update_timestamp_seconds", &[]);
    assert_eq!(stamp, ping["time_of_last_update"].as_f64());
}

#[tokio::test]
async fn requests_are_counted_under_the_template_of_their_route() {
    async fn fails() -> Error {
        Error::failed("no")
    }
    let app = App::new()
        .route("/items/{id}", get(fails))
        .entrypoint(async |_: Tasks| json!(1).to_string());
    let app = TestApp::new(app);
    app.get("/items/7").await;
    app.get("/nowhere").await;
    app.get("/ping").await;
    app.invoke(()).await;
    let count = |labels: &[(&str, &str)]| {
        let fixed = [("network_protocol_version", "1.1"), ("url_scheme", "http")];
        let labels = [labels, &fixed].concat();
        app.metric("http_server_request_duration_seconds_count", &labels)
    };
    let get = ("http_request_method", "GET");
    let status = |code| ("http_response_status_code", code);
    let failed = [
        get,
        status("500"),
        ("http_route", "/items/{id}"),
        ("error_type", "500"),
    ];
    assert_eq!(count(&failed), Some(1.0), "{}", app.metrics());
    assert_eq!(count(&[get, status("404")]), Some(1.0));
    assert_eq!(
        count(&[get, status("200"), ("http_route", "/ping")]),
        Some(1.0)
    );
    let post = ("http_request_method", "POST");
    assert_eq!(
        count(&[post, status("200"), ("http_route", "/invocations")]),
        Some(1.0)
    );
}

/// Every metric goes to a provider of the program's own as well, by its name.
#[tokio::test]
async fn a_provider_of_the_programs_own_has_every_metric_too() {
    let exporter = InMemoryMetricExporter::default();
    let reader = PeriodicReader::builder(exporter.clone()).build();
    let provider = SdkMeterProvider::builder().with_reader(reader).build();
    let own = provider.meter("own").u64_counter("own.calls").build();
    let telemetry = telemetry::builder()
        .meter_provider(provider.clone())
        .build()
        .unwrap();
    let app = App::new().telemetry(telemetry.clone());
    let tasks = app.tasks();
    let _router = app.into_router();
    tasks.begin("import").start().unwrap().succeed();
    own.add(1, &[]);
    provider.force_flush().unwrap();
    let metrics = exporter.get_finished_metrics().unwrap();
    let last = metrics.last().expect("an export");
    let names: Vec<_> = last
        .scope_metrics()
        .flat_map(|scope| scope.metrics())
        .map(|metric| metric.name().to_owned())
        .collect();
    for name in [
        "own.calls",
        "taskpulse.task.active",
        "taskpulse.task.duration",
        "process.cpu.time",
    ] {
        assert!(
            names.iter().any(|known| known == name),
            "{name} in {names:?}"
        );
    }
    drop(
        tokio::task::spawn_blocking(move || telemetry.shutdown(std::time::Duration::from_secs(5)))
            .await,
    );
}
