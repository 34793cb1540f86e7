//! CSV files on their way in: what is in a file, and its rows as Arrow batches.
//! A file is made plain text first (`prepare`), then read whole for its columns and their types (`survey`),
//! then once more for its rows (`read`); nothing is guessed from a sample but the dialect.

mod batches;
mod calendar;
mod chunk;
mod columns;
mod decode;
mod dialect;
mod fields;
mod first;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod in_order;
mod lines;
mod names;
mod options;
mod prepare;
mod read;
mod rejects;
mod splitter;
mod survey;
#[cfg(test)]
mod tests;
mod types;
mod values;

use crate::error::Error;
use crate::error::ErrorCode;

pub(crate) use options::CsvOptions;
#[cfg(test)]
pub(crate) use options::Encoding;
pub(crate) use options::parse_delimiter;
pub(crate) use options::parse_schema;
#[cfg(test)]
pub(crate) use prepare::Compression;
pub(crate) use prepare::Prepared;
pub(crate) use prepare::prepare;
pub(crate) use read::ReadReport;
pub(crate) use read::read;
pub(crate) use survey::Survey;
pub(crate) use survey::survey;
pub(crate) use types::ColumnType;

fn stopped() -> Error {
    Error::new(ErrorCode::Cancelled, "the import was stopped")
}

fn changed() -> Error {
    Error::invalid("the file changed while it was read")
}
