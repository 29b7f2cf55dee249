//! Where lines end up, and how many do not.

use std::{
    io::{self, BufWriter, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Lines that were logged and not printed: the queue was full, or the output
/// refused them.
#[derive(Clone, Debug)]
pub(crate) struct DroppedLines {
    queue: ErrorCounter,
    unwritten: Arc<AtomicU64>,
}

/// An output that is given many lines at a time, and how many it refused. It is
/// flushed whenever no line waits.
#[derive(Debug)]
struct Output<W: Write> {
    writer: BufWriter<W>,
    unwritten: Arc<AtomicU64>,
}

/// Bytes that are written at a time: what a Linux pipe holds.
const CHUNK: usize = 64 * 1024;

/// A queue of `lines`, which a thread of its own writes to `output`. Lines that
/// it has no room for are dropped.
pub(super) fn queue(
    lines: usize,
    output: impl Write + Send + 'static,
) -> (NonBlocking, WorkerGuard, DroppedLines) {
    let unwritten = Arc::default();
    let output = Output {
        writer: BufWriter::with_capacity(CHUNK, output),
        unwritten: Arc::clone(&unwritten),
    };
    let (writer, worker) = NonBlockingBuilder::default()
        .buffered_lines_limit(lines)
        .lossy(true)
        .thread_name("taskpulse-log")
        .finish(output);
    let queue = writer.error_counter();
    (writer, worker, DroppedLines { queue, unwritten })
}

// === impl DroppedLines ===

impl DroppedLines {
    /// How many there were since the start.
    pub(crate) fn count(&self) -> u64 {
        let queue = u64::try_from(self.queue.dropped_lines()).unwrap_or(u64::MAX);
        queue.saturating_add(self.unwritten.load(Relaxed))
    }
}

// === impl Output ===

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    /// Called once a line.
    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        self.writer.write_all(line).inspect_err(|_refused| {
            self.unwritten.fetch_add(1, Relaxed);
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Says that it is to write, and waits until it may.
    struct Held {
        called: Sender<Vec<u8>>,
        go: Receiver<()>,
    }

    impl Write for Held {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.called.send(bytes.to_owned()).unwrap();
            self.go.recv().unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_without_room_are_counted() {
        let (called, calls) = channel();
        let (go, held) = channel();
        let (mut writer, worker, dropped) = queue(2, Held { called, go: held });
        writer.write_all(b"first\n").unwrap();
        assert_eq!(calls.recv().unwrap(), b"first\n");
        for line in ["second\n", "third\n", "fourth\n", "fifth\n", "sixth\n"] {
            writer.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(dropped.count(), 3);
        go.send(()).unwrap();
        go.send(()).unwrap();
        assert_eq!(calls.recv().unwrap(), b"second\nthird\n", "at once");
        drop(worker);
        assert_eq!(dropped.count(), 3);
    }

    /// A pipe whose reader has gone.
    #[test]
    fn lines_that_the_output_refuses_are_counted() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let unwritten = Arc::default();
        let mut output = Output {
            writer: BufWriter::with_capacity(8, Gone),
            unwritten: Arc::clone(&unwritten),
        };
        for _ in 0..3 {
            output.write_all(b"a whole line\n").unwrap_err();
        }
        assert_eq!(unwritten.load(Relaxed), 3);
    }
}
