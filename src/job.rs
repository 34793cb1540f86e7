//! A job: one run of a report, one file made of it, or one run of an import. Plain data and its state machine.

use sha2::Digest as _;
use sha2::Sha256;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::hex::hex;
use crate::query::Statement;

#[derive(Clone, Copy, Debug, Eq, PartialEq, sqlx::Type)]
#[sqlx(rename_all = "lowercase")]
pub(crate) enum JobKind {
    /// Leaves a result to page through.
    Query,
    /// Leaves a result and a file made of it.
    Export,
    /// Leaves rows in a table of a source.
    Import,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, sqlx::Type)]
#[sqlx(rename_all = "lowercase")]
pub(crate) enum JobStatus {
    /// Set by a submit, and for a job whose worker was lost or handed it back.
    /// Cleared by the worker that claims it, or by who cancels it. Survives a crash.
    Queued,
    /// Set by the worker that claims the job for a lease, which it renews. Cleared when it keeps what the job
    /// made, or fails it, or hands it back because the server stops; or by who cancels it.
    /// After a crash the next start of the server queues it again, as does the end of a lease.
    Running,
    /// Set by who cancels a running job, cleared by its worker once that has stopped.
    /// After a crash the next start of the server makes it `Cancelled`, as does the end of a lease.
    Cancelling,
    /// Set together with the result, or for an export with the file; final.
    Success,
    /// Set together with the error; final. Also set when workers of this job were lost too often.
    Failure,
    /// Set for a queued job by who cancels it, else by the worker that has stopped; final.
    Cancelled,
}

impl JobStatus {
    pub(crate) const ALL: [Self; 6] = [
        Self::Queued,
        Self::Running,
        Self::Cancelling,
        Self::Success,
        Self::Failure,
        Self::Cancelled,
    ];

    /// As documents, answers and the database have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A row of `jobs`, but for its statement, which can be long.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Job {
    pub(crate) id: i64,
    pub(crate) kind: JobKind,
    /// The file's format; empty for a query job.
    pub(crate) format: String,
    /// How the file is written beside that, as JSON.
    pub(crate) options: String,
    /// The filter whose values a query job lists, instead of the report's rows.
    pub(crate) values_of: Option<String>,
    pub(crate) status: JobStatus,
    pub(crate) user_id: i64,
    /// The report and its version, unless the job is of an import.
    pub(crate) report_id: Option<i64>,
    pub(crate) report_version: Option<i64>,
    pub(crate) import_id: Option<i64>,
    /// What it runs on.
    pub(crate) source_id: i64,
    /// Counts claims; a number is never used again, so files can be named after it.
    pub(crate) attempt: i64,
    pub(crate) created_at: i64,
    pub(crate) started_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
    error_code: Option<String>,
    error_message: Option<String>,
    /// Rows of an import that were left out.
    pub(crate) rejected: i64,
    pub(crate) result_id: Option<i64>,
    pub(crate) export_id: Option<i64>,
    /// Whether a result over its limit of rows is to be cut instead of refused.
    pub(crate) truncate: bool,
    /// Whether it was.
    pub(crate) truncated: bool,
}

impl Job {
    pub(crate) fn is_finished(&self) -> bool {
        matches!(
            self.status,
            JobStatus::Success | JobStatus::Failure | JobStatus::Cancelled
        )
    }

    /// Why the job failed, if it did.
    pub(crate) fn error(&self) -> Option<Error> {
        let message = self.error_message.clone()?;
        let code = self
            .error_code
            .as_deref()
            .map(|code| serde_json::from_value(code.into()));
        match code {
            Some(Ok(code)) => Some(Error::new(code, message)),
            _ => Some(Error::new(ErrorCode::Internal, message)),
        }
    }
}

/// A key, and what of the queue is its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyShare {
    pub(crate) id: i64,
    /// How many jobs of it may be under way, queued ones among them.
    pub(crate) jobs_max: Option<u32>,
}

/// What a submit asks for.
pub(crate) struct NewJob {
    pub(crate) kind: JobKind,
    pub(crate) format: String,
    pub(crate) options: String,
    /// The filter whose values are to be listed, instead of the report's rows.
    pub(crate) values_of: Option<String>,
    pub(crate) user_id: i64,
    pub(crate) report_id: i64,
    pub(crate) report_version: i64,
    pub(crate) source_id: i64,
    pub(crate) statement: Statement,
    /// The values of the filters, as JSON, for people to read.
    pub(crate) filter_values: String,
    /// How old a finished result may be to stand for this run; zero: run.
    pub(crate) cache_us: i64,
    /// Whether a run that is under way may stand for this one.
    pub(crate) may_join: bool,
    /// Whether a result over its limit of rows is to be cut instead of refused.
    pub(crate) truncate: bool,
    /// The key that it came with, or that a feed was made with.
    pub(crate) key: Option<KeyShare>,
    /// The values that the key pins, as JSON.
    pub(crate) pins: String,
}

impl NewJob {
    /// Names the work: equal for two submits exactly when they would run the same thing.
    pub(crate) fn result_key(&self) -> Result<String> {
        let work = serde_json::to_vec(&(
            self.report_id,
            self.report_version,
            self.source_id,
            &self.statement,
            self.truncate,
            &self.pins,
            &self.filter_values,
            &self.values_of,
        ))?;
        Ok(hex(&Sha256::digest(work)))
    }
}

impl Submitted {
    pub(crate) fn job_id(self) -> i64 {
        match self {
            Self::Created(id) | Self::Done(id) | Self::Joined(id) | Self::Repeated(id) => id,
        }
    }
}

/// What became of a submit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Submitted {
    /// A job of its own.
    Created(i64),
    /// A job that is finished: a result is fresh enough.
    Done(i64),
    /// The same work is under way in this job.
    Joined(i64),
    /// This very submit was taken before, as this job.
    Repeated(i64),
}
