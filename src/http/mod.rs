//! The API: routes, statuses and JSON shapes, one file per resource. Nothing else knows of them.
//! A request never runs a report's SQL; it queues a job.

mod access;
mod answers;
pub(crate) mod audit;
pub(crate) mod auth;
mod body;
mod cors;
mod download;
mod encoding;
mod error;
mod feed_asked;
mod feed_files;
mod feeds;
mod follow;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod idempotency;
mod import_fields;
mod imports;
mod job_events;
mod job_lists;
mod job_logs;
pub(crate) mod jobs;
pub(crate) mod layers;
pub(crate) mod limits;
mod links;
mod manifest;
mod new_job;
mod openapi;
mod page;
mod params;
mod poll;
mod queries;
mod range;
pub(crate) mod reports;
pub(crate) mod server;
pub(crate) mod sources;
pub(crate) mod tls;
mod upload;
pub(crate) mod users;
mod wait;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::get;
use tokio::sync::Notify;
use tokio::sync::watch;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::Config;
use crate::http::error::Rejection;
use crate::objects::Objects;
use crate::store::Store;

/// What handlers work with.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) objects: Objects,
    pub(crate) config: Arc<Config>,
    /// Told when a job is queued.
    pub(crate) queued: Arc<Notify>,
    pub(crate) limits: Arc<limits::Limits>,
    /// Turns true when the server is to stop.
    pub(crate) stop: watch::Receiver<bool>,
}

/// Every route.
pub(crate) fn router(app: App) -> Router {
    let body_max = usize::try_from(app.config.request_bytes_max.as_u64()).unwrap_or(usize::MAX);
    let (data, document) = data_routes().split_for_parts();
    // Set before the layer, which would not see it otherwise.
    let data = data.method_not_allowed_fallback(|| async { Rejection::MethodNotAllowed });
    let data = match cors::layer(&app.config) {
        Some(layer) => data.layer(layer),
        None => data,
    };
    let (router, mut others) = OpenApiRouter::new()
        .routes(routes!(reports::list_reports, reports::apply_report))
        .routes(routes!(
            reports::get_report,
            reports::change_report,
            reports::delete_report
        ))
        .routes(routes!(reports::share_report))
        .routes(routes!(jobs::cancel_job))
        .routes(routes!(users::get_user_info))
        .routes(routes!(users::get_me))
        .routes(routes!(users::list_users, users::add_user))
        .routes(routes!(users::change_user))
        .routes(routes!(users::list_groups, users::set_group))
        .routes(routes!(users::delete_group))
        .routes(routes!(sources::list_data_sources, sources::add_data_source))
        .routes(routes!(sources::get_data_source))
        .routes(routes!(imports::import_csv))
        .routes(routes!(imports::list_imports))
        .routes(routes!(imports::get_import))
        .routes(routes!(imports::execute_import))
        .routes(routes!(job_lists::list_jobs))
        .routes(routes!(job_lists::last_run_jobs))
        .routes(routes!(job_logs::get_rejects))
        .routes(routes!(feeds::list_feeds, feeds::add_feed))
        .routes(routes!(feeds::rotate_feed))
        .routes(routes!(audit::get_audit))
        .routes(routes!(health))
        .split_for_parts();
    others.merge(document);
    let document = Arc::new(openapi::finish(others));
    router
        .merge(data)
        .route("/openapi.json", get(|| async move { Json((*document).clone()) }))
        .route(
            "/queries/{report_id}/{action}",
            get(queries::unknown_format).post(queries::unknown_format),
        )
        .fallback(|| async { Rejection::NoRoute })
        .method_not_allowed_fallback(|| async { Rejection::MethodNotAllowed })
        .layer(DefaultBodyLimit::max(body_max))
        .layer(axum::middleware::from_fn_with_state(app.clone(), layers::answer))
        .with_state(app)
}

/// What programs fetch data by, from a submit to the file; these alone may be opened to scripts of other origins.
fn data_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(queries::submit_query))
        .routes(routes!(queries::submit_values))
        .routes(routes!(queries::submit_export_csv))
        .routes(routes!(queries::submit_export_json))
        .routes(routes!(queries::submit_export_xlsx))
        .routes(routes!(queries::submit_export_ndjson))
        .routes(routes!(queries::submit_export_parquet))
        .routes(routes!(queries::submit_export_arrow))
        .routes(routes!(poll::get_query_results))
        .routes(routes!(poll::get_export_results))
        .routes(routes!(poll::get_results))
        .routes(routes!(jobs::get_job))
        .routes(routes!(job_events::get_events))
        .routes(routes!(job_logs::get_logs))
        .routes(routes!(manifest::get_manifest))
        .routes(routes!(download::download))
        .routes(routes!(
            feed_files::get_feed_file,
            feeds::change_feed,
            feeds::delete_feed
        ))
}

/// Whether the server answers and its metadata can be read.
#[utoipa::path(
    get,
    path = "/healthz",
    responses((status = 200, description = "The server works", body = openapi::Health))
)]
async fn health(
    axum::extract::State(app): axum::extract::State<App>,
) -> std::result::Result<Json<openapi::Health>, Rejection> {
    app.store.ping().await?;
    Ok(Json(openapi::Health { status: "ok" }))
}
