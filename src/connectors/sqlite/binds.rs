//! Values on their way to SQLite, which knows integers, floats and text only.

use rusqlite::ToSql;
use rusqlite::types::ToSqlOutput;
use rusqlite::types::Value;
use rusqlite::types::ValueRef;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::query::Bind;
use crate::query::scalar::canonical;

/// How many values SQLite takes in one statement.
const BINDS_MAX: usize = 32_766;

/// A value to be bound.
pub(super) struct Given<'a>(pub(super) &'a Bind);

impl ToSql for Given<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let owned = |value: Value| Ok(ToSqlOutput::Owned(value));
        match self.0 {
            Bind::Null => owned(Value::Null),
            Bind::Text(text) => Ok(ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))),
            Bind::Integer(integer) => owned(Value::Integer(*integer)),
            Bind::Boolean(boolean) => owned(Value::Integer(i64::from(*boolean))),
            Bind::Decimal(digits) => owned(decimal(digits)),
            Bind::Date(date) => owned(Value::Text(date.to_string())),
            Bind::Datetime(datetime) => {
                let form = match datetime.and_utc().timestamp_subsec_micros() {
                    0 => "%Y-%m-%d %H:%M:%S",
                    // As what is imported is written, so that the two are equal as text.
                    micros if micros % 1_000 == 0 => "%Y-%m-%d %H:%M:%S%.3f",
                    _ => "%Y-%m-%d %H:%M:%S%.6f",
                };
                owned(Value::Text(datetime.format(form).to_string()))
            }
        }
    }
}

/// SQLite has no decimals. A float stands for one where the digits come back from it, as they do for
/// up to 15 of them: it is then the very float that SQLite makes of these digits in a literal or a column,
/// and SQLite compares floats with integers exactly. Where they do not, text keeps all digits. Beside a
/// numeric column, SQLite treats it as it treated the same text when it was inserted; so the two are equal.
fn decimal(digits: &str) -> Value {
    let wanted = canonical(&Bind::Decimal(digits.to_owned()));
    let scale = wanted.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let comes_back = |float: f64| float.to_string() == wanted || format!("{float:.scale$}") == wanted;
    match digits.parse() {
        Ok(float) if comes_back(float) => Value::Real(float),
        _ => Value::Text(digits.to_owned()),
    }
}

/// The engine itself would say only that a number is too high.
pub(super) fn check_count(binds: &[Bind]) -> Result<()> {
    match binds.len() <= BINDS_MAX {
        true => Ok(()),
        false => Err(Error::new(
            ErrorCode::TooLarge,
            format!(
                "SQLite takes at most {BINDS_MAX} values in one statement, got {}",
                binds.len()
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_is_a_float_only_where_its_digits_come_back() {
        for (digits, float) in [
            ("12.50", 12.5),
            ("-0.1", -0.1),
            ("9223372036854775808", 9.223_372_036_854_776e18),
        ] {
            assert_eq!(decimal(digits), Value::Real(float), "{digits}");
        }
        for digits in [
            "0.12345678901234567890",
            "12345678901234567891",
            "-99999999999999999999999999999999999999",
        ] {
            assert_eq!(decimal(digits), Value::Text(digits.to_owned()));
        }
    }
}
