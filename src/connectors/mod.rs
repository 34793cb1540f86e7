//! Statement in, Arrow batches out; one file per kind of source.
//! No other module talks to a customer's database.

#[cfg(test)]
mod conformance;
mod deadline;
pub(crate) mod duckdb;
pub(crate) mod duckdb_file;
mod duckdb_load;
#[cfg(test)]
mod escapes;
mod guard;
mod interrupt;
pub(crate) mod load;
mod mysql;
mod permits;
mod plain;
mod postgres;
mod rows;
mod sessions;
pub(crate) mod sources;
pub(crate) mod sqlite;
mod threads;
mod tls;
#[cfg(test)]
mod types;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::BinaryArray;
use arrow::array::StringArray;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use tokio::sync::mpsc;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::query::ValueCheck;
use crate::query::scalar::canonical;
use crate::query::scalar::canonical_as;

/// Rows that a connector gathers into a batch, and bytes after which it takes fewer.
const BATCH_ROWS: usize = 8_192;
const BATCH_BYTES: usize = 1 << 20;

/// How many batches may wait for whoever takes them.
const BATCHES_IN_FLIGHT: usize = 4;

/// The rows of a running query.
pub(crate) struct BatchStream {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Batches,
    /// The query stops at the database when this goes.
    pub(crate) cancel_on_drop: CancelOnDrop,
}

/// What a query has made, in order.
pub(crate) struct Batches {
    made: mpsc::Receiver<Result<Made>>,
    ended: bool,
}

/// What travels from the query's thread to the reader.
pub(crate) enum Made {
    Batch(RecordBatch),
    /// There is no more. Without it the rows are not all there.
    End,
}

impl Batches {
    fn new(made: mpsc::Receiver<Result<Made>>) -> Self {
        Self { made, ended: false }
    }

    /// The next batch, or `None` at the end. A query whose thread broke off is an error, never a short result.
    pub(crate) fn blocking_next(&mut self) -> Result<Option<RecordBatch>> {
        if self.ended {
            return Ok(None);
        }
        match self.made.blocking_recv() {
            Some(Ok(Made::Batch(batch))) => Ok(Some(batch)),
            Some(Ok(Made::End)) => {
                self.ended = true;
                Ok(None)
            }
            Some(Err(error)) => Err(error),
            None => Err(Error::internal("the query broke off before its end")),
        }
    }
}

/// What a query runs for, told to the database in a comment so that whoever looks after it can see.
#[derive(Clone, Debug)]
pub(crate) struct Purpose {
    pub(crate) job_id: i64,
    /// Such as `report=7` or `import=3`.
    pub(crate) subject: String,
    /// The e-mail address of who asked for it.
    pub(crate) user: String,
}

impl Purpose {
    /// Stands before the SQL; nothing in it can end it.
    fn comment(&self) -> String {
        let user: String = self
            .user
            .chars()
            .map(|character| match character {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '@' | '.' | '_' | '-' | '+' => character,
                _ => '?',
            })
            .collect();
        format!(
            "/* holistics job={} {} user={user} */ ",
            self.job_id, self.subject
        )
    }
}

/// The values of a check that have not been found yet among those that are allowed.
struct WantedValues<'a> {
    check: &'a ValueCheck,
    missing: BTreeSet<String>,
}

fn wanted_values(check: &ValueCheck) -> WantedValues<'_> {
    WantedValues {
        check,
        missing: check.values.iter().map(canonical).collect(),
    }
}

impl WantedValues<'_> {
    /// One of the allowed values, in its text form.
    fn found(&mut self, key: &str) {
        if let Some(first) = self.check.values.first() {
            self.missing.remove(&canonical_as(first, key));
        }
    }

    fn all_found(&self) -> Result<()> {
        match self.missing.is_empty() {
            true => Ok(()),
            false => Err(not_listed(&self.check.filter)),
        }
    }
}

fn not_listed(filter: &str) -> Error {
    Error::invalid(format!(
        "filter `{filter}` must be one of the values that its `values_sql` lists"
    ))
}

/// What a query ends with that nobody needs any more.
fn stopped() -> Error {
    Error::new(ErrorCode::Cancelled, "the query was stopped")
}

/// What a statement is refused with that has no columns.
fn no_rows() -> Error {
    Error::new(
        ErrorCode::SourceFailed,
        "a report must be a query that returns rows",
    )
}

