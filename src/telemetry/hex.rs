//! Ids in hexadecimal, on the way of every line and every answer.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Appends two digits a byte.
pub(crate) fn push(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        for digit in [byte >> 4, byte & 0xf] {
            text.push(char::from(DIGITS[usize::from(digit)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::{SpanId, TraceId};

    use super::*;

    #[test]
    fn ids_are_written_as_they_write_themselves() {
        let (trace, span) = (TraceId::from(0x0001_02fe), SpanId::from(u64::MAX - 1));
        let mut text = String::new();
        push(&mut text, &trace.to_bytes());
        push(&mut text, &span.to_bytes());
        assert_eq!(text, format!("{trace}{span}"));
    }
}
