//! Prometheus, the collector, Jaeger and Grafana speak of the same ports, times
//! and names.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    COLLECTOR, COMPOSE, DATA_SOURCES, JAEGER, PROMETHEUS, PROVIDERS, bytes, list, place, port,
    seconds, services, string, text, with_defaults, yaml,
};

/// Every metric, as Prometheus writes it.
const METRICS: &str = include_str!("../../golden/metrics.txt");

fn collector() -> Value {
    serde_saphyr::from_str(&with_defaults(&text(COLLECTOR))).unwrap()
}

fn jaeger() -> Value {
    serde_saphyr::from_str(&with_defaults(&text(JAEGER))).unwrap()
}

/// The job of this name.
#[track_caller]
fn job(name: &str) -> Value {
    let prometheus = yaml(PROMETHEUS);
    let jobs = list(&prometheus["scrape_configs"]);
    let found = jobs.iter().find(|job| job["job_name"] == name);
    found.unwrap_or_else(|| panic!("no job {name}")).clone()
}

/// Its targets and what each is called.
fn targets(name: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for group in list(&job(name)["static_configs"]) {
        for target in list(&group["targets"]) {
            let instance = string(&group["labels"]["instance"]);
            found.push((string(target).to_owned(), instance.to_owned()));
        }
    }
    found
}

#[test]
fn everybody_counts_in_the_same_steps() {
    let prometheus = yaml(PROMETHEUS);
    let global = &prometheus["global"];
    let step = seconds(&global["scrape_interval"]);
    assert_eq!(seconds(&global["evaluation_interval"]), step);
    assert!(seconds(&global["scrape_timeout"]) < step);
    let grafana = &yaml(DATA_SOURCES)["datasources"][0]["jsonData"];
    assert_eq!(seconds(&grafana["timeInterval"]), step);
    for name in ["taskpulse", "demo"] {
        let pushed = services()[name]["environment"]["OTEL_METRIC_EXPORT_INTERVAL"].clone();
        let pushed: f64 = string(&pushed).parse().unwrap();
        assert_eq!(pushed / 1000.0, step, "{name}");
    }
    // Two pushes may be late, and a process that is gone is soon seen to be.
    let expires = seconds(&collector()["exporters"]["prometheus"]["metric_expiration"]);
    assert!((3.0 * step..=6.0 * step).contains(&expires), "{expires}");
}

#[test]
fn prometheus_asks_who_is_there() {
    let prometheus = yaml(PROMETHEUS);
    let jobs = list(&prometheus["scrape_configs"]).iter();
    let jobs: Vec<_> = jobs.map(|job| string(&job["job_name"])).collect();
    assert_eq!(
        jobs,
        [
            "taskpulse",
            "taskpulse-otlp",
            "otel-collector",
            "prometheus"
        ]
    );
    let pair = |target: &str, instance: &str| (target.to_owned(), instance.to_owned());
    let direct = [
        pair("taskpulse:8080", "taskpulse"),
        pair("demo:8080", "demo"),
    ];
    assert_eq!(targets("taskpulse"), direct);

    let collector = collector();
    let pushed = port(string(&collector["exporters"]["prometheus"]["endpoint"]));
    let pushed = format!("otel-collector:{pushed}");
    assert_eq!(targets("taskpulse-otlp"), [pair(&pushed, "otel-collector")]);
    let own = &collector["service"]["telemetry"]["metrics"]["readers"][0]["pull"]["exporter"];
    let own = format!("otel-collector:{}", own["prometheus"]["port"]);
    assert_eq!(targets("otel-collector"), [pair(&own, "otel-collector")]);
    assert_eq!(
        targets("prometheus"),
        [pair("localhost:9090", "prometheus")]
    );

    for file in list(&prometheus["rule_files"]) {
        let file = place(PROMETHEUS).with_file_name(string(file));
        assert!(file.is_file(), "{}", file.display());
    }
}

