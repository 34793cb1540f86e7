//! Rows into a table of the warehouse, in one transaction.

use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow::datatypes::Schema;
use arrow::datatypes::SchemaRef;
use arrow::datatypes::TimeUnit;
use duckdb::Connection;
use duckdb::OptionalExt as _;
use tokio::sync::oneshot;
use tracing::debug;

use crate::connectors::Batches;
use crate::connectors::duckdb::Warehouse;
use crate::connectors::duckdb::failed;
use crate::connectors::interrupt::Interrupt;
use crate::connectors::interrupt::Running;
use crate::connectors::load::Destination;
use crate::connectors::load::ONCE_DAYS;
use crate::connectors::load::ONCE_TABLE;
use crate::connectors::load::TypeNames;
use crate::connectors::load::check_names;
use crate::connectors::load::check_types;
use crate::connectors::load::count_changed;
use crate::connectors::load::digits;
use crate::connectors::load::list;
use crate::connectors::load::names;
use crate::connectors::load::would_round;
use crate::connectors::quoted;
use crate::data_import::Mode;
use crate::error::Error;
use crate::error::Result;

const TYPES: TypeNames = TypeNames {
    boolean: "boolean",
    integer: "bigint",
    decimal: "decimal",
    double: "double",
    date: "date",
    timestamp: "timestamp",
    timestamptz: "timestamptz",
    text: "varchar",
};

const SCHEMA: &str = "main";

/// A column's name, the type it is declared with and what that is of a file's.
type Columns = Vec<(String, String, Option<DataType>)>;

impl Warehouse {
    /// The columns of the table if it is there, each with the type that a file's values must have for it.
    pub(super) async fn columns_of(
        self: &Arc<Self>,
        destination: &Destination,
    ) -> Result<Option<Vec<(String, Option<DataType>)>>> {
        let destination = destination.clone();
        let columns = self
            .on_thread(move |connection| columns(connection, &destination))
            .await?;
        Ok(columns.map(|columns| {
            let columns = columns.into_iter();
            columns.map(|(name, _, data_type)| (name, data_type)).collect()
        }))
    }

    /// Loads all batches or nothing, and says how many rows there were.
    pub(super) async fn load(
        self: &Arc<Self>,
        destination: &Destination,
        schema: SchemaRef,
        batches: Batches,
    ) -> Result<u64> {
        // The engine refuses the second of two writers of a table at its end; here it waits at its beginning.
        let table = self.table_lock(&qualified(destination, &destination.table));
        let _alone = table.lock().await;
        let destination = destination.clone();
        self.on_thread(move |connection| load(connection, &destination, &schema, batches))
            .await
    }

    /// Runs on a connection and a thread of its own; interrupted if nobody waits for it any more.
    async fn on_thread<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let connection = self.connect()?;
        let interrupt = Arc::new(Interrupt::new(&connection));
        let running = Running {
            interrupt: interrupt.clone(),
            connection,
            warehouse: self.clone(),
        };
        let _stop = crate::connectors::CancelOnDrop::new(move || interrupt.clone().stop());
        let (sender, receiver) = oneshot::channel();
        self.run_on_thread(move || {
            // Nobody may be waiting any more; then nobody needs to know.
            let _ = sender.send(work(&running.connection));
        })?;
        receiver
            .await
            .map_err(|_| Error::internal("the import's thread ended without an answer"))?
    }
}

fn load(
    connection: &Connection,
    destination: &Destination,
    schema: &Schema,
    batches: Batches,
) -> Result<u64> {
    if destination.is_once() {
        let make = || make_once_table(connection, destination);
        // Of two that make it at the same time one fails, and finds it there then.
        make().or_else(|_| make()).map_err(failed)?;
    }
    connection.execute_batch("begin transaction").map_err(failed)?;
    let done = load_within(connection, destination, schema, batches).and_then(|rows| {
        connection.execute_batch("commit").map_err(failed)?;
        Ok(rows)
    });
    if done.is_err() {
        // It may have been undone already; the connection goes anyway.
        let _ = connection.execute_batch("rollback");
    } else if destination.is_once() {
        let once = qualified(destination, ONCE_TABLE);
        let old = format!("delete from {once} where finished_at < now() - interval {ONCE_DAYS} day");
        // Two that forget at once get into each other's way; the next import will.
        if let Err(error) = connection.execute_batch(&old) {
            debug!(%error, "cannot forget old imports");
        }
    }
    done
}

