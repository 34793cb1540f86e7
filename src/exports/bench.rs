//! The encoders' inner loops for the benchmarks, which see only what is public.

use arrow::array::RecordBatch;

use crate::exports::csv::CsvOptions;
use crate::exports::json;
use crate::exports::json_rows::JsonRows;

/// Appends the rows of a batch as CSV.
pub fn csv_rows(batch: &RecordBatch, out: &mut Vec<u8>) {
    CsvOptions::default().write_rows(batch, out);
}

/// Appends the rows of a batch as JSON, an object a line.
pub fn json_rows(batch: &RecordBatch, out: &mut Vec<u8>) {
    json::write_lines(batch.schema_ref(), batch, out);
}

/// Appends the rows of a batch as a page has them.
pub fn page_rows(batch: &RecordBatch, out: &mut Vec<u8>) {
    JsonRows::for_page(batch).write(0..batch.num_rows(), Some(b','), usize::MAX, out);
}
