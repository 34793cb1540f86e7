//! Takes jobs off the queue and does them. A step is `run_next`; the server loops over it, tests call it.

mod cut;
mod export;
mod import;
mod leases;
mod limit;
mod query;
pub(crate) mod source;
mod sweep;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::debug;
use tracing::error;
use tracing::info;
use tracing::warn;

use crate::config::Config;
use crate::connectors::duckdb::Warehouse;
use crate::connectors::sources::Sources;
use crate::connectors::sqlite::keep_temporary_files_in;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::job::Job;
use crate::job::JobKind;
use crate::kill_point::kill_point;
use crate::objects::ObjectName;
use crate::objects::Objects;
use crate::objects::make_private_file;
use crate::store::Store;
use crate::store::jobs::Claimed;
use crate::store::jobs::Terms;
use crate::store::jobs::shortened;
use crate::store::logs::Level;
use crate::store::results::Place;
use crate::store::results::StoredResult;
use crate::worker::query::microseconds;

/// How soon a write to the metadata database that failed is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// How often it is tried with what a job has made.
const KEEPS_MAX: u32 = 5;

/// How often a job tells how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// How long the server's stop waits for databases to stop queries.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(3);

/// How often an attempt begins anew with what was found out before.
const TRIES_MAX: u32 = 4;

/// Everything a job needs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) store: Store,
    pub(crate) objects: Objects,
    pub(crate) warehouse: Arc<Warehouse>,
    sources: Arc<Sources>,
    pub(crate) config: Arc<Config>,
    /// Told when a job is queued.
    pub(crate) queued: Arc<Notify>,
}

/// How a worker comes to an end with a job.
enum Ended {
    Done(Result<()>),
    /// Somebody has asked for that.
    Cancelled,
    /// The lease was over, and the job is no longer at this attempt.
    Lost,
    /// The server stops.
    HandedBack,
}

/// What one step did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ran {
    Job(i64),
    QueueEmpty,
}

impl Worker {
    /// Opens everything in the data folder and puts right what an earlier process left.
    /// Refused while another process has the folder open.
    pub(crate) async fn open(config: Config) -> Result<Self> {
        let objects = Objects::with_limits(
            &config.data_dir,
            config.results_bytes_max,
            config.uploads_bytes_max,
        )?;
        keep_temporary_files_in(&objects.temp_dir())?;
        let store = Store::open(&config.metadata_file()).await?;
        let warehouse = Warehouse::open(
            &config.warehouse_file(),
            &config.spill_dir(),
            config.warehouse_memory_max,
            config.warehouse_threads,
        )?;
        for path in [config.metadata_file(), config.warehouse_file()] {
            make_private_file(&path)?;
        }
        let worker = Self {
            store,
            objects,
            warehouse,
            sources: Arc::default(),
            config: Arc::new(config),
            queued: Arc::new(Notify::new()),
        };
        let taken_up = worker
            .store
            .take_up_interrupted(worker.config.attempts_max)
            .await?;
        if taken_up.queued > 0 {
            info!(jobs = taken_up.queued, "queued again what the last process left");
        }
        worker.remove_orphans().await?;
        worker.remove_unnamed_uploads().await?;
        Ok(worker)
    }

