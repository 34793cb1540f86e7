//! Jobs as lists have them.

use sqlx::AssertSqlSafe;

use crate::error::Result;
use crate::job::Job;
use crate::job::JobStatus;
use crate::store::Store;
use crate::store::jobs::JOB;

/// Whose jobs, and which of them. What is `None` does not matter.
#[derive(Default)]
pub(crate) struct JobFilter {
    pub(crate) user_id: i64,
    pub(crate) sees_all: bool,
    /// Of reports, or of imports.
    pub(crate) of_imports: Option<bool>,
    /// The report's or the import's id.
    pub(crate) source_id: Option<i64>,
    pub(crate) status: Option<JobStatus>,
}

/// A job, what it is of, and whose it is.
#[derive(sqlx::FromRow)]
pub(crate) struct ListedJob {
    #[sqlx(flatten)]
    pub(crate) job: Job,
    pub(crate) title: String,
    pub(crate) user_name: String,
}

/// What is true of the jobs of a filter. Binds $1 to $5.
const CHOSEN: &str = "
    ($1 or jobs.id in (select id from jobs where user_id = $2
                       union all select job_id from job_users where user_id = $2))
    and coalesce((jobs.kind = 'import') = $3, true)
    and coalesce($4 = coalesce(report_id, import_id), true)
    and coalesce(status = $5, true)";

impl Store {
    /// The jobs that a user may see, newest first, a page of them.
    pub(crate) async fn jobs(&self, filter: &JobFilter, limit: i64, offset: i64) -> Result<Vec<ListedJob>> {
        let sql = format!(
            "select {JOB},
                    coalesce((select definition ->> '$.title' from report_versions
                              where report_versions.report_id = jobs.report_id and version = report_version),
                             (select title from data_imports where data_imports.id = jobs.import_id), '') as title,
                    (select name from users where users.id = user_id) as user_name
             from jobs where {CHOSEN} order by id desc limit $6 offset $7"
        );
        Ok(sqlx::query_as(AssertSqlSafe(sql))
            .bind(filter.sees_all)
            .bind(filter.user_id)
            .bind(filter.of_imports)
            .bind(filter.source_id)
            .bind(filter.status)
            .bind(limit)
            .bind(offset)
            .fetch_all(&self.reads)
            .await?)
    }

    /// The newest job, that a user may see, of each of these reports or imports that has one.
    pub(crate) async fn last_jobs(&self, filter: &JobFilter, source_ids: &[i64]) -> Result<Vec<Job>> {
        // By the index of either.
        let of = match filter.of_imports {
            Some(true) => "import_id",
            _ => "report_id",
        };
        let sql = format!(
            "select {JOB} from jobs where id in (
                select max(id) from jobs
                where {CHOSEN} and {of} in (select value from json_each($6)) group by {of})"
        );
        Ok(sqlx::query_as(AssertSqlSafe(sql))
            .bind(filter.sees_all)
            .bind(filter.user_id)
            .bind(filter.of_imports)
            .bind(filter.source_id)
            .bind(filter.status)
            .bind(serde_json::to_string(source_ids)?)
            .fetch_all(&self.reads)
            .await?)
    }
}
