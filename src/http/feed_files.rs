//! The files of feeds, handed to who has no key but their address.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::Request;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::http::Method;
use axum::http::header;
use axum::response::Response;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::exports::Format;
use crate::feed::Feed;
use crate::feed::Token;
use crate::http::App;
use crate::http::audit::Trail;
use crate::http::auth::Caller;
use crate::http::auth::address_of;
use crate::http::auth::check_terms;
use crate::http::auth::peer_of;
use crate::http::download::file_of;
use crate::http::error::Rejection;
use crate::http::new_job::Asked;
use crate::http::new_job::may_export;
use crate::http::new_job::new_job;
use crate::http::new_job::queue;
use crate::http::params::Params;
use crate::http::params::Segments;
use crate::http::poll::find_job;
use crate::http::wait::job_after;
use crate::job::Job;
use crate::job::JobStatus;
use crate::query::raw_values::RawValues;
use crate::store::api_keys::Holder;
use crate::store::now_us;

const WARNING: HeaderName = HeaderName::from_static("warning");

/// Who asks for a part has begun to read a file, and a newer one would not go with what is there already.
const PARTS_MAX_AGE: Duration = Duration::from_secs(60);

/// The file of a feed: made now, or within its `max_age`.
#[utoipa::path(
    get,
    path = "/feeds/{feed}",
    params(
        ("feed" = String, Path, description = "The feed's id, its report's slug and its format, as in its address"),
        ("token" = String, Query, description = "From its address"),
        ("Range" = Option<String>, Header, description = "One range of bytes"),
        ("If-Range" = Option<String>, Header, description = "The `ETag` that the range is of"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of what the client has"),
        ("Accept-Encoding" = Option<String>, Header, description = "`gzip` or `zstd`, where there is such a copy"),
    ),
    responses(
        (status = 200, description = "The file"),
        (status = 206, description = "The part asked for"),
        (status = 304, description = "The client has it"),
        (status = 403, description = "The feed is paused", body = super::openapi::Errors),
        (status = 404, description = "Unknown feed, or a wrong token", body = super::openapi::Errors),
        (status = 422, description = "A value that its filter may not have", body = super::openapi::Errors),
        (status = 503, description = "The file is not ready, or its report failed: come back", body = super::openapi::Errors),
    )
)]
pub(crate) async fn get_feed_file(
    State(app): State<App>,
    Segments(feed): Segments<String>,
    params: Params,
    request: Request,
) -> Result<Response, Rejection> {
    let (parts, _) = request.into_parts();
    let address = address_of(&parts, &app);
    let feed = opened(&app, &feed, params.get("token").unwrap_or_default()).await?;
    let Some(feed) = feed else {
        if let Some(address) = address.or_else(|| peer_of(&parts)) {
            app.limits.count_wrong_key(address)?;
        }
        let trail = Trail::of(&parts.extensions);
        trail.note(|record| {
            record.address = address.map(|address| address.to_string());
            "wrong token".clone_into(&mut record.action);
        });
        return Err(Rejection::NotFound);
    };
    let holder = app.store.holder_of_feed(feed.id).await?;
    let holder = holder.filter(Holder::is_in_time).ok_or(Rejection::NotFound)?;
    let trail = Trail::of(&parts.extensions);
    trail.note(|record| {
        record.user_id = Some(holder.user.id);
        record.key_id = Some(holder.key_id);
        record.feed_id = Some(feed.id);
        record.address = address.map(|address| address.to_string());
        "feed".clone_into(&mut record.action);
    });
    check_terms(&app, &holder.terms, holder.key_id, address)?;
    let mut caller = Caller::of_feed(holder, &feed)?;
    may_export(&caller)?;
    fetch(&app, &mut caller, &feed, &parts.method, &parts.headers, &trail).await
}

/// The feed of this address, unless it is over or the token is another's.
async fn opened(app: &App, segment: &str, token: &str) -> Result<Option<Feed>, Rejection> {
    let Some(id) = id_of(segment) else {
        return Ok(None);
    };
    let feed = app.store.feed(id).await?;
    let presented = Token::hash_of(token);
    Ok(feed.filter(|feed| feed.is_opened_by(&presented, now_us())))
}

async fn fetch(
    app: &App,
    caller: &mut Caller,
    feed: &Feed,
    method: &Method,
    headers: &HeaderMap,
    trail: &Trail,
) -> Result<Response, Rejection> {
    let found = app.store.report_seen_by(feed.report_id, &caller.sight()?).await?;
    let found = found.ok_or(Rejection::NotFound)?;
    let mut max_age = Duration::from_micros(feed.max_age.unsigned_abs());
    // A range is for GET alone (RFC 9110, 14.2).
    if *method == Method::GET && headers.contains_key(header::RANGE) {
        max_age = max_age.max(PARTS_MAX_AGE);
    }
    let asked = Asked {
        format: Format::parse(&feed.format),
        options: serde_json::from_str(&feed.options).map_err(Error::internal)?,
        values_of: None,
        cache: Some(max_age),
        truncate: false,
    };
    let new = new_job(app, caller, &found, &raw_values(&feed.filter_values), asked).await?;
    let job_id = queue(app, new, None).await?.job_id();
    let job = job_after(app, caller, job_id, app.config.feed_wait).await?;
    may_export(caller)?;
    if job.status == JobStatus::Success {
        app.store.feed_served(feed.id, job_id).await?;
        return aged(app, &job, method, headers, trail, false).await;
    }
    if feed.stale_ok
        && let Some(last) = feed.job_id
        && let Ok(last) = find_job(app, caller, last).await
        && let Ok(response) = aged(app, &last, method, headers, trail, true).await
    {
        return Ok(response);
    }
    Err(match job.error() {
        // To come back for it would be no use: a value of it is none that its filter may have.
        Some(error) if error.code == ErrorCode::InvalidRequest => error.into(),
        Some(error) => Rejection::NotReady(error.message),
        None => Rejection::NotReady("the file is not ready yet: come back for it".to_owned()),
    })
}

/// The file with the age of its data.
async fn aged(
    app: &App,
    job: &Job,
    method: &Method,
    headers: &HeaderMap,
    trail: &Trail,
    is_stale: bool,
) -> Result<Response, Rejection> {
    let mut response = file_of(app, job, method, headers, trail).await?;
    let figures = match job.result_id {
        Some(id) => app.store.result_figures(id).await?,
        None => None,
    };
    let read_at = figures.map_or_else(now_us, |(_, read_at)| read_at);
    let age = (now_us() - read_at).max(0) / 1_000_000;
    let headers = response.headers_mut();
    headers.insert(header::AGE, HeaderValue::from(age));
    if is_stale {
        headers.insert(WARNING, HeaderValue::from_static("110 - \"Response is Stale\""));
    }
    Ok(response)
}

/// Of `12-users-growth.csv`, `12.json`, `12`.
pub(super) fn id_of(segment: &str) -> Option<i64> {
    let end = segment.find(['-', '.']).unwrap_or(segment.len());
    segment.get(..end)?.parse().ok()
}

fn raw_values(values: &BTreeMap<String, Vec<String>>) -> RawValues {
    let mut raw = RawValues::default();
    for (name, texts) in values {
        raw.set(name, texts.clone());
    }
    raw
}
