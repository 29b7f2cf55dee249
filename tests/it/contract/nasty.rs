//! Bytes that no client should send, and what comes of them.

/// What comes of it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// An answer with this status.
    Status(u16),
    /// This one once the client has hung up in its own direction; before that
    /// more may come.
    Late(u16),
    /// None, then.
    Silence,
}
use Outcome::{Late, Silence, Status};

/// What it is, its bytes, and what comes of it.
pub(super) type Nasty = (&'static str, &'static [u8], Outcome);

// One line each, however long: it is a table.

pub(super) const LINES: &[Nasty] = &[
    ("garbage", b"\x00\x01\x02\x03\xff\xfe\r\n\r\n", Status(400)),
    (
        "random bytes without an end",
        b"\x9c\x12\xe5\x00\x7f\xaa",
        Status(400),
    ),
    ("no version", b"GET /ping\r\n\r\n", Status(400)),
    ("no path", b"GET HTTP/1.1\r\nHost: t\r\n\r\n", Status(400)),
    ("only a method", b"GET\r\n\r\n", Status(400)),
    (
        "a lower-case method",
        b"get /ping HTTP/1.1\r\nHost: t\r\n\r\n",
        Status(405),
    ),
    (
        "an unknown method",
        b"BREW /ping HTTP/1.1\r\nHost: t\r\n\r\n",
        Status(405),
    ),
    (
        "a method with a bracket",
        b"GE(T /ping HTTP/1.1\r\nHost: t\r\n\r\n",
        Status(400),
    ),
    (
        "HTTP/2.0",
        b"GET /ping HTTP/2.0\r\nHost: t\r\n\r\n",
        Status(400),
    ),
    (
        "HTTP/0.9",
        b"GET /ping HTTP/0.9\r\nHost: t\r\n\r\n",
        Status(400),
    ),
    (
        "HTTP/1.2",
        b"GET /ping HTTP/1.2\r\nHost: t\r\n\r\n",
        Status(400),
    ),
    (
        "HTTP/9",
        b"GET /ping HTTP/9\r\nHost: t\r\n\r\n",
        Status(400),
    ),
    (
        "http in lower case",
        b"GET /ping http/1.1\r\nHost: t\r\n\r\n",
        Status(400),
    ),
    (
        "the preface of HTTP/2",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        Silence,
    ),
    (
        "two spaces",
        b"GET  /ping HTTP/1.1\r\nHost: t\r\n\r\n",
        Status(400),
    ),
    (
        "a space before the line",
        b" GET /ping HTTP/1.1\r\nHost: t\r\n\r\n",
        Status(400),
    ),
    (
        "a NUL in the path",
        b"GET /pi\0ng HTTP/1.1\r\nHost: t\r\n\r\n",
        Status(400),
    ),
    (
        "a bad escape in the path",
        b"GET /%zz%ff HTTP/1.1\r\nHost: t\r\n\r\n",
        Status(404),
    ),
    (
        "a bad escape in a task's id",
        b"GET /tasks/%ff HTTP/1.1\r\nHost: t\r\n\r\n",
        Status(400),
    ),
    (
        "a bad query",
        b"GET /tasks?state=%ff&& HTTP/1.1\r\nHost: t\r\n\r\n",
        Status(400),
    ),
    (
        "dots in the path",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: t\r\n\r\n",
        Status(404),
    ),
    (
        "the absolute form",
        b"GET http://t/ping HTTP/1.1\r\nHost: t\r\n\r\n",
        Status(200),
    ),
    (
        "the absolute form without Host",
        b"GET http://t/ping HTTP/1.1\r\n\r\n",
        Status(400),
    ),
    (
        "the asterisk form",
        b"OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n",
        Status(404),
    ),
    (
        "the asterisk for GET",
        b"GET * HTTP/1.1\r\nHost: t\r\n\r\n",
        Status(404),
    ),
    (
        "CONNECT",
        b"CONNECT t:443 HTTP/1.1\r\nHost: t\r\n\r\n",
        Status(404),
    ),
    (
        "CONNECT /invocations",
        b"CONNECT /invocations HTTP/1.1\r\nHost: t\r\n\r\n",
        Status(405),
    ),
    (
        "a TLS ClientHello",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\x1f\x8b\x5c\x00",
        Status(400),
    ),
    ("an SSH banner", b"SSH-2.0-OpenSSH_9.6\r\n", Status(400)),
    ("a Redis command", b"*1\r\n$4\r\nPING\r\n", Status(400)),
    (
        "lone line feeds",
        b"GET /ping HTTP/1.1\nHost: t\n\n",
        Status(200),
    ),
    (
        "a lone carriage return",
        b"GET /ping HTTP/1.1\rHost: t\r\r",
        Status(400),
    ),
    (
        "empty lines first",
        b"\r\n\r\nGET /ping HTTP/1.1\r\nHost: t\r\n\r\n",
        Status(200),
    ),
    ("nothing but an empty line", b"\r\n", Silence),
    ("half a request line", b"GET /pi", Silence),
    (
        "headers without an end",
        b"GET /ping HTTP/1.1\r\nHost: t\r\n",
        Silence,
    ),
];

