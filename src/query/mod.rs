//! Report and filter values in, one SQL statement with bound values out. Pure: no I/O, no clock.

use chrono::NaiveDate;
use chrono::NaiveDateTime;
use serde::Deserialize;
use serde::Serialize;

use crate::source::SourceKind;

pub(crate) mod check;
pub(crate) mod compile;
mod dates;
mod fault;
pub(crate) mod file;
mod file_choices;
mod file_filter;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod lexer;
pub(crate) mod raw_values;
pub(crate) mod scalar;
mod tag;
mod template;
#[cfg(test)]
mod tests;
pub(crate) mod values;
mod yaml;

/// What a job runs: SQL with numbered placeholders and the values that are bound to them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) binds: Vec<Bind>,
    /// Must hold before the SQL runs.
    pub(crate) checks: Vec<ValueCheck>,
}

/// Values that must be among the first column of a query on the same source.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct ValueCheck {
    pub(crate) filter: String,
    pub(crate) values_sql: String,
    pub(crate) values: Vec<Bind>,
}

/// A value with its type; never SQL text.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bind {
    Null,
    Text(String),
    Integer(i64),
    /// Digits with an optional sign and point, at most 38 digits: `-1.10`.
    Decimal(String),
    Boolean(bool),
    Date(NaiveDate),
    /// Without a zone; values given with one have been turned into UTC.
    Datetime(NaiveDateTime),
}

/// How a kind of database writes placeholders and joins text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dialect {
    DuckDb,
    Postgres,
    /// MariaDB as well.
    MySql,
    Sqlite,
}

impl Dialect {
    pub(crate) fn of(kind: SourceKind) -> Self {
        match kind {
            SourceKind::Duckdb => Self::DuckDb,
            SourceKind::Postgres => Self::Postgres,
            SourceKind::Mysql => Self::MySql,
            SourceKind::Sqlite => Self::Sqlite,
        }
    }

    fn placeholder(self, number: usize) -> String {
        match self {
            Self::DuckDb | Self::Postgres => format!("${number}"),
            Self::MySql => "?".to_owned(),
            Self::Sqlite => format!("?{number}"),
        }
    }

    fn as_text(self, expression: &str) -> String {
        match self {
            Self::DuckDb => format!("CAST({expression} AS VARCHAR)"),
            Self::Postgres | Self::Sqlite => format!("CAST({expression} AS TEXT)"),
            Self::MySql => format!("CAST({expression} AS CHAR)"),
        }
    }

    /// Whether a placeholder says which value it stands for, so that it can stand twice.
    fn has_numbers(self) -> bool {
        !matches!(self, Self::MySql)
    }

    fn joined(self, parts: &[String]) -> String {
        match (self, parts) {
            (_, [part]) => part.clone(),
            (Self::MySql, parts) => format!("CONCAT({})", parts.join(", ")),
            (_, parts) => format!("({})", parts.join(" || ")),
        }
    }
}
