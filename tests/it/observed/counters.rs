//! Counters and gauges equal what happened, at every quiet moment, however many
//! threads were at work.

use std::{collections::BTreeMap, thread};

use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, PeriodicReader, SdkMeterProvider,
    data::{AggregatedMetrics, MetricData},
};
use proptest::prelude::*;
use taskpulse::{App, Tasks, telemetry};

/// What a thread does, in order.
#[derive(Clone, Copy, Debug)]
enum Act {
    Begin(usize),
    Succeed,
    Fail,
    Cancel,
    Drop,
}

const NAMES: [&str; 3] = ["import", "report", "mail"];

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..NAMES.len()).prop_map(Act::Begin),
        1 => Just(Act::Succeed),
        1 => Just(Act::Fail),
        1 => Just(Act::Cancel),
        1 => Just(Act::Drop),
    ]
}

type Counts = BTreeMap<(String, String), u64>;

/// Does what it is told and counts what that comes to.
fn perform(tasks: &Tasks, acts: &[Act]) -> Counts {
    let mut counts = Counts::new();
    let mut held = Vec::new();
    let mut count = |name: &str, state: &str| {
        *counts
            .entry((name.to_owned(), state.to_owned()))
            .or_default() += 1;
    };
    for act in acts {
        let state = match act {
            Act::Begin(name) => {
                held.push((NAMES[*name], tasks.begin(NAMES[*name]).start().unwrap()));
                count(NAMES[*name], "running");
                continue;
            }
            Act::Succeed => "succeeded",
            Act::Fail => "failed",
            Act::Cancel => "cancelled",
            Act::Drop => "interrupted",
        };
        let Some((name, task)) = held.pop() else {
            continue;
        };
        count(name, state);
        match act {
            Act::Succeed => task.succeed(),
            Act::Fail => task.fail("no"),
            Act::Cancel => task.cancel(),
            Act::Begin(_) | Act::Drop => drop(task),
        }
    }
    for (name, task) in held {
        count(name, "succeeded");
        task.succeed();
    }
    counts
}

/// The values of a metric, by name and state.
fn exported(exporter: &InMemoryMetricExporter, name: &str) -> Counts {
    let all = exporter.get_finished_metrics().unwrap();
    let last = all.last().expect("an export");
    let metrics = last.scope_metrics().flat_map(|scope| scope.metrics());
    let mut counts = Counts::new();
    for metric in metrics.filter(|metric| metric.name() == name) {
        let mut put = |attributes: &mut dyn Iterator<Item = &opentelemetry::KeyValue>,
                       value: u64| {
            let labels: BTreeMap<_, _> = attributes
                .map(|label| (label.key.to_string(), label.value.to_string()))
                .collect();
            let state = labels.get("task.state").cloned().unwrap_or_default();
            counts.insert((labels["task.name"].clone(), state), value);
        };
        match metric.data() {
            AggregatedMetrics::U64(MetricData::Sum(sum)) => sum
                .data_points()
                .for_each(|point| put(&mut point.attributes(), point.value())),
            AggregatedMetrics::U64(MetricData::Gauge(gauge)) => gauge
                .data_points()
                .for_each(|point| put(&mut point.attributes(), point.value())),
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => histogram
                .data_points()
                .for_each(|point| put(&mut point.attributes(), point.count())),
            _ => panic!("{name} is of another kind"),
        }
    }
    counts.retain(|_, value| *value > 0);
    counts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn metrics_equal_what_happened(
        threads in prop::collection::vec(prop::collection::vec(act(), 0..60), 1..5),
    ) {
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone()).build();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        let telemetry = telemetry::builder().meter_provider(provider.clone()).build().unwrap();
        let app = App::new().telemetry(telemetry.clone());
        let tasks = app.tasks();
        let _router = app.into_router();
        let done: Vec<Counts> = thread::scope(|scope| {
            let work = |acts: &Vec<Act>| {
                let (tasks, acts) = (tasks.clone(), acts.clone());
                scope.spawn(move || perform(&tasks, &acts))
            };
            let running: Vec<_> = threads.iter().map(work).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let mut happened = Counts::new();
        for ((name, state), count) in done.into_iter().flatten() {
            *happened.entry((name, state)).or_default() += count;
        }
        provider.force_flush().unwrap();
        prop_assert_eq!(exported(&exporter, "taskpulse.task.transitions"), happened.clone());
        happened.retain(|(_, state), _| state != "running");
        prop_assert_eq!(exported(&exporter, "taskpulse.task.duration"), happened);
        prop_assert_eq!(exported(&exporter, "taskpulse.task.active"), Counts::new());
        telemetry.shutdown(std::time::Duration::from_secs(5));
    }
}
