//! What is wrong gets the right error, what is odd gets the right answer: in pages and in every format.

use axum::http::Method;
use serde_json::json;

use crate::tests::TestApp;

const FILTERED: &str = "---
id: 1
title: Filtered
filters:
  since: {type: date}
  n: {type: number, required: true, default: 1}
  flag: {type: boolean}
  at: {type: datetime}
  status: {type: dropdown, values: [active, gone]}
  ids: {type: list, of: number}
  period: {type: date_range}
---
select {{ n }} as n where 1 = 1 [[and {{ flag }}]] [[and {{ since }} = {{ at }}]] [[and {{ n }} in ({{ ids }})]]
[[and {{ status }} = '']] [[and {{ period_start }} < {{ period_end }}]]";

async fn filtered() -> TestApp {
    let app = TestApp::new().await;
    app.report(FILTERED).await;
    app
}

#[tokio::test]
async fn filter_values_of_the_wrong_type_name_the_filter() {
    let app = filtered().await;
    for (query, says) in [
        (
            "since=yesterdy",
            "filter `since` must be a date like 2026-01-31, got `yesterdy`",
        ),
        (
            "since=2026-02-30",
            "filter `since` must be a date like 2026-01-31, got `2026-02-30`",
        ),
        ("n=one", "filter `n` must be"),
        ("n=0x10", "filter `n` must be"),
        ("n=NaN", "filter `n` must be"),
        ("n=", "filter `n` is required"),
        ("n=1&n=2", "filter `n`"),
        ("flag=maybe", "filter `flag` must be"),
        ("at=25:00", "filter `at` must be"),
        ("status=new", "filter `status` must be one of"),
        ("ids=1,x", "filter `ids` must be"),
        ("period_start=2026-02-01&period_end=2026-01-01", "filter `period"),
    ] {
        let answer = app.get(&format!("/queries/1/submit_query.json?{query}")).await;
        assert_eq!(answer.status, 422, "{query}");
        let errors = answer.json()["errors"].clone();
        assert!(errors[0].as_str().unwrap().starts_with(says), "{query}: {errors}");
        let answer = app.get(&format!("/queries/1/submit_export.csv?{query}")).await;
        assert_eq!(answer.status, 422, "{query}");
        assert!(answer.header("content-type").starts_with("text/plain"));
        assert_eq!(json!([answer.text()]), errors);
    }
}

