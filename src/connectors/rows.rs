//! The way of a query's rows from where it runs to the reader.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tracing::debug;

use crate::connectors::BATCHES_IN_FLIGHT;
use crate::connectors::Batches;
use crate::connectors::Made;
use crate::connectors::stopped;
use crate::error::Error;
use crate::error::Result;

pub(super) fn channel() -> (Rows, Answer) {
    let (schema_sender, schema) = oneshot::channel();
    let (sender, batches) = mpsc::channel(BATCHES_IN_FLIGHT);
    let rows = Rows {
        schema: Some(schema_sender),
        batches: sender,
    };
    (rows, Answer { schema, batches })
}

/// The query's end. Who runs on a thread that may block has a blocking form of each step.
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
            Some(waiting) => waiting.send(Ok(schema.clone())).map_err(|_| stopped())?,
            None => return Err(Error::internal("a query has two schemas")),
        }
        Ok(schema)
    }

    /// Waits until there is room; an error if nobody takes rows any more.
    pub(super) async fn batch(&self, batch: RecordBatch) -> Result<()> {
        let sent = self.batches.send(Ok(Made::Batch(batch))).await;
        sent.map_err(|_| stopped())
    }

    pub(super) fn blocking_batch(&self, batch: RecordBatch) -> Result<()> {
        let sent = self.batches.blocking_send(Ok(Made::Batch(batch)));
        sent.map_err(|_| stopped())
    }

    pub(super) async fn end(mut self, outcome: Result<()>) {
        if let Some(last) = self.last(outcome)
            && self.batches.send(last).await.is_err()
        {
            debug!("a query ended after it was given up");
        }
    }

    pub(super) fn blocking_end(mut self, outcome: Result<()>) {
        if let Some(last) = self.last(outcome)
            && self.batches.blocking_send(last).is_err()
        {
            debug!("a query ended after it was given up");
        }
    }

    /// What comes after the last batch; an error goes to whoever still waits for the schema.
    fn last(&mut self, outcome: Result<()>) -> Option<Result<Made>> {
        match (outcome, self.schema.take()) {
            (Err(error), Some(waiting)) => {
                if waiting.send(Err(error)).is_err() {
                    debug!("a query ended after it was given up");
                }
                None
            }
            (outcome, _) => Some(outcome.map(|()| Made::End)),
        }
    }
}

impl Answer {
    /// What comes first, as soon as it is there.
    pub(super) async fn wait(self) -> Result<(SchemaRef, Batches)> {
        let schema = self.schema.await;
        let schema = schema.map_err(|_| Error::internal("the query ended without an answer"))??;
        Ok((schema, Batches::new(self.batches)))
    }
}
