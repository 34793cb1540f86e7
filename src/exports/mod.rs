//! Batches of rows in, the bytes of a file out. Knows neither HTTP nor the object store.
//! Memory does not grow with the number of rows, and the bytes do not depend on the number of threads.

mod calendar;
mod csv;
mod indirect;
mod json;
mod json_value;
mod names;
mod numbers;
mod pipeline;
#[cfg(test)]
mod tests;
pub(crate) mod text;
mod xlsx;
mod xlsx_cell;

use std::io::Write;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::error::Result;

/// The kinds of file an export can be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    Csv,
    Json,
    Xlsx,
}

impl Format {
    pub(crate) const ALL: [Self; 3] = [Self::Csv, Self::Json, Self::Xlsx];

    /// Reads a format as it stands at the end of a path: `csv`, `json`, `xlsx`.
    pub(crate) fn parse(extension: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|format| format.extension() == extension)
    }

    /// The ending of the file's name, without a dot.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Xlsx => "xlsx",
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }
}

/// Writes a whole file. Stops at the first error of `batches` or `out`; what was written is then no file.
/// CSV and JSON are encoded on `threads` threads; XLSX on one, by way of temporary files in `temp_dir`.
pub(crate) fn encode(
    format: Format,
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch>> + Send,
    threads: usize,
    out: &mut (impl Write + Send),
    temp_dir: &Path,
) -> Result<()> {
    match format {
        Format::Csv => {
            let mut header = Vec::new();
            csv::write_header(schema, &mut header);
            out.write_all(&header)?;
            pipeline::encode_in_order(schema, batches, threads, &csv::write_rows, |rows| {
                Ok(out.write_all(rows)?)
            })?;
        }
        Format::Json => {
            out.write_all(b"[")?;
            let write_rows = |batch: &RecordBatch, rows: &mut Vec<u8>| json::write_rows(schema, batch, rows);
            let mut first = true;
            pipeline::encode_in_order(schema, batches, threads, &write_rows, |rows| {
                let rows = if std::mem::take(&mut first) {
                    out.write_all(b"\n")?;
                    &rows[json::SEPARATOR.len()..]
                } else {
                    rows
                };
                Ok(out.write_all(rows)?)
            })?;
            out.write_all(if first { b"]\n" } else { b"\n]\n" })?;
        }
        Format::Xlsx => pipeline::on_one_thread(|| xlsx::write(schema, batches, out, temp_dir))?,
    }
    Ok(out.flush()?)
}