    /// Takes jobs until `draining` turns true, and works on what it has until `stop` does;
    /// then running jobs are stopped and queued again.
    pub(crate) async fn work(&self, draining: watch::Receiver<bool>, stop: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        for _ in 0..self.config.workers {
            tasks.spawn(self.clone().work_alone(draining.clone(), stop.clone()));
        }
        tasks.spawn(self.clone().expire_regularly(draining.clone()));
        tasks.spawn(self.clone().record_regularly(draining.clone()));
        tasks.spawn(self.clone().sweep_regularly(draining));
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                error!(%error, "a worker's task ended");
            }
        }
        self.sources.settle(SETTLE_TIMEOUT).await;
    }

    async fn work_alone(self, mut draining: watch::Receiver<bool>, mut stop: watch::Receiver<bool>) {
        while !*draining.borrow() {
            match self.run_next(&mut stop).await {
                Ok(Ran::Job(_)) => {}
                Ok(Ran::QueueEmpty) => {
                    tokio::select! {
                        () = self.queued.notified() => {}
                        // Should nobody have told, as where who queued a job went away at that moment.
                        () = tokio::time::sleep(self.config.job_lease) => {}
                        _ = draining.changed() => {}
                    }
                }
                Err(error) => {
                    error!(%error, "cannot work on the queue");
                    tokio::select! {
                        () = tokio::time::sleep(RETRY_EVERY) => {}
                        _ = draining.changed() => {}
                    }
                }
            }
        }
    }

    /// Takes the next job, for a lease.
    pub(crate) async fn claim(&self) -> Result<Option<Claimed>> {
        let terms = Terms {
            lease_us: microseconds(self.config.job_lease)?,
            user_jobs_max: self.config.user_jobs_max,
        };
        self.store.claim(&terms).await
    }

    /// Does the next job of the queue, if there is one that may run.
    pub(crate) async fn run_next(&self, stop: &mut watch::Receiver<bool>) -> Result<Ran> {
        kill_point("claim");
        let asked = Instant::now();
        let Some(claimed) = self.claim().await? else {
            return Ok(Ran::QueueEmpty);
        };
        kill_point("claimed");
        let job = &claimed.job;
        debug!(
            job_id = job.id,
            claim_us = asked.elapsed().as_micros(),
            "job claimed"
        );
        // Where two jobs were queued at once, the next worker may not have heard of the second.
        self.queued.notify_one();
        info!(job_id = job.id, attempt = job.attempt, "job started");
        let run = Run::default();
        // Whatever does not end first is dropped, which stops it at the database too.
        let ended = tokio::select! {
            outcome = AssertUnwindSafe(self.run(&claimed, &run)).catch_unwind() => {
                Ended::Done(outcome.unwrap_or_else(|_| Err(Error::internal("a panic while doing the job"))))
            }
            given_up = self.hold(job, &run) => given_up,
            () = told_to_stop(stop) => Ended::HandedBack,
        };
        drop(run);
        match ended {
            Ended::Done(Ok(())) => {
                kill_point("done");
                info!(job_id = job.id, "job done");
            }
            Ended::Done(Err(error)) => {
                match error.code {
                    ErrorCode::Internal => error!(job_id = job.id, %error, "job failed"),
                    code => warn!(job_id = job.id, code = code.name(), "job failed"),
                }
                self.fail(job, &error, stop).await?;
            }
            Ended::Cancelled => {
                kill_point("cancelling");
                self.store.end_cancelled(job).await?;
                info!(job_id = job.id, "job cancelled");
            }
            Ended::Lost => warn!(
                job_id = job.id,
                attempt = job.attempt,
                "job is somebody else's by now"
            ),
            Ended::HandedBack => {
                self.store.hand_back(job).await?;
                info!(job_id = job.id, "job queued again, the server stops");
                return Ok(Ran::Job(job.id));
            }
        }
        // Nobody waits for this; without it a power cut in the next seconds would have the job run again.
        let store = self.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.sync().await {
                error!(%error, "cannot put the metadata on disk");
            }
        });
        Ok(Ran::Job(job.id))
    }

    /// Adds lines to the job's log. No job fails for want of them.
    async fn tell(&self, job: &Job, level: Level, lines: &[String]) {
        if let Err(error) = self.store.log(job.id, level, lines).await {
            warn!(job_id = job.id, %error, "cannot write to the job's log");
        }
    }

    /// Writes down what a job has made. What cannot be written for a moment is tried again: hours may be in it.
    async fn keep<W: Future<Output = Result<()>>>(&self, write: impl Fn() -> W) -> Result<()> {
        for _ in 1..KEEPS_MAX {
            match write().await {
                Err(error) if error.code == ErrorCode::Internal => {
                    error!(%error, "cannot write down what a job has made");
                    tokio::time::sleep(RETRY_EVERY).await;
                }
                done => return done,
            }
        }
        write().await
    }

    /// Tries until it is written down, or the server stops: a job that stays `running` in the database
    /// would be joined by every equal submit until its lease is over.
    async fn fail(&self, job: &Job, error: &Error, stop: &mut watch::Receiver<bool>) -> Result<()> {
        loop {
            match self.store.fail(job, error).await {
                Err(unwritten) if unwritten.code == ErrorCode::Internal => {
                    error!(job_id = job.id, error = %unwritten, "cannot write down that a job failed");
                }
                // It may have been told to stop at the same time.
                Err(refused) => match self.store.end_cancelled(job).await? {
                    true => return Ok(()),
                    false => return Err(refused),
                },
                Ok(()) => return Ok(()),
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY_EVERY) => {}
                () = told_to_stop(stop) => return Ok(()),
            }
        }
    }

    async fn run(&self, claimed: &Claimed, run: &Run) -> Result<()> {
        let done = self.run_with_care(claimed, run).await;
        if let (JobKind::Import, Err(error)) = (claimed.job.kind, &done) {
            let lines: Vec<String> = shortened(&error.message).lines().map(str::to_owned).collect();
            self.tell(&claimed.job, Level::Error, &lines).await;
        }
        done
    }

    /// Once more where another attempt is known to go better; what each has found out may be one thing of several.
    async fn run_with_care(&self, claimed: &Claimed, run: &Run) -> Result<()> {
        let mut tries = 1;
        loop {
            match self.run_once(claimed, run).await {
                Err(error) if error.again && tries < TRIES_MAX && !run.given_up.load(Ordering::Relaxed) => {
                    tries += 1;
                    run.rows.store(0, Ordering::Relaxed);
                    // What has expired makes room.
                    if error.code == ErrorCode::TooLarge && self.sweep().await.ok() != Some(true) {
                        return Err(error);
                    }
                }
                done => return done,
            }
        }
    }

    async fn run_once(&self, claimed: &Claimed, run: &Run) -> Result<()> {
        match claimed.job.kind {
            JobKind::Query => self.run_query(claimed, run).await,
            JobKind::Export => {
                let result = self.stored_result(&claimed.job).await?;
                self.run_export(claimed, result, run).await
            }
            JobKind::Import => self.run_import(&claimed.job, run).await,
        }
    }

    /// The result that a job was given when it was submitted, if its rows are there.
    async fn stored_result(&self, job: &Job) -> Result<Option<StoredResult>> {
        let Some(id) = job.result_id else {
            return Ok(None);
        };
        let result = self.store.result(id).await?;
        Ok(result.filter(|result| match result.rows_kept {
            Place::File => self.objects.exists(&object_of(result)),
            Place::Inline => true,
            Place::No => false,
        }))
    }
}

/// Where a result's rows are.
fn object_of(result: &StoredResult) -> ObjectName<'static> {
    ObjectName::Result {
        job_id: result.job_id,
        attempt: result.attempt,
    }
}

async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop too.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// What the threads that work for a job share with who holds it.
struct Run {
    /// Turns true when the job was given up: when this is dropped.
    given_up: Arc<AtomicBool>,
    /// Rows that have come so far.
    rows: Arc<AtomicU64>,
    began: Instant,
}

impl Run {
    /// Whether somebody may be watching by now.
    fn is_long(&self) -> bool {
        self.began.elapsed() > TELL_EVERY
    }
}

impl Default for Run {
    fn default() -> Self {
        Self {
            given_up: Arc::default(),
            rows: Arc::default(),
            began: Instant::now(),
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}
