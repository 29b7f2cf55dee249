//! Spans of an earlier process, exported under the ids that they had there.

use std::time::SystemTime;

use opentelemetry::{
    Context, Key, KeyValue, TraceFlags,
    trace::{
        Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceState,
        Tracer as _,
    },
};
use opentelemetry_sdk::trace::{
    SdkTracer, SpanData, SpanEvents, SpanLimits, SpanLinks, SpanProcessor as _,
};

use super::{Telemetry, export, span::SpanIds, start::scope};

/// A span that has ended, with an error.
#[derive(Debug)]
pub(super) struct PastSpan {
    pub(super) ids: SpanIds,
    pub(super) name: String,
    pub(super) start: SystemTime,
    pub(super) end: SystemTime,
    pub(super) attributes: Vec<KeyValue>,
    pub(super) error: String,
}

// === impl Telemetry ===

impl Telemetry {
    /// What this process calls itself: its `service.instance.id`.
    pub(crate) fn instance(&self) -> String {
        let resource = export::resource(self.config());
        let instance = resource.get(&Key::new("service.instance.id"));
        instance.map_or_else(String::new, |instance| instance.to_string())
    }

    /// Exports it, if any spans are. Whether it is sampled was decided when it began.
    pub(super) fn export_past(&self, span: PastSpan) {
        match (self.gate(), self.tracer()) {
            (Some(gate), _) => gate.on_end(span.into_data(self.config().limits)),
            (None, Some(tracer)) if self.exports_spans() => span.remake(tracer),
            (None, _) => {}
        }
    }
}

// === impl PastSpan ===

impl PastSpan {
    /// As the SDK would have made it: the limits are its matter elsewhere.
    fn into_data(self, limits: SpanLimits) -> SpanData {
        let Self {
            ids,
            name,
            mut attributes,
            ..
        } = self;
        let all = attributes.len();
        attributes.truncate(usize::try_from(limits.max_attributes_per_span).unwrap_or(usize::MAX));
        let dropped = all - attributes.len();
        let state = TraceState::default();
        SpanData {
            span_context: SpanContext::new(ids.trace, ids.span, TraceFlags::SAMPLED, false, state),
            parent_span_id: ids.parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: self.start,
            end_time: self.end,
            dropped_attributes_count: u32::try_from(dropped).unwrap_or(u32::MAX),
            attributes,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::error(self.error),
            instrumentation_scope: scope().build(),
        }
    }

    /// A program's own provider of spans gives its own ids, so this becomes a span of the
    /// same trace, where the lost one would be.
    fn remake(self, tracer: &SdkTracer) {
        let ids = self.ids;
        let parent = ids.parent.unwrap_or(ids.span);
        let state = TraceState::default();
        let parent = SpanContext::new(ids.trace, parent, TraceFlags::SAMPLED, true, state);
        let builder = tracer
            .span_builder(self.name)
            .with_kind(SpanKind::Internal)
            .with_start_time(self.start)
            .with_attributes(self.attributes);
        let parent = Context::new().with_remote_span_context(parent);
        let mut span = tracer.build_with_context(builder, &parent);
        span.set_status(Status::error(self.error));
        span.end_with_timestamp(self.end);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use opentelemetry::trace::TraceId;
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};

    use super::*;
    use crate::telemetry::builder;

    fn lost(attributes: Vec<KeyValue>) -> PastSpan {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        PastSpan {
            ids: SpanIds {
                trace: TraceId::from(7_u128),
                span: SpanId::from(8_u64),
                parent: Some(SpanId::from(9_u64)),
                sampled: true,
            },
            name: "import".to_owned(),
            start: at(1),
            end: at(2),
            attributes,
            error: "lost".to_owned(),
        }
    }

    #[test]
    fn the_first_attributes_are_kept_and_the_others_counted() {
        let attributes = || {
            (0..5)
                .map(|n| KeyValue::new(format!("key {n}"), n))
                .collect()
        };
        for (most, kept) in [(0, 0), (2, 2), (5, 5), (128, 5)] {
            let limits = SpanLimits {
                max_attributes_per_span: most,
                ..SpanLimits::default()
            };
            let data = lost(attributes()).into_data(limits);
            let all: Vec<KeyValue> = attributes();
            assert_eq!(data.attributes, all[..kept]);
            assert_eq!(data.dropped_attributes_count as usize, 5 - kept);
        }
    }

    #[test]
    fn with_a_provider_of_its_own_a_program_gets_a_span_in_the_same_trace() {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone());
        let telemetry = builder().tracer_provider(provider.build()).build().unwrap();
        let past = lost(vec![KeyValue::new("task.id", 5)]);
        let (ids, times) = (past.ids, (past.start, past.end));
        telemetry.export_past(past);
        let spans = exporter.get_finished_spans().unwrap();
        let [span] = &spans[..] else {
            panic!("{spans:?}");
        };
        assert_eq!(span.span_context.trace_id(), ids.trace);
        assert_eq!(Some(span.parent_span_id), ids.parent);
        assert_eq!((span.start_time, span.end_time), times);
        assert_eq!(span.status, Status::error("lost"));
        telemetry.shutdown(Duration::ZERO);
    }
}
