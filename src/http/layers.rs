//! What holds for every request: tidy paths, request ids, the `Status` header, one log line.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::Uri;
use axum::http::header::CACHE_CONTROL;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::http::header::REFERRER_POLICY;
use axum::http::header::X_CONTENT_TYPE_OPTIONS;
use axum::http::header::X_FRAME_OPTIONS;
use axum::middleware::Next;
use axum::response::Response;
use futures::FutureExt as _;
use tracing::Instrument as _;
use tracing::info;
use tracing::info_span;

use crate::hex::hex;
use crate::http::App;
use crate::http::audit::Guard;
use crate::http::audit::Trail;
use crate::http::error::Refused;
use crate::http::error::Rejection;
use crate::http::error::refusal;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const STATUS: HeaderName = HeaderName::from_static("status");
/// A client's own request id is kept if it has no more than this many plain characters.
const REQUEST_ID_LEN_MAX: usize = 128;

/// What is told of a path, in the log and in the audit.
const PATH_BYTES_MAX: usize = 512;

/// Makes one slash of many, before routing.
pub(crate) fn tidy_path<B>(mut request: axum::http::Request<B>) -> axum::http::Request<B> {
    if !request.uri().path().contains("//") {
        return request;
    }
    let mut path = String::with_capacity(request.uri().path().len());
    for character in request.uri().path().chars() {
        if character != '/' || !path.ends_with('/') {
            path.push(character);
        }
    }
    if let Some(query) = request.uri().query() {
        path.push('?');
        path.push_str(query);
    }
    if let Ok(uri) = path.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
    request
}

/// Runs the handler and finishes its answer. Logs neither query strings nor headers: they hold keys and values.
pub(crate) async fn answer(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = request_id(&request);
    let trail = Trail::default();
    request.extensions_mut().insert(trail.clone());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let told_path = shortened(&path);
    trail.note(|record| record.path = Some(told_path.clone()));
    let guard = Guard::new(trail, app.store.clone());
    let span = info_span!(
        "request",
        id = request_id.to_str().unwrap_or_default(),
        user_id = tracing::field::Empty
    );
    // On the connection's own task: a client that goes away takes what waits for it along.
    let handled = AssertUnwindSafe(next.run(request).instrument(span.clone()))
        .catch_unwind()
        .await;
    let mut response = handled.unwrap_or_else(|_| {
        let error = crate::error::Error::internal("a handler panicked");
        axum::response::IntoResponse::into_response(Rejection::Error(error))
    });
    if let Some(refused) = response.extensions_mut().remove::<Refused>() {
        let headers = std::mem::take(response.headers_mut());
        response = refusal(&refused, &path);
        for (name, value) in headers {
            if let Some(name) = name
                && !response.headers().contains_key(&name)
                && name != axum::http::header::CONTENT_LENGTH
            {
                response.headers_mut().insert(name, value);
            }
        }
    }
    let status = response.status();
    let line = format!(
        "{} {}",
        status.as_str(),
        status.canonical_reason().unwrap_or_default()
    );
    if let Ok(value) = HeaderValue::from_str(line.trim_end()) {
        response.headers_mut().insert(STATUS, value);
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, request_id);
    // A cache in between does not know that a key was asked for.
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    // An address may have a token in it.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // Data is shown by nobody else's pages, and never taken for what it does not say it is.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    let elapsed_ms = started.elapsed().as_millis();
    span.in_scope(|| info!(%method, path = told_path, status = status.as_u16(), elapsed_ms, "answered"));
    guard.follow(response).await
}

/// A path as it is written down: anybody can send a long one.
fn shortened(path: &str) -> String {
    match path.len() > PATH_BYTES_MAX {
        true => format!("{}…", &path[..path.floor_char_boundary(PATH_BYTES_MAX)]),
        false => path.to_owned(),
    }
}

fn request_id(request: &Request) -> HeaderValue {
    let given = request.headers().get(REQUEST_ID).filter(|value| {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
        !value.is_empty() && value.len() <= REQUEST_ID_LEN_MAX && value.as_bytes().iter().all(plain)
    });
    if let Some(given) = given {
        return given.clone();
    }
    let mut bytes = [0; 16];
    // Without randomness the id is all zeros: worth nothing for tracing, no reason to refuse the request.
    let _ = getrandom::fill(&mut bytes);
    HeaderValue::from_str(&hex(&bytes)).unwrap_or_else(|_| HeaderValue::from_static("none"))
}
