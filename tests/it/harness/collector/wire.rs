//! The bytes of the receiver: HTTP/1.1 by hand, since it must be able to do it
//! wrong.

use std::{
    io::{BufRead as _, BufReader, Read, Write as _},
    net::{Shutdown, TcpStream},
};

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::{
    logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse},
    metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse},
    trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse},
};
use prost::Message;
use serde::Serialize;

use super::{Behaviour, Delivery, Shared, Signal, records};

/// A request as it came.
struct Request {
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

enum Answer {
    Whole(Vec<u8>),
    /// Some bytes, and then no more.
    Half,
    /// It closes.
    Nothing,
}

const REASON: &str = "rejected, as the test asked for";

/// Answers one connection's requests until it closes.
pub(super) fn serve(connection: TcpStream, shared: &Shared, life: usize) {
    let mut reader = BufReader::new(connection);
    while let Some(request) = read(&mut reader) {
        let answer = handle(&request, shared, life);
        let connection = reader.get_mut();
        let written = match &answer {
            Answer::Whole(bytes) => connection.write_all(bytes),
            Answer::Half => connection
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Le")
                .and_then(|()| connection.shutdown(Shutdown::Write)),
            Answer::Nothing => connection.shutdown(Shutdown::Both),
        };
        if written.is_err() {
            return;
        }
    }
}

/// Reads a request; none when the peer has closed or sends nonsense.
fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let body = if header(&headers, "transfer-encoding") == Some("chunked") {
        chunks(reader)?
    } else {
        let length = header(&headers, "content-length").unwrap_or("0");
        exactly(reader, length.parse().ok()?)?
    };
    Some(Request {
        path,
        headers,
        body,
    })
}

fn chunks(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        reader.read_line(&mut size).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        body.extend(exactly(reader, size)?);
        exactly(reader, 2)?;
        if size == 0 {
            return Some(body);
        }
    }
}

fn exactly(reader: &mut impl Read, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str())
}

fn handle(request: &Request, shared: &Shared, life: usize) -> Answer {
    let signal = match request.path.as_str() {
        "/v1/traces" => Signal::Traces,
        "/v1/metrics" => Signal::Metrics,
        "/v1/logs" => Signal::Logs,
        _ => return Answer::Whole(answer(404, "text/plain", b"no such path")),
    };
    let gzip = header(&request.headers, "content-encoding") == Some("gzip");
    let media = header(&request.headers, "content-type").unwrap_or_default();
    let json = media.starts_with("application/json");
    if !json && media != "application/x-protobuf" {
        return Answer::Whole(answer(415, "text/plain", media.as_bytes()));
    }
    let mut body = Vec::new();
    let plain = match gzip {
        true => GzDecoder::new(&*request.body)
            .read_to_end(&mut body)
            .is_ok(),
        false => {
            body.clone_from(&request.body);
            true
        }
    };
    let records = plain
        .then(|| records::decode(signal, json, &body))
        .flatten();
    let Some(records) = records else {
        return Answer::Whole(answer(400, "text/plain", b"not OTLP"));
    };
    let delivery = Delivery {
        signal,
        headers: request.headers.clone(),
        gzip,
        json,
        items: records.count(),
        behaviour: Behaviour::Accept,
    };
    match shared.receive(delivery, records) {
        Behaviour::Accept => Answer::Whole(accepted(signal, json, 0)),
        Behaviour::Partial(rejected) => Answer::Whole(accepted(signal, json, rejected)),
        Behaviour::Status(status) => Answer::Whole(answer(status, "text/plain", b"as asked for")),
        Behaviour::Hang => {
            shared.hang(life);
            Answer::Nothing
        }
        Behaviour::Close => Answer::Nothing,
        Behaviour::HalfAnswer => Answer::Half,
    }
}

/// An OTLP answer to what was taken.
fn accepted(signal: Signal, json: bool, rejected: usize) -> Vec<u8> {
    let rejected = i64::try_from(rejected).expect("a small number");
    let some = rejected > 0;
    let error_message = REASON.to_owned();
    match signal {
        Signal::Traces => encode(
            json,
            &ExportTraceServiceResponse {
                partial_success: some.then_some(ExportTracePartialSuccess {
                    rejected_spans: rejected,
                    error_message,
                }),
            },
        ),
        Signal::Metrics => encode(
            json,
            &ExportMetricsServiceResponse {
                partial_success: some.then_some(ExportMetricsPartialSuccess {
                    rejected_data_points: rejected,
                    error_message,
                }),
            },
        ),
        Signal::Logs => encode(
            json,
            &ExportLogsServiceResponse {
                partial_success: some.then_some(ExportLogsPartialSuccess {
                    rejected_log_records: rejected,
                    error_message,
                }),
            },
        ),
    }
}

fn encode(json: bool, response: &(impl Message + Serialize)) -> Vec<u8> {
    if json {
        let body = serde_json::to_vec(response).expect("a plain struct");
        answer(200, "application/json", &body)
    } else {
        answer(200, "application/x-protobuf", &response.encode_to_vec())
    }
}

fn answer(status: u16, media: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} As Asked\r\nContent-Type: {media}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
