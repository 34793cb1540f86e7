//! Removes what has outlived its lifetime, and files that nothing names.

use std::time::Duration;

use tokio::sync::watch;
use tracing::error;
use tracing::info;

use crate::error::Result;
use crate::objects::Folder;
use crate::objects::Listed;
use crate::objects::ObjectName;
use crate::store::now_us;
use crate::worker::Worker;

const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// What a crash may take of the audit.
const RECORD_EVERY: Duration = Duration::from_millis(500);

impl Worker {
    pub(super) async fn sweep_regularly(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            if let Err(error) = self.sweep().await {
                error!(%error, "cannot remove what has expired");
            }
            tokio::select! {
                () = tokio::time::sleep(SWEEP_EVERY) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// Writes down who did what. What comes after the last time is written when the metadata are closed.
    pub(super) async fn record_regularly(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            tokio::select! {
                () = tokio::time::sleep(RECORD_EVERY) => {}
                _ = stop.changed() => {}
            }
            if let Err(error) = self.store.write_records().await {
                error!(%error, "cannot write records of the audit");
            }
        }
    }

    /// First forgets, then removes: a crash in between leaves orphans, never a name without a file.
    /// Whether that made room for results.
    pub(crate) async fn sweep(&self) -> Result<bool> {
        let forgotten = self.store.forget_expired().await?;
        // What cannot be removed now is an orphan, which the next sweep removes.
        for (job_id, attempt, format) in &forgotten.exports {
            tell(self.objects.remove(&ObjectName::Export {
                job_id: *job_id,
                attempt: *attempt,
                format,
            }));
        }
        for (job_id, attempt) in &forgotten.results {
            tell(self.objects.remove(&ObjectName::Result {
                job_id: *job_id,
                attempt: *attempt,
            }));
        }
        if forgotten.count > 0 {
            info!(results = forgotten.count, "removed expired results");
        }
        for name in self.store.forget_uploads().await? {
            tell(self.objects.remove(&ObjectName::Upload { name: &name }));
        }
        self.remove_orphans().await?;
        self.store.forget_keys().await?;
        let lifetime_us = i64::try_from(self.config.job_lifetime.as_micros()).unwrap_or(i64::MAX);
        self.store
            .forget_jobs(now_us().saturating_sub(lifetime_us))
            .await?;
        let lifetime_us = i64::try_from(self.config.audit_lifetime.as_micros()).unwrap_or(i64::MAX);
        self.store
            .forget_records(now_us().saturating_sub(lifetime_us))
            .await?;
        Ok(!forgotten.results.is_empty() || !forgotten.exports.is_empty())
    }

    /// Removes files that a crash or a late writer left between writing and naming them.
    pub(super) async fn remove_orphans(&self) -> Result<()> {
        // First the files, then what is kept: a file that comes in between is left alone.
        let results = self.objects.list(Folder::Results)?;
        let kept = self.store.kept_results(&job_ids(&results)).await?;
        self.objects.remove_all_but(results, &kept)?;
        let exports = self.objects.list(Folder::Exports)?;
        let kept = self.store.kept_exports(&job_ids(&exports)).await?;
        self.objects.remove_all_but(exports, &kept)?;
        let rejects = self.objects.list(Folder::Rejects)?;
        let kept = self.store.kept_rejects(&job_ids(&rejects)).await?;
        self.objects.remove_all_but(rejects, &kept)
    }

    /// Removes uploads that a crash left before an import named them. Only while nobody uploads.
    pub(super) async fn remove_unnamed_uploads(&self) -> Result<()> {
        let kept = self.store.kept_uploads().await?;
        for name in self.objects.uploads()? {
            if !kept.contains(&name) {
                info!(name, "removing an upload that no import names");
                self.objects.remove(&ObjectName::Upload { name: &name })?;
            }
        }
        Ok(())
    }
}

fn job_ids(listed: &Listed) -> Vec<i64> {
    listed.files.iter().map(|(_, job_id, _)| *job_id).collect()
}

fn tell(removed: Result<()>) {
    if let Err(error) = removed {
        error!(%error, "cannot remove an expired file");
    }
}
