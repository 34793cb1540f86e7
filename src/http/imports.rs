//! Data imports: CSV files into tables of sources.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::Request;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;
use utoipa::ToSchema;

use crate::data_import::DataImport;
use crate::data_import::NewDataImport;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::http::App;
use crate::http::audit::Trail;
use crate::http::auth::Caller;
use crate::http::error::Rejection;
use crate::http::idempotency::once;
use crate::http::import_fields::destination;
use crate::http::import_fields::given;
use crate::http::import_fields::mode;
use crate::http::import_fields::options;
use crate::http::import_fields::plain;
use crate::http::import_fields::table_name;
use crate::http::import_fields::writable;
use crate::http::jobs::iso_time;
use crate::http::params::Params;
use crate::http::params::Segments;
use crate::http::params::count;
use crate::http::upload::Fields;
use crate::http::upload::Part;
use crate::http::upload::Upload;
use crate::http::upload::UploadedFile;
use crate::http::upload::receive_file;
use crate::imports::Survey;
use crate::job::Submitted;
use crate::query::scalar::shown as shown_text;
use crate::store::imports::LastRun;

const PAGE_SIZE: u64 = 100;
const PAGE_SIZE_MAX: u64 = 1_000;

/// The answer to an import.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportSubmitted {
    /// `created`, or `already_existed` if it is under way.
    #[schema(example = "created")]
    status: &'static str,
    job_id: i64,
    import_id: i64,
}

