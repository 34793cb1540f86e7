//! How many queries and imports a source takes at the same time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

use crate::error::Error;
use crate::error::Result;
use crate::source::Source;

pub(super) struct Permits {
    free: Arc<Semaphore>,
    all: u32,
}

impl Permits {
    pub(super) fn of(source: &Source) -> Self {
        let all = source.settings.concurrency;
        Self {
            free: Arc::new(Semaphore::new(all as usize)),
            all,
        }
    }

    /// One of them, once it is free; held until the database is done.
    pub(super) async fn one(&self) -> Result<OwnedSemaphorePermit> {
        self.free.clone().acquire_owned().await.map_err(Error::internal)
    }

    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.free.available_permits()
    }

    /// Returns when nothing runs at the source any more, or says that something does.
    pub(super) async fn settle(&self, patience: Duration) -> bool {
        let all = self.free.acquire_many(self.all);
        tokio::time::timeout(patience, all).await.is_ok()
    }
}
