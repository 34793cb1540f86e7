//! Feeds, as programs fetch them that know of nothing but an address.

use std::time::Duration;

use axum::http::Method;
use serde_json::Value;
use serde_json::json;

use crate::tests::Answer;
use crate::tests::TestApp;

const REPORT: &str = "---
id: 7
title: Newsletter segment
filters:
  since: {type: number, default: 0}
---
select n, random() as r from range(3) as t(n) where n >= {{ since }}";

impl TestApp {
    async fn feed(&self, asked: Value) -> (i64, String) {
        let answer = self.post("/feeds.json", &asked.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let feed = answer.json();
        let url = feed["url"].as_str().unwrap();
        let path = url[url.find("/feeds").unwrap()..].to_owned();
        (feed["id"].as_i64().unwrap(), path)
    }

    /// Fetches without a key, while a worker works.
    async fn fetch(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut stop = self.stopping();
        let fetching = self.send(Method::GET, path, headers, "");
        tokio::select! {
            answer = fetching => answer,
            () = async {
                loop {
                    let _ = self.worker.run_next(&mut stop).await;
                    tokio::task::yield_now().await;
                }
            } => unreachable!(),
        }
    }
}

#[tokio::test]
async fn a_feed_opens_its_report_with_its_values_and_nothing_else() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    let (id, path) = app
        .feed(json!({"report_id": 7, "format": "csv", "filters": {"since": ["1"]}}))
        .await;
    assert!(
        path.starts_with(&format!("/feeds/{id}-newsletter-segment.csv?token=hlf_")),
        "{path}"
    );
    let answer = app.fetch(&path, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.text().lines().count(), 3, "{}", answer.text());
    assert_eq!(answer.header("age"), "0");
    // Nothing in the address changes what it opens.
    let other = app.fetch(&format!("{path}&since=0&_cache=on"), &[]).await;
    assert_eq!(other.text().lines().count(), 3);
    assert_ne!(
        other.text(),
        answer.text(),
        "without a max age each fetch runs the report"
    );
    let token = path.split("token=").nth(1).unwrap();
    for path in ["/users/info.json", "/queries/7/submit_query.json", "/jobs.json"] {
        let answer = app
            .send(Method::GET, path, &[("X-Holistics-Key", token)], "")
            .await;
        assert_eq!(answer.status, 422, "{path}");
    }
    for wrong in [
        format!("/feeds/{id}.csv"),
        format!("/feeds/{id}.csv?token="),
        format!("/feeds/{}.csv?token={token}", id + 1),
        format!("/feeds/x.csv?token={token}"),
        path[..path.len() - 1].to_owned(),
    ] {
        assert_eq!(app.fetch(&wrong, &[]).await.status, 404, "{wrong}");
    }
    for entry in std::fs::read_dir(app.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes
                .windows(token.len())
                .any(|window| window == token.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}

#[tokio::test]
async fn the_parts_of_a_file_are_of_one_run() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    let (_, path) = app.feed(json!({"report_id": 7, "format": "csv"})).await;
    let whole = app.fetch(&path, &[]).await;
    let mut parts = app.fetch(&path, &[("range", "bytes=0-9")]).await;
    assert_eq!(parts.status, 206);
    let rest = app.fetch(&path, &[("range", "bytes=10-")]).await;
    assert_eq!(
        (rest.status.as_u16(), rest.header("etag")),
        (206, whole.header("etag"))
    );
    parts.body.extend(rest.body);
    assert_eq!(parts.body, whole.body);
    // Without a range it is a new one.
    assert_ne!(app.fetch(&path, &[]).await.body, whole.body);
}

#[tokio::test]
async fn a_file_within_its_max_age_is_handed_out_again_and_not_sent_to_who_has_it() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    let (_, path) = app
        .feed(json!({"report_id": 7, "format": "csv", "max_age": 900}))
        .await;
    let first = app.fetch(&path, &[]).await;
    let second = app.fetch(&path, &[]).await;
    assert_eq!(first.body, second.body);
    assert!(!second.header("last-modified").is_empty());
    let etag = first.header("etag").to_owned();
    let third = app.fetch(&path, &[("If-None-Match", &etag)]).await;
    assert_eq!((third.status.as_u16(), third.body.len()), (304, 0));
    let part = app.fetch(&path, &[("Range", "bytes=0-2")]).await;
    assert_eq!(
        (part.status.as_u16(), part.body.as_slice()),
        (206, first.body.get(..3).unwrap())
    );
    let head = app.send(Method::HEAD, &path, &[], "").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), first.body.len().to_string());
}

