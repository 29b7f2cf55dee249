//! From the declared metrics to instruments.
//!
//! Gauges and counters of what somebody keeps anyway are *read*, by callbacks,
//! when a reader collects: they cannot drift, and cost nothing in between. A
//! callback takes no lock, and a panic in it ends there: it would disable the
//! whole export for good.

mod conditions;
mod store;

use std::sync::{
    Arc, Weak,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Meter},
};
use tokio::runtime::{Handle, RuntimeMetrics};

use super::{
    Readings, Refused, StreamKind,
    http::{METHODS, Requests},
    metric::{self, Kind, Metric},
    process::{self, CPU_MODES},
    quietly,
    tally::{Loss, Signal, Tally},
};
use crate::{PingStatus, TaskState};

/// What is counted besides the tasks.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    rejected: [AtomicU64; Refused::ALL.len()],
    streams: [AtomicU64; StreamKind::ALL.len()],
    pub(crate) requests: Requests,
    pub(super) checkpoints: Checkpoints,
}

/// What became of checkpoints.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    exported: AtomicU64,
    skipped: AtomicU64,
}

/// Observes floating-point values under labels.
type Observe<'a> = &'a mut dyn FnMut(f64, &[KeyValue]);

/// A metric and how its value is read of a runtime.
type Reading = (Metric, fn(&RuntimeMetrics) -> f64);

// === impl Counts ===

impl Counts {
    pub(crate) fn refuse(&self, why: Refused) {
        self.rejected[why as usize].fetch_add(1, Relaxed);
    }

    pub(crate) const fn streams(&self, kind: StreamKind) -> &AtomicU64 {
        &self.streams[kind as usize]
    }
}

// === impl Checkpoints ===

impl Checkpoints {
    pub(super) fn export(&self) {
        self.exported.fetch_add(1, Relaxed);
    }

    pub(super) fn skip(&self, count: u64) {
        self.skipped.fetch_add(count, Relaxed);
    }
}

/// Builds an observable instrument of the declared name, unit and help.
macro_rules! build {
    ($meter:ident.$instrument:ident, $metric:ident, $read:ident as $number:ty) => {{
        // The meter keeps the callback; what is given back is of no use.
        let _ = $meter
            .$instrument($metric.name)
            .with_unit($metric.unit)
            .with_description($metric.help)
            .with_callback(move |instrument: &dyn AsyncInstrument<$number>| {
                let observed = quietly(|| {
                    $read(&mut |value, labels| instrument.observe(value as $number, labels));
                });
                observed.unwrap_or_default();
            })
            .build();
    }};
}

/// Makes an instrument that asks `read` for its values: whole numbers, but for
/// seconds.
fn observable(meter: &Meter, metric: Metric, read: impl Fn(Observe<'_>) + Send + Sync + 'static) {
    match (metric.kind, metric.unit) {
        (Kind::Gauge, "s") => build!(meter.f64_observable_gauge, metric, read as f64),
        (Kind::Gauge, _) => build!(meter.u64_observable_gauge, metric, read as u64),
        (Kind::Counter, "s") => build!(meter.f64_observable_counter, metric, read as f64),
        (Kind::Counter, _) => build!(meter.u64_observable_counter, metric, read as u64),
        (Kind::UpDownCounter, _) => {
            build!(meter.i64_observable_up_down_counter, metric, read as i64);
        }
        // There is no observable histogram.
        (Kind::Histogram, _) => {}
    }
}

/// What the registry keeps.
pub(super) fn observe_tasks(meter: &Meter, readings: &Weak<dyn Readings>) {
    let of = |read: fn(&dyn Readings, Observe<'_>)| {
        let readings = Weak::clone(readings);
        move |observe: Observe<'_>| {
            if let Some(readings) = readings.upgrade() {
                read(&*readings, observe);
            }
        }
    };
    observable(
        meter,
        metric::TASK_ACTIVE,
        of(|readings, observe| {
            readings.each_kind(&mut |kind| observe(kind.active() as f64, &[named(&kind.label)]));
        }),
    );
    observable(
        meter,
        metric::TASK_TRANSITIONS,
        of(|readings, observe| {
            readings.each_kind(&mut |kind| {
                for state in TaskState::ALL {
                    let labels = [named(&kind.label), in_state(state)];
                    observe(kind.entered(state) as f64, &labels);
                }
            });
        }),
    );
    observable(
        meter,
        metric::TASK_OLDEST_AGE,
        of(|readings, observe| {
            let now = readings.now();
            readings.each_kind(&mut |kind| {
                let age = kind.oldest().map(|begun| now.saturating_sub(begun));
                observe(age.unwrap_or_default().as_secs_f64(), &[named(&kind.label)]);
            });
        }),
    );
    observable(
        meter,
        metric::HISTORY_ENTRIES,
        of(|readings, observe| observe(readings.history().0 as f64, &[])),
    );
    observable(
        meter,
        metric::HISTORY_LIMIT,
        of(|readings, observe| observe(readings.history().1 as f64, &[])),
    );
    conditions::observe(meter, of);
    store::observe(meter, of);
    observe_ping(meter, of);
}

