//! Statement in, Arrow batches out; one file per kind of source.
//! No other module talks to a customer's database.

pub(crate) mod duckdb;
#[cfg(test)]
mod escapes;
mod guard;
#[cfg(test)]
mod types;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use tokio::sync::mpsc;

use crate::error::Result;

/// The rows of a running query. Dropping it cancels the query at the database.
/// A result that ends without an error is whole.
pub(crate) struct BatchStream {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: mpsc::Receiver<Result<RecordBatch>>,
    /// Lives as long as the stream; the query stops when it goes.
    pub(crate) cancel_on_drop: CancelOnDrop,
}

/// Stops a query when dropped; harmless once the query is over.
pub(crate) struct CancelOnDrop(Option<Box<dyn FnOnce() + Send>>);

impl CancelOnDrop {
    pub(crate) fn new(cancel: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(cancel)))
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(cancel) = self.0.take() {
            cancel();
        }
    }
}
