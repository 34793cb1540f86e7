//! Every rule of `query` through one function, `check`, over the tables in `tests/cases/query`.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use chrono::NaiveDate;
use chrono::NaiveDateTime;
use serde::Deserialize;

use crate::access::Pins;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::query::Bind;
use crate::query::Dialect;
use crate::query::Statement;
use crate::query::compile::compile;
use crate::query::file::parse_report;
use crate::query::raw_values::RawValues;
use crate::query::values::parse_values;
use crate::report::Report;

mod attacks;
mod examples;
mod properties;

const FILE_NAME: &str = "reports/r.sql";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    case: Vec<Case>,
}

/// One report, one request, and what comes of it: a statement or an error.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// The whole file; or else `filters` and `sql`.
    file: Option<String>,
    /// The inside of the `filters` mapping.
    #[serde(default)]
    filters: String,
    #[serde(default)]
    sql: String,
    #[serde(default)]
    query: String,
    body: Option<String>,
    expected: Option<String>,
    binds: Option<Vec<String>>,
    checks: Option<Vec<String>>,
    /// Parts of the report's debug form, to see what a file was read as.
    #[serde(default)]
    report: Vec<String>,
    error: Option<String>,
}

#[test]
fn cases_hold() {
    let mut count = 0;
    let mut differences = Vec::new();
    for path in case_files() {
        let text = fs::read_to_string(&path).unwrap();
        let table: Table =
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for case in &table.case {
            let found = check(case);
            let file = path.file_name().unwrap().to_string_lossy();
            differences.extend(
                found
                    .iter()
                    .map(|what| format!("{file}, \"{}\": {what}", case.name)),
            );
            count += 1;
        }
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
    assert!(count > 150, "only {count} cases were found");
}

fn case_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/query");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    paths
}

/// Runs a case from the file to the statement and tells what differs from what the case names.
fn check(case: &Case) -> Vec<String> {
    let mut differences = Vec::new();
    let (report, statement) = match run(case) {
        Ok(ran) => ran,
        Err(error) => {
            compare(
                &mut differences,
                "error",
                Some(&error.message),
                case.error.as_ref(),
            );
            return differences;
        }
    };
    compare(&mut differences, "error", None, case.error.as_ref());
    let sql = statement.sql.trim_end().to_owned();
    let binds: Vec<String> = statement.binds.iter().map(bind_text).collect();
    let checks: Vec<String> = statement
        .checks
        .iter()
        .map(|check| {
            format!(
                "{}: {} in {}",
                check.filter,
                check.values.iter().map(bind_text).collect::<Vec<_>>().join(", "),
                check.values_sql
            )
        })
        .collect();
    if let Some(expected) = &case.expected {
        compare(&mut differences, "SQL", sql.as_str(), expected.trim_end());
    }
    if let Some(expected) = &case.binds {
        compare(&mut differences, "binds", &binds, expected);
    }
    if let Some(expected) = &case.checks {
        compare(&mut differences, "checks", &checks, expected);
    }
    let debug = format!("{report:?}");
    for part in case.report.iter().filter(|part| !debug.contains(*part)) {
        differences.push(format!("no {part} in {debug}"));
    }
    differences
}

fn compare<T: PartialEq + std::fmt::Debug>(differences: &mut Vec<String>, what: &str, got: T, expected: T) {
    if got != expected {
        differences.push(format!("{what}\n     got {got:?}\n  wanted {expected:?}"));
    }
}

fn run(case: &Case) -> Result<(Report, Statement)> {
    let file = case
        .file
        .clone()
        .unwrap_or_else(|| report_file(&case.filters, &case.sql));
    let report = parse_report(FILE_NAME, &file)?;
    let statement = statement(&report, &case.query, case.body.as_deref())?;
    Ok((report, statement))
}

fn statement(report: &Report, query: &str, body: Option<&str>) -> Result<Statement> {
    let mut raw = RawValues::from_query_string(query)?;
    if let Some(body) = body {
        raw.merge_json(body.as_bytes())?;
    }
    let values = parse_values(report, &raw, now())?;
    compile(report, &values, Dialect::DuckDb, &Pins::new())
}

/// The front matter takes four lines before the filters, so a filter's first line is line 5.
fn report_file(filters: &str, sql: &str) -> String {
    let mut file = String::from("---\nid: 1\ntitle: Test\n");
    if !filters.trim().is_empty() {
        file.push_str("filters:\n");
        for line in filters.trim_end().lines() {
            file.push_str(&format!("  {line}\n"));
        }
    }
    file.push_str("---\n");
    file.push_str(sql);
    file
}

