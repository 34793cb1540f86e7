//! Users and groups, and who the caller is.

use axum::Json;
use axum::extract::State;
use ipnet::IpNet;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::KeyTerms;
use crate::access::Pins;
use crate::access::Role;
use crate::access::Scope;
use crate::error::Error;
use crate::http::App;
use crate::http::audit::Trail;
use crate::http::auth::Caller;
use crate::http::body::WholeBody;
use crate::http::body::parse;
use crate::http::error::Rejection;
use crate::http::jobs::iso_time;
use crate::http::params::Segments;
use crate::store::shares::Group;
use crate::user::User;

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
pub(crate) async fn get_user_info(caller: Caller) -> Json<UserInfo> {
    Json(UserInfo {
        id: caller.user.id,
        email: caller.user.email,
        name: caller.user.name,
    })
}

/// The caller, with what they and the key may.
#[derive(Serialize, ToSchema)]
pub(crate) struct Me {
    #[serde(flatten)]
    user: UserShown,
    /// What the request was made with.
    key: Option<KeyShown>,
}

/// A key, without the key itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyShown {
    id: i64,
    name: String,
    /// What it is for; null is everything.
    #[schema(value_type = Option<Vec<String>>)]
    scopes: Option<Vec<Scope>>,
    /// The only reports that it opens; null is all of its user's.
    reports: Option<Vec<i64>>,
    /// Values of filters that it always has.
    pins: Pins,
    expires_at: Option<String>,
    /// The only networks that it may be used from; empty is all.
    #[schema(value_type = Vec<String>)]
    addresses: Vec<IpNet>,
    /// Requests a minute.
    rate_max: Option<u32>,
    /// Jobs at a time.
    jobs_max: Option<u32>,
}

impl KeyShown {
    pub(crate) fn new(id: i64, name: String, terms: &KeyTerms) -> Self {
        Self {
            id,
            name,
            scopes: terms.scopes.clone(),
            reports: terms.reports.clone(),
            pins: terms.pins.clone(),
            expires_at: terms.expires_at.map(iso_time),
            addresses: terms.addresses.clone(),
            rate_max: terms.rate_max,
            jobs_max: terms.jobs_max,
        }
    }
}

/// Says who the caller is, and what they and the key may.
#[utoipa::path(
    get,
    path = "/users/me.json",
    responses((status = 200, description = "The caller and the key", body = Me)),
    security(("key" = []))
)]
pub(crate) async fn get_me(State(app): State<App>, caller: Caller) -> Result<Json<Me>, Rejection> {
    let key = match caller.key_id {
        Some(id) => Some(KeyShown::new(id, app.store.key_name(id).await?, &caller.terms)),
        None => None,
    };
    Ok(Json(Me {
        user: caller.user.into(),
        key,
    }))
}

/// A user, for administrators and themselves.
#[derive(Serialize, ToSchema)]
pub(crate) struct UserShown {
    id: i64,
    email: String,
    name: String,
    /// `viewer`, `analyst` or `administrator`.
    role: &'static str,
    api_access: bool,
    can_import: bool,
    can_export: bool,
}

impl From<User> for UserShown {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            email: user.email,
            name: user.name,
            role: user.role.name(),
            api_access: user.api_access,
            can_import: user.can_import,
            can_export: user.can_export,
        }
    }
}

/// A user to be added, or what is to change of one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserChange {
    /// Only of a new one.
    email: Option<String>,
    /// Only of a new one; the part of the address before @ unless given.
    name: Option<String>,
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
    api_access: Option<bool>,
    can_import: Option<bool>,
    can_export: Option<bool>,
}

const USER: &str = "{\"email\":…,\"role\":\"viewer\",\"api_access\":true}";

/// All users.
#[utoipa::path(
    get,
    path = "/users.json",
    responses((status = 200, description = "The users", body = Vec<UserShown>)),
    security(("key" = []))
)]
pub(crate) async fn list_users(
    State(app): State<App>,
    _caller: Caller,
) -> Result<Json<Vec<UserShown>>, Rejection> {
    let users = app.store.users().await?;
    Ok(Json(users.into_iter().map(UserShown::from).collect()))
}

