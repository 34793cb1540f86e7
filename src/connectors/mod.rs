//! Statement in, Arrow batches out; one file per kind of source.
//! No other module talks to a customer's database.

pub(crate) mod duckdb;
#[cfg(test)]
mod escapes;
mod guard;
mod interrupt;
mod plain;
mod threads;
#[cfg(test)]
mod types;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use tokio::sync::mpsc;

use crate::error::Error;
use crate::error::Result;

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
}
