//! The same work twice, and what a crash leaves.

use axum::http::Method;
use serde_json::json;
use tokio::sync::watch;

use crate::config::Config;
use crate::store::results::MadeOf;
use crate::store::results::NewExport;
use crate::store::results::NewResult;
use crate::store::results::Place;
use crate::tests::TestApp;
use crate::tests::add_key;
use crate::worker::Ran;
use crate::worker::Worker;

const CACHED: &str = "---
id: 1
title: Cached
cache: 1h
filters:
  n: {type: number, default: 1}
---
select {{ n }} as n, random() as r from range(3000)";

#[tokio::test]
async fn same_work_under_way_is_joined_also_by_another_user() {
    let app = TestApp::new().await;
    app.report(&CACHED.replace("cache: 1h\n", "")).await;
    let first = app.submit("/queries/1/submit_export.csv?n=5").await;
    let again = app.get("/queries/1-cached/submit_export.csv?n=5.0").await;
    assert_eq!(
        again.json(),
        json!({"status": "created", "job_id": first + 1}),
        "5.0 is a decimal, 5 is not"
    );
    let again = app.get("/queries/1-cached/submit_export.csv?n=5").await;
    assert_eq!(
        again.json(),
        json!({"status": "already_existed", "job_id": first})
    );
    let other = app
        .worker
        .store
        .add_user("bob@example.com", "Bob", crate::access::Role::Analyst, true)
        .await
        .unwrap();
    let key = add_key(&app.worker, &other).await;
    let poll = format!("/queries/get_export_results.json?job_id={first}");
    let before = app
        .send(Method::GET, &poll, &[("X-Holistics-Key", &key)], "")
        .await;
    assert_eq!(before.status, 404);
    let path = "/queries/1/submit_export.csv?n=5";
    let joined = app
        .send(Method::GET, path, &[("X-Holistics-Key", &key)], "")
        .await;
    assert_eq!(
        joined.json(),
        json!({"status": "already_existed", "job_id": first})
    );
    app.run_pending_jobs().await;
    let after = app
        .send(Method::GET, &poll, &[("X-Holistics-Key", &key)], "")
        .await;
    assert_eq!(after.json()["status"], "success");
    for (path, why) in [
        ("/queries/1/submit_export.csv?n=5", "a finished job is not joined"),
        (
            "/queries/1/submit_export.json?n=5",
            "another format is other work",
        ),
        ("/queries/1/submit_query.json?n=5", "a query is other work"),
        ("/queries/1/submit_query.json?n=6", "another value is other work"),
    ] {
        assert_eq!(app.get(path).await.json()["status"], "created", "{why}");
    }
}

#[tokio::test]
async fn fresh_result_is_used_again_for_pages_and_files() {
    let app = TestApp::new().await;
    app.report(CACHED).await;
    let first = app.submit("/queries/1/submit_query.json").await;
    app.run_pending_jobs().await;
    let page = |job_id: i64| format!("/queries/get_query_results.json?job_id={job_id}");
    let result = app.get(&page(first)).await.json();
    let again = app.get("/queries/1/submit_query.json").await.json();
    assert_eq!(again["status"], "created");
    let again = again["job_id"].as_i64().unwrap();
    assert_eq!(again, first, "the same user is handed the same job");
    assert_eq!(app.get(&page(again)).await.json(), result);
    let csv = String::from_utf8(app.export("csv").await.unwrap()).unwrap();
    let row = csv.lines().nth(1).unwrap();
    assert_eq!(row, format!("1,{}", result["values"][0][1].as_str().unwrap()));
    let export = app.submit("/queries/1/submit_export.csv").await;
    let poll = app
        .get(&format!("/queries/get_export_results.json?job_id={export}"))
        .await
        .json();
    assert_eq!(poll["status"], "success", "the file is used again too");
    let other = app.submit("/queries/1/submit_query.json?n=2").await;
    assert_eq!(app.get(&page(other)).await.json()["status"], "queued");
    app.report(&CACHED.replace("random()", "random() / 2")).await;
    let changed = app.submit("/queries/1/submit_query.json").await;
    assert_eq!(
        app.get(&page(changed)).await.json()["status"],
        "queued",
        "a new version is another report"
    );
}

