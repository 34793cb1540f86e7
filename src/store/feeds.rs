//! Feeds, and the keys that sign links.

use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::feed::Feed;
use crate::feed::NewFeed;
use crate::plural::plural;
use crate::store::Store;
use crate::store::now_us;

impl Store {
    /// Adds a feed and says its id. Refused if its user has as many as they may.
    pub(crate) async fn add_feed(&self, new: &NewFeed, token_hash: &[u8], max: u32) -> Result<i64> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "insert into feeds (user_id, report_id, format, options, filter_values, token_hash, max_age, stale_ok,
                                created_at, expires_at, key_id)
             select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
             where (select count(*) from feeds where user_id = $1) < $12
               and (select retires_at from api_keys where id = $11) is null returning id",
        )
        .bind(new.user_id)
        .bind(new.report_id)
        .bind(&new.format)
        .bind(&new.options)
        .bind(serde_json::to_string(&new.filter_values)?)
        .bind(token_hash)
        .bind(new.max_age)
        .bind(new.stale_ok)
        .bind(now_us())
        .bind(new.expires_at)
        .bind(new.key_id)
        .bind(max)
        .fetch_all(&self.writes)
        .await?;
        if let Some(id) = ids.first() {
            return Ok(*id);
        }
        let retires = sqlx::query_scalar("select retires_at is not null from api_keys where id = $1")
            .bind(new.key_id)
            .fetch_one(&self.reads)
            .await?;
        let message = match retires {
            // It would end with the key.
            true => "another key has taken the place of this one: make the feed with that".to_owned(),
            false => format!(
                "a user may have {}, whichever keys they were made with (setting `user_feeds_max`): remove one first",
                plural(max, "feed")
            ),
        };
        Err(Error::new(ErrorCode::Conflict, message))
    }

    pub(crate) async fn feed(&self, id: i64) -> Result<Option<Feed>> {
        Ok(sqlx::query_as("select * from feeds where id = $1")
            .bind(id)
            .fetch_optional(&self.reads)
            .await?)
    }

    /// The feeds that a key made, or all; a page of them.
    pub(crate) async fn feeds(&self, key_id: Option<i64>, limit: i64, offset: i64) -> Result<Vec<Feed>> {
        Ok(sqlx::query_as(
            "select * from feeds where $1 is null or key_id = $1 order by id limit $2 offset $3",
        )
        .bind(key_id)
        .bind(limit)
        .bind(offset)
        .fetch_all(&self.reads)
        .await?)
    }

    /// Forgets feeds that are over for ever: their own time is, or that of the key that made them.
    pub(crate) async fn forget_feeds(&self) -> Result<()> {
        sqlx::query(
            "delete from feeds where expires_at <= $1
                or key_id in (select id from api_keys
                              where revoked_at is not null or retires_at <= $1 or terms ->> '$.expires_at' <= $1)",
        )
        .bind(now_us())
        .execute(&self.writes)
        .await?;
        Ok(())
    }

    /// Gives a feed another token; the one before opens nothing any more.
    pub(crate) async fn rotate_feed(&self, id: i64, token_hash: &[u8]) -> Result<()> {
        sqlx::query("update feeds set token_hash = $1 where id = $2")
            .bind(token_hash)
            .bind(id)
            .execute(&self.writes)
            .await?;
        Ok(())
    }

    pub(crate) async fn pause_feed(&self, id: i64, is_paused: bool) -> Result<()> {
        sqlx::query("update feeds set is_paused = $1 where id = $2")
            .bind(is_paused)
            .bind(id)
            .execute(&self.writes)
            .await?;
        Ok(())
    }

    pub(crate) async fn remove_feed(&self, id: i64) -> Result<()> {
        sqlx::query("delete from feeds where id = $1")
            .bind(id)
            .execute(&self.writes)
            .await?;
        Ok(())
    }

    /// Writes down which job has made the feed's file.
    pub(crate) async fn feed_served(&self, id: i64, job_id: i64) -> Result<()> {
        sqlx::query("update feeds set job_id = $1, last_used_at = $2 where id = $3")
            .bind(job_id)
            .bind(now_us())
            .bind(id)
            .execute(&self.writes)
            .await?;
        Ok(())
    }

    /// The key that signs links of a day, if any was made then.
    pub(crate) async fn signing_key(&self, day: i64) -> Result<Option<Vec<u8>>> {
        Ok(sqlx::query_scalar("select key from signing_keys where day = $1")
            .bind(day)
            .fetch_optional(&self.reads)
            .await?)
    }

    /// The same; `fresh` becomes the key if there is none. Keys of days that are over go.
    pub(crate) async fn make_signing_key(&self, day: i64, today: i64, fresh: &[u8]) -> Result<Vec<u8>> {
        let mut transaction = self.begin_write().await?;
        sqlx::query("insert into signing_keys (day, key) values ($1, $2) on conflict do nothing")
            .bind(day)
            .bind(fresh)
            .execute(&mut *transaction)
            .await?;
        sqlx::query("delete from signing_keys where day < $1")
            .bind(today)
            .execute(&mut *transaction)
            .await?;
        let key = sqlx::query_scalar("select key from signing_keys where day = $1")
            .bind(day)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(key)
    }
}
