//! The databases that reports run on. Nobody sees a password; administrators alone see where a database is.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::http::App;
use crate::http::audit::Trail;
use crate::http::auth::Caller;
use crate::http::body::WholeBody;
use crate::http::error::Rejection;
use crate::http::params::Segments;
use crate::secret::SecretKey;
use crate::source::NewSource;
use crate::source::Password;
use crate::source::Source;
use crate::source::SourceKind;
use crate::source::SourceSettings;

/// A database that reports run on.
#[derive(Serialize, ToSchema)]
pub(crate) struct DataSource {
    id: i64,
    #[schema(example = "postgres")]
    dbtype: &'static str,
    name: String,
    /// Where it is, without a password; for administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// For administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    settings: Option<SourceSettings>,
}

impl DataSource {
    fn of(source: Source, caller: &Caller) -> Self {
        Self::new(source, caller.manages_all())
    }

    /// Where it is and how it is set, for who sees all.
    pub(crate) fn new(source: Source, sees_all: bool) -> Self {
        Self {
            id: source.id,
            dbtype: source.kind.name(),
            name: source.name,
            url: sees_all.then_some(source.url),
            settings: sees_all.then_some(source.settings),
        }
    }
}

/// A source to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDataSource {
    name: String,
    /// `postgres`, `mysql`, `sqlite` or `duckdb`.
    #[schema(value_type = String)]
    dbtype: SourceKind,
    url: String,
    password: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    settings: SourceSettings,
}

/// Lists the sources; to a key that opens reports alone, none.
#[utoipa::path(
    get,
    path = "/data_sources.json",
    responses((status = 200, description = "The sources", body = Vec<DataSource>)),
    security(("key" = []))
)]
pub(crate) async fn list_data_sources(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<Vec<DataSource>>, Rejection> {
    // Who may only run reports has no use for where they run.
    if caller.terms.is_of_reports() {
        return Ok(Json(Vec::new()));
    }
    let sources = app.store.sources().await?;
    let shown = sources.into_iter().map(|source| DataSource::of(source, &caller));
    Ok(Json(shown.collect()))
}

/// One source.
#[utoipa::path(
    get,
    path = "/data_sources/{id}",
    params(("id" = i64, Path, description = "The source's id")),
    responses(
        (status = 200, description = "The source", body = DataSource),
        (status = 404, description = "Unknown source", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn get_data_source(
    State(app): State<App>,
    caller: Caller,
    Segments(id): Segments<String>,
) -> Result<Json<DataSource>, Rejection> {
    let id = id
        .strip_suffix(".json")
        .and_then(|id| id.parse().ok())
        .ok_or(Rejection::NotFound)?;
    let source = app.store.source(id).await?;
    let source = source.filter(|_| !caller.terms.is_of_reports());
    Ok(Json(DataSource::of(source.ok_or(Rejection::NotFound)?, &caller)))
}

/// Adds a source; for administrators.
#[utoipa::path(
    post,
    path = "/data_sources.json",
    request_body = NewDataSource,
    responses(
        (status = 200, description = "The source", body = DataSource),
        (status = 403, description = "The caller is no administrator", body = super::openapi::Errors),
        (status = 409, description = "There is a source of this name", body = super::openapi::Errors),
        (status = 422, description = "What is wrong with it", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn add_data_source(
    State(app): State<App>,
    caller: Caller,
    trail: Trail,
    WholeBody(body): WholeBody,
) -> Result<Json<DataSource>, Rejection> {
    let asked: NewDataSource = serde_json::from_slice(&body).map_err(|error| {
        // The words of the parser name keys and places, and may quote a value; the password is no place for that.
        Error::invalid(format!(
            "the body must be JSON like {{\"name\":…,\"dbtype\":\"postgres\",\"url\":…,\"password\":…}} (line {}, column {})",
            error.line(),
            error.column()
        ))
    })?;
    let password = asked.password.map(Password::new);
    let new = NewSource::new(asked.name, asked.dbtype, &asked.url, password, asked.settings)?;
    let sealed = SecretKey::seal_of(&app.config.data_dir, &new)?;
    let id = app.store.add_source(&new, sealed, false).await?;
    trail.target("source", id);
    app.store.sync().await?;
    let source = app.store.source(id).await?.ok_or(Rejection::NotFound)?;
    Ok(Json(DataSource::of(source, &caller)))
}