#[tokio::test]
async fn next_start_takes_up_what_a_crash_left() {
    let app = TestApp::new().await;
    app.report_sql("select repeat('x', 20000) as text").await;
    let job_id = app.submit("/queries/1/submit_export.csv").await;
    // A worker claims it, writes half a file, and is gone.
    app.worker.claim().await.unwrap().unwrap();
    std::fs::write(app.path().join("tmp/1-1.csv"), "half").unwrap();
    std::fs::write(app.path().join("results/1-1.arrow"), "written, never named").unwrap();
    let (folder, worker) = app.into_parts();
    drop(worker);
    let worker = restart(folder.path()).await;
    assert!(!folder.path().join("tmp/1-1.csv").exists());
    assert!(!folder.path().join("results/1-1.arrow").exists());
    let (_sender, mut stop) = watch::channel(false);
    assert_eq!(worker.run_next(&mut stop).await.unwrap(), Ran::Job(job_id));
    let csv = std::fs::read_to_string(folder.path().join(format!("exports/{job_id}-2.csv"))).unwrap();
    assert_eq!(csv, format!("text\n{}\n", "x".repeat(20_000)));
}

#[tokio::test]
async fn job_that_kills_its_worker_is_not_tried_for_ever() {
    let app = TestApp::new().await;
    app.report_sql("select 42 as n").await;
    let job_id = app.submit("/queries/1/submit_query.json").await;
    let (folder, mut worker) = app.into_parts();
    for _ in 0..3 {
        worker.claim().await.unwrap().unwrap();
        drop(worker);
        worker = restart(folder.path()).await;
    }
    assert!(worker.claim().await.unwrap().is_none());
    let job = worker
        .store
        .job_seen_by(job_id, &crate::tests::all())
        .await
        .unwrap()
        .unwrap();
    let error = job.error().unwrap();
    assert!(error.message.starts_with("worker lost"), "{error}");
}

#[tokio::test]
async fn late_finisher_is_refused() {
    let app = TestApp::new().await;
    app.report_sql("select 42 as n").await;
    app.submit("/queries/1/submit_query.json").await;
    let store = &app.worker.store;
    let late = app.worker.claim().await.unwrap().unwrap();
    store.take_up_interrupted(3).await.unwrap();
    let current = app.worker.claim().await.unwrap().unwrap();
    assert_eq!((late.job.attempt, current.job.attempt), (1, 2));
    let error = crate::error::Error::invalid("too late");
    assert!(store.fail(&late.job, &error).await.is_err());
    let result = || NewResult {
        rows: 1,
        bytes: 3,
        rows_kept: Place::Inline,
        content: Some(b"row".to_vec()),
        lifetime_us: 1_000_000,
        columns: "[]".to_owned(),
        engine_us: 1,
        truncated: false,
    };
    let export = NewExport {
        tag: None,
        file_name: "late.csv".to_owned(),
        bytes: 3,
        content: None,
        lifetime_us: 1_000_000,
    };
    assert!(store.keep_result(&late.job, &result()).await.is_err());
    for made_of in [MadeOf::Query(result()), MadeOf::Stored(1)] {
        assert!(store.keep_export(&late.job, &export, &made_of).await.is_err());
    }
    assert!(store.result(1).await.unwrap().is_none(), "nothing of it is kept");
    store.fail(&current.job, &error).await.unwrap();
}

#[tokio::test]
async fn stop_of_the_server_queues_the_running_job_again() {
    let app = TestApp::new().await;
    app.report_sql("select max(a.n * b.n) from range(10000000) a(n), range(10000000) b(n)")
        .await;
    let job_id = app.submit("/queries/1/submit_query.json").await;
    let (sender, mut stop) = watch::channel(false);
    let (ran, ()) = tokio::join!(app.worker.run_next(&mut stop), async {
        sender.send_replace(true);
    });
    assert_eq!(ran.unwrap(), Ran::Job(job_id));
    let claimed = app.worker.claim().await.unwrap().unwrap();
    assert_eq!(
        (claimed.job.id, claimed.job.attempt),
        (job_id, 2),
        "no attempt number is used twice"
    );
}

#[tokio::test]
async fn result_stays_while_a_live_job_is_to_read_it() {
    let app = TestApp::new().await;
    app.report("---\nid: 1\ntitle: Test\ncache: 1h\n---\nselect random() as r from range(10000)")
        .await;
    app.submit("/queries/1/submit_query.json").await;
    app.run_pending_jobs().await;
    let rows = app.path().join("results/1-1.arrow");
    let job_id = app.submit("/queries/1/submit_export.csv").await;
    let mut metadata = app.metadata().await;
    sqlx::query("update results set expires_at = 0")
        .execute(&mut metadata)
        .await
        .unwrap();
    app.worker.sweep().await.unwrap();
    assert!(rows.exists());
    app.run_pending_jobs().await;
    let job = app
        .worker
        .store
        .job_seen_by(job_id, &crate::tests::all())
        .await
        .unwrap();
    assert!(job.is_some_and(|job| job.error().is_none() && job.is_finished()));
    assert!(
        !app.path().join(format!("results/{job_id}-1.arrow")).exists(),
        "the query did not run again"
    );
    let download = app.get(&format!("/exports/download?job_id={job_id}")).await;
    assert_eq!(download.text().lines().count(), 10_001);
}

