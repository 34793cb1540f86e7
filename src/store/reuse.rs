//! What a submit can be given without running anything.

use sqlx::SqliteConnection;

use crate::error::Result;
use crate::job::NewJob;
use crate::store::Store;
use crate::store::now_us;

impl Store {
    /// A finished job of this user that did the same and is fresh enough: handing it out again writes nothing.
    pub(super) async fn done_already(&self, new: &NewJob, key: &str) -> Result<Option<i64>> {
        if new.cache_us == 0 {
            return Ok(None);
        }
        let now = now_us();
        Ok(sqlx::query_scalar(
            "select jobs.id from results
             join jobs on jobs.result_id = results.id
             where (user_id = $1
                    or exists (select 1 from job_users where job_id = jobs.id and job_users.user_id = $1))
               and results.result_key = $2 and results.created_at > $3 and results.created_at <= $4 and expires_at > $4
               and kind = $5 and format = $6 and options = $7 and status = 'success'
               and (kind = 'query' or export_id is not null)
             order by results.created_at desc, jobs.id limit 1",
        )
        .bind(new.user_id)
        .bind(key)
        .bind(now - new.cache_us)
        .bind(now)
        .bind(new.kind)
        .bind(&new.format)
        .bind(&new.options)
        .fetch_optional(&self.reads)
        .await?)
    }
}

/// A result that stands for a run, and its file in the job's format if there is one.
/// Without that file it has its rows.
pub(super) struct Fresh {
    pub(super) result_id: i64,
    pub(super) export_id: Option<i64>,
}

/// The newest result that is young enough, if any may be used again.
pub(super) async fn fresh(
    connection: &mut SqliteConnection,
    new: &NewJob,
    key: &str,
) -> Result<Option<Fresh>> {
    if new.cache_us == 0 {
        return Ok(None);
    }
    let now = now_us();
    let result: Option<i64> = sqlx::query_scalar(
        "select id from results
         where result_key = $1 and created_at > $2 and created_at <= $3 and expires_at > $3
           and (rows_kept <> 'no'
                or exists (select 1 from exports
                           where result_id = results.id and format = $4 and options = $5))
         order by created_at desc limit 1",
    )
    .bind(key)
    .bind(now - new.cache_us)
    .bind(now)
    .bind(&new.format)
    .bind(&new.options)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(result_id) = result else {
        return Ok(None);
    };
    let export_id = sqlx::query_scalar(
        "select id from exports where result_id = $1 and format = $2 and options = $3 limit 1",
    )
    .bind(result_id)
    .bind(&new.format)
    .bind(&new.options)
    .fetch_optional(connection)
    .await?;
    Ok(Some(Fresh { result_id, export_id }))
}
