//! Metrics that are pushed.
//!
//! An item is a data point, as it is in what a collector says it rejected. The
//! points of a push that fails count as lost, but with cumulative temporality
//! only their resolution is: the next push has the totals again.

use std::{
    fmt,
    sync::{Arc, Weak, mpsc},
    thread,
    time::Duration,
};

use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    metrics::{
        InstrumentKind, PeriodicReader, Pipeline, SdkMeterProvider, Temporality,
        data::{AggregatedMetrics, MetricData, ResourceMetrics},
        exporter::PushMetricExporter,
        reader::MetricReader,
    },
};

use super::{
    otlp::{self, Sender},
    report::{Outcome, Report},
    talk::Talk,
};
use crate::{
    Error,
    telemetry::{
        config::Config,
        quietly,
        tally::{Signal, Tally},
    },
};

/// Counts what an exporter delivers.
struct Counted {
    sender: Sender<MetricExporter>,
    talk: Arc<Talk>,
    report: Report,
}

/// The SDK's reader. Its shutdown tries once more to push, but not for long.
#[derive(Debug)]
pub(super) struct PushReader {
    inner: PeriodicReader<Counted>,
    talk: Arc<Talk>,
}

/// The reader that pushes to a collector; nothing if none does.
pub(super) fn push(config: &Config, tally: &Arc<Tally>) -> Result<Option<PushReader>, Error> {
    let talk = Arc::<Talk>::default();
    let Some(sender) = otlp::metrics(config, &talk)? else {
        return Ok(None);
    };
    let counted = Counted {
        sender,
        talk: Arc::clone(&talk),
        report: Report::new(
            tally,
            Signal::Metrics,
            super::terms(config, Signal::Metrics)?,
        ),
    };
    let reader = PeriodicReader::builder(counted).with_interval(config.metrics_interval);
    let inner = reader.build();
    Ok(Some(PushReader { inner, talk }))
}

/// Pushes a last time, for at most `timeout`: the SDK's own shutdown takes up to
/// five seconds for each reader, whatever timeout it is given.
pub(super) fn shut_down(provider: &SdkMeterProvider, timeout: Duration) -> OTelSdkResult {
    let provider = provider.clone();
    let (ended, end) = mpsc::channel();
    // Nobody listens any more if the time is up.
    let last = move || drop(ended.send(provider.shutdown()));
    let thread = thread::Builder::new().name("export-end".to_owned());
    if let Err(error) = thread.spawn(last) {
        return Err(OTelSdkError::InternalFailure(error.to_string()));
    }
    end.recv_timeout(timeout)
        .unwrap_or(Err(OTelSdkError::Timeout(timeout)))
}

/// Data points in one collection.
fn points(metrics: &ResourceMetrics) -> u64 {
    let all = metrics.scope_metrics().flat_map(|scope| scope.metrics());
    let points: usize = all
        .map(|metric| match metric.data() {
            AggregatedMetrics::F64(data) => points_of(data),
            AggregatedMetrics::U64(data) => points_of(data),
            AggregatedMetrics::I64(data) => points_of(data),
        })
        .sum();
    points as u64
}

fn points_of<T>(data: &MetricData<T>) -> usize {
    match data {
        MetricData::Gauge(gauge) => gauge.data_points().count(),
        MetricData::Sum(sum) => sum.data_points().count(),
        MetricData::Histogram(histogram) => histogram.data_points().count(),
        MetricData::ExponentialHistogram(histogram) => histogram.data_points().count(),
    }
}

// === impl Counted ===

impl PushMetricExporter for Counted {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let points = points(metrics);
        // A panic would end the reader's thread, and so all pushes to come.
        let sent = quietly(|| self.sender.driver.run(self.sender.exporter.export(metrics)));
        let outcome = match sent {
            Some(sent) => self.talk.outcome(sent),
            None => Outcome::panicked(),
        };
        self.report.count(points, &outcome);
        self.report.speak(points, &outcome);
        match outcome {
            Outcome::Accepted { .. } => Ok(()),
            Outcome::Failed(why) => Err(OTelSdkError::InternalFailure(why)),
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.sender.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.sender.exporter.temporality()
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Counted").field(&self.report).finish()
    }
}

// === impl PushReader ===

impl MetricReader for PushReader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.inner.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.inner.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    /// Waits five seconds, whatever it is told, as the SDK does; see
    /// [`shut_down`] for less.
    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.talk.stop();
        self.inner.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.inner.temporality(kind)
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::Pin, sync::atomic::Ordering::Relaxed};

    use bytes::Bytes;
    use opentelemetry::metrics::MeterProvider as _;
    use opentelemetry_http::{HttpClient, HttpError, Request, Response};
    use opentelemetry_otlp::{WithExportConfig as _, WithHttpConfig as _};

    use super::*;
    use crate::telemetry::{export::terms, tally::Loss};

    #[derive(Debug)]
    struct Panics;

    impl HttpClient for Panics {
        fn send_bytes<'this, 'future>(
            &'this self,
            _: Request<Bytes>,
        ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'future>>
        where
            'this: 'future,
            Self: 'future,
        {
            Box::pin(async { panic!("a push") })
        }
    }

    #[test]
    fn a_panic_ends_one_push_and_no_other() {
        let builder = MetricExporter::builder().with_http();
        let builder = builder.with_endpoint("http://localhost/v1/metrics");
        let exporter = builder.with_http_client(Panics).build().unwrap();
        let tally = Arc::<Tally>::default();
        let terms = terms(&Config::default(), Signal::Metrics).unwrap();
        let counted = Counted {
            sender: Sender {
                exporter,
                driver: otlp::Driver::default(),
            },
            talk: Arc::default(),
            report: Report::new(&tally, Signal::Metrics, terms),
        };
        let reader = PeriodicReader::builder(counted).build();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        let counter = provider.meter("test").u64_counter("pages").build();
        counter.add(1, &[]);
        for pushes in 1..=2 {
            provider.force_flush().unwrap_err();
            let tally = tally.of(Signal::Metrics);
            assert_eq!(tally.failures.load(Relaxed), pushes);
            assert_eq!(tally.lost(Loss::Failed), pushes);
        }
    }
}
