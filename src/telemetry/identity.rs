//! Whom a log record or a span was made for, said on each under the same keys.

use std::time::{Duration, SystemTime};

use opentelemetry::{
    Context, InstrumentationScope, KeyValue,
    logs::{AnyValue, LogRecord as _},
    trace::Span as _,
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    logs::{LogProcessor, SdkLogRecord},
    trace::{Span, SpanData, SpanProcessor},
};

use super::scope::Scope;

/// Adds the task and the request to log records, under the keys that spans have
/// them under. It stands before what sends them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identify;

/// Adds the baggage that is kept to spans inside a request: those of requests
/// and tasks have it from the start, all others from here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inherit;

// === impl Identify ===

impl LogProcessor for Identify {
    fn emit(&self, record: &mut SdkLogRecord, _: &InstrumentationScope) {
        // The bridge says when it saw the event only, which is the same moment.
        if record.timestamp().is_none() {
            record.set_timestamp(SystemTime::now());
        }
        Context::map_current(|cx| {
            let Some(scope) = cx.get::<Scope>() else {
                return;
            };
            if let Some((id, name)) = &scope.task {
                record.add_attribute("task.id", u64::from(*id).cast_signed());
                record.add_attribute("task.name", name.to_string());
            }
            let Some(origin) = &scope.origin else { return };
            if let Some(session) = &origin.session_id {
                record.add_attribute("session.id", session.to_string());
            }
            record.add_attribute("taskpulse.request.id", origin.request_id.to_string());
            for (key, value) in &origin.baggage {
                record.add_attribute(key.to_string(), AnyValue::from(value.to_string()));
            }
        });
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

// === impl Inherit ===

impl SpanProcessor for Inherit {
    fn on_start(&self, span: &mut Span, parent: &Context) {
        let origin = parent
            .get::<Scope>()
            .and_then(|scope| scope.origin.as_ref());
        for (key, value) in origin.iter().flat_map(|origin| &origin.baggage) {
            span.set_attribute(KeyValue::new(key.to_string(), value.to_string()));
        }
    }

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
