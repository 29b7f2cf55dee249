//! What a collector says of a batch that it took.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use serde_json::Value;

/// Items of the batch that it did not keep, and why not.
///
/// An answer that cannot be read says that all are kept: the status did.
pub(super) fn rejected(content_type: &str, body: &[u8]) -> (u64, String) {
    let read = if content_type.starts_with("application/json") {
        from_json(body)
    } else {
        from_protobuf(body)
    };
    let (items, why) = read.unwrap_or_default();
    (u64::try_from(items).unwrap_or(0), why)
}

/// The answers for spans, data points and log records differ in names only,
/// which are not on the wire.
fn from_protobuf(body: &[u8]) -> Option<(i64, String)> {
    let answer = ExportTraceServiceResponse::decode(body).ok()?;
    let partial = answer.partial_success?;
    Some((partial.rejected_spans, partial.error_message))
}

fn from_json(body: &[u8]) -> Option<(i64, String)> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let partial = answer.get("partialSuccess")?;
    let names = ["rejectedSpans", "rejectedDataPoints", "rejectedLogRecords"];
    let items = names.iter().find_map(|name| partial.get(name));
    // Protobuf's JSON has 64-bit integers as strings, and must read both.
    let items = items.and_then(|items| match items.as_str() {
        Some(text) => text.parse().ok(),
        None => items.as_i64(),
    });
    let why = partial.get("errorMessage").and_then(Value::as_str);
    Some((items.unwrap_or(0), why.unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::{
        logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse},
        trace::v1::ExportTracePartialSuccess,
    };

    use super::*;

    #[test]
    fn what_is_rejected_is_read_from_both_forms() {
        let spans = ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess {
                rejected_spans: 3,
                error_message: "too old".to_owned(),
            }),
        };
        let told = (3, "too old".to_owned());
        assert_eq!(
            rejected("application/x-protobuf", &spans.encode_to_vec()),
            told
        );
        let logs = ExportLogsServiceResponse {
            partial_success: Some(ExportLogsPartialSuccess {
                rejected_log_records: 3,
                error_message: "too old".to_owned(),
            }),
        };
        assert_eq!(
            rejected("application/x-protobuf", &logs.encode_to_vec()),
            told
        );
        for items in ["3", "\"3\""] {
            let body = format!(
                r#"{{"partialSuccess":{{"rejectedDataPoints":{items},"errorMessage":"too old"}}}}"#
            );
            assert_eq!(
                rejected("application/json; charset=utf-8", body.as_bytes()),
                told
            );
        }
    }

    #[test]
    fn an_answer_that_says_nothing_rejects_nothing() {
        let nothing = (0, String::new());
        for body in ["", "{}", "[", "\u{1}\u{2}\u{3}"] {
            assert_eq!(rejected("application/json", body.as_bytes()), nothing);
            assert_eq!(rejected("application/x-protobuf", body.as_bytes()), nothing);
        }
        let less_than_none = br#"{"partialSuccess":{"rejectedSpans":-1}}"#;
        assert_eq!(rejected("application/json", less_than_none), nothing);
    }
}
