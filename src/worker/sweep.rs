//! Removes what has outlived its lifetime, and files that nothing names.

use std::time::Duration;

use tokio::sync::watch;
use tracing::error;
use tracing::info;

use crate::error::Error;
use crate::error::Result;
use crate::objects::Folder;
use crate::objects::ObjectName;
use crate::objects::Objects;
use crate::store::now_us;
use crate::store::results::Forgotten;
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
        let mut made_room = false;
        loop {
            let forgotten = self.store.forget_expired().await?;
            if forgotten.count == 0 {
                break;
            }
            info!(results = forgotten.count, "removing expired results");
            made_room |= !forgotten.results.is_empty() || !forgotten.exports.is_empty();
            let objects = self.objects.clone();
            blocking(move || {
                remove_files(&objects, &forgotten);
                Ok(())
            })
            .await?;
        }
        let (objects, uploads) = (self.objects.clone(), self.store.forget_uploads().await?);
        blocking(move || {
            for name in &uploads {
                tell(objects.remove(&ObjectName::Upload { name }));
            }
            Ok(())
        })
        .await?;
        self.remove_orphans().await?;
        self.store.forget_keys().await?;
        self.store.forget_feeds().await?;
        let lifetime_us = i64::try_from(self.config.job_lifetime.as_micros()).unwrap_or(i64::MAX);
        self.store
            .forget_jobs(now_us().saturating_sub(lifetime_us))
            .await?;
        let lifetime_us = i64::try_from(self.config.audit_lifetime.as_micros()).unwrap_or(i64::MAX);
        self.store
            .forget_records(now_us().saturating_sub(lifetime_us))
            .await?;
        Ok(made_room)
    }

    /// Removes files that a crash or a late writer left between writing and naming them.
    pub(super) async fn remove_orphans(&self) -> Result<()> {
        // First the files, then what is kept: a file that comes in between is left alone.
        for folder in [Folder::Results, Folder::Exports, Folder::Rejects] {
            let objects = self.objects.clone();
            let listed = blocking(move || objects.list(folder)).await?;
            let job_ids: Vec<i64> = listed.files.iter().map(|(_, job_id, _)| *job_id).collect();
            let kept = match folder {
                Folder::Results => self.store.kept_results(&job_ids).await?,
                Folder::Exports => self.store.kept_exports(&job_ids).await?,
                Folder::Rejects => self.store.kept_rejects(&job_ids).await?,
            };
            let objects = self.objects.clone();
            blocking(move || objects.remove_all_but(listed, &kept)).await?;
        }
        Ok(())
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

/// Removing a large file takes its time.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

/// What cannot be removed now is an orphan, which the next sweep removes.
fn remove_files(objects: &Objects, forgotten: &Forgotten) {
    for (job_id, attempt, format) in &forgotten.exports {
        tell(objects.remove(&ObjectName::Export {
            job_id: *job_id,
            attempt: *attempt,
            format,
        }));
    }
    for (job_id, attempt) in &forgotten.results {
        tell(objects.remove(&ObjectName::Result {
            job_id: *job_id,
            attempt: *attempt,
        }));
    }
}

fn tell(removed: Result<()>) {
    if let Err(error) = removed {
        error!(%error, "cannot remove an expired file");
    }
}
