//! The API: routes, statuses and JSON shapes, one file per resource. Nothing else knows of them.
//! A request never runs a report's SQL; it queues a job.

mod answers;
mod auth;
mod download;
mod encoding;
mod error;
mod idempotency;
mod import_fields;
mod imports;
mod job_events;
mod job_lists;
mod job_logs;
mod jobs;
pub(crate) mod layers;
mod manifest;
mod openapi;
mod page;
mod params;
mod poll;
mod queries;
mod range;
pub(crate) mod server;
mod sources;
mod upload;
mod users;
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
    /// Turns true when the server is to stop.
    pub(crate) stop: watch::Receiver<bool>,
}

/// Every route.
pub(crate) fn router(app: App) -> Router {
    let body_max = usize::try_from(app.config.request_bytes_max.as_u64()).unwrap_or(usize::MAX);
    let (router, document) = OpenApiRouter::new()
        .routes(routes!(queries::submit_query))
        .routes(routes!(queries::submit_export_csv))
        .routes(routes!(queries::submit_export_json))
        .routes(routes!(queries::submit_export_xlsx))
        .routes(routes!(queries::submit_export_ndjson))
        .routes(routes!(queries::submit_export_parquet))
        .routes(routes!(queries::submit_export_arrow))
        .routes(routes!(poll::get_query_results))
        .routes(routes!(poll::get_export_results))
        .routes(routes!(poll::get_report))
        .routes(routes!(poll::get_results))
        .routes(routes!(jobs::get_job))
        .routes(routes!(jobs::cancel_job))
        .routes(routes!(download::download))
        .routes(routes!(users::get_user_info))
        .routes(routes!(sources::list_data_sources, sources::add_data_source))
        .routes(routes!(sources::get_data_source))
        .routes(routes!(imports::import_csv))
        .routes(routes!(imports::list_imports))
        .routes(routes!(imports::get_import))
        .routes(routes!(imports::execute_import))
        .routes(routes!(job_lists::list_jobs))
        .routes(routes!(job_lists::last_run_jobs))
        .routes(routes!(job_events::get_events))
        .routes(routes!(job_logs::get_logs))
        .routes(routes!(job_logs::get_rejects))
        .routes(routes!(manifest::get_manifest))
        .routes(routes!(health))
        .split_for_parts();
    let document = Arc::new(openapi::finish(document));
    router
        .route("/openapi.json", get(|| async move { Json((*document).clone()) }))
        .route(
            "/queries/{report_id}/{action}",
            get(queries::unknown_format).post(queries::unknown_format),
        )
        .fallback(|| async { Rejection::NotFound })
        .method_not_allowed_fallback(|| async { Rejection::MethodNotAllowed })
        .layer(DefaultBodyLimit::max(body_max))
        .layer(axum::middleware::from_fn(layers::answer))
        .with_state(app)
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
