//! Feeds, as programs fetch them that know of nothing but an address.

use std::time::Duration;

use axum::http::Method;
use serde_json::Value;
use serde_json::json;

use crate::access::KeyTerms;
use crate::access::Role;
use crate::api_key::PlainKey;
use crate::tests::Answer;
use crate::tests::TestApp;
use crate::tests::add_key;
use crate::tests::add_key_with;

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
    store.set_shares(7, &[], None).await.unwrap();
    assert_eq!(
        app.fetch(new, &[]).await.status,
        404,
        "the report is not shared any more"
    );
    store.set_shares(7, &["everyone".to_owned()], None).await.unwrap();
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
        (
            json!({"report_id": 7, "format": "csv", "filters": {"_wait": 5}}),
            422,
            "no filter has such a name",
        ),
        (
            json!({"report_id": 7, "format": "csv", "filters": ["since"]}),
            422,
            "must be a JSON object of filter values",
        ),
        (
            json!({"report_id": 7, "format": "csv", "filters": {"since": {}}}),
            422,
            "filter `since` must be one value, got an object",
        ),
        (
            json!({"report_id": "7", "format": "csv"}),
            422,
            "`report_id`: invalid type: string \"7\", expected i64",
        ),
        (
            json!({"report_id": 7, "format": 5}),
            422,
            "`format`: invalid type: integer `5`",
        ),
        (
            json!({"report_id": 7, "format": "csv", "expires_in": "1d"}),
            422,
            "`expires_in`: invalid type: string",
        ),
    ] {
        let answer = app.post("/feeds.json", &asked.to_string()).await;
        assert_eq!(answer.status, status, "{asked}");
        let told = answer.json()["errors"][0].as_str().unwrap().to_owned();
        assert!(told.contains(says), "{asked}: {told}");
    }
}

#[tokio::test]
async fn times_of_a_feed_are_told_with_their_range() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    for (field, least) in [("expires_in", 1), ("max_age", 0)] {
        for wrong in ["-1", "1.5", "315360001", "99999999999999999999", "1e30"] {
            let body = format!(r#"{{"report_id":7,"format":"csv","{field}":{wrong}}}"#);
            let answer = app.post("/feeds.json", &body).await;
            assert_eq!(answer.status, 422, "{body}");
            let says =
                format!("`{field}` must be a whole number of seconds from {least} to 315360000, got `");
            let told = answer.json()["errors"][0].as_str().unwrap().to_owned();
            assert!(told.starts_with(&says), "{body}: {told}");
        }
    }
    let never = r#"{"report_id":7,"format":"csv","expires_in":0}"#;
    assert_eq!(app.post("/feeds.json", never).await.status, 422);
    app.feed(json!({"report_id": 7, "format": "csv", "max_age": 315_360_000, "expires_in": 315_360_000}))
        .await;
    // As a submit takes them.
    let (_, path) = app
        .feed(json!({"report_id": 7, "format": "csv", "filters": {"since": 2}}))
        .await;
    assert_eq!(app.fetch(&path, &[]).await.text().lines().count(), 2);
}

