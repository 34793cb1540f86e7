//! Submitting: report id and filter values in, job id out.

use std::time::Duration;

use axum::Json;
use axum::extract::RawQuery;
use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::header::CACHE_CONTROL;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Scope;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::exports::Format;
use crate::http::App;
use crate::http::audit::Trail;
use crate::http::auth::Caller;
use crate::http::body::read_body;
use crate::http::error::Rejection;
use crate::http::idempotency::once;
use crate::http::new_job::Asked;
use crate::http::new_job::may_export;
use crate::http::new_job::new_job;
use crate::http::new_job::pin;
use crate::http::new_job::queue;
use crate::http::new_job::refuse_unknown;
use crate::http::new_job::values_report;
use crate::http::page::View;
use crate::http::params::Segments;
use crate::http::params::flag;
use crate::http::params::report_id;
use crate::http::poll::export;
use crate::http::poll::page;
use crate::http::wait::job_after;
use crate::http::wait::parse_wait;
use crate::job::JobKind;
use crate::job::Submitted;
use crate::query::raw_values::RawValues;

/// What a submit answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct SubmitAnswer {
    /// `created`, or `already_existed` where the same work is under way.
    #[schema(example = "created")]
    status: &'static str,
    #[schema(example = 20164921)]
    job_id: i64,
}

/// The job of a submit, also where the answer is the job's result.
const JOB_ID: HeaderName = HeaderName::from_static("x-job-id");

