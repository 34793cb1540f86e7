//! One value of SQLite as a value of its column's type, if it is one.

use rusqlite::Connection;
use rusqlite::Statement;
use rusqlite::types::Value;
use rusqlite::types::ValueRef;
use std::borrow::Cow;

use crate::connectors::sqlite::kinds::Kind;
use crate::connectors::sqlite::kinds::is_exact_float;
use crate::connectors::sqlite::moments;
use crate::connectors::sqlite::stop::Stop;
use crate::error::Result;
use crate::hex::hex;
use crate::query::scalar::shown;

/// Bytes of a blob that a message shows.
const SHOWN_BYTES_MAX: usize = 20;

const NOT_UTF8: &str = "text that is not UTF-8";

/// A value on its way into a column.
#[derive(Debug, PartialEq)]
pub(super) enum Cell<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Real(f64),
    Text(Cow<'a, str>),
    Binary(&'a [u8]),
    Date(i32),
    Timestamp(i64),
}

/// Writes numbers as SQLite's `cast(x as text)` does.
pub(super) struct Casts<'c> {
    connection: &'c Connection,
    stop: &'c Stop,
    /// Prepared for the first float; integers have one form only.
    cast: Option<Statement<'c>>,
}

impl<'c> Casts<'c> {
    pub(super) fn new(connection: &'c Connection, stop: &'c Stop) -> Self {
        Self {
            connection,
            stop,
            cast: None,
        }
    }

    /// SQLite alone knows how it rounds, so that it is asked.
    fn real(&mut self, real: f64) -> Result<String> {
        let failed = |error| self.stop.failed(error);
        let cast = match &mut self.cast {
            Some(cast) => cast,
            none => none.insert(
                self.connection
                    .prepare("select cast(?1 as text)")
                    .map_err(failed)?,
            ),
        };
        cast.query_row([real], |row| row.get(0)).map_err(failed)
    }
}

/// The value as its column has it; `None` if it does not fit.
pub(super) fn cell<'a>(kind: Kind, value: ValueRef<'a>, casts: &mut Casts<'_>) -> Result<Option<Cell<'a>>> {
    Ok(match (kind, value) {
        (_, ValueRef::Null) => Some(Cell::Null),
        (Kind::Integer, ValueRef::Integer(integer)) => Some(Cell::Integer(integer)),
        (Kind::Boolean, ValueRef::Integer(integer @ (0 | 1))) => Some(Cell::Boolean(integer == 1)),
        (Kind::Real, ValueRef::Real(real)) => Some(Cell::Real(real)),
        (Kind::Real, ValueRef::Integer(integer)) => exact_float(integer).map(Cell::Real),
        (Kind::Text | Kind::Json, ValueRef::Text(text)) => utf8(text).map(|text| Cell::Text(text.into())),
        (Kind::Binary, ValueRef::Blob(bytes)) => Some(Cell::Binary(bytes)),
        (Kind::Date, ValueRef::Text(text)) => utf8(text).and_then(moments::days).map(Cell::Date),
        (Kind::Timestamp, ValueRef::Text(text)) => {
            utf8(text).and_then(moments::microseconds).map(Cell::Timestamp)
        }
        (Kind::Number(scale), ValueRef::Real(real)) => Some(Cell::Text(scaled(number(real), scale).into())),
        (Kind::Number(scale), ValueRef::Integer(integer)) => {
            Some(Cell::Text(scaled(integer.to_string(), scale).into()))
        }
        (Kind::Number(_), ValueRef::Text(text)) => utf8(text)
            .filter(|text| is_number(text))
            .map(|text| Cell::Text(text.into())),
        (Kind::Json | Kind::Any, ValueRef::Integer(integer)) => Some(Cell::Text(integer.to_string().into())),
        (Kind::Json | Kind::Any, ValueRef::Real(real)) => Some(Cell::Text(casts.real(real)?.into())),
        (Kind::Any, ValueRef::Text(bytes)) => Some(Cell::Text(match utf8(bytes) {
            Some(text) => text.into(),
            None => hexadecimal(bytes).into(),
        })),
        (Kind::Any, ValueRef::Blob(bytes)) => Some(Cell::Text(hexadecimal(bytes).into())),
        _ => None,
    })
}

/// A value that stays after its row has gone.
pub(super) fn kept(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(integer) => Value::Integer(integer),
        ValueRef::Real(real) => Value::Real(real),
        // What is not UTF-8 is written like that in any case.
        ValueRef::Text(bytes) => Value::Text(utf8(bytes).map_or_else(|| hexadecimal(bytes), str::to_owned)),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

/// A value as messages have it.
pub(super) fn described(value: ValueRef<'_>) -> String {
    let (text, class) = match value {
        ValueRef::Null => ("NULL".to_owned(), "null"),
        ValueRef::Integer(integer) => (integer.to_string(), "integer"),
        ValueRef::Real(real) => (number(real), "real"),
        ValueRef::Text(text) => (
            String::from_utf8_lossy(text).into_owned(),
            match utf8(text) {
                Some(_) => "text",
                None => NOT_UTF8,
            },
        ),
        ValueRef::Blob(bytes) => {
            let mut text = hexadecimal(bytes.get(..SHOWN_BYTES_MAX).unwrap_or(bytes));
            if bytes.len() > SHOWN_BYTES_MAX {
                text.push('…');
            }
            (text, "blob")
        }
    };
    format!("{} ({class})", shown(&text))
}

pub(super) fn is_utf8(value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::Text(text) => utf8(text).is_some(),
        _ => true,
    }
}

/// The shortest digits that mean this float and no other, without an exponent.
pub(super) fn number(real: f64) -> String {
    match real {
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        real => real.to_string(),
    }
}

/// With the zeros that SQLite does not keep.
fn scaled(number: String, scale: u8) -> String {
    let (mut number, scale) = (number, usize::from(scale));
    let shown = number.split_once('.').map(|(_, fraction)| fraction.len());
    // Neither is `Infinity` a number.
    if scale == 0 || shown.is_some_and(|shown| shown >= scale) || number.ends_with('y') {
        return number;
    }
    if shown.is_none() {
        number.push('.');
    }
    number.extend(std::iter::repeat_n('0', scale - shown.unwrap_or(0)));
    number
}

#[expect(clippy::cast_precision_loss, reason = "looked at before")]
fn exact_float(integer: i64) -> Option<f64> {
    is_exact_float(integer).then_some(integer as f64)
}

fn utf8(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

/// As binary columns are written everywhere else.
fn hexadecimal(bytes: &[u8]) -> String {
    format!("\\x{}", hex(bytes))
}

/// Digits with a sign and a point at most.
fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    [whole, fraction]
        .iter()
        .all(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_text_are_plain_digits() {
        for text in ["0", "-1", "12.50", "12345678901234567890.1"] {
            assert!(is_number(text), "{text}");
        }
        for text in ["", "-", ".", "1.", ".5", "+1", "1e5", " 1", "--1", "1.2.3", "x"] {
            assert!(!is_number(text), "{text}");
        }
        assert_eq!(number(1e21), "1000000000000000000000");
        assert_eq!(number(-0.1), "-0.1");
        for (text, wanted) in [
            ("10", "10.00"),
            ("-9.5", "-9.50"),
            ("1.255", "1.255"),
            ("Infinity", "Infinity"),
        ] {
            assert_eq!(scaled(text.to_owned(), 2), wanted);
        }
        assert_eq!(scaled("10".to_owned(), 0), "10");
    }
}
