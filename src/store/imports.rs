//! Data imports, their jobs and the files that were uploaded for them.

use std::collections::HashSet;

use sqlx::AssertSqlSafe;
use sqlx::SqliteConnection;

use crate::data_import::DataImport;
use crate::data_import::NewDataImport;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::job::Job;
use crate::job::JobStatus;
use crate::job::KeyShare;
use crate::job::Submitted;
use crate::store::Store;
use crate::store::idempotency::Idempotency;
use crate::store::idempotency::job_of_key;
use crate::store::idempotency::keep_key;
use crate::store::now_us;
use crate::store::submits::check_room;
use crate::store::submits::check_share;

/// Imports with the names of their owners.
const IMPORT: &str =
    "select data_imports.*, users.name as owner_name from data_imports join users on users.id = user_id";

/// The newest job of an import.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct LastRun {
    pub(crate) import_id: i64,
    pub(crate) id: i64,
    pub(crate) status: JobStatus,
    pub(crate) created_at: i64,
}

impl Store {
    /// Keeps an upload as a data import and queues its first job. Says the ids of both,
    /// and whether they are of this submit, or of an earlier one with the same key.
    pub(crate) async fn add_import(
        &self,
        new: &NewDataImport,
        key: Option<KeyShare>,
        queue_max: i64,
        once: Option<&Idempotency>,
    ) -> Result<(i64, i64, bool)> {
        let mut transaction = self.begin_write().await?;
        if let Some(once) = once
            && let Some(job_id) = job_of_key(&mut transaction, once).await?
        {
            let import_id: Option<i64> = sqlx::query_scalar("select import_id from jobs where id = $1")
                .bind(job_id)
                .fetch_optional(&mut *transaction)
                .await?;
            return Ok((import_id.unwrap_or_default(), job_id, false));
        }
        let now = now_us();
        let import_id: i64 = sqlx::query_scalar(
            "insert into data_imports (title, user_id, source_id, schema_name, table_name, mode, options, file_name,
                                       upload, bytes, sha256, created_at, updated_at, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13)
             returning id",
        )
        .bind(format!("{} to {}", new.file_name, new.table_name))
        .bind(new.user_id)
        .bind(new.source_id)
        .bind(&new.schema_name)
        .bind(&new.table_name)
        .bind(new.mode)
        .bind(&new.options)
        .bind(&new.file_name)
        .bind(&new.upload)
        .bind(new.bytes)
        .bind(&new.sha256)
        .bind(now)
        .bind(now.saturating_add(new.lifetime_us))
        .fetch_one(&mut *transaction)
        .await?;
        let job_id = queue_job(
            &mut transaction,
            import_id,
            new.source_id,
            new.user_id,
            key,
            queue_max,
        )
        .await?;
        if let Some(once) = once {
            keep_key(&mut transaction, once, job_id).await?;
        }
        transaction.commit().await?;
        Ok((import_id, job_id, true))
    }

    /// Queues a job that does an import once more, unless one is live.
    pub(crate) async fn execute_import(
        &self,
        import: &DataImport,
        user_id: i64,
        key: Option<KeyShare>,
        queue_max: i64,
    ) -> Result<Submitted> {
        let mut transaction = self.begin_write().await?;
        let expires_at: Option<i64> = sqlx::query_scalar("select expires_at from data_imports where id = $1")
            .bind(import.id)
            .fetch_one(&mut *transaction)
            .await?;
        if expires_at.is_none() {
            return Err(Error::new(
                ErrorCode::Conflict,
                "the uploaded file of this import has expired: import it again",
            ));
        }
        let live: Option<i64> = sqlx::query_scalar(
            "select id from jobs where import_id = $1 and status in ('queued', 'running')",
        )
        .bind(import.id)
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(id) = live {
            sqlx::query("insert into job_users (job_id, user_id) values ($1, $2) on conflict do nothing")
                .bind(id)
                .bind(user_id)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            return Ok(Submitted::Joined(id));
        }
        let job_id = queue_job(
            &mut transaction,
            import.id,
            import.source_id,
            user_id,
            key,
            queue_max,
        )
        .await?;
        transaction.commit().await?;
        Ok(Submitted::Created(job_id))
    }

    pub(crate) async fn import(&self, id: i64) -> Result<Option<DataImport>> {
        Ok(
            sqlx::query_as(AssertSqlSafe(format!("{IMPORT} where data_imports.id = $1")))
                .bind(id)
                .fetch_optional(&self.reads)
                .await?,
        )
    }

    /// The imports that a user may see, newest first, a page of them.
    pub(crate) async fn imports_seen_by(
        &self,
        user_id: i64,
        is_admin: bool,
        limit: i64,
        offset: i64,
    ) -> Result<Vec<DataImport>> {
        let sql =
            format!("{IMPORT} where $1 or user_id = $2 order by data_imports.id desc limit $3 offset $4");
        Ok(sqlx::query_as(AssertSqlSafe(sql))
            .bind(is_admin)
            .bind(user_id)
            .bind(limit)
            .bind(offset)
            .fetch_all(&self.reads)
            .await?)
    }

    /// The newest job of each of these imports that has one.
    pub(crate) async fn last_runs(&self, import_ids: &[i64]) -> Result<Vec<LastRun>> {
        Ok(sqlx::query_as(
            "select import_id, max(id) as id, status, created_at from jobs
             where import_id in (select value from json_each($1)) group by import_id",
        )
        .bind(serde_json::to_string(import_ids)?)
        .fetch_all(&self.reads)
        .await?)
    }

    /// Records what an import found in its file; with that its job is done.
    /// Refused if the job is no longer at this attempt.
    pub(crate) async fn finish_import(&self, job: &Job, survey: &str, rejected: u64) -> Result<()> {
        let mut transaction = self.begin_write().await?;
        let done: Vec<i64> = sqlx::query_scalar(
            "update jobs set status = 'success', ended_at = $1, lease_until = null, rejected = $2
             where id = $3 and attempt = $4 and status = 'running' returning import_id",
        )
        .bind(now_us())
        .bind(i64::try_from(rejected).map_err(Error::internal)?)
        .bind(job.id)
        .bind(job.attempt)
        .fetch_all(&mut *transaction)
        .await?;
        sqlx::query("update data_imports set survey = $1, updated_at = $2 where id = $3")
            .bind(survey)
            .bind(now_us())
            .bind(done.first())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        self.finish(job, done.first().copied())
    }

    /// Forgets uploads whose time has come, unless a job needs them, and names their files.
    pub(crate) async fn forget_uploads(&self) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar(
            "update data_imports set expires_at = null
             where expires_at < $1
               and not exists (select 1 from jobs where import_id = data_imports.id
                               and status in ('queued', 'running', 'cancelling'))
             returning upload",
        )
        .bind(now_us())
        .fetch_all(&self.writes)
        .await?)
    }

    /// The uploads whose files are kept.
    pub(crate) async fn kept_uploads(&self) -> Result<Vec<String>> {
        Ok(
            sqlx::query_scalar("select upload from data_imports where expires_at is not null")
                .fetch_all(&self.reads)
                .await?,
        )
    }

    /// Job and attempt of the files with rejected rows that are kept.
    pub(crate) async fn kept_rejects(&self, job_ids: &[i64]) -> Result<HashSet<(i64, i64)>> {
        let kept: Vec<(i64, i64)> = sqlx::query_as(
            "select id, attempt from jobs
             where id in (select value from json_each($1))
               and (rejected > 0 and status = 'success' or status in ('running', 'cancelling'))",
        )
        .bind(serde_json::to_string(job_ids)?)
        .fetch_all(&self.reads)
        .await?;
        Ok(kept.into_iter().collect())
    }
}

/// Queues a job of an import, if there is room for it.
async fn queue_job(
    database: &mut SqliteConnection,
    import_id: i64,
    source_id: i64,
    user_id: i64,
    key: Option<KeyShare>,
    queue_max: i64,
) -> Result<i64> {
    check_share(database, key).await?;
    check_room(database, user_id, queue_max).await?;
    Ok(sqlx::query_scalar(
        "insert into jobs (kind, format, status, user_id, import_id, source_id, result_key, live_key, statement,
                           created_at, key_id)
         values ('import', '', 'queued', $1, $2, $3, 'import ' || $2, 'import ' || $2, '', $4, $5) returning id",
    )
    .bind(user_id)
    .bind(import_id)
    .bind(source_id)
    .bind(now_us())
    .bind(key.map(|key| key.id))
    .fetch_one(database)
    .await?)
}