#[tokio::test]
async fn a_feed_is_managed_with_the_key_that_made_it_or_by_an_administrator() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    let store = &app.worker.store;
    let (wide_id, wide) = add_key_with(&app.worker, app.user.id, &KeyTerms::default()).await;
    let terms = KeyTerms {
        expires_at: Some(crate::store::now_us() + 60_000_000),
        rate_max: Some(1_000),
        ..KeyTerms::default()
    };
    let (_, narrow) = add_key_with(&app.worker, app.user.id, &terms).await;
    let admin = app.key_of("root@example.com", Role::Administrator).await;
    let send = async |key: &str, method: Method, path: &str, body: &'static str| {
        app.send(method, path, &[("X-Holistics-Key", key)], body).await
    };
    let asked = r#"{"report_id":7,"format":"csv","filters":{"since":["1"]}}"#;
    let made = send(wide.reveal(), Method::POST, "/feeds.json", asked).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let manages = async |key: &str| {
        let count = send(key, Method::GET, "/feeds.json", "")
            .await
            .json()
            .as_array()
            .unwrap()
            .len();
        let pause = send(key, Method::PUT, "/feeds/1.json", r#"{"is_paused":false}"#).await;
        let rotate = send(key, Method::POST, "/feeds/1/rotate.json", "").await;
        (count, pause.status.as_u16(), rotate.status.as_u16())
    };
    assert_eq!(manages(wide.reveal()).await, (1, 200, 200));
    assert_eq!(manages(narrow.reveal()).await, (0, 404, 404));
    assert_eq!(
        send(narrow.reveal(), Method::DELETE, "/feeds/1.json", "")
            .await
            .status,
        404
    );
    // Not even one with the same terms: its addresses would outlive its own revocation.
    assert_eq!(manages(&app.key).await, (0, 404, 404));
    assert_eq!(manages(&admin).await, (1, 200, 200));
    // What takes the place of a key takes its feeds.
    let next = PlainKey::generate().unwrap();
    store
        .rotate_key(wide_id, &next.hash(), 3_600_000_000)
        .await
        .unwrap();
    assert_eq!(manages(wide.reveal()).await, (0, 404, 404));
    assert_eq!(manages(next.reveal()).await, (1, 200, 200));
}

#[tokio::test]
async fn feeds_that_are_over_go_by_themselves() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    let store = &app.worker.store;
    let (revoked, key) = add_key_with(&app.worker, app.user.id, &KeyTerms::default()).await;
    let asked = r#"{"report_id":7,"format":"csv"}"#;
    let headers = [("X-Holistics-Key", key.reveal())];
    let made = app.send(Method::POST, "/feeds.json", &headers, asked).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let (stays, _) = app.feed(json!({"report_id": 7, "format": "csv"})).await;
    let (expires, _) = app
        .feed(json!({"report_id": 7, "format": "csv", "expires_in": 1000}))
        .await;
    store.revoke_key(revoked).await.unwrap();
    sqlx::query("update feeds set expires_at = 1 where id = $1")
        .bind(expires)
        .execute(&mut app.metadata().await)
        .await
        .unwrap();
    app.worker.sweep().await.unwrap();
    let left: Vec<i64> = sqlx::query_scalar("select id from feeds")
        .fetch_all(&mut app.metadata().await)
        .await
        .unwrap();
    assert_eq!(left, [stays]);
}

