//! The parts of an address that more than one resource reads.

use std::collections::HashMap;

use axum::extract::FromRequestParts;
use axum::extract::Path;
use axum::extract::Query;
use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::http::App;
use crate::http::error::Rejection;

/// The query string; the last of several equal names counts.
pub(crate) struct Params(HashMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(params)| Self(params))
            .map_err(|_| Rejection::Error(Error::invalid("the query string cannot be read")))
    }
}

impl Params {
    /// The job that a poll is about; anything but a number names no job.
    pub(crate) fn job_id(&self) -> Result<i64, Rejection> {
        self.0
            .get("job_id")
            .and_then(|id| id.trim().parse().ok())
            .ok_or(Rejection::NotFound)
    }

    pub(crate) fn has_job_id(&self) -> bool {
        self.0.get("job_id").is_some_and(|id| !id.is_empty())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// Reads an option that is off unless given.
pub(crate) fn flag(name: &str, text: Option<&str>) -> Result<bool, Error> {
    match text {
        None | Some("" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(Error::must_be(name, "`true` or `false`", other)),
    }
}

/// A number from 1 on.
pub(crate) fn count(name: &str, text: Option<&str>, default: u64) -> Result<u64, Error> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(default);
    };
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(Error::must_be(name, "a whole number from 1", text)),
    }
}

/// The variable segments of a path; what cannot be read as such names nothing.
pub(crate) struct Segments<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(segments)) => Ok(Self(segments)),
            Err(_) => Err(Rejection::NotFound),
        }
    }
}

/// `1846` and `1846-users-growth` are the same report; `.json` may follow in the deprecated form.
pub(crate) fn report_id(segment: &str) -> Result<i64, Rejection> {
    let segment = segment.strip_suffix(".json").unwrap_or(segment);
    let digits = segment.split_once('-').map_or(segment, |(digits, _)| digits);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Rejection::NotFound);
    }
    digits.parse().map_err(|_| Rejection::NotFound)
}

/// Where the client reached the server: as set, or else as the request itself says.
pub(crate) fn base_url(app: &App, headers: &HeaderMap) -> String {
    if let Some(url) = &app.config.public_url {
        return url.clone();
    }
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let first = header("x-forwarded-proto").and_then(|schemes| schemes.split(',').next());
    let scheme = match first.map(str::trim) {
        Some("https") => "https",
        _ => app.config.scheme(),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:-[]_".contains(&byte);
    match header(HOST.as_str()).filter(|host| host.bytes().all(plain)) {
        Some(host) => format!("{scheme}://{host}"),
        None => format!("{scheme}://{}", app.config.listen),
    }
}
