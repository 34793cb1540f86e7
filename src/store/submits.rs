//! What is asked for: a job of its own, a live one that does the same, or one that is done already.

use sqlx::AssertSqlSafe;
use sqlx::SqliteConnection;
use sqlx::SqliteExecutor;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::job::JobKind;
use crate::job::KeyShare;
use crate::job::NewJob;
use crate::job::Submitted;
use crate::plural::plural;
use crate::store::Store;
use crate::store::idempotency::Idempotency;
use crate::store::idempotency::job_of_key;
use crate::store::idempotency::keep_key;
use crate::store::not_there;
use crate::store::now_us;
use crate::store::reuse::Fresh;
use crate::store::reuse::fresh;

/// How many jobs of the key of this parameter are not over.
fn live_of_key(parameter: &str) -> String {
    format!(
        "(select count(*) from jobs where key_id = {parameter} and status in ('queued', 'running', 'cancelling'))"
    )
}

impl Store {
    /// Queues a job, joins the live one that does the same, or finishes it at once from a fresh result.
    /// Refused if so many are queued already.
    pub(crate) async fn submit(&self, new: &NewJob, queue_max: i64) -> Result<Submitted> {
        let key = new.result_key()?;
        if let Some(id) = self.done_already(new, &key).await? {
            return Ok(Submitted::Done(id));
        }
        // Where nothing of earlier will do, one statement is enough, unless a live job does the same.
        if new.cache_us == 0
            && let Some(submitted) = insert(&self.writes, new, &key, None, new.may_join, queue_max).await?
        {
            return Ok(submitted);
        }
        let mut transaction = self.begin_write().await?;
        let placed = place(&mut transaction, new, &key, queue_max).await?;
        transaction.commit().await?;
        match placed {
            Some(submitted) => Ok(submitted),
            None => Err(self.no_room(new, queue_max).await),
        }
    }

    /// The same before anything is sent in.
    pub(crate) async fn check_room(&self, user_id: i64, queue_max: i64) -> Result<()> {
        check_room(&mut *self.reads.acquire().await?, user_id, queue_max).await
    }

    /// Why a job found no place.
    async fn no_room(&self, new: &NewJob, queue_max: i64) -> Error {
        let is_there = sqlx::query_scalar("select exists (select 1 from reports where id = $1)")
            .bind(new.report_id)
            .fetch_one(&self.reads);
        match is_there.await {
            Ok(true) => {}
            // It went after the submit had found it.
            Ok(false) => return not_there(&format!("report `{}`", new.report_id)),
            Err(error) => return error.into(),
        }
        // There may be room again by now; there was none.
        let refused = self.check_room(new.user_id, queue_max).await.err();
        refused.unwrap_or_else(|| match new.key.and_then(|key| key.jobs_max) {
            Some(max) => has_its_share(max),
            None => is_full(queue_max),
        })
    }

    /// The same for a submit that its client may send again.
    pub(crate) async fn submit_once(
        &self,
        new: &NewJob,
        queue_max: i64,
        once: &Idempotency,
    ) -> Result<Submitted> {
        let key = new.result_key()?;
        let mut transaction = self.begin_write().await?;
        if let Some(id) = job_of_key(&mut transaction, once).await? {
            return Ok(Submitted::Repeated(id));
        }
        let Some(submitted) = place(&mut transaction, new, &key, queue_max).await? else {
            transaction.commit().await?;
            return Err(self.no_room(new, queue_max).await);
        };
        keep_key(&mut transaction, once, submitted.job_id()).await?;
        transaction.commit().await?;
        Ok(submitted)
    }
}

/// A job of its own, finished at once from a fresh result if there is one, or the live job that does the same;
/// `None` where the queue has no room, or the report has gone. In a transaction, so that no run can end, and no result go, meanwhile.
async fn place(
    connection: &mut SqliteConnection,
    new: &NewJob,
    key: &str,
    queue_max: i64,
) -> Result<Option<Submitted>> {
    let fresh = fresh(&mut *connection, new, key).await?;
    let placed = insert(
        &mut *connection,
        new,
        key,
        fresh.as_ref(),
        new.may_join,
        queue_max,
    )
    .await?;
    if placed.is_some() || !new.may_join {
        return Ok(placed);
    }
    match join(&mut *connection, new, key).await? {
        Live::None => Ok(None),
        Live::Joined(id) => Ok(Some(Submitted::Joined(id))),
        Live::Stale => insert(connection, new, key, fresh.as_ref(), false, queue_max).await,
    }
}

/// Refused where so many jobs wait already, of all or of this user.
pub(super) async fn check_room(
    connection: &mut SqliteConnection,
    user_id: i64,
    queue_max: i64,
) -> Result<()> {
    let sql = "select coalesce((select sum(count) from queued_counts where user_id = 0), 0) >= $1,
                      coalesce((select sum(count) from queued_counts where user_id = $3), 0) >= $2";
    let (all, own): (bool, bool) = sqlx::query_as(sql)
        .bind(queue_max)
        .bind(share_of(queue_max))
        .bind(user_id)
        .fetch_one(connection)
        .await?;
    match (all, own) {
        (true, _) => Err(is_full(queue_max)),
        (false, true) => {
            let message = format!(
                "{} queued already (half of the setting `queue_max`): try again later",
                jobs_are(share_of(queue_max), " of yours")
            );
            Err(Error::new(ErrorCode::Busy, message))
        }
        (false, false) => Ok(()),
    }
}

