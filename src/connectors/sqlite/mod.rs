//! SQLite: a file of somebody else's, read on threads of ours, one connection and one transaction a query.

mod binds;
mod cells;
mod columns;
mod declared;
mod guard;
mod kinds;
mod load;
mod moments;
mod open;
mod staged;
mod stop;
#[cfg(test)]
mod tests;
mod values;

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::Statement as Prepared;
use rusqlite::types::ValueRef;

use crate::connectors::BatchStream;
use crate::connectors::CancelOnDrop;
use crate::connectors::Purpose;
use crate::connectors::deadline::Deadline;
use crate::connectors::deadline::timeout_of;
use crate::connectors::no_rows;
use crate::connectors::permits::Permits;
use crate::connectors::rows::Rows;
use crate::connectors::rows::channel;
use crate::connectors::sqlite::binds::Given;
use crate::connectors::sqlite::binds::check_count;
use crate::connectors::sqlite::cells::Casts;
use crate::connectors::sqlite::cells::number;
use crate::connectors::sqlite::columns::Columns;
use crate::connectors::sqlite::columns::Known;
use crate::connectors::sqlite::open::Place;
use crate::connectors::sqlite::stop::Stop;
use crate::connectors::threads::Threads;
use crate::connectors::wanted_values;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::memo::OfText;
use crate::query::Bind;
use crate::query::Statement;
use crate::query::ValueCheck;
use crate::source::Mismatch;
use crate::source::Source;

/// How long another program may keep the file locked.
const PATIENCE: Duration = Duration::from_secs(10);

/// A SQLite file.
pub(super) struct Sqlite {
    name: String,
    path: PathBuf,
    timeout: Duration,
    patience: Duration,
    mismatch: Mismatch,
    permits: Permits,
    threads: Threads,
    /// The columns of SQL whose values were of another kind once than was thought.
    known: OfText<Arc<Vec<Known>>>,
}

/// Where all of SQLite in this process keeps what does not fit its memory; else it would be `/var/tmp`.
/// Only before anything is open.
pub(crate) fn keep_temporary_files_in(folder: &Path) -> Result<()> {
    let connection = Connection::open_in_memory().map_err(Error::internal)?;
    connection
        .pragma_update(None, "temp_store_directory", folder.display().to_string())
        .map_err(Error::internal)
}

impl Sqlite {
    pub(super) fn new(source: &Source, path: &Path, query_timeout: Duration) -> Self {
        Self {
            name: source.name.clone(),
            path: path.to_owned(),
            timeout: timeout_of(source, query_timeout),
            patience: PATIENCE,
            mismatch: source.settings.mismatch,
            permits: Permits::of(source),
            threads: Threads::default(),
            known: OfText::default(),
        }
    }

    /// Runs a statement as soon as one of the source's connections is free.
    pub(super) async fn query(
        self: &Arc<Self>,
        statement: &Statement,
        purpose: &Purpose,
    ) -> Result<BatchStream> {
        check_count(&statement.binds)?;
        let permit = self.permits.one().await?;
        let stop = Arc::new(Stop::new(Deadline::new(&self.name, self.timeout)));
        let told = stop.clone();
        let cancel_on_drop = CancelOnDrop::new(move || told.tell());
        let (mut rows, answer) = channel();
        let (sqlite, statement, comment) = (self.clone(), statement.clone(), purpose.comment());
        self.threads.run(move || {
            let outcome = sqlite.run(&statement, &comment, &stop, &mut rows);
            // The connection is closed by now.
            drop(permit);
            rows.blocking_end(outcome);
        })?;
        let (schema, batches) = answer.wait().await?;
        Ok(BatchStream {
            schema,
            batches,
            cancel_on_drop,
        })
    }

    /// Says what is found there, or what is wrong.
    pub(super) async fn check(self: &Arc<Self>) -> Result<String> {
        let sqlite = self.clone();
        let checking = tokio::task::spawn_blocking(move || {
            let stop = Arc::new(Stop::new(Deadline::new(&sqlite.name, sqlite.timeout)));
            let counts =
                "select count(*) filter (where type = 'table'), count(*) filter (where type = 'view')
                          from sqlite_schema where name not like 'sqlite\\_%' escape '\\'";
            let (tables, views): (i64, i64) = sqlite
                .place()
                .open(&stop)?
                .query_row(counts, [], |row| Ok((row.get(0)?, row.get(1)?)))
                .map_err(|error| stop.failed(error))?;
            Ok(format!(
                "SQLite {}, {tables} tables and {views} views",
                rusqlite::version()
            ))
        });
        checking.await.map_err(Error::internal)?
    }

