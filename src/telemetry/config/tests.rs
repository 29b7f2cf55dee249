use std::{collections::HashMap, time::Duration};

use super::{rows::variables, variables::UNSUPPORTED, *};

/// What the environment of these variables makes.
fn from(variables: &[(&str, &str)]) -> Result<Config, Error> {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    Config::from(|name| match variables.get(name) {
        Some(value) => Ok((*value).to_owned()),
        None => Err(env::VarError::NotPresent),
    })
}

#[track_caller]
fn refused(variables: &[(&str, &str)], said: &str) {
    let error = from(variables).err().map(|error| error.to_string());
    assert_eq!(error.as_deref(), Some(said));
}

#[track_caller]
fn otlp(variables: &[(&str, &str)], signal: Signal) -> Otlp {
    let config = from(variables).unwrap();
    config.otlp(signal).unwrap().expect("the signal is sent")
}

/// A value that is taken and changes something, and one that is refused, where
/// there is one.
fn examples(name: &str) -> (&'static str, Option<&'static str>) {
    let own = name.strip_prefix("OTEL_EXPORTER_OTLP_").unwrap_or(name);
    let kind = own.rsplit_once('_').map_or(own, |(_, kind)| kind);
    match name {
        "OTEL_SDK_DISABLED" | "AGENT_OBSERVABILITY_ENABLED" => ("TRUE", Some("yes")),
        "OTEL_TRACES_EXPORTER" | "OTEL_LOGS_EXPORTER" => ("otlp, console", Some("zipkin")),
        "OTEL_METRICS_EXPORTER" => ("prometheus,otlp", Some("otlp,statsd")),
        "OTEL_SERVICE_NAME" => ("invoices", None),
        "OTEL_RESOURCE_ATTRIBUTES" => ("a=1,b=x%20y", Some("a=1,b")),
        "OTEL_PROPAGATORS" => ("baggage", Some("tracecontext,b3")),
        "OTEL_TRACES_SAMPLER" => ("parentbased_traceidratio", Some("jaeger_remote")),
        "OTEL_TRACES_SAMPLER_ARG" => ("0.25", Some("1.5")),
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE" => ("delta", Some("none")),
        _ => match kind {
            "ENDPOINT" => ("http://collector:4318/x", Some("collector:4318")),
            "HEADERS" => ("x-key=a%20b,y=2", Some("x key=1")),
            "COMPRESSION" => ("gzip", Some("zstd")),
            "PROTOCOL" => ("http/json", Some("http/xml")),
            "CERTIFICATE" => ("/etc/ca.pem", None),
            "LIMIT" => ("0", Some("-1")),
            "DELAY" => ("0", Some("1s")),
            _ => ("1", Some("0")),
        },
    }
}

/// What makes the good value of one variable good.
fn along_with(name: &str) -> &'static [(&'static str, &'static str)] {
    match name {
        "OTEL_BSP_MAX_QUEUE_SIZE" => &[("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")],
        _ => &[],
    }
}

#[test]
fn every_variable_takes_a_good_value_and_names_a_bad_one() {
    let nothing = format!("{:?}", Config::default());
    for row in variables() {
        let (good, bad) = examples(&row.name);
        let mut set = vec![(&*row.name, good)];
        let base = along_with(&row.name);
        set.extend(base);
        let before = format!("{:?}", from(base).unwrap());
        let config = from(&set).unwrap_or_else(|error| panic!("{error}"));
        assert_ne!(format!("{config:?}"), before, "{} does nothing", row.name);
        let empty = from(&[(&row.name, "")]).unwrap();
        assert_eq!(format!("{empty:?}"), nothing, "{} empty", row.name);
        let Some(bad) = bad else { continue };
        let shown = match row.name.ends_with("HEADERS") {
            true => "not shown, since it may hold a key".to_owned(),
            false => format!("`{bad}`"),
        };
        let said = format!("{} is {shown}; it must be {}", row.name, row.allowed);
        refused(&[(&row.name, bad)], &said);
    }
}

#[test]
fn the_page_lists_every_variable() {
    let rows = variables();
    let rows = rows.iter().map(|row| {
        let default = match row.default {
            words if words.contains(' ') => words.to_owned(),
            value => format!("`{value}`"),
        };
        let (name, allowed, help) = (&row.name, row.allowed, row.help);
        format!("| `{name}` | {default} | {allowed} | {help} |")
    });
    let page = include_str!("../../../docs/telemetry.md").lines();
    let listed = page.filter(|line| line.starts_with("| `OTEL_") || line.starts_with("| `AGENT_"));
    let rows: Vec<_> = rows.collect();
    assert!(
        listed.collect::<Vec<_>>() == rows,
        "the table in docs/telemetry.md should be\n{}\n",
        rows.join("\n")
    );
}

