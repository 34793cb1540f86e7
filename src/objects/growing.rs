//! Files that are being written, for those who read along.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use tokio::sync::watch;

/// What there is of a file.
#[derive(Clone, Debug)]
pub(crate) struct Growth {
    /// Of the job that makes it.
    pub(crate) attempt: i64,
    /// No other file has it.
    pub(crate) tag: Arc<str>,
    pub(crate) file: Arc<File>,
    /// As many bytes of it stay as they are, if it becomes whole.
    pub(crate) bytes: u64,
    /// Written to its end and on disk. A file that is given up never is.
    pub(crate) is_whole: bool,
}

/// The files of jobs that are being written now.
#[derive(Debug)]
pub(super) struct GrowingFiles {
    files: Mutex<HashMap<i64, watch::Receiver<Growth>>>,
    began: watch::Sender<()>,
}

impl Default for GrowingFiles {
    fn default() -> Self {
        Self {
            files: Mutex::default(),
            began: watch::Sender::new(()),
        }
    }
}

impl GrowingFiles {
    /// The file of a job, as soon as there is something of it.
    pub(super) async fn of(&self, job_id: i64) -> watch::Receiver<Growth> {
        let mut began = self.began.subscribe();
        loop {
            began.borrow_and_update();
            if let Some(growth) = self.lock().get(&job_id) {
                return growth.clone();
            }
            // It can only fail without `self`.
            let _ = began.changed().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i64, watch::Receiver<Growth>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells readers how far a file is; when dropped, that nothing more comes.
#[derive(Debug)]
pub(super) struct Teller {
    job_id: i64,
    growth: watch::Sender<Growth>,
    files: Arc<GrowingFiles>,
}

impl Teller {
    pub(super) fn new(files: Arc<GrowingFiles>, job_id: i64, attempt: i64, file: File) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let growth = watch::Sender::new(Growth {
            attempt,
            tag: format!("{job_id:x}-{attempt:x}-{:x}", now.as_nanos()).into(),
            file: Arc::new(file),
            bytes: 0,
            is_whole: false,
        });
        files.lock().insert(job_id, growth.subscribe());
        files.began.send_replace(());
        Self {
            job_id,
            growth,
            files,
        }
    }

    pub(super) fn tag(&self) -> String {
        self.growth.borrow().tag.to_string()
    }

    pub(super) fn tell(&self, bytes: u64) {
        self.growth.send_modify(|growth| growth.bytes = bytes);
    }

    pub(super) fn tell_whole(&self) {
        self.growth.send_modify(|growth| growth.is_whole = true);
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        let mut files = self.files.lock();
        // A later attempt may have taken its place.
        let is_own = |there: &watch::Receiver<Growth>| there.same_channel(&self.growth.subscribe());
        if files.get(&self.job_id).is_some_and(is_own) {
            files.remove(&self.job_id);
        }
    }
}
