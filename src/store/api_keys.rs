//! API keys, of which only hashes are kept.

use sqlx::AssertSqlSafe;
use tracing::warn;

use crate::access::KeyTerms;
use crate::api_key::ApiKey;
use crate::api_key::HashedKey;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::store::Store;
use crate::store::must_exist;
use crate::store::now_us;
use crate::user::User;

/// How often the last use of a key is written down: reads must not turn into a write each.
const LAST_USED_STEP_US: i64 = 60_000_000;

/// The terms of a key, which are over when another has taken its place.
const TERMS: &str = "case when retires_at < coalesce(terms ->> '$.expires_at', retires_at + 1)
                          then json_set(terms, '$.expires_at', retires_at) else terms end as terms";

/// Who holds a key that is not revoked and whose user has API access.
fn holder(from: &str) -> String {
    format!(
        "select users.*, api_keys.id as key_id, {TERMS}, coalesce(api_keys.last_used_at, 0) as last_used_at
         from {from} join users on users.id = api_keys.user_id and revoked_at is null and api_access"
    )
}

/// Who holds a key, and what it opens.
#[derive(sqlx::FromRow)]
pub(crate) struct Holder {
    #[sqlx(flatten)]
    pub(crate) user: User,
    pub(crate) key_id: i64,
    #[sqlx(json)]
    pub(crate) terms: KeyTerms,
    last_used_at: i64,
}

impl Holder {
    /// The key has not come to its end.
    pub(crate) fn is_in_time(&self) -> bool {
        self.terms.expires_at.is_none_or(|at| at > now_us())
    }
}

impl Store {
    /// Adds a key of a user and says its id.
    pub(crate) async fn add_key(
        &self,
        user_id: i64,
        name: &str,
        hash: &HashedKey,
        terms: &KeyTerms,
    ) -> Result<i64> {
        let ids = sqlx::query_scalar(
            "insert into api_keys (user_id, name, hash, created_at, terms) values ($1, $2, $3, $4, $5) returning id",
        )
        .bind(user_id)
        .bind(name)
        .bind(hash.as_bytes())
        .bind(now_us())
        .bind(serde_json::to_string(terms)?)
        .fetch_all(&self.writes)
        .await?;
        ids.first()
            .copied()
            .ok_or_else(|| Error::internal("a key without an id"))
    }

    /// What its owner calls a key.
    pub(crate) async fn key_name(&self, id: i64) -> Result<String> {
        let name: Option<String> = sqlx::query_scalar("select name from api_keys where id = $1")
            .bind(id)
            .fetch_optional(&self.reads)
            .await?;
        Ok(name.unwrap_or_default())
    }

    /// Finds who holds a key that is not revoked and whose user has API access.
    pub(crate) async fn holder_of_key(&self, hash: &HashedKey) -> Result<Option<Holder>> {
        let sql = format!("{} where hash = $1", holder("api_keys"));
        let found: Option<Holder> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(hash.as_bytes())
            .fetch_optional(&self.reads)
            .await?;
        let Some(holder) = found else {
            return Ok(None);
        };
        if holder.last_used_at < now_us() - LAST_USED_STEP_US
            && let Err(error) = self.touch_key(holder.key_id).await
        {
            // A full disk is no reason to turn a reader away.
            warn!(%error, "cannot write down that a key was used");
        }
        Ok(Some(holder))
    }

    /// The same of a key that was looked at before.
    pub(crate) async fn holder_of_key_id(&self, id: i64) -> Result<Option<Holder>> {
        let sql = format!("{} where api_keys.id = $1", holder("api_keys"));
        Ok(sqlx::query_as(AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(&self.reads)
            .await?)
    }

    /// The same of the key that made a feed.
    pub(crate) async fn holder_of_feed(&self, feed_id: i64) -> Result<Option<Holder>> {
        let from = "feeds join api_keys on api_keys.id = feeds.key_id";
        let sql = format!("{} where feeds.id = $1", holder(from));
        Ok(sqlx::query_as(AssertSqlSafe(sql))
            .bind(feed_id)
            .fetch_optional(&self.reads)
            .await?)
    }

    async fn touch_key(&self, id: i64) -> Result<()> {
        sqlx::query("update api_keys set last_used_at = $1 where id = $2")
            .bind(now_us())
            .bind(id)
            .execute(&self.writes)
            .await?;
        Ok(())
    }

    pub(crate) async fn keys(&self) -> Result<Vec<ApiKey>> {
        let sql = format!(
            "select api_keys.id, email, api_keys.name, api_keys.created_at, last_used_at, revoked_at, {TERMS}
             from api_keys join users on users.id = api_keys.user_id
             order by api_keys.id"
        );
        Ok(sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&self.reads).await?)
    }

    /// Puts a new key in the place of one, which goes on for a while, and says the new one's id and when the old one
    /// is over. One that was rotated before is over when it was to be then, or earlier.
    pub(crate) async fn rotate_key(&self, id: i64, hash: &HashedKey, grace_us: i64) -> Result<(i64, i64)> {
        let mut transaction = self.begin_write().await?;
        let now = now_us();
        let added: Vec<i64> = sqlx::query_scalar(
            "insert into api_keys (user_id, name, hash, created_at, terms)
             select user_id, name, $1, $2, terms from api_keys
             where id = $3 and revoked_at is null and coalesce(terms ->> '$.expires_at' > $2, true)
               and coalesce(retires_at > $2, true) returning id",
        )
        .bind(hash.as_bytes())
        .bind(now)
        .bind(id)
        .fetch_all(&mut *transaction)
        .await?;
        let Some(added) = added.first().copied() else {
            let message = format!("there is no key `{id}`, or no longer");
            return Err(Error::new(ErrorCode::NotFound, message));
        };
        let over_at: Vec<i64> = sqlx::query_scalar(
            "update api_keys set retires_at = min(coalesce(retires_at, $1), $1) where id = $2
             returning min(coalesce(terms ->> '$.expires_at', retires_at), retires_at)",
        )
        .bind(now.saturating_add(grace_us))
        .bind(id)
        .fetch_all(&mut *transaction)
        .await?;
        // Its feeds go on.
        sqlx::query("update feeds set key_id = $1 where key_id = $2")
            .bind(added)
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok((added, over_at.first().copied().unwrap_or(now)))
    }

    /// Revokes a key; it opens nothing from the next request on. Revoking twice is no error.
    pub(crate) async fn revoke_key(&self, id: i64) -> Result<()> {
        let changed = sqlx::query("update api_keys set revoked_at = coalesce(revoked_at, $1) where id = $2")
            .bind(now_us())
            .bind(id)
            .execute(&self.writes)
            .await?
            .rows_affected();
        must_exist(changed, &format!("key `{id}`"))
    }
}
