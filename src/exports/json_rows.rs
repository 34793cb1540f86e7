//! Rows of a batch as JSON: objects for files, arrays of text for pages.
//! What stands before a value is made once; a value of a common type costs no call and no allocation.

use std::ops::Range;

use arrow::array::Array;
use arrow::array::RecordBatch;
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use arrow::datatypes::Schema;

use crate::exports::cells::Source;
use crate::exports::cells::nulls;
use crate::exports::digits::CELL;
use crate::exports::json_value::EXACT_INTEGER_MAX;
use crate::exports::json_value::JsonColumn;
use crate::exports::json_value::escape_from;
use crate::exports::json_value::member_names;
use crate::exports::json_value::must_escape;
use crate::exports::sink::MEDIUM;
use crate::exports::sink::Sink;
use crate::exports::text::TextColumn;

/// A name up to this is written by one move of this size.
const NAME: usize = 32;

/// A name, a value and the closing quote.
const SLOT: usize = NAME + CELL + 1;

/// What comes before and after each row.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) before: &'static [u8],
    pub(super) after: &'static [u8],
}

/// The rows of a batch, as JSON.
pub(crate) struct JsonRows<'a> {
    columns: Vec<Column<'a>>,
    /// What a row without columns is.
    empty: Vec<u8>,
    after: &'static [u8],
    room: usize,
}

impl<'a> JsonRows<'a> {
    /// Rows as arrays of text and null, as pages have them.
    pub(crate) fn for_page(batch: &'a RecordBatch) -> Self {
        let names = (0..batch.num_columns()).map(|position| {
            let opening: &[u8] = if position == 0 { b"[" } else { b"," };
            opening.to_vec()
        });
        let frame = Frame {
            before: b"",
            after: b"]",
        };
        Self::new(frame, b"[]", names, batch, |array| {
            (General::Text(TextColumn::new(array)), true)
        })
    }

    /// Rows as objects in column order; a name that comes twice gets an ending.
    pub(super) fn objects(schema: &Schema, batch: &'a RecordBatch, frame: Frame) -> Self {
        let names = member_names(schema.fields().iter().map(|field| field.name().as_str()));
        Self::new(frame, b"{}", names.into_iter(), batch, |array| {
            (General::Json(JsonColumn::new(array)), !is_bare(array.data_type()))
        })
    }

    fn new(
        frame: Frame,
        empty: &[u8],
        names: impl Iterator<Item = Vec<u8>>,
        batch: &'a RecordBatch,
        general: impl Fn(&'a dyn Array) -> (General<'a>, bool),
    ) -> Self {
        let mut before = frame.before;
        let columns: Vec<Column> = names
            .zip(batch.columns())
            .map(|(name, array)| {
                let (general, quoted) = general(array.as_ref());
                let name = [std::mem::take(&mut before), &name].concat();
                Column::new(array.as_ref(), name, quoted, general)
            })
            .collect();
        let room = columns.len() * SLOT + MEDIUM + frame.after.len();
        // `after` begins with the closing bracket, which `empty` holds as well.
        Self {
            columns,
            empty: [frame.before, empty, &frame.after[1..]].concat(),
            after: frame.after,
            room,
        }
    }

    /// Appends rows, with `between` between them, until the buffer has `limit` bytes; returns the row after them.
    pub(crate) fn write(
        &mut self,
        rows: Range<usize>,
        between: Option<u8>,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> usize {
        let mut sink = Sink::new(out, self.room);
        let mut value = Vec::new();
        let mut row = rows.start;
        while row < rows.end && (row == rows.start || sink.len() < limit) {
            sink.begin_row();
            if let Some(between) = between
                && row > rows.start
            {
                sink.byte(between);
            }
            if self.columns.is_empty() {
                sink.long(&self.empty);
            } else {
                for column in &mut self.columns {
                    column.write(row, &mut value, &mut sink);
                }
                for byte in self.after {
                    sink.byte(*byte);
                }
            }
            row += 1;
        }
        sink.finish(out);
        row
    }
}

/// Whether the text of a type is its JSON, without quotes.
fn is_bare(data_type: &DataType) -> bool {
    data_type.is_integer()
        || data_type.is_floating()
        || matches!(
            data_type,
            DataType::Boolean
                | DataType::Decimal32(_, 0)
                | DataType::Decimal64(_, 0)
                | DataType::Decimal128(_, 0)
        )
}

/// Writes the whole value of a row that is not null, quotes included.
enum General<'a> {
    Text(TextColumn<'a>),
    Json(JsonColumn<'a>),
}

impl General<'_> {
    #[inline(never)]
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Json(column) => column.write(row, out),
            Self::Text(column) => {
                out.push(b'"');
                let start = out.len();
                column.write(row, out);
                escape_from(start, out);
                out.push(b'"');
            }
        }
    }
}

/// A column and both ways to its JSON.
struct Column<'a> {
    nulls: Option<NullBuffer>,
    source: Source<'a>,
    general: General<'a>,
    /// What stands before a value, with the opening quote: `{"a":`, `,"b":"`. Where it is too long, its end.
    name: [u8; NAME],
    name_length: usize,
    /// What comes before that.
    name_start: Vec<u8>,
    quoted: bool,
    exact: u64,
}

impl<'a> Column<'a> {
    fn new(array: &'a dyn Array, mut name: Vec<u8>, quoted: bool, general: General<'a>) -> Self {
        if quoted {
            name.push(b'"');
        }
        let end = name.split_off(name.len().saturating_sub(NAME));
        let mut padded = [0; NAME];
        padded[..end.len()].copy_from_slice(&end);
        Self {
            nulls: nulls(array),
            source: Source::new(array),
            general,
            name: padded,
            name_length: end.len(),
            name_start: name,
            quoted,
            exact: if quoted { u64::MAX } else { EXACT_INTEGER_MAX },
        }
    }

    #[inline(always)]
    fn write(&mut self, row: usize, value: &mut Vec<u8>, sink: &mut Sink) {
        if !self.name_start.is_empty() {
            sink.long(&self.name_start);
        }
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            sink.chunk(&self.name, self.name_length - usize::from(self.quoted));
            sink.chunk(b"null", 4);
            return;
        }
        match &mut self.source {
            Source::Fixed(values) => {
                let length = sink.slot::<SLOT>(|slot| {
                    slot[..NAME].copy_from_slice(&self.name);
                    let Some(cell) = slot[self.name_length..].first_chunk_mut() else {
                        return 0;
                    };
                    let length = values.write(row, self.exact, cell);
                    if length == 0 {
                        return 0;
                    }
                    let end = self.name_length + length;
                    slot[end] = b'"';
                    end + usize::from(self.quoted)
                });
                if length > 0 {
                    return;
                }
            }
            Source::Text(texts) => {
                let place = texts.row(row);
                if texts.is_clear(place, must_escape) {
                    sink.chunk(&self.name, self.name_length);
                    return texts.write(place, b'"', sink);
                }
            }
            Source::General => {}
        }
        sink.chunk(&self.name, self.name_length - usize::from(self.quoted));
        value.clear();
        self.general.write(row, value);
        sink.long(value);
    }
}
