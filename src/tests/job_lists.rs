//! What jobs tell of themselves, and lists of them.

use axum::http::Method;
use bytesize::ByteSize;
use serde_json::Value;
use serde_json::json;

use crate::tests::TestApp;

const REPORT: &str =
    "---\nid: 1\ntitle: Growth\nfilters:\n  n: {type: number, default: 1}\n---\nselect {{ n }} / 2 as n";

impl TestApp {
    async fn log(&self, job_id: i64) -> Vec<(String, String)> {
        let answer = self.get(&format!("/jobs/{job_id}/logs.json")).await.json();
        let line = |line: &Value| {
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            (text("level"), text("message"))
        };
        answer["logs"].as_array().unwrap().iter().map(line).collect()
    }

    async fn list(&self, query: &str) -> Vec<i64> {
        let answer = self.get(&format!("/jobs.json{query}")).await;
        let jobs = answer.json();
        let jobs = jobs.as_array().unwrap_or_else(|| panic!("{}", answer.text()));
        jobs.iter().map(|job| job["id"].as_i64().unwrap()).collect()
    }
}

fn info(message: &str) -> (String, String) {
    ("INFO".to_owned(), message.to_owned())
}

#[tokio::test]
async fn report_tells_what_becomes_of_it() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    let first = app.submit("/queries/1/submit_query.json").await;
    let second = app.submit("/queries/1/submit_export.csv").await;
    let third = app.submit("/queries/1/submit_query.json?n=3").await;
    app.put(&format!("/jobs/{third}/cancel.json")).await;
    app.run_pending_jobs().await;
    let all = ["queued", "running", "done, 1 row"].map(info);
    assert_eq!(app.log(first).await, all);
    assert_eq!(app.log(second).await[0], info("queued, waiting behind 1"));
    assert_eq!(
        app.log(third).await,
        ["queued, waiting behind 1", "cancelled"].map(info),
        "a query comes before an export"
    );
    app.report_sql("select no_such_column").await;
    let failed = app.submit("/queries/1/submit_query.json").await;
    app.run_pending_jobs().await;
    let (level, message) = app.log(failed).await.pop().unwrap();
    assert!(
        level == "ERROR" && message.contains("no_such_column"),
        "{message}"
    );
    let rest = app
        .get(&format!("/jobs/{first}/logs.json?last_id=1"))
        .await
        .json();
    assert!(rest["logs"].as_array().unwrap().len() < 3);
    assert_eq!(rest["has_more"], false);
}

#[tokio::test]
async fn jobs_are_listed_newest_first_by_what_is_asked() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    app.report("---\nid: 2\ntitle: Other\n---\nselect 1").await;
    let one = app.submit("/queries/1/submit_query.json").await;
    app.run_pending_jobs().await;
    let two = app.submit("/queries/2/submit_export.csv").await;
    let three = app.submit("/queries/1/submit_query.json?n=2").await;
    assert_eq!(app.list("").await, [three, two, one]);
    for (query, wanted) in [
        ("?source_id=1", vec![three, one]),
        ("?source_type=QueryReport&source_id=2", vec![two]),
        ("?source_type=DataImport", vec![]),
        ("?status=success", vec![one]),
        ("?status=queued&_page_size=1", vec![three]),
        ("?_page_size=2&_page=2", vec![one]),
        ("?_page=9", vec![]),
    ] {
        assert_eq!(app.list(query).await, wanted, "{query}");
    }
    let listed = app.get("/jobs.json?source_id=2").await.json();
    assert_eq!(
        (&listed[0]["title"], &listed[0]["user"], &listed[0]["duration"]),
        (&json!("Other"), &json!({"name": "Ann"}), &json!(-1.0))
    );
    let last = app
        .get("/jobs/last_run_jobs.json?source_type=QueryReport&ids[]=1&ids[]=2&ids[]=3")
        .await
        .json();
    assert_eq!((&last["1"]["id"], &last["2"]["id"]), (&json!(three), &json!(two)));
    assert_eq!(last.as_object().unwrap().len(), 2);
    let imports = app
        .get("/jobs/last_run_jobs.json?source_type=DataImport&ids[]=1")
        .await;
    assert_eq!(imports.json(), json!({}));
    for (path, words) in [
        (
            "/jobs.json?status=done",
            "`status` must be one of `queued`, `running`",
        ),
        ("/jobs.json?source_type=Dashboard", "`source_type` must be"),
        ("/jobs.json?source_id=x", "`source_id` must be a whole number"),
        ("/jobs.json?_page_size=1001", "`_page_size` must be"),
        (
            "/jobs/last_run_jobs.json?ids[]=x",
            "`ids[]` must be a whole number",
        ),
    ] {
        let refused = app.get(path).await;
        assert_eq!(refused.status, 422, "{path}");
        assert!(refused.text().contains(words), "{}", refused.text());
    }
}

