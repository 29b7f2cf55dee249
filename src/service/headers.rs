//! Which of a request's headers user code may pass on.

use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};

/// Headers of this hop, of the response, or that a caller must not set.
///
/// Source: the restricted headers of the AgentCore Runtime header allowlist
/// (developer guide, "runtime header allowlist", read 2026-11-22). Sorted.
const RESTRICTED: [&str; 103] = [
    "accept",
    "accept-ch",
    "accept-ch-lifetime",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "access-control-request-headers",
    "access-control-request-method",
    "cache-control",
    "cf-connecting-ip",
    "cf-ray",
    "clear-site-data",
    "connection",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-security-policy",
    "content-security-policy-report-only",
    "content-type",
    "cookie",
    "cross-origin-embedder-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "date",
    "downlink",
    "dpr",
    "ect",
    "etag",
    "expect-ct",
    "expires",
    "feature-policy",
    "forwarded",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "last-modified",
    "link",
    "location",
    "origin",
    "permissions-policy",
    "pragma",
    "proxy-authorization",
    "proxy-connection",
    "public-key-pins",
    "public-key-pins-report-only",
    "range",
    "referer",
    "referrer-policy",
    "retry-after",
    "rtt",
    "save-data",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "server",
    "set-cookie",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "viewport-width",
    "width",
    "www-authenticate",
    "x-amz-cf-id",
    "x-cache",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-content-type-options",
    "x-csrf-token",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-frame-options",
    "x-original-host",
    "x-original-url",
    "x-originating-ip",
    "x-real-ip",
    "x-requested-with",
    "x-rewrite-url",
    "x-served-by",
    "x-source-ip",
    "x-xss-protection",
];

const SIGNING_PREFIX: &str = "x-amz-";
const PLATFORM_PREFIX: &str = "x-amzn-";
const CUSTOM_PREFIX: &str = "x-amzn-bedrock-agentcore-runtime-custom-";
const IDENTITY_TOKEN: &str = "x-amz-bedrock-agentcore-identity-wat";

/// Headers whose values `Debug` must not print.
const CREDENTIALS: [&str; 3] = ["authorization", "workloadaccesstoken", IDENTITY_TOKEN];

/// The headers that may be passed on, empty values too.
pub(super) fn forwardable(headers: &HeaderMap<HeaderValue>) -> HeaderMap {
    let kept = headers.iter().filter(|(name, _)| is_forwardable(name));
    kept.map(|(name, value)| {
        let mut value = value.clone();
        value.set_sensitive(CREDENTIALS.contains(&name.as_str()));
        (name.clone(), value)
    })
    .collect()
}

fn is_forwardable(name: &HeaderName) -> bool {
    let name = name.as_str();
    if name.starts_with(SIGNING_PREFIX) {
        return name == IDENTITY_TOKEN;
    }
    if name.starts_with(PLATFORM_PREFIX) {
        return name.starts_with(CUSTOM_PREFIX);
    }
    RESTRICTED.binary_search(&name).is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &'static str, forwarded: bool) {
        assert_eq!(
            is_forwardable(&HeaderName::from_static(name)),
            forwarded,
            "{name}"
        );
    }

    #[test]
    fn the_list_is_sorted() {
        assert!(RESTRICTED.is_sorted());
    }

    #[test]
    fn headers_are_forwarded_by_the_platforms_rule() {
        for name in [
            "authorization",
            "traceparent",
            "baggage",
            "workloadaccesstoken",
            "x-tenant",
        ] {
            check(name, true);
        }
        check("x-amzn-bedrock-agentcore-runtime-custom-a", true);
        check("x-amzn-bedrock-agentcore-runtime-custom-", true);
        check("x-amzn-bedrock-agentcore-runtime-custom", false);
        check("x-amz-bedrock-agentcore-identity-wat", true);
        for name in [
            "x-amz-date",
            "x-amzn-trace-id",
            "cookie",
            "host",
            "content-type",
        ] {
            check(name, false);
        }
    }
}
