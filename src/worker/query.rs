//! Runs a job's statement and keeps its rows as a stored result.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use arrow::datatypes::Schema;
use arrow::datatypes::SchemaRef;

use crate::connectors::BatchStream;
use crate::error::Error;
use crate::error::Result;
use crate::job::Job;
use crate::kill_point::kill_point;
use crate::objects::Object;
use crate::objects::ObjectName;
use crate::objects::ObjectWriter;
use crate::report::Report;
use crate::results::ResultWriter;
use crate::results::Written;
use crate::store::jobs::Claimed;
use crate::store::results::NewResult;
use crate::store::results::Place;
use crate::worker::Run;
use crate::worker::Worker;
use crate::worker::limit::Limited;
use crate::worker::limit::RowLimit;

impl Worker {
    /// Runs the statement, writes the rows, and only then names them in the job's row.
    pub(super) async fn run_query(&self, claimed: &Claimed, run: &Run) -> Result<()> {
        let job = &claimed.job;
        let report = self.report_of(job).await?;
        let began = Instant::now();
        let (written, schema) = self
            .in_time(&report, self.write_result(claimed, &report, run))
            .await?;
        kill_point("result_written");
        let result = self.new_result(&report, written, &schema, began.elapsed())?;
        self.keep(|| self.store.keep_result(job, &result)).await
    }

    pub(super) async fn report_of(&self, job: &Job) -> Result<Arc<Report>> {
        match (job.report_id, job.report_version) {
            (Some(id), Some(version)) => self.store.report_version(id, version).await,
            _ => Err(Error::internal("a job without a report")),
        }
    }

    pub(super) fn new_result(
        &self,
        report: &Report,
        written: Written,
        schema: &Schema,
        engine: Duration,
    ) -> Result<NewResult> {
        Ok(NewResult {
            rows: i64::try_from(written.rows).map_err(Error::internal)?,
            bytes: i64::try_from(written.object.bytes()).map_err(Error::internal)?,
            rows_kept: match written.object {
                Object::Inline(_) => Place::Inline,
                Object::File { .. } => Place::File,
            },
            content: written.object.into_content(),
            truncated: written.truncated,
            lifetime_us: self.lifetime_us(report)?,
            columns: columns(schema)?,
            engine_us: microseconds(engine)?,
        })
    }

    /// How long a result can be fetched. Whoever is handed it while it counts as fresh has its whole lifetime.
    pub(super) fn lifetime_us(&self, report: &Report) -> Result<i64> {
        microseconds(self.config.result_lifetime.saturating_add(report.cache))
    }

    /// Begins an object of the size that is allowed.
    pub(super) fn create(&self, name: &ObjectName) -> ObjectWriter {
        self.objects.create(name, self.config.result_bytes_max)
    }

    pub(super) async fn write_result(
        &self,
        claimed: &Claimed,
        report: &Report,
        run: &Run,
    ) -> Result<(Written, SchemaRef)> {
        let BatchStream {
            schema,
            batches,
            cancel_on_drop,
        } = self.query(claimed).await?;
        let object = self.create(&ObjectName::Result {
            job_id: claimed.job.id,
            attempt: claimed.job.attempt,
        });
        let limit = RowLimit::of(&self.config, report, &claimed.job);
        let mut batches = Limited::new(batches, limit);
        let rows = run.rows.clone();
        let truncate = claimed.job.truncate;
        let shown = schema.clone();
        let writing = tokio::task::spawn_blocking(move || {
            let mut writer = ResultWriter::new(object, &schema)?;
            while let Some(batch) = batches.blocking_next()? {
                kill_point("row_batch");
                if !truncate {
                    rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                    writer.write(batch)?;
                    continue;
                }
                let written = writer.write_what_fits(&batch)?;
                rows.fetch_add(written as u64, Ordering::Relaxed);
                if written < batch.num_rows() {
                    return writer.finish(true);
                }
            }
            writer.finish(batches.truncated)
        });
        let written = writing.await.map_err(Error::internal)?;
        drop(cancel_on_drop);
        Ok((written?, shown))
    }
}

/// Names and types, as a manifest has them.
pub(super) fn columns(schema: &Schema) -> Result<String> {
    let fields = schema.fields().iter();
    let columns: Vec<serde_json::Value> = fields
        .map(|field| serde_json::json!({"name": field.name(), "type": field.data_type().to_string()}))
        .collect();
    Ok(serde_json::to_string(&columns)?)
}

pub(super) fn microseconds(duration: Duration) -> Result<i64> {
    i64::try_from(duration.as_micros()).map_err(Error::internal)
}
