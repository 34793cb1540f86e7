//! Writes one object: small in memory, large in a file aside that appears under its name when it is whole.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use bytesize::ByteSize;

use crate::error::Result;
use crate::objects::flusher::Flusher;
use crate::objects::growing::GrowingFiles;
use crate::objects::growing::Teller;
use crate::objects::room::Room;

/// What is smaller never becomes a file: its bytes go into the row that names it, and cost no sync of their own.
pub(super) const INLINE_BYTES_MAX: usize = 16 << 10;

/// What files leave free on the disk, so that the metadata, which is beside them, can still be written:
/// a file that does not fit fails its own job and harms no other.
const DISK_RESERVE_BYTES: u64 = 64 << 20;

/// How much is written of a file before the free space is looked at again.
const DISK_CHECK_BYTES: u64 = 1 << 20;

/// An object in the making; gone when dropped before `publish`.
pub(crate) struct ObjectWriter {
    /// All of it, until it is too large for that.
    small: Vec<u8>,
    file: Option<File>,
    flusher: Flusher,
    aside: PathBuf,
    path: PathBuf,
    bytes: u64,
    bytes_max: ByteSize,
    /// What this and others may have together, and what of it this has taken.
    room: Option<Arc<Room>>,
    taken: u64,
    published: bool,
    /// Who may read along, of which job and attempt.
    readers: Option<(Arc<GrowingFiles>, i64, i64)>,
    teller: Option<Teller>,
}

/// A whole object.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Object {
    /// A small one, to be kept in the row that names it.
    Inline(Vec<u8>),
    /// A file, visible under its name and safe on disk.
    File { bytes: u64, tag: Option<String> },
}

impl Object {
    /// All of a small one.
    pub(crate) fn into_content(self) -> Option<Vec<u8>> {
        match self {
            Self::Inline(content) => Some(content),
            Self::File { .. } => None,
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Inline(content) => content.len() as u64,
            Self::File { bytes, .. } => *bytes,
        }
    }

    /// What those were told who read it while it was written.
    pub(crate) fn tag(&self) -> Option<String> {
        match self {
            Self::Inline(_) => None,
            Self::File { tag, .. } => tag.clone(),
        }
    }
}

impl ObjectWriter {
    /// Writes to `aside` what is to appear at `path`; more bytes than this are refused.
    pub(super) fn new(
        aside: PathBuf,
        path: PathBuf,
        bytes_max: ByteSize,
        room: Option<Arc<Room>>,
        readers: Option<(Arc<GrowingFiles>, i64, i64)>,
    ) -> Self {
        Self {
            small: Vec::new(),
            file: None,
            flusher: Flusher::default(),
            aside,
            path,
            bytes: 0,
            bytes_max,
            room,
            taken: 0,
            published: false,
            readers,
            teller: None,
        }
    }

    /// How many more bytes this may have.
    pub(crate) fn bytes_left(&self) -> u64 {
        self.bytes_max.as_u64().saturating_sub(self.bytes)
    }

    pub(crate) fn publish(mut self) -> Result<Object> {
        let Some(file) = &self.file else {
            return Ok(Object::Inline(std::mem::take(&mut self.small)));
        };
        self.flusher.finish()?;
        file.sync_all()?;
        fs::rename(&self.aside, &self.path)?;
        let synced = match self.path.parent() {
            Some(folder) => File::open(folder).and_then(|folder| folder.sync_all()),
            None => Ok(()),
        };
        if let Err(error) = synced {
            // Nobody will name it.
            let _ = fs::remove_file(&self.path);
            return Err(error.into());
        }
        self.published = true;
        if let Some(teller) = &self.teller {
            teller.tell_whole();
        }
        Ok(Object::File {
            bytes: self.bytes,
            tag: self.teller.as_ref().map(Teller::tag),
        })
    }

    /// As `publish`, but even a small one becomes a file.
    pub(crate) fn publish_file(mut self) -> Result<u64> {
        self.file()?;
        Ok(self.publish()?.bytes())
    }

    fn take(&mut self, bytes: usize) -> io::Result<()> {
        if let Some(room) = &self.room {
            room.take(bytes as u64)?;
            self.taken += bytes as u64;
        }
        Ok(())
    }

    /// The file, begun with what has been written so far.
    fn file(&mut self) -> io::Result<&mut File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                self.take(self.small.len())?;
                let mut file = File::options()
                    .read(true)
                    .write(true)
                    .create_new(true)
                    .open(&self.aside)?;
                check_disk(&file)?;
                file.write_all(&self.small)?;
                self.small = Vec::new();
                if let Some((files, job_id, attempt)) = self.readers.take() {
                    self.teller = Some(Teller::new(files, job_id, attempt, file.try_clone()?));
                }
                file
            }
        };
        Ok(self.file.insert(file))
    }
}

/// Refused where the disk has little more than what is to stay free.
pub(crate) fn check_disk(file: &File) -> io::Result<()> {
    let disk = rustix::fs::fstatvfs(file)?;
    // Some file systems do not say.
    let is_known = disk.f_blocks > 0;
    match is_known && disk.f_bavail.saturating_mul(disk.f_frsize) < DISK_RESERVE_BYTES {
        true => Err(io::ErrorKind::StorageFull.into()),
        false => Ok(()),
    }
}

impl Write for ObjectWriter {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.bytes + buffer.len() as u64 > self.bytes_max.as_u64() {
            let message = format!(
                "the result's size on disk passed the limit of {} (setting `result_bytes_max`)",
                self.bytes_max
            );
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        let written = if self.file.is_none() && self.small.len() + buffer.len() <= INLINE_BYTES_MAX {
            self.small.extend_from_slice(buffer);
            buffer.len()
        } else {
            self.file()?;
            self.take(buffer.len())?;
            // All of it, so that what is taken is what is written.
            self.file()?.write_all(buffer)?;
            buffer.len()
        };
        self.bytes += written as u64;
        if let Some(teller) = &self.teller {
            teller.tell(self.bytes);
        }
        if let Some(file) = &self.file {
            if self.bytes / DISK_CHECK_BYTES > (self.bytes - written as u64) / DISK_CHECK_BYTES {
                check_disk(file)?;
            }
            self.flusher.wrote(file, written)?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), File::flush)
    }
}

impl Drop for ObjectWriter {
    fn drop(&mut self) {
        if !self.published {
            // Left behind at worst until the next start, which empties the folder.
            let _ = fs::remove_file(&self.aside);
            if let Some(room) = &self.room {
                room.give_back(self.taken);
            }
        }
    }
}
