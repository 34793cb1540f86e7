//! The grammar of CSV, written once: where a field ends, and with it a record.
//! A quote counts only at a field's start; inside quotes it is doubled, and line ends and delimiters are text.

use memchr::memchr;
use memchr::memchr2;
use memchr::memchr3;
use serde::Deserialize;
use serde::Serialize;

/// What divides fields and records.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Dialect {
    pub(super) delimiter: u8,
    pub(super) quote: u8,
    /// Lines end with CR alone, as on old machines; then LF and CRLF end them too.
    pub(super) bare_returns: bool,
}

/// A field as a range of the bytes around it, without its quotes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Field {
    start: u32,
    end: u32,
    pub(super) quoted: bool,
    /// Quotes inside are doubled.
    pub(super) doubled: bool,
}

impl Field {
    pub(super) fn of<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.start as usize..self.end as usize]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The text that is meant.
    pub(super) fn text(&self, bytes: &[u8], quote: u8) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.of(bytes).len());
        self.append(bytes, quote, &mut text);
        text
    }

    pub(super) fn append(&self, bytes: &[u8], quote: u8, text: &mut Vec<u8>) {
        let mut rest = self.of(bytes);
        if !self.doubled {
            text.extend_from_slice(rest);
            return;
        }
        while let Some(at) = memchr(quote, rest) {
            text.extend_from_slice(&rest[..=at]);
            rest = rest.get(at + 2..).unwrap_or_default();
        }
        text.extend_from_slice(rest);
    }
}

/// A field and what follows it.
pub(super) struct Step {
    pub(super) field: Field,
    /// Where the next field or record begins.
    pub(super) next: usize,
    pub(super) then: Then,
    /// Text follows its closing quote.
    pub(super) spoilt: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Then {
    Field,
    Record,
    /// The bytes end before anything else does.
    End,
    /// They end inside quotes.
    Unclosed,
}

/// The field that starts at `at`, which may be the end of the bytes.
#[inline(always)]
pub(super) fn step(bytes: &[u8], at: usize, dialect: Dialect) -> Step {
    if bytes.get(at) == Some(&dialect.quote) {
        return quoted(bytes, at, dialect);
    }
    let end = field_end(bytes, at, dialect);
    finish(bytes, (at, end), end, dialect)
}

/// What comes of a field whose text is `range` and which is over at `end`.
#[inline(always)]
fn finish(bytes: &[u8], (start, text_end): (usize, usize), end: usize, dialect: Dialect) -> Step {
    let mut field = Field {
        start: start as u32,
        end: text_end as u32,
        quoted: false,
        doubled: false,
    };
    let (next, then) = match bytes.get(end) {
        Some(byte) if *byte == dialect.delimiter => (end + 1, Then::Field),
        Some(b'\r') if bytes.get(end + 1) == Some(&b'\n') => (end + 2, Then::Record),
        Some(_) => (end + 1, Then::Record),
        None => (end, Then::End),
    };
    // Where a line ends with LF, the CR before it belongs to the end.
    let at_line_end = then != Then::Field && !dialect.bare_returns;
    if at_line_end && text_end == end && text_end > start && bytes[text_end - 1] == b'\r' {
        field.end -= 1;
    }
    Step {
        field,
        next,
        then,
        spoilt: false,
    }
}

#[inline(never)]
fn quoted(bytes: &[u8], at: usize, dialect: Dialect) -> Step {
    let start = at + 1;
    let mut doubled = false;
    let mut from = start;
    let close = loop {
        let Some(found) = memchr(dialect.quote, &bytes[from..]) else {
            let field = Field {
                start: start as u32,
                end: bytes.len() as u32,
                quoted: true,
                doubled,
            };
            return Step {
                field,
                next: bytes.len(),
                then: Then::Unclosed,
                spoilt: false,
            };
        };
        let close = from + found;
        if bytes.get(close + 1) != Some(&dialect.quote) {
            break close;
        }
        doubled = true;
        from = close + 2;
    };
    let after = close + 1;
    let end = field_end(bytes, after, dialect);
    let line_end_alone = end == after + 1
        && bytes[after] == b'\r'
        && !dialect.bare_returns
        && bytes.get(end).is_none_or(|byte| *byte == b'\n');
    let spoilt = end > after && !line_end_alone;
    let mut step = finish(bytes, (start, close), end, dialect);
    step.field.quoted = true;
    step.field.doubled = doubled;
    step.spoilt = spoilt;
    step
}

/// Where the delimiter or the line end after `from` is, or the end of the bytes.
#[inline(always)]
fn field_end(bytes: &[u8], from: usize, dialect: Dialect) -> usize {
    if dialect.bare_returns {
        let found = memchr3(dialect.delimiter, b'\n', b'\r', &bytes[from..]);
        return found.map_or(bytes.len(), |found| from + found);
    }
    // Most fields are short: a call would cost more than looking at eight bytes at once.
    let mut at = from;
    for _ in 0..3 {
        let Some(eight) = bytes[at..].first_chunk::<8>() else {
            break;
        };
        let word = u64::from_le_bytes(*eight);
        let found = zeros(word ^ repeated(dialect.delimiter)) | zeros(word ^ repeated(b'\n'));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let found = memchr2(dialect.delimiter, b'\n', &bytes[at..]);
    found.map_or(bytes.len(), |found| at + found)
}

#[inline(always)]
fn repeated(byte: u8) -> u64 {
    u64::from(byte) * 0x0101_0101_0101_0101
}

/// The highest bit of the first byte that is zero; what comes after it may be wrong.
#[inline(always)]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(0x0101_0101_0101_0101) & !word & 0x8080_8080_8080_8080
}

/// How many line ends there are, also inside quotes.
pub(super) fn count_lines(bytes: &[u8], dialect: Dialect) -> u64 {
    let line_feeds = memchr::memchr_iter(b'\n', bytes);
    if !dialect.bare_returns {
        return line_feeds.count() as u64;
    }
    let alone = line_feeds.filter(|at| *at == 0 || bytes[at - 1] != b'\r').count();
    (alone + memchr::memchr_iter(b'\r', bytes).count()) as u64
}
