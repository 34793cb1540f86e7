//! What the audit says of changes, and of downloads that nobody sees end.

use axum::body::Body;
use axum::http::Method;
use axum::http::Request;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::access::Role;
use crate::tests::TestApp;

#[tokio::test]
async fn the_audit_names_what_was_changed() {
    let app = TestApp::new().await;
    app.report_sql("select 1 as n").await;
    let admin = app.key_of("root@example.com", Role::Administrator).await;
    let ask = async |method: Method, path: &str, body: &'static str| {
        let headers = [
            ("X-Holistics-Key", admin.as_str()),
            ("Content-Type", "application/json"),
        ];
        let answer = app.send(method, path, &headers, body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    };
    let file = r#"{"file":"---\nid: 7\ntitle: Seven\n---\nselect 7 as n"}"#;
    let user = ask(Method::POST, "/users.json", r#"{"email":"new@example.com"}"#).await["id"].clone();
    ask(
        Method::PUT,
        &format!("/users/{user}.json"),
        r#"{"role":"analyst"}"#,
    )
    .await;
    let group = ask(
        Method::POST,
        "/groups.json",
        r#"{"name":"sales","users":["new@example.com"]}"#,
    )
    .await;
    ask(Method::POST, "/queries.json", file).await;
    ask(
        Method::PUT,
        "/queries/7-seven/shares.json",
        r#"{"shared_with":["everyone"]}"#,
    )
    .await;
    let feed = ask(Method::POST, "/feeds.json", r#"{"report_id":7,"format":"csv"}"#).await["id"].clone();
    ask(Method::DELETE, &format!("/feeds/{feed}.json"), "").await;
    ask(Method::DELETE, "/queries/7.json", "").await;
    let job = app.submit("/queries/1/submit_query.json").await;
    ask(Method::PUT, &format!("/jobs/{job}/cancel.json"), "").await;
    let records = ask(Method::GET, "/audit.json", "").await;
    let told: Vec<(&str, &str, &Value, &Value, &Value)> = records
        .as_array()
        .unwrap()
        .iter()
        .map(|record| {
            (
                record["action"].as_str().unwrap(),
                record["target"].as_str().unwrap_or_default(),
                &record["target_id"],
                &record["report_id"],
                &record["job_id"],
            )
        })
        .collect();
    let (none, one, seven) = (&Value::Null, &Value::from(1), &Value::from(7));
    let job = &Value::from(job);
    assert_eq!(
        told,
        [
            ("change user", "user", &user, none, none),
            ("change user", "user", &user, none, none),
            ("change group", "group", &group["id"], none, none),
            ("change report", "", none, seven, none),
            ("share report", "", none, seven, none),
            ("change feed", "feed", &feed, seven, none),
            ("change feed", "feed", &feed, none, none),
            ("change report", "", none, seven, none),
            ("run", "", none, one, job),
            ("cancel", "", none, one, job),
        ]
    );
}

#[tokio::test]
async fn a_download_is_on_disk_before_its_first_byte_is_sent() {
    let app = TestApp::new().await;
    app.report_sql("select i, random() as r from range(20000) as t(i)")
        .await;
    let job = app.submit("/queries/1/submit_export.csv").await;
    app.run_pending_jobs().await;
    let request = Request::get(format!("/exports/download?job_id={job}"))
        .header("X-Holistics-Key", &app.key)
        .body(Body::empty())
        .unwrap();
    // The answer's head is there, nobody has taken anything of its body, and the server may die now.
    let answer = app.router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let metadata = rusqlite::Connection::open(app.path().join("metadata.sqlite")).unwrap();
    let actions = || -> Vec<(String, Option<i64>, Option<i64>)> {
        let mut found = metadata
            .prepare("select action, job_id, bytes from audit where action like 'download%' order by id")
            .unwrap();
        let rows = found.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        rows.unwrap().map(Result::unwrap).collect()
    };
    let begins = ("download begins".to_owned(), Some(job), None);
    assert_eq!(actions(), std::slice::from_ref(&begins));
    // The client goes away without a byte.
    drop(answer);
    app.worker.store.write_records().await.unwrap();
    assert_eq!(actions(), [begins, ("download".to_owned(), Some(job), Some(0))]);
}

#[tokio::test]
async fn long_paths_are_cut_in_the_audit() {
    let app = TestApp::new().await;
    let long = format!("/queries/{}/submit_export.csv", "%C3%A4".repeat(5_000));
    let wrong = app
        .send(Method::GET, &long, &[("X-Holistics-Key", "x")], "")
        .await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.header("content-type").starts_with("text/plain"),
        "the whole path says which form an error has"
    );
    app.worker.store.write_records().await.unwrap();
    let paths: Vec<String> = sqlx::query_scalar("select path from audit")
        .fetch_all(&mut app.metadata().await)
        .await
        .unwrap();
    assert_eq!(paths.len(), 1);
    assert_eq!(paths[0].len(), 512 + "…".len());
    assert!(long.starts_with(paths[0].trim_end_matches('…')));
}
