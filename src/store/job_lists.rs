//! Jobs as lists have them.

use sqlx::AssertSqlSafe;

use crate::access::Sight;
use crate::error::Result;
use crate::job::Job;
use crate::job::JobStatus;
use crate::store::Store;
use crate::store::access::job_is_seen;
use crate::store::access::sight_arguments;
use crate::store::jobs::JOB;

/// Whose jobs, and which of them. What is `None` does not matter.
pub(crate) struct JobFilter {
    pub(crate) sight: Sight,
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

/// What is true of the jobs of a filter. Binds $1 to $7.
fn chosen() -> String {
    let own = "jobs.id in (select id from jobs where user_id = $2
                           union all select job_id from job_users where user_id = $2)";
    format!(
        "{}
         and coalesce((jobs.kind = 'import') = $5, true)
         and coalesce($6 = coalesce(jobs.report_id, import_id), true)
         and coalesce(status = $7, true)",
        job_is_seen(own)
    )
}

impl Store {
    /// The jobs that a user may see, newest first, a page of them.
    pub(crate) async fn jobs(&self, filter: &JobFilter, limit: i64, offset: i64) -> Result<Vec<ListedJob>> {
        let sql = format!(
            "select {JOB},
                    coalesce((select definition ->> '$.title' from report_versions
                              where report_versions.report_id = jobs.report_id and version = report_version),
                             (select title from data_imports where data_imports.id = jobs.import_id), '') as title,
                    (select name from users where users.id = user_id) as user_name
             from jobs where {} order by id desc limit $8 offset $9",
            chosen()
        );
        Ok(
            sqlx::query_as_with(AssertSqlSafe(sql), sight_arguments(&filter.sight)?)
                .bind(filter.of_imports)
                .bind(filter.source_id)
                .bind(filter.status)
                .bind(limit)
                .bind(offset)
                .fetch_all(&self.reads)
                .await?,
        )
    }

    /// The newest job, that a user may see, of each of these reports or imports that has one; what lists the values
    /// of a filter is no run of its report.
    pub(crate) async fn last_jobs(&self, filter: &JobFilter, source_ids: &[i64]) -> Result<Vec<Job>> {
        // By the index of either.
        let of = match filter.of_imports {
            Some(true) => "import_id",
            _ => "report_id",
        };
        let sql = format!(
            "select {JOB} from jobs where id in (
                select max(id) from jobs
                where {} and jobs.{of} in (select value from json_each($8))
                      and jobs.values_of is null
                group by jobs.{of})",
            chosen()
        );
        Ok(
            sqlx::query_as_with(AssertSqlSafe(sql), sight_arguments(&filter.sight)?)
                .bind(filter.of_imports)
                .bind(filter.source_id)
                .bind(filter.status)
                .bind(serde_json::to_string(source_ids)?)
                .fetch_all(&self.reads)
                .await?,
        )
    }
}
