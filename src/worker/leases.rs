//! A job is its worker's for a lease: renewed while it works, and given to another once it is over.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::error;
use tracing::warn;

use crate::error::Result;
use crate::job::Job;
use crate::job::JobStatus;
use crate::plural::plural;
use crate::store::leases::Expired;
use crate::store::logs::Level;
use crate::store::now_us;
use crate::worker::Ended;
use crate::worker::Run;
use crate::worker::TELL_EVERY;
use crate::worker::Worker;
use crate::worker::query::microseconds;

/// How often a lease is renewed within its time.
const RENEWALS: u32 = 3;

/// How soon a worker looks for the first time whether its job was cancelled meanwhile.
const FIRST_LOOK: Duration = Duration::from_millis(100);

impl Worker {
    /// Looks for jobs whose workers are not heard of any more.
    pub(super) async fn expire_regularly(self, mut draining: watch::Receiver<bool>) {
        let look_every = self.config.job_lease / RENEWALS;
        let mut looked_at = now_us();
        while !*draining.borrow() {
            // After the machine or this process has slept, or the clock has leapt, those that work here
            // have to get their time to renew: their leases are over, and they are not lost.
            let passed = Duration::from_micros(now_us().saturating_sub(looked_at).unsigned_abs());
            looked_at = now_us();
            if passed < 2 * look_every {
                self.expire().await;
            }
            tokio::select! {
                () = tokio::time::sleep(look_every) => {}
                _ = draining.changed() => {}
            }
        }
    }

    async fn expire(&self) {
        match self.store.expire_leases(self.config.attempts_max).await {
            Ok(expired) if expired == Expired::default() => {}
            Ok(expired) => {
                warn!(
                    queued = expired.queued,
                    ended = expired.ended,
                    "workers were not heard of for a lease"
                );
                self.queued.notify_one();
            }
            Err(error) => error!(%error, "cannot look for leases that have run out"),
        }
    }

    async fn renew(&self, job: &Job) -> Result<Option<JobStatus>> {
        self.store.renew(job, microseconds(self.config.job_lease)?).await
    }

    /// Renews the job's lease until it is to be given up, and tells how far the job is.
    pub(super) async fn hold(&self, job: &Job, run: &Run) -> Ended {
        let watcher = self.store.waiter(job.id);
        let mut told = std::pin::pin!(watcher.told());
        let renew_every = self.config.job_lease / RENEWALS;
        // A job can be cancelled before anybody watches it.
        let mut renew_at = Instant::now() + FIRST_LOOK.min(renew_every);
        let mut tell_at = Instant::now() + TELL_EVERY;
        let mut rows_told = 0;
        loop {
            tokio::select! {
                () = told.as_mut() => {}
                () = tokio::time::sleep_until(renew_at) => {}
                () = tokio::time::sleep_until(tell_at) => {
                    tell_at = Instant::now() + TELL_EVERY;
                    let rows = run.rows.load(Ordering::Relaxed);
                    if rows > rows_told {
                        rows_told = rows;
                        self.tell(job, Level::Info, &[format!("{} so far", plural(rows, "row"))]).await;
                    }
                    continue;
                }
            }
            // What is told from here on is not missed; what was before shows in the row.
            told.set(watcher.told());
            told.as_mut().enable();
            renew_at = Instant::now() + renew_every;
            match self.renew(job).await {
                Ok(Some(JobStatus::Cancelling)) => return Ended::Cancelled,
                Ok(Some(_)) => {}
                Ok(None) => return Ended::Lost,
                // As long as nobody can write, nobody can take the job away.
                Err(error) => error!(job_id = job.id, %error, "cannot renew a lease"),
            }
        }
    }
}
