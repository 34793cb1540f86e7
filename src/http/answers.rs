//! Answers to polls of jobs that have nothing to hand out, or not yet.

use axum::Json;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::http::header::RETRY_AFTER;
use axum::response::IntoResponse as _;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::error::ErrorCode;

/// How soon a client that does not wait may ask again, in seconds.
const RETRY_AFTER_SECS: u16 = 1;

/// A job that is not done, or has nothing to hand out.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unfinished {
    /// `queued`, `running`, `cancelling`, `cancelled` or `failure`; `not yet` for an export.
    status: &'static str,
    /// In the answer to a submit that has waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<[String; 1]>,
    /// The stable part of the error, such as `too_large`.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

/// Says also when to ask again.
pub(super) fn pending(status: &'static str) -> Response {
    let answer = Unfinished {
        status,
        job_id: None,
        error: None,
        errors: None,
        code: None,
    };
    let mut response = uncached(Json(answer).into_response());
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECS));
    response
}

/// Of a job that somebody has stopped.
pub(super) fn cancelled(status: &'static str, submitted: Option<i64>) -> Response {
    let error = Error::new(ErrorCode::Cancelled, "the job was cancelled");
    without_result(status, error, submitted)
}

/// Of a job whose result or file is not there any more.
pub(super) fn expired(submitted: Option<i64>) -> Response {
    let message = "the result has expired: run the report again";
    failure(Error::new(ErrorCode::NotFound, message), submitted)
}

pub(super) fn failure(error: Error, submitted: Option<i64>) -> Response {
    without_result("failure", error, submitted)
}

fn without_result(status: &'static str, error: Error, submitted: Option<i64>) -> Response {
    let answer = Unfinished {
        status,
        job_id: submitted,
        error: Some(error.message.clone()),
        errors: Some([error.message]),
        code: Some(error.code.name()),
    };
    uncached(Json(answer).into_response())
}

pub(super) fn uncached(mut response: Response) -> Response {
    let value = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, value);
    response
}
