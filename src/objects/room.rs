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
        let used = self.used.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if used <= self.max.as_u64() {
            return Ok(());
        }
        self.give_back(bytes);
        let message = format!(
            "the server's files passed the limit of {} together (setting `{}`): the oldest go as they expire",
            self.max, self.setting
        );
        Err(io::Error::new(io::ErrorKind::QuotaExceeded, message))
    }

    pub(super) fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}
