//! The queue: submit, claim, finish, and taking up what a crash left.

use sqlx::AssertSqlSafe;
use sqlx::SqliteConnection;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::job::Job;
use crate::job::JobKind;
use crate::job::LOSSES_MAX;
use crate::job::NewJob;
use crate::job::Submitted;
use crate::query::Statement;
use crate::store::Store;
use crate::store::finished::Waiter;
use crate::store::now_us;
use crate::store::results::MadeOf;
use crate::store::results::NewExport;
use crate::store::results::NewResult;
use crate::store::results::RESULT;
use crate::store::results::StoredResult;
use crate::store::reuse::fresh;

impl Store {
    /// Queues a job, joins the live one that does the same, or finishes it at once from a fresh result.
    pub(crate) async fn submit(&self, new: &NewJob) -> Result<Submitted> {
        let key = new.result_key()?;
        if let Some(id) = self.done_already(new, &key).await? {
            return Ok(Submitted::Done(id));
        }
        let statement = serde_json::to_string(&new.statement)?;
        let mut transaction = self.begin_write().await?;
        let live: Option<i64> = sqlx::query_scalar(
            "select id from jobs
             where result_key = $1 and kind = $2 and format = $3 and options = $4
               and status in ('queued', 'running')",
        )
        .bind(&key)
        .bind(new.kind)
        .bind(&new.format)
        .bind(&new.options)
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(id) = live {
            let_see(&mut transaction, id, new.user_id).await?;
            transaction.commit().await?;
            return Ok(Submitted::Joined(id));
        }
        let (result_id, export_id) = fresh(&mut transaction, new, &key).await?;
        let done = match new.kind {
            JobKind::Query => result_id.is_some(),
            JobKind::Export => export_id.is_some(),
        };
        let now = now_us();
        let id = sqlx::query_scalar(
            "insert into jobs (kind, format, options, status, user_id, report_id, report_version, result_key, statement,
                               created_at, started_at, ended_at, result_id, export_id)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12, $13)
             returning id",
        )
        .bind(new.kind)
        .bind(&new.format)
        .bind(&new.options)
        .bind(if done { "success" } else { "queued" })
        .bind(new.user_id)
        .bind(new.report_id)
        .bind(new.report_version)
        .bind(&key)
        .bind(statement)
        .bind(now)
        .bind(done.then_some(now))
        .bind(result_id)
        .bind(export_id)
        .fetch_one(&mut *transaction)
        .await?;
        let_see(&mut transaction, id, new.user_id).await?;
        transaction.commit().await?;
        Ok(match done {
            true => Submitted::Done(id),
            false => Submitted::Created(id),
        })
    }

    /// Takes the oldest queued job.
    pub(crate) async fn claim(&self) -> Result<Option<Job>> {
        Ok(sqlx::query_as(
            "update jobs set status = 'running', attempt = attempt + 1, started_at = $1
             where id = (select id from jobs where status = 'queued' order by id limit 1)
             returning id, kind, format, options, status, user_id, report_id, report_version, result_key, attempt,
                       created_at, started_at, ended_at, error_code, error_message, result_id, export_id",
        )
        .bind(now_us())
        .fetch_optional(&self.pool)
        .await?)
    }

    /// Records the rows that a job has written; with them a query job is done.
    /// Refused if the job is no longer at this attempt.
    pub(crate) async fn keep_result(&self, job: &Job, result: &NewResult) -> Result<StoredResult> {
        let mut transaction = self.begin_write().await?;
        let now = now_us();
        let stored = insert_result(&mut transaction, job, result, now).await?;
        let done = job.kind == JobKind::Query;
        let changed = sqlx::query(
            "update jobs set result_id = $1, status = $2, ended_at = $3
             where id = $4 and attempt = $5 and status = 'running'",
        )
        .bind(stored.id)
        .bind(if done { "success" } else { "running" })
        .bind(done.then_some(now))
        .bind(job.id)
        .bind(job.attempt)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        moved_on(changed, job)?;
        transaction.commit().await?;
        self.finished.tell(job.id);
        Ok(stored)
    }

    /// Records the file that a job has made, and what it was made of; with them an export job is done.
    /// Refused if the job is no longer at this attempt.
    pub(crate) async fn keep_export(&self, job: &Job, export: &NewExport, made_of: &MadeOf) -> Result<()> {
        let mut transaction = self.begin_write().await?;
        let now = now_us();
        let result_id = match made_of {
            MadeOf::Stored(id) => {
                prolong(&mut transaction, *id, export.lifetime_us).await?;
                *id
            }
            MadeOf::Query(result) => insert_result(&mut transaction, job, result, now).await?.id,
        };
        let id: i64 = sqlx::query_scalar(
            "insert into exports (result_id, job_id, attempt, format, options, file_name, bytes, content, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning id",
        )
        .bind(result_id)
        .bind(job.id)
        .bind(job.attempt)
        .bind(&job.format)
        .bind(&job.options)
        .bind(&export.file_name)
        .bind(export.bytes)
        .bind(&export.content)
        .bind(now)
        .fetch_one(&mut *transaction)
        .await?;
        let changed = sqlx::query(
            "update jobs set result_id = $1, export_id = $2, status = 'success', ended_at = $3
             where id = $4 and attempt = $5 and status = 'running'",
        )
        .bind(result_id)
        .bind(id)
        .bind(now)
        .bind(job.id)
        .bind(job.attempt)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
        moved_on(changed, job)?;
        transaction.commit().await?;
        self.finished.tell(job.id);
        Ok(())
    }

    /// Ends a job with an error. Refused if the job is no longer at this attempt.
    pub(crate) async fn fail(&self, job: &Job, error: &Error) -> Result<()> {
        let changed = sqlx::query(
            "update jobs set status = 'failure', ended_at = $1, error_code = $2, error_message = $3
             where id = $4 and attempt = $5 and status = 'running'",
        )
        .bind(now_us())
        .bind(error.code.name())
        .bind(&error.message)
        .bind(job.id)
        .bind(job.attempt)
        .execute(&self.pool)
        .await?
        .rows_affected();
        moved_on(changed, job)?;
        self.finished.tell(job.id);
        Ok(())
    }

    /// Queues again what an earlier process left running; a job that was lost too often fails.
    /// Only for a process that holds the data folder alone.
    pub(crate) async fn take_up_interrupted(&self) -> Result<u64> {
        let mut transaction = self.begin_write().await?;
        sqlx::query("update jobs set losses = losses + 1 where status = 'running'")
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "update jobs set status = 'failure', ended_at = $1, error_code = 'internal',
                    error_message = 'worker lost: the server stopped ' || losses || ' times while it worked on this'
             where status = 'running' and losses >= $2",
        )
        .bind(now_us())
        .bind(LOSSES_MAX)
        .execute(&mut *transaction)
        .await?;
        let queued = sqlx::query("update jobs set status = 'queued' where status = 'running'")
            .execute(&mut *transaction)
            .await?
            .rows_affected();
        transaction.commit().await?;
        Ok(queued)
    }

    /// Puts a job back that a clean stop of the server interrupts; that is no loss.
    pub(crate) async fn hand_back(&self, job: &Job) -> Result<()> {
        sqlx::query(
            "update jobs set status = 'queued' where id = $1 and attempt = $2 and status = 'running'",
        )
        .bind(job.id)
        .bind(job.attempt)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// What was checked when the job was submitted, and is therefore what runs.
    pub(crate) async fn statement(&self, job_id: i64) -> Result<Statement> {
        let statement: String = sqlx::query_scalar("select statement from jobs where id = $1")
            .bind(job_id)
            .fetch_one(&self.pool)
            .await?;
        Ok(serde_json::from_str(&statement)?)
    }

    /// The job, if this user may see it.
    pub(crate) async fn job_seen_by(&self, id: i64, user_id: i64, is_admin: bool) -> Result<Option<Job>> {
        Ok(sqlx::query_as(
            "select id, kind, format, options, status, user_id, report_id, report_version, result_key, attempt,
                    created_at, started_at, ended_at, error_code, error_message, result_id, export_id
             from jobs
             where id = $1
               and ($2 or exists (select 1 from job_users where job_id = jobs.id and user_id = $3))",
        )
        .bind(id)
        .bind(is_admin)
        .bind(user_id)
        .fetch_optional(&self.pool)
        .await?)
    }

    /// Begins to wait for a job. Who begins before reading the job's row misses nothing.
    pub(crate) fn waiter(&self, job_id: i64) -> Waiter {
        self.finished.waiter(job_id)
    }

    /// Forgets finished jobs that are older than this, but for those whose result still lives.
    pub(crate) async fn forget_jobs(&self, older_than_us: i64) -> Result<u64> {
        Ok(sqlx::query(
            "delete from jobs
             where created_at < $1 and status in ('success', 'failure') and result_id is null",
        )
        .bind(older_than_us)
        .execute(&self.pool)
        .await?
        .rows_affected())
    }
}

