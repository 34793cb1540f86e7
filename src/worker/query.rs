//! Runs a job's statement and keeps its rows as a stored result.

use crate::connectors::BatchStream;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::job::Job;
use crate::objects::ObjectName;
use crate::results::Limits;
use crate::results::ResultWriter;
use crate::results::Written;
use crate::store::results::NewResult;
use crate::store::results::StoredResult;
use crate::worker::Worker;

impl Worker {
    /// Runs the statement, writes the rows, and only then names them in the job's row.
    pub(crate) async fn run_query(&self, job: &Job) -> Result<StoredResult> {
        let limit = self.config.query_timeout;
        let written = tokio::time::timeout(limit, self.write_result(job))
            .await
            .unwrap_or_else(|_| {
                Err(Error::new(
                    ErrorCode::Timeout,
                    format!(
                        "the query was stopped after {} (setting `query_timeout`)",
                        humantime::format_duration(limit)
                    ),
                ))
            })?;
        let result = NewResult {
            rows: i64::try_from(written.rows).map_err(Error::internal)?,
            bytes: i64::try_from(written.bytes).map_err(Error::internal)?,
            lifetime_us: self.lifetime_us()?,
        };
        self.store.keep_result(job, &result).await
    }

    /// How long what a job makes can be fetched.
    pub(super) fn lifetime_us(&self) -> Result<i64> {
        i64::try_from(self.config.result_lifetime.as_micros()).map_err(Error::internal)
    }

    /// Dropping the future, as a deadline does, stops the query at the database.
    async fn write_result(&self, job: &Job) -> Result<Written> {
        let statement = self.store.statement(job.id).await?;
        let BatchStream {
            schema,
            mut batches,
            cancel_on_drop,
        } = self.warehouse.query(&statement).await?;
        let name = ObjectName::Result {
            job_id: job.id,
            attempt: job.attempt,
        };
        let object = self.objects.create(&name)?;
        let limits = Limits {
            rows_max: self.config.result_rows_max,
            bytes_max: self.config.result_bytes_max,
        };
        let writing = tokio::task::spawn_blocking(move || {
            let mut writer = ResultWriter::new(object, &schema, limits)?;
            while let Some(batch) = batches.blocking_next()? {
                writer.write(batch)?;
            }
            writer.finish()
        });
        let written = writing.await.map_err(Error::internal)?;
        drop(cancel_on_drop);
        written
    }
}
