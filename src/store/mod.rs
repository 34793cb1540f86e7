//! The metadata database: users, keys, reports, jobs, and which results and exports exist.
//! All SQL on it is in this folder; it never touches a report's source.

mod access;
pub(crate) mod api_keys;
pub(crate) mod audit;
pub(crate) mod changes;
mod feeds;
pub(crate) mod idempotency;
pub(crate) mod imports;
pub(crate) mod job_lists;
pub(crate) mod jobs;
pub(crate) mod leases;
pub(crate) mod logs;
pub(crate) mod reports;
pub(crate) mod results;
mod reuse;
pub(crate) mod shares;
mod sources;
mod submits;
mod sync;
mod users;

use std::ops::Deref;
use std::ops::DerefMut;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use sqlx::Row as _;
use sqlx::Sqlite;
use sqlx::SqliteConnection;
use sqlx::SqlitePool;
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteJournalMode;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::sqlite::SqliteSynchronous;
use tracing::warn;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::store::changes::Changes;
use crate::store::reports::KnownVersions;
use crate::store::sync::WalSync;

/// How long a write waits for another process that writes, such as the command line beside a server.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// The end of statements that are run at once.
const COMMIT: &str = "commit; select 1";

const DELETE_AT_ONCE: i64 = 1_000;

/// How many read at the same time.
const READERS: u32 = 4;

/// The metadata database of one data folder.
#[derive(Clone)]
pub(crate) struct Store {
    reads: SqlitePool,
    /// One connection: writers queue here, where they wake each other, and not at the database's lock.
    /// A statement on it that returns rows is read to its end: only there it is committed, or cannot be.
    writes: SqlitePool,
    versions: Arc<KnownVersions>,
    wal: Arc<WalSync>,
    changes: Changes,
    audit: Arc<audit::Waiting>,
}

impl Store {
    /// Opens the database, making it and bringing it up to date as needed.
    pub(crate) async fn open(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What must outlive a power cut waits for `sync`, which many share.
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        // A connection to a file does not go stale, and looking costs as much as a statement.
        let pool = || SqlitePoolOptions::new().test_before_acquire(false);
        // Who commits when the log is that long brings it into the file: rarely, as that takes some milliseconds.
        let writer = options.clone().pragma("wal_autocheckpoint", "4000");
        let writes = pool().max_connections(1).connect_with(writer).await?;
        sqlx::migrate!("migrations/sqlite")
            .run(&writes)
            .await
            .map_err(Error::internal)?;
        let reads = pool()
            .max_connections(READERS)
            // What it would hold beyond that, the operating system holds for all of them.
            .connect_with(options.read_only(true).pragma("cache_size", "-256"))
            .await?;
        // Beside the file itself, should the path be a link to it.
        let mut wal = std::fs::canonicalize(path)?.into_os_string();
        wal.push("-wal");
        Ok(Self {
            reads,
            writes,
            versions: Arc::default(),
            wal: Arc::new(WalSync::new(wal.into())),
            changes: Changes::default(),
            audit: Arc::default(),
        })
    }

    /// Closes the database, so that all of it is in its one file.
    pub(crate) async fn close(&self) {
        if let Err(error) = self.write_records().await {
            warn!(%error, "cannot write the last records of the audit");
        }
        if let Err(error) = self.sync().await {
            warn!(%error, "cannot put the metadata on disk");
        }
        self.reads.close().await;
        self.writes.close().await;
    }

    /// Returns when all that was committed before is on disk.
    /// A job's id is given out only then; a crash of the process alone loses no commit anyway.
    pub(crate) async fn sync(&self) -> Result<()> {
        self.wal.sync().await
    }

    /// Begins a transaction that writes; waiting for the lock here means it cannot fail half-way.
    async fn begin_write(&self) -> Result<WriteTransaction> {
        let mut transaction = WriteTransaction(Some(self.writes.acquire().await?));
        sqlx::query("begin immediate").execute(&mut *transaction).await?;
        Ok(transaction)
    }

    /// Runs statements that begin and commit a transaction of their own, in one go: a round trip
    /// for each takes longer than all of them. They end with [`COMMIT`].
    /// Says the one value that one of them returns, if it does.
    async fn write_at_once(&self, statements: Query<'_, Sqlite, SqliteArguments>) -> Result<Option<i64>> {
        let mut transaction = WriteTransaction(Some(self.writes.acquire().await?));
        let mut rows = statements.fetch_all(&mut *transaction).await?;
        // A row from behind the commit: all was done that comes before.
        if rows.pop().is_none() {
            return Err(Error::internal("the metadata were not committed"));
        }
        drop(transaction.0.take());
        Ok(rows.pop().map(|row| row.try_get(0)).transpose()?)
    }

    /// Deletes what is older than this, a few rows at a time: nobody else can write meanwhile.
    /// The statement binds the time as $1 and their number as $2.
    async fn delete_in_steps(&self, sql: &'static str, older_than_us: i64) -> Result<u64> {
        let mut deleted = 0;
        loop {
            let removed = sqlx::query(sql)
                .bind(older_than_us)
                .bind(DELETE_AT_ONCE)
                .execute(&self.writes)
                .await?
                .rows_affected();
            deleted += removed;
            if removed < DELETE_AT_ONCE.unsigned_abs() {
                return Ok(deleted);
            }
        }
    }

    /// Whether the database can be read.
    pub(crate) async fn ping(&self) -> Result<()> {
        sqlx::query("select 1 from jobs limit 1")
            .fetch_optional(&self.reads)
            .await?;
        Ok(())
    }
}

/// A transaction that is kept by `commit` and undone by dropping it.
/// Undoing closes the connection: after a full disk nobody can tell what state it is in.
struct WriteTransaction(Option<PoolConnection<Sqlite>>);

impl WriteTransaction {
    async fn commit(mut self) -> Result<()> {
        sqlx::query("commit").execute(&mut *self).await?;
        drop(self.0.take());
        Ok(())
    }
}

impl Deref for WriteTransaction {
    type Target = SqliteConnection;

    #[expect(
        clippy::expect_used,
        reason = "only commit takes the connection, and it takes the transaction too"
    )]
    fn deref(&self) -> &SqliteConnection {
        self.0.as_ref().expect("a transaction has a connection")
    }
}

impl DerefMut for WriteTransaction {
    #[expect(
        clippy::expect_used,
        reason = "only commit takes the connection, and it takes the transaction too"
    )]
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.0.as_mut().expect("a transaction has a connection")
    }
}

impl Drop for WriteTransaction {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}

/// What was to be changed is there: so many rows of it were.
fn must_exist(changed: u64, what: &str) -> Result<()> {
    match changed {
        0 => Err(not_there(what)),
        _ => Ok(()),
    }
}

fn not_there(what: &str) -> Error {
    Error::new(ErrorCode::NotFound, format!("there is no {what}"))
}

/// Microseconds since 1970, as every time in the database.
pub(crate) fn now_us() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX)
}
