//! Errors as clients see them: the one place where a code becomes a status and a body.

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::header::RETRY_AFTER;
use axum::response::IntoResponse;
use axum::response::Response;
use serde_json::json;
use tracing::error;

use crate::error::Error;
use crate::error::ErrorCode;

/// How soon to come back when there is too much to do, in seconds.
const BUSY_SECS: u64 = 5;
/// And for a file that is not there yet.
const NOT_READY_SECS: u64 = 10;

/// Why a request is refused. Turned into a body by `refusal`, which knows the route.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// No key at all.
    NoKey,
    /// A key that opens nothing. Clients know this by its words.
    InvalidKey,
    NotFound,
    /// Nothing of the API is there.
    NoRoute,
    MethodNotAllowed,
    /// A job that has no file to download. Clients know this by its words.
    NoFile,
    /// A file that is not there, but may be later.
    NotReady(String),
    /// Too many requests in too short a time.
    Limited {
        message: String,
        max: u32,
        /// Seconds.
        retry_after: u64,
    },
    Error(Error),
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        match error.code {
            ErrorCode::NotFound => Self::NotFound,
            _ => Self::Error(error),
        }
    }
}

impl Rejection {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoKey => StatusCode::UNAUTHORIZED,
            Self::InvalidKey | Self::NoFile => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NotFound | Self::NoRoute => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Limited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Error(error) => match error.code {
                ErrorCode::InvalidRequest | ErrorCode::SourceFailed => StatusCode::UNPROCESSABLE_ENTITY,
                ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
                ErrorCode::Forbidden => StatusCode::FORBIDDEN,
                ErrorCode::NotFound => StatusCode::NOT_FOUND,
                ErrorCode::Conflict | ErrorCode::Cancelled => StatusCode::CONFLICT,
                ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
                ErrorCode::Busy => StatusCode::TOO_MANY_REQUESTS,
                ErrorCode::Unreachable | ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }

    fn message(&self) -> &str {
        match self {
            Self::NoKey => "no API key: send it in the header `X-Holistics-Key`",
            Self::InvalidKey => "Holistics::InvalidAuthenticationToken",
            Self::NotFound => "Resource not found",
            Self::NoRoute => "no such route: those of the API begin right after the server's name and port",
            Self::MethodNotAllowed => "this route does not take this method",
            Self::NoFile => "Holistics::NotFound",
            Self::Limited { message, .. } | Self::NotReady(message) => message,
            Self::Error(error) => &error.message,
        }
    }

    /// How many seconds a client should wait before it comes again, where that may help.
    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::NotReady(_) => Some(NOT_READY_SECS),
            Self::Limited { retry_after, .. } => Some(*retry_after),
            _ => (self.status() == StatusCode::TOO_MANY_REQUESTS).then_some(BUSY_SECS),
        }
    }
}

/// What `IntoResponse` leaves for `refusal`.
#[derive(Clone)]
pub(crate) struct Refused {
    status: StatusCode,
    message: String,
    with_error: bool,
    retry_after: Option<u64>,
    /// The limit of requests that was passed.
    limit: Option<u32>,
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        if let Self::Error(error) = &self
            && error.code == ErrorCode::Internal
        {
            error!(%error, "request failed");
        }
        let refused = Refused {
            status: self.status(),
            message: self.message().to_owned(),
            with_error: matches!(self, Self::NoKey),
            retry_after: self.retry_after(),
            limit: match self {
                Self::Limited { max, .. } => Some(max),
                _ => None,
            },
        };
        let mut response = refused.status.into_response();
        response.extensions_mut().insert(refused);
        response
    }
}

/// The body of a refusal: plain text where the path is that of a file which is text or a sheet, JSON everywhere else.
pub(crate) fn refusal(refused: &Refused, path: &str) -> Response {
    let text = [".csv", ".xlsx"].iter().any(|suffix| path.ends_with(suffix));
    let (content_type, body) = match text {
        true => ("text/plain; charset=utf-8", refused.message.clone()),
        false if refused.with_error => {
            let body = json!({"error": refused.message, "errors": [refused.message]});
            ("application/json", body.to_string())
        }
        false => (
            "application/json",
            json!({"errors": [refused.message]}).to_string(),
        ),
    };
    let mut response = (refused.status, [(CONTENT_TYPE, content_type)], Body::from(body)).into_response();
    let headers = response.headers_mut();
    if let Some(seconds) = refused.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        if let Some(limit) = refused.limit {
            headers.insert("x-ratelimit-limit", HeaderValue::from(limit));
            headers.insert("x-ratelimit-remaining", HeaderValue::from(0));
            headers.insert("x-ratelimit-reset", HeaderValue::from(seconds));
        }
    }
    response
}
