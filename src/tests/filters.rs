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
  n: {type: number}
---
select {{ colour }} as colour where {{ n }} is null or {{ size }} is null";
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
    assert_eq!(has, [true, false, false]);
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
    for (filter, line) in [
        (
            "colours",
            "422 Unprocessable Entity {\"errors\":[\"report `Chosen` has no filter `colours`\"]}",
        ),
        (
            "size",
            "422 Unprocessable Entity {\"errors\":[\"report `Chosen` has no `values_sql`, but at most `values`, of filter `size`\"]}",
        ),
    ] {
        let answer = app
            .get(&format!("/queries/1/filters/{filter}/submit_values.json"))
            .await;
        assert_eq!(answer.line(), line);
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
        assert_eq!(refused.status, 403, "{}", refused.text());
    }
    // The same word for another action is another request.
    let headers = [("Idempotency-Key", "a")];
    assert_eq!(app.get_with(VALUES, &headers).await.status, 200);
    let other = app.get_with("/queries/1/submit_query.json", &headers).await;
    assert_eq!(other.status, 409, "{}", other.text());
}
