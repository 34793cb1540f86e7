//! Lets through what a report may do on DuckDB: one statement that reads the warehouse's own tables.
//! The engine's own walls (no external access, locked configuration, a read-only transaction) stand
//! behind this one; it closes what they leave open: sequences, logs, settings and raw scan functions.

use duckdb::Connection;
use duckdb::types::Value;

use crate::connectors::place;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

/// Table functions that compute from their arguments or read plain catalogue facts.
/// Everything else is refused, so that a new release of the engine opens nothing.
const TABLE_FUNCTIONS: [&str; 13] = [
    "generate_series",
    "histogram",
    "histogram_values",
    "icu_calendar_names",
    "json_each",
    "json_tree",
    "pg_timezone_names",
    "range",
    "repeat",
    "repeat_row",
    "test_all_types",
    "unnest",
    "test_vector_types",
];

/// Scalar functions that write, wait, look outside the warehouse, bind SQL unseen,
/// or follow nested JSON by recursion until the stack, and with it the server, is gone.
const REFUSED_FUNCTIONS: [&str; 13] = [
    "current_setting",
    "currval",
    "getenv",
    "getvariable",
    "json_contains",
    "json_execute_serialized_sql",
    "json_merge_patch",
    "json_serialize_plan",
    "json_structure",
    "nextval",
    "setseed",
    "sleep_ms",
    "write_log",
];

/// What the names of tables and `show` begin with that tell of the engine instead of its data.
const REFUSED_TABLES: [&str; 5] = ["duckdb_", "pg_", "pragma_", "\"databases\"", "\"variables\""];

/// The engine parses the text itself, so that guard and execution read it alike.
const PARSE: &str = "
    with parsed as (select json_serialize_sql($1::varchar) as tree)
    select tree->>'$.error_type',
           tree->>'$.error_message',
           json_array_length(tree, '$.statements'),
           list_sort(list_distinct(tree->>'$..function_name')),
           list_sort(list_distinct(tree->>'$..function.function_name')),
           list_sort(list_distinct(tree->>'$..table_name')),
           try_cast(tree->>'$.position' as bigint)
    from parsed";

/// What lets a text through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Passed {
    /// The text alone: it will always pass.
    ByText,
    /// Macros of the warehouse, which can change.
    ByMacros,
}

/// Checks the text of a report's SQL before anything of it runs.
pub(crate) fn check(connection: &Connection, sql: &str) -> Result<Passed> {
    let parsed = parse(connection, sql)?;
    if let Some(message) = parsed.error_message {
        return Err(match parsed.error_type.as_deref() {
            Some("not implemented") => Error::new(
                ErrorCode::SourceFailed,
                "a report must be one `select` statement that only reads",
            ),
            _ => Error::new(
                ErrorCode::SourceFailed,
                format!("{message}{}", place(before(sql, parsed.position))),
            ),
        });
    }
    if parsed.statements != 1 {
        return Err(Error::new(
            ErrorCode::SourceFailed,
            format!("a report must be one statement, got {}", parsed.statements),
        ));
    }
    let mut passed = Passed::ByText;
    for function in &parsed.table_functions {
        if TABLE_FUNCTIONS.contains(&function.as_str()) {
            continue;
        }
        if !is_own_macro(connection, function)? {
            return Err(refused(&format!("table function `{function}`")));
        }
        passed = Passed::ByMacros;
    }
    for function in &parsed.functions {
        if REFUSED_FUNCTIONS.contains(&function.as_str()) {
            return Err(refused(&format!("function `{function}`")));
        }
    }
    for table in &parsed.tables {
        if REFUSED_TABLES.iter().any(|refused| table.starts_with(refused)) {
            return Err(refused(&format!("system table `{table}`")));
        }
    }
    Ok(passed)
}

struct Parsed {
    error_type: Option<String>,
    error_message: Option<String>,
    statements: i64,
    functions: Vec<String>,
    table_functions: Vec<String>,
    tables: Vec<String>,
    position: Option<i64>,
}

fn parse(connection: &Connection, sql: &str) -> Result<Parsed> {
    connection
        .query_row(PARSE, [sql], |row| {
            Ok(Parsed {
                error_type: row.get(0)?,
                error_message: row.get(1)?,
                statements: row.get::<_, Option<i64>>(2)?.unwrap_or(0),
                functions: names(row.get(3)?),
                table_functions: names(row.get(4)?),
                tables: names(row.get(5)?),
                position: row.get(6)?,
            })
        })
        .map_err(|error| Error::new(ErrorCode::SourceFailed, super::duckdb::message(&error)))
}

fn names(value: Value) -> Vec<String> {
    let Value::List(values) = value else {
        return Vec::new();
    };
    values
        .into_iter()
        .filter_map(|value| match value {
            Value::Text(name) => Some(name.to_lowercase()),
            _ => None,
        })
        .collect()
}

/// A table macro that the warehouse's owner has made is theirs to use.
fn is_own_macro(connection: &Connection, function: &str) -> Result<bool> {
    connection
        .query_row(
            "select exists (select 1 from duckdb_functions()
             where lower(function_name) = $1 and function_type = 'table_macro' and not internal)
             and not exists (select 1 from duckdb_functions()
             where lower(function_name) = $1 and internal)",
            [function],
            |row| row.get(0),
        )
        .map_err(Error::internal)
}

fn refused(what: &str) -> Error {
    Error::new(
        ErrorCode::SourceFailed,
        format!("{what} is not allowed in a report: it may only read the warehouse's own tables"),
    )
}

fn before(sql: &str, position: Option<i64>) -> Option<&str> {
    sql.get(..usize::try_from(position?).ok()?)
}
