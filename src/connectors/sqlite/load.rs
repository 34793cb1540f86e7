//! Rows into a table of a SQLite file, in one transaction.

use std::cell::RefCell;
use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow::datatypes::Schema;
use arrow::datatypes::SchemaRef;
use rusqlite::Connection;
use rusqlite::ErrorCode as SqliteCode;
use rusqlite::OpenFlags;
use rusqlite::OptionalExtension as _;

use crate::connectors::Batches;
use crate::connectors::CancelOnDrop;
use crate::connectors::deadline::Deadline;
use crate::connectors::load::Destination;
use crate::connectors::load::ONCE_DAYS;
use crate::connectors::load::ONCE_TABLE;
use crate::connectors::load::TypeNames;
use crate::connectors::load::check_names;
use crate::connectors::load::check_types;
use crate::connectors::load::list;
use crate::connectors::load::names;
use crate::connectors::quoted;
use crate::connectors::sqlite::Sqlite;
use crate::connectors::sqlite::declared::NUMERIC_DIGITS;
use crate::connectors::sqlite::declared::data_type;
use crate::connectors::sqlite::open::BUSY_STEP;
use crate::connectors::sqlite::open::STEPS;
use crate::connectors::sqlite::staged::STAGING;
use crate::connectors::sqlite::staged::Staged;
use crate::connectors::sqlite::staged::stage;
use crate::connectors::sqlite::stop::Stop;
use crate::data_import::Mode;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

/// Of the types that SQLite does not have, the values are text as its date functions write it. Decimals are text too,
/// where its numbers would round them: a type with `TEXT` in its name keeps text as it is.
const TYPES: TypeNames = TypeNames {
    boolean: "BOOLEAN",
    integer: "INTEGER",
    decimal: "DECIMAL_TEXT",
    double: "REAL",
    date: "DATE",
    timestamp: "TIMESTAMP",
    timestamptz: "TIMESTAMP",
    text: "TEXT",
};

thread_local! {
    /// Of the import that this thread does.
    static STOP: RefCell<Option<Arc<Stop>>> = const { RefCell::new(None) };
}

/// A column's name, and the type it is declared with.
pub(super) type Columns = Vec<(String, String)>;

impl Sqlite {
    /// The columns of the table if it is there, each with the type that a file's values must have for it.
    pub(in crate::connectors) async fn columns_of(
        self: &Arc<Self>,
        destination: &Destination,
    ) -> Result<Option<Vec<(String, Option<DataType>)>>> {
        let (sqlite, destination) = (self.clone(), destination.clone());
        let looking = tokio::task::spawn_blocking(move || {
            let work = sqlite.begin_work(Arc::new(Stop::new(sqlite.deadline())))?;
            columns(&work, &destination)
        });
        let columns = looking.await.map_err(Error::internal)??;
        Ok(columns.map(|columns| {
            let columns = columns.into_iter();
            columns
                .map(|(name, declared)| (name, data_type(&declared)))
                .collect()
        }))
    }

    /// Loads all batches or nothing, and says how many rows there were.
    pub(in crate::connectors) async fn load(
        self: &Arc<Self>,
        destination: &Destination,
        schema: SchemaRef,
        batches: Batches,
    ) -> Result<u64> {
        let _permit = self.permits.one().await?;
        let stop = Arc::new(Stop::new(self.deadline()));
        let told = stop.clone();
        let _stop = CancelOnDrop::new(move || told.tell());
        let (sqlite, destination) = (self.clone(), destination.clone());
        let loading =
            tokio::task::spawn_blocking(move || sqlite.blocking_load(&destination, &schema, batches, stop));
        loading.await.map_err(Error::internal)?
    }

    fn deadline(&self) -> Deadline {
        Deadline::new(&self.name, self.timeout)
    }

