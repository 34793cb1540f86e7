//! One call for small results, and long polls. Time is what the jobs take: nothing here sleeps.

use axum::http::Method;
use serde_json::json;

use crate::tests::Answer;
use crate::tests::TestApp;

const REPORT: &str = "---
id: 1
title: Waited for
filters:
  n: {type: number, default: 3}
---
select i, i * 2 as double from range({{ n }}) as t(i) order by i";

async fn app() -> TestApp {
    let app = TestApp::new().await;
    app.report(REPORT).await;
    app
}

/// Asks while a worker does what is queued, once it is queued.
async fn get_while_working(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Answer {
    let working = async {
        app.worker.queued.notified().await;
        app.run_pending_jobs().await;
    };
    tokio::join!(app.get_with(path, headers), working).0
}

#[tokio::test]
async fn submit_that_waits_answers_with_the_page() {
    let app = app().await;
    let answer = get_while_working(&app, "/queries/1/submit_query.json?_wait=50&_page_size=2", &[]).await;
    assert_eq!(answer.header("x-job-id"), "1");
    assert_eq!(answer.header("cache-control"), "no-store");
    let page = answer.json();
    assert_eq!(page["status"], "success");
    assert_eq!(page["job_id"], 1);
    assert_eq!(page["values"], json!([["0", "0"], ["1", "2"]]));
    assert_eq!(
        page["paginated"],
        json!({"page": 1, "page_size": 2, "num_rows": 3, "num_pages": 2})
    );
    let next = app
        .get("/queries/get_query_results.json?job_id=1&_page_size=2&_page=2")
        .await;
    assert_eq!(next.json()["values"], json!([["2", "4"]]));
}

#[tokio::test]
async fn submit_that_waits_for_a_file_answers_with_its_link() {
    let app = app().await;
    let answer = get_while_working(&app, "/queries/1/submit_export.csv?_wait=50", &[("Host", "h")]).await;
    let answer = answer.json();
    let link = answer["export"]["http_path"].as_str().unwrap();
    assert!(
        link.starts_with("http://h/exports/download?job_id=1&user_id=1&expires="),
        "{link}"
    );
    assert_eq!(
        answer,
        json!({"status": "success", "job_id": 1, "export": {"http_path": link}})
    );
    let file = app.get("/exports/download?job_id=1").await;
    assert_eq!(file.text(), "i,double\n0,0\n1,2\n2,4\n");
}

#[tokio::test]
async fn submit_answers_as_ever_when_the_time_is_over() {
    let app = app().await;
    let answer = app.get("/queries/1/submit_query.json?_wait=0.01").await;
    assert_eq!(answer.json(), json!({"status": "created", "job_id": 1}));
    let answer = app.get("/queries/1/submit_query.json?_wait=0").await;
    assert_eq!(answer.json(), json!({"status": "already_existed", "job_id": 1}));
}

#[tokio::test]
async fn polls_wait_and_say_when_to_ask_again() {
    let app = app().await;
    let query = app.submit("/queries/1/submit_query.json").await;
    for route in [
        format!("/queries/get_query_results.json?job_id={query}"),
        format!("/queries/1.json?job_id={query}&_wait=0.01"),
        format!("/jobs/{query}/get_results.json"),
    ] {
        let answer = app.get(&route).await;
        assert_eq!(answer.json(), json!({"status": "queued"}), "{route}");
        assert_eq!(answer.header("retry-after"), "1");
    }
    let export = app.submit("/queries/1/submit_export.csv").await;
    let paths = [
        format!("/queries/get_query_results.json?job_id={query}&_wait=50"),
        format!("/queries/get_export_results.json?job_id={export}&_wait=50"),
        format!("/jobs/{export}/get_results.json?_wait=50"),
        format!("/queries/1.json?job_id={query}&_wait=50"),
    ];
    let polls = futures::future::join_all(paths.iter().map(|path| app.get(path)));
    let (polls, ()) = tokio::join!(polls, app.run_pending_jobs());
    for answer in polls {
        assert_eq!(answer.json()["status"], "success");
        assert_eq!(answer.header("retry-after"), "");
    }
}

#[tokio::test]
async fn failed_job_ends_the_wait() {
    let app = TestApp::new().await;
    app.report_sql("select * from nowhere").await;
    let answer = get_while_working(&app, "/queries/1/submit_query.json?_wait=50", &[]).await;
    assert_eq!(answer.json()["status"], "failure");
    assert_eq!(answer.json()["job_id"], 1);
}

#[tokio::test]
async fn waits_that_cannot_be_are_refused() {
    let app = app().await;
    for text in ["51", "-1", "soon"] {
        let expected = format!(
            r#"422 Unprocessable Entity {{"errors":["`_wait` must be a number of seconds from 0 to 50, got `{text}`"]}}"#
        );
        let answer = app
            .get(&format!("/queries/1/submit_query.json?_wait={text}"))
            .await;
        assert_eq!(answer.line(), expected);
        let answer = app
            .get(&format!("/queries/get_query_results.json?job_id=1&_wait={text}"))
            .await;
        assert_eq!(answer.line(), expected);
    }
    for ignored in ["submit_export.csv?_page=0", "submit_query.json?_page_size=-1"] {
        assert_eq!(
            app.get(&format!("/queries/1/{ignored}")).await.status,
            200,
            "{ignored}"
        );
    }
    let body = app.post("/queries/1/submit_query.json", r#"{"_wait": 99}"#).await;
    assert_eq!(body.status, 422, "reserved names count in a body too");
}

#[tokio::test]
async fn stop_of_the_server_ends_waits() {
    let app = app().await;
    let job_id = app.submit("/queries/1/submit_query.json").await;
    let path = format!("/queries/get_query_results.json?job_id={job_id}&_wait=50");
    let (answer, ()) = tokio::join!(app.get(&path), async { app.stop() });
    assert_eq!(answer.json(), json!({"status": "queued"}));
}

#[tokio::test]
async fn pages_come_as_arrow_too() {
    let app = app().await;
    let arrow = [("Accept", "application/vnd.apache.arrow.stream")];
    let answer = get_while_working(
        &app,
        "/queries/1/submit_query.json?_wait=50&n=100000&_page_size=70000",
        &arrow,
    )
    .await;
    assert_eq!(
        answer.header("content-type"),
        "application/vnd.apache.arrow.stream"
    );
    let read = |body: Vec<u8>| {
        let reader = arrow::ipc::reader::StreamReader::try_new(std::io::Cursor::new(body), None).unwrap();
        let metadata = reader.schema().metadata().clone();
        let rows: usize = reader.map(|batch| batch.unwrap().num_rows()).sum();
        (rows, metadata)
    };
    let (rows, metadata) = read(answer.body);
    assert_eq!(rows, 70_000);
    assert_eq!(
        metadata["paginated"],
        r#"{"page":1,"page_size":70000,"num_rows":100000,"num_pages":2}"#
    );
    assert!(metadata["last_cache_updated"].ends_with('Z'));
    let path = "/queries/get_query_results.json?job_id=1&_page_size=70000&_page=";
    let (rows, _) = read(app.get_with(&format!("{path}2"), &arrow).await.body);
    assert_eq!(rows, 30_000);
    let (rows, _) = read(app.get_with(&format!("{path}3"), &arrow).await.body);
    assert_eq!(rows, 0, "past the end there are columns and no rows");
    for (accept, expected) in [
        (
            "application/vnd.apache.arrow.stream;q=0, application/json",
            "application/json",
        ),
        (
            "application/json, application/vnd.apache.arrow.stream;q=0.5",
            "application/json",
        ),
        (
            "application/json;q=0.5, application/vnd.apache.arrow.stream",
            "application/vnd.apache.arrow.stream",
        ),
    ] {
        let answer = app.get_with(&format!("{path}3"), &[("Accept", accept)]).await;
        assert_eq!(answer.header("content-type"), expected, "{accept}");
    }
    let pending = app.submit("/queries/1/submit_query.json?n=7").await;
    let answer = app
        .send(
            Method::GET,
            &format!("/queries/get_query_results.json?job_id={pending}"),
            &[("X-Holistics-Key", &app.key), arrow[0]],
            "",
        )
        .await;
    assert_eq!(
        answer.json(),
        json!({"status": "queued"}),
        "what is no page is JSON"
    );
}

#[tokio::test]
async fn client_that_goes_away_is_waited_for_no_more() {
    let app = app().await;
    let job_id = app.submit("/queries/1/submit_query.json").await;
    let store = &app.worker.store;
    {
        let path = format!("/queries/get_query_results.json?job_id={job_id}&_wait=50");
        let waiting = app.get(&path);
        tokio::pin!(waiting);
        while store.waited_for() == 0 {
            tokio::select! {
                biased;
                answer = &mut waiting => panic!("{answer:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
    }
    assert_eq!(store.waited_for(), 0);
}
