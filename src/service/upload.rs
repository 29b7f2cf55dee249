//! Takes a request's body in, whole, before any user code sees the request.
//!
//! So a slow or half-sent upload occupies no worker, and a client that leaves
//! midway starts nothing. The price: a handler cannot read a body while it
//! arrives.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::{StatusCode, body::Incoming};
use tokio::time::timeout;

use super::{budget::Share, errors::Refusal};

/// Without a byte of the body.
const SILENCE: Duration = Duration::from_secs(30);

/// For how long a body that is refused is still read, so that the client gets
/// to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// Pieces below this size are put together: a body of single bytes must not
/// cost a pointer for each.
const SEGMENT: usize = 64 * 1_024;

/// A body that arrived whole.
#[derive(Debug, Default)]
pub(super) struct Upload {
    segments: Vec<Bytes>,
    open: BytesMut,
}

/// Reads `incoming` to its end. After an error, answer it and let what still
/// comes go by with [`see_off`].
pub(super) async fn receive(
    incoming: &mut Incoming,
    limit: usize,
    share: &mut Share,
) -> Result<Upload, Refusal> {
    let announced = incoming.size_hint().lower();
    if announced > limit as u64 {
        return Err(too_large(limit));
    }
    let mut upload = Upload::default();
    loop {
        let frame = match timeout(SILENCE, incoming.frame()).await {
            Err(_) => return Err(silent()),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(broken_off()),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else {
            continue; // Trailers say nothing that we read.
        };
        if share.bytes() + data.len() > limit {
            return Err(too_large(limit));
        }
        if !share.take(data.len()) {
            return Err(no_memory());
        }
        upload.push(data);
    }
    if (share.bytes() as u64) < announced {
        return Err(broken_off());
    }
    Ok(upload)
}

/// Discards what still comes, for a while.
pub(super) async fn see_off(mut incoming: Incoming) {
    let rest = async { while let Some(Ok(_)) = incoming.frame().await {} };
    // Past the time, the connection closes when `incoming` is dropped.
    timeout(FAREWELL, rest).await.unwrap_or_default();
}

pub(super) fn too_large(limit: usize) -> Refusal {
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "Payload Too Large")
        .details(format_args!("at most {limit} bytes are taken"))
        .closing()
}

fn silent() -> Refusal {
    Refusal::new(StatusCode::REQUEST_TIMEOUT, "Request Timeout")
        .details(format_args!(
            "no byte of the body for {} s",
            SILENCE.as_secs()
        ))
        .closing()
}

/// Read by a client that has hung up in its own direction only.
fn broken_off() -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "Bad Request")
        .details("the body ends before its end, or is not in the form that the headers say")
        .closing()
}

fn no_memory() -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
        .details("too many bytes of other requests are being worked on")
        .closing()
}

// === impl Upload ===

impl Upload {
    fn push(&mut self, data: Bytes) {
        if data.len() >= SEGMENT || (self.open.is_empty() && self.segments.is_empty()) {
            self.close();
            self.segments.push(data);
            return;
        }
        self.open.extend_from_slice(&data);
        if self.open.len() >= SEGMENT {
            self.close();
        }
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.segments.push(self.open.split().freeze());
        }
    }

    /// The body, as user code reads it.
    pub(super) fn into_body(mut self) -> Body {
        self.close();
        match self.segments.len() {
            0 => Body::empty(),
            1 => Body::from(self.segments.swap_remove(0)),
            _ => Body::from_stream(stream::iter(
                self.segments
                    .into_iter()
                    .map(Ok::<_, std::convert::Infallible>),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_bytes_are_put_together() {
        let mut upload = Upload::default();
        for _ in 0..200_000 {
            upload.push(Bytes::from_static(b"x"));
        }
        upload.close();
        assert_eq!(
            upload.segments.iter().map(Bytes::len).sum::<usize>(),
            200_000
        );
        assert!(upload.segments.len() < 6, "{}", upload.segments.len());
    }
}