#[tokio::test]
async fn others_jobs_are_not_listed_unless_joined() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    let mine = app.submit("/queries/1/submit_query.json").await;
    app.submit("/queries/1/submit_query.json?n=2").await;
    let bob = app.key_of("bob@example.com", crate::access::Role::Viewer).await;
    let bob = [("X-Holistics-Key", bob.as_str())];
    let seen = || async { app.send(Method::GET, "/jobs.json", &bob, "").await.json() };
    assert_eq!(seen().await, json!([]));
    app.send(Method::GET, "/queries/1/submit_query.json", &bob, "")
        .await;
    assert_eq!(seen().await[0]["id"], mine);
    assert_eq!(seen().await.as_array().unwrap().len(), 1);
    let root = app
        .key_of("root@example.com", crate::access::Role::Administrator)
        .await;
    let all = app
        .send(Method::GET, "/jobs.json", &[("X-Holistics-Key", &root)], "")
        .await;
    assert_eq!(all.json().as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_as_they_happen_and_end_with_the_job() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    let job_id = app.submit("/queries/1/submit_query.json").await;
    let path = format!("/jobs/{job_id}/events");
    let (events, ()) = tokio::join!(app.get(&path), app.run_pending_jobs());
    assert_eq!(events.header("Content-Type"), "text/event-stream");
    let text = events.text();
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("no {part} in {text}"));
    let places = [
        at("\"message\":\"queued\""),
        at("\"message\":\"done, 1 row\""),
        at("event: status\ndata: {\"status\":\"success\"}"),
        at("event: end"),
    ];
    assert!(places.is_sorted(), "{text}");
    let line = text.split("id: ").nth(1).unwrap().lines().next().unwrap();
    let rest = app.get_with(&path, &[("Last-Event-ID", line)]).await;
    assert!(!rest.text().contains("\"message\":\"queued\""), "{}", rest.text());
    assert!(rest.text().contains("done, 1 row"), "{}", rest.text());
    assert_eq!(app.get("/jobs/99/events").await.status, 404);
}

#[tokio::test]
async fn bytes_are_stored_once() {
    let app = TestApp::with_config(|config| config.warehouse_memory_max = ByteSize::gib(1)).await;
    // Chunks of the engine of which each is stored in several batches, and compresses to about half.
    app.report_sql(
        "select array_to_string([md5((i * 625 + j)::varchar) for j in range(625)], '')::blob as b from range(1024) a(i)",
    )
    .await;
    let query = app.submit("/queries/1/submit_query.json").await;
    let export = app.submit("/queries/1/submit_export.arrow").await;
    app.run_pending_jobs().await;
    for (job, most) in [(query, 1_024 * 20_000), (export, 1_024 * 20_000 * 11 / 10)] {
        let manifest = app.get(&format!("/jobs/{job}/manifest.json")).await.json();
        let bytes = manifest["bytes"].as_i64().unwrap_or_default();
        assert!((most / 2..most).contains(&bytes), "{manifest}");
    }
}

