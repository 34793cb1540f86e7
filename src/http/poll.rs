//! Polling: what has become of a job, and the pages of its result.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use axum::response::Response;
use futures::StreamExt as _;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::http::App;
use crate::http::answers::cancelled;
use crate::http::answers::expired;
use crate::http::answers::failure;
use crate::http::answers::pending;
use crate::http::answers::uncached;
use crate::http::audit::Trail;
use crate::http::auth::Caller;
use crate::http::download::is_there;
use crate::http::error::Rejection;
use crate::http::links;
use crate::http::new_job::may_export;
use crate::http::page::PageWriter;
use crate::http::page::View;
use crate::http::params::Params;
use crate::http::params::Segments;
use crate::http::params::base_url;
use crate::http::wait::job_after;
use crate::http::wait::parse_wait;
use crate::job::Job;
use crate::job::JobKind;
use crate::job::JobStatus;
use crate::objects::ObjectName;
use crate::results::Rows;
use crate::store::results::StoredResult;

const RESULT_TRUNCATED: HeaderName = HeaderName::from_static("x-result-truncated");

/// A file that is ready.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExportReady {
    #[schema(example = "success")]
    status: &'static str,
    /// In the answer to a submit that has waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<i64>,
    export: ExportLink,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ExportLink {
    /// Where the file is; for a short time it needs no key.
    http_path: String,
}

/// One page of a result. Every value is text or null, so that nothing is rounded.
#[derive(Serialize, ToSchema)]
pub(crate) struct Page {
    #[schema(example = "success")]
    status: &'static str,
    /// In the answer to a submit that has waited.
    job_id: Option<i64>,
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
    /// The result had more rows or bytes than are allowed, and was cut as `_truncate=true` asked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) truncated: bool,
}

