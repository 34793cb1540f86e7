//! The caller, and the sources that reports run on.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::auth::Caller;
use crate::http::error::Rejection;
use crate::source::sources;

/// Who a key belongs to.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserInfo {
    id: i64,
    email: String,
    name: String,
}

/// A database that reports run on.
#[derive(Serialize, ToSchema)]
pub(crate) struct DataSource {
    id: i64,
    #[schema(example = "duckdb")]
    dbtype: &'static str,
    name: String,
}

/// Says who the key belongs to.
#[utoipa::path(
    get,
    path = "/users/info.json",
    responses((status = 200, description = "The caller", body = UserInfo)),
    security(("key" = []))
)]
pub(crate) async fn get_user_info(Caller(user): Caller) -> Json<UserInfo> {
    Json(UserInfo {
        id: user.id,
        email: user.email,
        name: user.name,
    })
}

/// Lists the sources.
#[utoipa::path(
    get,
    path = "/data_sources.json",
    responses((status = 200, description = "The sources", body = Vec<DataSource>)),
    security(("key" = []))
)]
pub(crate) async fn list_data_sources(_caller: Caller) -> Result<Json<Vec<DataSource>>, Rejection> {
    let sources = sources().into_iter().map(|source| DataSource {
        id: source.id,
        dbtype: source.kind.name(),
        name: source.name,
    });
    Ok(Json(sources.collect()))
}
