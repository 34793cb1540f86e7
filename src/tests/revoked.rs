//! What is taken from somebody while they wait is not handed to them after it.

use std::time::Duration;

use axum::body::Body;
use axum::body::Bytes;
use axum::http::Method;
use axum::http::Request;
use futures::StreamExt as _;
use serde_json::json;
use tower::ServiceExt as _;

use crate::access::KeyTerms;
use crate::access::Role;
use crate::tests::Answer;
use crate::tests::TestApp;
use crate::tests::add_key_with;

const REPORT: &str = "---
id: 1
title: Waited for
---
select 'inside' as word";

/// A key of Ann's, and its id.
async fn key(app: &TestApp) -> (String, i64) {
    let (id, key) = add_key_with(&app.worker, app.user.id, &KeyTerms::default()).await;
    (key.reveal().to_owned(), id)
}

/// Asks, has something happen once the request waits for its job, does the job, and says what is answered.
async fn answer_after(
    app: &TestApp,
    request: impl Future<Output = Answer>,
    happens: impl AsyncFnOnce(),
) -> Answer {
    tokio::pin!(request);
    while app.worker.store.waited_for() == 0 {
        tokio::select! {
            biased;
            answer = &mut request => return answer,
            () = tokio::task::yield_now() => {}
        }
    }
    happens().await;
    app.run_pending_jobs().await;
    request.await
}

#[tokio::test]
async fn a_key_that_is_revoked_while_it_waits_is_answered_nothing() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    let store = &app.worker.store;
    for path in [
        "/queries/1/submit_query.json?_wait=50",
        "/queries/1/submit_export.json?_wait=50",
        "/queries/get_query_results.json?_wait=50&job_id=",
        "/jobs/{job}/get_results.json?_wait=50",
    ] {
        let (key, id) = key(&app).await;
        let headers = [("X-Holistics-Key", key.as_str())];
        let job = app.submit("/queries/1/submit_query.json").await;
        let path = match path {
            path if path.ends_with('=') => format!("{path}{job}"),
            path => path.replace("{job}", &job.to_string()),
        };
        let request = app.send(Method::GET, &path, &headers, "");
        let answer = answer_after(&app, request, async || store.revoke_key(id).await.unwrap()).await;
        assert_eq!(
            answer.line(),
            r#"422 Unprocessable Entity {"errors":["Holistics::InvalidAuthenticationToken"]}"#,
            "{path}"
        );
    }
}

#[tokio::test]
async fn who_loses_a_right_while_they_wait_has_it_no_more() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    let store = &app.worker.store;
    let job = app.submit("/queries/1/submit_export.csv").await;
    let path = format!("/queries/get_export_results.json?_wait=50&job_id={job}");
    let answer = answer_after(&app, app.get(&path), async || {
        store.set_can_export("ann@example.com", false).await.unwrap();
    })
    .await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    // An administrator sees the jobs of all, and who was one does not.
    let admin = app.key_of("root@example.com", Role::Administrator).await;
    let job = app.submit("/queries/1/submit_query.json").await;
    let path = format!("/queries/get_query_results.json?_wait=50&job_id={job}");
    let headers = [("X-Holistics-Key", admin.as_str())];
    let request = app.send(Method::GET, &path, &headers, "");
    let answer = answer_after(&app, request, async || {
        store.set_role("root@example.com", Role::Viewer).await.unwrap();
    })
    .await;
    assert_eq!(answer.status, 404, "{}", answer.text());
}

#[tokio::test]
async fn a_feed_that_is_closed_while_it_waits_hands_out_nothing() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    let store = &app.worker.store;
    let (key, key_id) = key(&app).await;
    let headers = [("X-Holistics-Key", key.as_str())];
    for (what, expected) in [
        ("paused", 403),
        ("rotated", 404),
        ("removed", 404),
        ("may not export", 403),
        ("revoked", 404),
    ] {
        let asked = json!({"report_id": 1, "format": "json"}).to_string();
        let made = app.send(Method::POST, "/feeds.json", &headers, asked).await;
        let made = made.json();
        let id = made["id"].as_i64().unwrap();
        let url = made["url"].as_str().unwrap();
        let path = &url[url.find("/feeds").unwrap()..];
        let request = app.send(Method::GET, path, &[], "");
        let answer = answer_after(&app, request, async || {
            let done = match what {
                "paused" => store.pause_feed(id, true).await,
                "rotated" => store.rotate_feed(id, &[7; 32]).await,
                "removed" => store.remove_feed(id).await,
                "may not export" => store.set_can_export("ann@example.com", false).await,
                _ => store.revoke_key(key_id).await,
            };
            done.unwrap();
        })
        .await;
        assert_eq!(answer.status, expected, "{what}: {}", answer.text());
        assert!(!answer.text().contains("inside"), "{what}: {}", answer.text());
        store.set_can_export("ann@example.com", true).await.unwrap();
    }
}

