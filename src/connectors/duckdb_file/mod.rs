//! A DuckDB file of somebody else's, behind the same walls as the warehouse. It is open only while
//! queries run, so that its owner can write to it in between: DuckDB lets in one writer or many readers.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use arrow::datatypes::DataType;
use arrow::datatypes::SchemaRef;
use bytesize::ByteSize;
use duckdb::AccessMode;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::oneshot;
use tracing::warn;

use crate::connectors::BatchStream;
use crate::connectors::Batches;
use crate::connectors::deadline::Deadline;
use crate::connectors::deadline::timeout_of;
use crate::connectors::duckdb::Warehouse;
use crate::connectors::interrupt::Interrupt;
use crate::connectors::load::Destination;
use crate::connectors::permits::Permits;
use crate::connectors::unreachable;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::query::Statement;
use crate::source::Source;

/// The files that this process has open or is closing, whichever source they were opened for. The locks on a file belong to
/// the process: a second engine on it would not be kept out, and would let go of the locks of the first.
static OPEN: LazyLock<Mutex<HashMap<FileId, Open>>> = LazyLock::new(Mutex::default);

/// How many engines there have been.
static ENGINES: AtomicU64 = AtomicU64::new(0);

/// How long whoever writes waits for queries of sources that are not writable, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Device and inode.
type FileId = (u64, u64);

struct Open {
    warehouse: Weak<Warehouse>,
    is_writable: bool,
}

/// Its place among the open files. Gone when the file is closed.
pub(super) struct Registered {
    id: FileId,
    /// Where its engine has put what did not fit its memory.
    spill_dir: PathBuf,
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&self.id);
        if let Err(error) = fs::remove_dir_all(&self.spill_dir)
            && error.kind() != io::ErrorKind::NotFound
        {
            warn!(%error, "cannot remove what an engine has spilled");
        }
    }
}

/// An open file as long as it is needed. Closing it may write what was logged, on a thread that may block.
struct Held(Option<Arc<Warehouse>>);

impl Held {
    fn warehouse(&self) -> Result<&Arc<Warehouse>> {
        self.0
            .as_ref()
            .ok_or_else(|| Error::internal("a file that is closed already"))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let warehouse = self.0.take();
        tokio::task::spawn_blocking(move || drop(warehouse));
    }
}

/// What the server gives an engine that runs inside it.
#[derive(Clone, Debug)]
pub(crate) struct EngineSettings {
    /// The server's own files, which are no source's.
    pub(crate) warehouse_file: PathBuf,
    pub(crate) metadata_file: PathBuf,
    pub(crate) spill_dir: PathBuf,
    pub(crate) memory_max: ByteSize,
    pub(crate) threads: usize,
}

/// A DuckDB file.
pub(super) struct DuckdbFile {
    name: String,
    path: PathBuf,
    is_writable: bool,
    timeout: Duration,
    patience: Duration,
    engine: EngineSettings,
    permits: Permits,
}

/// Held by a query until it is over: its place among the source's queries, and its time.
pub(super) struct Leash {
    _permit: OwnedSemaphorePermit,
    deadline: Deadline,
}

impl DuckdbFile {
    pub(super) fn new(
        source: &Source,
        path: &Path,
        query_timeout: Duration,
        engine: &EngineSettings,
    ) -> Self {
        Self {
            name: source.name.clone(),
            path: path.to_owned(),
            is_writable: source.settings.writable,
            timeout: timeout_of(source, query_timeout),
            patience: PATIENCE,
            engine: engine.clone(),
            permits: Permits::of(source),
        }
    }

    /// Runs a statement as soon as the source has a place for it.
    pub(super) async fn query(self: &Arc<Self>, statement: &Statement) -> Result<BatchStream> {
        let leash = Leash {
            _permit: self.permits.one().await?,
            deadline: Deadline::new(&self.name, self.timeout),
        };
        let open = self.open().await?;
        open.warehouse()?.query_on(statement, Some(leash)).await
    }

    /// The columns of the table if it is there, each with the type that a file's values must have for it.
    pub(super) async fn columns_of(
        self: &Arc<Self>,
        destination: &Destination,
    ) -> Result<Option<Vec<(String, Option<DataType>)>>> {
        let _permit = self.permits.one().await?;
        let open = self.open().await?;
        open.warehouse()?.columns_of(destination).await
    }

    /// Loads all batches or nothing, and says how many rows there were.
    pub(super) async fn load(
        self: &Arc<Self>,
        destination: &Destination,
        schema: SchemaRef,
        batches: Batches,
    ) -> Result<u64> {
        let _permit = self.permits.one().await?;
        let open = self.open().await?;
        open.warehouse()?.load(destination, schema, batches).await
    }

