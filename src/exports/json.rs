//! JSON: an array of objects in column order, one row a line; `[]` without rows.
//! A name that comes twice gets an ending, since an object holds each name once.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use crate::exports::json_rows::Frame;
use crate::exports::json_rows::JsonRows;

/// What stands between two rows.
pub(super) const SEPARATOR: &[u8] = b",\n";

/// Appends every row as a separator and an object.
pub(super) fn write_rows(schema: &Schema, batch: &RecordBatch, out: &mut Vec<u8>) {
    let frame = Frame {
        before: SEPARATOR,
        after: b"}",
    };
    write_objects(schema, batch, frame, out);
}

/// Appends every row as an object and a line feed (NDJSON).
pub(super) fn write_lines(schema: &Schema, batch: &RecordBatch, out: &mut Vec<u8>) {
    let frame = Frame {
        before: b"",
        after: b"}\n",
    };
    write_objects(schema, batch, frame, out);
}

fn write_objects(schema: &Schema, batch: &RecordBatch, frame: Frame, out: &mut Vec<u8>) {
    JsonRows::objects(schema, batch, frame).write(0..batch.num_rows(), None, usize::MAX, out);
}
