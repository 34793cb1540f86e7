//! Makes a file of a stored result.

use std::io::BufWriter;
use std::io::Write as _;
use std::sync::atomic::Ordering;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::exports;
use crate::exports::Format;
use crate::job::Job;
use crate::objects::ObjectName;
use crate::report::slug;
use crate::results::ResultReader;
use crate::store::results::NewExport;
use crate::store::results::StoredResult;
use crate::worker::StopFlag;
use crate::worker::Worker;
use crate::worker::object_of;

/// Written to the file at a time.
const BUFFER_BYTES: usize = 1 << 20;

impl Worker {
    /// Writes the file aside, publishes it, and only then names it in the job's row.
    pub(super) async fn run_export(
        &self,
        job: &Job,
        result: &StoredResult,
        stopping: &StopFlag,
    ) -> Result<()> {
        let format = Format::parse(&job.format)
            .ok_or_else(|| Error::internal(format!("job with unknown format `{}`", job.format)))?;
        let rows = ResultReader::open(self.objects.open_object(&object_of(result))?)?;
        let object = self.objects.create(&ObjectName::Export {
            job_id: job.id,
            attempt: job.attempt,
            format: format.extension(),
        })?;
        let given_up = stopping.watch();
        let threads = self.config.encode_threads;
        let temp_dir = self.objects.temp_dir();
        let writing = tokio::task::spawn_blocking(move || {
            let schema = rows.schema();
            let batches = rows
                .batches(0..u64::MAX)?
                .map(|batch| match given_up.load(Ordering::Relaxed) {
                    true => Err(Error::new(ErrorCode::Cancelled, "the export was stopped")),
                    false => batch,
                });
            let mut out = BufWriter::with_capacity(BUFFER_BYTES, object);
            exports::encode(format, &schema, batches, threads, &mut out, &temp_dir)?;
            out.flush()?;
            let object = out
                .into_inner()
                .map_err(|error| Error::from(error.into_error()))?;
            object.publish()
        });
        let bytes = writing.await.map_err(Error::internal)??;
        let export = NewExport {
            result_id: result.id,
            file_name: self.file_name(job, result, format).await?,
            bytes: i64::try_from(bytes).map_err(Error::internal)?,
            lifetime_us: self.lifetime_us()?,
        };
        self.store.keep_export(job, &export).await
    }

    /// Such as `1846-users-growth-20260201-044824.csv`, after the time of the data, in UTC.
    async fn file_name(&self, job: &Job, result: &StoredResult, format: Format) -> Result<String> {
        let title = self.store.report_title(job.report_id, job.report_version).await?;
        let time = chrono::DateTime::from_timestamp_micros(result.created_at).unwrap_or_default();
        let parts = [
            job.report_id.to_string(),
            slug(&title),
            time.format("%Y%m%d-%H%M%S").to_string(),
        ];
        let stem: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Ok(format!("{}.{}", stem.join("-"), format.extension()))
    }
}