/// Runs a report, to page through its result.
#[utoipa::path(
    method(get, post),
    path = "/queries/{report_id}/submit_query.json",
    params(
        ("report_id" = String, Path, description = "The report's id, alone or with its slug"),
        ("filters" = Option<BTreeMap<String, String>>, Query, style = Form, explode, description = "Values by the names of the report's filters"),
        ("_wait" = Option<f64>, Query, description = "Seconds to wait for the result, 0 to 50"),
        ("_page" = Option<u64>, Query, description = "With `_wait`: from 1"),
        ("_page_size" = Option<u64>, Query, description = "With `_wait`: rows a page; 25 unless given"),
        ("_cache" = Option<String>, Query, description = "`off`: no earlier result or run may stand for this one"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to send again"),
        ("_truncate" = Option<bool>, Query, description = "Cuts a result over its limit of rows or bytes, which fails otherwise"),
        ("_strict" = Option<bool>, Query, description = "Refuses values for filters that the report has not, which are ignored otherwise"),
    ),
    request_body(content = Option<serde_json::Value>, description = "Filter values by name, for POST"),
    responses(
        (status = 200, description = "The job that runs it; with `_wait`, its page as soon as it is done", content(
            (super::openapi::SubmitQueryAnswer = "application/json"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
        )),
        (status = 409, description = "The same `Idempotency-Key` with other values", body = super::openapi::Errors),
        (status = 404, description = "Unknown report", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn submit_query(
    State(app): State<App>,
    mut caller: Caller,
    Segments(report): Segments<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Rejection> {
    submit(&app, &mut caller, &report, Wanted::Page, query, request).await
}

/// Runs the query that lists what a filter may be (`values_sql`), to page through its result.
#[utoipa::path(
    method(get, post),
    path = "/queries/{report_id}/filters/{filter}/submit_values.json",
    params(
        ("report_id" = String, Path, description = "The report's id, alone or with its slug"),
        ("filter" = String, Path, description = "The filter's name"),
        ("_wait" = Option<f64>, Query, description = "Seconds to wait for the result, 0 to 50"),
        ("_page" = Option<u64>, Query, description = "With `_wait`: from 1"),
        ("_page_size" = Option<u64>, Query, description = "With `_wait`: rows a page; 25 unless given"),
        ("_cache" = Option<String>, Query, description = "`off`: no earlier result or run may stand for this one"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to send again"),
        ("_truncate" = Option<bool>, Query, description = "Cuts a result over its limit of rows or bytes, which fails otherwise"),
    ),
    responses(
        (status = 200, description = "The job that runs it; with `_wait`, its page as soon as it is done", content(
            (super::openapi::SubmitQueryAnswer = "application/json"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
        )),
        (status = 403, description = "A key that pins filters", body = super::openapi::Errors),
        (status = 404, description = "Unknown report", body = super::openapi::Errors),
        (status = 409, description = "The same `Idempotency-Key` with another request", body = super::openapi::Errors),
        (status = 422, description = "A filter that has no such query", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn submit_values(
    State(app): State<App>,
    mut caller: Caller,
    Segments((report, filter)): Segments<(String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Rejection> {
    let wanted = Wanted::Values(&filter);
    submit(&app, &mut caller, &report, wanted, query, request).await
}

macro_rules! submit_export {
    ($name:ident, $path:literal, $format:expr, $words:literal) => {
        #[doc = $words]
        #[utoipa::path(
            method(get, post),
            path = $path,
            params(
                ("report_id" = String, Path, description = "The report's id, alone or with its slug"),
                ("filters" = Option<BTreeMap<String, String>>, Query, style = Form, explode, description = "Values by the names of the report's filters"),
                ("_wait" = Option<f64>, Query, description = "Seconds to wait for the file, 0 to 50"),
                ("_cache" = Option<String>, Query, description = "`off`: no earlier result or run may stand for this one"),
                ("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to send again"),
                ("_truncate" = Option<bool>, Query, description = "Cuts a result over its limit of rows or bytes, which fails otherwise"),
                ("_strict" = Option<bool>, Query, description = "Refuses values for filters that the report has not, which are ignored otherwise"),
                ("_compress" = Option<String>, Query, description = "`gzip` or `zstd`; not for xlsx and parquet"),
                ("_profile" = Option<String>, Query, description = "Of csv: `data` or `excel`"),
                ("_delimiter" = Option<String>, Query, description = "Of csv: `,`, `;`, `|` or `tab`"),
                ("_null" = Option<String>, Query, description = "Of csv: what stands for NULL; nothing unless given"),
            ),
            request_body(content = Option<serde_json::Value>, description = "Filter values by name, for POST"),
            responses(
                (status = 200, description = "The job that makes the file; with `_wait`, the link as soon as it is done", body = super::openapi::SubmitExportAnswer),
                (status = 409, description = "The same `Idempotency-Key` with other values"),
                (status = 404, description = "Unknown report"),
            ),
            security(("key" = []))
        )]
        pub(crate) async fn $name(
            State(app): State<App>,
            mut caller: Caller,
            Segments(report): Segments<String>,
            RawQuery(query): RawQuery,
            request: Request,
        ) -> Result<Response, Rejection> {
            submit(&app, &mut caller, &report, Wanted::File($format), query, request).await
        }
    };
}

// One handler a format, because each is a route of its own in the API's description.
submit_export!(
    submit_export_csv,
    "/queries/{report_id}/submit_export.csv",
    Format::Csv,
    "Runs a report and makes a CSV file of its result."
);
submit_export!(
    submit_export_json,
    "/queries/{report_id}/submit_export.json",
    Format::Json,
    "Runs a report and makes a JSON file of its result."
);
submit_export!(
    submit_export_xlsx,
    "/queries/{report_id}/submit_export.xlsx",
    Format::Xlsx,
    "Runs a report and makes an XLSX file of its result."
);
submit_export!(
    submit_export_ndjson,
    "/queries/{report_id}/submit_export.ndjson",
    Format::Ndjson,
    "Runs a report and makes a file of its result with a JSON object a line."
);
submit_export!(
    submit_export_parquet,
    "/queries/{report_id}/submit_export.parquet",
    Format::Parquet,
    "Runs a report and makes a Parquet file of its result."
);
submit_export!(
    submit_export_arrow,
    "/queries/{report_id}/submit_export.arrow",
    Format::Arrow,
    "Runs a report and makes an Arrow stream of its result."
);

/// Says which formats there are, to those with a key.
pub(crate) async fn unknown_format(
    _caller: Caller,
    Segments((_, action)): Segments<(String, String)>,
) -> Result<(), Rejection> {
    let Some(format) = action.strip_prefix("submit_export.") else {
        return Err(Rejection::NotFound);
    };
    let known: Vec<&str> = Format::ALL.iter().map(|format| format.extension()).collect();
    let shown: String = format.chars().take(50).collect();
    Err(Error::invalid(format!(
        "format must be one of {}, got `{shown}`",
        known.join(", ")
    ))
    .into())
}

/// What a job is to make of a report.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    Page,
    File(Format),
    /// A page of what this filter may be.
    Values(&'a str),
}

async fn submit(
    app: &App,
    caller: &mut Caller,
    report: &str,
    wanted: Wanted<'_>,
    query: Option<String>,
    request: Request,
) -> Result<Response, Rejection> {
    if request.method() == Method::HEAD {
        return Err(Rejection::MethodNotAllowed);
    }
    let id = report_id(report)?;
    let sight = caller.sight()?;
    let found = app.store.report_seen_by(id, &sight).await?;
    let mut found = found.ok_or(Rejection::NotFound)?;
    let (format, values_of) = match wanted {
        Wanted::Page => (None, None),
        Wanted::File(format) => (Some(format), None),
        Wanted::Values(filter) => (None, Some(filter.to_owned())),
    };
    if format.is_some() {
        may_export(caller)?;
    }
    if let Some(filter) = &values_of {
        found.report = values_report(&found.report, filter, &caller.terms.pins)?.into();
    }
    let mut raw = RawValues::from_query_string(query.as_deref().unwrap_or_default())?;
    let headers = request.headers().clone();
    let trail = Trail::of(request.extensions());
    trail.note(|record| {
        record.report_id = Some(id);
        record.report_version = Some(found.version);
    });
    merge_body(
        &mut raw,
        headers.get(CONTENT_TYPE),
        &read_body(app, request).await?,
    )?;
    if flag("_strict", raw.reserved("_strict"))? {
        refuse_unknown(&raw, &found.report)?;
    }
    pin(&mut raw, &caller.terms.pins, &found.report)?;
    let wait = parse_wait(raw.reserved("_wait"))?;
    if !wait.is_zero() && !caller.terms.has_scope(Scope::Read) {
        let message = "this key has no scope `read`, which `_wait` needs";
        return Err(Error::new(ErrorCode::Forbidden, message).into());
    }
    // Nobody else than who waits for a page says which one; old clients send what they like.
    let page = |name| raw.reserved(name).filter(|_| format.is_none() && !wait.is_zero());
    let view = View::new(page("_page"), page("_page_size"), &headers)?;
    let asked = Asked::of(&raw, format, values_of, found.report.cache)?;
    let words = asked.words()?;
    let new = new_job(app, caller, &found, &raw, asked).await?;
    let once = once(
        caller,
        &headers,
        &(id, format.map(Format::extension), raw.given(), words),
    )?;
    // It may be large, and nobody asks for it any more.
    drop(raw);
    let submitted = queue(app, new, once).await?;
    let status = match submitted {
        Submitted::Created(_) | Submitted::Done(_) | Submitted::Repeated(_) => "created",
        Submitted::Joined(_) => "already_existed",
    };
    let job_id = submitted.job_id();
    trail.note(|record| record.job_id = Some(job_id));
    let answer = match wait.is_zero() {
        true => None,
        false => answer_of(app, caller, job_id, wait, &view, &headers, &trail).await?,
    };
    let response = match answer {
        Some(response) => response,
        None => {
            app.store.sync().await?;
            Json(SubmitAnswer { status, job_id }).into_response()
        }
    };
    Ok(with_job_id(response, job_id))
}

/// What the job has come to, if it is done in time.
async fn answer_of(
    app: &App,
    caller: &mut Caller,
    job_id: i64,
    wait: Duration,
    view: &View,
    headers: &HeaderMap,
    trail: &Trail,
) -> Result<Option<Response>, Rejection> {
    // The job's id is on disk before it is given out; that takes no longer than most jobs.
    let (job, synced) = tokio::join!(job_after(app, caller, job_id, wait), app.store.sync());
    synced?;
    let job = job?;
    if !job.is_finished() {
        return Ok(None);
    }
    Ok(Some(match job.kind {
        JobKind::Query => page(app, &job, view, Some(job_id), trail).await?,
        JobKind::Export | JobKind::Import => export(app, caller, &job, headers, Some(job_id)).await?,
    }))
}

/// A job's id is of its moment: a cached one is a wrong answer.
fn with_job_id(mut response: Response, job_id: i64) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(JOB_ID, HeaderValue::from(job_id));
    response
}

/// A form is read as one; any other body is JSON, whatever its content type says: many clients do not say,
/// and `curl -d` calls everything a form.
fn merge_body(raw: &mut RawValues, content_type: Option<&HeaderValue>, body: &[u8]) -> Result<(), Rejection> {
    let body = body.trim_ascii();
    let form = content_type
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            value
                .to_ascii_lowercase()
                .starts_with("application/x-www-form-urlencoded")
        });
    match body.first() {
        None => Ok(()),
        Some(_) if body == b"null" => Ok(()),
        Some(b'{' | b'[') => Ok(raw.merge_json(body)?),
        Some(_) if form => Ok(raw.merge_form(body)?),
        Some(_) => Ok(raw.merge_json(body)?),
    }
}
