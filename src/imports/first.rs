//! The first record of a file, which says how many columns there are and perhaps what they are called.
//! Blank lines before it are passed over, unless there is one column, where a blank line is a row.

use std::sync::atomic::AtomicBool;

use crate::error::Error;
use crate::error::Result;
use crate::imports::chunk::is_blank;
use crate::imports::fields::Dialect;
use crate::imports::fields::Then;
use crate::imports::fields::count_lines;
use crate::imports::fields::step;
use crate::imports::prepare::Prepared;
use crate::imports::splitter::Sizes;
use crate::imports::splitter::Splitter;

const CHUNK: usize = 64 << 10;
const COLUMNS_MAX: usize = 100_000;

/// Where it is, and what is in it.
pub(super) struct First {
    pub(super) bytes: Vec<u8>,
    pub(super) fields: Vec<String>,
    /// Offset in the file, and line.
    pub(super) start: u64,
    pub(super) line: u64,
    /// Of what comes after it.
    pub(super) end: u64,
    pub(super) next_line: u64,
}

pub(super) fn find(prepared: &Prepared, dialect: Dialect, sizes: Sizes, stop: &AtomicBool) -> Result<First> {
    let sizes = Sizes {
        chunk: sizes.chunk.min(CHUNK),
        ..sizes
    };
    let splitter = Splitter::open(prepared, prepared.start, dialect, sizes, stop)?;
    let (mut offset, mut line) = (prepared.start, 1);
    let mut first_blank = None;
    for chunk in splitter {
        let chunk = chunk.map_err(|fault| fault.error(line, sizes.record_max))?;
        let mut at = 0;
        while at < chunk.len() {
            let (found, blank) = record(&chunk, at, dialect, offset, line)?;
            at += found.bytes.len();
            offset = found.end;
            line = found.next_line;
            if blank {
                first_blank = first_blank.or(Some(found));
                continue;
            }
            if found.fields.len() > COLUMNS_MAX {
                let count = found.fields.len();
                return Err(Error::invalid(format!(
                    "the first line has {count} fields, at most {COLUMNS_MAX} can be read"
                )));
            }
            return Ok(match first_blank {
                Some(blank) if found.fields.len() == 1 => blank,
                _ => found,
            });
        }
    }
    Err(Error::invalid("the file is empty"))
}

fn record(chunk: &[u8], start: usize, dialect: Dialect, offset: u64, line: u64) -> Result<(First, bool)> {
    let mut fields = Vec::new();
    let mut at = start;
    let blank = loop {
        let step = step(chunk, at, dialect);
        at = step.next;
        if step.spoilt {
            let name = fields.len() + 1;
            return Err(Error::invalid(format!(
                "line {line} has text after the closing quote of field {name}"
            )));
        }
        let blank = fields.is_empty() && is_blank(&step.field);
        let text = step.field.text(chunk, dialect.quote);
        fields.push(String::from_utf8(text).map_err(Error::internal)?);
        if step.then != Then::Field {
            break blank;
        }
    };
    let bytes = chunk[start..at].to_vec();
    let first = First {
        start: offset,
        line,
        end: offset + bytes.len() as u64,
        next_line: line + count_lines(&bytes, dialect),
        bytes,
        fields,
    };
    Ok((first, blank))
}
