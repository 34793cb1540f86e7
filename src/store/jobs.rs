//! Jobs on their way: taken by a worker, and ended.

use sqlx::AssertSqlSafe;
use sqlx::Sqlite;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;

use crate::access::Sight;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::job::Job;
use crate::query::Statement;
use crate::source::CONCURRENCY;
use crate::store::COMMIT;
use crate::store::Store;
use crate::store::access::job_is_seen;
use crate::store::access::sight_arguments;
use crate::store::changes::Waiter;
use crate::store::now_us;
use crate::store::results::MadeOf;
use crate::store::results::NewExport;
use crate::store::results::NewResult;

/// The columns of a [`Job`].
pub(super) const JOB: &str =
    "id, kind, format, options, values_of, status, user_id, report_id, report_version, import_id,
    source_id, attempt,
    created_at, started_at, ended_at, error_code, error_message, rejected, result_id,
    export_id, truncate,
    truncate and exists (select 1 from results where id = jobs.result_id and truncated) as truncated";

const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// How jobs are given to workers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// How long a worker need not be heard of.
    pub(crate) lease_us: i64,
    /// How many jobs of one user run at the same time.
    pub(crate) user_jobs_max: i64,
}

/// A job that a worker has taken.
#[derive(sqlx::FromRow)]
pub(crate) struct Claimed {
    #[sqlx(flatten)]
    pub(crate) job: Job,
    /// What was checked when the job was submitted, and is therefore what runs.
    statement: String,
}

impl Claimed {
    pub(crate) fn statement(&self) -> Result<Statement> {
        Ok(serde_json::from_str(&self.statement)?)
    }
}

impl Store {
    /// Takes the next job of the queue: who waits for a page comes before who waits for a file, and that before
    /// imports; among those, first come, first served. Passed over is whose user or source has as many as it may,
    /// and an import while an earlier one into the same table is not done:
    /// they are done in the order in which they came, and none of them waits where it keeps others from working.
    pub(crate) async fn claim(&self, terms: &Terms) -> Result<Option<Claimed>> {
        Ok(sqlx::query_as(AssertSqlSafe(claim_sql()))
            .bind(now_us())
            .bind(terms.lease_us)
            .bind(terms.user_jobs_max)
            .bind(i64::from(CONCURRENCY))
            .fetch_all(&self.writes)
            .await?
            .pop())
    }

    /// How many jobs are before this one in the queue; meaningless unless it is queued.
    pub(crate) async fn jobs_before(&self, job: &Job) -> Result<i64> {
        Ok(sqlx::query_scalar(
            "select count(*) from jobs
             where status = 'queued' and (priority, id) < (select priority, id from jobs where id = $1)",
        )
        .bind(job.id)
        .fetch_one(&self.reads)
        .await?)
    }

    /// Records the rows that a query job has written; with them it is done.
    /// Refused if the job is no longer at this attempt.
    pub(crate) async fn keep_result(&self, job: &Job, result: &NewResult) -> Result<()> {
        let sql = format!(
            "begin immediate;
             {INSERT_RESULT}
             update jobs set result_id = (select id from results where job_id = $1 and attempt = $2),
                    status = 'success', ended_at = max($4, started_at), lease_until = null
             where id = $1 and attempt = $2 and status = 'running' returning id;
             {COMMIT}"
        );
        let statements = bind_result(sqlx::query(AssertSqlSafe(sql)), job, result);
        self.finish(job, self.write_at_once(statements).await?)
    }

