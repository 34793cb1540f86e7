//! What filters may be, where a query lists it.

use crate::access::KeyTerms;
use crate::tests::TestApp;
use crate::tests::add_key_with;

const CHOSEN: &str = "---
id: 1
title: Chosen
filters:
  colour: {type: dropdown, values_sql: \"select * from (values ('red', 'Red'), ('blue', 'Blue; cold')) as c(key, label)\"}
  size: {type: dropdown, values: [s, m]}
  csv: {type: dropdown, values_sql: select 1}
  n: {type: number}
---
select {{ colour }} as colour where {{ n }} is null or {{ size }} is null or {{ csv }} is null";
const VALUES: &str = "/queries/1/filters/colour/submit_values.json";

#[tokio::test]
async fn values_of_a_query_are_paged_through() {
    let app = TestApp::new().await;
    app.report(CHOSEN).await;
    let report = app.get("/queries/1.json").await.json();
    let has: Vec<bool> = report["filters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|filter| filter["has_values_sql"].as_bool().unwrap())
        .collect();
    assert_eq!(has, [true, false, true, false]);
    let job_id = app.submit(VALUES).await;
    assert_ne!(job_id, app.submit("/queries/1/submit_query.json").await);
    assert_eq!(
        app.get(VALUES).await.line(),
        format!(r#"200 OK {{"status":"already_existed","job_id":{job_id}}}"#)
    );
    app.run_pending_jobs().await;
    let poll = format!("/queries/get_query_results.json?job_id={job_id}&_page_size=1&_page=2");
    let page = app.get(&poll).await.json();
    assert_eq!(page["fields"], serde_json::json!(["key", "label"]));
    assert_eq!(page["values"], serde_json::json!([["blue", "Blue; cold"]]));
    assert_eq!(page["paginated"]["num_rows"], 2);
    // What it lists may be sent.
    for (colour, status) in [("blue", "success"), ("Blue; cold", "failure")] {
        let colour = colour.replace([' ', ';'], "+");
        let job_id = app
            .submit(&format!("/queries/1/submit_query.json?colour={colour}"))
            .await;
        app.run_pending_jobs().await;
        let poll = format!("/queries/get_query_results.json?job_id={job_id}");
        assert_eq!(app.get(&poll).await.json()["status"], status, "{colour}");
    }
}

#[tokio::test]
async fn values_are_for_those_who_may_choose() {
    let app = TestApp::new().await;
    app.report(CHOSEN).await;
    for (filter, says) in [
        ("colours", "report `Chosen` has no filter `colours`"),
        (
            "size",
            "no query lists what filter `size` may be: report `Chosen` itself says it, if anything does",
        ),
    ] {
        let answer = app
            .get(&format!("/queries/1/filters/{filter}/submit_values.json"))
            .await;
        assert_eq!(
            answer.line(),
            format!("422 Unprocessable Entity {{\"errors\":[\"{says}\"]}}")
        );
    }
    let unknown = app.get("/queries/2/filters/colour/submit_values.json").await;
    assert_eq!(
        unknown.line(),
        r#"404 Not Found {"errors":["Resource not found"]}"#
    );
    // One who sees a part alone would see of what: the query knows nothing of that.
    for (name, value) in [("colour", "red"), ("n", "1")] {
        let terms = KeyTerms {
            pins: [(name.to_owned(), vec![value.to_owned()])].into(),
            ..KeyTerms::default()
        };
        let (_, key) = add_key_with(&app.worker, app.user.id, &terms).await;
        let headers = [("X-Holistics-Key", key.reveal())];
        let refused = app.send(axum::http::Method::GET, VALUES, &headers, "").await;
        assert_eq!(
            refused.line(),
            r#"403 Forbidden {"errors":["this key pins filters: what they and others may be is not for it to see"]}"#
        );
    }
    // The same word for another action is another request, also where a filter is called like a format.
    let headers = [("Idempotency-Key", "a")];
    assert_eq!(app.get_with(VALUES, &headers).await.status, 200);
    for other in [
        "/queries/1/submit_query.json",
        "/queries/1/submit_export.csv",
        "/queries/1/filters/csv/submit_values.json",
    ] {
        let other = app.get_with(other, &headers).await;
        assert_eq!(other.status, 409, "{}", other.text());
    }
}

#[tokio::test]
async fn what_lists_values_is_no_run_of_the_report() {
    let app = TestApp::new().await;
    app.report(&CHOSEN.replace("filters:", "rows_max: 1\nfilters:"))
        .await;
    let run = app.submit("/queries/1/submit_query.json").await;
    let listed = app.submit(VALUES).await;
    app.run_pending_jobs().await;
    let last = app
        .get("/jobs/last_run_jobs.json?source_type=QueryReport&ids[]=1")
        .await;
    assert_eq!(last.json()["1"]["id"], run);
    // Nor are its rows the report's, whose limit is for those.
    let job = app.get(&format!("/jobs/{listed}.json")).await.json();
    assert_eq!(
        (&job["source_method"], &job["status"]),
        (&"values".into(), &"success".into())
    );
    let manifest = app.get(&format!("/jobs/{listed}/manifest.json")).await.json();
    assert_eq!(
        (&manifest["values_of"], &manifest["rows"]),
        (&"colour".into(), &2.into())
    );
    let manifest = app.get(&format!("/jobs/{run}/manifest.json")).await.json();
    assert_eq!(manifest["values_of"], serde_json::Value::Null);
}
