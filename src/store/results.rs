//! Which results and exports exist, and when they go.

use std::collections::HashSet;

use sqlx::AssertSqlSafe;

use crate::error::Result;
use crate::store::DELETE_AT_ONCE;
use crate::store::Store;
use crate::store::now_us;

/// What a job's query has made.
pub(crate) struct NewResult {
    pub(crate) rows: i64,
    pub(crate) bytes: i64,
    pub(crate) rows_kept: Place,
    /// The rows, if they are inline.
    pub(crate) content: Option<Vec<u8>>,
    /// There were more rows, but not so many were allowed.
    pub(crate) truncated: bool,
    pub(crate) lifetime_us: i64,
    /// The columns and their types, as JSON.
    pub(crate) columns: String,
    /// How long the query ran.
    pub(crate) engine_us: i64,
}

/// Where the rows of a result are.
#[derive(Clone, Copy, Debug, Eq, PartialEq, sqlx::Type)]
#[sqlx(rename_all = "lowercase")]
pub(crate) enum Place {
    File,
    Inline,
    /// Nowhere: nobody could come back for them. Its file is all there is.
    No,
}

/// A file that a job has made of a result.
pub(crate) struct NewExport {
    pub(crate) file_name: String,
    pub(crate) bytes: i64,
    /// The file itself, if it is small.
    pub(crate) content: Option<Vec<u8>>,
    /// Of one that may have been read while it was written.
    pub(crate) tag: Option<String>,
    /// The result lives at least as long as its youngest file.
    pub(crate) lifetime_us: i64,
}

/// What a file was made of.
pub(crate) enum MadeOf {
    /// The rows of this result.
    Stored(i64),
    /// The rows of a query, while it ran.
    Query(NewResult),
}

/// A row of `results`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct StoredResult {
    pub(crate) id: i64,
    pub(crate) job_id: i64,
    pub(crate) attempt: i64,
    pub(crate) rows: i64,
    pub(crate) rows_kept: Place,
    /// The rows, if they are inline.
    pub(crate) content: Option<Vec<u8>>,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) bytes: i64,
    pub(crate) columns: Option<String>,
    pub(crate) engine_us: Option<i64>,
    pub(crate) sha256: Option<String>,
    pub(crate) truncated: bool,
}

impl StoredResult {
    /// An expired result is not handed out any more, but a job that was given it may still read it.
    pub(crate) fn is_expired(&self) -> bool {
        self.expires_at <= now_us()
    }
}

/// A row of `exports`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct StoredExport {
    pub(crate) id: i64,
    pub(crate) job_id: i64,
    pub(crate) attempt: i64,
    pub(crate) format: String,
    pub(crate) options: String,
    pub(crate) file_name: String,
    pub(crate) bytes: i64,
    pub(crate) content: Option<Vec<u8>>,
    pub(crate) created_at: i64,
    pub(crate) sha256: Option<String>,
    pub(crate) tag: Option<String>,
}

/// What a sum is of.
#[derive(Clone, Copy)]
pub(crate) enum Summed {
    Result(i64),
    Export(i64),
}

/// What has expired.
pub(crate) struct Forgotten {
    /// Of results.
    pub(crate) count: usize,
    /// The jobs and attempts whose rows are files.
    pub(crate) results: Vec<(i64, i64)>,
    /// The same of exports, with their formats.
    pub(crate) exports: Vec<(i64, i64, String)>,
}

impl Store {
    /// The result, perhaps expired, unless it is gone.
    pub(crate) async fn result(&self, id: i64) -> Result<Option<StoredResult>> {
        Ok(sqlx::query_as("select * from results where id = $1")
            .bind(id)
            .fetch_optional(&self.reads)
            .await?)
    }

    /// How many rows a result has, and when they were read.
    pub(crate) async fn result_figures(&self, id: i64) -> Result<Option<(i64, i64)>> {
        Ok(
            sqlx::query_as("select rows, created_at from results where id = $1")
                .bind(id)
                .fetch_optional(&self.reads)
                .await?,
        )
    }

    /// The export, unless its result has expired.
    pub(crate) async fn export(&self, id: i64) -> Result<Option<StoredExport>> {
        Ok(sqlx::query_as(
            "select exports.* from exports join results on results.id = result_id
             where exports.id = $1 and expires_at > $2",
        )
        .bind(id)
        .bind(now_us())
        .fetch_optional(&self.reads)
        .await?)
    }