    /// Records the file that a job has made, and what it was made of; with them an export job is done.
    /// Refused if the job is no longer at this attempt.
    pub(crate) async fn keep_export(&self, job: &Job, export: &NewExport, made_of: &MadeOf) -> Result<()> {
        let (insert_result, result_id) = match made_of {
            MadeOf::Query(_) => (
                INSERT_RESULT,
                "(select id from results where job_id = $1 and attempt = $2)",
            ),
            // Whoever is handed a file has its whole lifetime to fetch it.
            MadeOf::Stored(_) => (
                "update results set expires_at = max(expires_at, $5) where id = $3;",
                "$3",
            ),
        };
        let sql = format!(
            "begin immediate;
             {insert_result}
             insert into exports (result_id, job_id, attempt, format, options, file_name, bytes, content, created_at, tag)
             select {result_id}, id, attempt, format, options, $13, $14, $15, $4, $16 from jobs
             where id = $1 and attempt = $2 and status = 'running';
             update jobs set result_id = {result_id},
                    export_id = (select id from exports where job_id = $1 and attempt = $2),
                    status = 'success', ended_at = max($4, started_at), lease_until = null
             where id = $1 and attempt = $2 and status = 'running' returning id;
             {COMMIT}"
        );
        let statements = sqlx::query(AssertSqlSafe(sql));
        let statements = match made_of {
            MadeOf::Query(result) => bind_result(statements, job, result),
            MadeOf::Stored(result_id) => {
                let now = now_us();
                let bound = statements
                    .bind(job.id)
                    .bind(job.attempt)
                    .bind(*result_id)
                    .bind(now);
                let bound = bound.bind(now.saturating_add(export.lifetime_us));
                // What only the rows of a query have.
                (6..=12).fold(bound, |bound, _| bound.bind(None::<i64>))
            }
        };
        let statements = statements
            .bind(&export.file_name)
            .bind(export.bytes)
            .bind(&export.content)
            .bind(&export.tag);
        self.finish(job, self.write_at_once(statements).await?)
    }

    /// Ends a job with an error. Refused if the job is no longer at this attempt.
    pub(crate) async fn fail(&self, job: &Job, error: &Error) -> Result<()> {
        let changed = sqlx::query_scalar(
            "update jobs set status = 'failure', ended_at = max($1, started_at), lease_until = null, error_code = $2, error_message = $3
             where id = $4 and attempt = $5 and status = 'running' returning id",
        )
        .bind(now_us())
        .bind(error.code.name())
        .bind(shortened(&error.message))
        .bind(job.id)
        .bind(job.attempt)
        .fetch_all(&self.writes)
        .await?;
        self.finish(job, changed.first().copied())
    }

    /// Tells those who wait that a job is done, if that is what was written.
    pub(super) fn finish(&self, job: &Job, changed: Option<i64>) -> Result<()> {
        if changed.is_none() {
            return Err(Error::new(
                ErrorCode::Conflict,
                format!("job `{}` is no longer at attempt {}", job.id, job.attempt),
            ));
        }
        self.changes.tell(job.id);
        Ok(())
    }

    /// The job, if these eyes may see it.
    pub(crate) async fn job_seen_by(&self, id: i64, sight: &Sight) -> Result<Option<Job>> {
        let own =
            "jobs.user_id = $2 or exists (select 1 from job_users where job_id = jobs.id and user_id = $2)";
        let sql = format!("select {JOB} from jobs where id = $5 and {}", job_is_seen(own));
        Ok(sqlx::query_as_with(AssertSqlSafe(sql), sight_arguments(sight)?)
            .bind(id)
            .fetch_optional(&self.reads)
            .await?)
    }

    /// Begins to wait for a job. Who begins before reading the job's row misses nothing.
    pub(crate) fn waiter(&self, job_id: i64) -> Waiter {
        self.changes.waiter(job_id)
    }

    /// How many jobs somebody waits for.
    #[cfg(test)]
    pub(crate) fn waited_for(&self) -> usize {
        self.changes.count()
    }