/// Uploads a CSV file and queues a job that puts its rows into a table.
#[utoipa::path(
    post,
    path = "/data_imports/import_csv.json",
    request_body(
        content_type = "multipart/form-data",
        description = "`file`, `dest_ds_id`, `dest_table_name`; if need be `dest_schema_name`, `mode`, `schema`, \
                       `delimiter`, `encoding`, `null`, `header`, `max_errors`, `sha256`"
    ),
    responses(
        (status = 200, description = "The job", body = ImportSubmitted),
        (status = 403, description = "The caller may not import, or the source is not writable", body = super::openapi::Errors),
        (status = 413, description = "The file is too large", body = super::openapi::Errors),
        (status = 422, description = "What is wrong with it", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn import_csv(
    State(app): State<App>,
    mut caller: Caller,
    request: Request,
) -> Result<Json<ImportSubmitted>, Rejection> {
    let headers = request.headers().clone();
    let trail = Trail::of(request.extensions());
    let mut upload = Upload::new(&app, request)?;
    let (fields, file) = match receive(&app, &caller, &mut upload).await {
        Ok(received) => received,
        Err(error) => {
            upload.drain().await;
            return Err(error.into());
        }
    };
    // The file took its time: whoever has lost the right meanwhile has it no more.
    caller.look_again(&app).await?;
    may_import(&app, &caller).await?;
    let source = destination(&app, &fields).await?;
    if let Some(sha256) = fields.get("sha256")
        && !sha256.eq_ignore_ascii_case(&file.sha256)
    {
        let message = format!(
            "the file that arrived has the SHA-256 {}, not {sha256}: send it again",
            file.sha256
        );
        return Err(Error::invalid(message).into());
    }
    let new = NewDataImport {
        user_id: caller.user.id,
        source_id: source.id,
        schema_name: given(&fields, "dest_schema_name")
            .map(|name| plain("dest_schema_name", name))
            .transpose()?,
        table_name: table_name(&fields)?,
        mode: mode(&fields)?,
        options: serde_json::to_string(&options(&fields)?).map_err(Error::internal)?,
        file_name: file.file_name.clone(),
        upload: file.name.clone(),
        bytes: i64::try_from(file.bytes).map_err(Error::internal)?,
        sha256: file.sha256.clone(),
        lifetime_us: i64::try_from(app.config.upload_lifetime.as_micros()).unwrap_or(i64::MAX),
    };
    let sorted: BTreeMap<&String, &String> = fields.iter().collect();
    let once = once(&caller, &headers, &(sorted, &file.sha256))?;
    // Even if the client goes away now: whoever names the file keeps it.
    let adding = tokio::spawn({
        let (app, key) = (app.clone(), caller.key());
        async move {
            let (import_id, job_id, is_new) = app
                .store
                .add_import(&new, key, app.config.queue_max, once.as_ref())
                .await?;
            if is_new {
                file.keep();
                app.queued.notify_one();
            }
            app.store.sync().await?;
            Ok::<_, Error>((import_id, job_id))
        }
    });
    let (import_id, job_id) = adding.await.map_err(Error::internal)??;
    trail.target("import", import_id);
    trail.note(|record| record.job_id = Some(job_id));
    Ok(Json(ImportSubmitted {
        status: "created",
        job_id,
        import_id,
    }))
}

/// Takes an upload in. What is wrong with fields that come before the file is told before it is read.
async fn receive(app: &App, caller: &Caller, upload: &mut Upload) -> Result<(Fields, UploadedFile), Error> {
    may_import(app, caller).await?;
    let mut fields = Fields::new();
    let mut file = None;
    while let Some(part) = upload.next().await? {
        match part {
            Part::Text(name, text) => {
                if fields.contains_key(&name) {
                    return Err(Error::invalid(format!(
                        "the field {} is there twice",
                        shown_text(&name)
                    )));
                }
                fields.insert(name, text);
            }
            Part::File(_) if file.is_some() => return Err(Error::invalid("there are two fields `file`")),
            Part::File(field) => {
                // It may come after the file.
                if fields.contains_key("dest_ds_id") {
                    destination(app, &fields).await?;
                }
                file = Some(receive_file(app, field).await?);
            }
        }
    }
    let file = file.ok_or_else(|| Error::invalid("the field `file` is missing"))?;
    Ok((fields, file))
}

/// Runs a stored import again.
#[utoipa::path(
    post,
    path = "/data_imports/{id}/execute.json",
    params(("id" = i64, Path, description = "The import's id")),
    responses(
        (status = 200, description = "The job", body = ImportSubmitted),
        (status = 404, description = "Unknown import", body = super::openapi::Errors),
        (status = 409, description = "The uploaded file has expired", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn execute_import(
    State(app): State<App>,
    caller: Caller,
    trail: Trail,
    Segments(id): Segments<String>,
) -> Result<Json<ImportSubmitted>, Rejection> {
    let import = find_import(&app, &caller, &id).await?;
    trail.target("import", import.id);
    may_import(&app, &caller).await?;
    let source = app.store.source(import.source_id).await?;
    writable(
        source
            .ok_or_else(|| Error::new(ErrorCode::Conflict, "the source of this import has been removed"))?,
    )?;
    let submitted = app
        .store
        .execute_import(&import, caller.user.id, caller.key(), app.config.queue_max)
        .await?;
    let status = match submitted {
        Submitted::Joined(_) => "already_existed",
        Submitted::Created(_) | Submitted::Done(_) | Submitted::Repeated(_) => "created",
    };
    let job_id = submitted.job_id();
    trail.note(|record| record.job_id = Some(job_id));
    app.queued.notify_one();
    app.store.sync().await?;
    Ok(Json(ImportSubmitted {
        status,
        job_id,
        import_id: import.id,
    }))
}

/// The imports that the caller may see, newest first.
#[utoipa::path(
    get,
    path = "/data_imports.json",
    params(
        ("_page" = Option<u64>, Query, description = "From 1"),
        ("_page_size" = Option<u64>, Query, description = "Imports a page; 100 unless given, at most 1000"),
    ),
    responses((status = 200, description = "The imports", body = Vec<Object>)),
    security(("key" = []))
)]
pub(crate) async fn list_imports(
    State(app): State<App>,
    caller: Caller,
    params: Params,
) -> Result<Json<Vec<Value>>, Rejection> {
    let page = count("_page", params.get("_page"), 1)?;
    let size = count("_page_size", params.get("_page_size"), PAGE_SIZE)?.min(PAGE_SIZE_MAX);
    let limit = i64::try_from(size).map_err(Error::internal)?;
    let offset = i64::try_from((page - 1).saturating_mul(size)).unwrap_or(i64::MAX);
    if caller.terms.is_of_reports() {
        return Ok(Json(Vec::new()));
    }
    let imports = app
        .store
        .imports_seen_by(caller.user.id, caller.manages_all(), limit, offset)
        .await?;
    Ok(Json(shown(&app, imports).await?))
}

/// One import.
#[utoipa::path(
    get,
    path = "/data_imports/{id}",
    params(("id" = i64, Path, description = "The import's id")),
    responses(
        (status = 200, description = "The import", body = Object),
        (status = 404, description = "Unknown import", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn get_import(
    State(app): State<App>,
    caller: Caller,
    Segments(id): Segments<String>,
) -> Result<Json<Value>, Rejection> {
    let id = id.strip_suffix(".json").ok_or(Rejection::NotFound)?;
    let import = find_import(&app, &caller, id).await?;
    let shown = shown(&app, vec![import]).await?;
    shown.into_iter().next().map(Json).ok_or(Rejection::NotFound)
}

/// The import, if the caller may see it. Its id may be followed by a slug.
async fn find_import(app: &App, caller: &Caller, id: &str) -> Result<DataImport, Rejection> {
    let digits = id.split('-').next().unwrap_or_default();
    let id = digits.parse().map_err(|_| Rejection::NotFound)?;
    let import = app.store.import(id).await?;
    import
        .filter(|import| caller.manages_all() || import.user_id == caller.user.id)
        .filter(|_| !caller.terms.is_of_reports())
        .ok_or(Rejection::NotFound)
}

async fn shown(app: &App, imports: Vec<DataImport>) -> Result<Vec<Value>, Error> {
    let ids: Vec<i64> = imports.iter().map(|import| import.id).collect();
    let runs = app.store.last_runs(&ids).await?;
    let mut shown = Vec::new();
    for import in imports {
        let run = runs.iter().find(|run| run.import_id == import.id);
        shown.push(show(&import, run)?);
    }
    Ok(shown)
}

fn show(import: &DataImport, run: Option<&LastRun>) -> Result<Value, Error> {
    // One import whose survey is of another form must not keep the others from being listed.
    let survey: Option<Survey> = import.survey.as_deref().and_then(|text| {
        serde_json::from_str(text)
            .inspect_err(|error| tracing::error!(import_id = import.id, %error, "cannot read a survey"))
            .ok()
    });
    let columns: Vec<Value> = survey
        .iter()
        .flat_map(|survey| &survey.columns)
        .map(|column| {
            json!({
                "source_expression": column.original,
                "column_name": column.name,
                "data_type": column.column_type.to_string(),
                "is_nullable": column.nullable,
            })
        })
        .collect();
    Ok(json!({
        "id": import.id,
        "title": import.title,
        "owner_id": import.user_id,
        "owner_name": import.owner_name,
        "source_type": "Csv",
        "source_label": import.file_name,
        "source_config": {
            "file_name": import.file_name,
            "bytes": import.bytes,
            "sha256": import.sha256,
            "expires_at": import.expires_at.map(iso_time),
        },
        "dest_ds_id": import.source_id,
        "dest_schema_name": import.schema_name,
        "dest_table_name": import.table_name,
        "import_mode": import.mode.name(),
        "table_config": {"columns": columns},
        "created_at": iso_time(import.created_at),
        "updated_at": iso_time(import.updated_at),
        "last_run": run.map(|run| iso_time(run.created_at)),
        "last_run_job": run.map(|run| json!({"id": run.id, "status": run.status.name()})),
    }))
}

/// Whether the caller has the right, and the queue a place.
async fn may_import(app: &App, caller: &Caller) -> Result<(), Error> {
    if caller.terms.is_of_reports() {
        let message = "this key opens reports alone: it may not import";
        return Err(Error::new(ErrorCode::Forbidden, message));
    }
    if !caller.user.can_import {
        let message = format!(
            "{} may not import; an administrator can change that with `holistics users imports`",
            caller.user.email
        );
        return Err(Error::new(ErrorCode::Forbidden, message));
    }
    app.store.check_room(caller.user.id, app.config.queue_max).await
}
