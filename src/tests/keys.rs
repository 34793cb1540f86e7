//! Who may come in: section 1 of the contract.

use axum::http::Method;

use crate::tests::TestApp;
use crate::tests::add_key;

const INVALID_JSON: &str = r#"422 Unprocessable Entity {"errors":["Holistics::InvalidAuthenticationToken"]}"#;
const INVALID_TEXT: &str = "422 Unprocessable Entity Holistics::InvalidAuthenticationToken";

/// Every route that needs a key.
const ROUTES: [&str; 13] = [
    "/queries/1/submit_query.json",
    "/queries/1/submit_export.csv",
    "/queries/1/submit_export.json",
    "/queries/1/submit_export.xlsx",
    "/queries/1/submit_export.pdf",
    "/queries/get_query_results.json?job_id=1",
    "/queries/get_export_results.json?job_id=1",
    "/queries/1.json?job_id=1",
    "/jobs/1.json",
    "/jobs/1/get_results.json",
    "/exports/download?job_id=1",
    "/users/info.json",
    "/data_sources.json",
];

#[tokio::test]
async fn no_key_is_401_everywhere() {
    let app = TestApp::new().await;
    for route in ROUTES {
        let answer = app.send(Method::GET, route, &[], "").await;
        assert_eq!(answer.status, 401, "{route}");
        if !route.ends_with(".csv") && !route.ends_with(".xlsx") {
            let answer = answer.json();
            assert_eq!(answer["errors"][0], answer["error"], "{route}");
        }
    }
}

#[tokio::test]
async fn wrong_key_is_422_before_anything_is_looked_up() {
    let app = TestApp::new().await;
    for route in ROUTES {
        for key in ["x", "", "ä", &app.key[1..], &format!("{}=", app.key)] {
            let answer = app
                .send(Method::GET, route, &[("X-Holistics-Key", key)], "")
                .await;
            let text = route.ends_with(".csv") || route.ends_with(".xlsx");
            let expected = if text { INVALID_TEXT } else { INVALID_JSON };
            assert_eq!(answer.line(), expected, "{route}");
            if text {
                assert!(answer.header("content-type").starts_with("text/plain"), "{route}");
            }
        }
    }
}

#[tokio::test]
async fn old_clients_send_the_key_in_the_address() {
    let app = TestApp::new().await;
    for key in [
        app.key
            .replace('+', "%2B")
            .replace('/', "%2F")
            .replace('=', "%3D"),
        app.key.clone(),
    ] {
        let answer = app
            .send(Method::GET, &format!("/users/info.json?_utoken={key}"), &[], "")
            .await;
        assert_eq!(answer.status, 200, "{key}");
    }
    let answer = app
        .send(Method::GET, "/users/info.json?_utoken=wrong", &[], "")
        .await;
    assert_eq!(answer.line(), INVALID_JSON);
}

#[tokio::test]
async fn revoked_key_and_lost_access_open_nothing() {
    let app = TestApp::new().await;
    let store = &app.worker.store;
    assert_eq!(app.get("/users/info.json").await.status, 200);
    store.set_api_access("ann@example.com", false).await.unwrap();
    assert_eq!(app.get("/users/info.json").await.line(), INVALID_JSON);
    store.set_api_access("ann@example.com", true).await.unwrap();
    assert_eq!(app.get("/users/info.json").await.status, 200);
    let keys = store.keys().await.unwrap();
    assert!(keys[0].last_used_at.is_some());
    store.revoke_key(keys[0].id).await.unwrap();
    assert_eq!(app.get("/users/info.json").await.line(), INVALID_JSON);
    assert!(store.revoke_key(99).await.is_err());
}

#[tokio::test]
async fn key_is_nowhere_in_the_data_folder() {
    let app = TestApp::new().await;
    app.get("/users/info.json").await;
    for entry in std::fs::read_dir(app.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes
                .windows(app.key.len())
                .any(|window| window == app.key.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}

#[tokio::test]
async fn jobs_of_others_are_not_found_but_by_administrators() {
    let app = TestApp::new().await;
    app.report_sql("select 1 as n").await;
    let job_id = app.submit("/queries/1/submit_export.csv").await;
    app.run_pending_jobs().await;
    let store = &app.worker.store;
    let other = store
        .add_user("bob@example.com", "Bob", crate::access::Role::Analyst, true)
        .await
        .unwrap();
    let admin = store
        .add_user(
            "root@example.com",
            "Root",
            crate::access::Role::Administrator,
            true,
        )
        .await
        .unwrap();
    let other_key = add_key(&app.worker, &other).await;
    let admin_key = add_key(&app.worker, &admin).await;
    for route in [
        format!("/queries/get_export_results.json?job_id={job_id}"),
        format!("/jobs/{job_id}.json"),
        format!("/jobs/{job_id}/get_results.json"),
        format!("/exports/download?job_id={job_id}"),
    ] {
        let answer = app
            .send(Method::GET, &route, &[("X-Holistics-Key", &other_key)], "")
            .await;
        assert_eq!(
            answer.line(),
            r#"404 Not Found {"errors":["Resource not found"]}"#,
            "{route}"
        );
        let answer = app
            .send(Method::GET, &route, &[("X-Holistics-Key", &admin_key)], "")
            .await;
        assert_eq!(answer.status, 200, "{route}");
    }
}
