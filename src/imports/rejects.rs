//! Rows that cannot be read: what is said of them, and the file they go to.
//! Line numbers are those of an editor: physical lines, from 1.

use std::fmt;
use std::io::Write;

use serde::Deserialize;
use serde::Serialize;

use crate::error::Error;
use crate::error::Result;
use crate::imports::chunk::Bad;
use crate::imports::chunk::Why;
use crate::imports::fields::Dialect;
use crate::imports::fields::count_lines;
use crate::imports::names::unnamed;
use crate::imports::types::ColumnType;

/// How many are told of by name.
pub(super) const SHOWN: usize = 20;
const VALUE_CHARACTERS: usize = 100;

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Reject {
    pub(crate) line: u64,
    /// `None` if it is the whole record that is wrong.
    pub(crate) column: Option<String>,
    /// Shortened to 100 characters.
    pub(crate) value: String,
    pub(crate) reason: String,
}

impl fmt::Display for Reject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line, value, reason, ..
        } = self;
        match &self.column {
            None => write!(formatter, "line {line} {reason}"),
            Some(column) => write!(formatter, "line {line}, column `{column}`: `{value}` {reason}"),
        }
    }
}

/// A bad record before it is known what the columns are called.
pub(super) struct Found {
    /// Counted from 0 at the chunk's start.
    line: u64,
    value: String,
    why: Why,
}

/// The first so many bad records of a chunk, which are in order.
pub(super) fn describe(bytes: &[u8], dialect: Dialect, bad: &[Bad], most: usize) -> Vec<Found> {
    let (mut line, mut counted) = (0, 0);
    bad.iter()
        .take(most)
        .map(|bad| {
            line += count_lines(&bytes[counted..bad.start], dialect);
            counted = bad.start;
            let value = match &bad.why {
                Why::Width(_) => String::new(),
                Why::Spoilt(_, field) | Why::Value(_, field) => shown(&field.text(bytes, dialect.quote)),
            };
            Found {
                line,
                value,
                why: bad.why,
            }
        })
        .collect()
}

fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut characters = text.chars();
    let mut shown: String = characters.by_ref().take(VALUE_CHARACTERS).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// What the columns are called, and what the values of each must be.
pub(super) struct Expected<'a> {
    pub(super) header: bool,
    pub(super) names: &'a [String],
    pub(super) types: &'a [Option<ColumnType>],
}

impl Expected<'_> {
    /// `first_line` is that of the chunk.
    pub(super) fn reject(&self, found: Found, first_line: u64) -> Reject {
        let (column, reason) = match found.why {
            Why::Width(count) => {
                let fields = if count == 1 { "field" } else { "fields" };
                let first = if self.header { "header" } else { "first line" };
                let wanted = self.names.len();
                (None, format!("has {count} {fields}, the {first} has {wanted}"))
            }
            Why::Spoilt(column, _) => (Some(column), "has text after its closing quote".to_owned()),
            Why::Value(column, _) => {
                let wanted = self.types.get(column).copied().flatten();
                let reason = wanted.map_or_else(String::new, |wanted| format!("is no {wanted}"));
                (Some(column), reason)
            }
        };
        let name = |column: usize| match self.names.get(column) {
            Some(name) => name.clone(),
            None => unnamed(column),
        };
        Reject {
            line: first_line + found.line,
            column: column.map(name),
            value: found.value,
            reason,
        }
    }
}

/// The text of a bad record, without its line end.
pub(super) fn record(bytes: &[u8], bad: &Bad) -> Vec<u8> {
    let record = &bytes[bad.start..bad.end];
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record).to_vec()
}

/// Too many rows cannot be read.
pub(super) fn too_many(all: u64, errors_max: u64, first: &[Reject]) -> Error {
    let rows = if all == 1 { "row" } else { "rows" };
    let mut message = format!("{all} {rows} cannot be read");
    if errors_max > 0 {
        message.push_str(&format!(", {errors_max} may be left out"));
    }
    if (first.len() as u64) < all {
        message.push_str(&format!("; the first {}", first.len()));
    }
    message.push(':');
    for reject in first {
        message.push_str(&format!("\n{reject}"));
    }
    Error::invalid(message)
}

pub(super) fn write_head(out: &mut dyn Write) -> Result<()> {
    Ok(out.write_all(b"line,column,value,reason,record\n")?)
}

pub(super) fn write(out: &mut dyn Write, reject: &Reject, record: &[u8]) -> Result<()> {
    write!(out, "{}", reject.line)?;
    let column = reject.column.as_deref().unwrap_or_default();
    for text in [column, &reject.value, &reject.reason] {
        write_cell(out, text.as_bytes())?;
    }
    write_cell(out, record)?;
    Ok(out.write_all(b"\n")?)
}

fn write_cell(out: &mut dyn Write, text: &[u8]) -> Result<()> {
    if !text
        .iter()
        .any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n'))
    {
        out.write_all(b",")?;
        return Ok(out.write_all(text)?);
    }
    out.write_all(b",\"")?;
    for part in text.split_inclusive(|byte| *byte == b'"') {
        out.write_all(part)?;
        if part.ends_with(b"\"") {
            out.write_all(b"\"")?;
        }
    }
    Ok(out.write_all(b"\"")?)
}