/// A series that was pushed says so, and has its own instance and one job.
#[test]
fn the_pushed_copy_is_marked() {
    let job = job("taskpulse-otlp");
    assert_eq!(job["honor_labels"], true);
    assert_eq!(job["static_configs"][0]["labels"]["copy"], "otlp");
    let rules = list(&job["metric_relabel_configs"]);
    let named = &rules[0];
    assert_eq!(named["target_label"], "service_name");
    assert_eq!(
        named["source_labels"],
        serde_json::json!(["__name__", "job"])
    );
    assert_eq!(named["regex"], "target_info;(.+)");
    // After the name was taken from it.
    assert_eq!(rules[1]["target_label"], "job");
    assert_eq!(rules[1]["replacement"], "taskpulse-otlp");
    for name in ["taskpulse", "demo"] {
        let attributes = &services()[name]["environment"]["OTEL_RESOURCE_ATTRIBUTES"];
        let version = env!("CARGO_PKG_VERSION");
        let instance = format!("service.instance.id={name},service.version={version},");
        assert!(string(attributes).starts_with(&instance), "{attributes}");
    }
}

#[test]
fn spans_find_their_way_to_jaeger() {
    for name in ["taskpulse", "demo"] {
        let url = services()[name]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"].clone();
        assert_eq!(url, "http://otel-collector:4318", "{name}");
    }
    let (collector, jaeger) = (collector(), jaeger());
    let http = &collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"];
    assert_eq!(string(http), "0.0.0.0:4318");
    let takes = &jaeger["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"];
    let sends = &collector["exporters"]["otlp_grpc/jaeger"]["endpoint"];
    assert_eq!(string(sends), format!("jaeger:{}", port(string(takes))));
    let kept = &jaeger["extensions"]["jaeger_storage"]["backends"]["traces"]["memory"];
    assert!((1..=50_000).contains(&kept["max_traces"].as_u64().unwrap()));
    let health = &jaeger["extensions"]["healthcheckv2"]["http"]["endpoint"];
    let asked = services()["jaeger"]["healthcheck"]["test"].to_string();
    assert!(asked.contains(&format!("127.0.0.1:{}/", port(string(health)))));
}

#[test]
fn the_collector_is_bounded_and_tries_again() {
    let collector = collector();
    let limiter = &collector["processors"]["memory_limiter"];
    let limit = limiter["limit_mib"].as_u64().unwrap() << 20;
    assert!(limit < bytes(&services()["otel-collector"]["mem_limit"]));
    let sends = &collector["exporters"]["otlp_grpc/jaeger"];
    assert_eq!(sends["retry_on_failure"]["enabled"], true);
    assert!(sends["retry_on_failure"]["max_elapsed_time"].is_string());
    assert_eq!(sends["sending_queue"]["enabled"], true);
    assert!(sends["sending_queue"]["queue_size"].as_u64().unwrap() > 0);
    let pipelines = collector["service"]["pipelines"].as_object().unwrap();
    assert_eq!(pipelines.keys().collect::<Vec<_>>(), ["traces", "metrics"]);
    for (name, pipeline) in pipelines {
        let processors = serde_json::json!(["memory_limiter", "batch"]);
        assert_eq!(pipeline["processors"], processors, "{name}");
    }
    assert_eq!(collector["service"]["extensions"][0], "health_check");
}

#[test]
fn data_sources_have_the_names_that_dashboards_use() {
    let provisioned = yaml(DATA_SOURCES);
    let sources = list(&provisioned["datasources"]);
    let uids: Vec<_> = sources
        .iter()
        .map(|source| string(&source["uid"]))
        .collect();
    assert_eq!(uids, ["taskpulse-prometheus", "taskpulse-jaeger"]);
    assert_eq!(sources[0]["url"], "http://prometheus:9090");
    let answers = &jaeger()["extensions"]["jaeger_query"]["http"]["endpoint"];
    let jaeger = format!("http://jaeger:{}", port(string(answers)));
    assert_eq!(sources[1]["url"], jaeger);
    let metrics = &sources[1]["jsonData"]["tracesToMetrics"];
    assert_eq!(metrics["datasourceUid"], uids[0]);
}

