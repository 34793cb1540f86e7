//! The files of results and exports, in folders of the data folder.
//! A file is written aside and appears under its name whole or not at all; it never changes after that.
//! Every name is made here. There is one backend, the local folder, so there is no interface to choose one.

mod flusher;
mod growing;
mod private;
mod room;
mod writer;

use std::collections::HashSet;
use std::fs;
use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::io::Read as _;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use bytesize::ByteSize;
use tokio::sync::watch;
use tracing::info;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
pub(crate) use crate::objects::flusher::Flusher;
use crate::objects::growing::GrowingFiles;
pub(crate) use crate::objects::growing::Growth;
pub(crate) use crate::objects::private::keep_new_files_private;
pub(crate) use crate::objects::private::make_private_file;
pub(crate) use crate::objects::private::make_private_folder;
use crate::objects::private::private_folder;
use crate::objects::room::Room;
pub(crate) use crate::objects::writer::Object;
pub(crate) use crate::objects::writer::ObjectWriter;
pub(crate) use crate::objects::writer::check_disk;

const TEMP: &str = "tmp";
const UPLOADS: &str = "uploads";

/// Names one stored file: by the job and the attempt that wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ObjectName<'a> {
    /// The rows of a result.
    Result { job_id: i64, attempt: i64 },
    /// A file made of a result; the format is its suffix.
    Export {
        job_id: i64,
        attempt: i64,
        format: &'a str,
    },
    /// A file that somebody uploaded, by a name that was drawn for it.
    Upload { name: &'a str },
    /// The rows that an import left out.
    Rejects { job_id: i64, attempt: i64 },
}

impl ObjectName<'_> {
    fn path(&self) -> PathBuf {
        match self {
            Self::Result { job_id, attempt } => {
                Path::new(Folder::Results.name()).join(format!("{job_id}-{attempt}.arrow"))
            }
            Self::Export {
                job_id,
                attempt,
                format,
            } => Path::new(Folder::Exports.name()).join(format!("{job_id}-{attempt}.{format}")),
            Self::Upload { name } => Path::new(UPLOADS).join(name),
            Self::Rejects { job_id, attempt } => {
                Path::new(Folder::Rejects.name()).join(format!("{job_id}-{attempt}.csv"))
            }
        }
    }

    /// Reads job and attempt off a file's name.
    fn parse(file_name: &str) -> Option<(i64, i64)> {
        let (stem, _) = file_name.split_once('.')?;
        let (job_id, attempt) = stem.split_once('-')?;
        Some((job_id.parse().ok()?, attempt.parse().ok()?))
    }
}

/// The object store of one data folder. While it lives, no other process can open the folder.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    root: PathBuf,
    _lock: Arc<File>,
    /// What results and their files have together.
    results: Arc<Room>,
    /// What uploads have together.
    uploads: Arc<Room>,
    /// Files of exports that are being written.
    growing: Arc<GrowingFiles>,
}

impl Objects {
    /// Takes the folder for this process alone, making it if need be,
    /// and throws away what an earlier process had not finished writing.
    #[cfg(test)]
    pub(crate) fn open(root: &Path) -> Result<Self> {
        Self::with_limits(root, ByteSize::b(u64::MAX), ByteSize::b(u64::MAX))
    }

    /// The same; more bytes of all results or all uploads are refused.
    pub(crate) fn with_limits(root: &Path, results_max: ByteSize, uploads_max: ByteSize) -> Result<Self> {
        let lock = Arc::new(lock(root)?);
        for folder in [
            Folder::Results.name(),
            Folder::Exports.name(),
            Folder::Rejects.name(),
            UPLOADS,
            TEMP,
        ] {
            make_private_folder(&root.join(folder))?;
        }
        let of_results =
            bytes_in(&root.join(Folder::Results.name()))? + bytes_in(&root.join(Folder::Exports.name()))?;
        let of_uploads = bytes_in(&root.join(UPLOADS))?;
        let objects = Self {
            root: root.to_owned(),
            _lock: lock,
            results: Arc::new(Room::new("results_bytes_max", results_max, of_results)),
            uploads: Arc::new(Room::new("uploads_bytes_max", uploads_max, of_uploads)),
            growing: Arc::default(),
        };
        for entry in fs::read_dir(objects.temp_dir())? {
            let path = entry?.path();
            if path.is_dir() {
                fs::remove_dir_all(path)?;
            } else {
                fs::remove_file(path)?;
            }
        }
        Ok(objects)
    }