fn load_within(
    connection: &Connection,
    destination: &Destination,
    schema: &Schema,
    batches: Batches,
) -> Result<u64> {
    let once = qualified(destination, ONCE_TABLE);
    if destination.is_once() && was_done(connection, &once, destination)? {
        return batches.blocking_skip();
    }
    let known = columns(connection, destination)?;
    if known.is_some() && destination.mode == Mode::Fail {
        return Err(destination.is_there_already());
    }
    let target = qualified(destination, &destination.table);
    let rows = match known.filter(|_| destination.mode == Mode::Append) {
        Some(known) => append(connection, destination, &known, schema, batches)?,
        None => {
            let columns = TYPES.columns(schema.fields(), quoted)?;
            // Readers have the old table until the commit. Only a replacing import may take one's place.
            let create = match destination.mode {
                Mode::Replace => "create or replace table",
                Mode::Append | Mode::Fail => "create table",
            };
            connection
                .execute_batch(&format!("{create} {target} {columns}"))
                .map_err(failed)?;
            copy(connection, destination, &destination.table, batches)?
        }
    };
    if destination.is_once() {
        let mark = format!("insert into {once} (run) values (?)");
        connection.execute(&mark, [&destination.run]).map_err(failed)?;
    }
    Ok(rows)
}

fn make_once_table(connection: &Connection, destination: &Destination) -> duckdb::Result<()> {
    connection.execute_batch(&format!(
        "create table if not exists {} (run varchar primary key, finished_at timestamptz not null default now())",
        qualified(destination, ONCE_TABLE)
    ))
}

fn was_done(connection: &Connection, once: &str, destination: &Destination) -> Result<bool> {
    let found: Option<i32> = connection
        .query_row(
            &format!("select 1 from {once} where run = ?"),
            [&destination.run],
            |row| row.get(0),
        )
        .optional()
        .map_err(failed)?;
    Ok(found.is_some())
}

