//! SQLite, a file of the test's own.

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::connectors::conformance::Subject;
use crate::connectors::conformance::conforms;
use crate::source::SourceKind;

const TYPES: &[(&str, &str, &str)] = &[
    ("integer", "-9223372036854775808", "-9223372036854775808"),
    ("bigint", "9223372036854775807", "9223372036854775807"),
    ("tinyint(1)", "1", "1"),
    ("boolean", "1", "true"),
    ("bool", "false", "false"),
    ("real", "0.1", "0.1"),
    ("float", "9007199254740992", "9007199254740992.0"),
    (
        "double precision",
        "1.7976931348623157e308",
        "1.7976931348623157e308",
    ),
    ("double", "-9e999", "-Infinity"),
    ("text", "'ä\t\"\n😀'", "ä\t\"\n😀"),
    ("text", "''", ""),
    ("varchar(2)", "'abc'", "abc"),
    ("clob", "12", "12"),
    ("json", "'{\"a\": 1.0,  \"a\": 2}'", "{\"a\": 1.0,  \"a\": 2}"),
    ("json", "'1.50'", "1.5"),
    ("blob", "x'00ff41'", "\\x00ff41"),
    ("date", "'2026-01-31'", "2026-01-31"),
    ("date", "date('2024-02-28', '+1 day')", "2024-02-29"),
    ("datetime", "'2026-01-31 23:59:59'", "2026-01-31 23:59:59"),
    (
        "datetime(6)",
        "'2017-09-13T07:28:19.664131'",
        "2017-09-13 07:28:19.664131",
    ),
    ("timestamp", "'2026-01-31'", "2026-01-31 00:00:00"),
    (
        "timestamp with time zone",
        "'2026-01-31 10:00:00+05:30'",
        "2026-01-31 10:00:00+05:30",
    ),
    ("time", "'23:59:59.5'", "23:59:59.5"),
    ("decimal(12,2)", "-1234567890.10", "-1234567890.1"),
    ("numeric", "9223372036854775807", "9223372036854775807"),
    ("numeric", "1e21", "1000000000000000000000"),
    ("uuid", "'a0eebc99'", "a0eebc99"),
    ("", "x'01'", "\\x01"),
];

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    let url = path.display().to_string();
    Connection::open(&path).unwrap().execute_batch("vacuum").unwrap();
    conforms(Subject {
        kind: SourceKind::Sqlite,
        url,
        admin: Box::new(move |sql| {
            let connection = Connection::open(&path).unwrap();
            if !sql.starts_with("select") {
                connection.execute_batch(sql).unwrap();
                return String::new();
            }
            let value: Value = connection.query_row(sql, [], |row| row.get(0)).unwrap();
            match value {
                Value::Integer(integer) => integer.to_string(),
                Value::Text(text) => text,
                other => panic!("{sql}: {other:?}"),
            }
        }),
        types: TYPES,
        slow: "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n",
        endless: "with recursive n(i) as (select 1 union all select i + 1 from n) select i, hex(i) as text from n",
        running: None,
        cut: None,
        syntax_error: "near \"from\": syntax error (line 2, column 3 of the SQL)",
        quote: '\"',
    })
    .await;
}
