//! Tells those who wait for a job, in this process, that it is done.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// The jobs that somebody waits for, with how many do.
#[derive(Clone, Default)]
pub(super) struct Finished(Arc<Mutex<Waiting>>);

type Waiting = HashMap<i64, (usize, Arc<Notify>)>;

impl Finished {
    /// Wakes everybody who waits for this job.
    pub(super) fn tell(&self, job_id: i64) {
        if let Some((_, notify)) = self.lock().get(&job_id) {
            notify.notify_waiters();
        }
    }

    /// Begins to wait.
    pub(super) fn waiter(&self, job_id: i64) -> Waiter {
        let mut waiting = self.lock();
        let (count, notify) = waiting.entry(job_id).or_default();
        *count += 1;
        Waiter {
            job_id,
            notify: notify.clone(),
            finished: self.clone(),
        }
    }

    /// How many jobs somebody waits for.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that waits for a job.
pub(crate) struct Waiter {
    job_id: i64,
    notify: Arc<Notify>,
    finished: Finished,
}

impl Waiter {
    /// Ready when the job is done; hears of it from the moment it is enabled or polled.
    pub(crate) fn told(&self) -> Notified<'_> {
        self.notify.notified()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.finished.lock();
        if let Some((count, _)) = waiting.get_mut(&self.job_id) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.job_id);
            }
        }
    }
}
