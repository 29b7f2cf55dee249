//! The stack of `docker-compose.yml` is closed, bounded and explained, and its
//! files agree with each other. `tests/compose/run` starts it for real.

mod configuration;
mod image;
mod services;
mod variables;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

const COMPOSE: &str = "docker-compose.yml";
const PROMETHEUS: &str = "dashboards/prometheus/prometheus.yml";
const COLLECTOR: &str = "dashboards/collector.yaml";
const JAEGER: &str = "dashboards/jaeger.yaml";
const DATA_SOURCES: &str = "dashboards/grafana/provisioning/datasources/taskpulse.yaml";
const PROVIDERS: &str = "dashboards/grafana/provisioning/dashboards/taskpulse.yaml";

/// A file of the repository.
fn place(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(place(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The services of the stack, their merge keys followed.
fn services() -> Map<String, Value> {
    let services = yaml(COMPOSE)["services"].take();
    services.as_object().expect("services").clone()
}

#[track_caller]
fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("{value} is no list"))
}

#[track_caller]
fn string(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

/// Seconds of a time such as `5s` or `500ms`.
#[track_caller]
fn seconds(value: &Value) -> f64 {
    let text = string(value);
    let time = humantime::parse_duration(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    time.as_secs_f64()
}

/// Bytes of a size such as `512m`.
#[track_caller]
fn bytes(value: &Value) -> u64 {
    let text = string(value);
    let size = text.replace('m', "MiB").replace('g', "GiB");
    let size: bytesize::ByteSize = size
        .parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    size.as_u64()
}

/// A text with every `${env:NAME:-default}` replaced by its default.
fn with_defaults(text: &str) -> String {
    let mut rest = text;
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once("${env:") {
        let (variable, after) = after.split_once('}').expect("a closing brace");
        let (_, default) = variable.split_once(":-").expect("a default");
        out += before;
        out += default;
        rest = after;
    }
    out + rest
}

/// The port at the end of an address.
#[track_caller]
fn port(address: &str) -> u16 {
    let (_, port) = address.rsplit_once(':').expect("a port");
    port.parse()
        .unwrap_or_else(|error| panic!("{address}: {error}"))
}