#[tokio::test]
async fn filters_that_the_report_has_not_are_ignored_unless_strict() {
    let app = filtered().await;
    app.report("---\nid: 2\ntitle: Bare\n---\nselect 1 as n").await;
    for action in ["submit_query.json", "submit_export.csv"] {
        for strict in ["", "&_strict=false", "&_page=7&_strict=true"] {
            let unknown = if strict.ends_with("true") { "n" } else { "statuz" };
            let answer = app.get(&format!("/queries/1/{action}?{unknown}=1{strict}")).await;
            assert_eq!(answer.status, 200, "{action} {strict}: {}", answer.text());
        }
        let answer = app
            .get(&format!(
                "/queries/1/{action}?n=1&statuz=gone&region=1&_strict=true"
            ))
            .await;
        assert_eq!(answer.status, 422, "{action}");
        let says = "report `Filtered` has no filter `region`, `statuz`; its filters are `since`, `n`, ";
        assert!(answer.text().contains(says), "{}", answer.text());
        let answer = app
            .post(&format!("/queries/2/{action}?_strict=true"), "{\"a\\u001b\": 1}")
            .await;
        assert_eq!(answer.status, 422, "{action}");
        let says = "report `Bare` has no filter `a\\u{1b}`; it has no filters";
        assert!(
            answer.text().replace("\\\\", "\\").contains(says),
            "{}",
            answer.text()
        );
    }
    let answer = app.get("/queries/1/submit_query.json?_strict=1").await;
    assert!(
        answer.text().contains("`_strict` must be `true` or `false`"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn bodies_that_are_no_objects_of_values() {
    let app = filtered().await;
    for body in [
        "{",
        "[1]",
        "nonsense",
        "{\"n\": }",
        "{\"n\": {\"a\": 1}}",
        "{\"n\": [[1]]}",
        "\u{0}",
        "{\"n\":1}}",
    ] {
        let answer = app.post("/queries/1/submit_query.json", body).await;
        assert_eq!(answer.status, 422, "{body}: {}", answer.text());
        assert!(
            answer.json()["errors"][0].as_str().unwrap().len() > 10,
            "{}",
            answer.text()
        );
    }
    let large = format!("{{\"ids\": [{}1]}}", "1, ".repeat(4 << 20));
    let answer = app.post("/queries/1/submit_query.json", &large).await;
    assert_eq!(answer.status, 413);
    assert_eq!(
        answer.json()["errors"][0],
        "the body is over the limit of 10.0 MiB (setting `request_bytes_max`)"
    );
    let deep = format!("{{\"n\": {}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    assert_eq!(app.post("/queries/1/submit_query.json", &deep).await.status, 422);
    let many = format!("{{\"ids\": [{}1]}}", "1, ".repeat(20_000));
    let answer = app.post("/queries/1/submit_query.json", &many).await;
    assert_eq!(answer.status, 422);
    assert!(
        answer.text().contains("20,000") || answer.text().contains("20000"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn unknown_reports_jobs_formats_and_methods() {
    let app = filtered().await;
    let json = r#"404 Not Found {"errors":["Resource not found"]}"#;
    for path in [
        "/queries/2/submit_query.json",
        "/queries/x/submit_query.json",
        "/queries/-1/submit_query.json",
        "/queries/99999999999999999999/submit_query.json",
        "/queries/2/submit_export.json",
        "/queries/get_query_results.json",
        "/queries/get_query_results.json?job_id=",
        "/queries/get_query_results.json?job_id=7",
        "/queries/get_query_results.json?job_id=seven",
        "/queries/get_query_results.json?job_id=1%20or%201",
        "/queries/get_export_results.json?job_id=-1",
        "/queries/get_export_results.json?job_id=99999999999999999999",
        "/jobs/7.json",
        "/jobs/x.json",
        "/jobs/7/get_results.json",
        "/queries/1/nonsense",
        "/queries/1/submit_query",
        "/queries/1",
        "/jobs/7",
    ] {
        assert_eq!(app.get(path).await.line(), json, "{path}");
    }
    for path in ["/nowhere", "/", "/reports/queries/1/submit_query.json"] {
        let answer = app.get(path).await.line();
        assert!(
            answer.starts_with(r#"404 Not Found {"errors":["no such route: "#),
            "{path}: {answer}"
        );
    }
    for path in ["/queries/2/submit_export.csv", "/queries/2-x/submit_export.xlsx"] {
        let answer = app.get(path).await;
        assert_eq!(answer.line(), "404 Not Found Resource not found", "{path}");
        assert!(answer.header("content-type").starts_with("text/plain"));
    }
    assert_eq!(
        app.get("/queries/1/submit_export.pdf").await.line(),
        r#"422 Unprocessable Entity {"errors":["format must be one of csv, json, xlsx, ndjson, parquet, arrow, got `pdf`"]}"#
    );
    let headers = [("X-Holistics-Key", app.key.as_str())];
    let answer = app.send(Method::DELETE, "/users/info.json", &headers, "").await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn pages_out_of_bounds() {
    let app = filtered().await;
    let job_id = app.submit("/queries/1/submit_query.json").await;
    app.run_pending_jobs().await;
    let path = |rest: &str| format!("/queries/get_query_results.json?job_id={job_id}&{rest}");
    for (rest, says) in [
        ("_page=0", "`_page` must be a whole number from 1, got `0`"),
        ("_page=-1", "`_page` must be a whole number from 1, got `-1`"),
        ("_page=x", "`_page` must be a whole number from 1, got `x`"),
        (
            "_page_size=0",
            "`_page_size` must be a whole number from 1, got `0`",
        ),
        (
            "_page_size=1e3",
            "`_page_size` must be a whole number from 1, got `1e3`",
        ),
    ] {
        let answer = app.get(&path(rest)).await;
        assert_eq!(answer.status, 422, "{rest}");
        assert_eq!(answer.json()["errors"], json!([says]));
    }
    for rest in [
        "_page=10000000",
        "_page=18446744073709551615&_page_size=18446744073709551615",
    ] {
        let answer = app.get(&path(rest)).await.json();
        assert_eq!(answer["status"], "success");
        assert_eq!(answer["values"], json!([]));
        assert_eq!(answer["paginated"]["num_rows"], 1);
    }
    let all = app.get(&path("_page_size=10000000")).await.json();
    assert_eq!(all["values"], json!([["1"]]));
    assert_eq!(
        all["paginated"],
        json!({"page": 1, "page_size": 10000000, "num_rows": 1, "num_pages": 1})
    );
}

#[tokio::test]
async fn result_without_rows() {
    let app = TestApp::new().await;
    app.report_sql("select 1 as a, 'x' as b where false").await;
    let page = app.page().await;
    assert_eq!(page["fields"], json!(["a", "b"]));
    assert_eq!(page["values"], json!([]));
    assert_eq!(
        page["paginated"],
        json!({"page": 1, "page_size": 1000, "num_rows": 0, "num_pages": 0})
    );
    assert_eq!(app.export("csv").await.unwrap(), b"a,b\n");
    assert_eq!(app.export("json").await.unwrap(), b"[]\n");
    assert_eq!(sheet(&app.export("xlsx").await.unwrap()), ["a|b"]);
}

#[tokio::test]
async fn rows_of_nothing_but_null() {
    let app = TestApp::new().await;
    app.report_sql("select null as a, null::integer as b from range(2)")
        .await;
    assert_eq!(app.page().await["values"], json!([[null, null], [null, null]]));
    assert_eq!(app.export("csv").await.unwrap(), b"a,b\n,\n,\n");
    assert_eq!(
        app.export("json").await.unwrap(),
        b"[\n{\"a\":null,\"b\":null},\n{\"a\":null,\"b\":null}\n]\n"
    );
    assert_eq!(sheet(&app.export("xlsx").await.unwrap()), ["a|b"]);
}

#[tokio::test]
async fn columns_of_the_same_name() {
    let app = TestApp::new().await;
    app.report_sql("select 1 as a, 2 as a, 3 as a_2, 4 as \" \"")
        .await;
    let page = app.page().await;
    assert_eq!(page["fields"].as_array().unwrap().len(), 4);
    let csv = String::from_utf8(app.export("csv").await.unwrap()).unwrap();
    assert_eq!(csv.lines().nth(1), Some("1,2,3,4"));
    let text = String::from_utf8(app.export("json").await.unwrap()).unwrap();
    let rows: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(&text).unwrap();
    assert_eq!(rows[0].len(), 4, "{text}");
}

/// A value, its text in pages and CSV, its JSON, and its XLSX cell.
const VALUES: &[(&str, &str, &str, &str)] = &[
    ("[1, null, 3]", "[1,null,3]", "[1,null,3]", "[1,null,3]"),
    (
        "{'a': 1, 'b': 'x'}",
        r#"{"a":1,"b":"x"}"#,
        r#"{"a":1,"b":"x"}"#,
        r#"{"a":1,"b":"x"}"#,
    ),
    (
        "map {'k': 1.50}",
        r#"{"k":"1.50"}"#,
        r#"{"k":"1.50"}"#,
        r#"{"k":"1.50"}"#,
    ),
    (
        "'{\"a\": 1}'::json",
        r#"{"a": 1}"#,
        r#""{\"a\": 1}""#,
        r#"{"a": 1}"#,
    ),
    (
        "170141183460469231731687303715884105727::hugeint",
        "170141183460469231731687303715884105727",
        "\"170141183460469231731687303715884105727\"",
        "170141183460469231731687303715884105727",
    ),
    ("sum(7)", "7", "7", "7"),
    ("5::decimal(10, 0)", "5", "5", "5"),
    (
        "9007199254740993",
        "9007199254740993",
        "\"9007199254740993\"",
        "9007199254740993",
    ),
    (
        "9007199254740992",
        "9007199254740992",
        "9007199254740992",
        "9007199254740992",
    ),
    (
        "1.1234567890::decimal(38, 10)",
        "1.1234567890",
        "\"1.1234567890\"",
        "1.123456789",
    ),
    (
        "1234567890123456789012345678.0123456789::decimal(38, 10)",
        "1234567890123456789012345678.0123456789",
        "\"1234567890123456789012345678.0123456789\"",
        "1234567890123456789012345678.0123456789",
    ),
    ("'nan'::double", "NaN", "\"NaN\"", "NaN"),
    ("'inf'::double", "Infinity", "\"Infinity\"", "Infinity"),
    ("'-inf'::float", "-Infinity", "\"-Infinity\"", "-Infinity"),
    ("date '0001-01-01'", "0001-01-01", "\"0001-01-01\"", "0001-01-01"),
    ("date '9999-12-31'", "9999-12-31", "\"9999-12-31\"", "9999-12-31"),
    (
        "timestamptz '2026-01-31 10:00:00.5+02'",
        "2026-01-31 08:00:00.5+00",
        "\"2026-01-31 08:00:00.5+00\"",
        "2026-01-31T08:00:00.500",
    ),
    (
        "'\\x00\\xFFab'::blob",
        "\\x00ff6162",
        "\"\\\\x00ff6162\"",
        "\\x00ff6162",
    ),
    ("'🦆 ünïcode'", "🦆 ünïcode", "\"🦆 ünïcode\"", "🦆 ünïcode"),
    ("e'a\\r\\nb'", "a\r\nb", "\"a\\r\\nb\"", "a\r\nb"),
    (
        "'say \"hi\", you'",
        "say \"hi\", you",
        "\"say \\\"hi\\\", you\"",
        "say \"hi\", you",
    ),
    ("'=1+1'", "=1+1", "\"=1+1\"", "=1+1"),
    ("''", "", "\"\"", ""),
    ("true", "true", "true", "true"),
];

#[tokio::test]
async fn values_of_every_kind() {
    let app = TestApp::new().await;
    for (sql, text, json_text, cell) in VALUES {
        app.report_sql(&format!("select {sql} as v, 1 as one")).await;
        let page = app.page().await;
        assert_eq!(page["values"][0][0], json!(text), "{sql}: {page}");
        let csv = String::from_utf8(app.export("csv").await.unwrap()).unwrap();
        let quoted = match text.is_empty() || text.contains([',', '"', '\r', '\n']) {
            true => format!("\"{}\"", text.replace('"', "\"\"")),
            false => (*text).to_owned(),
        };
        assert_eq!(csv, format!("v,one\n{quoted},1\n"), "{sql}");
        let file = String::from_utf8(app.export("json").await.unwrap()).unwrap();
        assert_eq!(file, format!("[\n{{\"v\":{json_text},\"one\":1}}\n]\n"), "{sql}");
        assert_eq!(
            sheet(&app.export("xlsx").await.unwrap())[1],
            format!("{cell}|1"),
            "{sql}"
        );
    }
}

#[tokio::test]
async fn cell_of_a_megabyte() {
    let app = TestApp::new().await;
    app.report_sql("select 1 as one, repeat('x', 1048576) as big union all select 2, 'small' order by one")
        .await;
    let big = "x".repeat(1 << 20);
    assert_eq!(app.page().await["values"][0][1], json!(big));
    let csv = String::from_utf8(app.export("csv").await.unwrap()).unwrap();
    assert_eq!(csv, format!("one,big\n1,{big}\n2,small\n"));
    let rows: serde_json::Value = serde_json::from_slice(&app.export("json").await.unwrap()).unwrap();
    assert_eq!(rows[0]["big"], json!(big));
    let error = app.export("xlsx").await.unwrap_err();
    assert!(error.contains("32767") || error.contains("32,767"), "{error}");
    assert!(error.contains("`big`") && error.contains("row"), "{error}");
}

/// The rows of the first sheet, read by another implementation, cells joined by `|`.
fn sheet(xlsx: &[u8]) -> Vec<String> {
    use calamine::Data;
    use calamine::Reader as _;
    let mut workbook = calamine::Xlsx::new(std::io::Cursor::new(xlsx)).unwrap();
    let range = workbook.worksheet_range("Sheet1").unwrap();
    let cell = |data: &Data| match data {
        Data::DateTime(time) => {
            let time = time.as_datetime().unwrap();
            match time.time() == chrono::NaiveTime::MIN {
                true => time.date().to_string(),
                false => time.format("%Y-%m-%dT%H:%M:%S%.3f").to_string(),
            }
        }
        other => other.to_string(),
    };
    range
        .rows()
        .map(|row| row.iter().map(cell).collect::<Vec<_>>().join("|"))
        .collect()
}
