//! The types that a column of an import can have, and their names.
//! They are what every database has a counterpart for.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow::datatypes::TimeUnit;
use serde::Deserialize;
use serde::Serialize;

use crate::error::Error;
use crate::error::Result;

/// The most digits that a decimal has.
pub(super) const DIGITS_MAX: u32 = 38;

/// Written and stored as its name, such as `decimal(18,2)`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum ColumnType {
    Boolean,
    /// 64 bits with a sign.
    Integer,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Double,
    Date,
    /// Microseconds, without a time zone.
    Timestamp,
    /// Microseconds in UTC.
    TimestampTz,
    Text,
}

impl ColumnType {
    pub(super) fn arrow(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Integer => DataType::Int64,
            // No scale is above 38.
            Self::Decimal { precision, scale } => DataType::Decimal128(precision, scale.cast_signed()),
            Self::Double => DataType::Float64,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
            Self::Text => DataType::Utf8,
        }
    }

    /// The same but for digits.
    pub(super) fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Decimal { precision, scale } => {
                return write!(formatter, "decimal({precision},{scale})");
            }
            Self::Double => "double",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::TimestampTz => "timestamptz",
            Self::Text => "text",
        };
        formatter.write_str(name)
    }
}

impl From<ColumnType> for String {
    fn from(column_type: ColumnType) -> Self {
        column_type.to_string()
    }
}

impl TryFrom<String> for ColumnType {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl FromStr for ColumnType {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let name = text.trim().to_ascii_lowercase();
        Ok(match name.as_str() {
            "boolean" | "bool" => Self::Boolean,
            "integer" | "int" | "bigint" | "int4" | "int8" | "int64" => Self::Integer,
            "double" | "double precision" | "float" | "float8" | "float64" => Self::Double,
            "date" => Self::Date,
            "timestamp" | "datetime" => Self::Timestamp,
            "timestamptz" | "timestamp with time zone" => Self::TimestampTz,
            "text" | "string" | "varchar" => Self::Text,
            _ => return decimal(&name).ok_or_else(|| unknown(text)),
        })
    }
}

fn decimal(name: &str) -> Option<ColumnType> {
    let digits = name
        .strip_prefix("decimal")
        .or_else(|| name.strip_prefix("numeric"))?;
    let digits = digits.trim().strip_prefix('(')?.strip_suffix(')')?;
    let (precision, scale) = digits.split_once(',').unwrap_or((digits, "0"));
    let precision: u8 = precision.trim().parse().ok()?;
    let scale: u8 = scale.trim().parse().ok()?;
    let fits = precision > 0 && u32::from(precision) <= DIGITS_MAX && scale <= precision;
    fits.then_some(ColumnType::Decimal { precision, scale })
}

fn unknown(text: &str) -> Error {
    Error::must_be(
        "type",
        "`boolean`, `integer`, `decimal(18,2)` with at most 38 digits, `double`, `date`, `timestamp`, \
         `timestamptz` or `text`",
        text,
    )
}
