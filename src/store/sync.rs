//! Commits are written at once and put on disk together: many that wait share one sync of the disk.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use tokio::sync::Mutex;

use crate::error::Error;
use crate::error::Result;

/// Puts the database's write-ahead log on disk.
/// Without it a commit survives the process, however that ends, but for a moment not a power cut.
pub(super) struct WalSync {
    path: PathBuf,
    asked: AtomicU64,
    done: Arc<Mutex<Done>>,
}

#[derive(Default)]
struct Done {
    /// Everything that was committed before this many had asked is on disk.
    asked: u64,
    /// The system tells of a lost write once; after that nothing can be promised until the next start.
    failed: bool,
}

impl WalSync {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            asked: AtomicU64::new(0),
            done: Arc::default(),
        }
    }

    /// Returns when all that the caller has committed is on disk.
    pub(super) async fn sync(&self) -> Result<()> {
        let own = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut done = self.done.clone().lock_owned().await;
        if done.failed {
            return Err(Error::internal(
                "an earlier write of the metadata was lost: look into the disk",
            ));
        }
        if done.asked >= own {
            return Ok(());
        }
        let asked = self.asked.load(Ordering::SeqCst);
        let path = self.path.clone();
        // What comes out is noted there: whoever asked for it may be gone by then.
        let syncing = tokio::task::spawn_blocking(move || {
            match File::open(path) {
                Ok(file) => file.sync_data().inspect_err(|_| done.failed = true)?,
                // All of it is in the database file, which was synced before the log went.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // Nothing is lost: the next one may have a file to spare.
                Err(error) => return Err(error),
            }
            done.asked = asked;
            Ok(())
        });
        Ok(syncing.await.map_err(Error::internal)??)
    }
}