async fn insert_result(
    connection: &mut SqliteConnection,
    job: &Job,
    result: &NewResult,
    now: i64,
) -> Result<StoredResult> {
    let sql = format!(
        "insert into results (job_id, attempt, result_key, rows, bytes, rows_kept, content, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning {RESULT}"
    );
    Ok(sqlx::query_as(AssertSqlSafe(sql))
        .bind(job.id)
        .bind(job.attempt)
        .bind(&job.result_key)
        .bind(result.rows)
        .bind(result.bytes)
        .bind(result.rows_kept)
        .bind(&result.content)
        .bind(now)
        .bind(now.saturating_add(result.lifetime_us))
        .fetch_one(connection)
        .await?)
}

/// Whoever is handed a file has its whole lifetime to fetch it.
async fn prolong(connection: &mut SqliteConnection, result_id: i64, lifetime_us: i64) -> Result<()> {
    sqlx::query("update results set expires_at = max(expires_at, $1) where id = $2")
        .bind(now_us() + lifetime_us)
        .bind(result_id)
        .execute(connection)
        .await?;
    Ok(())
}

async fn let_see(connection: &mut SqliteConnection, job_id: i64, user_id: i64) -> Result<()> {
    sqlx::query("insert into job_users (job_id, user_id) values ($1, $2) on conflict do nothing")
        .bind(job_id)
        .bind(user_id)
        .execute(connection)
        .await?;
    Ok(())
}

fn moved_on(changed: u64, job: &Job) -> Result<()> {
    match changed {
        0 => Err(Error::new(
            ErrorCode::Conflict,
            format!("job `{}` is no longer at attempt {}", job.id, job.attempt),
        )),
        _ => Ok(()),
    }
}
