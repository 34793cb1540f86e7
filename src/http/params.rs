//! The parts of an address that more than one resource reads.

use std::collections::HashMap;

use axum::extract::FromRequestParts;
use axum::extract::Query;
use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::http::request::Parts;

use crate::error::Error;
use crate::http::App;
use crate::http::error::Rejection;

const PAGE_SIZE_DEFAULT: u64 = 25;

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

    /// The page and its size.
    pub(crate) fn page(&self) -> Result<(u64, u64), Rejection> {
        Ok((
            self.number("_page", 1)?,
            self.number("_page_size", PAGE_SIZE_DEFAULT)?,
        ))
    }

    fn number(&self, name: &str, default: u64) -> Result<u64, Rejection> {
        let Some(text) = self.0.get(name).filter(|text| !text.is_empty()) else {
            return Ok(default);
        };
        match text.parse() {
            Ok(number) if number > 0 => Ok(number),
            _ => {
                let shown: String = text.chars().take(50).collect();
                Err(Error::invalid(format!("`{name}` must be a whole number from 1, got `{shown}`")).into())
            }
        }
    }
}

/// `1846` and `1846-users-growth` are the same report; `.json` may follow in the deprecated form.
pub(crate) fn report_id(segment: &str) -> Result<i64, Rejection> {
    let digits = segment.split(['-', '.']).next().unwrap_or_default();
    digits.parse().map_err(|_| Rejection::NotFound)
}

/// Where the client reached the server: as set, or else as the request itself says.
pub(crate) fn base_url(app: &App, headers: &HeaderMap) -> String {
    if let Some(url) = &app.config.public_url {
        return url.clone();
    }
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = match header("x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    match header(HOST.as_str()) {
        Some(host) => format!("{scheme}://{host}"),
        None => format!("{scheme}://{}", app.config.listen),
    }
}
