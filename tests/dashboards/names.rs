//! Every name that a query may use, from the golden files: what taskpulse writes at
//! `/metrics`, what the collector writes of itself, and what Prometheus makes of alerts.

use std::{collections::BTreeMap, fs};

use crate::{file, promql::Labels};

#[derive(Debug)]
pub(crate) struct Names(BTreeMap<String, Metric>);

#[derive(Debug, Default)]
pub(crate) struct Metric {
    pub(crate) is_counter: bool,
    pub(crate) is_bucket: bool,
    pub(crate) labels: Labels,
    /// Upper edges of buckets, as `/metrics` spells them.
    pub(crate) edges: Vec<String>,
    /// `$collector_job` is its job, not `$job`.
    pub(crate) of_collector: bool,
    /// It is not there before it first counts something, which no rate can see.
    pub(crate) is_born_late: bool,
    /// Prometheus makes it: it has any job, or none.
    pub(crate) of_alerts: bool,
}

/// Below this line of the collector's list is what is born late.
const FAILURES: &str = "# Once there was a failure:";

// === impl Names ===

impl Names {
    pub(crate) fn golden() -> Self {
        let mut names = Self(BTreeMap::new());
        names.read_exposition(&read("tests/golden/metrics.txt"));
        names.read_list(&read("tests/golden/collector-metrics.txt"));
        names.add_alerts();
        names
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Metric> {
        self.0.get(name)
    }

    /// The labels of a metric; none, of one that is not known.
    pub(crate) fn labels(&self, name: &str) -> Labels {
        self.get(name)
            .map_or_else(Labels::new, |it| it.labels.clone())
    }

    /// Lines as `/metrics` has them.
    fn read_exposition(&mut self, text: &str) {
        let mut kind = "";
        for line in text.lines() {
            if let Some(declared) = line.strip_prefix("# TYPE ") {
                kind = declared.rsplit(' ').next().unwrap_or_default();
            } else if !line.starts_with('#') {
                self.add_series(line, kind);
            }
        }
    }

    fn add_series(&mut self, line: &str, kind: &str) {
        let (series, _value) = line.rsplit_once(' ').expect(line);
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let metric = self.0.entry(name.to_owned()).or_default();
        metric.is_counter = kind != "gauge";
        metric.is_bucket = kind == "histogram" && name.ends_with("_bucket");
        metric.labels.extend(scraped());
        for label in labels.trim_end_matches('}').split("\",") {
            let Some((label, value)) = label.split_once("=\"") else {
                continue;
            };
            metric.labels.insert(label.to_owned());
            let edge = value.trim_end_matches('"').to_owned();
            if label == "le" && !metric.edges.contains(&edge) {
                metric.edges.push(edge);
            }
        }
    }

    /// Lines such as `otelcol_exporter_queue_size gauge data_type,exporter`.
    fn read_list(&mut self, text: &str) {
        let mut is_born_late = false;
        for line in text.lines() {
            is_born_late |= line.starts_with(FAILURES);
            if line.starts_with('#') {
                continue;
            }
            let mut words = line.split(' ');
            let (name, kind) = (words.next(), words.next());
            let name = name.filter(|name| !name.is_empty()).expect(line);
            let labels = words.next().unwrap_or_default().split(',');
            let labels = labels.filter(|label| !label.is_empty());
            let metric = self.0.entry(name.to_owned()).or_default();
            metric.is_counter = kind == Some("counter");
            metric.of_collector = true;
            metric.is_born_late = is_born_late;
            metric.labels.extend(scraped());
            metric.labels.extend(labels.map(str::to_owned));
        }
    }

    /// An alert has the labels of what it watches.
    fn add_alerts(&mut self) {
        let watched: Labels = self.0.values().flat_map(|it| it.labels.clone()).collect();
        for (name, own) in [
            ("ALERTS", &["alertname", "alertstate", "severity"][..]),
            ("ALERTS_FOR_STATE", &["alertname", "severity"]),
        ] {
            let own = own.iter().map(|&label| label.to_owned());
            let metric = Metric {
                labels: own.chain(watched.iter().cloned()).collect(),
                of_alerts: true,
                ..Metric::default()
            };
            self.0.insert(name.to_owned(), metric);
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What Prometheus adds to all that it scrapes.
fn scraped() -> [String; 2] {
    ["job", "instance"].map(str::to_owned)
}