fn now() -> NaiveDateTime {
    NaiveDate::from_ymd_opt(2026, 11, 23)
        .unwrap()
        .and_hms_opt(10, 30, 15)
        .unwrap()
}

fn bind_text(bind: &Bind) -> String {
    match bind {
        Bind::Null => "null".to_owned(),
        Bind::Text(text) => format!("text {text}"),
        Bind::Integer(integer) => format!("integer {integer}"),
        Bind::Decimal(digits) => format!("decimal {digits}"),
        Bind::Boolean(boolean) => format!("boolean {boolean}"),
        Bind::Date(date) => format!("date {date}"),
        Bind::Datetime(datetime) => format!("datetime {datetime}"),
    }
}

fn by_json(report: &Report, name: &str, text: &str) -> Result<Statement> {
    let body = serde_json::json!({ name: text }).to_string();
    statement(report, "", Some(&body))
}

#[test]
fn more_values_than_the_limit_are_refused() {
    let report = parse_report(
        FILE_NAME,
        &report_file("ids: {type: list, of: number}", "select {{ ids }}"),
    )
    .unwrap();
    let at_limit = vec!["7"; 20_000].join(",");
    assert_eq!(
        statement(&report, &format!("ids={at_limit}"), None)
            .unwrap()
            .binds
            .len(),
        20_000
    );
    let error = statement(&report, &format!("ids={at_limit},7"), None).unwrap_err();
    assert_eq!(
        error.message,
        "the filters have 20001 values by `ids`; at most 20000 are allowed"
    );
}