/// What `/ping` serves.
fn observe_ping<F>(meter: &Meter, of: impl Fn(fn(&dyn Readings, Observe<'_>)) -> F)
where
    F: Fn(Observe<'_>) + Send + Sync + 'static,
{
    observable(
        meter,
        metric::PING_STATUS_NOW,
        of(|readings, observe| {
            let served = readings.ping().served().status;
            for status in [PingStatus::Healthy, PingStatus::HealthyBusy] {
                observe(f64::from(u8::from(served == status)), &[answered(status)]);
            }
        }),
    );
    observable(
        meter,
        metric::PING_TRANSITIONS,
        of(|readings, observe| {
            for status in [PingStatus::Healthy, PingStatus::HealthyBusy] {
                observe(readings.ping().entered(status) as f64, &[answered(status)]);
            }
        }),
    );
    observable(
        meter,
        metric::PING_LAST_UPDATE,
        of(|readings, observe| observe(readings.ping().served().since as f64, &[])),
    );
    observable(
        meter,
        metric::PING_FORCED,
        of(|readings, observe| {
            observe(f64::from(u8::from(readings.ping().forced().is_some())), &[]);
        }),
    );
}

/// What is counted besides the tasks.
pub(super) fn observe_counts(meter: &Meter, counts: &Arc<Counts>) {
    let of = |read: fn(&Counts, Observe<'_>)| {
        let counts = Arc::clone(counts);
        move |observe: Observe<'_>| read(&counts, observe)
    };
    observable(
        meter,
        metric::TASK_REJECTED,
        of(|counts, observe| {
            for why in Refused::ALL {
                let count = counts.rejected[why as usize].load(Relaxed);
                observe(count as f64, &[KeyValue::new(metric::REASON, why.label())]);
            }
        }),
    );
    observable(
        meter,
        metric::CHECKPOINT_EXPORTED,
        of(|counts, observe| observe(counts.checkpoints.exported.load(Relaxed) as f64, &[])),
    );
    observable(
        meter,
        metric::CHECKPOINT_SKIPPED,
        of(|counts, observe| observe(counts.checkpoints.skipped.load(Relaxed) as f64, &[])),
    );
    observable(
        meter,
        metric::STREAM_OPEN,
        of(|counts, observe| {
            for kind in StreamKind::ALL {
                let count = counts.streams(kind).load(Relaxed);
                observe(count as f64, &[KeyValue::new(metric::KIND, kind.label())]);
            }
        }),
    );
    observable(
        meter,
        metric::HTTP_ACTIVE,
        of(|counts, observe| {
            for (index, method) in METHODS.iter().enumerate() {
                if let Some(active) = counts.requests.active(index) {
                    let labels = [
                        KeyValue::new(metric::METHOD, *method),
                        KeyValue::new(metric::SCHEME, "http"),
                    ];
                    observe(active as f64, &labels);
                }
            }
        }),
    );
}

/// What became of the telemetry. `printed` says how many printed lines found no
/// room.
pub(super) fn observe_telemetry(
    meter: &Meter,
    tally: &Arc<Tally>,
    printed: impl Fn() -> u64 + Send + Sync + 'static,
) {
    let of = |read: fn(&Tally, Signal) -> u64| {
        let tally = Arc::clone(tally);
        move |observe: Observe<'_>| {
            for signal in Signal::ALL {
                let labels = [KeyValue::new(metric::SIGNAL, signal.label())];
                observe(read(&tally, signal) as f64, &labels);
            }
        }
    };
    observable(
        meter,
        metric::TELEMETRY_EXPORTED,
        of(|tally, signal| tally.of(signal).exported.load(Relaxed)),
    );
    observable(
        meter,
        metric::TELEMETRY_FAILURES,
        of(|tally, signal| tally.of(signal).failures.load(Relaxed)),
    );
    observable(
        meter,
        metric::TELEMETRY_QUEUE,
        of(|tally, signal| tally.of(signal).queue.load(Relaxed)),
    );
    let tally = Arc::clone(tally);
    observable(meter, metric::TELEMETRY_DROPPED, move |observe| {
        for signal in Signal::ALL {
            for loss in Loss::ALL {
                let mut lost = tally.of(signal).lost(loss);
                if (signal, loss) == (Signal::Logs, Loss::QueueFull) {
                    lost += printed();
                }
                let labels = [
                    KeyValue::new(metric::SIGNAL, signal.label()),
                    KeyValue::new(metric::REASON, loss.label()),
                ];
                observe(lost as f64, &labels);
            }
        }
    });
}

/// The process itself.
pub(super) fn observe_process(meter: &Meter) {
    observable(meter, metric::PROCESS_CPU, |observe| {
        let seconds = process::cpu().into_iter().flatten();
        for (mode, seconds) in CPU_MODES.iter().zip(seconds) {
            observe(seconds, &[KeyValue::new(metric::CPU_MODE, *mode)]);
        }
    });
    type Read = fn() -> Option<f64>;
    let readings: [(Metric, Read); 4] = [
        (metric::PROCESS_MEMORY, process::resident),
        (metric::PROCESS_VIRTUAL, process::virtual_size),
        (metric::PROCESS_FILES, process::files),
        (metric::PROCESS_UPTIME, process::uptime),
    ];
    for (metric, read) in readings {
        observable(meter, metric, move |observe| {
            if let Some(value) = read() {
                observe(value, &[]);
            }
        });
    }
}

/// The runtimes, each under its name.
pub(super) fn observe_runtimes(meter: &Meter, runtimes: &[(&'static str, Handle)]) {
    let of = |read: fn(&RuntimeMetrics) -> f64| {
        let runtimes = runtimes.to_vec();
        move |observe: Observe<'_>| {
            for (name, runtime) in &runtimes {
                let labels = [KeyValue::new(metric::RUNTIME, *name)];
                observe(read(&runtime.metrics()), &labels);
            }
        }
    };
    let readings: [Reading; 5] = [
        (metric::RUNTIME_WORKERS, |runtime| {
            runtime.num_workers() as f64
        }),
        (metric::RUNTIME_TASKS, |runtime| {
            runtime.num_alive_tasks() as f64
        }),
        (metric::RUNTIME_QUEUE, |runtime| {
            runtime.global_queue_depth() as f64
        }),
        (metric::RUNTIME_BUSY, process::busy_seconds),
        (metric::RUNTIME_PARKS, |runtime| {
            process::parks(runtime) as f64
        }),
    ];
    for (metric, read) in readings {
        observable(meter, metric, of(read));
    }
}

fn named(label: &Arc<str>) -> KeyValue {
    KeyValue::new(metric::TASK_NAME, Arc::clone(label))
}

pub(super) fn in_state(state: TaskState) -> KeyValue {
    KeyValue::new(metric::TASK_STATE, state.as_str())
}

fn answered(status: PingStatus) -> KeyValue {
    KeyValue::new(metric::PING_STATUS, status.as_str())
}