#[tokio::test]
async fn events_end_with_the_key_and_with_the_right_to_see_the_job() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    let store = &app.worker.store;
    let (key, key_id) = key(&app).await;
    let admin = app.key_of("root@example.com", Role::Administrator).await;
    for (key, demotes) in [(key, false), (admin, true)] {
        let job = app.submit("/queries/1/submit_query.json?_cache=off").await;
        let request = Request::get(format!("/jobs/{job}/events"))
            .header("X-Holistics-Key", &key)
            .body(Body::empty())
            .unwrap();
        let answer = app.router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let mut events = answer.into_body().into_data_stream();
        let mut text = String::new();
        while !text.contains(r#"{"status":"queued"}"#) {
            text.push_str(std::str::from_utf8(&events.next().await.unwrap().unwrap()).unwrap());
        }
        match demotes {
            true => store.set_role("root@example.com", Role::Viewer).await.unwrap(),
            false => store.revoke_key(key_id).await.unwrap(),
        }
        app.run_pending_jobs().await;
        assert!(events.next().await.is_none(), "the stream has ended");
    }
}

#[tokio::test]
async fn a_file_is_followed_no_further_than_the_key_goes() {
    let app = TestApp::new().await;
    app.report(&REPORT.replace(
        "select 'inside' as word",
        "select i, 'inside' as word from range(20000) as t(i)",
    ))
    .await;
    let (key, key_id) = key(&app).await;
    let job = app.submit("/queries/1/submit_export.csv").await;
    let request = Request::get(format!("/exports/download?job_id={job}&_follow=true&_wait=50"))
        .header("X-Holistics-Key", &key)
        .body(Body::empty())
        .unwrap();
    let router = app.router.clone();
    let following = async {
        let answer = router.oneshot(request).await.unwrap();
        let is_file = answer.status() == 200;
        (
            is_file,
            axum::body::to_bytes(answer.into_body(), usize::MAX).await,
        )
    };
    tokio::pin!(following);
    while app.worker.store.waited_for() == 0 {
        tokio::select! {
            biased;
            _ = &mut following => panic!("nobody works"),
            () = tokio::task::yield_now() => {}
        }
    }
    app.worker.store.revoke_key(key_id).await.unwrap();
    // Who was looked at a moment ago is not looked at with each piece.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let ((is_file, body), ()) = tokio::join!(following, app.run_pending_jobs());
    assert!(!is_file || body.is_err(), "{body:?}");
}

/// A body that comes slowly, and during which something happens.
fn slow_body(json: &'static str, happens: impl Future<Output = ()> + Send + 'static) -> Body {
    Body::from_stream(futures::stream::once(async move {
        happens.await;
        // What comes at once is of who was looked at a moment ago.
        tokio::time::sleep(Duration::from_millis(600)).await;
        Ok::<_, std::io::Error>(Bytes::from_static(json.as_bytes()))
    }))
}

#[tokio::test]
async fn a_key_that_is_revoked_while_its_body_comes_does_nothing() {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    for (path, body) in [
        ("/queries/1/submit_query.json", "{}"),
        ("/feeds.json", r#"{"report_id":1,"format":"csv"}"#),
    ] {
        let (key, id) = key(&app).await;
        let store = app.worker.store.clone();
        let body = slow_body(body, async move { store.revoke_key(id).await.unwrap() });
        let answer = app
            .send(Method::POST, path, &[("X-Holistics-Key", &key)], body)
            .await;
        assert_eq!(answer.status, 422, "{path}: {}", answer.text());
        assert!(answer.text().contains("InvalidAuthenticationToken"), "{path}");
    }
    assert_eq!(app.get("/jobs.json").await.json(), json!([]));
}

#[tokio::test]
async fn who_may_import_no_more_when_the_file_is_there_does_not() {
    let app = TestApp::new().await;
    let store = app.worker.store.clone();
    let email = "ann@example.com";
    store.set_can_import(email, true).await.unwrap();
    let taking = store.clone();
    let parts = [
        "--between\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\nid\r\n1\r\n",
        "--between--\r\n",
    ];
    let body = futures::stream::iter(parts).then(move |part| {
        let taking = taking.clone();
        async move {
            if part.starts_with("--between--") {
                taking.set_can_import(email, false).await.unwrap();
            }
            Ok::<_, std::io::Error>(Bytes::from_static(part.as_bytes()))
        }
    });
    let answer = app.send_upload(Body::from_stream(body)).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert!(answer.text().contains("may not import"), "{}", answer.text());
}
