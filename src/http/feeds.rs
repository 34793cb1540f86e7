//! Feeds: the file of a report under an address of its own, fresh whenever somebody fetches it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Scope;
use crate::access::Sight;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::exports::Format;
use crate::exports::options::Options;
use crate::feed::Feed;
use crate::feed::NewFeed;
use crate::feed::Token;
use crate::http::App;
use crate::http::audit::Trail;
use crate::http::auth::Caller;
use crate::http::body::WholeBody;
use crate::http::body::parse;
use crate::http::error::Rejection;
use crate::http::feed_asked::FeedAsked;
use crate::http::feed_asked::texts_of;
use crate::http::feed_files::id_of;
use crate::http::jobs::iso_time;
use crate::http::new_job::Asked;
use crate::http::new_job::may_export;
use crate::http::new_job::new_job;
use crate::http::params::Params;
use crate::http::params::Segments;
use crate::http::params::base_url;
use crate::http::params::count;
use crate::report::Filter;
use crate::report::slug;

const PAGE_SIZE: u64 = 100;
const PAGE_SIZE_MAX: u64 = 1_000;

/// A feed, without its token.
#[derive(Serialize, ToSchema)]
pub(crate) struct FeedShown {
    id: i64,
    /// The key that it was made with, and ends with.
    key_id: i64,
    report_id: i64,
    format: String,
    /// By the names of filters.
    filters: BTreeMap<String, Vec<String>>,
    /// Seconds for which a file is handed out again.
    max_age: i64,
    stale_ok: bool,
    is_paused: bool,
    created_at: String,
    last_used_at: Option<String>,
    expires_at: Option<String>,
    /// Where it is; only when it is made, and when its token changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

impl FeedShown {
    fn of(feed: Feed, url: Option<String>) -> Self {
        Self {
            id: feed.id,
            key_id: feed.key_id,
            report_id: feed.report_id,
            format: feed.format,
            filters: feed.filter_values,
            max_age: feed.max_age / 1_000_000,
            stale_ok: feed.stale_ok,
            is_paused: feed.is_paused,
            created_at: iso_time(feed.created_at),
            last_used_at: feed.last_used_at.map(iso_time),
            expires_at: feed.expires_at.map(iso_time),
            url,
        }
    }
}

/// What is to change of a feed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedChange {
    is_paused: bool,
}

/// The feeds that were made with the caller's key; an administrator's are all.
#[utoipa::path(
    get,
    path = "/feeds.json",
    params(
        ("_page" = Option<u64>, Query, description = "From 1"),
        ("_page_size" = Option<u64>, Query, description = "Feeds a page; 100 unless given, at most 1000"),
    ),
    responses((status = 200, description = "The feeds", body = Vec<FeedShown>)),
    security(("key" = []))
)]
pub(crate) async fn list_feeds(
    State(app): State<App>,
    caller: Caller,
    params: Params,
) -> Result<Json<Vec<FeedShown>>, Rejection> {
    may_manage(&caller)?;
    let page = count("_page", params.get("_page"), 1)?;
    let size = count("_page_size", params.get("_page_size"), PAGE_SIZE)?.min(PAGE_SIZE_MAX);
    let limit = i64::try_from(size).map_err(Error::internal)?;
    let offset = i64::try_from((page - 1).saturating_mul(size)).unwrap_or(i64::MAX);
    let of_key = match caller.manages_all() {
        true => None,
        false => caller.key_id,
    };
    let feeds = app.store.feeds(of_key, limit, offset).await?;
    let mut all = Vec::with_capacity(feeds.len());
    for feed in feeds {
        all.push(shown(&app, &caller, feed, None).await?);
    }
    Ok(Json(all))
}

