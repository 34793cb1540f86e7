//! Files as a client asks for them: options, and the formats for programs.

use std::io::Read as _;

use axum::http::StatusCode;

use crate::tests::Answer;
use crate::tests::TestApp;
use crate::tests::python;

const REPORT: &str = "---
id: 1
title: Every kind
---
select * from (values
    (1, '=1+1', 1.50, date '2026-01-31', null),
    (-2, 'a;b', -0.25, null, 'NULL'),
    (3, null, null, date '2026-02-01', 'x')
) as t(n, text, amount, day, word) order by abs(n)";

/// Submits report 1 with this, runs it, and downloads the file.
async fn download(app: &TestApp, submit: &str) -> Answer {
    let job_id = app.submit(&format!("/queries/1/submit_export.{submit}")).await;
    app.run_pending_jobs().await;
    let poll = app
        .get(&format!("/queries/get_export_results.json?job_id={job_id}"))
        .await;
    assert_eq!(poll.json()["status"], "success", "{submit}: {}", poll.text());
    let answer = app.get(&format!("/exports/download?job_id={job_id}")).await;
    assert_eq!(answer.status, 200, "{submit}");
    answer
}

#[tokio::test]
async fn csv_takes_a_delimiter_a_null_and_a_profile() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    for (submit, expected) in [
        (
            "csv",
            "n,text,amount,day,word\n1,=1+1,1.50,2026-01-31,\n-2,a;b,-0.25,,NULL\n3,,,2026-02-01,x\n",
        ),
        (
            "csv?_delimiter=;&_null=NULL",
            "n;text;amount;day;word\n1;=1+1;1.50;2026-01-31;NULL\n-2;\"a;b\";-0.25;NULL;\"NULL\"\n3;NULL;NULL;2026-02-01;x\n",
        ),
        (
            "csv?_profile=excel",
            "\u{feff}n,text,amount,day,word\n1,'=1+1,1.50,2026-01-31,\n-2,a;b,-0.25,,NULL\n3,,,2026-02-01,x\n",
        ),
    ] {
        assert_eq!(download(&app, submit).await.text(), expected, "{submit}");
    }
}

#[tokio::test]
async fn options_make_other_files() {
    let app = TestApp::new().await;
    app.report(&REPORT.replace("---\nselect", "cache: 1h\n---\nselect"))
        .await;
    let plain = app.submit("/queries/1/submit_export.csv").await;
    let tabs = app.submit("/queries/1/submit_export.csv?_delimiter=tab").await;
    assert_ne!(plain, tabs, "neither joined while they wait");
    app.run_pending_jobs().await;
    let again = app.submit("/queries/1/submit_export.csv?_delimiter=tab").await;
    assert_eq!(again, tabs, "nor handed out for each other");
    let default = app
        .submit("/queries/1/submit_export.csv?_delimiter=,&_profile=data&_null=")
        .await;
    assert_eq!(default, plain, "what is the default is no option");
}

#[tokio::test]
async fn compressed_files_hold_the_same() {
    let app = TestApp::new().await;
    app.report_sql("select n, repeat('text ', 3) as text from range(50000) as t(n) order by n")
        .await;
    for format in ["csv", "json", "ndjson", "arrow"] {
        let plain = download(&app, format).await.body;
        let gzip = download(&app, &format!("{format}?_compress=gzip")).await;
        assert_eq!(gzip.header("content-type"), "application/gzip");
        assert!(
            gzip.header("content-disposition")
                .ends_with(&format!(".{format}.gz\""))
        );
        let mut read = Vec::new();
        // Of one member: some readers know no second.
        flate2::read::GzDecoder::new(gzip.body.as_slice())
            .read_to_end(&mut read)
            .unwrap();
        assert!(read == plain, "{format}");
        let zstd = download(&app, &format!("{format}?_compress=zstd")).await;
        assert_eq!(zstd.header("content-type"), "application/zstd");
        assert!(zstd.body.len() < plain.len() / 2);
        assert!(
            zstd::decode_all(zstd.body.as_slice()).unwrap() == plain,
            "{format}"
        );
        let script = "import gzip, sys; sys.stdout.buffer.write(gzip.open(sys.argv[1]).read())";
        if let Some(printed) = python("file.gz", &gzip.body, script, &[]) {
            assert!(printed == plain, "{format}");
        }
    }
}

#[tokio::test]
async fn wrong_options_are_refused_with_what_would_be_right() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    let answer = app.get("/queries/1/submit_export.csv?_delimiter=xx").await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        answer.text(),
        "`_delimiter` must be `,`, `;`, `|` or `tab`, got `xx`"
    );
    let answer = app
        .post("/queries/1/submit_export.json", r#"{"_compress": "br"}"#)
        .await;
    assert_eq!(
        answer.line(),
        r#"422 Unprocessable Entity {"errors":["`_compress` must be `gzip` or `zstd`, got `br`"]}"#
    );
    let answer = app
        .get("/queries/1/submit_export.csv?_profile=excel&_null==NA")
        .await;
    assert_eq!(
        answer.text(),
        "`_null` must be no formula with `_profile=excel`: without `=`, `+`, `-` or `@` at its beginning, got `=NA`"
    );
    let answer = app.get("/queries/1/submit_query.json?_null=x").await;
    assert_eq!(
        answer.line(),
        r#"422 Unprocessable Entity {"errors":["`_null` is for files: it goes with submit_export, not with submit_query"]}"#
    );
}

#[tokio::test]
async fn formats_for_programs_are_read_by_others() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    let lines = download(&app, "ndjson").await;
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    assert_eq!(
        lines.text(),
        "{\"n\":1,\"text\":\"=1+1\",\"amount\":\"1.50\",\"day\":\"2026-01-31\",\"word\":null}\n\
         {\"n\":-2,\"text\":\"a;b\",\"amount\":\"-0.25\",\"day\":null,\"word\":\"NULL\"}\n\
         {\"n\":3,\"text\":null,\"amount\":null,\"day\":\"2026-02-01\",\"word\":\"x\"}\n"
    );
    let script = "
import sys, datetime, decimal, pyarrow, pyarrow.parquet
path = sys.argv[1]
table = (pyarrow.parquet.read_table(path) if path.endswith('parquet')
         else pyarrow.ipc.open_stream(path).read_all())
assert [str(field.type) for field in table.schema] == ['int32', 'string', 'decimal128(3, 2)', 'date32[day]', 'string'], table.schema
assert table.to_pylist() == [
    {'n': 1, 'text': '=1+1', 'amount': decimal.Decimal('1.50'), 'day': datetime.date(2026, 1, 31), 'word': None},
    {'n': -2, 'text': 'a;b', 'amount': decimal.Decimal('-0.25'), 'day': None, 'word': 'NULL'},
    {'n': 3, 'text': None, 'amount': None, 'day': datetime.date(2026, 2, 1), 'word': 'x'},
], table.to_pylist()
";
    for (format, content_type) in [
        ("parquet", "application/vnd.apache.parquet"),
        ("arrow", "application/vnd.apache.arrow.stream"),
    ] {
        let file = download(&app, format).await;
        assert_eq!(file.header("content-type"), content_type);
        python(&format!("file.{format}"), &file.body, script, &[]);
    }
}
