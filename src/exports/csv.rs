//! CSV after RFC 4180: UTF-8, a header row, a line feed after every row.
//!
//! NULL is an empty field and the empty text is `""`.
//! In a table of one column NULL is therefore an empty line, as DuckDB and PostgreSQL write it.

use arrow::array::Array;
use arrow::array::RecordBatch;
use arrow::buffer::NullBuffer;
use arrow::datatypes::Schema;

use crate::exports::cells::Source;
use crate::exports::cells::nulls;
use crate::exports::digits::CELL;
use crate::exports::sink::MEDIUM;
use crate::exports::sink::Sink;
use crate::exports::text::TextColumn;

/// The ways in which readers want CSV to differ.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct CsvOptions {
    /// What stands between two fields: one of `,`, `;`, `|` and the tab.
    pub(super) delimiter: u8,
    /// What NULL is written as; holds no delimiter, quote or line end.
    pub(super) null: Vec<u8>,
    /// Whether a text that a spreadsheet would take for a formula gets an apostrophe before it.
    pub(super) excel: bool,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            delimiter: b',',
            null: Vec::new(),
            excel: false,
        }
    }
}

/// A value and the delimiter.
const SLOT: usize = CELL + 1;

impl CsvOptions {
    /// Appends the names of the columns, duplicates included.
    pub(super) fn write_header(&self, schema: &Schema, out: &mut Vec<u8>) {
        for (position, field) in schema.fields().iter().enumerate() {
            if position > 0 {
                out.push(self.delimiter);
            }
            let start = out.len();
            out.extend_from_slice(field.name().as_bytes());
            self.finish_field(start, true, out);
        }
        out.push(b'\n');
    }

    /// Appends a line for each row.
    pub(super) fn write_rows(&self, batch: &RecordBatch, out: &mut Vec<u8>) {
        let columns: Vec<Column> = batch
            .columns()
            .iter()
            .map(|array| Column::new(array.as_ref()))
            .collect();
        if self.null.is_empty() && !self.excel && self.spares_numbers() {
            self.write_lines::<true>(columns, batch.num_rows(), out);
        } else {
            self.write_lines::<false>(columns, batch.num_rows(), out);
        }
    }

    /// `PLAIN` is whether a field can need nothing but quotes, and a number not even these.
    fn write_lines<const PLAIN: bool>(&self, mut columns: Vec<Column>, rows: usize, out: &mut Vec<u8>) {
        if columns.is_empty() {
            out.resize(out.len() + rows, b'\n');
            return;
        }
        let delimiter = self.delimiter;
        let is_mark = |byte| is_mark(byte, delimiter);
        let spares_numbers = self.spares_numbers();
        let room = columns.len() * (SLOT + self.null.len()) + MEDIUM;
        let mut sink = Sink::new(out, room);
        let mut field = Vec::new();
        for row in 0..rows {
            sink.begin_row();
            for column in &mut columns {
                if column.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                    if !PLAIN {
                        sink.long(&self.null);
                    }
                    sink.byte(delimiter);
                    continue;
                }
                let written = match &mut column.source {
                    Source::Fixed(values) => {
                        let count = sink.slot::<SLOT>(|slot| {
                            let Some(cell) = slot.first_chunk_mut() else {
                                return 0;
                            };
                            let length = values.write(row, u64::MAX, cell);
                            slot[length] = delimiter;
                            length + 1
                        });
                        let text = &sink.last(count)[..count.saturating_sub(1)];
                        let safe =
                            PLAIN || (text != self.null && (spares_numbers || !self.is_mistakable(text)));
                        let written = count > 1 && safe;
                        if !written {
                            sink.back(count);
                        }
                        written
                    }
                    Source::Text(texts) => {
                        let place = texts.row(row);
                        let clear = place.0 < place.1
                            && texts.is_clear(place, is_mark)
                            && (PLAIN || self.is_harmless(texts.text(place)));
                        if clear {
                            texts.write(place, delimiter, &mut sink);
                        }
                        clear
                    }
                    Source::General => false,
                };
                if !written {
                    field.clear();
                    column.general.write(row, &mut field);
                    self.finish_field(0, column.general.free_text, &mut field);
                    sink.long(&field);
                    sink.byte(delimiter);
                }
            }
            sink.replace_last(b'\n');
        }
        sink.finish(out);
    }

    /// Whether no number, date or other text of a known form can hold the delimiter.
    fn spares_numbers(&self) -> bool {
        b",;\t|".contains(&self.delimiter)
    }

    /// Whether a field without quotes would be read as NULL or as more than one field.
    #[inline]
    fn is_mistakable(&self, field: &[u8]) -> bool {
        field == self.null || field.iter().any(|byte| is_mark(*byte, self.delimiter))
    }

    /// Whether a text without marks can stay as it is.
    #[inline]
    fn is_harmless(&self, text: &[u8]) -> bool {
        text != self.null && !(self.excel && is_formula(text))
    }

    /// Gives the field that begins at `start` and ends the buffer what it needs for its readers.
    #[inline]
    fn finish_field(&self, start: usize, text: bool, out: &mut Vec<u8>) {
        if self.excel && is_formula(&out[start..]) && (text || !is_number(&out[start..])) {
            out.insert(start, b'\'');
        }
        let field = &out[start..];
        if field.is_empty() || self.is_mistakable(field) {
            quote(start, out);
        }
    }
}

#[inline(always)]
fn is_mark(byte: u8, delimiter: u8) -> bool {
    (byte == delimiter) | (byte == b'"') | (byte == b'\n') | (byte == b'\r')
}

/// As numbers are written; an interval or an infinite number is a word with a sign.
fn is_number(field: &[u8]) -> bool {
    field
        .iter()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte))
}

/// Whether a spreadsheet may take a text for a formula (OWASP, "CSV Injection"):
/// it begins with `=`, `+`, `-`, `@`, also in full width, a tab or a carriage return.
pub(super) fn is_formula(text: &[u8]) -> bool {
    let full_width = ["\u{ff1d}", "\u{ff0b}", "\u{ff0d}", "\u{ff20}"];
    match text.first() {
        Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r') => true,
        Some(0xef) => full_width.iter().any(|sign| text.starts_with(sign.as_bytes())),
        _ => false,
    }
}

/// A column and both ways to its text.
struct Column<'a> {
    nulls: Option<NullBuffer>,
    source: Source<'a>,
    general: TextColumn<'a>,
}

impl<'a> Column<'a> {
    fn new(array: &'a dyn Array) -> Self {
        Self {
            nulls: nulls(array),
            source: Source::new(array),
            general: TextColumn::new(array),
        }
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
    if quotes == 0 {
        out.copy_within(start..source, start + 1);
        out[start] = b'"';
        return;
    }
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
