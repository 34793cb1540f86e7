//! Files are read back by other programs than those that wrote them.

mod catalogue;
mod catalogue_moments;
mod catalogue_nested;
mod cells;
mod csv;
mod csv_options;
mod json;
mod libreoffice;
mod parquet;
mod pipeline;
mod property;
mod python;
mod text;
mod xlsx;

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::RecordBatch;
use arrow::array::StringArray;

use crate::error::Result;
use crate::exports::Format;
use crate::exports::encode;
use crate::exports::options::Options;

/// Encodes one batch on two threads.
fn file(format: Format, batch: &RecordBatch) -> Vec<u8> {
    file_of(format, std::slice::from_ref(batch), 2)
}

fn file_of(format: Format, batches: &[RecordBatch], threads: usize) -> Vec<u8> {
    try_file_of(format, batches, threads).unwrap()
}

fn try_file_of(format: Format, batches: &[RecordBatch], threads: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let schema = batches[0].schema();
    let batches = batches.iter().cloned().map(Ok);
    encode(format, &Options::default(), &schema, batches, threads, &mut out)?;
    Ok(out)
}

fn text_file(format: Format, batch: &RecordBatch) -> String {
    String::from_utf8(file(format, batch)).unwrap()
}

fn batch<'n>(columns: impl IntoIterator<Item = (&'n str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .unwrap()
}

fn strings(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<StringArray>())
}
