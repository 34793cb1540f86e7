//! Batches as `insert` statements of many rows each.

use std::fmt::Write as _;

use arrow::array::Array;
use arrow::array::AsArray as _;
use arrow::datatypes::DataType;
use arrow::datatypes::Date32Type;
use arrow::datatypes::Decimal128Type;
use arrow::datatypes::DecimalType as _;
use arrow::datatypes::Float64Type;
use arrow::datatypes::Int64Type;
use arrow::datatypes::TimestampMicrosecondType;
use chrono::DateTime;
use tokio::sync::mpsc;

use crate::connectors::Batches;
use crate::error::Error;
use crate::error::Result;

/// A statement is sent when it has got so long; servers take at least a few times as much.
const STATEMENT_BYTES: usize = 1 << 20;

const SECONDS_A_DAY: i64 = 86_400;

/// Writes statements.
pub(super) struct Inserts {
    /// What each begins with.
    head: String,
    /// How long one has to stay below, unless it is of a single row.
    longest: usize,
}

impl Inserts {
    pub(super) fn new(head: String, longest: usize) -> Self {
        Self { head, longest }
    }

    /// Sends the rows of all batches and says how many there were.
    pub(super) fn write(&self, mut batches: Batches, sender: &mpsc::Sender<String>) -> Result<u64> {
        let mut rows = 0;
        let mut statement = String::new();
        while let Some(batch) = batches.blocking_next()? {
            for row in 0..batch.num_rows() {
                let before = statement.len();
                statement.push_str(if before == 0 { &self.head } else { "," });
                for (index, column) in batch.columns().iter().enumerate() {
                    statement.push(if index == 0 { '(' } else { ',' });
                    push(&mut statement, column.as_ref(), row)?;
                }
                statement.push(')');
                if statement.len() >= self.longest && before > 0 {
                    // A long row behind others goes alone.
                    let row = statement.split_off(before).split_off(1);
                    let others = std::mem::replace(&mut statement, self.head.clone() + &row);
                    if sender.blocking_send(others).is_err() {
                        return Ok(rows);
                    }
                }
                let is_full = statement.len() >= STATEMENT_BYTES;
                if is_full && sender.blocking_send(std::mem::take(&mut statement)).is_err() {
                    // Nobody takes it any more, and knows why.
                    return Ok(rows);
                }
            }
            rows += batch.num_rows() as u64;
        }
        if !statement.is_empty() {
            // As above.
            let _ = sender.blocking_send(statement);
        }
        Ok(rows)
    }
}

fn push(out: &mut String, array: &dyn Array, row: usize) -> Result<()> {
    if array.is_null(row) {
        out.push_str("null");
        return Ok(());
    }
    // Writing to a string cannot fail.
    let _ = match array.data_type() {
        DataType::Boolean => write!(out, "{}", array.as_boolean().value(row)),
        DataType::Int64 => write!(out, "{}", array.as_primitive::<Int64Type>().value(row)),
        DataType::Decimal128(precision, scale) => {
            let value = array.as_primitive::<Decimal128Type>().value(row);
            write!(
                out,
                "{}",
                Decimal128Type::format_decimal(value, *precision, *scale)
            )
        }
        // With an exponent it is a double for the server, and not a decimal.
        DataType::Float64 => write!(out, "{:e}", array.as_primitive::<Float64Type>().value(row)),
        DataType::Date32 => {
            let days = i64::from(array.as_primitive::<Date32Type>().value(row));
            let date = DateTime::from_timestamp(days * SECONDS_A_DAY, 0).unwrap_or_default();
            write!(out, "'{}'", date.date_naive())
        }
        DataType::Timestamp(_, _) => {
            let time = array.as_primitive::<TimestampMicrosecondType>().value(row);
            let time = DateTime::from_timestamp_micros(time).unwrap_or_default();
            write!(out, "'{}'", time.naive_utc())
        }
        DataType::Utf8 => {
            push_literal(out, array.as_string::<i32>().value(row));
            Ok(())
        }
        other => return Err(Error::internal(format!("no import makes {other}"))),
    };
    Ok(())
}

/// Text as a literal; in UTF-8 no other character has the bytes of a quote or a backslash.
pub(super) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    push_literal(&mut out, text);
    out
}

fn push_literal(out: &mut String, text: &str) {
    out.push('\'');
    let mut rest = text;
    while let Some(at) = rest.find(['\'', '\\']) {
        out.push_str(&rest[..at]);
        out.push('\\');
        out.push_str(&rest[at..=at]);
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('\'');
}

/// An identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;
    use arrow::datatypes::Field;
    use arrow::datatypes::Schema;
    use arrow::record_batch::RecordBatch;

    use super::*;

    #[test]
    fn nothing_in_a_literal_ends_it() {
        assert_eq!(literal("it's a \\ and ' too"), r"'it\'s a \\ and \' too'");
        assert_eq!(literal(""), "''");
        assert_eq!(quoted("a`b"), "`a``b`");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn row_that_is_too_long_behind_others_goes_alone() {
        let schema = Arc::new(Schema::new(vec![Field::new("t", DataType::Utf8, true)]));
        let long = "b".repeat(60);
        let texts = StringArray::from(vec!["a", "a", &long, "c", &long, &long]);
        let batch = RecordBatch::try_new(schema, vec![Arc::new(texts)]).unwrap();
        let (batches, stream) = Batches::channel();
        let (sender, mut statements) = mpsc::channel(100);
        let writing = tokio::task::spawn_blocking(move || {
            batches.blocking_send(batch).unwrap();
            batches.end(Ok(())).unwrap();
            Inserts::new("insert ".to_owned(), 75).write(stream, &sender)
        });
        assert_eq!(writing.await.unwrap().unwrap(), 6);
        let mut sent = Vec::new();
        while let Some(statement) = statements.recv().await {
            sent.push(statement);
        }
        let alone = format!("insert ('{long}')");
        assert_eq!(
            sent,
            ["insert ('a'),('a')", &alone, "insert ('c')", &alone, &alone]
        );
    }
}