/// An identifier as standard SQL quotes it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The same query with some of its columns cast to text, if there are such.
fn with_text_columns(sql: &str, names: &[&str], is_text: &[bool], text: &str) -> Option<String> {
    if !is_text.contains(&true) {
        return None;
    }
    let columns = names.iter().zip(is_text).enumerate();
    let columns = columns.map(|(index, (name, is_text))| match is_text {
        true => format!("cast(c{index} as {text}) as {}", quoted(name)),
        false => format!("c{index} as {}", quoted(name)),
    });
    let columns: Vec<String> = columns.collect();
    let aliases: Vec<String> = (0..names.len()).map(|index| format!("c{index}")).collect();
    Some(format!(
        "select {} from (\n{sql}\n) as report({})",
        columns.join(", "),
        aliases.join(", ")
    ))
}

/// Where in the SQL something is wrong, after what stands before it.
fn place(before: Option<&str>) -> String {
    let Some(before) = before else {
        return String::new();
    };
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!(" (line {line}, column {column} of the SQL)")
}

/// The connection to a source broke off: there is no short result.
fn lost(source: &str, why: &str) -> Error {
    Error::new(
        ErrorCode::SourceFailed,
        format!("lost the connection to source `{source}`: {why}"),
    )
}

fn unreachable(source: &str, why: &str) -> Error {
    Error::new(
        ErrorCode::SourceFailed,
        format!("cannot use source `{source}`: {why}"),
    )
}

/// What an error of the system means to who set a source up.
fn io_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "connection refused: nothing listens at its host and port".to_owned()
        }
        io::ErrorKind::TimedOut => "no answer from its host and port in time".to_owned(),
        io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
        _ if error.to_string().contains("lookup") => format!("host unknown: {error}"),
        _ => error.to_string(),
    }
}

/// The bytes as text, if each value is UTF-8. Asking that of a column at once is less work than of each value.
fn utf8_array(bytes: BinaryArray) -> Option<ArrayRef> {
    let text = StringArray::try_from_binary(bytes).ok()?;
    Some(Arc::new(text))
}

/// Stops a query when dropped; harmless once the query is over.
pub(crate) struct CancelOnDrop(Cancel);

/// Stops a query.
pub(crate) type Cancel = Arc<dyn Fn() + Send + Sync>;

impl CancelOnDrop {
    pub(crate) fn new(cancel: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(cancel))
    }

    /// For those who know before its owner that nobody needs the rest.
    pub(crate) fn cancel(&self) -> Cancel {
        self.0.clone()
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_stays_the_end() {
        let (sender, receiver) = mpsc::channel(4);
        sender.try_send(Ok(Made::End)).unwrap();
        drop(sender);
        let mut batches = Batches::new(receiver);
        assert!(batches.blocking_next().unwrap().is_none());
        assert!(batches.blocking_next().unwrap().is_none());
    }

    #[test]
    fn bytes_are_text_only_value_by_value() {
        let whole = BinaryArray::from_vec(vec!["ä".as_bytes(), b"", b"x"]);
        assert!(utf8_array(whole).is_some());
        // Together they are.
        let halves = BinaryArray::from_vec(vec![&[0xc3][..], &[0xa4]]);
        assert!(utf8_array(halves).is_none());
    }

    #[test]
    fn query_that_breaks_off_is_no_short_result() {
        let schema = std::sync::Arc::new(arrow::datatypes::Schema::empty());
        let (sender, receiver) = mpsc::channel(4);
        sender
            .try_send(Ok(Made::Batch(RecordBatch::new_empty(schema))))
            .unwrap();
        drop(sender);
        let mut batches = Batches::new(receiver);
        assert!(batches.blocking_next().unwrap().is_some());
        assert!(batches.blocking_next().is_err());
    }

    #[test]
    fn disk_of_the_engine_is_the_servers() {
        for (told, says) in [
            (
                "Failed to commit: Cannot open file \"/data/w.wal\": Read-only file system",
                "the server's disk is read-only",
            ),
            (
                "IO Error: Could not write: No space left on device",
                "out of disk space on the server",
            ),
            ("Catalog Error: no such table", "Catalog Error: no such table"),
        ] {
            let code = ::duckdb::ffi::Error::new(1);
            let error = duckdb::failed(::duckdb::Error::DuckDBFailure(code, Some(told.to_owned())));
            assert_eq!(error.message, says);
        }
    }
}