#[tokio::test]
async fn manifest_says_what_was_made() {
    let app = TestApp::new().await;
    app.report(
        "---\nid: 1\ntitle: Growth\nfilters:\n  n: {type: number, default: 3}\n  who: {type: text, secret: true}\n  ids: {type: list, of: number}\n---\n\
         select range as n, {{ who }} as who from range({{ n }}) where 1=1 [[and range in ({{ ids }})]]",
    )
    .await;
    let export = app.submit("/queries/1/submit_export.csv?n=20000&who=hush").await;
    let query = app.submit("/queries/1/submit_query.json?who=hush&ids=1,2").await;
    let early = app.get(&format!("/jobs/{export}/manifest.json")).await;
    assert_eq!(early.status, 409, "{}", early.text());
    app.run_pending_jobs().await;
    let manifest = app.get(&format!("/jobs/{export}/manifest.json")).await;
    assert!(!manifest.text().contains("hush"), "{}", manifest.text());
    let manifest = manifest.json();
    let file = app.get(&format!("/exports/download?job_id={export}")).await;
    let sum = crate::hex::hex(&sha2::Digest::finalize(sha2::Digest::chain_update(
        <sha2::Sha256 as sha2::Digest>::new(),
        &file.body,
    )));
    assert_eq!(manifest["sha256"], sum);
    assert_eq!(manifest["bytes"], file.body.len());
    assert_eq!(
        (&manifest["rows"], &manifest["source"], &manifest["values"]),
        (
            &json!(20_000),
            &json!("warehouse"),
            &json!({"n": "20000", "ids": []})
        )
    );
    assert_eq!(
        manifest["columns"],
        json!([{"name": "n", "type": "Int64"}, {"name": "who", "type": "Utf8"}])
    );
    assert!(manifest["engine_time"].as_f64().unwrap() > 0.0);
    assert!(
        file.header("Content-Disposition")
            .contains(manifest["file_name"].as_str().unwrap())
    );
    assert_eq!(
        app.get(&format!("/jobs/{export}/manifest.json")).await.json(),
        manifest
    );
    let of_query = app.get(&format!("/jobs/{query}/manifest.json")).await.json();
    assert_eq!(
        (&of_query["rows"], &of_query["values"]),
        (&json!(2), &json!({"n": "3", "ids": ["1", "2"]}))
    );
    assert_eq!(app.get("/jobs/99/manifest.json").await.status, 404);
}

#[tokio::test]
async fn a_manifest_says_when_the_sweep_takes_what_was_made() {
    let app = TestApp::new().await;
    app.report("---\nid: 1\ntitle: Kept\ncache: 1h\n---\nselect 1 as n")
        .await;
    let hours = |text: &serde_json::Value| {
        let time = chrono::DateTime::parse_from_rfc3339(text.as_str().unwrap());
        time.unwrap().timestamp_millis() as f64 / 3.6e6
    };
    let made = |manifest: &serde_json::Value| hours(&manifest["expires_at"]) - hours(&manifest["created_at"]);
    let query = app.submit("/queries/1/submit_query.json").await;
    app.run_pending_jobs().await;
    let of_query = app.get(&format!("/jobs/{query}/manifest.json")).await.json();
    assert!((made(&of_query) - 25.0).abs() < 0.01, "{of_query}");
    let export = app.submit("/queries/1/submit_export.csv").await;
    app.run_pending_jobs().await;
    for job in [query, export] {
        let manifest = app.get(&format!("/jobs/{job}/manifest.json")).await.json();
        let at: Vec<i64> = sqlx::query_scalar("select expires_at from results")
            .fetch_all(&mut app.metadata().await)
            .await
            .unwrap();
        let told = manifest["expires_at"].as_str().unwrap();
        assert_eq!(told, crate::http::jobs::iso_time(at[0]));
    }
}
