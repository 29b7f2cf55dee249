//! The trace and the baggage that a request brings along, and the trace that
//! its answer names.
//!
//! All of it is written by the caller, so nothing of it is trusted to be well
//! formed or of a bearable size: what is not is as good as absent.

use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};
use opentelemetry::{
    Context,
    baggage::BaggageExt as _,
    propagation::{Extractor, TextMapPropagator as _},
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};

use super::{
    config::{Config, Propagators},
    hex,
};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
const AMAZON: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// What is kept of a baggage entry, in bytes.
const VALUE_LIMIT: usize = 256;

/// Entries of baggage that are kept, and their values.
pub(crate) type Kept = Box<[(Box<str>, Box<str>)]>;

/// Reads headers as `OTEL_PROPAGATORS` says.
#[derive(Debug)]
pub(crate) struct Propagator {
    which: Propagators,
    /// The baggage entries that are kept.
    keys: Box<[Box<str>]>,
    trace_context: TraceContextPropagator,
    baggage: BaggagePropagator,
}

/// Headers, but those that are too long or stand there twice.
struct Sound<'a>(&'a HeaderMap);

// === impl Propagator ===

impl Propagator {
    pub(crate) fn new(config: &Config) -> Self {
        let keys = config.kept_baggage().into_iter();
        Self {
            which: config.propagators,
            keys: keys.map(String::into_boxed_str).collect(),
            trace_context: TraceContextPropagator::new(),
            baggage: BaggagePropagator::new(),
        }
    }

    /// The context that the caller made the request in.
    pub(crate) fn extract(&self, headers: &HeaderMap) -> Context {
        let mut context = Context::new();
        if self.which.trace_context {
            context = self.parent(context, headers);
        }
        if self.which.baggage && headers.contains_key(&BAGGAGE) {
            context = self.baggage.extract_with_context(&context, &Sound(headers));
        }
        context
    }

    fn parent(&self, context: Context, headers: &HeaderMap) -> Context {
        let sound = Sound(headers);
        if sound.value(&TRACEPARENT).is_some_and(is_traceparent) {
            let parent = self.trace_context.extract_with_context(&context, &sound);
            if parent.has_active_span() {
                return parent;
            }
        }
        let amazon = sound.value(&AMAZON).and_then(amazon_parent);
        match amazon {
            Some(parent) => context.with_remote_span_context(parent),
            None => context,
        }
    }

    /// The `traceparent` of the answer. It never has baggage or a trace state,
    /// which are the caller's own.
    pub(crate) fn answer(context: &Context) -> Option<HeaderValue> {
        let span = context.span();
        let span = span.span_context();
        if !span.is_valid() {
            return None;
        }
        let mut text = String::with_capacity(55);
        text.push_str("00-");
        hex::push(&mut text, &span.trace_id().to_bytes());
        text.push('-');
        hex::push(&mut text, &span.span_id().to_bytes());
        text.push_str(if span.is_sampled() { "-01" } else { "-00" });
        HeaderValue::try_from(text).ok()
    }

    /// The entries of the baggage that are kept, without control characters.
    pub(crate) fn baggage(&self, context: &Context) -> Kept {
        if self.keys.is_empty() {
            return Kept::default();
        }
        let baggage = context.baggage();
        let entry = |key: &str| {
            let value = baggage.get(key)?;
            Some((key.into(), tame(value.as_str())))
        };
        let keys = self.keys.iter().map(|key| &**key);
        keys.filter_map(entry).collect()
    }
}

/// Whether the parts are as long as W3C has them, which the SDK does not check.
fn is_traceparent(text: &str) -> bool {
    let mut parts = text.split('-');
    let long = [2, 32, 16, 2].map(|digits| parts.next().is_some_and(|part| is_hex(part, digits)));
    // Versions to come may have more parts; this one has not.
    long == [true; 4] && (parts.next().is_none() || !text.starts_with("00"))
}

/// What of a value can stand in a log line and does not fill it.
fn tame(value: &str) -> Box<str> {
    let mut tame = String::new();
    for letter in value.chars().filter(|letter| !letter.is_control()) {
        if tame.len() + letter.len_utf8() > VALUE_LIMIT {
            break;
        }
        tame.push(letter);
    }
    tame.into()
}

