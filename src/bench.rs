//! The encoders as `benches/` call them; no part of the product.

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::exports::Format;
pub use crate::exports::bench::csv_rows;
pub use crate::exports::bench::json_rows;
pub use crate::exports::bench::page_rows;
use crate::exports::encode;
use crate::exports::options::Options;

/// Makes a workbook in memory.
pub fn xlsx(schema: &SchemaRef, batches: Vec<RecordBatch>, threads: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let batches = batches.into_iter().map(Ok);
    encode(
        Format::Xlsx,
        &Options::default(),
        schema,
        batches,
        threads,
        &mut out,
    )
    .unwrap();
    out
}