fn columns(connection: &Connection, destination: &Destination) -> Result<Option<Columns>> {
    let schema = destination.schema.as_deref().unwrap_or(SCHEMA);
    let kind: Option<String> = connection
        .query_row(
            "select table_type from information_schema.tables
             where table_catalog = current_database() and lower(table_schema) = lower(?) and lower(table_name) = lower(?)",
            [schema, &destination.table],
            |row| row.get(0),
        )
        .optional()
        .map_err(failed)?;
    match kind.as_deref() {
        None => return Ok(None),
        Some("BASE TABLE") => {}
        Some(_) => return Err(destination.is_no_table("a view")),
    }
    let mut prepared = connection
        .prepare(
            "select column_name, data_type from information_schema.columns
             where table_catalog = current_database() and lower(table_schema) = lower(?) and lower(table_name) = lower(?)
             order by ordinal_position",
        )
        .map_err(failed)?;
    let rows = prepared
        .query_map([schema, &destination.table], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(failed)?;
    let columns = rows.map(|row| {
        let (name, declared): (String, String) = row.map_err(failed)?;
        let of = data_type(&declared);
        Ok((name, declared, of))
    });
    columns.collect::<Result<_>>().map(Some)
}

/// Adds rows to a table, by way of another that takes them as they are in the file.
fn append(
    connection: &Connection,
    destination: &Destination,
    known: &Columns,
    schema: &Schema,
    batches: Batches,
) -> Result<u64> {
    let names = names(schema);
    let there: Vec<&str> = known.iter().map(|(name, _, _)| name.as_str()).collect();
    check_names(destination, &names, &there)?;
    let types = known.iter();
    check_types(
        destination,
        schema,
        types.map(|(name, _, of)| (name.as_str(), of.as_ref())),
    )?;
    let staging = destination.staging();
    let columns = TYPES.columns(schema.fields(), quoted)?;
    let made = qualified(destination, &staging);
    connection
        .execute_batch(&format!("create table {made} {columns}"))
        .map_err(failed)?;
    let rows = copy(connection, destination, &staging, batches)?;
    for (name, declared, _) in known.iter().filter(|(name, _, _)| names.contains(&name.as_str())) {
        check_rounding(connection, &made, name, declared)?;
    }
    let sql = format!(
        "insert into {} ({names}) select {names} from {made}; drop table {made}",
        qualified(destination, &destination.table),
        names = list(&names, quoted),
    );
    connection.execute_batch(&sql).map_err(failed)?;
    Ok(rows)
}

/// Values that the engine would round without a word are an error.
fn check_rounding(connection: &Connection, table: &str, name: &str, declared: &str) -> Result<()> {
    let value = quoted(name);
    let Some(is_rounded) = is_rounded(&value, declared) else {
        return Ok(());
    };
    let sql = count_changed(&value, "varchar", table, &is_rounded);
    let (count, least): (i64, Option<String>) = connection
        .query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(failed)?;
    match least {
        None => Ok(()),
        Some(least) => Err(would_round(name, declared, count, &least)),
    }
}

/// What is true of a value that is not kept as it is by a column of a type.
fn is_rounded(value: &str, declared: &str) -> Option<String> {
    let finer_than = |digits: u8| format!("regexp_matches({value}, '\\.[0-9]{{{digits}}}[0-9]*[1-9]')");
    // The engine would leave a date or a zone out.
    let no_time = |zone: &str| {
        format!(
            "not regexp_full_match({value}, '[0-9]{{1,2}}:[0-9]{{2}}(:[0-9]{{2}}([.][0-9]{{1,6}}0*)?)?{zone}')"
        )
    };
    let is_nested =
        declared.ends_with(']') || declared.starts_with("STRUCT(") || declared.starts_with("MAP(");
    match declared {
        "TIMESTAMP_S" | "TIMESTAMP_MS" => Some(format!(
            "cast(cast({value} as {declared}) as timestamp) <> {value}"
        )),
        "TIME" => Some(no_time("")),
        "TIME WITH TIME ZONE" => Some(no_time("([+-][0-9]{2}(:?[0-9]{2})?)?")),
        "INTERVAL" => Some(finer_than(6)),
        "TIMESTAMP_NS" | "TIME_NS" => Some(finer_than(9)),
        "BIGNUM" => Some(format!("not regexp_full_match({value}, '[+-]?[0-9]+')")),
        // A number within a list is rounded, too; how text is quoted there is not ours to compare.
        _ if is_nested && !declared.contains("VARCHAR") => Some(format!(
            "lower(replace(cast(cast({value} as {declared}) as varchar), ' ', '')) <> lower(replace({value}, ' ', ''))"
        )),
        _ => None,
    }
}

fn copy(
    connection: &Connection,
    destination: &Destination,
    table: &str,
    mut batches: Batches,
) -> Result<u64> {
    let schema = destination.schema.as_deref().unwrap_or(SCHEMA);
    let mut appender = connection.appender_to_db(table, schema).map_err(failed)?;
    let mut rows = 0;
    while let Some(batch) = batches.blocking_next()? {
        rows += batch.num_rows() as u64;
        appender.append_record_batch(batch).map_err(not_appended)?;
    }
    appender.flush().map_err(not_appended)?;
    Ok(rows)
}

fn not_appended(error: duckdb::Error) -> Error {
    let mut error = failed(error);
    if error.message.contains("failed to allocate") {
        let first = error.message.lines().next().unwrap_or_default();
        error.message = format!("{first}: raise `warehouse_memory_max`");
    }
    error
}

/// What a file's values must be so that a column takes them as they are; `None` for what only text says.
fn data_type(declared: &str) -> Option<DataType> {
    Some(match declared {
        "BOOLEAN" => DataType::Boolean,
        "TINYINT" | "SMALLINT" | "INTEGER" | "BIGINT" | "UTINYINT" | "USMALLINT" | "UINTEGER" => {
            DataType::Int64
        }
        // Their digits; more of them are an error of the engine.
        "UBIGINT" => DataType::Decimal128(20, 0),
        "HUGEINT" | "UHUGEINT" => DataType::Decimal128(38, 0),
        "FLOAT" | "DOUBLE" => DataType::Float64,
        "DATE" => DataType::Date32,
        "TIMESTAMP" | "TIMESTAMP_S" | "TIMESTAMP_MS" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "TIMESTAMP WITH TIME ZONE" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "VARCHAR" => DataType::Utf8,
        // Not a list of them.
        other if other.starts_with("DECIMAL(") && other.ends_with(')') => {
            let (precision, scale) = digits(other)?;
            DataType::Decimal128(precision, scale)
        }
        _ => return None,
    })
}

fn qualified(destination: &Destination, table: &str) -> String {
    let schema = destination.schema.as_deref().unwrap_or(SCHEMA);
    format!("{}.{}", quoted(schema), quoted(table))
}