#[tokio::test]
async fn feeds_of_one_user_have_a_number_and_values_a_length() {
    let app = TestApp::with_config(|config| config.user_feeds_max = 3).await;
    app.report("---\nid: 7\ntitle: T\nfilters:\n  x: {type: text}\n---\nselect {{ x }} as x")
        .await;
    let long = json!({"report_id": 7, "format": "csv", "filters": {"x": ["y".repeat(70_000)]}});
    let answer = app.post("/feeds.json", &long.to_string()).await;
    assert_eq!(answer.status, 422);
    assert!(
        answer
            .text()
            .contains("the values of a feed may take 65536 bytes, got 70010"),
        "{}",
        answer.text()
    );
    for _ in 0..3 {
        app.feed(json!({"report_id": 7, "format": "csv"})).await;
    }
    let another = app.post("/feeds.json", r#"{"report_id":7,"format":"csv"}"#).await;
    assert_eq!(
        another.line(),
        r#"409 Conflict {"errors":["a user may have 3 feeds, whichever keys they were made with (setting `user_feeds_max`): remove one first"]}"#
    );
    // Of another key of the same user too.
    let other = add_key(&app.worker, &app.user).await;
    let headers = [("X-Holistics-Key", other.as_str())];
    let body = r#"{"report_id":7,"format":"csv"}"#;
    assert_eq!(
        app.send(Method::POST, "/feeds.json", &headers, body).await.status,
        409
    );
    let ids = async |query: &str| -> Vec<i64> {
        let listed = app.get(&format!("/feeds.json?{query}")).await.json();
        let feeds = listed.as_array().unwrap().iter();
        feeds.map(|feed| feed["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(ids("").await, [1, 2, 3]);
    assert_eq!(ids("_page=2&_page_size=2").await, [3]);
    assert_eq!(ids("_page=3&_page_size=2").await, Vec::<i64>::new());
    assert_eq!(app.get("/feeds.json?_page=0").await.status, 422);
    // A key that is being rotated makes none, which would end with it.
    let store = &app.worker.store;
    let mine = store.feeds(None, 1, 0).await.unwrap()[0].key_id;
    let hash = PlainKey::generate().unwrap().hash();
    store.rotate_key(mine, &hash, 3_600_000_000).await.unwrap();
    let retiring = app.post("/feeds.json", r#"{"report_id":7,"format":"csv"}"#).await;
    assert!(
        retiring
            .text()
            .contains("another key has taken the place of this one"),
        "{}",
        retiring.text()
    );
}

#[tokio::test]
async fn errors_of_a_feed_have_the_form_of_its_path() {
    let app = TestApp::with_config(|config| config.feed_wait = Duration::from_millis(1)).await;
    app.report(REPORT).await;
    for (format, is_text) in [("csv", true), ("xlsx", true), ("json", false), ("parquet", false)] {
        let (id, path) = app
            .feed(json!({"report_id": 7, "format": format, "max_age": 900}))
            .await;
        let late = app.send(Method::GET, &path, &[], "").await;
        let gone = app
            .send(Method::GET, &format!("/feeds/{id}.{format}?token=x"), &[], "")
            .await;
        let change = r#"{"is_paused":true}"#;
        let headers = [("X-Holistics-Key", app.key.as_str())];
        app.send(Method::PUT, &format!("/feeds/{id}.json"), &headers, change)
            .await;
        let paused = app.send(Method::GET, &path, &[], "").await;
        for (answer, status, says) in [
            (late, 503, "the file is not ready yet: come back for it"),
            (gone, 404, "Resource not found"),
            (paused, 403, "this feed is paused"),
        ] {
            assert_eq!(answer.status, status, "{format}");
            let of = match is_text {
                true => ("text/plain; charset=utf-8", says.to_owned()),
                false => ("application/json", json!({"errors": [says]}).to_string()),
            };
            assert_eq!(
                (answer.header("content-type"), answer.text()),
                (of.0, of.1.as_str())
            );
            let retry_after = if status == 503 { "10" } else { "" };
            assert_eq!(answer.header("retry-after"), retry_after);
        }
    }
}

#[tokio::test]
async fn a_value_that_its_query_does_not_list_is_no_reason_to_come_back() {
    let app = TestApp::new().await;
    app.report(
        "---\nid: 8\ntitle: Eight\nfilters:\n  letter: {type: dropdown, values_sql: \"select 'a'\"}\n---\n\
         select {{ letter }} as letter",
    )
    .await;
    for (letter, status, says) in [
        ("a", 200, "letter\na\n"),
        (
            "b",
            422,
            "filter `letter` must be one of the values that its `values_sql` lists",
        ),
    ] {
        let asked = json!({"report_id": 8, "format": "csv", "filters": {"letter": [letter]}});
        let (_, path) = app.feed(asked).await;
        let answer = app.fetch(&path, &[]).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (status, says));
        assert_eq!(answer.header("retry-after"), "");
    }
}

#[tokio::test]
async fn the_head_of_a_feed_is_of_the_whole_file() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    let (_, path) = app.feed(json!({"report_id": 7, "format": "csv"})).await;
    let whole = app.fetch(&path, &[]).await;
    let mut stop = app.stopping();
    let heading = app.send(Method::HEAD, &path, &[("Range", "bytes=0-2")], "");
    let head = tokio::select! {
        answer = heading => answer,
        () = async {
            loop {
                let _ = app.worker.run_next(&mut stop).await;
                tokio::task::yield_now().await;
            }
        } => unreachable!(),
    };
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.header("content-range"), "");
    // And of a run of its own: it has asked for no part of what is there.
    assert_ne!(head.header("etag"), whole.header("etag"));
}
