//! A DuckDB file of its own, whose owner is the engine's shell.

use crate::connectors::conformance::Subject;
use crate::connectors::conformance::conforms;
use crate::connectors::duckdb_file::is_open;
use crate::source::SourceKind;
use crate::tests::reader;

const TYPES: &[(&str, &str, &str)] = &[
    ("boolean", "true", "true"),
    ("tinyint", "-128", "-128"),
    ("bigint", "-9223372036854775808", "-9223372036854775808"),
    ("ubigint", "18446744073709551615", "18446744073709551615"),
    (
        "hugeint",
        "170141183460469231731687303715884105727",
        "170141183460469231731687303715884105727",
    ),
    ("real", "0.1", "0.1"),
    ("double", "'NaN'", "NaN"),
    ("decimal(12,2)", "-1234567890.10", "-1234567890.10"),
    (
        "decimal(38,10)",
        "1234567890123456789012345678.0123456789",
        "1234567890123456789012345678.0123456789",
    ),
    ("varchar", "'ä\t\"\n😀'", "ä\t\"\n😀"),
    ("varchar", "''", ""),
    ("blob", "'\\x00\\xffA'", "\\x00ff41"),
    ("date", "'2026-01-31'", "2026-01-31"),
    ("time", "'23:59:59.999999'", "23:59:59.999999"),
    (
        "timestamp",
        "'2017-09-13 07:28:19.664131'",
        "2017-09-13 07:28:19.664131",
    ),
    (
        "uuid",
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
    ),
    ("enum ('gut', 'schlecht')", "'gut'", "gut"),
    ("integer[]", "[1, null]", "[1,null]"),
];

#[tokio::test(flavor = "multi_thread")]
async fn duckdb_file_conforms() {
    if reader("duckdb").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lake.duckdb");
    let url = path.display().to_string();
    duckdb::Connection::open(&path).unwrap();
    conforms(Subject {
        kind: SourceKind::Duckdb,
        url,
        admin: Box::new(move |sql| {
            // The thread of a query lets go of its file just after the last row is read.
            while is_open(&path) {
                std::thread::yield_now();
            }
            let mut shell = reader("duckdb").unwrap();
            let output = shell
                .arg(&path)
                .args(["-noheader", "-list", "-c", sql])
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8(output.stdout).unwrap()
        }),
        types: TYPES,
        slow: "select count(*) from range(100000000) as a(i), range(100000000) as b(j) where i * j % 7 = 8",
        endless: "select i, i::varchar as text from range(10000000000) as rows(i)",
        running: None,
        cut: None,
        syntax_error: "syntax error at or near \"from\" (line 2, column 3 of the SQL)",
        quote: '\"',
    })
    .await;
}
