//! How many rows a result may have, and how long its query may run.

use arrow::record_batch::RecordBatch;

use crate::config::Config;
use crate::connectors::Batches;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::job::Job;
use crate::report::Report;
use crate::worker::Worker;

/// The rows of a running query, up to a limit.
pub(super) struct Limited {
    batches: Batches,
    limit: RowLimit,
    /// How many have come.
    pub(super) rows: u64,
    /// There were more than the limit, and this ended there.
    pub(super) truncated: bool,
}

pub(super) struct RowLimit {
    max: u64,
    /// Who says so.
    of: &'static str,
    /// Whether to end at the limit instead of failing.
    truncate: bool,
}

impl RowLimit {
    /// The server's, or the report's if that is less.
    pub(super) fn of(config: &Config, report: &Report, job: &Job) -> Self {
        let server = config.result_rows_max;
        // The report's is of its own rows.
        let own = report.rows_max.filter(|_| job.values_of.is_none());
        let (max, of) = match own.filter(|max| *max < server) {
            Some(max) => (max, "`rows_max` of the report"),
            None => (server, "setting `result_rows_max`"),
        };
        Self {
            max,
            of,
            truncate: job.truncate,
        }
    }
}

impl Limited {
    pub(super) fn new(batches: Batches, limit: RowLimit) -> Self {
        Self {
            batches,
            limit,
            rows: 0,
            truncated: false,
        }
    }

    pub(super) fn blocking_next(&mut self) -> Result<Option<RecordBatch>> {
        if self.truncated {
            return Ok(None);
        }
        let Some(batch) = self.batches.blocking_next()? else {
            return Ok(None);
        };
        let left = self.limit.max - self.rows;
        if batch.num_rows() as u64 <= left {
            self.rows += batch.num_rows() as u64;
            return Ok(Some(batch));
        }
        if !self.limit.truncate {
            let RowLimit { max, of, .. } = self.limit;
            let message = format!("the result's rows passed the limit of {max} ({of})");
            return Err(Error::new(ErrorCode::TooLarge, message));
        }
        self.truncated = true;
        self.rows += left;
        Ok(Some(
            batch.slice(0, usize::try_from(left).map_err(Error::internal)?),
        ))
    }
}

impl Worker {
    /// Dropping what runs a query, as the deadline does, stops it at the database.
    pub(super) async fn in_time<T>(
        &self,
        report: &Report,
        running: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let server = self.config.query_timeout;
        let (limit, of) = match report.timeout.filter(|timeout| *timeout < server) {
            Some(timeout) => (timeout, "`timeout` of the report"),
            None => (server, "setting `query_timeout`"),
        };
        tokio::time::timeout(limit, running).await.unwrap_or_else(|_| {
            let limit = humantime::format_duration(limit);
            let message = format!("the query was stopped after {limit} ({of})");
            Err(Error::new(ErrorCode::Timeout, message))
        })
    }
}