/// Refused where the key has as many jobs under way as it may. In the transaction that queues one more.
pub(super) async fn check_share(connection: &mut SqliteConnection, key: Option<KeyShare>) -> Result<()> {
    let Some(KeyShare {
        id,
        jobs_max: Some(max),
    }) = key
    else {
        return Ok(());
    };
    let sql = format!("select {} >= $2", live_of_key("$1"));
    let is_full = sqlx::query_scalar(AssertSqlSafe(sql)).bind(id).bind(max);
    match is_full.fetch_one(connection).await? {
        true => Err(has_its_share(max)),
        false => Ok(()),
    }
}

fn has_its_share(max: u32) -> Error {
    let message = format!(
        "this key has {} under way, which is as many as it may",
        plural(max, "job")
    );
    Error::new(ErrorCode::Busy, message)
}

fn is_full(queue_max: i64) -> Error {
    Error::new(
        ErrorCode::Busy,
        format!(
            "{} queued already (setting `queue_max`): try again later",
            jobs_are(queue_max, "")
        ),
    )
}

fn jobs_are(count: i64, whose: &str) -> String {
    match count {
        1 => format!("1 job{whose} is"),
        _ => format!("{count} jobs{whose} are"),
    }
}

/// How many jobs of one user may wait, so that others find a place.
fn share_of(queue_max: i64) -> i64 {
    (queue_max / 2).max(1)
}

/// A live job that does the same.
enum Live {
    None,
    /// The user may see it from now on.
    Joined(i64),
    /// It makes a file of rows that are older than this submit takes.
    Stale,
}

/// Finds the live job that does the same, and lets the user see it.
async fn join(connection: &mut SqliteConnection, new: &NewJob, key: &str) -> Result<Live> {
    let live: Option<(i64, bool)> = sqlx::query_as(
        "select id, coalesce((select created_at > $5 from results where results.id = result_id), true) from jobs
         where live_key = $1 and kind = $2 and format = $3 and options = $4
           and status in ('queued', 'running')",
    )
    .bind(key)
    .bind(new.kind)
    .bind(&new.format)
    .bind(&new.options)
    .bind(now_us() - new.cache_us)
    .fetch_optional(&mut *connection)
    .await?;
    let id = match live {
        None => return Ok(Live::None),
        Some((_, false)) => return Ok(Live::Stale),
        Some((id, true)) => id,
    };
    sqlx::query("insert into job_users (job_id, user_id) values ($1, $2) on conflict do nothing")
        .bind(id)
        .bind(new.user_id)
        .execute(connection)
        .await?;
    Ok(Live::Joined(id))
}

/// Adds a job, finished if all it would make is there already.
/// `None` if a live job does the same, the queue is full, or the report is not there any more.
async fn insert(
    database: impl SqliteExecutor<'_>,
    new: &NewJob,
    key: &str,
    fresh: Option<&Fresh>,
    may_join: bool,
    queue_max: i64,
) -> Result<Option<Submitted>> {
    let done = fresh.is_some_and(|fresh| match new.kind {
        JobKind::Query => true,
        JobKind::Export | JobKind::Import => fresh.export_id.is_some(),
    });
    let now = now_us();
    let id: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(format!(
        "insert into jobs (kind, format, options, status, user_id, report_id, report_version, result_key, live_key,
                           statement, created_at, started_at, ended_at, result_id, export_id, source_id, filter_values,
                           truncate, key_id, pins, values_of)
         select $1, $2, $3, $4, $5, $6, $7, $8, case when $15 then $8 else hex(randomblob(16)) end,
                $9, $10, $11, $11, $12, $13, $14, $17, $18, $19, $20, $23
         where exists (select 1 from reports where id = $6)
           and ($4 <> 'queued'
             or ($22 is null or {} < $22)
            and coalesce((select sum(count) from queued_counts where user_id = 0), 0) < $16
            and coalesce((select sum(count) from queued_counts where user_id = $5), 0) < $21)
         on conflict (live_key, kind, format, options) where status in ('queued', 'running') do nothing
         returning id",
        live_of_key("$19"),
    )))
    .bind(new.kind)
    .bind(&new.format)
    .bind(&new.options)
    .bind(if done { "success" } else { "queued" })
    .bind(new.user_id)
    .bind(new.report_id)
    .bind(new.report_version)
    .bind(key)
    .bind(match done {
        true => String::new(),
        false => serde_json::to_string(&new.statement)?,
    })
    .bind(now)
    .bind(done.then_some(now))
    .bind(fresh.map(|fresh| fresh.result_id))
    .bind(fresh.and_then(|fresh| fresh.export_id))
    .bind(new.source_id)
    .bind(may_join)
    .bind(queue_max)
    .bind(&new.filter_values)
    .bind(new.truncate)
    .bind(new.key.map(|key| key.id))
    .bind(&new.pins)
    .bind(share_of(queue_max))
    .bind(new.key.and_then(|key| key.jobs_max))
    .bind(&new.values_of)
    .fetch_all(database)
    .await?;
    Ok(id.first().map(|id| match done {
        true => Submitted::Done(*id),
        false => Submitted::Created(*id),
    }))
}
