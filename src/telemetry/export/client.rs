//! The HTTP client of the exporters. It blocks, since they run on threads of
//! their own; one that needs a runtime hangs or panics there.

use std::{
    fmt, fs, future::Future, io, net::IpAddr, path::Path, pin::Pin, sync::Arc, time::Duration,
};

use bytes::Bytes;
use hyper::{
    StatusCode, Uri,
    header::{
        CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
    },
};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use tokio::time::Instant;
use ureq::{
    Agent, RequestExt as _, SendBody,
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::{
    answer,
    report::Report,
    talk::{Heard, Talk},
};
use crate::{Error, telemetry::config::Otlp};

/// Sends requests to one collector, and again where that may help.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// For a round: a request and what further attempts there is time for.
    timeout: Duration,
    talk: Arc<Talk>,
    patience: Patience,
}

/// What happens to a batch after a round without success, where another one may
/// help.
#[derive(Clone, Debug)]
pub(super) enum Patience {
    /// It is given up: the next one has all that it had.
    OneRound,
    /// It is kept, and its queue fills, until the collector is back; but not for
    /// long if the collector may have it. Each round is told of here.
    UntilBack(Arc<Report>),
}

/// The attempts for a batch until it counts as a failure, and those that follow.
struct Round {
    begun: Instant,
    /// The collector may have taken the batch, though it does not say so.
    in_doubt: bool,
    /// Rounds in doubt before this one.
    doubtful: u32,
}

/// Why an attempt failed, and when another one may help.
struct Trouble {
    why: String,
    /// At the earliest after this time.
    again: Option<Duration>,
    /// The collector may have taken the batch all the same.
    in_doubt: bool,
}

/// An answer is a few bytes; one that goes on for ever must not fill the memory.
const ANSWER_LIMIT: u64 = 4 << 20;
/// Before the second attempt, then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// What `Retry-After` may ask for. Whoever waits for an hour loses what its queue
/// has no room for, though the collector may be back in a second.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// After that many rounds in doubt, a batch is given up: sent for ever, it would
/// arrive again and again, and hold up all others.
const ROUNDS_IN_DOUBT: u32 = 3;

// === impl Client ===

