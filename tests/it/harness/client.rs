//! A client that is nobody's library: bytes out, bytes in.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
};

use serde_json::Value;

use super::PATIENCE;

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    /// Read and not yet used.
    buffer: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case, in the order they came.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends bytes as they are. A server that has hung up is no error here: what
    /// it answered can still be read.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        match self.stream.write_all(bytes.as_ref()) {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                ) => {}
            Err(error) => panic!("cannot send: {error}"),
        }
        self
    }

    /// Sends a request with these headers (each ending in `\r\n`), a `Host`, and
    /// a `Content-Length` where there is a body.
    pub(crate) fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: impl AsRef<[u8]>,
    ) -> Response {
        self.ask(method, path, headers, body);
        if method == "HEAD" {
            return self.head();
        }
        self.response()
    }

    /// The same without reading an answer.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: impl AsRef<[u8]>,
    ) -> &mut Self {
        let body = body.as_ref();
        let length = match (body.is_empty(), method) {
            (true, "GET" | "HEAD" | "OPTIONS") => String::new(),
            _ => format!("Content-Length: {}\r\n", body.len()),
        };
        self.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: t\r\n{headers}{length}\r\n"
        ));
        self.send(body)
    }

    /// Hangs up in the sending direction: a FIN.
    pub(crate) fn finish(&mut self) -> &mut Self {
        self.stream.shutdown(Shutdown::Write).unwrap_or_default();
        self
    }

    /// Reads the status line and the headers.
    pub(crate) fn head(&mut self) -> Response {
        self.try_head().unwrap_or_else(|cut| panic!("{cut}"))
    }

    /// As `head`, but an error where the connection closes before that.
    fn try_head(&mut self) -> Result<Response, String> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            if !self.fill() {
                let text = self.text();
                return Err(format!(
                    "the connection closed before the headers ended: {text:?}"
                ));
            }
        };
        let head = String::from_utf8(self.take(end + 4)).expect("headers are ASCII here");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let headers = lines.filter_map(|line| line.split_once(": "));
        Ok(Response {
            status: status
                .and_then(|status| status.parse().ok())
                .expect("a status line"),
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            body: Vec::new(),
        })
    }

    /// Reads one answer, its body by `Content-Length`, by chunks or to the end.
    pub(crate) fn response(&mut self) -> Response {
        self.try_response().unwrap_or_else(|cut| panic!("{cut}"))
    }

    /// As `response`, but an error where the server vanishes before it has answered.
    pub(crate) fn try_response(&mut self) -> Result<Response, String> {
        let mut response = self.try_head()?;
        let bodiless = response.status < 200 || matches!(response.status, 204 | 304);
        response.body = if response.header("transfer-encoding") == Some("chunked") {
            std::iter::from_fn(|| self.chunk()).flatten().collect()
        } else if let Some(length) = response.header("content-length") {
            let length = length.parse().expect("a length");
            while self.buffer.len() < length {
                if !self.fill() {
                    let text = self.text();
                    return Err(format!("the connection closed within the body: {text:?}"));
                }
            }
            self.take(length)
        } else if bodiless {
            Vec::new()
        } else {
            self.rest()
        };
        Ok(response)
    }

    /// The next chunk of a chunked body; none after the last one.
    ///
    /// # Panics
    ///
    /// If the body is cut off.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        self.try_chunk()
            .expect("the body goes on to its last chunk")
    }

    /// As `chunk`, but an error where the body is cut off.
    pub(crate) fn try_chunk(&mut self) -> Result<Option<Vec<u8>>, ()> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                break at;
            }
            if !self.fill() {
                return Err(());
            }
        };
        let size = String::from_utf8(self.take(end + 2)).expect("a size");
        let size = usize::from_str_radix(size.trim(), 16).expect("a size in hex");
        while self.buffer.len() < size + 2 {
            if !self.fill() {
                return Err(());
            }
        }
        let mut chunk = self.take(size + 2);
        chunk.truncate(size);
        Ok((size > 0).then_some(chunk))
    }

    /// Reads until the server closes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.buffer)
    }

    /// Whether the server has closed, after everything before has been read.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.rest().is_empty()
    }

    /// Reads some more; false at the end of the connection.
    fn fill(&mut self) -> bool {
        let mut bytes = [0; 16_384];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(read) => {
                self.buffer.extend_from_slice(&bytes[..read]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            // A signal; with a time limit such a call is not taken up again.
            Err(error) if error.kind() == ErrorKind::Interrupted => self.fill(),
            Err(error) => panic!("no answer: {error}; so far {:?}", self.text()),
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length);
        std::mem::replace(&mut self.buffer, rest)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }
}

impl Response {
    /// The first header of this name, which is given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {:?}", self.text()))
    }

    /// The `error` of an error's JSON.
    #[track_caller]
    pub(crate) fn error(&self) -> String {
        let json = self.json();
        json["error"]
            .as_str()
            .unwrap_or_else(|| panic!("no error in {json}"))
            .to_owned()
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
