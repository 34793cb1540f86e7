//! Tells those who watch a job, in this process, that something has become of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// The jobs that somebody watches, with how many do.
#[derive(Clone, Default)]
pub(super) struct Changes(Arc<Mutex<Waiting>>);

type Waiting = HashMap<i64, (usize, Arc<Notify>)>;

impl Changes {
    /// Wakes everybody who watches this job.
    pub(super) fn tell(&self, job_id: i64) {
        if let Some((_, notify)) = self.lock().get(&job_id) {
            notify.notify_waiters();
        }
    }

    /// Begins to watch.
    pub(super) fn waiter(&self, job_id: i64) -> Waiter {
        let mut waiting = self.lock();
        let (count, notify) = waiting.entry(job_id).or_default();
        *count += 1;
        Waiter {
            job_id,
            notify: notify.clone(),
            changes: self.clone(),
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

/// One that watches a job.
pub(crate) struct Waiter {
    job_id: i64,
    notify: Arc<Notify>,
    changes: Changes,
}

impl Waiter {
    /// Ready when something has become of the job; hears of it from the moment it is enabled or polled.
    pub(crate) fn told(&self) -> Notified<'_> {
        self.notify.notified()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waiting = self.changes.lock();
        if let Some((count, _)) = waiting.get_mut(&self.job_id) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.job_id);
            }
        }
    }
}