#[tokio::test]
async fn a_late_report_is_told_or_stood_in_for() {
    let app = TestApp::with_config(|config| config.feed_wait = Duration::from_millis(1)).await;
    app.report(REPORT).await;
    let (_, strict) = app
        .feed(json!({"report_id": 7, "format": "csv", "max_age": 900}))
        .await;
    let asked = json!({"report_id": 7, "format": "csv", "max_age": 900, "stale_ok": true});
    let (_, stale_ok) = app.feed(asked).await;
    // Nobody works.
    for path in [&strict, &stale_ok] {
        let late = app.send(Method::GET, path, &[], "").await;
        assert_eq!((late.status.as_u16(), late.header("retry-after")), (503, "10"));
    }
    app.run_pending_jobs().await;
    let good = app.send(Method::GET, &stale_ok, &[], "").await;
    assert_eq!((good.status.as_u16(), good.header("warning")), (200, ""));
    // Another version has no file yet.
    app.report(&REPORT.replace("range(3)", "range(4)")).await;
    let stale = app.send(Method::GET, &stale_ok, &[], "").await;
    assert_eq!(stale.header("warning"), "110 - \"Response is Stale\"");
    assert_eq!(stale.body, good.body);
    assert_eq!(app.send(Method::GET, &strict, &[], "").await.status, 503);
}

#[tokio::test]
async fn a_failed_report_is_told_or_stood_in_for() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    let (_, strict) = app.feed(json!({"report_id": 7, "format": "csv"})).await;
    let (_, stale_ok) = app
        .feed(json!({"report_id": 7, "format": "csv", "stale_ok": true}))
        .await;
    let good = app.fetch(&stale_ok, &[]).await;
    app.report(&REPORT.replace("random() as r", "error('no more') as r"))
        .await;
    let failed = app.fetch(&strict, &[]).await;
    assert_eq!(failed.status, 503);
    assert!(failed.text().contains("no more"), "{}", failed.text());
    let stale = app.fetch(&stale_ok, &[]).await;
    assert_eq!((stale.status.as_u16(), &stale.body), (200, &good.body));
    assert_eq!(stale.header("warning"), "110 - \"Response is Stale\"");
}

#[tokio::test]
async fn feeds_are_paused_rotated_revoked_and_lose_what_their_user_loses() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    let (id, path) = app
        .feed(json!({"report_id": 7, "format": "json", "max_age": 900}))
        .await;
    let send = async |method: Method, path: &str, body: &str| {
        app.send(method, path, &[("X-Holistics-Key", &app.key)], body.to_owned())
            .await
    };
    let own = format!("/feeds/{id}.json");
    assert_eq!(app.fetch(&path, &[]).await.status, 200);
    assert_eq!(
        send(Method::PUT, &own, r#"{"is_paused":true}"#).await.json()["is_paused"],
        true
    );
    assert_eq!(app.fetch(&path, &[]).await.status, 403);
    send(Method::PUT, &own, r#"{"is_paused":false}"#).await;
    assert_eq!(app.fetch(&path, &[]).await.status, 200);
    let rotated = send(Method::POST, &format!("/feeds/{id}/rotate.json"), "")
        .await
        .json();
    let url = rotated["url"].as_str().unwrap();
    let new = &url[url.find("/feeds").unwrap()..];
    assert_eq!(app.fetch(&path, &[]).await.status, 404);
    assert_eq!(app.fetch(new, &[]).await.status, 200);
    let listed = app.get("/feeds.json").await;
    assert!(!listed.text().contains("token") && listed.json()[0]["last_used_at"].is_string());

    let store = &app.worker.store;
    store.set_shares(7, &[]).await.unwrap();
    assert_eq!(
        app.fetch(new, &[]).await.status,
        404,
        "the report is not shared any more"
    );
    store.set_shares(7, &["everyone".to_owned()]).await.unwrap();
    store.set_api_access("ann@example.com", false).await.unwrap();
    assert_eq!(app.fetch(new, &[]).await.status, 404);
    store.set_api_access("ann@example.com", true).await.unwrap();
    assert_eq!(app.fetch(new, &[]).await.status, 200);
    assert_eq!(send(Method::DELETE, &own, "").await.status, 200);
    assert_eq!(app.fetch(new, &[]).await.status, 404);
    assert_eq!(app.get("/feeds.json").await.json(), json!([]));
}

#[tokio::test]
async fn a_feed_that_cannot_work_is_not_made() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    for (asked, status, says) in [
        (
            json!({"report_id": 8, "format": "csv"}),
            404,
            "Resource not found",
        ),
        (
            json!({"report_id": 7, "format": "pdf"}),
            422,
            "`format` must be one of",
        ),
        (
            json!({"report_id": 7, "format": "csv", "filters": {"sinse": ["1"]}}),
            422,
            "has no filter `sinse`",
        ),
        (
            json!({"report_id": 7, "format": "csv", "filters": {"since": ["x"]}}),
            422,
            "filter `since` must be a number",
        ),
        (
            json!({"report_id": 7, "format": "csv", "ttl": 5}),
            422,
            "unknown field `ttl`",
        ),
    ] {
        let answer = app.post("/feeds.json", &asked.to_string()).await;
        assert_eq!(answer.status, status, "{asked}");
        assert!(answer.text().contains(says), "{asked}: {}", answer.text());
    }
}