    fn blocking_load(
        &self,
        destination: &Destination,
        schema: &Schema,
        batches: Batches,
        stop: Arc<Stop>,
    ) -> Result<u64> {
        if destination.schema.is_some() {
            return Err(Error::invalid(
                "SQLite has no schemas: leave `dest_schema_name` out",
            ));
        }
        let mut work = self.begin_work(stop)?;
        // Else dropping the old table would delete the rows of tables that refer to it.
        if destination.mode == Mode::Replace {
            let pragma = work.connection.pragma_update(None, "foreign_keys", false);
            pragma.map_err(|error| work.failed(error))?;
        }
        if destination.is_once() && was_done(&work, destination)? {
            return batches.blocking_skip();
        }
        let known = look(&work, destination, schema)?;
        let staged = stage(&work, schema, known.as_ref(), batches)?;
        // The file took its time; from here on others wait.
        work.restart(self.deadline())?;
        finish(&mut work, destination, schema, known.as_ref(), &staged)?;
        Ok(staged.rows)
    }

    fn begin_work(&self, stop: Arc<Stop>) -> Result<Work> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(&self.path, flags);
        let connection = opened.map_err(|error| Error::new(ErrorCode::SourceFailed, error.to_string()))?;
        connection
            .busy_handler(Some(wait_or_give_up))
            .map_err(Error::internal)?;
        let mut work = Work { connection, stop };
        work.heed()?;
        Ok(work)
    }
}

/// A connection that may write, and until when.
pub(super) struct Work {
    pub(super) connection: Connection,
    stop: Arc<Stop>,
}

impl Work {
    fn restart(&mut self, deadline: Deadline) -> Result<()> {
        self.stop = Arc::new(self.stop.until(deadline));
        self.heed()
    }

    fn heed(&mut self) -> Result<()> {
        let stop = self.stop.clone();
        STOP.set(Some(self.stop.clone()));
        self.connection
            .progress_handler(STEPS, Some(move || stop.is_due()))
            .map_err(Error::internal)
    }

    pub(super) fn failed(&self, error: rusqlite::Error) -> Error {
        match error.sqlite_error_code() {
            Some(SqliteCode::DatabaseBusy) if self.stop.is_due() => self.stop.error(),
            _ => self.stop.failed(error),
        }
    }

    pub(super) fn run(&self, sql: &str) -> Result<()> {
        self.connection
            .execute_batch(sql)
            .map_err(|error| self.failed(error))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        STOP.set(None);
    }
}

/// What SQLite asks while another program has the file locked.
fn wait_or_give_up(_times: i32) -> bool {
    std::thread::sleep(BUSY_STEP);
    STOP.with_borrow(|stop| stop.as_ref().is_some_and(|stop| !stop.is_due()))
}

/// The table that is there, if rows are to be added to it.
fn look(work: &Work, destination: &Destination, schema: &Schema) -> Result<Option<Columns>> {
    let known = columns(work, destination)?;
    if known.is_some() && destination.mode == Mode::Fail {
        return Err(destination.is_there_already());
    }
    let known = known.filter(|_| destination.mode == Mode::Append);
    if let Some(known) = &known {
        let there: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
        check_names(destination, &names(schema), &there)?;
        let types: Vec<_> = known.iter().map(|(name, of)| (name, data_type(of))).collect();
        let types = types.iter().map(|(name, of)| (name.as_str(), of.as_ref()));
        check_types(destination, schema, types)?;
    }
    Ok(known)
}