    /// Forgets finished jobs that are older than this, but for those whose result still lives,
    /// and imports whose file has gone once their jobs are forgotten.
    pub(crate) async fn forget_jobs(&self, older_than_us: i64) -> Result<u64> {
        self.delete_in_steps(
            "delete from jobs where id in (
                select id from jobs
                where created_at < $1 and status in ('success', 'failure', 'cancelled') and result_id is null
                limit $2)",
            older_than_us,
        )
        .await?;
        self.delete_in_steps(
            "delete from data_imports where id in (
                select id from data_imports
                where created_at < $1 and expires_at is null
                  and not exists (select 1 from jobs where import_id = data_imports.id)
                limit $2)",
            older_than_us,
        )
        .await
    }
}

/// Databases quote statements, which can be long.
pub(crate) fn shortened(message: &str) -> &str {
    &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)]
}

/// The rows of a query, as long as the job is at the attempt that made them.
const INSERT_RESULT: &str = "
    insert into results (job_id, attempt, result_key, rows, bytes, rows_kept, content, created_at, expires_at,
                         columns, engine_us, truncated)
    select id, attempt, result_key, $6, $7, $8, $9, $4, $5, $10, $11, $12 from jobs
    where id = $1 and attempt = $2 and status = 'running';";

type Statements<'q> = Query<'q, Sqlite, SqliteArguments>;

/// Binds $1 to $12; $3 is not of a result that the job itself has made.
fn bind_result<'q>(statements: Statements<'q>, job: &Job, result: &'q NewResult) -> Statements<'q> {
    let now = now_us();
    statements
        .bind(job.id)
        .bind(job.attempt)
        .bind(None::<i64>)
        .bind(now)
        .bind(now.saturating_add(result.lifetime_us))
        .bind(result.rows)
        .bind(result.bytes)
        .bind(result.rows_kept)
        .bind(&result.content)
        .bind(&result.columns)
        .bind(result.engine_us)
        .bind(result.truncated)
}

/// The next job of the queue becomes this worker's.
fn claim_sql() -> String {
    format!(
            "update jobs set status = 'running', attempt = attempt + 1, started_at = max($1, created_at),
                    lease_until = $1 + $2
             where id = (
                select id from jobs as next
                where status = 'queued'
                  and user_id not in (
                    -- Another index would lead through all jobs that ever were.
                    select user_id from jobs indexed by jobs_leased where status in ('running', 'cancelling')
                    group by user_id having count(*) >= $3)
                  and source_id not in (
                    select source_id from jobs indexed by jobs_leased join sources on sources.id = source_id
                    where status in ('running', 'cancelling')
                    group by source_id having count(*) >= coalesce(json_extract(settings, '$.concurrency'), $4))
                  and not (kind = 'import' and exists (
                    select 1 from jobs as earlier
                    join data_imports as theirs on theirs.id = earlier.import_id
                    join data_imports as ours on ours.id = next.import_id
                    where earlier.kind = 'import' and earlier.status in ('queued', 'running', 'cancelling')
                      and earlier.source_id = next.source_id and earlier.id < next.id
                      and lower(theirs.table_name) = lower(ours.table_name)
                      -- Which schema is meant if none is named, only the database knows.
                      and coalesce(lower(theirs.schema_name) = lower(ours.schema_name), true)))
                order by priority, id limit 1)
             returning {JOB}, statement"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is in the table of jobs, the next one is found by what is queued and what runs.
    #[tokio::test]
    async fn claim_reads_nothing_of_jobs_that_are_over() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("metadata.sqlite")).await.unwrap();
        let explain = format!("explain query plan {}", claim_sql());
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(AssertSqlSafe(explain))
            .fetch_all(&store.writes)
            .await
            .unwrap();
        let fits = ["jobs_queue", "jobs_leased", "jobs_live_imports", "PRIMARY KEY"];
        let looks = plan.iter().map(|(_, _, _, line)| line);
        for line in looks.filter(|line| line.starts_with("SCAN") || line.starts_with("SEARCH")) {
            assert!(fits.iter().any(|index| line.contains(index)), "{line}");
        }
        assert!(plan.len() > 5);
    }
}
