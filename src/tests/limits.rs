//! Limits: each fails what is over it and names itself, and `_truncate` cuts where a cut is asked for.

use std::time::Duration;

use bytesize::ByteSize;

use crate::tests::TestApp;

/// Random text, so that nothing compresses it: about 1 MB of CSV.
const LARGE: &str = "select n, gen_random_uuid()::varchar as text from range(20000) as t(n)";

#[tokio::test]
async fn limits_stop_a_job_and_name_themselves() {
    let app = TestApp::with_config(|config| config.result_rows_max = 10).await;
    app.report_sql("select * from range(11)").await;
    let page = app.page().await;
    assert_eq!(
        page["error"],
        "the result's rows passed the limit of 10 (setting `result_rows_max`)"
    );
    app.report_sql("select * from range(10)").await;
    assert_eq!(app.page().await["paginated"]["num_rows"], 10);
    let short = Duration::from_millis(200);
    let app = TestApp::with_config(|config| config.query_timeout = short).await;
    app.report_sql("select max(a.n * b.n) from range(10000000) a(n), range(10000000) b(n)")
        .await;
    let page = app.page().await;
    assert_eq!(
        page["error"],
        "the query was stopped after 200ms (setting `query_timeout`)"
    );
}

#[tokio::test]
async fn a_report_has_limits_of_its_own_within_those_of_the_server() {
    let app = TestApp::with_config(|config| config.result_rows_max = 10).await;
    for (limit, rows, error) in [
        (7, 7, ""),
        (
            7,
            8,
            "the result's rows passed the limit of 7 (`rows_max` of the report)",
        ),
        (
            99,
            11,
            "the result's rows passed the limit of 10 (setting `result_rows_max`)",
        ),
    ] {
        app.report(&format!(
            "---\nid: 1\ntitle: Rows\nrows_max: {limit}\n---\nselect * from range({rows})"
        ))
        .await;
        let page = app.page().await;
        assert_eq!(page["error"].as_str().unwrap_or_default(), error);
        let file = app.export("csv").await;
        assert_eq!(file.err().unwrap_or_default(), error);
    }
    let slow = |timeout: &str| {
        format!(
            "---\nid: 1\ntitle: Slow\ntimeout: {timeout}\n---
             select max(a.n * b.n) from range(10000000) a(n), range(10000000) b(n)"
        )
    };
    let app = TestApp::with_config(|config| config.query_timeout = Duration::from_millis(200)).await;
    app.report(&slow("1h")).await;
    let error = "the query was stopped after 200ms (setting `query_timeout`)";
    assert_eq!(app.page().await["error"], error);
    let app = TestApp::new().await;
    app.report(&slow("1s")).await;
    let error = "the query was stopped after 1s (`timeout` of the report)";
    assert_eq!(app.export("csv").await.unwrap_err(), error);
}

#[tokio::test]
async fn a_result_is_cut_only_where_that_is_asked_for_and_says_so_everywhere() {
    let app = TestApp::new().await;
    app.report("---\nid: 1\ntitle: Rows\ncache: 1h\nrows_max: 5000\n---\nselect * from range(5001) as t(n)")
        .await;
    let job_id = app.submit("/queries/1/submit_query.json?_truncate=true").await;
    app.run_pending_jobs().await;
    let poll = format!("/queries/get_query_results.json?job_id={job_id}&_page=200");
    let page = app.get(&poll).await;
    assert_eq!(page.header("x-result-truncated"), "true");
    let paginated = page.json()["paginated"].clone();
    assert_eq!(
        paginated,
        serde_json::json!({"page": 200, "page_size": 25, "num_rows": 5000, "num_pages": 200, "truncated": true})
    );
    assert_eq!(page.json()["values"][24][0], "4999");
    let job = app.get(&format!("/jobs/{job_id}.json")).await.json();
    assert_eq!(job["truncated"], true);
    let manifest = app.get(&format!("/jobs/{job_id}/manifest.json")).await.json();
    assert_eq!(
        (&manifest["rows"], &manifest["truncated"]),
        (&5000.into(), &true.into())
    );

    // From the stored rows, and from a query of its own.
    for cache in ["", "&_cache=off"] {
        let submit = format!("/queries/1/submit_export.csv?_truncate=true{cache}");
        let job_id = app.submit(&submit).await;
        app.run_pending_jobs().await;
        let file = app.get(&format!("/exports/download?job_id={job_id}")).await;
        assert_eq!(file.text().lines().count(), 5001);
        assert_eq!(file.header("x-result-truncated"), "true");
        let poll = app
            .get(&format!("/queries/get_export_results.json?job_id={job_id}"))
            .await;
        assert_eq!(poll.header("x-result-truncated"), "true");
    }

    // Who did not ask gets no cut one, though it is fresh.
    let error = "the result's rows passed the limit of 5000 (`rows_max` of the report)";
    assert_eq!(app.page().await["error"], error);
    assert_eq!(app.export("csv").await.unwrap_err(), error);
    // And what fits is not called cut.
    app.report("---\nid: 1\ntitle: Rows\nrows_max: 5000\n---\nselect * from range(5000) as t(n)")
        .await;
    let job_id = app.submit("/queries/1/submit_query.json?_truncate=true").await;
    app.run_pending_jobs().await;
    let page = app
        .get(&format!("/queries/get_query_results.json?job_id={job_id}"))
        .await;
    assert_eq!(page.header("x-result-truncated"), "");
    assert!(page.json()["paginated"].get("truncated").is_none());
    let answer = app.get("/queries/1/submit_query.json?_truncate=yes").await;
    assert_eq!(answer.status, 422);
    assert!(
        answer
            .text()
            .contains("`_truncate` must be `true` or `false`, got `yes`")
    );
}

