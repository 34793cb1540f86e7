//! Attempts to get SQL in through a value, against a filter of every kind.

use std::fs;
use std::path::Path;

use crate::query::file::parse_report;
use crate::query::tests::FILE_NAME;
use crate::query::tests::bind_text;
use crate::query::tests::by_json;
use crate::query::tests::report_file;
use crate::query::tests::statement;
use crate::report::Report;
use crate::report::ValueType;

/// What an attacker would send. Each must end as a bound value or as an error.
fn attacks() -> Vec<String> {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/query/attacks.txt"))
            .unwrap();
    let mut attacks: Vec<String> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("# "))
        .map(|line| {
            line.replace("<NUL>", "\0")
                .replace("<LF>", "\n")
                .replace("<CR>", "\r")
        })
        .collect();
    attacks.push("'".repeat(100_000));
    attacks.push("{{".repeat(50_000));
    attacks.push("[[".repeat(50_000));
    attacks.push("9".repeat(100_000));
    attacks
}

/// A filter of every kind, each used in every way that its kind allows.
const TARGETS: [(&str, &str, &str); 13] = [
    (
        "x: {type: text}",
        "select {{ x }}, 'a{{x|noquote}}b' where 1=1 [[and a = {{x}}]]",
        "x",
    ),
    (
        "x: {type: text, multiple: true}",
        "select 1 where a in ({{ x }}) [[and b in ({{x}})]]",
        "x",
    ),
    (
        "x: {type: number}",
        "select {{ x }}, {{ x | noquote }}, '{{x}}'",
        "x",
    ),
    (
        "x: {type: number, multiple: true}",
        "select 1 where a in ({{ x }})",
        "x",
    ),
    ("x: {type: boolean}", "select {{ x }}, {{ x | noquote }}", "x"),
    ("x: {type: date}", "select {{ x }}, '{{x}}'", "x"),
    ("x: {type: datetime}", "select {{ x }}, '{{x}}'", "x"),
    (
        "x: {type: date_range}",
        "select {{ x_start }}, {{ x_end }}",
        "x_start",
    ),
    (
        "x: {type: dropdown, values: [a, b]}",
        "select {{ x }} order by {{ x | noquote }}",
        "x",
    ),
    ("x: {type: dropdown, values_sql: select 1}", "select {{ x }}", "x"),
    (
        "x: {type: dropdown, values: [a, b], multiple: true}",
        "select 1 where a in ({{ x }})",
        "x",
    ),
    (
        "x: {type: list}",
        "select 1 where a in ({{ x }}) {{#if x == 'a'}}and 1=2{{#endif}}",
        "x",
    ),
    (
        "x: {type: list, of: number}",
        "select 1 where a in ({{ x }})",
        "x",
    ),
];

#[test]
fn attacks_never_reach_the_sql_text() {
    let attacks = attacks();
    assert!(attacks.len() >= 40, "only {} attacks", attacks.len());
    for (filters, sql, name) in TARGETS {
        let report = parse_report(FILE_NAME, &report_file(filters, sql)).unwrap();
        let harmless = compiled_with(&report, name, "zzz").or_else(|| compiled_with(&report, name, "1"));
        for attack in &attacks {
            let Ok(statement) = by_json(&report, name, attack) else {
                continue;
            };
            let bound = statement.binds.iter().map(bind_text).collect::<Vec<_>>();
            assert_eq!(Some(&statement.sql), harmless.as_ref(), "{filters}: {attack}");
            if report.filters[0].of == ValueType::Text {
                assert!(
                    bound.contains(&format!("text {attack}")),
                    "{filters}: {attack} is not bound whole"
                );
            }
        }
    }
}

#[test]
fn attacks_are_bound_the_same_from_a_query_string_and_a_body() {
    let report = parse_report(FILE_NAME, &report_file("x: {type: text}", "select {{ x }}")).unwrap();
    for attack in attacks() {
        let escaped: String = attack.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let by_query = statement(&report, &format!("x={escaped}"), None).map_err(|error| error.message);
        let by_body = by_json(&report, "x", &attack).map_err(|error| error.message);
        assert_eq!(by_query, by_body);
    }
}

fn compiled_with(report: &Report, name: &str, text: &str) -> Option<String> {
    by_json(report, name, text).ok().map(|statement| statement.sql)
}