/// A page of a job's result, or how far the job is.
#[utoipa::path(
    get,
    path = "/queries/get_query_results.json",
    params(
        ("job_id" = i64, Query, description = "From the submit's answer"),
        ("_wait" = Option<f64>, Query, description = "Seconds to wait for the job, 0 to 50"),
        ("_page" = Option<u64>, Query, description = "From 1; past the end is a page without rows"),
        ("_page_size" = Option<u64>, Query, description = "Rows a page; 25 unless given"),
    ),
    responses(
        (status = 200, description = "A page; or, until it is there, how far the job is", content(
            (super::openapi::QueryAnswer = "application/json"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
        )),
        (status = 404, description = "Unknown job", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn get_query_results(
    State(app): State<App>,
    mut caller: Caller,
    trail: Trail,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    let job = job_after(&app, &mut caller, params.job_id()?, wait(&params)?).await?;
    page(&app, &job, &view(&params, &headers)?, None, &trail).await
}

/// The same by the report's address, which is deprecated.
pub(super) async fn page_of_report(
    app: &App,
    caller: &mut Caller,
    report_id: i64,
    params: &Params,
    headers: &HeaderMap,
    trail: &Trail,
) -> Result<Response, Rejection> {
    let job = job_after(app, caller, params.job_id()?, wait(params)?).await?;
    if job.report_id != Some(report_id) {
        return Err(Rejection::NotFound);
    }
    page(app, &job, &view(params, headers)?, None, trail).await
}

/// Whether a job's file is ready, and where it is.
#[utoipa::path(
    get,
    path = "/queries/get_export_results.json",
    params(
        ("job_id" = i64, Query, description = "From the submit's answer"),
        ("_wait" = Option<f64>, Query, description = "Seconds to wait for the job, 0 to 50"),
        ("_page" = Option<u64>, Query, description = "Ignored, as is `_page_size`: old clients send them"),
    ),
    responses(
        (status = 200, description = "The link; or `not yet`; or `failure` with the error", body = super::openapi::ExportAnswer),
        (status = 404, description = "Unknown job", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn get_export_results(
    State(app): State<App>,
    mut caller: Caller,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    let job = job_after(&app, &mut caller, params.job_id()?, wait(&params)?).await?;
    if job.kind == JobKind::Import {
        return Err(of_import(&job).into());
    }
    if job.kind == JobKind::Query {
        let message = format!(
            "job `{}` makes no file: it is polled at get_query_results.json",
            job.id
        );
        return Err(Error::invalid(message).into());
    }
    export(&app, &caller, &job, &headers, None).await
}

/// What a job has come to, whichever kind it is.
#[utoipa::path(
    get,
    path = "/jobs/{job_id}/get_results.json",
    params(
        ("job_id" = i64, Path, description = "From the submit's answer"),
        ("_wait" = Option<f64>, Query, description = "Seconds to wait for the job, 0 to 50"),
        ("_page" = Option<u64>, Query, description = "Of a query: from 1"),
        ("_page_size" = Option<u64>, Query, description = "Of a query: rows a page; 25 unless given"),
    ),
    responses(
        (status = 200, description = "As get_export_results or get_query_results", content(
            (super::openapi::JobAnswer = "application/json"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
        )),
        (status = 404, description = "Unknown job", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn get_results(
    State(app): State<App>,
    mut caller: Caller,
    trail: Trail,
    Segments(job_id): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    let job_id = job_id.parse().map_err(|_| Rejection::NotFound)?;
    let job = job_after(&app, &mut caller, job_id, wait(&params)?).await?;
    match job.kind {
        JobKind::Query => page(&app, &job, &view(&params, &headers)?, None, &trail).await,
        JobKind::Export => export(&app, &caller, &job, &headers, None).await,
        JobKind::Import => Ok(import(&job)),
    }
}

fn wait(params: &Params) -> Result<Duration, Error> {
    parse_wait(params.get("_wait"))
}

fn view(params: &Params, headers: &HeaderMap) -> Result<View, Error> {
    View::new(params.get("_page"), params.get("_page_size"), headers)
}

/// The job, if the caller may see it; the one place that decides so.
pub(crate) async fn find_job(app: &App, caller: &Caller, id: i64) -> Result<Job, Rejection> {
    app.store
        .job_seen_by(id, &caller.sight()?)
        .await?
        .ok_or(Rejection::NotFound)
}

/// What an export job has come to. `submitted` is the job's id where this answers its submit.
pub(super) async fn export(
    app: &App,
    caller: &Caller,
    job: &Job,
    headers: &HeaderMap,
    submitted: Option<i64>,
) -> Result<Response, Rejection> {
    may_export(caller)?;
    if !job.is_finished() {
        return Ok(pending("not yet"));
    }
    if job.status == JobStatus::Cancelled {
        // Clients of files know no other end without one.
        return Ok(cancelled("failure", submitted));
    }
    if let Some(error) = job.error() {
        return Ok(failure(error, submitted));
    }
    let export = match job.export_id {
        Some(id) => app.store.export(id).await?,
        None => None,
    };
    let Some(export) = export else {
        return Ok(expired(submitted));
    };
    if !is_there(app, &export) {
        app.store.forget_export(export.id).await?;
        return Ok(expired(submitted));
    }
    // What is announced stays, a power cut or not.
    app.store.sync().await?;
    let ready = ExportReady {
        status: "success",
        job_id: submitted,
        export: ExportLink {
            http_path: format!(
                "{}/exports/download?{}",
                base_url(app, headers),
                links::signed(app, job.id, caller.user.id).await?
            ),
        },
    };
    let mut response = Json(ready).into_response();
    tell_truncated(job, response.headers_mut());
    Ok(uncached(response))
}

/// What an import has come to: it has nothing to fetch but that.
fn import(job: &Job) -> Response {
    match (job.status, job.error()) {
        (_, Some(error)) => failure(error, None),
        (JobStatus::Cancelled, _) => cancelled(job.status.name(), None),
        (status, None) => pending(status.name()),
    }
}

fn of_import(job: &Job) -> Error {
    let message = format!("job `{0}` is of an import: it is polled at jobs/{0}.json", job.id);
    Error::invalid(message)
}

/// A page of a query job's result, or how far the job is. `submitted` as in [`export`].
pub(super) async fn page(
    app: &App,
    job: &Job,
    view: &View,
    submitted: Option<i64>,
    trail: &Trail,
) -> Result<Response, Rejection> {
    if job.kind == JobKind::Import {
        return Err(of_import(job).into());
    }
    if job.kind == JobKind::Export {
        let message = format!(
            "job `{}` makes a file: it is polled at get_export_results.json",
            job.id
        );
        return Err(Error::invalid(message).into());
    }
    match job.status {
        JobStatus::Queued | JobStatus::Running | JobStatus::Cancelling => {
            return Ok(pending(job.status.name()));
        }
        JobStatus::Cancelled => return Ok(cancelled(job.status.name(), submitted)),
        JobStatus::Success | JobStatus::Failure => {}
    }
    if let Some(error) = job.error() {
        return Ok(failure(error, submitted));
    }
    let result = match job.result_id {
        Some(id) => app.store.result(id).await?,
        None => None,
    };
    let Some(mut result) = result.filter(|result| !result.is_expired()) else {
        return Ok(expired(submitted));
    };
    if submitted.is_none() || u64::try_from(result.rows).is_ok_and(|rows| rows > view.page_size) {
        // The client may come back for more: what it is told is done stays done, a power cut or not.
        app.store.sync().await?;
    }
    let Some(rows) = open_rows(app, &mut result)? else {
        app.store.forget_result(result.id).await?;
        return Ok(expired(submitted));
    };
    trail.note(|record| {
        record.job_id = Some(job.id);
        record.rows = Some(view.rows_of(result.rows));
        if record.action.is_empty() {
            "read".clone_into(&mut record.action);
        }
    });
    let view = view.clone();
    let content_type = view.content_type();
    let pages = tokio::task::spawn_blocking(move || PageWriter::new(rows.open()?, &result, &view, submitted));
    let body = first_piece(pages.await.map_err(Error::internal)??).await?;
    let mut response = ([(CONTENT_TYPE, content_type)], body).into_response();
    tell_truncated(job, response.headers_mut());
    Ok(uncached(response))
}

/// Whoever takes a result that was cut is told so.
pub(super) fn tell_truncated(job: &Job, headers: &mut HeaderMap) {
    if job.truncated {
        headers.insert(RESULT_TRUNCATED, HeaderValue::from_static("true"));
    }
}

/// `None` if they are gone.
fn open_rows(app: &App, result: &mut StoredResult) -> Result<Option<Rows>, Error> {
    let name = ObjectName::Result {
        job_id: result.job_id,
        attempt: result.attempt,
    };
    match Rows::of(result.content.take(), &app.objects, &name) {
        Err(error) if error.code == ErrorCode::NotFound => Ok(None),
        other => other.map(Some),
    }
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
