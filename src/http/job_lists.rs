//! Lists of jobs.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::RawQuery;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::http::App;
use crate::http::auth::Caller;
use crate::http::error::Rejection;
use crate::http::jobs::JobInfo;
use crate::http::jobs::info;
use crate::http::jobs::iso_time;
use crate::http::params::Params;
use crate::http::params::count;
use crate::job::Job;
use crate::job::JobStatus;
use crate::store::job_lists::JobFilter;

/// As many jobs a page unless said otherwise, and at most.
const PAGE_SIZE: u64 = 25;
const PAGE_SIZE_MAX: u64 = 1_000;
/// As many reports or imports are asked for at once.
const IDS_MAX: usize = 1_000;

/// A job, what it is of, and whose it is.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobListed {
    #[serde(flatten)]
    job: JobInfo,
    /// Of the report or the import.
    title: String,
    user: JobUser,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct JobUser {
    name: String,
}

/// The last job of a report or an import.
#[derive(Serialize, ToSchema)]
pub(crate) struct LastJob {
    id: i64,
    status: &'static str,
    start_time: Option<String>,
    end_time: Option<String>,
    created_at: String,
}

/// The caller's jobs, newest first; an administrator's are all.
#[utoipa::path(
    get,
    path = "/jobs.json",
    params(
        ("source_type" = Option<String>, Query, description = "`QueryReport` or `DataImport`"),
        ("source_id" = Option<i64>, Query, description = "The report or the import"),
        ("status" = Option<String>, Query, description = "`queued`, `running`, …"),
        ("_page" = Option<u64>, Query, description = "From 1"),
        ("_page_size" = Option<u64>, Query, description = "Up to 1,000; 25 unless given"),
    ),
    responses((status = 200, description = "The jobs", body = [JobListed])),
    security(("key" = []))
)]
pub(crate) async fn list_jobs(
    State(app): State<App>,
    caller: Caller,
    params: Params,
) -> Result<Json<Vec<JobListed>>, Rejection> {
    let filter = filter(&caller, &params)?;
    let page = count("_page", params.get("_page"), 1)?;
    let page_size = count("_page_size", params.get("_page_size"), PAGE_SIZE)?;
    if page_size > PAGE_SIZE_MAX {
        let wanted = format!("a whole number from 1 to {PAGE_SIZE_MAX}");
        return Err(Error::must_be("_page_size", &wanted, &page_size.to_string()).into());
    }
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let offset = number((page - 1).saturating_mul(page_size));
    let jobs = app.store.jobs(&filter, number(page_size), offset).await?;
    let listed = jobs.into_iter().map(|listed| JobListed {
        job: info(&listed.job),
        title: listed.title,
        user: JobUser {
            name: listed.user_name,
        },
    });
    Ok(Json(listed.collect()))
}

/// The last job of each of several reports or imports, by their ids.
#[utoipa::path(
    get,
    path = "/jobs/last_run_jobs.json",
    params(
        ("source_type" = Option<String>, Query, description = "`QueryReport`, as ever, or `DataImport`"),
        ("ids[]" = Vec<i64>, Query, description = "Reports or imports, up to 1,000"),
    ),
    responses((status = 200, description = "Jobs by the id of their report or import", body = BTreeMap<String, LastJob>)),
    security(("key" = []))
)]
pub(crate) async fn last_run_jobs(
    State(app): State<App>,
    caller: Caller,
    params: Params,
    RawQuery(query): RawQuery,
) -> Result<Json<BTreeMap<i64, LastJob>>, Rejection> {
    let filter = JobFilter {
        of_imports: Some(filter(&caller, &params)?.of_imports.unwrap_or(false)),
        source_id: None,
        status: None,
        ..filter(&caller, &params)?
    };
    let ids = ids(query.as_deref().unwrap_or_default())?;
    let jobs = app.store.last_jobs(&filter, &ids).await?;
    Ok(Json(jobs.iter().map(last).collect()))
}

fn last(job: &Job) -> (i64, LastJob) {
    let last = LastJob {
        id: job.id,
        status: job.status.name(),
        start_time: job.started_at.map(iso_time),
        end_time: job.ended_at.map(iso_time),
        created_at: iso_time(job.created_at),
    };
    (job.report_id.or(job.import_id).unwrap_or_default(), last)
}

fn filter(caller: &Caller, params: &Params) -> Result<JobFilter, Error> {
    let given = |name| params.get(name).filter(|text| !text.is_empty());
    let of_imports = match given("source_type") {
        None => None,
        Some("QueryReport") => Some(false),
        Some("DataImport") => Some(true),
        Some(other) => {
            return Err(Error::must_be(
                "source_type",
                "`QueryReport` or `DataImport`",
                other,
            ));
        }
    };
    let source_id = given("source_id")
        .map(|text| number("source_id", text))
        .transpose()?;
    let status = given("status").map(|text| {
        let known = JobStatus::ALL.into_iter().find(|status| status.name() == text);
        let names = JobStatus::ALL
            .map(|status| format!("`{}`", status.name()))
            .join(", ");
        known.ok_or_else(|| Error::must_be("status", &format!("one of {names}"), text))
    });
    Ok(JobFilter {
        sight: caller.sight()?,
        of_imports,
        source_id,
        status: status.transpose()?,
    })
}

/// All of `ids[]=1&ids[]=2`; commas do too.
fn ids(query: &str) -> Result<Vec<i64>, Error> {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let lists = pairs.filter(|(name, _)| name == "ids[]" || name == "ids");
    let mut ids = Vec::new();
    for (_, list) in lists {
        for text in list.split(',').filter(|text| !text.is_empty()) {
            ids.push(number("ids[]", text)?);
        }
    }
    match ids.len() {
        0..=IDS_MAX => Ok(ids),
        count => Err(Error::must_be(
            "ids[]",
            &format!("up to {IDS_MAX} numbers"),
            &count.to_string(),
        )),
    }
}

fn number(name: &str, text: &str) -> Result<i64, Error> {
    text.parse()
        .map_err(|_| Error::must_be(name, "a whole number", text))
}
