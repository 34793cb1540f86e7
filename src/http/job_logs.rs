//! What a job tells of itself, and the rows that it left out.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_DISPOSITION;
use axum::http::header::CONTENT_LENGTH;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use axum::response::Response;
use serde::Serialize;
use tokio_util::io::ReaderStream;
use utoipa::ToSchema;

use crate::error::Error;
use crate::http::App;
use crate::http::auth::Caller;
use crate::http::error::Rejection;
use crate::http::jobs::iso_time;
use crate::http::params::Params;
use crate::http::params::Segments;
use crate::http::poll::find_job;
use crate::objects::ObjectName;
use crate::store::logs::LogLine;

/// Lines of a job's log, oldest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobLogs {
    logs: Vec<JobLogLine>,
    /// Whether there are or may still come more.
    has_more: bool,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct JobLogLine {
    id: i64,
    timestamp: String,
    /// `INFO`, `WARN` or `ERROR`.
    level: &'static str,
    message: String,
}

impl From<LogLine> for JobLogLine {
    fn from(line: LogLine) -> Self {
        Self {
            id: line.id,
            timestamp: iso_time(line.at),
            level: line.level.name(),
            message: line.message,
        }
    }
}

/// The lines of a job's log after the one given.
#[utoipa::path(
    get,
    path = "/jobs/{job_id}/logs.json",
    params(
        ("job_id" = i64, Path, description = "From the submit's answer"),
        ("last_id" = Option<i64>, Query, description = "The id of the last line that is known"),
    ),
    responses(
        (status = 200, description = "The lines", body = JobLogs),
        (status = 404, description = "Unknown job", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn get_logs(
    State(app): State<App>,
    caller: Caller,
    Segments(job_id): Segments<String>,
    params: Params,
) -> Result<Json<JobLogs>, Rejection> {
    let job_id = job_id.parse().map_err(|_| Rejection::NotFound)?;
    let last_id = match params.get("last_id").filter(|text| !text.is_empty()) {
        None => 0,
        Some(text) => text
            .parse()
            .map_err(|_| Error::must_be("last_id", "the id of a line", text))?,
    };
    // First the job, then its lines: what it says last is there before it is finished.
    let job = find_job(&app, &caller, job_id).await?;
    let (lines, more) = app.store.log_after(job_id, last_id).await?;
    Ok(Json(JobLogs {
        logs: lines.into_iter().map(JobLogLine::from).collect(),
        has_more: more || !job.is_finished(),
    }))
}

/// The rows that an import left out, with line, column, value and reason.
#[utoipa::path(
    get,
    path = "/jobs/{job_id}/rejects.csv",
    params(("job_id" = i64, Path, description = "From the submit's answer")),
    responses(
        (status = 200, description = "The rows, as CSV", content_type = "text/csv"),
        (status = 404, description = "Unknown job, or one that left nothing out"),
    ),
    security(("key" = []))
)]
pub(crate) async fn get_rejects(
    State(app): State<App>,
    caller: Caller,
    Segments(job_id): Segments<String>,
) -> Result<Response, Rejection> {
    let job_id = job_id.parse().map_err(|_| Rejection::NotFound)?;
    let job = find_job(&app, &caller, job_id).await?;
    if job.rejected == 0 || !job.is_finished() {
        return Err(Rejection::NotFound);
    }
    let file = app.objects.open_object(&ObjectName::Rejects {
        job_id,
        attempt: job.attempt,
    })?;
    let bytes = file.metadata().map_err(Error::from)?.len();
    let body = Body::from_stream(ReaderStream::new(tokio::fs::File::from_std(file)));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    let disposition = format!("attachment; filename=\"{job_id}-rejects.csv\"");
    headers.insert(
        CONTENT_DISPOSITION,
        HeaderValue::try_from(disposition).map_err(Error::internal)?,
    );
    Ok(response)
}
