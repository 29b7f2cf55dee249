//! The layer that makes a program's `tracing` take part: its spans go where
//! tasks' spans go, its log lines too, and both find the task they are of.

use std::cell::RefCell;

use opentelemetry::{Context as OtelContext, ContextGuard};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use tracing::{Metadata, Subscriber, info_span, level_filters::LevelFilter, span};
use tracing_opentelemetry::{OpenTelemetrySpanExt as _, SetParentError};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt as _, filter_fn},
    layer::Context,
    registry::LookupSpan,
};

use super::{Telemetry, log::TASK, quietly, request::REQUEST};

thread_local! {
    /// The context of the span that this thread is about to open.
    static OPENING: RefCell<Option<OtelContext>> = const { RefCell::new(None) };
    /// What entered spans of ours have attached, innermost last.
    static ENTERED: RefCell<Vec<(span::Id, ContextGuard)>> = const { RefCell::new(Vec::new()) };
}

/// The context that a span of ours stands for.
struct Carried(OtelContext);

/// Makes whoever enters a span of ours enter its OpenTelemetry context: what is
/// spawned with `.instrument(Span::current())` then belongs to the task as well.
///
/// The OpenTelemetry layer itself never sees these spans. It would keep the span
/// of a task open as long as any child or clone of it.
#[derive(Clone, Copy, Debug)]
struct Carrier;

/// Targets whose spans and events would tell of the telling, without end.
const OWN_NOISE: [&str; 12] = [
    "h2",
    "hyper",
    "hyper_util",
    "log",
    "opentelemetry",
    "opentelemetry-otlp",
    "opentelemetry-prometheus",
    "opentelemetry_sdk",
    "rustls",
    "tonic",
    "ureq",
    "ureq_proto",
];

/// A layer for a subscriber of your own, in the telemetry that was started last.
///
/// Spans of `info` and above become OpenTelemetry spans, whatever your other
/// layers print or leave out. Code inside a task has the task as their parent.
/// Where `OTEL_LOGS_EXPORTER` asks for it, events of `info` and above become
/// OpenTelemetry log records. [`start`](super::start()) has an example.
///
/// Without telemetry, [`start`](super::start()) before it, it does nothing.
pub fn layer<S>() -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    match Telemetry::current() {
        Some(telemetry) => layer_of(&telemetry),
        None => Box::new(Nothing),
    }
}

/// The layer of this telemetry.
pub(crate) fn layer_of<S>(telemetry: &Telemetry) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let mut layers: Vec<Box<dyn Layer<S> + Send + Sync>> = Vec::new();
    if let Some(tracer) = telemetry.tracer() {
        let spans = tracing_opentelemetry::layer()
            .with_tracer(tracer.clone())
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(is_theirs).and(filter_fn(|metadata| metadata.is_span())));
        layers.push(Box::new(spans));
        layers.push(Box::new(Carrier.with_filter(filter_fn(is_ours))));
    }
    if let Some(provider) = telemetry.logs() {
        let records =
            OpenTelemetryTracingBridge::new(provider).with_filter(filter_fn(|metadata| {
                metadata.is_event() && is_told(metadata)
            }));
        layers.push(Box::new(records));
    }
    // An empty list would turn everything off, the layers beside it included.
    match layers.is_empty() {
        true => Box::new(Nothing),
        false => Box::new(layers),
    }
}

/// Whether spans of the program's own become OpenTelemetry spans. Where nobody
/// listens to spans at all, nothing is missing.
pub(super) fn is_layered() -> bool {
    let probe = info_span!(parent: None, "taskpulse_probe");
    // Nobody is to receive it.
    let parent = probe.set_parent(OtelContext::new().with_telemetry_suppressed());
    !matches!(parent, Err(SetParentError::LayerNotFound))
}

/// Opens a span of ours that stands for `cx`.
pub(super) fn opening<R>(cx: &OtelContext, open: impl FnOnce() -> R) -> R {
    // A thread that is being torn down has no such place any more.
    let put = |cx| OPENING.try_with(|opening| opening.replace(cx));
    let before = put(Some(cx.clone())).ok().flatten();
    let opened = open();
    drop(put(before));
    opened
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && [TASK, REQUEST].contains(&metadata.target())
}

fn is_theirs(metadata: &Metadata<'_>) -> bool {
    !is_ours(metadata) && is_told(metadata)
}

fn is_told(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let noise = OWN_NOISE.iter().any(|own| {
        target
            .strip_prefix(own)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    });
    !noise && *metadata.level() <= LevelFilter::INFO
}

/// A layer that does nothing.
struct Nothing;

impl<S: Subscriber> Layer<S> for Nothing {}

// === impl Carrier ===

impl<S> Layer<S> for Carrier
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, _: &span::Attributes<'_>, id: &span::Id, ctx: Context<'_, S>) {
        let opening = OPENING.try_with(|opening| opening.borrow_mut().take());
        if let (Ok(Some(cx)), Some(span)) = (opening, ctx.span(id)) {
            span.extensions_mut().insert(Carried(cx));
        }
    }

    fn on_enter(&self, id: &span::Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let cx = span
            .extensions()
            .get::<Carried>()
            .map(|Carried(cx)| cx.clone());
        if let Some(cx) = cx {
            let Some(guard) = quietly(|| cx.attach()) else {
                return;
            };
            ENTERED
                .try_with(|entered| entered.borrow_mut().push((id.clone(), guard)))
                .unwrap_or_default();
        }
    }

    fn on_exit(&self, id: &span::Id, _: Context<'_, S>) {
        let guard = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            let at = entered.iter().rposition(|(of, _)| of == id)?;
            Some(entered.remove(at))
        });
        quietly(|| drop(guard)); // Here, where nothing is borrowed.
    }
}