/// The parent in an `X-Amzn-Trace-Id`, whose parts come in any order, if it is
/// sampled: AWS samples few requests, and those alone are looked for there.
fn amazon_parent(header: &str) -> Option<SpanContext> {
    let (mut trace, mut span, mut sampled) = (None, None, false);
    for part in header.split(';') {
        let Some((key, value)) = part.trim().split_once('=') else {
            continue;
        };
        match key {
            "Root" => trace = amazon_trace(value),
            "Parent" if is_hex(value, 16) => span = SpanId::from_hex(value).ok(),
            "Sampled" => sampled = value == "1",
            _ => {}
        }
    }
    let flags = TraceFlags::SAMPLED;
    let parent = SpanContext::new(trace?, span?, flags, true, TraceState::default());
    (sampled && parent.is_valid()).then_some(parent)
}

/// `1-8hex-24hex`: version, time, and the rest of the id.
fn amazon_trace(root: &str) -> Option<TraceId> {
    let (time, rest) = root.strip_prefix("1-")?.split_once('-')?;
    let well_formed = is_hex(time, 8) && is_hex(rest, 24);
    let id = TraceId::from_hex(&format!("{time}{rest}")).ok();
    id.filter(|_| well_formed)
}

/// The longest value that is read, in bytes. A `traceparent` has 55 today; W3C
/// wants 512 of a `tracestate` to survive, and bounds all baggage by 8,192.
fn limit(name: &HeaderName) -> usize {
    match name.as_str() {
        "traceparent" => 256,
        "tracestate" => 1_024,
        "baggage" => 8_192,
        _ => 512,
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

// === impl Sound ===

impl<'a> Sound<'a> {
    fn value(&self, name: &HeaderName) -> Option<&'a str> {
        let mut values = self.0.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        // Two parents are none: nobody could say which it is.
        (value.len() <= limit(name) && values.next().is_none()).then_some(value)
    }
}

impl Extractor for Sound<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.value(&HeaderName::from_bytes(key.as_bytes()).ok()?)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const AMAZON_PARENT: &str =
        "Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=1";

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &str)| {
            let value = HeaderValue::from_str(value).unwrap();
            (HeaderName::from_static(name), value)
        };
        let mut map = HeaderMap::new();
        for (name, value) in all.iter().map(header) {
            map.append(name, value);
        }
        map
    }

    fn propagator(which: &[&str]) -> Propagator {
        let mut config = Config::default().baggage_keys(["tenant.id", "user.id"]);
        config.propagators = Propagators {
            trace_context: which.contains(&"tracecontext"),
            baggage: which.contains(&"baggage"),
        };
        Propagator::new(&config)
    }

    fn both() -> Propagator {
        propagator(&["tracecontext", "baggage"])
    }

    /// The parent that is read, as `trace-span`, or nothing.
    #[track_caller]
    fn check(all: &[(&'static str, &str)], parent: &str) {
        let context = both().extract(&headers(all));
        let span = context.span();
        let span = span.span_context();
        let read = match span.is_valid() {
            true => format!("{}-{}", span.trace_id(), span.span_id()),
            false => String::new(),
        };
        assert_eq!(read, parent);
        assert_eq!(span.is_remote(), span.is_valid());
    }

    #[test]
    fn a_parent_is_read_if_it_is_well_formed() {
        let read = format!("{TRACE}-00f067aa0ba902b7");
        check(&[("traceparent", PARENT)], &read);
        check(&[], "");
        check(&[("traceparent", "nonsense")], "");
        check(&[("traceparent", &PARENT.to_uppercase())], "");
        let zero = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        check(&[("traceparent", zero)], "");
        check(&[("traceparent", "00-1-1-01")], "");
        check(&[("traceparent", &PARENT.replace("4bf9", "+bf9"))], "");
        check(&[("traceparent", &format!("{PARENT}-00"))], "");
        check(&[("traceparent", &format!("01{}-x", &PARENT[2..]))], &read);
        check(&[("traceparent", &format!("ff{}", &PARENT[2..]))], "");
        check(&[("traceparent", PARENT), ("traceparent", PARENT)], "");
        let long = format!("01-{}-{}", &PARENT[3..], "x".repeat(300));
        check(&[("traceparent", &long)], "");
    }

    #[test]
    fn a_state_that_is_too_long_does_not_cost_the_parent() {
        let state = |text: &str| {
            let all = headers(&[("traceparent", PARENT), ("tracestate", text)]);
            let context = both().extract(&all);
            let span = context.span();
            assert!(span.span_context().is_valid());
            span.span_context().trace_state().header()
        };
        assert_eq!(state("vendor=a"), "vendor=a");
        assert_eq!(state(&format!("vendor={}", "a".repeat(2_000))), "");
        assert_eq!(state("no state"), "");
    }

    #[test]
    fn amazons_parent_counts_where_there_is_no_other() {
        let read = "67891233abcdef012345678912345678-463ac35c9f6413ad";
        check(&[("x-amzn-trace-id", AMAZON_PARENT)], read);
        let mixed = "Sampled=1; Lineage=a:b;Parent=463ac35c9f6413ad;Root=1-67891233-abcdef012345678912345678";
        check(&[("x-amzn-trace-id", mixed)], read);
        let broken = [
            ("traceparent", "broken"),
            ("x-amzn-trace-id", AMAZON_PARENT),
        ];
        check(&broken, read);
        let other = [("traceparent", PARENT), ("x-amzn-trace-id", AMAZON_PARENT)];
        check(&other, &format!("{TRACE}-00f067aa0ba902b7"));
        for bad in [
            &AMAZON_PARENT.replace("Sampled=1", "Sampled=0"),
            &AMAZON_PARENT.replace(";Sampled=1", ""),
            &AMAZON_PARENT.replace("Parent=463ac35c9f6413ad;", ""),
            &AMAZON_PARENT.replace("1-6", "2-6"),
            &AMAZON_PARENT.replace("67891233-abc", "67891233a-bc"),
            &AMAZON_PARENT.replace("463ac35c9f6413ad", "0000000000000000"),
            &AMAZON_PARENT.replace("463ac35c9f6413ad", "+63ac35c9f6413ad"),
        ] {
            check(&[("x-amzn-trace-id", bad)], "");
        }
        let off = propagator(&["baggage"]);
        let context = off.extract(&headers(&[("x-amzn-trace-id", AMAZON_PARENT)]));
        assert!(!context.has_active_span());
    }

    #[test]
    fn the_headers_that_are_read_are_those_that_are_named() {
        let all = headers(&[("traceparent", PARENT), ("baggage", "tenant.id=a")]);
        let read = |which: &[&str]| {
            let context = propagator(which).extract(&all);
            (context.has_active_span(), !context.baggage().is_empty())
        };
        assert_eq!(read(&["tracecontext", "baggage"]), (true, true));
        assert_eq!(read(&["tracecontext"]), (true, false));
        assert_eq!(read(&["baggage"]), (false, true));
        assert_eq!(read(&[]), (false, false));
    }

    #[test]
    fn baggage_is_kept_by_name_and_tamed() {
        let kept = |text: &str| {
            let propagator = both();
            let context = propagator.extract(&headers(&[("baggage", text)]));
            propagator.baggage(&context)
        };
        let one = |value: &str| -> Kept { [("tenant.id".into(), value.into())].into() };
        assert_eq!(kept("tenant.id=a,other=b"), one("a"));
        assert_eq!(kept("tenant.id=a%0Ab%1B%5B31m"), one("ab[31m"));
        assert_eq!(kept("tenant.id=%C3%A4"), one("\u{e4}"));
        // Cut between characters, never within one.
        let long = kept(&format!("tenant.id=a{}", "%C3%A4".repeat(200)));
        assert_eq!(long, one(&format!("a{}", "\u{e4}".repeat(127))));
        assert_eq!(kept("tenant.id"), Kept::default());
        assert_eq!(
            kept(&format!("tenant.id={}", "a".repeat(9_000))),
            Kept::default()
        );
        assert_eq!(kept("other=b"), Kept::default());
    }

    #[test]
    fn the_answer_names_the_trace_and_nothing_else() {
        let all = headers(&[
            ("traceparent", PARENT),
            ("tracestate", "vendor=a"),
            ("baggage", "tenant.id=a"),
        ]);
        let answer = Propagator::answer(&both().extract(&all));
        assert_eq!(answer.unwrap(), PARENT);
        assert_eq!(Propagator::answer(&Context::new()), None);
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(
            name in prop::sample::select(vec!["traceparent", "tracestate", "baggage", "x-amzn-trace-id"]),
            value in prop::collection::vec(any::<u8>(), 0..200),
            text in "[-=;,%0-9a-fRootParentSampled \u{e4}]{0,120}",
        ) {
            let propagator = both();
            for value in [value.as_slice(), text.as_bytes()] {
                let Ok(value) = HeaderValue::from_bytes(value) else { continue };
                let mut all = headers(&[("traceparent", PARENT)]);
                all.insert(name, value.clone());
                all.append("x-amzn-trace-id", value);
                let context = propagator.extract(&all);
                let entries = propagator.baggage(&context);
                prop_assert!(entries.iter().all(|(_, value)| value.len() <= VALUE_LIMIT));
                if let Some(answer) = Propagator::answer(&context) {
                    prop_assert_eq!(answer.len(), 55);
                }
            }
        }
    }
}
