//! Rows into a table of a SQLite file, in one transaction.

use std::path::Path;
use std::time::Duration;

use arrow::array::Array as _;
use arrow::array::AsArray as _;
use arrow::datatypes::DataType;
use arrow::datatypes::Date32Type;
use arrow::datatypes::Decimal128Type;
use arrow::datatypes::DecimalType as _;
use arrow::datatypes::Float64Type;
use arrow::datatypes::Int64Type;
use arrow::datatypes::Schema;
use arrow::datatypes::SchemaRef;
use arrow::datatypes::TimeUnit;
use arrow::datatypes::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;
use chrono::DateTime;
use rusqlite::Connection;
use rusqlite::OpenFlags;
use rusqlite::OptionalExtension as _;
use rusqlite::types::Value;

use crate::connectors::Batches;
use crate::connectors::load::Destination;
use crate::connectors::load::ONCE_DAYS;
use crate::connectors::load::ONCE_TABLE;
use crate::connectors::load::TypeNames;
use crate::connectors::load::check_names;
use crate::connectors::load::digits;
use crate::connectors::load::list;
use crate::connectors::load::names;
use crate::connectors::quoted;
use crate::connectors::sqlite::Sqlite;
use crate::data_import::Mode;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

/// Of the types that SQLite does not have, the values are text as its date functions write it; decimals are text too,
/// since its numbers would round them: a type with `TEXT` in its name keeps text as it is.
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

/// How long another that writes is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(600);
/// A number keeps as many digits.
const NUMERIC_DIGITS: u8 = 15;

type Columns = Vec<(String, Option<DataType>)>;

impl Sqlite {
    /// The columns of the table if it is there, each with the type that a file's values must have for it.
    pub(in crate::connectors) async fn columns_of(
        &self,
        destination: &Destination,
    ) -> Result<Option<Columns>> {
        let (path, destination) = (self.path.clone(), destination.clone());
        let looking = tokio::task::spawn_blocking(move || columns(&open(&path)?, &destination));
        looking.await.map_err(Error::internal)?
    }

    /// Loads all batches or nothing, and says how many rows there were.
    pub(in crate::connectors) async fn load(
        &self,
        destination: &Destination,
        schema: SchemaRef,
        batches: Batches,
    ) -> Result<u64> {
        let _permit = self.permits.one().await?;
        let (path, destination) = (self.path.clone(), destination.clone());
        let loading = tokio::task::spawn_blocking(move || load(&path, &destination, &schema, batches));
        loading.await.map_err(Error::internal)?
    }
}

fn load(path: &Path, destination: &Destination, schema: &Schema, mut batches: Batches) -> Result<u64> {
    if destination.schema.is_some() {
        return Err(Error::invalid(
            "SQLite has no schemas: leave `dest_schema_name` out",
        ));
    }
    let mut connection = open(path)?;
    if destination.mode == Mode::Replace {
        // Else dropping the old table would delete the rows of tables that refer to it.
        connection
            .pragma_update(None, "foreign_keys", false)
            .map_err(failed)?;
    }
    // Whoever imports at the same time waits here. Dropped before its end, everything is as it was.
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(failed)?;
    if destination.is_once() && was_done(&transaction, destination)? {
        return batches.blocking_skip();
    }
    let known = columns(&transaction, destination)?;
    if known.is_some() && destination.mode == Mode::Fail {
        return Err(destination.is_there_already());
    }
    let names = names(schema);
    let table = quoted(&destination.table);
    match known.filter(|_| destination.mode == Mode::Append) {
        Some(known) => {
            let there: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
            check_names(destination, &names, &there)?;
        }
        None => {
            let columns = TYPES.columns(schema.fields(), quoted)?;
            let sql = format!("drop table if exists {table}; create table {table} {columns}");
            transaction.execute_batch(&sql).map_err(failed)?;
        }
    }
    let places = vec!["?"; names.len()].join(", ");
    let sql = format!("insert into {table} ({}) values ({places})", list(&names, quoted));
    let mut rows = 0;
    {
        let mut insert = transaction.prepare(&sql).map_err(failed)?;
        while let Some(batch) = batches.blocking_next()? {
            for row in 0..batch.num_rows() {
                let values = values(&batch, row)?;
                insert
                    .execute(rusqlite::params_from_iter(values))
                    .map_err(failed)?;
            }
            rows += batch.num_rows() as u64;
        }
    }
    if destination.is_once() {
        let sql = format!("insert into {ONCE_TABLE} (run) values (?1)");
        transaction.execute(&sql, [&destination.run]).map_err(failed)?;
        let sql =
            format!("delete from {ONCE_TABLE} where finished_at < datetime('now', '-{ONCE_DAYS} days')");
        transaction.execute_batch(&sql).map_err(failed)?;
    }
    transaction.commit().map_err(failed)?;
    Ok(rows)
}

fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    Ok(connection)
}

fn was_done(connection: &Connection, destination: &Destination) -> Result<bool> {
    let sql = format!(
        "create table if not exists {ONCE_TABLE} (run text primary key, finished_at text not null default current_timestamp)"
    );
    connection.execute_batch(&sql).map_err(failed)?;
    let sql = format!("select 1 from {ONCE_TABLE} where run = ?1");
    let found: Option<i32> = connection
        .query_row(&sql, [&destination.run], |row| row.get(0))
        .optional()
        .map_err(failed)?;
    Ok(found.is_some())
}

fn columns(connection: &Connection, destination: &Destination) -> Result<Option<Columns>> {
    let kind: Option<String> = connection
        .query_row(
            "select type from sqlite_master where name = ?1 collate nocase and type in ('table', 'view')",
            [&destination.table],
            |row| row.get(0),
        )
        .optional()
        .map_err(failed)?;
    match kind.as_deref() {
        None => return Ok(None),
        Some("view") => return Err(destination.is_no_table("a view")),
        Some(_) => {}
    }
    let mut prepared = connection
        .prepare("select name, type from pragma_table_info(?1)")
        .map_err(failed)?;
    let rows = prepared
        .query_map([&destination.table], |row| {
            let declared: String = row.get(1)?;
            Ok((row.get(0)?, data_type(&declared)))
        })
        .map_err(failed)?;
    rows.collect::<rusqlite::Result<_>>().map(Some).map_err(failed)
}

/// What a file's values must be so that a column keeps them as they are; `None` for what takes anything.
fn data_type(declared: &str) -> Option<DataType> {
    let declared = declared.to_ascii_uppercase();
    let decimals = |most: u8| -> Option<DataType> {
        let (precision, scale) = digits(&declared).filter(|_| declared.trim_end().ends_with(')'))?;
        let precision = precision.min(most);
        (scale >= 0 && scale.unsigned_abs() <= precision).then_some(DataType::Decimal128(precision, scale))
    };
    match declared.as_str() {
        of if of.starts_with("DECIMAL_TEXT") => decimals(38),
        of if of.contains("INT") => Some(DataType::Int64),
        of if of.starts_with("BOOL") => Some(DataType::Boolean),
        of if of.contains("CHAR") || of.contains("TEXT") || of.contains("CLOB") => Some(DataType::Utf8),
        of if of.contains("REAL") || of.contains("FLOA") || of.contains("DOUB") => Some(DataType::Float64),
        "DATE" => Some(DataType::Date32),
        of if of.starts_with("TIMESTAMP") || of.starts_with("DATETIME") => {
            Some(DataType::Timestamp(TimeUnit::Microsecond, None))
        }
        of if of.starts_with("DECIMAL") || of.starts_with("NUMERIC") => {
            decimals(NUMERIC_DIGITS).or(Some(DataType::Float64))
        }
        _ => None,
    }
}

fn values(batch: &RecordBatch, row: usize) -> Result<Vec<Value>> {
    let columns = batch.columns().iter();
    let values = columns.map(|array| {
        if array.is_null(row) {
            return Ok(Value::Null);
        }
        Ok(match array.data_type() {
            DataType::Boolean => Value::Integer(array.as_boolean().value(row).into()),
            DataType::Int64 => Value::Integer(array.as_primitive::<Int64Type>().value(row)),
            DataType::Decimal128(precision, scale) => {
                let value = array.as_primitive::<Decimal128Type>().value(row);
                Value::Text(Decimal128Type::format_decimal(value, *precision, *scale))
            }
            DataType::Float64 => Value::Real(array.as_primitive::<Float64Type>().value(row)),
            DataType::Date32 => {
                let days = array.as_primitive::<Date32Type>().value(row);
                let date = DateTime::from_timestamp(i64::from(days) * 86_400, 0);
                Value::Text(date.unwrap_or_default().date_naive().to_string())
            }
            DataType::Timestamp(_, _) => {
                let time = array.as_primitive::<TimestampMicrosecondType>().value(row);
                let time = DateTime::from_timestamp_micros(time).unwrap_or_default();
                Value::Text(time.naive_utc().to_string())
            }
            DataType::Utf8 => Value::Text(array.as_string::<i32>().value(row).to_owned()),
            other => return Err(Error::internal(format!("no import makes {other}"))),
        })
    });
    values.collect()
}

fn failed(error: rusqlite::Error) -> Error {
    Error::new(ErrorCode::SourceFailed, error.to_string())
}
