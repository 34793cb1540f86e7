//! Jobs as such.

use axum::Json;
use axum::extract::State;
use chrono::DateTime;
use chrono::SecondsFormat;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::http::App;
use crate::http::audit::Trail;
use crate::http::auth::Caller;
use crate::http::error::Rejection;
use crate::http::params::Params;
use crate::http::params::Segments;
use crate::http::params::flag;
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
    /// `queued`, `running`, `cancelling`, `success`, `failure` or `cancelled`.
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
    /// `query`, `values`, `export` or `import`.
    source_method: &'static str,
    /// The version of the report that it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    report_version: Option<i64>,
    user_id: i64,
    tenant_id: i64,
    cancellable: bool,
    /// Its place in the queue, from 1, while it is queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_position: Option<i64>,
    /// Its result had more rows or bytes than are allowed, and was cut as `_truncate=true` asked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
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
    caller: Caller,
    Segments(job_id): Segments<String>,
) -> Result<Json<JobInfo>, Rejection> {
    let job_id = job_id
        .strip_suffix(".json")
        .and_then(|id| id.parse().ok())
        .ok_or(Rejection::NotFound)?;
    let job = find_job(&app, &caller, job_id).await?;
    if job.is_finished() {
        // Told to be over, it stays so, a power cut or not.
        app.store.sync().await?;
    }
    let queue_position = match job.status {
        JobStatus::Queued => Some(app.store.jobs_before(&job).await? + 1),
        _ => None,
    };
    Ok(Json(JobInfo {
        queue_position,
        ..info(&job)
    }))
}

/// What a cancel answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Cancelled {
    /// `OK`, or `joined` for one that goes on.
    #[schema(example = "OK")]
    status: &'static str,
}

/// Stops a job: it then reads `cancelling` until its query has been told to stop, and `cancelled` after that.
/// One that has ended stays as it is.
#[utoipa::path(
    put,
    path = "/jobs/{job_id}/cancel.json",
    params(
        ("job_id" = i64, Path, description = "From the submit's answer"),
        ("_unless_joined" = Option<bool>, Query, description = "Leaves a job alone that another submit has joined"),
    ),
    responses(
        (status = 200, description = "The job is over, or will be; or it goes on because it was joined", body = Cancelled),
        (status = 403, description = "Somebody else's job", body = super::openapi::Errors),
        (status = 404, description = "Unknown job", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn cancel_job(
    State(app): State<App>,
    caller: Caller,
    trail: Trail,
    params: Params,
    Segments(job_id): Segments<String>,
) -> Result<Json<Cancelled>, Rejection> {
    let job_id = job_id.parse().map_err(|_| Rejection::NotFound)?;
    let job = find_job(&app, &caller, job_id).await?;
    trail.note(|record| record.job_id = Some(job_id));
    if job.user_id != caller.user.id && !caller.manages_all() {
        let message =
            format!("job `{job_id}` can be cancelled by who submitted it first, or by an administrator");
        return Err(Error::new(ErrorCode::Forbidden, message).into());
    }
    let goes_on = match flag("_unless_joined", params.get("_unless_joined"))? {
        true => app.store.cancel_unless_joined(job_id).await?,
        false => app.store.cancel(job_id).await.map(|()| false)?,
    };
    // Told to be over, it stays so, a power cut or not.
    app.store.sync().await?;
    // Its place may be what the next job has waited for.
    app.queued.notify_one();
    let status = if goes_on { "joined" } else { "OK" };
    Ok(Json(Cancelled { status }))
}

pub(super) fn info(job: &Job) -> JobInfo {
    let duration = match (job.started_at, job.ended_at) {
        (None, _) => -1.0,
        (Some(start), end) => (end.unwrap_or_else(now_us) - start).max(0) as f64 / 1e6,
    };
    JobInfo {
        id: job.id,
        status: job.status.name(),
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
            JobKind::Query if job.values_of.is_some() => "values",
            JobKind::Query => "query",
            JobKind::Export => "export",
            JobKind::Import => "import",
        },
        report_version: job.report_version,
        user_id: job.user_id,
        tenant_id: TENANT_ID,
        cancellable: matches!(job.status, JobStatus::Queued | JobStatus::Running),
        queue_position: None,
        truncated: job.truncated,
        error: job.error().map(|error| error.message),
    }
}

/// Such as `2018-08-24T08:19:19.596Z`.
pub(crate) fn iso_time(time_us: i64) -> String {
    DateTime::from_timestamp_micros(time_us)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Millis, true)
}