#[tokio::test]
async fn a_result_with_too_many_bytes_is_cut_to_what_fits_in_every_format() {
    let max = 300 << 10;
    let app = TestApp::with_config(|config| config.result_bytes_max = ByteSize::b(max)).await;
    for cache in ["0s", "1h"] {
        app.report(&format!("---\nid: 1\ntitle: Large\ncache: {cache}\n---\n{LARGE}"))
            .await;
        assert!(
            app.page().await["error"]
                .as_str()
                .unwrap()
                .contains("`result_bytes_max`")
        );
        let job_id = app.submit("/queries/1/submit_query.json?_truncate=true").await;
        app.run_pending_jobs().await;
        let manifest = app.get(&format!("/jobs/{job_id}/manifest.json")).await.json();
        assert_eq!(manifest["truncated"], true, "{manifest}");
        assert!(manifest["bytes"].as_u64().unwrap() <= max);
        let kept = manifest["rows"].as_u64().unwrap();
        // Hexadecimal digits compress to a half.
        assert!((9_000..14_000).contains(&kept), "{kept}");
        let last = format!("/queries/get_query_results.json?job_id={job_id}&_page={kept}&_page_size=1");
        assert_eq!(
            app.get(&last).await.json()["values"][0][0],
            (kept - 1).to_string()
        );

        for format in ["csv", "json", "xlsx", "parquet", "arrow", "ndjson"] {
            assert!(
                app.export(format)
                    .await
                    .unwrap_err()
                    .contains("`result_bytes_max`")
            );
            let job_id = app
                .submit(&format!("/queries/1/submit_export.{format}?_truncate=true"))
                .await;
            app.run_pending_jobs().await;
            let file = app.get(&format!("/exports/download?job_id={job_id}")).await;
            assert_eq!(file.status, 200, "{format}: {}", file.text());
            assert_eq!(file.header("x-result-truncated"), "true", "{format}");
            assert!(file.body.len() as u64 <= max, "{format}: {}", file.body.len());
            let manifest = app.get(&format!("/jobs/{job_id}/manifest.json")).await.json();
            assert_eq!(manifest["truncated"], true, "{format}");
            let rows = manifest["rows"].as_u64().unwrap();
            assert!((3_000..=kept).contains(&rows), "{format}: {rows} of {kept}");
            if format == "csv" {
                let text = file.text();
                assert_eq!(text.lines().count() as u64, rows + 1);
                assert!(
                    text.lines()
                        .last()
                        .unwrap()
                        .starts_with(&format!("{},", rows - 1))
                );
            }
        }
    }
}

#[tokio::test]
async fn all_results_together_have_a_limit_and_expired_ones_make_room() {
    let app = TestApp::with_config(|config| config.results_bytes_max = ByteSize::mib(2)).await;
    app.report_sql(LARGE).await;
    app.export("csv").await.unwrap();
    let error = "the server's files passed the limit of 2.0 MiB together (setting `results_bytes_max`): \
                 the oldest go as they expire";
    app.export("csv").await.unwrap();
    assert_eq!(app.export("csv").await.unwrap_err(), error);
    assert_eq!(app.page().await["error"], error);
    // Nothing of the refused ones is left, and a restart counts the same.
    let kept = || {
        let files = std::fs::read_dir(app.path().join("exports")).unwrap();
        files
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum::<u64>()
    };
    assert!(kept() <= 2 << 20);
    let mut metadata = app.metadata().await;
    sqlx::query("update results set expires_at = 1 where id = (select min(id) from results)")
        .execute(&mut metadata)
        .await
        .unwrap();
    app.export("csv").await.unwrap();
    assert_eq!(app.export("csv").await.unwrap_err(), error);
    let (folder, worker) = app.into_parts();
    let mut config = (*worker.config).clone();
    drop(worker);
    config.results_bytes_max = ByteSize::mib(1);
    let worker = crate::worker::Worker::open(config).await.unwrap();
    let name = crate::objects::ObjectName::Result {
        job_id: 99,
        attempt: 1,
    };
    let mut writer = worker.objects.create(&name, ByteSize::gib(1));
    let refused = std::io::Write::write_all(&mut writer, &[0; 1 << 15]).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::QuotaExceeded);
    drop(folder);
}

#[tokio::test]
async fn all_uploads_together_have_a_limit() {
    let app = TestApp::with_config(|config| config.uploads_bytes_max = ByteSize::kib(64)).await;
    app.worker
        .store
        .set_can_import("ann@example.com", true)
        .await
        .unwrap();
    let file = format!("n\n{}", "1\n".repeat(20 << 10));
    let fields = [("dest_ds_id", "1"), ("dest_table_name", "numbers")];
    let first = app.upload(&fields, file.as_bytes()).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let second = app.upload(&fields, file.as_bytes()).await;
    assert_eq!(second.status, 413);
    assert!(
        second
            .text()
            .contains("passed the limit of 64.0 KiB together (setting `uploads_bytes_max`)")
    );
    assert_eq!(std::fs::read_dir(app.path().join("uploads")).unwrap().count(), 1);
    // The refused one has given its room back.
    assert_eq!(app.upload(&fields, b"n\n1\n").await.status, 200);
}
