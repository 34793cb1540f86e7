//! The metadata database: users, keys, reports, jobs, and which results and exports exist.
//! All SQL on it is in this folder; it never touches a report's source.

mod api_keys;
mod jobs;
pub(crate) mod reports;
pub(crate) mod results;
#[cfg(test)]
mod tests;
mod users;

use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteJournalMode;
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::sqlite::SqliteSynchronous;

use crate::error::Error;
use crate::error::Result;

/// How long a write waits for another process that writes, such as the command line beside a server.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// The metadata database of one data folder.
#[derive(Clone)]
pub(crate) struct Store {
    pool: SqlitePool,
}

impl Store {
    /// Opens the database, making it and bringing it up to date as needed.
    pub(crate) async fn open(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A finished job must stay finished after a power cut.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new()
            .max_connections(8)
            .connect_with(options)
            .await?;
        sqlx::migrate!("migrations/sqlite")
            .run(&pool)
            .await
            .map_err(Error::internal)?;
        Ok(Self { pool })
    }

    /// Begins a transaction that writes; waiting for the lock here means it cannot fail half-way.
    async fn begin_write(&self) -> Result<sqlx::Transaction<'static, sqlx::Sqlite>> {
        Ok(self.pool.begin_with("begin immediate").await?)
    }
}

/// Microseconds since 1970, as every time in the database.
pub(crate) fn now_us() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX)
}
