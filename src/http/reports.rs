//! Reports as such: listed, shown, made, changed, shared, deleted.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse as _;
use axum::response::Response;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Scope;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::http::App;
use crate::http::audit::Trail;
use crate::http::auth::Caller;
use crate::http::body::WholeBody;
use crate::http::body::parse;
use crate::http::error::Rejection;
use crate::http::new_job::source_of;
use crate::http::new_job::unknown_pin;
use crate::http::params::Params;
use crate::http::params::Segments;
use crate::http::params::report_id;
use crate::http::poll;
use crate::query::file::parse_report;
use crate::report::Allowed;
use crate::report::Choice;
use crate::report::Filter;
use crate::report::Report;
use crate::report::slug;
use crate::store::reports::Change;
use crate::store::reports::VersionedReport;

/// A report as its callers see it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReportInfo {
    id: i64,
    #[schema(example = "1846-users-growth")]
    slug: String,
    title: String,
    description: String,
    version: i64,
    /// The name of its source.
    source: String,
    /// Seconds for which a finished result is handed out again.
    cache: u64,
    filters: Vec<FilterInfo>,
    /// For who may change it.
    #[serde(skip_serializing_if = "Option::is_none")]
    sql: Option<String>,
    /// For who may change it: `everyone`, e-mail addresses, `group:NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    shared_with: Option<Vec<String>>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct FilterInfo {
    name: String,
    label: String,
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    filter_type: crate::report::FilterType,
    /// The type of each value of a dropdown or list; else that type itself.
    #[schema(value_type = String)]
    of: crate::report::ValueType,
    required: bool,
    multiple: bool,
    /// As in the report's file, relative dates too; of a date range its start and its end.
    default: Vec<Option<String>>,
    /// What it may be, if the report's file lists that.
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Vec<ValueInfo>>,
    /// Whether a query lists that, which `submit_values.json` runs.
    has_values_sql: bool,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ValueInfo {
    /// What is sent.
    key: String,
    /// What people read.
    label: String,
}

impl ValueInfo {
    fn of(choice: &Choice) -> Self {
        Self {
            key: choice.key.clone(),
            label: choice.label.clone(),
        }
    }
}

impl FilterInfo {
    fn of(filter: &Filter) -> Self {
        Self {
            name: filter.name.clone(),
            label: filter.label.clone(),
            filter_type: filter.filter_type,
            of: filter.of,
            required: filter.required,
            multiple: filter.multiple,
            default: match filter.secret {
                true => Vec::new(),
                false => filter.default.clone(),
            },
            values: match &filter.allowed {
                Some(Allowed::Values(choices)) => Some(choices.iter().map(ValueInfo::of).collect()),
                Some(Allowed::Sql(_)) | None => None,
            },
            has_values_sql: matches!(filter.allowed, Some(Allowed::Sql(_))),
        }
    }
}

/// A report as a file: front matter, then SQL.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportFile {
    #[schema(example = "---\nid: 7\ntitle: Orders\n---\nselect 1 as n")]
    file: String,
    /// Only say what would change.
    #[serde(default)]
    dry_run: bool,
}

/// What became of a report.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReportChanged {
    id: i64,
    /// `created`, `changed` or `unchanged`.
    status: &'static str,
}

/// Whom a report is to be shared with.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shares {
    /// `everyone`, e-mail addresses, `group:NAME`; nobody else.
    shared_with: Vec<String>,
}

/// The reports that the caller may run.
#[utoipa::path(
    get,
    path = "/queries.json",
    responses((status = 200, description = "The reports", body = Vec<ReportInfo>)),
    security(("key" = []))
)]
pub(crate) async fn list_reports(
    State(app): State<App>,
    caller: Caller,
) -> Result<Json<Vec<ReportInfo>>, Rejection> {
    let mut shown = Vec::new();
    for found in app.store.reports_seen_by(&caller.sight()?).await? {
        if unknown_pin(&caller.terms.pins, &found.report).is_some() {
            continue;
        }
        shown.push(info(&app, &caller, &found).await?);
    }
    Ok(Json(shown))
}