    /// Where everything is that is not finished; emptied at start.
    pub(crate) fn temp_dir(&self) -> PathBuf {
        self.root.join(TEMP)
    }

    /// Begins an object that nobody can see yet; more bytes than this are refused.
    pub(crate) fn create(&self, name: &ObjectName, bytes_max: ByteSize) -> ObjectWriter {
        let path = self.root.join(name.path());
        // A result and an export of one job may both be in the making, and be called alike.
        let aside = name.path().to_string_lossy().replace('/', "-");
        let aside = self.temp_dir().join(aside);
        let readers = match *name {
            ObjectName::Export { job_id, attempt, .. } => Some((self.growing.clone(), job_id, attempt)),
            _ => None,
        };
        ObjectWriter::new(aside, path, bytes_max, self.room(name).cloned(), readers)
    }

    /// The file that an export job writes, as soon as there is something of it. A small one never becomes a file.
    pub(crate) async fn growing(&self, job_id: i64) -> watch::Receiver<Growth> {
        self.growing.of(job_id).await
    }

    fn room(&self, name: &ObjectName) -> Option<&Arc<Room>> {
        match name {
            ObjectName::Result { .. } => Folder::Results.room(self),
            ObjectName::Export { .. } => Folder::Exports.room(self),
            ObjectName::Rejects { .. } => Folder::Rejects.room(self),
            ObjectName::Upload { .. } => Some(&self.uploads),
        }
    }

    /// A file that is not there has expired, or somebody has removed it by hand.
    pub(crate) fn open_object(&self, name: &ObjectName) -> Result<File> {
        File::open(self.root.join(name.path())).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::new(ErrorCode::NotFound, "the stored file is gone"),
            _ => error.into(),
        })
    }

    pub(crate) fn exists(&self, name: &ObjectName) -> bool {
        self.root.join(name.path()).exists()
    }

    /// Removes those of these files whose job and attempt are not among the kept ones.
    pub(crate) fn remove_all_but(&self, files: Listed, kept: &HashSet<(i64, i64)>) -> Result<()> {
        for (path, job_id, attempt) in files.files {
            if !kept.contains(&(job_id, attempt)) {
                info!(path = %path.display(), "removing a file that nothing names");
                remove(&path, files.folder.room(self))?;
            }
        }
        Ok(())
    }

    /// Removes a file. That it is gone already is no error; a reader that has it open keeps it.
    pub(crate) fn remove(&self, name: &ObjectName) -> Result<()> {
        remove(&self.root.join(name.path()), self.room(name))
    }

    /// The files that somebody uploaded, by their names.
    pub(crate) fn uploads(&self) -> Result<Vec<String>> {
        let names = fs::read_dir(self.root.join(UPLOADS))?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect::<io::Result<_>>().map_err(Error::from)
    }

    /// Where an uploaded file is, for those who read it themselves.
    pub(crate) fn upload_path(&self, name: &str) -> PathBuf {
        self.root.join(ObjectName::Upload { name }.path())
    }

    /// A folder for one attempt of a job, gone when dropped.
    pub(crate) fn work_folder(&self, job_id: i64, attempt: i64) -> Result<WorkFolder> {
        let path = self.temp_dir().join(format!("job-{job_id}-{attempt}"));
        private_folder(&path)?;
        Ok(WorkFolder(path))
    }

    /// The stored files of one folder.
    pub(crate) fn list(&self, folder: Folder) -> Result<Listed> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.root.join(folder.name()))? {
            let entry = entry?;
            if let Some((job_id, attempt)) = entry.file_name().to_str().and_then(ObjectName::parse) {
                files.push((entry.path(), job_id, attempt));
            }
        }
        Ok(Listed { folder, files })
    }
}

/// What is in a folder, with the job and attempt that wrote each file.
pub(crate) struct Listed {
    folder: Folder,
    pub(crate) files: Vec<(PathBuf, i64, i64)>,
}

