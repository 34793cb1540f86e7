//! Batches of rows in, the bytes of a file out. Knows neither HTTP nor the object store.
//! Memory does not grow with the number of rows, and the bytes do not depend on the number of threads.

mod arrow_stream;
#[cfg(feature = "bench")]
pub(crate) mod bench;
mod calendar;
mod cells;
mod compress;
mod csv;
mod deflate;
mod digits;
mod indirect;
mod json;
pub(crate) mod json_rows;
mod json_value;
mod names;
mod numbers;
pub(crate) mod options;
mod parquet;
mod pipeline;
mod sink;
#[cfg(test)]
mod tests;
pub(crate) mod text;
pub(crate) mod widely_known;
mod xlsx;

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::error::Result;
use crate::exports::csv::CsvOptions;
use crate::exports::options::Options;
use crate::exports::options::Profile;

/// The kinds of file an export can be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    Csv,
    Json,
    Xlsx,
    /// One JSON object a line.
    Ndjson,
    Parquet,
    /// An Arrow IPC stream.
    Arrow,
}

impl Format {
    pub(crate) const ALL: [Self; 6] = [
        Self::Csv,
        Self::Json,
        Self::Xlsx,
        Self::Ndjson,
        Self::Parquet,
        Self::Arrow,
    ];

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
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
        }
    }

    /// Whether the format itself compresses.
    pub(crate) fn is_compressed(self) -> bool {
        matches!(self, Self::Xlsx | Self::Parquet)
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Ndjson => "application/x-ndjson",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }
}

/// Writes a whole file. Stops at the first error of `batches` or `out`; what was written is then no file.
/// Encodes on `threads` threads.
pub(crate) fn encode(
    format: Format,
    options: &Options,
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch>> + Send,
    threads: usize,
    out: &mut (impl Write + Send),
) -> Result<()> {
    match options.compress {
        None => encode_plain(format, options, schema, batches, threads, out)?,
        Some(compression) => compress::compressed(compression, threads, out, |mut out| {
            encode_plain(format, options, schema, batches, threads, &mut out)
        })?,
    }
    Ok(out.flush()?)
}

fn encode_plain(
    format: Format,
    options: &Options,
    schema: &SchemaRef,
    batches: impl Iterator<Item = Result<RecordBatch>> + Send,
    threads: usize,
    out: &mut (impl Write + Send),
) -> Result<()> {
    match format {
        Format::Csv => {
            let form = CsvOptions {
                delimiter: options.delimiter.byte(),
                null: options.null.clone().into_bytes(),
                excel: options.profile == Profile::Excel,
            };
            let mut header = Vec::new();
            if form.excel {
                header.extend_from_slice("\u{feff}".as_bytes());
            }
            form.write_header(schema, &mut header);
            out.write_all(&header)?;
            let write_rows = |batch: &RecordBatch, rows: &mut Vec<u8>| form.write_rows(batch, rows);
            pipeline::encode_in_order(schema, batches, threads, &write_rows, |rows| {
                Ok(out.write_all(rows)?)
            })
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
            Ok(out.write_all(if first { b"]\n" } else { b"\n]\n" })?)
        }
        Format::Ndjson => {
            let write_lines =
                |batch: &RecordBatch, rows: &mut Vec<u8>| json::write_lines(schema, batch, rows);
            pipeline::encode_in_order(schema, batches, threads, &write_lines, |rows| {
                Ok(out.write_all(rows)?)
            })
        }
        Format::Xlsx => xlsx::write(schema, batches, threads, out),
        Format::Parquet => parquet::write(schema, batches, threads, out),
        Format::Arrow => pipeline::on_one_thread(|| arrow_stream::write(schema, batches, out)),
    }
}
