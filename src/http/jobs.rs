//! Jobs as such.

use axum::Json;
use axum::extract::State;
use chrono::DateTime;
use chrono::SecondsFormat;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::App;
use crate::http::auth::Caller;
use crate::http::error::Rejection;
use crate::http::params::Segments;
use crate::http::poll::find_job;
use crate::job::Job;
use crate::job::JobKind;
use crate::job::JobStatus;
use crate::store::now_us;

/// There is one tenant a server.
const TENANT_ID: i64 = 1;

/// One run of a report. Times are UTC.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobInfo {
    id: i64,
    /// `queued`, `running`, `success` or `failure`.
    status: &'static str,
    #[schema(example = "2018-08-24T08:19:19.596Z")]
    created_at: String,
    start_time: Option<String>,
    end_time: Option<String>,
    /// Seconds; below 0 while not started.
    duration: f64,
    /// The id of the report or the import.
    source_id: i64,
    #[schema(example = "QueryReport")]
    source_type: &'static str,
    /// `query`, `export` or `import`.
    source_method: &'static str,
    /// The version of the report that it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    report_version: Option<i64>,
    user_id: i64,
    tenant_id: i64,
    cancellable: bool,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// One job.
#[utoipa::path(
    get,
    path = "/jobs/{job_id}",
    params(("job_id" = i64, Path, description = "From the submit's answer")),
    responses(
        (status = 200, description = "The job", body = JobInfo),
        (status = 404, description = "Unknown job", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn get_job(
    State(app): State<App>,
    Caller(user): Caller,
    Segments(job_id): Segments<String>,
) -> Result<Json<JobInfo>, Rejection> {
    let job_id = job_id
        .strip_suffix(".json")
        .and_then(|id| id.parse().ok())
        .ok_or(Rejection::NotFound)?;
    let job = find_job(&app, &user, job_id).await?;
    Ok(Json(info(&job)))
}

fn info(job: &Job) -> JobInfo {
    let duration = match (job.started_at, job.ended_at) {
        (None, _) => -1.0,
        (Some(start), end) => (end.unwrap_or_else(now_us) - start) as f64 / 1e6,
    };
    JobInfo {
        id: job.id,
        status: status_name(job.status),
        created_at: iso_time(job.created_at),
        start_time: job.started_at.map(iso_time),
        end_time: job.ended_at.map(iso_time),
        duration,
        source_id: job.report_id.or(job.import_id).unwrap_or_default(),
        source_type: match job.kind {
            JobKind::Query | JobKind::Export => "QueryReport",
            JobKind::Import => "DataImport",
        },
        source_method: match job.kind {
            JobKind::Query => "query",
            JobKind::Export => "export",
            JobKind::Import => "import",
        },
        report_version: job.report_version,
        user_id: job.user_id,
        tenant_id: TENANT_ID,
        cancellable: false,
        error: job.error().map(|error| error.message),
    }
}

pub(super) fn status_name(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Queued => "queued",
        JobStatus::Running => "running",
        JobStatus::Success => "success",
        JobStatus::Failure => "failure",
    }
}

/// Such as `2018-08-24T08:19:19.596Z`.
pub(crate) fn iso_time(time_us: i64) -> String {
    DateTime::from_timestamp_micros(time_us)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}
