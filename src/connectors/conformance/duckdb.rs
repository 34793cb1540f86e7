//! A DuckDB file of its own; its owner has it open only while the server has not.

use duckdb::Connection;

use crate::connectors::conformance::Subject;
use crate::connectors::conformance::conforms;
use crate::source::SourceKind;

const TYPES: &[(&str, &str, &str)] = &[
    ("boolean", "true", "true"),
    ("tinyint", "-128", "-128"),
    ("ubigint", "18446744073709551615", "18446744073709551615"),
    (
        "hugeint",
        "170141183460469231731687303715884105727",
        "170141183460469231731687303715884105727",
    ),
    (
        "uhugeint",
        "340282366920938463463374607431768211455",
        "340282366920938463463374607431768211455",
    ),
    ("double", "1.7976931348623157e308", "1.7976931348623157e308"),
    ("float", "0.1", "0.1"),
    (
        "decimal(38,10)",
        "1234567890123456789012345678.0123456789",
        "1234567890123456789012345678.0123456789",
    ),
    ("decimal(4,2)", "-1.10", "-1.10"),
    ("varchar", "'ä\t\"\n😀'", "ä\t\"\n😀"),
    ("varchar", "''", ""),
    ("date", "'0001-01-01'", "0001-01-01"),
    ("date", "'infinity'", "infinity"),
    (
        "timestamp",
        "'2017-09-13 07:28:19.664131'",
        "2017-09-13 07:28:19.664131",
    ),
    ("time", "'23:59:59.999999'", "23:59:59.999999"),
    (
        "uuid",
        "'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11'",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ),
    ("json", "'{\"a\": 1.0}'", "{\"a\": 1.0}"),
    ("bit", "'101'::bit", "101"),
    ("integer[]", "[1, null]", "[1,null]"),
];

#[tokio::test(flavor = "multi_thread")]
async fn duckdb_file_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sales.duckdb");
    Connection::open(&path).unwrap();
    let url = path.display().to_string();
    conforms(Subject {
        kind: SourceKind::Duckdb,
        url,
        admin: Box::new(move |sql| {
            let owner = Connection::open(&path).unwrap();
            if !sql.starts_with("select") {
                owner.execute_batch(sql).unwrap();
                return String::new();
            }
            owner.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().to_string()
        }),
        types: TYPES,
        slow: "select count(*) from range(10000000) as a(i) cross join range(10000000) as b(j) where i + j < 0",
        endless: "select i, md5(i::varchar) as text from range(500000000) as rows(i)",
        // It runs inside the server, and has no connections.
        running: None,
        cut: None,
        syntax_error: "syntax error at or near \"from\"",
        quote: '"',
    })
    .await;
}