fn remove(path: &Path, room: Option<&Arc<Room>>) -> Result<()> {
    let bytes = fs::symlink_metadata(path).map_or(0, |file| file.len());
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => {
            if let Some(room) = room {
                room.give_back(bytes);
            }
            Ok(())
        }
    }
}

fn bytes_in(folder: &Path) -> io::Result<u64> {
    let files = fs::read_dir(folder)?.map(|entry| Ok(entry?.metadata()?.len()));
    files.sum()
}

/// A folder that goes with its owner.
pub(crate) struct WorkFolder(PathBuf);

impl WorkFolder {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        // Left behind at worst until the next start, which empties the folder around it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The lock goes with the process, however it ends, so it can never be stale.
fn lock(root: &Path) -> Result<File> {
    make_private_folder(root)?;
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(root.join("lock"))?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            writeln!(file, "{}", std::process::id())?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder)?;
            Err(Error::new(
                ErrorCode::Conflict,
                format!(
                    "another server (process {}) is using the data folder `{}`",
                    holder.trim(),
                    root.display()
                ),
            ))
        }
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Where the files of one kind are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Folder {
    Results,
    Exports,
    Rejects,
}

impl Folder {
    fn room(self, objects: &Objects) -> Option<&Arc<Room>> {
        match self {
            Self::Results | Self::Exports => Some(&objects.results),
            Self::Rejects => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Results => "results",
            Self::Exports => "exports",
            Self::Rejects => "rejects",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::writer::INLINE_BYTES_MAX;
    use super::*;

    const NAME: ObjectName = ObjectName::Result {
        job_id: 7,
        attempt: 2,
    };

    #[test]
    fn file_is_visible_only_when_published() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::open(folder.path()).unwrap();
        let mut writer = objects.create(&NAME, ByteSize::mib(1));
        let rows: Vec<u8> = (0..INLINE_BYTES_MAX + 1).map(|byte| byte as u8).collect();
        writer.write_all(&rows[..10]).unwrap();
        writer.write_all(&rows[10..]).unwrap();
        assert!(objects.open_object(&NAME).is_err());
        let bytes = rows.len() as u64;
        assert_eq!(writer.publish().unwrap(), Object::File { bytes, tag: None });
        assert_eq!(fs::read(folder.path().join("results/7-2.arrow")).unwrap(), rows);
        assert_eq!(objects.list(Folder::Results).unwrap().files[0].1, 7);
        objects.remove(&NAME).unwrap();
        objects.remove(&NAME).unwrap();
        assert!(objects.list(Folder::Results).unwrap().files.is_empty());
    }

    #[test]
    fn small_object_never_becomes_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::open(folder.path()).unwrap();
        let mut writer = objects.create(&NAME, ByteSize::mib(1));
        writer.write_all(&[7; INLINE_BYTES_MAX]).unwrap();
        assert_eq!(fs::read_dir(objects.temp_dir()).unwrap().count(), 0);
        assert_eq!(
            writer.publish().unwrap(),
            Object::Inline(vec![7; INLINE_BYTES_MAX])
        );
        assert!(objects.open_object(&NAME).is_err());
    }

    #[test]
    fn dropped_and_abandoned_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::open(folder.path()).unwrap();
        let mut writer = objects.create(&NAME, ByteSize::mib(1));
        writer.write_all(&[7; INLINE_BYTES_MAX + 1]).unwrap();
        assert_eq!(fs::read_dir(objects.temp_dir()).unwrap().count(), 1);
        drop(writer);
        assert_eq!(fs::read_dir(objects.temp_dir()).unwrap().count(), 0);
        fs::write(objects.temp_dir().join("7-3.arrow"), "half").unwrap();
        drop(objects);
        let objects = Objects::open(folder.path()).unwrap();
        assert_eq!(fs::read_dir(objects.temp_dir()).unwrap().count(), 0);
    }

    #[test]
    fn folder_is_for_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let first = Objects::open(folder.path()).unwrap();
        let error = Objects::open(folder.path()).unwrap_err();
        assert_eq!(error.code, ErrorCode::Conflict);
        assert!(error.message.contains(&std::process::id().to_string()), "{error}");
        drop(first);
        Objects::open(folder.path()).unwrap();
    }
}