    /// How many queries there may be.
    pub(super) fn permits(&self) -> &Permits {
        &self.permits
    }

    fn place(&self) -> Place<'_> {
        Place {
            source: &self.name,
            path: &self.path,
            patience: self.patience,
        }
    }

    fn run(&self, statement: &Statement, comment: &str, stop: &Arc<Stop>, rows: &mut Rows) -> Result<()> {
        let connection = self.place().open(stop)?;
        for check in &statement.checks {
            check_values(&connection, comment, check, stop)?;
        }
        let mut prepared = prepare(&connection, comment, &statement.sql, &statement.binds, stop)?;
        let mut columns = Columns::new(
            self.known(&prepared, &statement.sql),
            Casts::new(&connection, stop),
            self.mismatch,
        );
        let mut schema = None;
        if columns.are_decided() {
            schema = Some(rows.schema(columns.decide()?)?);
        }
        let mut read = prepared.raw_query();
        while let Some(row) = read.next().map_err(|error| stop.failed(error))? {
            columns.push(row)?;
            if columns.is_full() {
                let schema = match &schema {
                    Some(schema) => schema,
                    None => schema.insert(rows.schema(columns.decide()?)?),
                };
                rows.blocking_batch(columns.take(schema)?)?;
            }
        }
        if let Some(learned) = columns.learned() {
            self.known.set_of(&statement.sql, Arc::new(learned));
            return Err(Error::new(
                ErrorCode::SourceFailed,
                "a column got values of yet another kind while the query ran: cast it to text in the report's SQL",
            )
            .worth_another_try());
        }
        let schema = match schema {
            Some(schema) => schema,
            None => rows.schema(columns.decide()?)?,
        };
        if !columns.is_empty() {
            rows.blocking_batch(columns.take(&schema)?)?;
        }
        Ok(())
    }

    /// The columns of a statement, as far as their values are known.
    fn known(&self, prepared: &Prepared<'_>, sql: &str) -> Vec<Known> {
        let earlier = self.known.get_of(sql).unwrap_or_default();
        let columns = prepared.columns();
        let columns = columns.iter().enumerate().map(|(index, column)| {
            let known = Known::new(column.name(), column.decl_type(), self.mismatch);
            match earlier.get(index) {
                Some(earlier) => known.or_earlier(earlier),
                None => known,
            }
        });
        columns.collect()
    }
}

/// One statement that returns rows and changes nothing, with its values.
fn prepare<'c>(
    connection: &'c Connection,
    comment: &str,
    sql: &str,
    binds: &[Bind],
    stop: &Stop,
) -> Result<Prepared<'c>> {
    let failed = |message: &str| Error::new(ErrorCode::SourceFailed, message);
    let mut prepared = connection
        .prepare(&format!("{comment}{sql}"))
        .map_err(|error| stop.failed_at(error, comment, sql))?;
    if prepared.column_count() == 0 || !prepared.readonly() {
        return Err(no_rows());
    }
    // SQLite would take NULL for a placeholder that nobody gives a value.
    if prepared.parameter_count() > binds.len() {
        return Err(failed(
            "the SQL has a placeholder of its own (`?`, `:name`, `@name` or `$name`): a filter's value is written {{ name }}",
        ));
    }
    for (index, bind) in binds.iter().enumerate() {
        prepared
            .raw_bind_parameter(index + 1, Given(bind))
            .map_err(|error| stop.failed(error))?;
    }
    Ok(prepared)
}

fn check_values(connection: &Connection, comment: &str, check: &ValueCheck, stop: &Stop) -> Result<()> {
    let mut prepared = prepare(connection, comment, &check.values_sql, &[], stop)?;
    let mut rows = prepared.raw_query();
    let mut wanted = wanted_values(check);
    while let Some(row) = rows.next().map_err(|error| stop.failed(error))? {
        match row.get_ref(0).map_err(Error::internal)? {
            ValueRef::Integer(integer) => wanted.found(&integer.to_string()),
            ValueRef::Real(real) => wanted.found(&number(real)),
            ValueRef::Text(text) => {
                if let Ok(text) = std::str::from_utf8(text) {
                    wanted.found(text);
                }
            }
            ValueRef::Null | ValueRef::Blob(_) => {}
        }
    }
    wanted.all_found()
}