pub(super) const HEADERS: &[Nasty] = &[
    ("no Host", b"GET /ping HTTP/1.1\r\n\r\n", Status(400)),
    (
        "no Host, for a handler",
        b"POST /invocations HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        Status(400),
    ),
    (
        "no Host in HTTP/1.0",
        b"GET /ping HTTP/1.0\r\n\r\n",
        Status(200),
    ),
    (
        "two Hosts",
        b"GET /ping HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        Status(400),
    ),
    (
        "a NUL in a value",
        b"GET /ping HTTP/1.1\r\nHost: t\r\nX: a\0b\r\n\r\n",
        Status(400),
    ),
    (
        "a NUL in a name",
        b"GET /ping HTTP/1.1\r\nHost: t\r\nX\0: a\r\n\r\n",
        Status(400),
    ),
    (
        "a name with a space",
        b"GET /ping HTTP/1.1\r\nHost: t\r\nX y: a\r\n\r\n",
        Status(400),
    ),
    (
        "a space before the colon",
        b"GET /ping HTTP/1.1\r\nHost: t\r\nX : a\r\n\r\n",
        Status(400),
    ),
    (
        "no name",
        b"GET /ping HTTP/1.1\r\nHost: t\r\n: a\r\n\r\n",
        Status(400),
    ),
    (
        "no colon",
        b"GET /ping HTTP/1.1\r\nHost: t\r\nnonsense\r\n\r\n",
        Status(400),
    ),
    (
        "a folded value",
        b"GET /ping HTTP/1.1\r\nHost: t\r\nX: a\r\n b\r\n\r\n",
        Status(400),
    ),
    (
        "a value that is no ASCII",
        b"GET /ping HTTP/1.1\r\nHost: t\r\nX: \xff\xfe\r\n\r\n",
        Status(200),
    ),
    (
        "an unknown expectation",
        b"GET /ping HTTP/1.1\r\nHost: t\r\nExpect: miracles\r\n\r\n",
        Status(200),
    ),
    (
        "an upgrade to something else",
        b"GET /ws HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        Status(404),
    ),
];

pub(super) const BODIES: &[Nasty] = &[
    ("a length that is no number", b"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: two\r\n\r\n{}", Status(400)),
    ("a negative length", b"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: -2\r\n\r\n{}", Status(400)),
    ("a length with a plus", b"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: +2\r\n\r\n{}", Status(400)),
    ("an empty length", b"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: \r\n\r\n{}", Status(400)),
    ("a length beyond 64 bits", b"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999999999999999\r\n\r\n{}", Status(400)),
    ("the greatest length", b"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 18446744073709551615\r\n\r\n{}", Status(431)),
    ("a length of 9 EB", b"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 9223372036854775807\r\n\r\n{}", Status(413)),
    ("two lengths", b"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", Status(400)),
    ("two lengths in one", b"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 2, 3\r\n\r\n{} ", Status(400)),
    ("the same length twice", b"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}", Status(200)),
    ("less than the length", b"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\n{}", Late(400)),
    ("more than the length", b"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n{}{}{}", Status(200)),
    ("a length and chunks", b"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", Status(200)),
    ("chunks in HTTP/1.0", b"POST /invocations HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", Status(400)),
    ("an unknown coding", b"POST /invocations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip\r\n\r\n{}", Status(400)),
    ("chunked, then another coding", b"POST /invocations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, gzip\r\n\r\n{}", Status(400)),
    ("a negative chunk", b"POST /invocations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n", Status(400)),
    ("a chunk's size in words", b"POST /invocations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\ntwo\r\n{}\r\n0\r\n\r\n", Status(400)),
    ("a chunk beyond 64 bits", b"POST /invocations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n", Status(400)),
    ("a chunk that is longer than its size", b"POST /invocations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n", Status(400)),
    ("chunks without an end", b"POST /invocations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", Late(400)),
    ("a chunk without its line end", b"POST /invocations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}0\r\n\r\n", Status(400)),
    ("a compressed body", b"POST /invocations HTTP/1.1\r\nHost: t\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00", Status(400)),
    ("a request in the body", b"POST /invocations HTTP/1.1\r\nHost: t\r\n\r\nGET /ping HTTP/1.1\r\nHost: t\r\n\r\n", Status(400)),
    ("a body for a ping", b"GET /ping HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello", Status(200)),
    ("half a body for a ping", b"GET /ping HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhe", Status(200)),
];

/// What takes more room than it should.
pub(super) fn large() -> Vec<(&'static str, String, Outcome)> {
    let get = |headers: &str| format!("GET /ping HTTP/1.1\r\nHost: t\r\n{headers}\r\n");
    let lines = |count| "X: y\r\n".repeat(count);
    let post = "POST /invocations HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    let long = "x".repeat(200_000);
    vec![
        ("100 headers", get(&lines(99)), Status(200)),
        ("101 headers", get(&lines(100)), Status(431)),
        ("10,000 headers", get(&lines(10_000)), Status(431)),
        (
            "a header of 200 KB",
            get(&format!("X: {long}\r\n")),
            Status(431),
        ),
        (
            "a name of 200 KB",
            get(&format!("{long}: x\r\n")),
            Status(431),
        ),
        (
            "a header of 200 KB without an end",
            format!("GET /ping HTTP/1.1\r\nX: {long}"),
            Status(431),
        ),
        (
            "a path of 200 KB",
            format!("GET /{long} HTTP/1.1\r\nHost: t\r\n\r\n"),
            Status(431),
        ),
        (
            "a method of 200 KB",
            format!("{long} / HTTP/1.1\r\nHost: t\r\n\r\n"),
            Status(431),
        ),
        (
            "a chunk's extension of 200 KB",
            format!("{post}2;{long}\r\n{{}}\r\n0\r\n\r\n"),
            Status(400),
        ),
        (
            "a trailer of 200 KB",
            format!("{post}2\r\n{{}}\r\n0\r\nX: {long}\r\n\r\n"),
            Status(400),
        ),
        (
            "10,000 trailers",
            format!("{post}2\r\n{{}}\r\n0\r\n{}\r\n", lines(10_000)),
            Status(400),
        ),
        ("10,000 empty lines", "\r\n".repeat(10_000), Silence),
    ]
}
