//! A SQLite file.

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::connectors::conformance::Subject;
use crate::connectors::conformance::conforms;
use crate::source::SourceKind;

const TYPES: &[(&str, &str, &str)] = &[
    ("integer", "-9223372036854775808", "-9223372036854775808"),
    ("bigint", "9223372036854775807", "9223372036854775807"),
    ("boolean", "1", "true"),
    ("real", "1.7976931348623157e308", "1.7976931348623157e308"),
    ("double precision", "0.1", "0.1"),
    ("decimal(12,2)", "'12.50'", "12.50"),
    ("numeric", "'-0.001'", "-0.001"),
    (
        "decimal_text(38,1)",
        "'1234567890123456789012345678901234567.5'",
        "1234567890123456789012345678901234567.5",
    ),
    ("text", "'ä\t\"\n😀'", "ä\t\"\n😀"),
    ("text", "''", ""),
    ("varchar(10)", "'abc'", "abc"),
    ("blob", "x'00ff41'", "\\x00ff41"),
    ("date", "'0001-01-01'", "0001-01-01"),
    (
        "datetime",
        "'2017-09-13 07:28:19.664131'",
        "2017-09-13 07:28:19.664131",
    ),
    ("timestamp", "'2026-01-31T10:00:00'", "2026-01-31 10:00:00"),
    ("time", "'23:59:59'", "23:59:59"),
    ("json", "'{\"a\": 1.0}'", "{\"a\": 1.0}"),
    ("tinyint(1)", "1", "1"),
    ("bool", "false", "false"),
    ("float", "9007199254740992", "9007199254740992.0"),
    ("double", "-9e999", "-Infinity"),
    ("numeric", "9223372036854775807", "9223372036854775807"),
    ("numeric", "1e21", "1000000000000000000000"),
    ("clob", "12", "12"),
    ("json", "'1.50'", "1.5"),
    ("date", "date('2024-02-28', '+1 day')", "2024-02-29"),
    ("timestamp", "'2026-01-31'", "2026-01-31 00:00:00"),
    (
        "timestamp with time zone",
        "'2026-01-31 10:00:00+05:30'",
        "2026-01-31 10:00:00+05:30",
    ),
    ("uuid", "'a0eebc99'", "a0eebc99"),
    ("", "x'01'", "\\x01"),
    ("", "'any'", "any"),
];

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sales.db");
    let owner = Connection::open(&path).unwrap();
    owner.execute_batch("pragma journal_mode = wal").unwrap();
    conforms(Subject {
        kind: SourceKind::Sqlite,
        url: path.display().to_string(),
        admin: Box::new(move |sql| run(&owner, sql)),
        types: TYPES,
        slow: "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n",
        endless: "with recursive n(i) as (select 1 union all select i + 1 from n limit 50000000) select i, hex(i) from n",
        // It runs inside the server, and has no connections.
        running: None,
        cut: None,
        syntax_error: "near \"from\": syntax error (line 2, column 3 of the SQL)",
        quote: '"',
    })
    .await;
}

fn run(owner: &Connection, sql: &str) -> String {
    if !sql.starts_with("select") {
        owner.execute_batch(sql).unwrap();
        return String::new();
    }
    let value = owner.query_row(sql, [], |row| row.get::<_, Value>(0)).unwrap();
    match value {
        Value::Integer(integer) => integer.to_string(),
        other => format!("{other:?}"),
    }
}