#[test]
fn the_page_names_what_is_not_supported() {
    let page = include_str!("../../../docs/telemetry.md");
    for name in UNSUPPORTED {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn a_signal_is_on_where_its_destination_is_named() {
    let on = |variables: &[(&str, &str)]| {
        let config = from(variables).unwrap();
        Signal::ALL.map(|signal| config.sends(signal))
    };
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
    assert_eq!(on(&[]), [false, false, false]);
    assert_eq!(on(&[endpoint]), [true, true, false]);
    let own = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://c:4318/m");
    assert_eq!(on(&[own]), [false, true, false]);
    assert_eq!(
        on(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]),
        [false, true, false]
    );
    assert_eq!(
        on(&[endpoint, ("OTEL_TRACES_EXPORTER", "otlp,none")]),
        [false, true, false]
    );
    assert_eq!(
        on(&[endpoint, ("OTEL_TRACES_EXPORTER", "console")]),
        [false, true, false]
    );
    assert_eq!(
        on(&[endpoint, ("OTEL_METRICS_EXPORTER", "prometheus")]),
        [true, false, false]
    );
    assert_eq!(on(&[("OTEL_LOGS_EXPORTER", "otlp")]), [false, false, true]);
    assert_eq!(
        on(&[endpoint, ("OTEL_SDK_DISABLED", "true")]),
        [false, false, false]
    );
    let disabled = [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_LOGS_EXPORTER", "console"),
    ];
    assert!(!from(&disabled).unwrap().prints(Signal::Logs));
    assert!(from(&disabled[1..]).unwrap().prints(Signal::Logs));
}

#[test]
fn endpoints_are_what_the_standard_says() {
    let endpoint = |variables: &[(&str, &str)], signal| otlp(variables, signal).endpoint.0;
    let asked = [("OTEL_TRACES_EXPORTER", "otlp")];
    assert_eq!(
        endpoint(&asked, Signal::Traces),
        "http://localhost:4318/v1/traces"
    );
    let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/base/");
    assert_eq!(
        endpoint(&[all], Signal::Metrics),
        "http://c:4318/base/v1/metrics"
    );
    let own = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t/verbatim");
    assert_eq!(endpoint(&[all, own], Signal::Traces), "http://t/verbatim");
    assert_eq!(
        endpoint(&[all, own], Signal::Metrics),
        "http://c:4318/base/v1/metrics"
    );
}

#[cfg(feature = "grpc")]
#[test]
fn grpc_endpoints_have_no_path_appended() {
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let asked = ("OTEL_TRACES_EXPORTER", "otlp");
    let default = otlp(&[grpc, asked], Signal::Traces);
    assert_eq!(default.endpoint.0, "http://localhost:4317");
    let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317");
    assert_eq!(
        otlp(&[grpc, all], Signal::Traces).endpoint.0,
        "http://c:4317"
    );
}

#[cfg(not(feature = "grpc"))]
#[test]
fn grpc_without_its_feature_is_refused_by_name() {
    refused(
        &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
        "OTEL_EXPORTER_OTLP_PROTOCOL is `grpc`; it must be `http/protobuf` or `http/json`, or `grpc` in a build with the cargo feature `grpc`",
    );
}

#[test]
fn a_signals_own_settings_take_the_place_of_those_for_all() {
    let set = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,b=2"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "b=3"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "3000"),
    ];
    let headers = |otlp: &Otlp| {
        let header = |(name, value): &(hyper::header::HeaderName, hyper::header::HeaderValue)| {
            format!("{name}={}", value.to_str().unwrap())
        };
        otlp.headers.iter().map(header).collect::<Vec<_>>()
    };
    let traces = otlp(&set, Signal::Traces);
    assert_eq!(headers(&traces), ["b=3"]);
    assert!(!traces.gzip);
    assert_eq!(traces.timeout, Duration::from_secs(2));
    let metrics = otlp(&set, Signal::Metrics);
    assert_eq!(headers(&metrics), ["a=1", "b=2"]);
    assert!(metrics.gzip);
    assert_eq!(metrics.timeout, Duration::from_secs(3));
}

