//! The routes of the contract, one after the other.

use axum::http::Method;
use serde_json::json;

use crate::tests::TestApp;

const USERS_GROWTH: &str = "---
id: 1846
title: Users growth
filters:
  since: {type: date}
  vat: {type: number}
  ids: {type: list, of: number}
  status: {type: dropdown, values: [active, gone]}
---
select n, 'user ' || n as name from range(60) as users(n)
where 1 = 1
  [[and date '2026-01-01' + n::integer >= {{ since }}]]
  [[and n in ({{ ids }})]]
  [[and {{ status }} = 'active']]
order by n";

async fn app() -> TestApp {
    let app = TestApp::new().await;
    app.report(USERS_GROWTH).await;
    app
}

#[tokio::test]
async fn query_goes_from_submit_to_pages() {
    let app = app().await;
    let answer = app.get("/queries/1846/submit_query.json").await;
    assert_eq!(answer.line(), r#"200 OK {"status":"created","job_id":1}"#);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("status"), "200 OK");
    assert_eq!(answer.header("content-type"), "application/json");
    let poll = "/queries/get_query_results.json?job_id=1";
    assert_eq!(app.get(poll).await.line(), r#"200 OK {"status":"queued"}"#);
    app.run_pending_jobs().await;
    let page = app.get(&format!("{poll}&_page=3")).await;
    assert_eq!(page.status, 200);
    let page = page.json();
    assert_eq!(page["status"], "success");
    assert_eq!(page["fields"], json!(["n", "name"]));
    assert_eq!(page["values"].as_array().unwrap().len(), 10);
    assert_eq!(page["values"][0], json!(["50", "user 50"]));
    assert_eq!(
        page["paginated"],
        json!({"page": 3, "page_size": 25, "num_rows": 60, "num_pages": 3})
    );
    let updated = page["last_cache_updated"].as_str().unwrap();
    assert_eq!(updated.len(), "2026-02-01T04:48:24.000Z".len());
    chrono::DateTime::parse_from_rfc3339(updated).unwrap();
    for form in [
        "/queries/1846.json?job_id=1&_page=3",
        "/queries/1846-users-growth.json?job_id=1&_page=3",
        "/jobs/1/get_results.json?_page=3",
        "//queries///get_query_results.json?job_id=1&_page=3",
    ] {
        assert_eq!(app.get(form).await.json(), page, "{form}");
    }
    assert_eq!(app.get("/queries/7.json?job_id=1").await.status, 404);
}

#[tokio::test]
async fn export_goes_from_submit_to_file() {
    let app = app().await;
    for (format, content_type, start) in [
        ("csv", "text/csv; charset=utf-8", "n,name\n59,user 59\n"),
        (
            "json",
            "application/json",
            "[\n{\"n\":59,\"name\":\"user 59\"}\n]\n",
        ),
        (
            "xlsx",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "PK",
        ),
    ] {
        let path = format!("/queries/1846-users-growth/submit_export.{format}?since=2026-03-01");
        let answer = app.get(&path).await;
        let job_id = answer.json()["job_id"].as_i64().unwrap();
        assert_eq!(answer.json(), json!({"status": "created", "job_id": job_id}));
        assert_eq!(answer.header("content-type"), "application/json");
        let poll =
            format!("/queries/get_export_results.json?job_id={job_id}&_page_size=10000000&_page=10000000");
        assert_eq!(app.get(&poll).await.line(), r#"200 OK {"status":"not yet"}"#);
        app.run_pending_jobs().await;
        let done = app
            .get_with(&poll, &[("Host", "reports.example.com:81")])
            .await
            .json();
        let http_path = done["export"]["http_path"].as_str().unwrap();
        assert_eq!(
            done,
            json!({"status": "success", "export": {"http_path": http_path}})
        );
        let begin =
            format!("http://reports.example.com:81/exports/download?job_id={job_id}&user_id=1&expires=");
        assert!(http_path.starts_with(&begin), "{http_path}");
        let results = format!("/jobs/{job_id}/get_results.json");
        let again = app
            .get_with(&results, &[("Host", "reports.example.com:81")])
            .await
            .json();
        // A second later the link is another.
        let link = again["export"]["http_path"].as_str().unwrap();
        assert!(link.starts_with(&begin), "{link}");
        assert_eq!(again, json!({"status": "success", "export": {"http_path": link}}));
        let file = app.get(&format!("/exports/download?job_id={job_id}")).await;
        assert_eq!(file.status, 200);
        assert_eq!(file.header("content-type"), content_type);
        assert!(
            file.body.starts_with(start.as_bytes()),
            "{:?}",
            String::from_utf8_lossy(&file.body)
        );
        let disposition = file.header("content-disposition");
        assert!(
            disposition.starts_with("attachment; filename=\"1846-users-growth-2"),
            "{disposition}"
        );
        assert!(disposition.ends_with(&format!(".{format}\"")), "{disposition}");
    }
}

#[tokio::test]
async fn filters_come_in_the_address_and_in_the_body() {
    let app = app().await;
    let rows = async |job_id: i64| {
        app.run_pending_jobs().await;
        let page = app
            .get(&format!("/queries/get_query_results.json?job_id={job_id}"))
            .await
            .json();
        let first: Vec<String> = page["values"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row[0].to_string())
            .collect();
        first.join(",").replace('"', "")
    };
    for query in [
        "ids[]=1&ids[]=2",
        "ids%5B%5D=1&ids%5B%5D=2",
        "ids=1&ids=2",
        "ids=1,2",
    ] {
        let job_id = app
            .submit(&format!("/queries/1846/submit_query.json?{query}&unknown=x"))
            .await;
        assert_eq!(rows(job_id).await, "1,2", "{query}");
    }
    for (route, body) in [
        ("submit_query.json", r#"{"ids": [1, 2], "status": "active"}"#),
        (
            "submit_query.json?ids=5",
            r#"{"ids": [1, 2], "status": "active"}"#,
        ),
        (
            "submit_query.json?status=active",
            r#"{"ids": ["1", 2], "other": {"a": 1}}"#,
        ),
        ("submit_query.json?ids=1,2", ""),
    ] {
        let answer = app.post(&format!("/queries/1846/{route}"), body).await;
        assert_eq!(answer.status, 200, "{body} {}", answer.text());
        assert_eq!(
            rows(answer.json()["job_id"].as_i64().unwrap()).await,
            "1,2",
            "{body}"
        );
    }
    for format in ["csv", "json", "xlsx"] {
        let path = format!("/queries/1846/submit_export.{format}");
        assert_eq!(
            app.post(&path, r#"{"ids": [1, 2]}"#).await.status,
            200,
            "{format}"
        );
    }
    let headers = [
        ("X-Holistics-Key", app.key.as_str()),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    for body in ["ids=1&ids=2", r#"{"ids": [1, 2]}"#] {
        let answer = app
            .send(Method::POST, "/queries/1846/submit_query.json", &headers, body)
            .await;
        assert_eq!(
            rows(answer.json()["job_id"].as_i64().unwrap()).await,
            "1,2",
            "{body}"
        );
    }
}

#[tokio::test]
async fn failed_query_says_why_in_every_poll() {
    let app = TestApp::new().await;
    app.report_sql("select * from nowhere").await;
    let job_id = app.submit("/queries/1/submit_query.json").await;
    let export_id = app.submit("/queries/1/submit_export.csv").await;
    app.run_pending_jobs().await;
    for poll in [
        format!("/queries/get_query_results.json?job_id={job_id}"),
        format!("/queries/get_export_results.json?job_id={export_id}"),
        format!("/jobs/{job_id}/get_results.json"),
    ] {
        let answer = app.get(&poll).await;
        assert_eq!(answer.status, 200);
        let answer = answer.json();
        assert_eq!(answer["status"], "failure");
        let error = answer["error"].as_str().unwrap();
        assert!(
            error.contains("Table with name nowhere does not exist"),
            "{error}"
        );
        assert_eq!(answer["errors"], json!([error]));
    }
    let download = app.get(&format!("/exports/download?job_id={export_id}")).await;
    assert_eq!(
        download.line(),
        r#"422 Unprocessable Entity {"errors":["Holistics::NotFound"]}"#
    );
    assert_eq!(download.header("status"), "422 Unprocessable Entity");
}

#[tokio::test]
async fn job_tells_its_times_and_its_report() {
    let app = app().await;
    let job_id = app.submit("/queries/1846/submit_query.json").await;
    let job = app.get(&format!("/jobs/{job_id}.json")).await.json();
    assert_eq!(job["status"], "queued");
    assert!(job["duration"].as_f64().unwrap() < 0.0);
    assert_eq!(job["start_time"], json!(null));
    app.report(&USERS_GROWTH.replace("order by n", "order by n desc"))
        .await;
    app.run_pending_jobs().await;
    let job = app.get(&format!("/jobs/{job_id}.json")).await.json();
    assert_eq!(job["status"], "success");
    assert!(job["duration"].as_f64().unwrap() >= 0.0);
    assert_eq!(job["source_id"], 1846);
    assert_eq!(job["source_type"], "QueryReport");
    assert_eq!(job["user_id"], app.user.id);
    assert_eq!(job["tenant_id"], 1);
    assert_eq!(job["cancellable"], false);
    assert_eq!(job["report_version"], 1);
    for time in ["created_at", "start_time", "end_time"] {
        chrono::DateTime::parse_from_rfc3339(job[time].as_str().unwrap()).unwrap();
    }
    let job_id = app.submit("/queries/1846/submit_query.json").await;
    assert_eq!(
        app.get(&format!("/jobs/{job_id}.json")).await.json()["report_version"],
        2
    );
}

#[tokio::test]
async fn caller_and_sources() {
    let app = app().await;
    assert_eq!(
        app.get("/users/info.json").await.line(),
        r#"200 OK {"id":1,"email":"ann@example.com","name":"Ann"}"#
    );
    assert_eq!(
        app.get("/data_sources.json").await.line(),
        r#"200 OK [{"id":1,"dbtype":"duckdb","name":"warehouse"}]"#
    );
}

#[tokio::test]
async fn routes_without_a_key() {
    let app = app().await;
    let answer = app.send(Method::GET, "/healthz", &[], "").await;
    assert_eq!(answer.line(), r#"200 OK {"status":"ok"}"#);
    let answer = app.send(Method::GET, "/openapi.json", &[], "").await;
    let document = answer.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut ids: Vec<&str> = Vec::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            ids.extend(operation["operationId"].as_str());
        }
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "operation ids must differ: {ids:?}");
}

#[tokio::test]
async fn request_ids_go_in_and_out() {
    let app = app().await;
    let made = app.get("/healthz").await;
    assert_eq!(made.header("x-request-id").len(), 32);
    let kept = app.get_with("/healthz", &[("X-Request-Id", "my-1")]).await;
    assert_eq!(kept.header("x-request-id"), "my-1");
    let replaced = app.get_with("/healthz", &[("X-Request-Id", "a b\tc")]).await;
    assert_eq!(replaced.header("x-request-id").len(), 32);
}
