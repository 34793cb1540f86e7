//! Opening a SQLite file for reading, and why it could not be opened.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use rusqlite::Connection;
use rusqlite::ErrorCode as SqliteCode;
use rusqlite::OpenFlags;
use rusqlite::config::DbConfig;
use rusqlite::hooks::AuthContext;
use rusqlite::hooks::Authorization;
use rustix::fs::Access;
use rustix::fs::access;

use crate::connectors::sqlite::guard::refused;
use crate::connectors::sqlite::stop::Stop;
use crate::connectors::sqlite::stop::go_on;
use crate::connectors::unreachable;
use crate::error::Error;
use crate::error::Result;

/// Steps of SQLite's machine after which it asks whether to go on; about as many microseconds at most.
pub(super) const STEPS: i32 = 1_000;
/// How long SQLite waits for a lock before it is asked whether anybody still needs it.
pub(super) const BUSY_STEP: Duration = Duration::from_millis(20);

/// A file, and how long to wait while another program has it locked.
pub(super) struct Place<'a> {
    pub(super) source: &'a str,
    pub(super) path: &'a Path,
    pub(super) patience: Duration,
}

impl Place<'_> {
    /// A connection that sees the database as it is now until it is closed, and can only read.
    pub(super) fn open(&self, stop: &Arc<Stop>) -> Result<Connection> {
        self.check_file()?;
        // No URI: the path is what it is.
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(self.path, flags).map_err(|error| self.why(&error))?;
        let (asked, guarded) = (stop.clone(), stop.clone());
        connection
            .progress_handler(STEPS, Some(move || asked.is_due()))
            .map_err(Error::internal)?;
        connection.busy_timeout(BUSY_STEP).map_err(Error::internal)?;
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)
            .map_err(Error::internal)?;
        self.begin(&connection, stop)?;
        connection
            .authorizer(Some(move |context: AuthContext<'_>| match refused(&context) {
                None => Authorization::Allow,
                Some(what) => {
                    guarded.refuse(what);
                    Authorization::Deny
                }
            }))
            .map_err(Error::internal)?;
        Ok(connection)
    }

    /// Begins the transaction with a first look, for which a program that is writing may have to be waited for.
    /// Afterwards nothing can come in between.
    fn begin(&self, connection: &Connection, stop: &Stop) -> Result<()> {
        connection
            .execute_batch("begin")
            .map_err(|error| self.why(&error))?;
        let began = Instant::now();
        loop {
            go_on(stop)?;
            match connection.query_row("select count(*) from sqlite_schema", [], |_| Ok(())) {
                Err(error) if is_busy(&error) && began.elapsed() < self.patience => {}
                Err(error) if is_interrupted(&error) => return Err(stop.error()),
                looked => return looked.map_err(|error| self.why(&error)),
            }
        }
    }

    /// What SQLite would call "unable to open database file". The file is not opened here: closing it again
    /// would take away the locks that other queries of this process have on it.
    fn check_file(&self) -> Result<()> {
        let path = self.path.display();
        let why = match fs::metadata(self.path) {
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound => format!("no such file `{path}`"),
                io::ErrorKind::PermissionDenied => format!("no right to read `{path}`"),
                _ => format!("cannot read `{path}`: {error}"),
            },
            Ok(found) if !found.is_file() => format!("`{path}` is not a file"),
            Ok(_) if access(self.path, Access::READ_OK).is_err() => format!("no right to read `{path}`"),
            Ok(_) => return Ok(()),
        };
        Err(unreachable(self.source, &why))
    }

    fn why(&self, error: &rusqlite::Error) -> Error {
        let path = self.path.display();
        let why = match error.sqlite_error_code() {
            Some(SqliteCode::NotADatabase) => format!("`{path}` is not a SQLite database"),
            Some(SqliteCode::DatabaseBusy) => format!(
                "`{path}` is busy: another program has had it locked for {}",
                humantime::format_duration(self.patience)
            ),
            Some(SqliteCode::DatabaseCorrupt) => format!("`{path}` is damaged: {error}"),
            Some(SqliteCode::CannotOpen | SqliteCode::ReadOnly) => format!(
                "cannot open `{path}`: {error}; beside a database in WAL mode, or one whose last writer broke off, \
                 SQLite needs to write files"
            ),
            _ => format!("cannot read `{path}`: {error}"),
        };
        unreachable(self.source, &why)
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(SqliteCode::DatabaseBusy)
}

fn is_interrupted(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(SqliteCode::OperationInterrupted)
}
