//! The caller.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::auth::Caller;

/// Who a key belongs to.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserInfo {
    id: i64,
    email: String,
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
