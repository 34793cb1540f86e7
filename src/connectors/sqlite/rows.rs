//! The way of a query's rows from its thread to the reader.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tracing::debug;

use crate::connectors::Batches;
use crate::connectors::Made;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

/// How many batches may wait for the reader.
const BATCHES_IN_FLIGHT: usize = 4;

pub(super) fn channel() -> (Rows, Answer) {
    let (schema_sender, schema) = oneshot::channel();
    let (sender, batches) = mpsc::channel(BATCHES_IN_FLIGHT);
    let rows = Rows {
        schema: Some(schema_sender),
        batches: sender,
    };
    (rows, Answer { schema, batches })
}

/// The thread's end.
pub(super) struct Rows {
    schema: Option<oneshot::Sender<Result<SchemaRef>>>,
    batches: mpsc::Sender<Result<Made>>,
}

/// The reader's end.
pub(super) struct Answer {
    schema: oneshot::Receiver<Result<SchemaRef>>,
    batches: mpsc::Receiver<Result<Made>>,
}

impl Rows {
    pub(super) fn schema(&mut self, schema: SchemaRef) -> Result<SchemaRef> {
        match self.schema.take() {
            Some(waiting) => waiting.send(Ok(schema.clone())).map_err(|_| given_up())?,
            None => return Err(Error::internal("a query has two schemas")),
        }
        Ok(schema)
    }

    /// Waits until there is room; an error if nobody takes rows any more.
    pub(super) fn batch(&self, batch: RecordBatch) -> Result<()> {
        self.batches
            .blocking_send(Ok(Made::Batch(batch)))
            .map_err(|_| given_up())
    }

    pub(super) fn end(self, outcome: Result<()>) {
        let told = match (outcome, self.schema) {
            (Err(error), Some(waiting)) => waiting.send(Err(error)).is_ok(),
            (Err(error), None) => self.batches.blocking_send(Err(error)).is_ok(),
            (Ok(()), _) => self.batches.blocking_send(Ok(Made::End)).is_ok(),
        };
        if !told {
            debug!("a query ended after it was given up");
        }
    }
}

impl Answer {
    /// What comes first, as soon as it is there.
    pub(super) async fn wait(self) -> Result<(SchemaRef, Batches)> {
        let schema = self.schema.await;
        let schema = schema.map_err(|_| Error::internal("the query's thread ended without an answer"))??;
        Ok((schema, Batches::new(self.batches)))
    }
}

fn given_up() -> Error {
    Error::new(ErrorCode::Cancelled, "the query was stopped")
}
