//! Polling: what has become of a job, and the pages of its result.

use axum::Json;
use axum::body::Body;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CACHE_CONTROL;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use axum::response::Response;
use futures::StreamExt as _;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::http::App;
use crate::http::auth::Caller;
use crate::http::error::Rejection;
use crate::http::page::PageWriter;
use crate::http::params::Params;
use crate::http::params::Segments;
use crate::http::params::base_url;
use crate::http::params::report_id;
use crate::job::Job;
use crate::job::JobKind;
use crate::job::JobStatus;
use crate::objects::ObjectName;

const EXPIRED: &str = "the result has expired: run the report again";

/// A job that is not done, or has failed.
#[derive(Serialize, ToSchema)]
pub(crate) struct Unfinished {
    /// `queued`, `running` or `failure`; `not yet` for an export.
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<[String; 1]>,
}

/// A file that is ready.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExportReady {
    #[schema(example = "success")]
    status: &'static str,
    export: ExportLink,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ExportLink {
    /// Where the file is, with the caller's key.
    http_path: String,
}

/// One page of a result. Every value is text or null, so that nothing is rounded.
#[derive(Serialize, ToSchema)]
pub(crate) struct Page {
    #[schema(example = "success")]
    status: &'static str,
    fields: Vec<String>,
    values: Vec<Vec<Option<String>>>,
    paginated: Paginated,
    /// When the query ran.
    last_cache_updated: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Paginated {
    pub(super) page: u64,
    pub(super) page_size: u64,
    pub(super) num_rows: u64,
    pub(super) num_pages: u64,
}

/// A page of a job's result, or how far the job is.
#[utoipa::path(
    get,
    path = "/queries/get_query_results.json",
    params(
        ("job_id" = i64, Query, description = "From the submit's answer"),
        ("_page" = Option<u64>, Query, description = "From 1; past the end is a page without rows"),
        ("_page_size" = Option<u64>, Query, description = "Rows a page; 25 unless given"),
    ),
    responses(
        (status = 200, description = "A page; or, until it is there, an object with `status` alone", body = Page),
        (status = 404, description = "Unknown job", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn get_query_results(
    State(app): State<App>,
    Caller(user): Caller,
    params: Params,
) -> Result<Response, Rejection> {
    let job = find_job(&app, &user, params.job_id()?).await?;
    page(&app, &job, &params).await
}

/// The deprecated form of `get_query_results`.
#[utoipa::path(
    get,
    path = "/queries/{report_id}",
    params(
        ("report_id" = String, Path, description = "The report's id, alone or with its slug"),
        ("job_id" = i64, Query, description = "From the submit's answer"),
    ),
    responses((status = 200, description = "As get_query_results", body = Page)),
    security(("key" = []))
)]
pub(crate) async fn get_report(
    State(app): State<App>,
    Caller(user): Caller,
    Segments(report): Segments<String>,
    params: Params,
) -> Result<Response, Rejection> {
    if !report.ends_with(".json") {
        return Err(Rejection::NotFound);
    }
    let report_id = report_id(&report)?;
    let job = find_job(&app, &user, params.job_id()?).await?;
    if job.report_id != report_id {
        return Err(Rejection::NotFound);
    }
    page(&app, &job, &params).await
}

/// Whether a job's file is ready, and where it is.
#[utoipa::path(
    get,
    path = "/queries/get_export_results.json",
    params(("job_id" = i64, Query, description = "From the submit's answer")),
    responses(
        (status = 200, description = "The link; or `not yet`; or `failure` with the error", body = ExportReady),
        (status = 404, description = "Unknown job", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn get_export_results(
    State(app): State<App>,
    Caller(user): Caller,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    let job = find_job(&app, &user, params.job_id()?).await?;
    if job.kind == JobKind::Query {
        let message = format!(
            "job `{}` makes no file: it is polled at get_query_results.json",
            job.id
        );
        return Err(Error::invalid(message).into());
    }
    export(&app, &job, &headers).await
}

/// What a job has come to, whichever kind it is.
#[utoipa::path(
    get,
    path = "/jobs/{job_id}/get_results.json",
    params(("job_id" = i64, Path, description = "From the submit's answer")),
    responses((status = 200, description = "As get_export_results or get_query_results")),
    security(("key" = []))
)]
pub(crate) async fn get_results(
    State(app): State<App>,
    Caller(user): Caller,
    Segments(job_id): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    let job_id = job_id.parse().map_err(|_| Rejection::NotFound)?;
    let job = find_job(&app, &user, job_id).await?;
    match job.kind {
        JobKind::Query => page(&app, &job, &params).await,
        JobKind::Export => export(&app, &job, &headers).await,
    }
}

/// The job, if the user may see it; the one place that decides so.
pub(crate) async fn find_job(app: &App, user: &crate::user::User, id: i64) -> Result<Job, Rejection> {
    app.store
        .job_seen_by(id, user.id, user.is_admin)
        .await?
        .ok_or(Rejection::NotFound)
}

async fn export(app: &App, job: &Job, headers: &HeaderMap) -> Result<Response, Rejection> {
    if !job.is_finished() {
        return Ok(pending("not yet"));
    }
    if let Some(error) = job.error() {
        return Ok(failure(error.message));
    }
    let export = match job.export_id {
        Some(id) => app.store.export(id).await?,
        None => None,
    };
    if export.is_none() {
        return Ok(failure(EXPIRED.to_owned()));
    }
    let ready = ExportReady {
        status: "success",
        export: ExportLink {
            http_path: format!("{}/exports/download?job_id={}", base_url(app, headers), job.id),
        },
    };
    Ok(uncached(Json(ready).into_response()))
}

async fn page(app: &App, job: &Job, params: &Params) -> Result<Response, Rejection> {
    let (page, page_size) = params.page()?;
    match job.status {
        JobStatus::Queued => return Ok(pending("queued")),
        JobStatus::Running => return Ok(pending("running")),
        JobStatus::Success | JobStatus::Failure => {}
    }
    if let Some(error) = job.error() {
        return Ok(failure(error.message));
    }
    let result = match job.result_id {
        Some(id) => app.store.result(id).await?,
        None => None,
    };
    let Some(result) = result.filter(|result| !result.is_expired()) else {
        return Ok(failure(EXPIRED.to_owned()));
    };
    let file = app.objects.open_object(&ObjectName::Result {
        job_id: result.job_id,
        attempt: result.attempt,
    });
    let file = match file {
        Err(error) if error.code == ErrorCode::NotFound => {
            app.store.forget_result(result.id).await?;
            return Ok(failure(EXPIRED.to_owned()));
        }
        other => other?,
    };
    let pages = tokio::task::spawn_blocking(move || PageWriter::new(file, &result, page, page_size));
    let body = first_piece(pages.await.map_err(Error::internal)??).await?;
    Ok(json_response(body))
}

/// Nearly every page is one piece: it goes out with its length, and an error can still be told as one.
async fn first_piece(writer: PageWriter) -> Result<Body, Error> {
    let (writer, piece) = next_piece(writer).await?;
    if writer.is_done() {
        return Ok(Body::from(piece));
    }
    let rest = futures::stream::try_unfold(writer, |writer| async {
        if writer.is_done() {
            return Ok(None);
        }
        // An error breaks the connection off: what has arrived cannot pass for a whole answer.
        match next_piece(writer).await {
            Ok((writer, piece)) => Ok(Some((piece, writer))),
            Err(error) => {
                tracing::error!(%error, "a page broke off");
                Err(error)
            }
        }
    });
    let first = futures::stream::once(async { Ok::<_, Error>(piece) });
    Ok(Body::from_stream(first.chain(rest)))
}

/// Reads on only when the client has taken what there was: a slow one holds a batch, never a thread.
async fn next_piece(mut writer: PageWriter) -> Result<(PageWriter, Bytes), Error> {
    let writing = tokio::task::spawn_blocking(move || {
        let piece = writer.write_piece()?;
        Ok((writer, Bytes::from(piece)))
    });
    writing.await.map_err(Error::internal)?
}

fn json_response(body: Body) -> Response {
    uncached(([(CONTENT_TYPE, "application/json")], body).into_response())
}

fn pending(status: &'static str) -> Response {
    let answer = Unfinished {
        status,
        error: None,
        errors: None,
    };
    uncached(Json(answer).into_response())
}

fn failure(message: String) -> Response {
    let answer = Unfinished {
        status: "failure",
        error: Some(message.clone()),
        errors: Some([message]),
    };
    uncached(Json(answer).into_response())
}

fn uncached(mut response: Response) -> Response {
    let value = axum::http::HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, value);
    response
}