/// From a span to metrics that there are, by labels that they have.
#[test]
fn the_way_from_a_span_leads_somewhere() {
    assert!(
        !text(DATA_SOURCES).replace("$$", "").contains('$'),
        "Grafana takes a lone $ away"
    );
    let provisioned = yaml(DATA_SOURCES);
    let ways = &provisioned["datasources"][1]["jsonData"]["tracesToMetrics"];
    let tags: Vec<_> = list(&ways["tags"])
        .iter()
        .map(|tag| string(&tag["value"]))
        .collect();
    assert_eq!(tags, ["task_name", "http_route"]);
    let mut used = BTreeSet::new();
    for way in list(&ways["queries"]) {
        let query = string(&way["query"]).replace("$$__rate_interval", "1m");
        let parsed = promql_parser::parser::parse(&query.replace("$$__tags", "task_name=\"a\""));
        parsed.unwrap_or_else(|error| panic!("{query}: {error}"));
        // Any job has lines of its own, also where metrics are only pushed.
        let (aggregated, _) = query.split_once(") (").expect("what it is added up by");
        assert!(aggregated.contains("job, "), "{query} adds up jobs");
        let (metric, _) = query.split_once("{$$__tags}").expect("its tags alone");
        let metric = metric.rsplit('(').next().unwrap();
        let series = METRICS
            .lines()
            .find(|line| line.starts_with(&format!("{metric}{{")));
        let series = series.unwrap_or_else(|| panic!("{metric} is no metric"));
        let by = tags
            .iter()
            .find(|tag| series.contains(&format!("{tag}=\"")));
        used.insert(*by.unwrap_or_else(|| panic!("{metric} has no label of a span's")));
    }
    assert_eq!(used.len(), tags.len(), "each tag has its queries");
}

#[test]
fn grafana_finds_its_dashboards_and_a_home() {
    let compose = yaml(COMPOSE);
    let grafana = &compose["services"]["grafana"];
    let mounted = list(&grafana["volumes"]).iter().map(string);
    let mounted: Vec<_> = mounted.collect();
    let folder = yaml(PROVIDERS)["providers"][0]["options"]["path"].take();
    let folder = string(&folder);
    let source = "./dashboards/grafana/dashboards";
    assert!(
        mounted.contains(&format!("{source}:{folder}:ro").as_str()),
        "{mounted:?}"
    );
    for kind in ["datasources", "dashboards"] {
        let provisioning = format!("dashboards/grafana/provisioning/{kind}");
        let mount = format!("./{provisioning}:/etc/grafana/provisioning/{kind}:ro");
        assert!(mounted.contains(&mount.as_str()), "{mounted:?}");
    }
    let home = string(&grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]);
    let home = home.strip_prefix(folder).expect("a dashboard of ours");
    let home: Value = serde_json::from_str(&text(&format!("{source}{home}"))).unwrap();
    assert_eq!(home["uid"], "taskpulse-overview");
}

/// Looking is free for who reaches the port; one variable asks for a password.
#[test]
fn one_line_turns_the_sign_in_on() {
    let services = services();
    let grafana = &services["grafana"]["environment"];
    let switch = "${GRAFANA_ANONYMOUS:-true}";
    assert_eq!(grafana["GF_AUTH_ANONYMOUS_ENABLED"], switch);
    assert_eq!(grafana["GF_AUTH_DISABLE_LOGIN_FORM"], switch);
    assert_eq!(grafana["GF_AUTH_BASIC_ENABLED"], "false");
    let role = &grafana["GF_AUTH_ANONYMOUS_ORG_ROLE"];
    assert_eq!(role, "${GRAFANA_ANONYMOUS_ROLE:-Viewer}");
}