    /// The export of the same rows in the same format, but with these options.
    pub(crate) async fn sibling(&self, export: &StoredExport, options: &str) -> Result<Option<StoredExport>> {
        Ok(sqlx::query_as(
            "select exports.* from exports join results on results.id = result_id
             where result_id = (select result_id from exports where id = $1)
               and format = $2 and options = $3 and expires_at > $4
             order by exports.id limit 1",
        )
        .bind(export.id)
        .bind(&export.format)
        .bind(options)
        .bind(now_us())
        .fetch_optional(&self.reads)
        .await?)
    }

    /// The sum, if somebody has asked for it before.
    pub(crate) async fn sha256(&self, of: Summed) -> Result<Option<String>> {
        let (sql, id) = match of {
            Summed::Result(id) => ("select sha256 from results where id = $1", id),
            Summed::Export(id) => ("select sha256 from exports where id = $1", id),
        };
        let sum = sqlx::query_scalar(sql).bind(id).fetch_optional(&self.reads);
        Ok(sum.await?.flatten())
    }

    /// Remembers the sum of a result's rows, or of an export's file, which never change.
    pub(crate) async fn keep_sha256(&self, of: Summed, sha256: &str) -> Result<()> {
        let (sql, id) = match of {
            Summed::Result(id) => ("update results set sha256 = $1 where id = $2", id),
            Summed::Export(id) => ("update exports set sha256 = $1 where id = $2", id),
        };
        sqlx::query(sql)
            .bind(sha256)
            .bind(id)
            .execute(&self.writes)
            .await?;
        Ok(())
    }

    /// The values of a job's filters, as JSON.
    pub(crate) async fn filter_values(&self, job_id: i64) -> Result<String> {
        Ok(sqlx::query_scalar("select filter_values from jobs where id = $1")
            .bind(job_id)
            .fetch_one(&self.reads)
            .await?)
    }

    /// Forgets a file that is gone, so that the next submit makes another.
    pub(crate) async fn forget_export(&self, id: i64) -> Result<()> {
        sqlx::query("delete from exports where id = $1")
            .bind(id)
            .execute(&self.writes)
            .await?;
        Ok(())
    }

    /// Forgets a result whose file is gone, so that the next submit runs again.
    pub(crate) async fn forget_result(&self, id: i64) -> Result<()> {
        sqlx::query("delete from results where id = $1")
            .bind(id)
            .execute(&self.writes)
            .await?;
        Ok(())
    }

    /// Which of these jobs, and at which attempts, have rows that are kept, or may be yet.
    pub(crate) async fn kept_results(&self, job_ids: &[i64]) -> Result<HashSet<(i64, i64)>> {
        self.kept("results", job_ids).await
    }

    /// The same of files.
    pub(crate) async fn kept_exports(&self, job_ids: &[i64]) -> Result<HashSet<(i64, i64)>> {
        self.kept("exports", job_ids).await
    }

    async fn kept(&self, table: &'static str, job_ids: &[i64]) -> Result<HashSet<(i64, i64)>> {
        let sql = format!(
            "select job_id, attempt from {table} where job_id in (select value from json_each($1))
             union select id, attempt from jobs where status in ('running', 'cancelling')"
        );
        let kept = sqlx::query_as(AssertSqlSafe(sql))
            .bind(serde_json::to_string(job_ids)?)
            .fetch_all(&self.reads)
            .await?;
        Ok(kept.into_iter().collect())
    }

    /// Forgets some of the results that have expired, and their exports, and says whose files may go.
    /// A result that a live job is to read stays until that job is done. Some: nobody else can write meanwhile.
    pub(crate) async fn forget_expired(&self) -> Result<Forgotten> {
        let mut transaction = self.begin_write().await?;
        let expired: Vec<i64> = sqlx::query_scalar(
            "select id from results where expires_at <= $1
                and id not in (select result_id from jobs
                               where status in ('queued', 'running', 'cancelling') and result_id is not null)
             order by expires_at limit $2",
        )
        .bind(now_us())
        .bind(DELETE_AT_ONCE)
        .fetch_all(&mut *transaction)
        .await?;
        let ids = serde_json::to_string(&expired)?;
        let exports = sqlx::query_as(
            "select job_id, attempt, format from exports
             where content is null and result_id in (select value from json_each($1))",
        )
        .bind(&ids)
        .fetch_all(&mut *transaction)
        .await?;
        let results = sqlx::query_as(
            "select job_id, attempt from results
             where rows_kept = 'file' and id in (select value from json_each($1))",
        )
        .bind(&ids)
        .fetch_all(&mut *transaction)
        .await?;
        sqlx::query("delete from results where id in (select value from json_each($1))")
            .bind(&ids)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Forgotten {
            count: expired.len(),
            results,
            exports,
        })
    }
}