/// One report; with `job_id`, the deprecated form of `get_query_results`.
#[utoipa::path(
    get,
    path = "/queries/{report_id}",
    params(
        ("report_id" = String, Path, description = "The report's id, alone or with its slug"),
        ("job_id" = Option<i64>, Query, description = "From the submit's answer"),
        ("_wait" = Option<f64>, Query, description = "Seconds to wait for the job, 0 to 50"),
        ("_page" = Option<u64>, Query, description = "With `job_id`: from 1"),
        ("_page_size" = Option<u64>, Query, description = "With `job_id`: rows a page; 25 unless given"),
    ),
    responses(
        (status = 200, description = "The report; with `job_id`, as get_query_results", content(
            (super::openapi::ReportAnswer = "application/json"),
            (Vec<u8> = "application/vnd.apache.arrow.stream"),
        )),
        (status = 404, description = "Unknown report", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn get_report(
    State(app): State<App>,
    mut caller: Caller,
    trail: Trail,
    Segments(report): Segments<String>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Rejection> {
    if !report.ends_with(".json") {
        return Err(Rejection::NotFound);
    }
    let id = report_id(&report)?;
    if params.has_job_id() {
        return poll::page_of_report(&app, &mut caller, id, &params, &headers, &trail).await;
    }
    let found = app.store.report_seen_by(id, &caller.sight()?).await?;
    let found = found.ok_or(Rejection::NotFound)?;
    Ok(Json(info(&app, &caller, &found).await?).into_response())
}

/// Makes a report, or a new version of one that the caller may change.
#[utoipa::path(
    post,
    path = "/queries.json",
    request_body = ReportFile,
    responses(
        (status = 200, description = "What became of it", body = ReportChanged),
        (status = 403, description = "Somebody else's report", body = super::openapi::Errors),
        (status = 422, description = "What is wrong with it, with line and column", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn apply_report(
    State(app): State<App>,
    caller: Caller,
    trail: Trail,
    WholeBody(body): WholeBody,
) -> Result<Json<ReportChanged>, Rejection> {
    let asked: ReportFile = parse(&body, "{\"file\":\"---\\nid: 7\\n…\"}")?;
    let report = parse_report("file", &asked.file)?;
    trail.note(|record| record.report_id = Some(report.id));
    apply(&app, &caller, report, asked.dry_run).await
}

/// Changes a report that the caller may change.
#[utoipa::path(
    put,
    path = "/queries/{report_id}",
    params(("report_id" = String, Path, description = "The report's id, alone or with its slug")),
    request_body = ReportFile,
    responses(
        (status = 200, description = "What became of it", body = ReportChanged),
        (status = 403, description = "Somebody else's report", body = super::openapi::Errors),
        (status = 404, description = "Unknown report", body = super::openapi::Errors),
        (status = 422, description = "What is wrong with it, with line and column", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn change_report(
    State(app): State<App>,
    caller: Caller,
    trail: Trail,
    Segments(report): Segments<String>,
    WholeBody(body): WholeBody,
) -> Result<Json<ReportChanged>, Rejection> {
    let id = own_report(&app, &caller, &trail, &report).await?;
    let asked: ReportFile = parse(&body, "{\"file\":\"---\\nid: 7\\n…\"}")?;
    let report = parse_report("file", &asked.file)?;
    if report.id != id {
        let message = format!("the file has `id: {}`, the address {id}", report.id);
        return Err(Error::invalid(message).into());
    }
    apply(&app, &caller, report, asked.dry_run).await
}

/// Deletes a report that the caller may change.
#[utoipa::path(
    delete,
    path = "/queries/{report_id}",
    params(("report_id" = String, Path, description = "The report's id, alone or with its slug")),
    responses(
        (status = 200, description = "It is gone", body = ReportChanged),
        (status = 403, description = "Somebody else's report", body = super::openapi::Errors),
        (status = 404, description = "Unknown report", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn delete_report(
    State(app): State<App>,
    caller: Caller,
    trail: Trail,
    Segments(report): Segments<String>,
) -> Result<Json<ReportChanged>, Rejection> {
    let id = own_report(&app, &caller, &trail, &report).await?;
    app.store.remove_report(id, Some(&caller.user)).await?;
    app.store.sync().await?;
    Ok(Json(ReportChanged {
        id,
        status: "deleted",
    }))
}

/// Shares a report with these and nobody else.
#[utoipa::path(
    put,
    path = "/queries/{report_id}/shares.json",
    params(("report_id" = String, Path, description = "The report's id, alone or with its slug")),
    request_body = Shares,
    responses(
        (status = 200, description = "Whom it is shared with", body = Shares),
        (status = 403, description = "Somebody else's report", body = super::openapi::Errors),
        (status = 404, description = "Unknown report", body = super::openapi::Errors),
        (status = 422, description = "An unknown user or group", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn share_report(
    State(app): State<App>,
    caller: Caller,
    trail: Trail,
    Segments(report): Segments<String>,
    WholeBody(body): WholeBody,
) -> Result<Json<Shares>, Rejection> {
    let id = own_report(&app, &caller, &trail, &report).await?;
    let asked: Shares = parse(&body, "{\"shared_with\":[\"everyone\"]}")?;
    app.store
        .set_shares(id, &asked.shared_with, Some(&caller.user))
        .await?;
    app.store.sync().await?;
    let shared_with = app.store.shares(id).await?;
    Ok(Json(Shares { shared_with }))
}

async fn apply(
    app: &App,
    caller: &Caller,
    report: Report,
    dry_run: bool,
) -> Result<Json<ReportChanged>, Rejection> {
    let id = report.id;
    // Its source is there.
    source_of(app, &report).await?;
    let changes = app
        .store
        .apply_reports(std::slice::from_ref(&report), Some(&caller.user), dry_run)
        .await?;
    app.store.sync().await?;
    let status = match changes.first() {
        Some(Change::Created) => "created",
        Some(Change::Changed(_)) => "changed",
        _ => "unchanged",
    };
    Ok(Json(ReportChanged { id, status }))
}

/// The id of a report that the caller sees and may change.
async fn own_report(app: &App, caller: &Caller, trail: &Trail, segment: &str) -> Result<i64, Rejection> {
    let id = report_id(segment)?;
    trail.note(|record| record.report_id = Some(id));
    let found = app.store.report_seen_by(id, &caller.sight()?).await?;
    match may_change(caller, &found.ok_or(Rejection::NotFound)?) {
        true => Ok(id),
        false => {
            let message = format!("report `{id}` can be changed by its owner or an administrator");
            Err(Error::new(ErrorCode::Forbidden, message).into())
        }
    }
}

/// A report is its owner's and administrators' to change.
fn may_change(caller: &Caller, found: &VersionedReport) -> bool {
    caller.is_administrator() || found.owner_id == Some(caller.user.id)
}

async fn info(app: &App, caller: &Caller, found: &VersionedReport) -> Result<ReportInfo, Error> {
    // What is behind a report is for keys that may change it, not for those that may run it.
    let is_open = caller.terms.has_scope(Scope::ReportsWrite) && !caller.terms.is_of_reports();
    let shared_with = match is_open && may_change(caller, found) {
        true => Some(app.store.shares(found.report.id).await?),
        false => None,
    };
    Ok(ReportInfo::of(found, shared_with))
}

impl ReportInfo {
    /// Its number, its slug and its title.
    pub(crate) fn names(&self) -> (i64, &str, &str) {
        (self.id, &self.slug, &self.title)
    }

    /// With its SQL, if it is said whom it is shared with.
    pub(crate) fn of(found: &VersionedReport, shared_with: Option<Vec<String>>) -> Self {
        let report = &found.report;
        Self {
            id: report.id,
            slug: format!("{}-{}", report.id, slug(&report.title)),
            title: report.title.clone(),
            description: report.description.clone(),
            version: found.version,
            source: report.source.clone(),
            cache: report.cache.as_secs(),
            filters: report.filters.iter().map(FilterInfo::of).collect(),
            sql: shared_with.is_some().then(|| report.sql.clone()),
            shared_with,
        }
    }
}
