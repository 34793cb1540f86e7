//! Submits that are sent again: the same key is the same job. A key is kept in the transaction that makes its job.

use sqlx::SqliteConnection;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::store::Store;
use crate::store::now_us;

/// How long a key is remembered: a day.
const LIFETIME_US: i64 = 24 * 3600 * 1_000_000;

/// What a client calls a submit.
pub(crate) struct Idempotency {
    pub(crate) user_id: i64,
    pub(crate) key: String,
    /// Of all that it asks for.
    pub(crate) request_hash: [u8; 32],
}

/// The job of an earlier submit under this key; an error if that asked for something else.
pub(super) async fn job_of_key(
    connection: &mut SqliteConnection,
    idempotency: &Idempotency,
) -> Result<Option<i64>> {
    let found: Option<(Vec<u8>, i64)> = sqlx::query_as(
        "select request_hash, job_id from idempotency_keys where user_id = $1 and key = $2 and created_at > $3",
    )
    .bind(idempotency.user_id)
    .bind(&idempotency.key)
    .bind(now_us() - LIFETIME_US)
    .fetch_optional(connection)
    .await?;
    match found {
        None => Ok(None),
        Some((hash, job_id)) if hash == idempotency.request_hash => Ok(Some(job_id)),
        Some(_) => Err(Error::new(
            ErrorCode::Conflict,
            "the `Idempotency-Key` was used for another request: take a new one for each",
        )),
    }
}

/// Remembers the job of a submit.
pub(super) async fn keep_key(
    connection: &mut SqliteConnection,
    idempotency: &Idempotency,
    job_id: i64,
) -> Result<()> {
    sqlx::query(
        "insert or replace into idempotency_keys (user_id, key, request_hash, job_id, created_at)
         values ($1, $2, $3, $4, $5)",
    )
    .bind(idempotency.user_id)
    .bind(&idempotency.key)
    .bind(idempotency.request_hash.as_slice())
    .bind(job_id)
    .bind(now_us())
    .execute(connection)
    .await?;
    Ok(())
}

impl Store {
    /// Forgets keys whose time is over.
    pub(crate) async fn forget_keys(&self) -> Result<()> {
        sqlx::query("delete from idempotency_keys where created_at <= $1")
            .bind(now_us() - LIFETIME_US)
            .execute(&self.writes)
            .await?;
        Ok(())
    }
}
