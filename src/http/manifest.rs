//! What a job has made, in figures: to check a copy of it, and to know years later what it was.

use std::io::Read;
use std::sync::Arc;
use std::sync::Weak;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use sha2::Digest as _;
use sha2::Sha256;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::hex::hex;
use crate::http::App;
use crate::http::auth::Caller;
use crate::http::error::Rejection;
use crate::http::jobs::iso_time;
use crate::http::params::Segments;
use crate::http::poll::find_job;
use crate::job::Job;
use crate::job::JobStatus;
use crate::objects::ObjectName;
use crate::store::results::StoredExport;
use crate::store::results::StoredResult;
use crate::store::results::Summed;

const PIECE_BYTES: usize = 1 << 20;

/// How many sums are made at a time, so that they starve nobody.
static SUMS: Semaphore = Semaphore::const_new(2);

/// Of a job of a report that has succeeded.
#[derive(Serialize, ToSchema)]
pub(crate) struct Manifest {
    job_id: i64,
    report_id: Option<i64>,
    report_version: Option<i64>,
    /// The database that it ran on; null if that has been removed.
    source: Option<String>,
    /// The filter whose values it has listed, instead of the report's rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    values_of: Option<String>,
    /// The values of the filters by name, but for those that are secret.
    values: serde_json::Value,
    rows: i64,
    /// There were more, and `_truncate=true` had them cut.
    truncated: bool,
    /// Of the file; of a query's result, of the rows as they are stored.
    bytes: i64,
    /// Of the same, in hexadecimal digits.
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
    /// How the file was asked for, where that is not as usual: `profile`, `delimiter` and `null` of CSV, `compress`.
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<serde_json::Value>,
    /// Names and types of the columns.
    columns: serde_json::Value,
    /// How long the query ran, with its rows on their way, in seconds.
    engine_time: Option<f64>,
    created_at: String,
    expires_at: String,
}

/// What the job has made: rows, bytes, sum, columns, values, times.
#[utoipa::path(
    get,
    path = "/jobs/{job_id}/manifest.json",
    params(("job_id" = i64, Path, description = "From the submit's answer")),
    responses(
        (status = 200, description = "The manifest", body = Manifest),
        (status = 404, description = "Unknown job", body = super::openapi::Errors),
        (status = 409, description = "A job that has made nothing, or not yet", body = super::openapi::Errors),
    ),
    security(("key" = []))
)]
pub(crate) async fn get_manifest(
    State(app): State<App>,
    caller: Caller,
    Segments(job_id): Segments<String>,
) -> Result<Json<Manifest>, Rejection> {
    let job_id = job_id.parse().map_err(|_| Rejection::NotFound)?;
    let job = find_job(&app, &caller, job_id).await?;
    let none = |why: &str| Error::new(ErrorCode::Conflict, format!("job `{job_id}` {why}"));
    let result = match (job.status, job.result_id) {
        (JobStatus::Success, Some(id)) => app.store.result(id).await?,
        (JobStatus::Success, None) => None,
        (status, _) => return Err(none(&format!("is {}: it has nothing to tell of", status.name())).into()),
    };
    let result = result
        .filter(|result| !result.is_expired())
        .ok_or_else(|| none("has no result, or no longer"))?;
    let export = match job.export_id {
        Some(id) => Some(
            app.store
                .export(id)
                .await?
                .ok_or_else(|| none("has a file no longer"))?,
        ),
        None => None,
    };
    // What is told stays, a power cut or not.
    app.store.sync().await?;
    let sha256 = sha256(&app, &job, &result, export.as_ref()).await?;
    let source = app.store.source(job.source_id).await?;
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).map_err(Error::internal);
    let options = export
        .as_ref()
        .map(|export| parsed(&export.options))
        .transpose()?;
    Ok(Json(Manifest {
        job_id,
        report_id: job.report_id,
        report_version: job.report_version,
        source: source.map(|source| source.name),
        values_of: job.values_of,
        values: parsed(&app.store.filter_values(job_id).await?)?,
        rows: result.rows,
        truncated: result.truncated,
        bytes: export.as_ref().map_or(result.bytes, |export| export.bytes),
        sha256,
        file_name: export.map(|export| export.file_name),
        options: options.filter(|options| options.as_object().is_some_and(|options| !options.is_empty())),
        columns: parsed(result.columns.as_deref().unwrap_or("null"))?,
        engine_time: result.engine_us.map(|us| us as f64 / 1e6),
        created_at: iso_time(result.created_at),
        expires_at: iso_time(result.expires_at),
    }))
}

/// Read when first asked for: hashing on the way would take processor time from encoding, whether or not anybody asks.
async fn sha256(
    app: &App,
    job: &Job,
    result: &StoredResult,
    export: Option<&StoredExport>,
) -> Result<String, Error> {
    let (known, content, summed, name) = match export {
        Some(export) => {
            let name = ObjectName::Export {
                job_id: export.job_id,
                attempt: export.attempt,
                format: &export.format,
            };
            (&export.sha256, &export.content, Summed::Export(export.id), name)
        }
        None => {
            let name = ObjectName::Result {
                job_id: result.job_id,
                attempt: result.attempt,
            };
            (&result.sha256, &result.content, Summed::Result(result.id), name)
        }
    };
    if let Some(known) = known {
        return Ok(known.clone());
    }
    let sum = match content {
        Some(content) => hex(&Sha256::digest(content)),
        None => {
            let permit = SUMS.acquire().await.map_err(Error::internal)?;
            // Who had it before may have made this very sum.
            if let Some(known) = app.store.sha256(summed).await? {
                return Ok(known);
            }
            let file = app.objects.open_object(&name)?;
            let wanted = Arc::new(());
            let still = Arc::downgrade(&wanted);
            let summing = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                sum_of(file, &still)
            });
            let sum = summing.await.map_err(Error::internal)??;
            drop(wanted);
            sum
        }
    };
    if let Err(error) = app.store.keep_sha256(summed, &sum).await {
        tracing::warn!(job_id = job.id, %error, "cannot keep the sum of a file");
    }
    Ok(sum)
}

/// Stops when nobody wants the sum any more.
fn sum_of(mut file: std::fs::File, still: &Weak<()>) -> Result<String, Error> {
    let mut sum = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        if still.strong_count() == 0 {
            return Err(Error::new(ErrorCode::Cancelled, "the client has gone"));
        }
        match file.read(&mut piece)? {
            0 => return Ok(hex(&sum.finalize())),
            read => sum.update(piece.get(..read).unwrap_or_default()),
        }
    }
}