/// Makes the rows those of the table, in one transaction. Dropped before its end, everything is as it was.
fn finish(
    work: &mut Work,
    destination: &Destination,
    schema: &Schema,
    known: Option<&Columns>,
    staged: &Staged,
) -> Result<()> {
    // Whoever writes at the same time is waited for here.
    work.run("begin immediate")?;
    let table = quoted(&destination.table);
    let columns = list(&names(schema), quoted);
    let there = look(work, destination, schema)?;
    if there.as_ref() != known {
        return Err(destination.has_changed());
    }
    if there.is_none() {
        check_referred(work, destination)?;
        let fields = schema.fields().iter().zip(&staged.most_digits);
        let declared = fields.map(|(field, most)| {
            let of = match field.data_type() {
                // These SQLite keeps as numbers without rounding, and so compares and sorts them as numbers.
                DataType::Decimal128(_, scale) if *most < 10_u128.pow(NUMERIC_DIGITS.into()) => {
                    format!("DECIMAL({NUMERIC_DIGITS},{scale})")
                }
                _ => TYPES.of(field)?,
            };
            Ok(format!("{} {of}", quoted(field.name())))
        });
        let declared = declared.collect::<Result<Vec<_>>>()?.join(", ");
        work.run(&format!(
            "drop table if exists {table}; create table {table} ({declared})"
        ))?;
    }
    let count = || {
        let sql = format!("select count(*) from main.{table}");
        let count = work.connection.query_row(&sql, [], |row| row.get::<_, i64>(0));
        count.map_err(|error| work.failed(error))
    };
    let before = count()?;
    work.run(&format!(
        "insert into main.{table} ({columns}) select {columns} from {STAGING}"
    ))?;
    destination.check_all_there(staged.rows, (count()? - before).unsigned_abs())?;
    if destination.is_once() {
        work.run(&format!(
            "create table if not exists main.{ONCE_TABLE}
             (run text primary key, finished_at text not null default current_timestamp)"
        ))?;
        let sql = format!("insert into {ONCE_TABLE} (run) values (?1)");
        let marked = work.connection.execute(&sql, [&destination.run]);
        marked.map_err(|error| work.failed(error))?;
        work.run(&format!(
            "delete from {ONCE_TABLE} where finished_at < datetime('now', '-{ONCE_DAYS} days')"
        ))?;
    }
    work.run("commit")
}

/// The key that a foreign key refers to would go with the table.
fn check_referred(work: &Work, destination: &Destination) -> Result<()> {
    let found = work.connection.query_row(
        "select tables.name from sqlite_master as tables, pragma_foreign_key_list(tables.name) as keys
         where tables.type = 'table' and keys.\"table\" = ?1 collate nocase and tables.name <> ?1 collate nocase limit 1",
        [&destination.table],
        |row| row.get::<_, String>(0),
    );
    match found.optional().map_err(|error| work.failed(error))? {
        None => Ok(()),
        Some(other) => Err(destination.is_referred_to(&other)),
    }
}

fn was_done(work: &Work, destination: &Destination) -> Result<bool> {
    let look = |sql: &str, value: &str| {
        let found = work.connection.query_row(sql, [value], |_| Ok(())).optional();
        found
            .map(|found| found.is_some())
            .map_err(|error| work.failed(error))
    };
    Ok(look(
        "select 1 from sqlite_master where type = 'table' and name = ?1",
        ONCE_TABLE,
    )? && look(
        &format!("select 1 from {ONCE_TABLE} where run = ?1"),
        &destination.run,
    )?)
}

fn columns(work: &Work, destination: &Destination) -> Result<Option<Columns>> {
    let connection = &work.connection;
    let kind: Option<String> = connection
        .query_row(
            "select type from sqlite_master where name = ?1 collate nocase and type in ('table', 'view')",
            [&destination.table],
            |row| row.get(0),
        )
        .optional()
        .map_err(|error| work.failed(error))?;
    match kind.as_deref() {
        None => return Ok(None),
        Some("view") => return Err(destination.is_no_table("a view")),
        Some(_) => {}
    }
    let mut prepared = connection
        .prepare("select name, type from pragma_table_info(?1)")
        .map_err(|error| work.failed(error))?;
    let rows = prepared
        .query_map([&destination.table], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(|error| work.failed(error))?;
    let columns = rows.collect::<rusqlite::Result<_>>();
    columns.map(Some).map_err(|error| work.failed(error))
}