#[test]
fn reserved_names_are_no_filters_and_the_key_is_forgotten() {
    let raw = RawValues::from_query_string("_utoken=secret&job_id=5&_page=2&a=1").unwrap();
    insta::assert_debug_snapshot!(raw, @r#"
    RawValues {
        given: {
            "a": Texts(
                [
                    "1",
                ],
            ),
        },
        reserved: {
            "_page": "2",
            "job_id": "5",
        },
        count: 1,
        options: 2,
    }
    "#);
}

#[test]
fn values_that_no_filter_takes_count_as_well() {
    let many = vec!["1"; 20_001].join(",");
    let error = RawValues::default()
        .merge_json(format!("{{\"zz\": [{many}]}}").as_bytes())
        .unwrap_err();
    let too_many = "the request has too many values: at most 20000 are allowed";
    assert_eq!(error.message, too_many);
    let pairs = vec!["zz=1"; 20_001].join("&");
    assert!(RawValues::from_query_string(&pairs).is_err());
    let of = |value: &str, count: usize| {
        let fields: Vec<String> = (0..count).map(|n| format!("\"f{n}\": {value}")).collect();
        RawValues::default().merge_json(format!("{{{}}}", fields.join(",")).as_bytes())
    };
    // A name without a value is held as well, whatever stands in the value's place.
    for value in ["[]", "null", "{}", "1", "[1]"] {
        assert!(of(value, 20_000).is_ok(), "{value}");
        assert_eq!(of(value, 20_001).unwrap_err().message, too_many, "{value}");
    }
}

#[test]
fn options_are_no_values_and_have_a_number_of_their_own() {
    let many = vec!["1"; 20_000].join(",");
    let mut raw = RawValues::default();
    let body = format!("{{\"_wait\": 1, \"zz\": [{many}], \"_page\": 2}}");
    raw.merge_json(body.as_bytes()).unwrap();
    assert_eq!(
        (raw.reserved("_wait"), raw.reserved("_page")),
        (Some("1"), Some("2"))
    );
    let options: Vec<String> = (0..1_001).map(|n| format!("\"_{n}\": []")).collect();
    let error = raw
        .merge_json(format!("{{{}}}", options.join(",")).as_bytes())
        .unwrap_err();
    assert_eq!(
        error.message,
        "the request has more than 1000 options that begin with `_`"
    );
}

#[test]
fn values_have_a_size_that_jobs_can_keep() {
    let report = parse_report(FILE_NAME, &report_file("ids: {type: list}", "select {{ ids }}")).unwrap();
    let of = |count: usize, length: usize| {
        let ids = vec!["x".repeat(length); count];
        statement(&report, "", Some(&serde_json::json!({"ids": ids}).to_string()))
    };
    assert_eq!(of(20_000, 100).unwrap().binds.len(), 20_000);
    assert_eq!(
        of(2_000, 2_000).unwrap_err().message,
        "the filters have 4000000 bytes of values by `ids`; at most 2097152 are allowed"
    );
}

#[test]
fn a_pinned_filter_decides_something_or_nothing_runs() {
    let pins = [("tenant".to_owned(), vec!["7".to_owned()])].into();
    let filters = "tenant: {type: number}\nsince: {type: date}\nmode: {type: text}";
    for (sql, query, runs) in [
        ("select 1 where t = {{ tenant }}", "", true),
        ("select 1 where 1=1 [[and t = {{ tenant }}]]", "", true),
        ("select 1 where t = 'tenant {{tenant}}'", "", true),
        ("select 1 {{#if tenant == '7'}} where t = 7 {{#endif}}", "", true),
        // What its other filter takes along.
        (
            "select 1 where 1=1 [[and t = {{ tenant }} and d >= {{ since }}]]",
            "",
            false,
        ),
        (
            "select 1 where 1=1 [[and t = {{ tenant }} and d >= {{ since }}]]",
            "since=2026-01-31",
            true,
        ),
        (
            "select 1 where 1=1 [[and t = 'of {{ tenant }}' and d >= {{ since }}]]",
            "",
            false,
        ),
        (
            "select 1 {{#if mode == 'x'}} where t = {{ tenant }} {{#endif}}",
            "",
            false,
        ),
        (
            "select 1 {{#if mode == 'x'}} where t = {{ tenant }} {{#endif}}",
            "mode=x",
            true,
        ),
        // Twice, of which one is left.
        (
            "select {{ tenant }} [[where t = {{ tenant }} and d >= {{ since }}]]",
            "",
            false,
        ),
        (
            "select {{ tenant }} [[where t = {{ tenant }} and d >= {{ since }}]]",
            "since=2026-01-31",
            true,
        ),
        (
            "select '{{ tenant }}' {{#if mode == 'x'}} where t = {{ tenant }} {{#endif}}",
            "",
            false,
        ),
        (
            "select 1 where t = {{ tenant }} {{#if mode == 'x'}} [[and d = {{ since }}]] {{#else}} and m = 1 {{#endif}}",
            "",
            true,
        ),
        (
            "select 1 where d = {{ since }} and m = {{ mode }}",
            "since=2026-01-31&mode=x",
            false,
        ),
    ] {
        let unused = "-- {{ tenant }} {{ since }} {{ mode }}";
        let report = parse_report(FILE_NAME, &report_file(filters, &format!("{sql} {unused}")));
        let Ok(report) = report else {
            panic!("{sql}: {report:?}")
        };
        let raw = RawValues::from_query_string(&format!("tenant=7&{query}")).unwrap();
        let values = parse_values(&report, &raw, now()).unwrap();
        for dialect in [Dialect::DuckDb, Dialect::MySql] {
            let compiled = compile(&report, &values, dialect, &pins);
            match compiled {
                Ok(_) => assert!(runs, "{sql} {query}"),
                Err(error) => {
                    assert!(!runs, "{sql} {query}: {error}");
                    assert_eq!(error.code, ErrorCode::Forbidden);
                }
            }
        }
    }
}

#[test]
fn a_form_body_wins_over_the_query_string() {
    let report = parse_report(FILE_NAME, &report_file("a: {type: text}", "select {{ a }}")).unwrap();
    let mut raw = RawValues::from_query_string("a=query").unwrap();
    raw.merge_form(b"a=form+body").unwrap();
    let values = parse_values(&report, &raw, now()).unwrap();
    assert_eq!(values.get("a"), [Bind::Text("form body".to_owned())]);
    assert_eq!(
        raw.merge_form(b"a=\xff").unwrap_err().message,
        "the body is not valid UTF-8"
    );
}

#[test]
fn a_report_from_elsewhere_is_checked_by_its_own_lines() {
    let mut report = parse_report(FILE_NAME, &report_file("", "select 1")).unwrap();
    report.sql = "select 1\nwhere a = {{ b }}".to_owned();
    let error = statement(&report, "", None).unwrap_err();
    assert_eq!(error.message, "2:11: unknown filter `b`; the report has none");
}