    /// Says what is found there, or what is wrong.
    pub(super) async fn check(self: &Arc<Self>) -> Result<String> {
        let open = self.open().await?;
        let warehouse = open.warehouse()?.clone();
        let counting = tokio::task::spawn_blocking(move || {
            let counts = "select version(), (select count(*) from duckdb_tables() where not internal),
                          (select count(*) from duckdb_views() where not internal)";
            let (version, tables, views): (String, i64, i64) = warehouse
                .connect()?
                .query_row(counts, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .map_err(Error::internal)?;
            Ok(format!("DuckDB {version}, {tables} tables and {views} views"))
        });
        counting.await.map_err(Error::internal)?
    }

    /// How many queries there may be.
    pub(super) fn permits(&self) -> &Permits {
        &self.permits
    }

    /// The file, opened if it is not. It is closed when nobody holds what this returns.
    async fn open(self: &Arc<Self>) -> Result<Held> {
        let began = Instant::now();
        loop {
            let file = self.clone();
            let opening = tokio::task::spawn_blocking(move || {
                Ok::<_, Error>(file.blocking_open()?.map(|open| Held(Some(open))))
            });
            match opening.await.map_err(Error::internal)?? {
                Some(warehouse) => return Ok(warehouse),
                None if began.elapsed() < self.patience => tokio::time::sleep(LOOK_EVERY).await,
                None => {
                    let path = self.path.display();
                    let why = format!("`{path}` is being closed, or read by a source that is not writable");
                    return Err(unreachable(&self.name, &why));
                }
            }
        }
    }

    /// `None` while it is being closed, or is open for reading and this source is to write.
    fn blocking_open(&self) -> Result<Option<Arc<Warehouse>>> {
        let path = self.path.display();
        let wrong = |why: String| unreachable(&self.name, &why);
        let id = match file_id(&self.path) {
            Ok(id) => id,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(wrong(format!("no such file `{path}`")));
            }
            Err(error) => return Err(wrong(format!("cannot read `{path}`: {error}"))),
        };
        // It may have been put there meanwhile.
        self.engine.refuse_own(&self.name, &self.path)?;
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = open.get(&id) {
            let fits = open.is_writable || !self.is_writable;
            // Dropped here it might be the last, and wait for the lock that is held here.
            return Ok(if fits { open.warehouse.upgrade() } else { None });
        }
        let mode = match self.is_writable {
            true => AccessMode::ReadWrite,
            false => AccessMode::ReadOnly,
        };
        // The engine would make views of files of other kinds. Nobody here has it open, so that closing it loses no lock.
        if !is_database(&self.path) {
            return Err(wrong(format!("`{path}` is not a DuckDB database")));
        }
        let engine = &self.engine;
        // Two engines would give their files the same names, also two of one source whose file was replaced.
        let number = ENGINES.fetch_add(1, Ordering::Relaxed);
        let spill_dir = engine.spill_dir.join(format!("engine-{number}"));
        let warehouse = Warehouse::open_as(mode, &self.path, &spill_dir, engine.memory_max, engine.threads)
            .map_err(|error| match error.code {
            ErrorCode::Conflict => wrong(why(&self.path, &error.message)),
            _ => error,
        })?;
        let warehouse = warehouse.registered(Registered { id, spill_dir });
        let opened = Open {
            warehouse: Arc::downgrade(&warehouse),
            is_writable: self.is_writable,
        };
        open.insert(id, opened);
        Ok(Some(warehouse))
    }
}

impl EngineSettings {
    /// Refuses the server's own files, and opens neither: closing one would take away the locks that the server has on it.
    pub(super) fn refuse_own(&self, source: &str, path: &Path) -> Result<()> {
        let Ok(id) = file_id(path) else {
            return Ok(());
        };
        let is = |own: &Path| file_id(own).is_ok_and(|own| own == id);
        let path = path.display();
        if is(&self.warehouse_file) {
            let why =
                format!("`{path}` is the server's own warehouse: its reports name the source `warehouse`");
            return Err(unreachable(source, &why));
        }
        match is(&self.metadata_file) {
            true => Err(unreachable(
                source,
                &format!("`{path}` is the server's own metadata"),
            )),
            false => Ok(()),
        }
    }
}

impl Leash {
    /// Stops the query at its deadline, unless what this returns has been dropped.
    pub(super) fn watch(&self, interrupt: Arc<Interrupt>) -> oneshot::Sender<()> {
        let deadline = self.deadline.at();
        let (running, over) = oneshot::channel();
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep_until(deadline.into()) => interrupt.stop(),
                _ = over => {}
            }
        });
        running
    }

    /// Why a query has ended badly; without a leash nothing but a cancel stops it.
    pub(super) fn why(leash: Option<&Self>, error: Error) -> Error {
        match leash {
            Some(leash) if error.code == ErrorCode::Cancelled && leash.deadline.has_passed() => {
                leash.deadline.error()
            }
            _ => error,
        }
    }
}

/// Without opening it: closing it again would take away the locks that an engine has on it.
pub(super) fn file_id(path: &Path) -> io::Result<FileId> {
    let found = fs::metadata(path)?;
    match found.is_file() {
        true => Ok((found.dev(), found.ino())),
        false => Err(io::Error::other("it is not a file")),
    }
}

/// By what stands behind the checksum of the first block.
fn is_database(path: &Path) -> bool {
    let mut head = [0; 12];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head.ends_with(b"DUCK")
}

/// Whether this process has a file open.
#[cfg(test)]
pub(super) fn is_open(path: &Path) -> bool {
    let open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    file_id(path).is_ok_and(|id| open.contains_key(&id))
}

/// What the engine's word on a file means to who set the source up.
fn why(path: &Path, message: &str) -> String {
    let path = path.display();
    if message.contains("Could not set lock") {
        let holder = message
            .split_once("Conflicting lock is held in ")
            .and_then(|(_, rest)| rest.split_once(')'))
            .map(|(holder, _)| format!(": {holder})"))
            .unwrap_or_default();
        return format!("`{path}` is locked, another process has it open{holder}");
    }
    // The engine would read files of other kinds with what it may not load.
    let other_kind = [
        "not a valid DuckDB database file",
        "Loading external extensions is disabled",
    ];
    if other_kind.iter().any(|words| message.contains(words)) {
        return format!("`{path}` is not a DuckDB database");
    }
    message.to_owned()
}
