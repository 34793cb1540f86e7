//! What browsers are told that ask for scripts of other origins. Nothing, unless origins are set.

use std::time::Duration;

use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::header;
use tower_http::cors::CorsLayer;

use crate::config::Config;

/// How long a browser need not ask again.
const MAX_AGE: Duration = Duration::from_mins(10);

/// For the routes of data: never with cookies, which nothing here knows.
pub(super) fn layer(config: &Config) -> Option<CorsLayer> {
    let origins: Vec<HeaderValue> = config
        .cors_origins
        .iter()
        .filter_map(|origin| origin.parse().ok())
        .collect();
    if origins.is_empty() {
        return None;
    }
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::CONTENT_TYPE,
            header::RANGE,
            header::IF_RANGE,
            header::IF_NONE_MATCH,
            HeaderName::from_static("x-holistics-key"),
            HeaderName::from_static("idempotency-key"),
        ])
        .expose_headers([
            header::ACCEPT_RANGES,
            header::AGE,
            header::CONTENT_DISPOSITION,
            header::CONTENT_RANGE,
            header::ETAG,
            header::RETRY_AFTER,
            header::WARNING,
            HeaderName::from_static("x-job-id"),
            HeaderName::from_static("x-request-id"),
            HeaderName::from_static("x-result-truncated"),
        ])
        .max_age(MAX_AGE);
    Some(layer)
}