impl Client {
    /// # Errors
    ///
    /// [`Error::Usage`] if the file of certificates cannot be used.
    pub(super) fn new(
        otlp: &Otlp,
        timeout: Duration,
        talk: &Arc<Talk>,
        patience: Patience,
    ) -> Result<Self, Error> {
        let roots = match &otlp.certificate {
            Some(path) => roots(path)?,
            None => RootCerts::PlatformVerifier,
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Telemetry goes where it was sent, and to no third party.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .tls_config(TlsConfig::builder().root_certs(roots).build());
        let config = match is_here(&otlp.endpoint.0) {
            // No proxy knows this machine's collector.
            true => config.proxy(None),
            false => config,
        };
        Ok(Self {
            agent: config.build().into(),
            headers: otlp.headers.clone(),
            timeout,
            talk: Arc::clone(talk),
            patience,
        })
    }

    fn send(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut round = Round::first();
        let mut pause = FIRST_PAUSE;
        loop {
            let left = self.timeout.saturating_sub(round.begun.elapsed());
            let (answered, sent) = self.attempt(request, left);
            let trouble = match &answered {
                Ok(response) if response.status().is_success() => {
                    self.talk.hear(heard(response));
                    return Ok(answered?);
                }
                Ok(response) => Trouble::of_status(response),
                Err(error) => Trouble::of_error(error, sent, self.timeout),
            };
            round.in_doubt |= trouble.in_doubt;
            let wait = trouble.again.map(|again| again.max(pause));
            let goes_on = wait.is_some_and(|wait| {
                let late = round.begun.elapsed().saturating_add(wait) >= self.timeout;
                let goes_on =
                    (!late || self.has_patience(&trouble.why, &round)) && self.talk.wait(wait);
                if late {
                    // The next one has all of its time, so it begins here.
                    round = round.next();
                }
                goes_on
            });
            if !goes_on {
                let why = trouble.why;
                self.talk.hear(Heard { rejected: 0, why });
                return Ok(answered?);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Whether there is another round after one that ended for this reason.
    fn has_patience(&self, why: &str, round: &Round) -> bool {
        let Patience::UntilBack(report) = &self.patience else {
            return false;
        };
        report.struggles(why);
        !round.in_doubt || round.doubtful + 1 < ROUNDS_IN_DOUBT
    }

    /// Also whether all of the request was on its way.
    fn attempt(
        &self,
        request: &Request<Bytes>,
        left: Duration,
    ) -> (Result<Response<Bytes>, ureq::Error>, bool) {
        let mut unsent = &request.body()[..];
        let answered = self.post(request, &mut unsent, left);
        (answered, unsent.is_empty())
    }

    fn post(
        &self,
        request: &Request<Bytes>,
        unsent: &mut &[u8],
        left: Duration,
    ) -> Result<Response<Bytes>, ureq::Error> {
        let length = unsent.len();
        let mut attempt = Request::post(request.uri()).body(SendBody::from_reader(unsent))?;
        let headers = attempt.headers_mut();
        headers.insert(CONTENT_LENGTH, length.into());
        // What the exporter has read from the environment by itself is not
        // taken over: the configuration is what counts.
        for name in [CONTENT_TYPE, CONTENT_ENCODING] {
            if let Some(value) = request.headers().get(&name) {
                headers.insert(name, value.clone());
            }
        }
        let fixed = [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LENGTH];
        for (name, value) in self
            .headers
            .iter()
            .filter(|(name, _)| !fixed.contains(name))
        {
            headers.insert(name, value.clone());
        }
        let attempt = attempt.with_agent(&self.agent).configure();
        let attempt = attempt.timeout_global(Some(left.max(Duration::from_millis(1))));
        let (parts, mut body) = attempt.run()?.into_parts();
        let mut bytes = Vec::new();
        if parts.status.is_success() {
            // The batch is taken, even if the rest of the answer cannot be read.
            let read = body.with_config().limit(ANSWER_LIMIT).read_to_vec();
            bytes = read.unwrap_or_default();
        }
        Ok(Response::from_parts(parts, bytes.into()))
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
        Box::pin(async move { self.send(&request) })
    }
}

fn heard(response: &Response<Bytes>) -> Heard {
    let content_type = response.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let (rejected, why) = answer::rejected(content_type.unwrap_or_default(), response.body());
    Heard { rejected, why }
}

fn is_here(endpoint: &str) -> bool {
    let uri = endpoint.parse::<Uri>().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The certificates in a file, and no others.
pub(super) fn roots(path: &Path) -> Result<RootCerts, Error> {
    let unusable = |why: &dyn fmt::Display| {
        Error::usage(format!(
            "OTEL_EXPORTER_OTLP_CERTIFICATE is `{}`; it must be the path of a PEM file: {why}",
            path.display()
        ))
    };
    let pem = fs::read(path).map_err(|error| unusable(&error))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| unusable(&error))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(unusable(&"it has no certificate"));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

// === impl Round ===

impl Round {
    fn first() -> Self {
        Self {
            begun: Instant::now(),
            in_doubt: false,
            doubtful: 0,
        }
    }

    /// The one after this one, which had no success.
    fn next(&self) -> Self {
        Self {
            doubtful: self.doubtful + u32::from(self.in_doubt),
            ..Self::first()
        }
    }
}

// === impl Trouble ===

impl Trouble {
    /// As OTLP has it: these four say "later", all others "never".
    fn of_status(response: &Response<Bytes>) -> Self {
        let status = response.status();
        let later = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::BAD_GATEWAY,
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::GATEWAY_TIMEOUT,
        ];
        let wanted = response.headers().get(RETRY_AFTER);
        let wanted = wanted.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let wait = Duration::from_secs(wanted.unwrap_or(0)).min(LONGEST_WAIT);
        // These two are a proxy's, which does not know what became of it.
        let in_doubt = [StatusCode::BAD_GATEWAY, StatusCode::GATEWAY_TIMEOUT];
        Self {
            why: format!("the collector answers {status}"),
            again: later.contains(&status).then_some(wait),
            in_doubt: in_doubt.contains(&status),
        }
    }

    /// A request that was not `sent` to its end cannot have been taken.
    fn of_error(error: &ureq::Error, sent: bool, timeout: Duration) -> Self {
        // A certificate that is not trusted comes as data that is not valid.
        let may_pass = matches!(
            error,
            ureq::Error::Timeout(_)
                | ureq::Error::HostNotFound
                | ureq::Error::ConnectionFailed
                | ureq::Error::Protocol(_)
        ) || matches!(error, ureq::Error::Io(error) if error.kind() != io::ErrorKind::InvalidData);
        let why = if let ureq::Error::Io(error) = error {
            error.to_string()
        } else if let ureq::Error::Timeout(_) = error {
            format!("no answer within {timeout:?}")
        } else {
            error.to_string()
        };
        Self {
            why,
            again: may_pass.then_some(Duration::ZERO),
            in_doubt: sent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_collector_makes_anybody_wait_for_long() {
        let wait = |wanted: &str| {
            let answer = Response::builder().status(503).header(RETRY_AFTER, wanted);
            let trouble = Trouble::of_status(&answer.body(Bytes::new()).unwrap());
            trouble.again.map(|wait| wait.as_secs())
        };
        assert_eq!(wait("7"), Some(7));
        assert_eq!(wait("60"), Some(60));
        assert_eq!(wait("3600"), Some(60));
        assert_eq!(wait("18446744073709551615"), Some(60));
        assert_eq!(wait("Wed, 21 Oct 2026 07:28:00 GMT"), Some(0));
    }
}