/// Makes a feed; its address is told now and never again.
#[utoipa::path(
    post,
    path = "/feeds.json",
    request_body = FeedAsked,
    responses(
        (status = 200, description = "The feed with its address", body = FeedShown),
        (status = 404, description = "Unknown report", body = super::openapi::Errors),
        (status = 409, description = "As many feeds as a user may have", body = super::openapi::Errors),
        (status = 422, description = "What is wrong with it", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn add_feed(
    State(app): State<App>,
    caller: Caller,
    trail: Trail,
    headers: HeaderMap,
    WholeBody(body): WholeBody,
) -> Result<Json<FeedShown>, Rejection> {
    may_manage(&caller)?;
    may_export(&caller)?;
    let asked: FeedAsked = parse(
        &body,
        "{\"report_id\":7,\"format\":\"csv\",\"filters\":{\"since\":[\"2026-01-31\"]}}",
    )?;
    let format = Format::parse(&asked.format).ok_or_else(|| {
        let known = Format::ALL
            .map(|format| format!("`{}`", format.extension()))
            .join(", ");
        Error::must_be("format", &format!("one of {known}"), &asked.format)
    })?;
    let profile = |name: &str| asked.profile.as_deref().filter(|_| name == "_profile");
    let options = Options::parse(format, profile)?;
    let found = app
        .store
        .report_seen_by(asked.report_id, &caller.sight()?)
        .await?;
    let found = found.ok_or(Rejection::NotFound)?;
    let values = asked.values(&found.report)?;
    let new = NewFeed {
        user_id: caller.user.id,
        key_id: caller.key_id.unwrap_or_default(),
        report_id: asked.report_id,
        format: format.extension().to_owned(),
        options: serde_json::to_string(&options).map_err(Error::internal)?,
        filter_values: texts_of(&values)?,
        max_age: asked.max_age_us()?,
        stale_ok: asked.stale_ok,
        expires_at: asked.expires_at()?,
    };
    // What cannot run is refused now, not when somebody fetches it.
    let of_feed = Asked {
        format: Some(format),
        options,
        values_of: None,
        cache: None,
        truncate: false,
    };
    new_job(&app, &caller, &found, &values, of_feed).await?;
    let token = Token::generate()?;
    let max = app.config.user_feeds_max;
    let id = app.store.add_feed(&new, &token.hash(), max).await?;
    trail.target("feed", id);
    trail.note(|record| record.report_id = Some(new.report_id));
    app.store.sync().await?;
    shown_with_url(&app, &caller, id, &token, &headers).await
}

/// Pauses a feed, or lets it go on.
#[utoipa::path(
    put,
    path = "/feeds/{feed}",
    params(("feed" = String, Path, description = "The feed's id")),
    request_body = FeedChange,
    responses(
        (status = 200, description = "The feed", body = FeedShown),
        (status = 404, description = "Unknown feed", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn change_feed(
    State(app): State<App>,
    mut caller: Caller,
    trail: Trail,
    Segments(feed): Segments<String>,
    WholeBody(body): WholeBody,
) -> Result<Json<FeedShown>, Rejection> {
    // The body may have taken its time.
    caller.look_again(&app).await?;
    let feed = own_feed(&app, &caller, &trail, &feed).await?;
    let asked: FeedChange = parse(&body, "{\"is_paused\":true}")?;
    app.store.pause_feed(feed.id, asked.is_paused).await?;
    app.store.sync().await?;
    let is_paused = asked.is_paused;
    Ok(Json(
        shown(&app, &caller, Feed { is_paused, ..feed }, None).await?,
    ))
}

/// Gives a feed another address; the one before opens nothing any more.
#[utoipa::path(
    post,
    path = "/feeds/{feed}/rotate.json",
    params(("feed" = String, Path, description = "The feed's id")),
    responses(
        (status = 200, description = "The feed with its new address", body = FeedShown),
        (status = 404, description = "Unknown feed", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn rotate_feed(
    State(app): State<App>,
    caller: Caller,
    trail: Trail,
    Segments(feed): Segments<String>,
    headers: HeaderMap,
) -> Result<Json<FeedShown>, Rejection> {
    let feed = own_feed(&app, &caller, &trail, &feed).await?;
    let token = Token::generate()?;
    app.store.rotate_feed(feed.id, &token.hash()).await?;
    app.store.sync().await?;
    shown_with_url(&app, &caller, feed.id, &token, &headers).await
}

/// Removes a feed; its address opens nothing any more.
#[utoipa::path(
    delete,
    path = "/feeds/{feed}",
    params(("feed" = String, Path, description = "The feed's id")),
    responses(
        (status = 200, description = "The feed as it was", body = FeedShown),
        (status = 404, description = "Unknown feed", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn delete_feed(
    State(app): State<App>,
    caller: Caller,
    trail: Trail,
    Segments(feed): Segments<String>,
) -> Result<Json<FeedShown>, Rejection> {
    let feed = own_feed(&app, &caller, &trail, &feed).await?;
    app.store.remove_feed(feed.id).await?;
    app.store.sync().await?;
    Ok(Json(shown(&app, &caller, feed, None).await?))
}

/// Values of secret filters are told to the feed's owner alone; of a report that is gone nobody knows which they are.
async fn shown(app: &App, caller: &Caller, mut feed: Feed, url: Option<String>) -> Result<FeedShown, Error> {
    if feed.user_id != caller.user.id {
        let all = Sight::of_the_server();
        let report = app.store.report_seen_by(feed.report_id, &all).await?;
        let filters = report.iter().flat_map(|found| &found.report.filters);
        let plain: Vec<String> = filters
            .filter(|filter| !filter.secret)
            .flat_map(Filter::names)
            .collect();
        feed.filter_values.retain(|name, _| plain.contains(name));
    }
    Ok(FeedShown::of(feed, url))
}

/// A key makes no addresses that open more than it does itself.
fn may_manage(caller: &Caller) -> Result<(), Error> {
    let forbidden = |message: &str| Err(Error::new(ErrorCode::Forbidden, message));
    if caller.terms.is_of_reports() {
        return forbidden("this key opens reports alone: it has no feeds");
    }
    match caller.terms.has_scope(Scope::Read) {
        true => Ok(()),
        false => forbidden("this key has no scope `read`, which feeds need"),
    }
}

/// The feed, if the caller may manage it: with the key that made it, so that no other key gets an address that opens
/// what it does not, or is still there when it is not; or with an administrator's.
async fn own_feed(app: &App, caller: &Caller, trail: &Trail, segment: &str) -> Result<Feed, Rejection> {
    may_manage(caller)?;
    let id = id_of(segment).ok_or(Rejection::NotFound)?;
    trail.target("feed", id);
    let feed = app.store.feed(id).await?;
    let feed = feed.filter(|feed| caller.manages_all() || caller.key_id == Some(feed.key_id));
    feed.ok_or(Rejection::NotFound)
}

async fn shown_with_url(
    app: &App,
    caller: &Caller,
    id: i64,
    token: &Token,
    headers: &HeaderMap,
) -> Result<Json<FeedShown>, Rejection> {
    let feed = app.store.feed(id).await?.ok_or(Rejection::NotFound)?;
    let report = app.store.report_seen_by(feed.report_id, &caller.sight()?).await?;
    let slug = report.map(|found| slug(&found.report.title)).unwrap_or_default();
    let title = match slug.is_empty() {
        true => String::new(),
        false => format!("-{slug}"),
    };
    let url = format!(
        "{}/feeds/{id}{title}.{}?token={}",
        base_url(app, headers),
        feed.format,
        token.reveal()
    );
    Ok(Json(shown(app, caller, feed, Some(url)).await?))
}
