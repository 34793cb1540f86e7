//! A file's rows on their way into a table of SQLite, where only one connection sees them.

use arrow::array::Array as _;
use arrow::array::AsArray as _;
use arrow::datatypes::DataType;
use arrow::datatypes::Date32Type;
use arrow::datatypes::Decimal128Type;
use arrow::datatypes::DecimalType as _;
use arrow::datatypes::Float64Type;
use arrow::datatypes::Int64Type;
use arrow::datatypes::Schema;
use arrow::datatypes::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;
use chrono::DateTime;
use rusqlite::Statement;
use rusqlite::types::Value;

use crate::connectors::Batches;
use crate::connectors::load::list;
use crate::connectors::load::names;
use crate::connectors::load::would_round;
use crate::connectors::quoted;
use crate::connectors::sqlite::declared::is_binary;
use crate::connectors::sqlite::declared::may_be_rewritten;
use crate::connectors::sqlite::load::Columns;
use crate::connectors::sqlite::load::Work;
use crate::error::Error;
use crate::error::Result;

/// The table that rows go to before anybody is kept from reading or writing.
pub(super) const STAGING: &str = "temp.holistics_import";

/// Rows that nobody else sees yet.
pub(super) struct Staged {
    pub(super) rows: u64,
    /// Of the decimals in each column, the largest without its point.
    pub(super) most_digits: Vec<u128>,
}

/// Puts the rows where only this connection sees them, as they are.
pub(super) fn stage(
    work: &Work,
    schema: &Schema,
    known: Option<&Columns>,
    mut batches: Batches,
) -> Result<Staged> {
    let names = names(schema);
    // Without types nothing is converted.
    work.run(&format!("create table {STAGING} ({})", list(&names, quoted)))?;
    let declared: Vec<Option<&str>> = names
        .iter()
        .map(|name| {
            let column = known?.iter().find(|(known, _)| known == name);
            column.map(|(_, declared)| declared.as_str())
        })
        .collect();
    let places = vec!["?"; names.len()].join(", ");
    let sql = format!("insert into {STAGING} values ({places})");
    work.run("begin")?;
    let mut insert = work
        .connection
        .prepare(&sql)
        .map_err(|error| work.failed(error))?;
    let mut probe = work
        .connection
        .prepare("select cast(?1 + 0 as text) <> ?1")
        .map_err(|error| work.failed(error))?;
    let mut rows = 0;
    let mut most_digits = vec![0; names.len()];
    while let Some(batch) = batches.blocking_next()? {
        for (most, array) in most_digits.iter_mut().zip(batch.columns()) {
            if let Some(decimals) = array.as_primitive_opt::<Decimal128Type>() {
                let values = decimals.iter().flatten().map(i128::unsigned_abs);
                *most = values.fold(*most, u128::max);
            }
        }
        for row in 0..batch.num_rows() {
            let mut values = values(&batch, row)?;
            for ((value, declared), name) in values.iter_mut().zip(&declared).zip(&names) {
                let (Value::Text(text), Some(declared)) = (&mut *value, declared) else {
                    continue;
                };
                if may_be_rewritten(declared, text) && is_rewritten(work, &mut probe, text)? {
                    return Err(would_round(name, declared, 1, text));
                }
                if is_binary(declared) {
                    *value = Value::Blob(std::mem::take(text).into_bytes());
                }
            }
            insert
                .execute(rusqlite::params_from_iter(values))
                .map_err(|error| work.failed(error))?;
        }
        rows += batch.num_rows() as u64;
    }
    drop((insert, probe));
    work.run("commit")?;
    Ok(Staged { rows, most_digits })
}

/// Whether SQLite would make a number of a text whose digits are others.
fn is_rewritten(work: &Work, probe: &mut Statement<'_>, text: &str) -> Result<bool> {
    let rewritten = probe.query_row([text], |row| row.get(0));
    rewritten.map_err(|error| work.failed(error))
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
