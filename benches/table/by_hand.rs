//! What a program does that has the same spans, lines and metrics without this
//! crate: the other side of a ratio.

use std::{
    env,
    future::Future,
    io::{BufWriter, stdout},
    pin::Pin,
    time::{Duration, Instant},
};

use bytes::Bytes;
use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, MeterProvider as _},
    trace::TracerProvider as _,
};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::{
    metrics::{PeriodicReader, SdkMeterProvider},
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider},
};
use tracing::{field::Empty, info, info_span};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::filter_fn, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use super::{
    Outcome,
    full::{burst, obey},
};

/// As many as ours. How long a batch waits and how many spans do, the
/// environment says.
const BATCH: usize = 2_048;
const LINES: usize = 65_536;
const CHUNK: usize = 64 * 1_024;

/// Instruments that are looked up by their labels at each use, as is usual.
struct Instruments {
    transitions: Counter<u64>,
    durations: Histogram<f64>,
}

/// Sends requests on the exporter's own thread.
#[derive(Debug)]
struct Client(ureq::Agent);

/// Obeys `burst`.
pub(crate) fn by_hand() -> Outcome<()> {
    let endpoint = env::var("OTEL_EXPORTER_OTLP_ENDPOINT")?;
    let tracers = tracers(&endpoint)?;
    let registry = prometheus::Registry::new();
    let meters = meters(&endpoint, &registry)?;
    let _printed = subscribe(&tracers)?;
    let instruments = Instruments::new(&meters);
    eprintln!("ready");
    let mut id = 0;
    obey(|order| match *order {
        ["burst", operations] => {
            let took = burst(operations.parse()?, |page| {
                id += 1;
                instruments.task(id, i64::from(page));
                Ok(())
            })?;
            Ok(took.to_string())
        }
        _ => Err("no such order".into()),
    })
}

/// Spans, through a batch.
fn tracers(endpoint: &str) -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client::new())
        .with_endpoint(format!("{endpoint}/v1/traces"))
        .build()?;
    let batches = BatchConfigBuilder::default().with_max_export_batch_size(BATCH);
    let batches = BatchSpanProcessor::builder(exporter).with_batch_config(batches.build());
    let provider = SdkTracerProvider::builder().with_span_processor(batches.build());
    Ok(provider.build())
}

/// Metrics for two readers.
fn meters(endpoint: &str, registry: &prometheus::Registry) -> Outcome<SdkMeterProvider> {
    let exporter = MetricExporter::builder()
        .with_http()
        .with_http_client(Client::new())
        .with_endpoint(format!("{endpoint}/v1/metrics"))
        .build()?;
    let text = opentelemetry_prometheus::exporter().with_registry(registry.clone());
    let provider = SdkMeterProvider::builder()
        .with_reader(text.build()?)
        .with_reader(PeriodicReader::builder(exporter).build());
    Ok(provider.build())
}

/// Prints JSON through the same writer as ours, and hands spans on.
fn subscribe(tracers: &SdkTracerProvider) -> Outcome<WorkerGuard> {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES)
        .finish(BufWriter::with_capacity(CHUNK, stdout()));
    let printed = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        // Lines that say less than ours, of no span: this formatter would parse
        // the span's fields again for each, which is a third of its time.
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(writer)
        .with_filter(EnvFilter::from_default_env());
    // As lean as ours: no places, threads or times that nobody asked for, and
    // no copy of each line in the span.
    let spans = tracing_opentelemetry::layer()
        .with_tracer(tracers.tracer("bench"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(|metadata| metadata.is_span()));
    tracing_subscriber::registry()
        .with(printed)
        .with(spans)
        .try_init()?;
    Ok(guard)
}

// === impl Instruments ===

impl Instruments {
    fn new(meters: &SdkMeterProvider) -> Self {
        let meter = meters.meter("bench");
        Self {
            transitions: meter.u64_counter("bench.transitions").build(),
            durations: meter.f64_histogram("bench.duration").with_unit("s").build(),
        }
    }

    /// The life of a task.
    fn task(&self, id: i64, page: i64) {
        let begun = Instant::now();
        let span = info_span!(
            "task",
            task.id = id,
            task.name = "bench",
            task.state = Empty,
            code.file.path = file!(),
            code.line.number = i64::from(line!()),
        );
        span.set_attribute("task.metadata.data_id", "sample_data".to_owned());
        span.set_attribute("task.metadata.page", page);
        span.in_scope(|| {
            info!(
                data_id = "sample_data",
                page,
                at = %format_args!("{}:{}", file!(), line!()),
                "task bench {id} begun"
            );
        });
        self.transitions.add(1, &labels("running"));
        // It works.
        span.record("task.state", "succeeded");
        let took: Duration = begun.elapsed();
        let duration_seconds = took.as_secs_f64();
        span.in_scope(|| info!(duration_seconds, "task bench {id} succeeded"));
        self.transitions.add(1, &labels("succeeded"));
        self.durations
            .record(duration_seconds, &labels("succeeded"));
    }
}

fn labels(state: &'static str) -> [KeyValue; 2] {
    [
        KeyValue::new("task.name", "bench"),
        KeyValue::new("task.state", state),
    ]
}

// === impl Client ===

impl Client {
    fn new() -> Self {
        Self(ureq::Agent::new_with_defaults())
    }
}

impl HttpClient for Client {
    fn send_bytes<'this, 'future>(
        &'this self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'future>>
    where
        'this: 'future,
        Self: 'future,
    {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let request = Request::from_parts(head, body.to_vec());
            let (head, mut body) = self.0.run(request)?.into_parts();
            let body = body.read_to_vec()?;
            Ok(Response::from_parts(head, body.into()))
        })
    }
}
