//! What scripts of other origins get.

use axum::http::Method;

use crate::tests::Answer;
use crate::tests::TestApp;

const ORIGIN: &str = "https://app.example.com";

async fn preflight(app: &TestApp, path: &str, origin: &str) -> Answer {
    let headers = [
        ("Origin", origin),
        ("Access-Control-Request-Method", "GET"),
        ("Access-Control-Request-Headers", "x-holistics-key"),
    ];
    app.send(Method::OPTIONS, path, &headers, "").await
}

#[tokio::test]
async fn scripts_of_other_origins_get_nothing_unless_told_otherwise() {
    let app = TestApp::new().await;
    app.report_sql("select 1 as n").await;
    let answer = preflight(&app, "/queries/1/submit_query.json", ORIGIN).await;
    assert_eq!(answer.status, 405);
    let answer = app
        .get_with("/queries/1/submit_query.json", &[("Origin", ORIGIN)])
        .await;
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn scripts_of_the_set_origins_read_data_and_nothing_else() {
    let app = TestApp::with_config(|config| config.cors_origins = vec![ORIGIN.to_owned()]).await;
    app.report_sql("select 1 as n").await;
    let allowed = |answer: &Answer| {
        let allowed = answer.headers.get("access-control-allow-origin");
        allowed.is_some_and(|origin| origin == ORIGIN)
    };
    for path in [
        "/queries/1/submit_query.json",
        "/queries/1/submit_export.csv",
        "/queries/get_query_results.json",
        "/jobs/1.json",
        "/jobs/1/events",
        "/exports/download",
        "/feeds/1-one.csv",
    ] {
        let answer = preflight(&app, path, ORIGIN).await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(allowed(&answer), "{path}");
        assert_eq!(answer.header("access-control-allow-methods"), "GET,POST");
        assert!(
            answer
                .header("access-control-allow-headers")
                .contains("x-holistics-key")
        );
        assert!(!answer.headers.contains_key("access-control-allow-credentials"));
        for other in [
            "https://evil.example.com",
            "https://app.example.com.evil.org",
            "null",
        ] {
            let answer = preflight(&app, path, other).await;
            assert!(
                !answer.headers.contains_key("access-control-allow-origin"),
                "{path}"
            );
        }
    }
    for path in [
        "/users.json",
        "/audit.json",
        "/queries.json",
        "/feeds.json",
        "/data_sources.json",
    ] {
        let answer = preflight(&app, path, ORIGIN).await;
        assert_eq!(answer.status, 405, "{path}");
        assert!(!allowed(&answer), "{path}");
    }
    // Refusals can be read too, or nobody could say what is wrong.
    for (key, status) in [("wrong", 422), (app.key.as_str(), 200)] {
        let headers = [("Origin", ORIGIN), ("X-Holistics-Key", key)];
        let path = "/queries/1/submit_query.json";
        let answer = app.send(Method::GET, path, &headers, "").await;
        assert_eq!(answer.status, status);
        assert!(allowed(&answer), "{key}");
        assert!(answer.header("vary").contains("origin"));
    }
}
