//! JSON: an array of objects in column order, one row a line; `[]` without rows.
//! A name that comes twice gets an ending, since an object holds each name once.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use crate::exports::json_value::Members;

/// What stands between two rows.
pub(super) const SEPARATOR: &[u8] = b",\n";

/// Appends every row as a separator and an object.
pub(super) fn write_rows(schema: &Schema, batch: &RecordBatch, out: &mut Vec<u8>) {
    let members = Members::new(
        schema.fields().iter().map(|field| field.name().as_str()),
        batch.columns().iter().map(AsRef::as_ref),
    );
    for row in 0..batch.num_rows() {
        out.extend_from_slice(SEPARATOR);
        members.write(row, out);
    }
}
