//! What the columns of a query hold: by their declared types, else by the values that come.
//! SQLite itself checks no type: any column can hold any value.

use arrow::datatypes::DataType;
use arrow::datatypes::Field;
use arrow::datatypes::TimeUnit;
use rusqlite::types::ValueRef;

use crate::arrow_types::number_as_text;
use crate::connectors::load::digits;

/// Up to here every integer is a float too.
const EXACT_FLOAT_MAX: u64 = 1 << 53;
/// No decimal of a database has more digits after the point.
const SCALE_MAX: i8 = 38;

/// What the values of a column must be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// No value at all.
    Nothing,
    Integer,
    /// 0 or 1.
    Boolean,
    Real,
    Text,
    /// Text, or a number that SQLite made of it.
    Json,
    Binary,
    Date,
    Timestamp,
    /// Decimals, exact as text, with so many digits after the point at least.
    Number(u8),
    /// Whatever comes, as text.
    Any,
}

impl Kind {
    /// By the names that programs give to types; `None` where the name says nothing.
    pub(super) fn declared(name: &str) -> Option<Self> {
        let name = name.to_ascii_uppercase();
        let has = |word: &str| name.contains(word);
        let begins = |word: &str| name.starts_with(word);
        let has_zone = || has("ZONE") || has("TZ") || has("OFFSET");
        Some(if begins("BOOL") {
            Self::Boolean
        } else if begins("DATETIME") || begins("TIMESTAMP") {
            match has_zone() && !has("WITHOUT") {
                true => Self::Text,
                false => Self::Timestamp,
            }
        } else if begins("DATE") {
            Self::Date
        } else if begins("TIME") {
            Self::Text
        } else if begins("DEC") || begins("NUMERIC") || begins("NUMBER") {
            let scale = digits(&name).map_or(0, |(_, scale)| scale.clamp(0, SCALE_MAX).unsigned_abs());
            Self::Number(scale)
        } else if begins("JSON") {
            Self::Json
        } else if has("POINT") || has("INTERVAL") {
            // An INT inside a word of another meaning.
            return None;
        } else if has("INT") {
            Self::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Self::Text
        } else if has("BLOB") {
            Self::Binary
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Self::Real
        } else {
            return None;
        })
    }

    pub(super) fn field(self, name: &str) -> Field {
        let data_type = match self {
            Self::Integer => DataType::Int64,
            Self::Boolean => DataType::Boolean,
            Self::Real => DataType::Float64,
            Self::Binary => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Nothing | Self::Text | Self::Json | Self::Number(_) | Self::Any => DataType::Utf8,
        };
        let field = Field::new(name, data_type, true);
        match self {
            Self::Number(_) => number_as_text(field),
            _ => field,
        }
    }
}

/// What the values of a column without a type have been so far.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Seen {
    Nothing,
    /// Integers that floats can be as well.
    Integers,
    WideIntegers,
    Reals,
    Texts,
    Blobs,
    /// Of kinds that only text can hold together.
    Several,
}

impl Seen {
    pub(super) fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Nothing,
            ValueRef::Integer(integer) if is_exact_float(integer) => Self::Integers,
            ValueRef::Integer(_) => Self::WideIntegers,
            ValueRef::Real(_) => Self::Reals,
            ValueRef::Text(text) if std::str::from_utf8(text).is_ok() => Self::Texts,
            ValueRef::Text(_) => Self::Several,
            ValueRef::Blob(_) => Self::Blobs,
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (one, two) if one == two => one,
            (Self::Nothing, some) | (some, Self::Nothing) => some,
            (Self::Integers, Self::WideIntegers) | (Self::WideIntegers, Self::Integers) => Self::WideIntegers,
            (Self::Integers, Self::Reals) | (Self::Reals, Self::Integers) => Self::Reals,
            _ => Self::Several,
        }
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Nothing => Kind::Nothing,
            Self::Integers | Self::WideIntegers => Kind::Integer,
            Self::Reals => Kind::Real,
            Self::Texts => Kind::Text,
            Self::Blobs => Kind::Binary,
            Self::Several => Kind::Any,
        }
    }
}

pub(super) fn is_exact_float(integer: i64) -> bool {
    integer.unsigned_abs() <= EXACT_FLOAT_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_types_are_read_as_programs_mean_them() {
        for (kind, names) in [
            (
                Some(Kind::Integer),
                &["INTEGER", "int", "UNSIGNED BIG INT", "TINYINT(1)", "int8"][..],
            ),
            (Some(Kind::Boolean), &["BOOL", "boolean"]),
            (Some(Kind::Real), &["REAL", "DOUBLE PRECISION", "float(8)"]),
            (
                Some(Kind::Text),
                &[
                    "TEXT",
                    "VARCHAR(20)",
                    "NATIVE CHARACTER(70)",
                    "CLOB",
                    "TIME",
                    "TIMESTAMP WITH TIME ZONE",
                    "timestamptz",
                    "datetimeoffset",
                ],
            ),
            (Some(Kind::Json), &["JSON", "jsonb"]),
            (Some(Kind::Binary), &["BLOB", "longblob"]),
            (Some(Kind::Date), &["DATE"]),
            (
                Some(Kind::Timestamp),
                &[
                    "DATETIME",
                    "timestamp",
                    "DATETIME(6)",
                    "TIMESTAMP WITHOUT TIME ZONE",
                ],
            ),
            (
                Some(Kind::Number(2)),
                &["DECIMAL(10,2)", "numeric(5, 2)", "DECIMAL_TEXT(18,2)"],
            ),
            (Some(Kind::Number(0)), &["NUMERIC", "number(5)", "DECIMAL(5,-2)"]),
            (
                None,
                &[
                    "", "UUID", "STRING", "MONEY", "POINT", "INTERVAL", "ANY", "GEOMETRY",
                ],
            ),
        ] {
            for name in names {
                assert_eq!(Kind::declared(name), kind, "{name}");
            }
        }
    }
}
