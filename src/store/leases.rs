//! Jobs in the hands of workers: leases, what becomes of those that run out, and cancelling.

use sqlx::AssertSqlSafe;

use crate::error::Result;
use crate::job::Job;
use crate::job::JobStatus;
use crate::store::Store;
use crate::store::now_us;

/// Asks jobs to stop; what nobody works on has stopped at once.
pub(super) const CANCEL: &str =
    "update jobs set status = case status when 'queued' then 'cancelled' else 'cancelling' end,
            ended_at = case status when 'queued' then $1 end
     where status in ('queued', 'running')";

/// Whose lease has run out, and what became of them.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Expired {
    /// Jobs that are queued again.
    pub(crate) queued: u64,
    /// Jobs that ended: lost too often, or to be cancelled anyway.
    pub(crate) ended: u64,
}

impl Store {
    /// Goes on with a job for another lease, and says whether it is to be cancelled.
    /// `None` if it is no longer at this attempt.
    pub(crate) async fn renew(&self, job: &Job, lease_us: i64) -> Result<Option<JobStatus>> {
        let status = sqlx::query_scalar(
            "update jobs set lease_until = $1
             where id = $2 and attempt = $3 and status in ('running', 'cancelling') returning status",
        )
        .bind(now_us().saturating_add(lease_us))
        .bind(job.id)
        .bind(job.attempt)
        .fetch_all(&self.writes)
        .await?;
        Ok(status.first().copied())
    }

    /// Queues again what nobody has been heard of for a lease. A job that was lost too often fails,
    /// and one that was to be cancelled is.
    pub(crate) async fn expire_leases(&self, losses_max: i64) -> Result<Expired> {
        self.expire(now_us(), losses_max).await
    }

    /// The same for all that an earlier process has left. Only for a process that holds the data folder alone.
    pub(crate) async fn take_up_interrupted(&self, losses_max: i64) -> Result<Expired> {
        self.expire(i64::MAX, losses_max).await
    }

    async fn expire(&self, until: i64, losses_max: i64) -> Result<Expired> {
        // As the index has it.
        let is_expired = "status in ('running', 'cancelling') and lease_until <= $1 and status";
        let any: Option<i64> = sqlx::query_scalar(
            "select id from jobs where lease_until <= $1 and status in ('running', 'cancelling') limit 1",
        )
        .bind(until)
        .fetch_optional(&self.reads)
        .await?;
        if any.is_none() {
            return Ok(Expired::default());
        }
        let mut transaction = self.begin_write().await?;
        let lost = format!("update jobs set losses = losses + 1 where {is_expired} = 'running'");
        sqlx::query(AssertSqlSafe(lost))
            .bind(until)
            .execute(&mut *transaction)
            .await?;
        let failed = format!(
            "update jobs set status = 'failure', ended_at = $2, lease_until = null, error_code = 'internal',
                    error_message = 'worker lost: ' || losses || ' times whoever worked on this was not heard of any more'
             where {is_expired} = 'running' and losses >= $3 returning id"
        );
        let mut ended: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(failed))
            .bind(until)
            .bind(now_us())
            .bind(losses_max)
            .fetch_all(&mut *transaction)
            .await?;
        let cancelled = format!(
            "update jobs set status = 'cancelled', ended_at = $2, lease_until = null
             where {is_expired} = 'cancelling' returning id"
        );
        let cancelled: Vec<i64> = sqlx::query_scalar(AssertSqlSafe(cancelled))
            .bind(until)
            .bind(now_us())
            .fetch_all(&mut *transaction)
            .await?;
        ended.extend(cancelled);
        let queued =
            format!("update jobs set status = 'queued', lease_until = null where {is_expired} = 'running'");
        let queued = sqlx::query(AssertSqlSafe(queued))
            .bind(until)
            .execute(&mut *transaction)
            .await?
            .rows_affected();
        transaction.commit().await?;
        for id in &ended {
            self.changes.tell(*id);
        }
        Ok(Expired {
            queued,
            ended: ended.len() as u64,
        })
    }

    /// Puts a job back that a clean stop of the server interrupts; that is no loss.
    /// One that was to be cancelled is.
    pub(crate) async fn hand_back(&self, job: &Job) -> Result<()> {
        sqlx::query(
            "update jobs set status = case status when 'running' then 'queued' else 'cancelled' end,
                    ended_at = case status when 'cancelling' then $1 end, lease_until = null
             where id = $2 and attempt = $3 and status in ('running', 'cancelling')",
        )
        .bind(now_us())
        .bind(job.id)
        .bind(job.attempt)
        .execute(&self.writes)
        .await?;
        self.changes.tell(job.id);
        Ok(())
    }

    /// Asks for a job to stop; one that nobody works on has stopped at once. A job that has ended stays as it is.
    pub(crate) async fn cancel(&self, id: i64) -> Result<()> {
        self.cancel_where(id, "true").await
    }

    /// The same, unless somebody has joined the job since it was submitted; whether it goes on because of that.
    pub(crate) async fn cancel_unless_joined(&self, id: i64) -> Result<bool> {
        let joined = "exists (select 1 from job_users where job_id = jobs.id)";
        self.cancel_where(id, &format!("not {joined}")).await?;
        let sql = format!("select {joined} and status in ('queued', 'running') from jobs where id = $1");
        Ok(sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(id)
            .fetch_one(&self.writes)
            .await?)
    }

    async fn cancel_where(&self, id: i64, condition: &str) -> Result<()> {
        let sql = format!("{CANCEL} and id = $2 and {condition} returning id");
        let changed = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql))
            .bind(now_us())
            .bind(id)
            .fetch_all(&self.writes)
            .await?;
        if !changed.is_empty() {
            self.changes.tell(id);
        }
        Ok(())
    }

    /// Says that a job which was to be cancelled has stopped; whether it was to be.
    pub(crate) async fn end_cancelled(&self, job: &Job) -> Result<bool> {
        let changed = sqlx::query(
            "update jobs set status = 'cancelled', ended_at = $1, lease_until = null
             where id = $2 and attempt = $3 and status = 'cancelling'",
        )
        .bind(now_us())
        .bind(job.id)
        .bind(job.attempt)
        .execute(&self.writes)
        .await?
        .rows_affected();
        self.changes.tell(job.id);
        Ok(changed > 0)
    }
}