/// Adds a user.
#[utoipa::path(
    post,
    path = "/users.json",
    request_body = UserChange,
    responses(
        (status = 200, description = "The user", body = UserShown),
        (status = 409, description = "There is one with this address", body = super::openapi::Errors),
        (status = 422, description = "What is wrong with it", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn add_user(
    State(app): State<App>,
    _caller: Caller,
    trail: Trail,
    WholeBody(body): WholeBody,
) -> Result<Json<UserShown>, Rejection> {
    let asked: UserChange = parse(&body, USER)?;
    let email = asked.email.clone().unwrap_or_default();
    let name = User::name_for(&email, asked.name.as_deref())?;
    let role = asked.role.unwrap_or(Role::Viewer);
    let user = app
        .store
        .add_user(&email, &name, role, asked.api_access.unwrap_or(false))
        .await?;
    trail.target("user", user.id);
    change(&app, user.id, &UserChange { role: None, ..asked }).await
}

/// Changes what a user may.
#[utoipa::path(
    put,
    path = "/users/{id}",
    params(("id" = i64, Path, description = "The user's id")),
    request_body = UserChange,
    responses(
        (status = 200, description = "The user", body = UserShown),
        (status = 404, description = "Unknown user", body = super::openapi::Errors),
        (status = 422, description = "What is wrong with it", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn change_user(
    State(app): State<App>,
    _caller: Caller,
    trail: Trail,
    Segments(id): Segments<String>,
    WholeBody(body): WholeBody,
) -> Result<Json<UserShown>, Rejection> {
    let id = id_of(&id)?;
    trail.target("user", id);
    let asked: UserChange = parse(&body, USER)?;
    if asked.email.is_some() || asked.name.is_some() {
        return Err(Error::invalid("`email` and `name` of a user do not change").into());
    }
    change(&app, id, &asked).await
}

async fn change(app: &App, id: i64, asked: &UserChange) -> Result<Json<UserShown>, Rejection> {
    let user = user(app, id).await?;
    if let Some(role) = asked.role {
        app.store.set_role(&user.email, role).await?;
    }
    if let Some(api_access) = asked.api_access {
        app.store.set_api_access(&user.email, api_access).await?;
    }
    if let Some(can_import) = asked.can_import {
        app.store.set_can_import(&user.email, can_import).await?;
    }
    if let Some(can_export) = asked.can_export {
        app.store.set_can_export(&user.email, can_export).await?;
    }
    app.store.sync().await?;
    Ok(Json(self::user(app, id).await?.into()))
}

async fn user(app: &App, id: i64) -> Result<User, Rejection> {
    app.store.user(id).await?.ok_or(Rejection::NotFound)
}

fn id_of(segment: &str) -> Result<i64, Rejection> {
    let id = segment.strip_suffix(".json").and_then(|id| id.parse().ok());
    id.ok_or(Rejection::NotFound)
}

/// Users under one name.
#[derive(Serialize, ToSchema)]
pub(crate) struct GroupShown {
    id: i64,
    name: String,
    /// Their e-mail addresses.
    users: Vec<String>,
}

impl From<Group> for GroupShown {
    fn from(group: Group) -> Self {
        Self {
            id: group.id,
            name: group.name,
            users: group.users,
        }
    }
}

/// A group as it is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupSet {
    name: String,
    /// The e-mail addresses of its users.
    users: Vec<String>,
}

/// All groups.
#[utoipa::path(
    get,
    path = "/groups.json",
    responses((status = 200, description = "The groups", body = Vec<GroupShown>)),
    security(("key" = []))
)]
pub(crate) async fn list_groups(
    State(app): State<App>,
    _caller: Caller,
) -> Result<Json<Vec<GroupShown>>, Rejection> {
    let groups = app.store.groups().await?;
    Ok(Json(groups.into_iter().map(GroupShown::from).collect()))
}

/// Makes a group, or has the one of this name consist of these users.
#[utoipa::path(
    post,
    path = "/groups.json",
    request_body = GroupSet,
    responses(
        (status = 200, description = "The group", body = GroupShown),
        (status = 422, description = "An unknown user, or no name", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn set_group(
    State(app): State<App>,
    _caller: Caller,
    trail: Trail,
    WholeBody(body): WholeBody,
) -> Result<Json<GroupShown>, Rejection> {
    let asked: GroupSet = parse(&body, "{\"name\":\"sales\",\"users\":[\"ann@example.com\"]}")?;
    let id = app.store.set_group(&asked.name, &asked.users).await?;
    trail.target("group", id);
    app.store.sync().await?;
    group(&app, id).await
}

/// Removes a group; what was shared with it is so no more.
#[utoipa::path(
    delete,
    path = "/groups/{id}",
    params(("id" = i64, Path, description = "The group's id")),
    responses(
        (status = 200, description = "The group as it was", body = GroupShown),
        (status = 404, description = "Unknown group", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn delete_group(
    State(app): State<App>,
    _caller: Caller,
    trail: Trail,
    Segments(id): Segments<String>,
) -> Result<Json<GroupShown>, Rejection> {
    let group = group(&app, id_of(&id)?).await?;
    trail.target("group", group.0.id);
    app.store.remove_group(group.0.id).await?;
    app.store.sync().await?;
    Ok(group)
}

async fn group(app: &App, id: i64) -> Result<Json<GroupShown>, Rejection> {
    let groups = app.store.groups().await?;
    let group = groups.into_iter().find(|group| group.id == id);
    group.map(|group| Json(group.into())).ok_or(Rejection::NotFound)
}
