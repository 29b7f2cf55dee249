//! A collector that takes everything, or nothing: what OTLP over HTTP needs and
//! no more, since it works on the processors that are measured.

use std::{
    io::{self, BufRead, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use super::Outcome;

/// How it answers.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    /// All is well.
    Accepted,
    /// 503.
    Unavailable,
    /// Not at all.
    Never,
}

/// A request.
struct Request {
    is_of_spans: bool,
    body: Vec<u8>,
}

/// From an `ExportTraceServiceRequest` to its spans, by the numbers of fields.
const SPANS: [u64; 3] = [1, 2, 2];

/// Says its address, then how many spans it has taken whenever it is asked.
pub(crate) fn receive(answer: Answer) -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    let taken = Arc::<AtomicU64>::default();
    let counter = Arc::clone(&taken);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counter = Arc::clone(&counter);
            // An exporter that goes is no matter.
            thread::spawn(move || converse(stream, answer, &counter));
        }
    });
    for order in io::stdin().lines() {
        order?;
        println!("{}", taken.load(Relaxed));
    }
    Ok(())
}

fn converse(stream: TcpStream, answer: Answer, taken: &AtomicU64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut output = stream.try_clone()?;
    let mut input = BufReader::with_capacity(64 * 1_024, stream);
    while let Some(request) = read(&mut input)? {
        let status = match answer {
            Answer::Accepted => "200 OK",
            Answer::Unavailable => "503 Service Unavailable",
            Answer::Never => {
                // Until the exporter has given up.
                io::copy(&mut input, &mut io::sink())?;
                return Ok(());
            }
        };
        if request.is_of_spans && matches!(answer, Answer::Accepted) {
            let spans = count(&request.body, &SPANS);
            let spans = spans.ok_or_else(|| io::Error::other("not protobuf"))?;
            taken.fetch_add(spans, Relaxed);
        }
        write!(
            output,
            "HTTP/1.1 {status}\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
        )?;
    }
    Ok(())
}

/// The next request; nothing where there is none.
fn read(input: &mut impl BufRead) -> io::Result<Option<Request>> {
    let (mut is_of_spans, mut length) = (false, 0);
    let mut line = String::new();
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        is_of_spans |= line.starts_with("post /v1/traces ");
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    input.read_exact(&mut body)?;
    Ok(Some(Request { is_of_spans, body }))
}

/// How many messages are at the end of `path` in a protobuf message; nothing
/// where it is none.
fn count(mut message: &[u8], path: &[u64]) -> Option<u64> {
    let (field, rest) = path.split_first()?;
    let mut found = 0;
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        match tag & 7 {
            0 => drop(varint(&mut message)?),
            1 => message = message.get(8..)?,
            5 => message = message.get(4..)?,
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                let (inner, after) = message.split_at_checked(length)?;
                message = after;
                if tag >> 3 == *field {
                    found += if rest.is_empty() {
                        1
                    } else {
                        count(inner, rest)?
                    };
                }
            }
            _ => return None,
        }
    }
    Some(found)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
