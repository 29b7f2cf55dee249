//! What may be the matter with tasks, as the registry has noted it.

use opentelemetry::{KeyValue, metrics::Meter};

use super::{Observe, Readings, metric, named, observable};
use crate::task::Condition;

/// Makes the instruments.
pub(super) fn observe<F>(meter: &Meter, of: impl Fn(fn(&dyn Readings, Observe<'_>)) -> F)
where
    F: Fn(Observe<'_>) + Send + Sync + 'static,
{
    observable(
        meter,
        metric::TASK_OVERDUE,
        of(|readings, observe| {
            readings.each_kind(&mut |kind| {
                let overdue = kind.noted(Condition::Overdue);
                observe(overdue as f64, &[named(&kind.label)]);
            });
        }),
    );
    observable(
        meter,
        metric::TASK_STALLED,
        of(|readings, observe| {
            readings.each_kind(&mut |kind| {
                let stalled = kind.noted(Condition::Stalled);
                observe(stalled as f64, &[named(&kind.label)]);
            });
        }),
    );
    observable(
        meter,
        metric::TASK_CONDITIONS,
        of(|readings, observe| {
            readings.each_kind(&mut |kind| {
                for condition in Condition::ALL {
                    let which = KeyValue::new(metric::CONDITION, condition.as_str());
                    let labels = [named(&kind.label), which];
                    observe(kind.crossed(condition) as f64, &labels);
                }
            });
        }),
    );
}