async fn restart(folder: &std::path::Path) -> Worker {
    Worker::open(Config::in_folder(folder).unwrap()).await.unwrap()
}

#[tokio::test]
async fn writes_that_are_undone_leave_the_store_usable() {
    let app = TestApp::new().await;
    app.report_sql("select 1 as n").await;
    let changed =
        crate::query::file::parse_report("r.sql", "---\nid: 1\ntitle: Other\n---\nselect 2").unwrap();
    for _ in 0..20 {
        app.worker
            .store
            .apply_reports(std::slice::from_ref(&changed), None, true)
            .await
            .unwrap();
    }
    assert_eq!(app.page().await["values"][0][0], "1");
}

#[tokio::test]
async fn files_removed_by_hand_are_made_again() {
    let app = TestApp::new().await;
    app.report(CACHED).await;
    let first = app.submit("/queries/1/submit_query.json").await;
    app.run_pending_jobs().await;
    let results = || std::fs::read_dir(app.path().join("results")).unwrap();
    let remove_all = || results().for_each(|file| std::fs::remove_file(file.unwrap().path()).unwrap());
    remove_all();
    // A file of a result whose rows are gone is made of a new run, and stores that.
    app.export("csv").await.unwrap();
    assert_eq!(results().count(), 1);
    remove_all();
    // Each result whose rows are gone is handed out once more at most, and then forgotten.
    let poll = |job_id: i64| format!("/queries/get_query_results.json?job_id={job_id}");
    for _ in 0..2 {
        let gone = app.submit("/queries/1/submit_query.json").await;
        assert_eq!(app.get(&poll(gone)).await.json()["status"], "failure");
    }
    assert_eq!(app.get(&poll(first)).await.json()["status"], "failure");
    let again = app.submit("/queries/1/submit_query.json").await;
    app.run_pending_jobs().await;
    assert_eq!(app.get(&poll(again)).await.json()["status"], "success");
    // A file that is gone is handed out no more, and made again.
    app.export("csv").await.unwrap();
    let exports = std::fs::read_dir(app.path().join("exports")).unwrap();
    exports.for_each(|file| std::fs::remove_file(file.unwrap().path()).unwrap());
    let error = app.export("csv").await.unwrap_err();
    assert_eq!(error, "the result has expired: run the report again");
    app.export("csv").await.unwrap();
}

#[tokio::test]
async fn cached_report_stores_its_rows_while_it_makes_its_file() {
    let app = TestApp::new().await;
    app.report(
        "---\nid: 1\ntitle: Large\ncache: 1h\n---\nselect n, md5(n::varchar) as text from range(60000) as t(n) order by n",
    )
    .await;
    let mut answers = Vec::new();
    for format in ["arrow", "csv", "parquet"] {
        let job_id = app.submit(&format!("/queries/1/submit_export.{format}")).await;
        app.run_pending_jobs().await;
        let poll = format!("/queries/get_export_results.json?job_id={job_id}");
        assert_eq!(app.get(&poll).await.json()["status"], "success", "{format}");
        answers.push(app.get(&format!("/exports/download?job_id={job_id}")).await);
    }
    let arrow = arrow::ipc::reader::StreamReader::try_new(answers[0].body.as_slice(), None).unwrap();
    let rows: usize = arrow.map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows, 60_000);
    assert_eq!(answers[1].text().lines().count(), 60_001);
    let results = std::fs::read_dir(app.path().join("results")).unwrap();
    assert_eq!(results.count(), 1, "the query ran once");
    assert_eq!(
        std::fs::read_dir(app.path().join("tmp"))
            .unwrap()
            .filter(|entry| { entry.as_ref().unwrap().file_type().unwrap().is_file() })
            .count(),
        0
    );
}

#[tokio::test]
async fn sweep_removes_files_that_nothing_names() {
    let app = TestApp::new().await;
    let orphan = app.path().join("exports/77-1.csv");
    std::fs::write(&orphan, "published, never named").unwrap();
    app.worker.sweep().await.unwrap();
    assert!(!orphan.exists());
}
