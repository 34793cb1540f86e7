//! Puts what has been written of a large file on disk while the rest is made, so that in the end little is left to wait for.

use std::fs::File;
use std::io;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

/// How much is written before it is put on disk.
const FLUSH_BYTES: u64 = 64 << 20;

/// Of one file, on a thread of its own once the file is large.
#[derive(Default)]
pub(crate) struct Flusher {
    begun: Option<(SyncSender<()>, JoinHandle<io::Result<()>>)>,
    /// How much was written since it was last asked.
    waiting: u64,
}

impl Flusher {
    /// Told of how much more was written.
    pub(crate) fn wrote(&mut self, file: &File, bytes: usize) -> io::Result<()> {
        self.waiting += bytes as u64;
        if self.waiting < FLUSH_BYTES {
            return Ok(());
        }
        self.waiting = 0;
        let (wanted, _) = match &mut self.begun {
            Some(begun) => begun,
            None => self.begun.insert(begin(file.try_clone()?)?),
        };
        // While one flush is under way and another wanted, a further one would be no different.
        let _ = wanted.try_send(());
        Ok(())
    }

    /// The system tells of a failed write once, here or to whoever syncs next.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let Some((wanted, thread)) = self.begun.take() else {
            return Ok(());
        };
        drop(wanted);
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("a panic while flushing")))
    }
}

fn begin(file: File) -> io::Result<(SyncSender<()>, JoinHandle<io::Result<()>>)> {
    let (wanted, receiver) = sync_channel(1);
    let thread = std::thread::Builder::new().name("flush".to_owned());
    let thread = thread.spawn(move || receiver.into_iter().try_for_each(|()| file.sync_data()))?;
    Ok((wanted, thread))
}