#[test]
fn a_batch_fits_into_its_queue() {
    refused(
        &[
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "11"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "10"),
        ],
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE is `11`; it must be at most OTEL_BSP_MAX_QUEUE_SIZE, which is 10",
    );
    refused(
        &[("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "16385")],
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE is `16385`; it must be at most OTEL_BLRP_MAX_QUEUE_SIZE, which is 16384",
    );
    let small = from(&[("OTEL_BSP_MAX_QUEUE_SIZE", "10")]).unwrap();
    assert_eq!(small.spans.batch(), 10);
    assert_eq!(Config::default().spans.batch(), 2_048);
}

#[test]
fn secrets_are_not_printed() {
    let config = from(&[
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=Basic%20hunter2",
        ),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:hunter2@c"),
    ])
    .unwrap();
    let otlp = config.otlp(Signal::Traces).unwrap().unwrap();
    assert_eq!(otlp.headers[0].1, "Basic hunter2");
    assert_eq!(otlp.endpoint.to_string(), "https://c/v1/traces");
    for shown in [format!("{config:?}"), format!("{otlp:?}")] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let bad = from(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://user:hunter2@c")]);
    let said = bad.unwrap_err().to_string();
    assert!(!said.contains("hunter2"), "{said}");
    refused(
        &[("OTEL_EXPORTER_OTLP_HEADERS", "authorization hunter2")],
        "OTEL_EXPORTER_OTLP_HEADERS is not shown, since it may hold a key; it must be a list such as `key=value,key=value` of header names and percent-encoded values",
    );
}

#[test]
fn pairs_are_percent_decoded_and_checked() {
    let pairs = |text| values::pairs(text);
    let one = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
    assert_eq!(pairs("a=b%2Cc%3D d"), Some(one("a", "b,c= d")));
    assert_eq!(pairs(" a = b , "), Some(one("a", "b")));
    assert_eq!(pairs("a=b=c=="), Some(one("a", "b=c==")));
    assert_eq!(pairs("a="), Some(one("a", "")));
    for bad in ["a", "=b", "a=%zz", "a=%2", "a=%ff"] {
        assert_eq!(pairs(bad), None, "{bad}");
    }
}

#[test]
fn a_program_says_what_the_environment_does_not() {
    let config = Config::default().otlp_endpoint("http://c:4318");
    assert!(config.sends(Signal::Traces) && config.sends(Signal::Metrics));
    assert!(!config.sends(Signal::Logs));
    let bad = Config::default().otlp_endpoint("c:4318");
    assert_eq!(
        bad.otlp(Signal::Traces).unwrap_err().to_string(),
        "the OTLP endpoint is `c:4318/v1/traces`; it must be a URL that begins with `http://` or `https://`"
    );
}

#[test]
fn the_session_is_kept_from_baggage_on_agentcore() {
    let config = from(&[("AGENT_OBSERVABILITY_ENABLED", "true")]).unwrap();
    let config = config.baggage_keys(["tenant.id"]);
    assert_eq!(config.kept_baggage(), ["tenant.id", "session.id"]);
    let elsewhere = Config::default().baggage_keys(["tenant.id"]);
    assert_eq!(elsewhere.kept_baggage(), ["tenant.id"]);
}

#[test]
fn the_limit_of_spans_takes_the_place_of_the_one_for_all() {
    let all = ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "12");
    let own = ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "7");
    let longest = |variables: &[(&str, &str)]| from(variables).unwrap().longest_value();
    assert_eq!(longest(&[]), None);
    assert_eq!(longest(&[all]), Some(12));
    assert_eq!(longest(&[own]), Some(7));
    assert_eq!(longest(&[own, all]), Some(7));
}

#[test]
fn what_is_set_and_does_nothing_is_named() {
    let config = from(&[
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "12"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "true"),
        ("OTEL_LOG_LEVEL", ""),
        ("OTEL_SERVICE_NAME", "invoices"),
    ]);
    assert_eq!(
        config.unwrap().unsupported(),
        ["OTEL_ATTRIBUTE_COUNT_LIMIT", "OTEL_EXPORTER_OTLP_INSECURE"]
    );
}

#[cfg(unix)]
#[test]
fn what_is_not_text_is_refused() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

    let config = Config::from(|name| match name {
        "OTEL_SERVICE_NAME" => {
            let bytes = OsStr::from_bytes(&[0xff]).to_owned();
            Err(env::VarError::NotUnicode(bytes))
        }
        _ => Err(env::VarError::NotPresent),
    });
    assert_eq!(
        config.unwrap_err().to_string(),
        "OTEL_SERVICE_NAME is not UTF-8"
    );
}
