//! The store, where there is one; else these metrics have no series.

use opentelemetry::metrics::Meter;

use super::{Observe, Readings, metric, observable};
use crate::telemetry::metric::Metric;

/// A metric and how it is read.
type Reading = (Metric, fn(&dyn Readings, Observe<'_>));

/// Makes the instruments.
pub(super) fn observe<F>(meter: &Meter, of: impl Fn(fn(&dyn Readings, Observe<'_>)) -> F)
where
    F: Fn(Observe<'_>) + Send + Sync + 'static,
{
    let readings: [Reading; 4] = [
        (metric::STORE_UP, |readings, observe| {
            if let Some(store) = readings.store() {
                observe(f64::from(u8::from(store.fault.is_none())), &[]);
            }
        }),
        (metric::STORE_QUEUE, |readings, observe| {
            if let Some(store) = readings.store() {
                observe(store.queue as f64, &[]);
            }
        }),
        (metric::STORE_SHED, |readings, observe| {
            if let Some(store) = readings.store() {
                observe(store.shed as f64, &[]);
            }
        }),
        (metric::STORE_FAILURES, |readings, observe| {
            if let Some(store) = readings.store() {
                observe(store.failures as f64, &[]);
            }
        }),
    ];
    for (metric, read) in readings {
        observable(meter, metric, of(read));
    }
}
