//! Large pages arrive in pieces and are whole all the same.

use serde_json::Value;

use crate::tests::TestApp;

#[tokio::test]
async fn page_of_everything_is_whole() {
    let app = TestApp::new().await;
    app.report_sql("select n, repeat('x', 50) as text from range(100000) as t(n) order by n")
        .await;
    let job_id = app.submit("/queries/1/submit_query.json").await;
    app.run_pending_jobs().await;
    let path = format!("/queries/get_query_results.json?job_id={job_id}&_page_size=10000000");
    let answer = app.get(&path).await;
    assert_eq!(answer.header("content-length"), "", "sent as it is made");
    let page = answer.json();
    let values = page["values"].as_array().unwrap();
    assert_eq!(values.len(), 100_000);
    assert!(
        values
            .iter()
            .enumerate()
            .all(|(n, row)| row[0] == Value::String(n.to_string()))
    );
    assert_eq!(page["paginated"]["num_pages"], 1);
    let small = app.get(&path.replace("10000000", "10")).await;
    assert_eq!(small.header("content-length"), small.body.len().to_string());
}

#[tokio::test]
async fn stored_result_that_is_damaged_is_an_error_not_a_short_page() {
    let app = TestApp::new().await;
    app.report_sql("select n, random() as r from range(100000) as t(n)")
        .await;
    let job_id = app.submit("/queries/1/submit_query.json").await;
    app.run_pending_jobs().await;
    let file = app.path().join(format!("results/{job_id}-1.arrow"));
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 5_000].fill(0xAA);
    std::fs::write(&file, &bytes).unwrap();
    let page = app
        .get(&format!(
            "/queries/get_query_results.json?job_id={job_id}&_page=1300"
        ))
        .await;
    let whole = app
        .get(&format!(
            "/queries/get_query_results.json?job_id={job_id}&_page=1"
        ))
        .await;
    assert_eq!(whole.status, 200);
    let mut failed = 0;
    for page in (1..4000).step_by(300) {
        let path = format!("/queries/get_query_results.json?job_id={job_id}&_page={page}");
        failed += i32::from(app.get(&path).await.status == 500);
    }
    assert!(failed > 0, "{}", page.status);
    let export = app.export("csv").await;
    assert!(export.is_ok(), "a run of its own: {export:?}");
}
