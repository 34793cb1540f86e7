//! How much all files of one kind may have together.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use bytesize::ByteSize;

#[derive(Debug)]
pub(super) struct Room {
    setting: &'static str,
    max: ByteSize,
    used: AtomicU64,
}

impl Room {
    pub(super) fn new(setting: &'static str, max: ByteSize, used: u64) -> Self {
        Self {
            setting,
            max,
            used: AtomicU64::new(used),
        }
    }

    /// Refused where that would be too much.
    pub(super) fn take(&self, bytes: u64) -> io::Result<()> {
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|used| *used <= self.max.as_u64())
            });
        if taken.is_ok() {
            return Ok(());
        }
        let message = format!(
            "the server's files passed the limit of {} together (setting `{}`): the oldest go as they expire",
            self.max, self.setting
        );
        Err(io::Error::new(io::ErrorKind::QuotaExceeded, message))
    }

    pub(super) fn give_back(&self, bytes: u64) {
        // Somebody may have put files there that were never counted.
        let less = |used: u64| Some(used.saturating_sub(bytes));
        let _ = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}
