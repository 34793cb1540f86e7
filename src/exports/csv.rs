//! CSV after RFC 4180: UTF-8 without a byte order mark, a header row, commas, a line feed after every row.
//!
//! NULL is an empty field and the empty text is `""`.
//! In a table of one column NULL is therefore an empty line, as DuckDB and PostgreSQL write it.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use crate::exports::text::TextColumn;

/// Appends the names of the columns, duplicates included.
pub(super) fn write_header(schema: &Schema, out: &mut Vec<u8>) {
    for (position, field) in schema.fields().iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        let start = out.len();
        out.extend_from_slice(field.name().as_bytes());
        quote_if_needed(start, out);
    }
    out.push(b'\n');
}

/// Appends a line for each row.
pub(super) fn write_rows(batch: &RecordBatch, out: &mut Vec<u8>) {
    let columns: Vec<TextColumn> = batch
        .columns()
        .iter()
        .map(|array| TextColumn::new(array.as_ref()))
        .collect();
    for row in 0..batch.num_rows() {
        for (position, column) in columns.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            if column.is_null(row) {
                continue;
            }
            let start = out.len();
            column.write(row, out);
            if column.free_text {
                quote_if_needed(start, out);
            }
        }
        out.push(b'\n');
    }
}

/// Puts the field that begins at `start` and ends the buffer in quotes, if a reader needs them.
#[inline]
fn quote_if_needed(start: usize, out: &mut Vec<u8>) {
    let field = &out[start..];
    // Folding over all bytes without an early end lets the compiler look at many at once.
    let special = field.iter().fold(false, |found, byte| {
        found | (*byte == b',') | (*byte == b'"') | (*byte == b'\n') | (*byte == b'\r')
    });
    if special || field.is_empty() {
        quote(start, out);
    }
}

/// Moves the field up from its end, so that it needs no second buffer.
#[cold]
fn quote(start: usize, out: &mut Vec<u8>) {
    let quotes = out[start..].iter().filter(|byte| **byte == b'"').count();
    let mut source = out.len();
    let mut target = source + quotes + 2;
    out.resize(target, b'"');
    target -= 1;
    while source > start {
        source -= 1;
        target -= 1;
        out[target] = out[source];
        if out[source] == b'"' {
            target -= 1;
            out[target] = b'"';
        }
    }
    out[start] = b'"';
}
