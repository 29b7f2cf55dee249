//! Texts of others: cut where they are long, and spelled so that they cannot
//! break a line or steer a terminal.

use std::{
    error::Error,
    fmt::{self, Write},
};

/// Bytes of a line at most, whatever the number of its fields.
pub(super) const MAX_LINE: usize = 256 * 1024;

/// How far a line's fields may go: the line's own end has room after them.
pub(super) const MAX_FIELDS: usize = MAX_LINE - 1024;

/// Bytes of a name or an id at most, before they are spelled. Ours are at most
/// 256; this holds if one day they are not.
pub(super) const MAX_NAME: usize = 1024;

/// The errors of a chain that are printed at most: one that never ends must not
/// hold its thread.
const MAX_SOURCES: usize = 16;

/// The start of a text, and how many bytes of it are missing.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) text: &'a str,
    pub(super) missing: usize,
}

/// Keeps the start of what is written to it.
pub(super) struct Cut<'a> {
    kept: &'a mut String,
    limit: usize,
    missing: usize,
}

/// How a character that cannot stand for itself is spelled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// Inside a JSON string.
    Json,
    /// For people, inside quotes.
    Quoted,
    /// For people, as it is.
    Plain,
}

// === impl Shown ===

impl<'a> Shown<'a> {
    /// At most `limit` bytes of a text.
    pub(super) fn start(text: &'a str, limit: usize) -> Self {
        let kept = &text[..text.floor_char_boundary(limit)];
        Self {
            text: kept,
            missing: text.len() - kept.len(),
        }
    }

    /// Writes the text, and where bytes are missing how many.
    pub(super) fn write(self, spelling: Spelling, line: &mut String) {
        spell(self.text, spelling, line);
        self.mark(line);
    }

    /// Says how many bytes are missing, where some are.
    pub(super) fn mark(self, line: &mut String) {
        if self.missing > 0 {
            put(line, format_args!("…({} bytes more)", self.missing));
        }
    }
}

// === impl Cut ===

impl<'a> Cut<'a> {
    /// Writes into `kept`, which is emptied first.
    pub(super) fn new(kept: &'a mut String, limit: usize) -> Self {
        kept.clear();
        Self {
            kept,
            limit,
            missing: 0,
        }
    }

    pub(super) fn display(mut self, text: fmt::Arguments<'_>) -> Shown<'a> {
        put(&mut self, text);
        self.shown()
    }

    /// What `Debug` says.
    pub(super) fn debug(mut self, value: &dyn fmt::Debug) -> Shown<'a> {
        put(&mut self, format_args!("{value:?}"));
        self.shown()
    }

    /// What an error says, and what the errors behind it say.
    pub(super) fn error(mut self, error: &(dyn Error + 'static)) -> Shown<'a> {
        put(&mut self, format_args!("{error}"));
        let mut source = error.source();
        for _ in 0..MAX_SOURCES {
            let Some(error) = source else { break };
            put(&mut self, format_args!(": {error}"));
            source = error.source();
        }
        self.shown()
    }

    fn shown(self) -> Shown<'a> {
        Shown {
            text: self.kept,
            missing: self.missing,
        }
    }
}

impl Write for Cut<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // After a first gap nothing more is kept.
        let room = match self.missing {
            0 => self.limit - self.kept.len(),
            _ => 0,
        };
        let start = Shown::start(text, room);
        self.kept.push_str(start.text);
        self.missing = self.missing.saturating_add(start.missing);
        Ok(())
    }
}

// === impl Spelling ===

impl Spelling {
    /// Whether a text with this byte must be looked at closely.
    const fn minds(self, byte: u8) -> bool {
        match byte {
            b'"' | b'\\' => !matches!(self, Self::Plain),
            0x20..0x7f => false,
            _ => true,
        }
    }

    fn write(self, c: char, line: &mut String) {
        let code = u32::from(c);
        match (c, self) {
            ('"' | '\\', Self::Json | Self::Quoted) => line.extend(['\\', c]),
            ('\n', _) => line.push_str("\\n"),
            ('\r', _) => line.push_str("\\r"),
            ('\t', _) => line.push_str("\\t"),
            _ if !is_hostile(c) => line.push(c),
            (_, Self::Json) => put(line, format_args!("\\u{code:04x}")),
            (_, Self::Quoted | Self::Plain) => put(line, format_args!("\\u{{{code:x}}}")),
        }
    }
}

/// Whether a character does something to a terminal or a line besides standing
/// there: controls, line separators, and what turns the writing direction. All
/// of them are below U+10000, which JSON's spelling needs.
const fn is_hostile(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}')
}

/// Appends a text, spelled.
pub(super) fn spell(text: &str, spelling: Spelling, line: &mut String) {
    // Most texts are plain: those are copied whole. A byte that is minded
    // begins a character.
    let plain = text.bytes().position(|byte| spelling.minds(byte));
    let (plain, rest) = text.split_at(plain.unwrap_or(text.len()));
    line.push_str(plain);
    for c in rest.chars() {
        spelling.write(c, line);
    }
}

/// Appends what `Display` or `Debug` says; what fails in there ends the text.
pub(super) fn put(line: &mut impl Write, text: fmt::Arguments<'_>) {
    line.write_fmt(text).unwrap_or_default();
}
