//! Jobs in the hands of workers: who is next, leases, and cancelling.

use std::time::Duration;

use axum::http::Method;
use serde_json::Value;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::access::Role;
use crate::store::leases::Expired;
use crate::tests::TestApp;
use crate::worker::Ran;

const SLOW: &str = "select max(a.n * b.n) from range(10000000) a(n), range(10000000) b(n)";

/// No step here takes this long; a test that waits longer fails.
const PATIENCE: Duration = Duration::from_secs(60);

impl TestApp {
    async fn cancel(&self, job_id: i64) -> Value {
        self.put(&format!("/jobs/{job_id}/cancel.json")).await.json()
    }

    async fn job(&self, job_id: i64) -> Value {
        self.get(&format!("/jobs/{job_id}.json")).await.json()
    }

    async fn status(&self, job_id: i64) -> String {
        self.job(job_id).await["status"].as_str().unwrap().to_owned()
    }

    /// Works on the next job beside the test.
    fn start_next(&self) -> JoinHandle<Ran> {
        let (worker, mut stop) = (self.worker.clone(), self.stopping());
        tokio::spawn(async move { worker.run_next(&mut stop).await.unwrap() })
    }

    async fn until_status(&self, job_id: i64, status: &str) {
        let waiting = async {
            while self.status(job_id).await != status {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    }

    /// As if the worker of every job had not been heard of for a lease.
    async fn lose_workers(&self) -> Expired {
        let metadata = rusqlite::Connection::open(self.path().join("metadata.sqlite")).unwrap();
        let lose = "update jobs set lease_until = 0 where lease_until is not null";
        metadata.execute(lose, []).unwrap();
        self.worker
            .store
            .expire_leases(self.worker.config.attempts_max)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn queued_job_is_cancelled_at_once() {
    let app = TestApp::new().await;
    app.report_sql("select 42 as n").await;
    let query = app.submit("/queries/1/submit_query.json").await;
    let export = app.submit("/queries/1/submit_export.csv").await;
    assert_eq!(app.job(query).await["cancellable"], true);
    for job_id in [query, export, query] {
        assert_eq!(app.cancel(job_id).await, json!({"status": "OK"}));
    }
    app.run_pending_jobs().await;
    let job = app.job(query).await;
    assert_eq!(
        (&job["status"], &job["cancellable"], &job["duration"]),
        (&json!("cancelled"), &json!(false), &json!(-1.0))
    );
    let page = app
        .get(&format!("/queries/get_query_results.json?job_id={query}"))
        .await;
    assert_eq!(
        page.json(),
        json!({"status": "cancelled", "error": "the job was cancelled", "errors": ["the job was cancelled"], "code": "cancelled"})
    );
    let file = app
        .get(&format!("/queries/get_export_results.json?job_id={export}"))
        .await
        .json();
    assert_eq!(
        (&file["status"], &file["error"]),
        (&json!("failure"), &json!("the job was cancelled"))
    );
    let download = app.get(&format!("/exports/download?job_id={export}")).await;
    assert_eq!(download.status, 422);
    let again = app.submit("/queries/1/submit_query.json").await;
    assert_ne!(again, query, "a cancelled job is not joined");
}

#[tokio::test(flavor = "multi_thread")]
async fn running_job_stops_when_told() {
    let app = TestApp::new().await;
    app.report_sql(SLOW).await;
    for path in ["/queries/1/submit_query.json", "/queries/1/submit_export.csv"] {
        let job_id = app.submit(path).await;
        let running = app.start_next();
        app.until_status(job_id, "running").await;
        let poll = format!("/jobs/{job_id}/get_results.json?_wait=50");
        let (waited, _) = tokio::join!(app.get(&poll), app.cancel(job_id));
        assert_eq!(running.await.unwrap(), Ran::Job(job_id));
        assert!(
            waited.json()["error"].as_str().unwrap().contains("cancelled"),
            "{}",
            waited.text()
        );
        assert_eq!(app.status(job_id).await, "cancelled");
        assert_eq!(app.cancel(job_id).await, json!({"status": "OK"}));
    }
    app.report_sql("select 42 as n").await;
    assert_eq!(app.page().await["values"], json!([["42"]]));
}

#[tokio::test]
async fn only_owner_and_administrator_cancel() {
    let app = TestApp::new().await;
    app.report_sql("select 42 as n").await;
    let job_id = app.submit("/queries/1/submit_query.json").await;
    let path = format!("/jobs/{job_id}/cancel.json");
    let bob = app.key_of("bob@example.com", crate::access::Role::Viewer).await;
    let bob = [("X-Holistics-Key", bob.as_str())];
    assert_eq!(app.send(Method::PUT, &path, &bob, "").await.status, 404);
    let joined = app
        .send(Method::GET, "/queries/1/submit_query.json", &bob, "")
        .await;
    assert_eq!(joined.json()["status"], "already_existed");
    let refused = app.send(Method::PUT, &path, &bob, "").await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(app.status(job_id).await, "queued");
    let root = app
        .key_of("root@example.com", crate::access::Role::Administrator)
        .await;
    let root = [("X-Holistics-Key", root.as_str())];
    assert_eq!(app.send(Method::PUT, &path, &root, "").await.status, 200);
    assert_eq!(app.status(job_id).await, "cancelled");
    for path in ["/jobs/99/cancel.json", "/jobs/x/cancel.json"] {
        assert_eq!(app.put(path).await.status, 404);
    }
}

#[tokio::test]
async fn finished_job_stays_as_it_is() {
    let app = TestApp::new().await;
    app.report_sql("select 42 as n").await;
    let job_id = app.submit("/queries/1/submit_query.json").await;
    app.run_pending_jobs().await;
    assert_eq!(app.cancel(job_id).await, json!({"status": "OK"}));
    assert_eq!(app.status(job_id).await, "success");
}

#[tokio::test]
async fn job_whose_lease_runs_out_is_queued_again_so_often() {
    let app = TestApp::new().await;
    app.report_sql("select 42 as n").await;
    let job_id = app.submit("/queries/1/submit_query.json").await;
    for attempt in 1..=3 {
        let claimed = app.worker.claim().await.unwrap().unwrap();
        assert_eq!(claimed.job.attempt, attempt);
        assert_eq!(
            app.worker.store.expire_leases(3).await.unwrap(),
            Expired::default(),
            "its lease is not over"
        );
        let (queued, ended) = if attempt < 3 { (1, 0) } else { (0, 1) };
        assert_eq!(app.lose_workers().await, Expired { queued, ended });
        let late = app.worker.store.renew(&claimed.job, 1_000_000).await.unwrap();
        assert_eq!(late, None);
    }
    let job = app.job(job_id).await;
    assert_eq!(job["status"], "failure");
    assert!(
        job["error"].as_str().unwrap().starts_with("worker lost: 3 times"),
        "{job}"
    );
}

#[tokio::test]
async fn cancelled_job_whose_worker_is_lost_has_ended() {
    let app = TestApp::new().await;
    app.report_sql("select 42 as n").await;
    let job_id = app.submit("/queries/1/submit_query.json").await;
    let claimed = app.worker.claim().await.unwrap().unwrap();
    app.cancel(job_id).await;
    assert_eq!(app.status(job_id).await, "cancelling");
    // What it has made comes too late.
    let error = crate::error::Error::invalid("no such column");
    assert!(app.worker.store.fail(&claimed.job, &error).await.is_err());
    assert_eq!(app.lose_workers().await, Expired { queued: 0, ended: 1 });
    assert_eq!(app.status(job_id).await, "cancelled");
    assert!(!app.worker.store.end_cancelled(&claimed.job).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_a_removed_report_stop() {
    let app = TestApp::new().await;
    app.report_sql(SLOW).await;
    let running_id = app.submit("/queries/1/submit_query.json").await;
    let running = app.start_next();
    app.until_status(running_id, "running").await;
    let queued_id = app.submit("/queries/1/submit_export.csv").await;
    app.report("---\nid: 2\ntitle: Other\n---\nselect 1 as n").await;
    let other_id = app.submit("/queries/2/submit_query.json").await;
    let poll = format!("/queries/get_query_results.json?job_id={running_id}&_wait=50");
    let (poll, ()) = tokio::join!(app.get(&poll), async {
        app.worker.store.remove_report(1, None).await.unwrap();
    });
    // The poll hears of it at once.
    assert_eq!(poll.status, 404);
    assert_eq!(running.await.unwrap(), Ran::Job(running_id));
    for (id, status) in [
        (running_id, "cancelled"),
        (queued_id, "cancelled"),
        (other_id, "queued"),
    ] {
        let found: String = sqlx::query_scalar("select status from jobs where id = $1")
            .bind(id)
            .fetch_one(&mut app.metadata().await)
            .await
            .unwrap();
        assert_eq!(found, status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_that_has_lost_its_job_lets_go() {
    let app = TestApp::with_config(|config| config.job_lease = Duration::from_millis(300)).await;
    app.report_sql(SLOW).await;
    let job_id = app.submit("/queries/1/submit_query.json").await;
    let running = app.start_next();
    app.until_status(job_id, "running").await;
    assert_eq!(app.lose_workers().await, Expired { queued: 1, ended: 0 });
    assert_eq!(running.await.unwrap(), Ran::Job(job_id));
    assert_eq!(app.status(job_id).await, "queued");
    assert_eq!(app.worker.claim().await.unwrap().unwrap().job.attempt, 2);
}

#[tokio::test]
async fn who_has_had_enough_leaves_a_job_to_those_who_joined_it() {
    let app = TestApp::new().await;
    app.report_sql("select 1 as n").await;
    let leave = async |id: i64| {
        let headers = [("X-Holistics-Key", app.key.as_str())];
        let path = format!("/jobs/{id}/cancel.json?_unless_joined=true");
        app.send(Method::PUT, &path, &headers, "").await.json()["status"].clone()
    };
    let alone = app.submit("/queries/1/submit_query.json").await;
    assert_eq!(leave(alone).await, "OK");
    assert_eq!(app.status(alone).await, "cancelled");
    // Two programs of one user are two.
    let shared = app.submit("/queries/1/submit_query.json").await;
    assert_eq!(app.submit("/queries/1/submit_query.json").await, shared);
    assert_eq!(leave(shared).await, "joined");
    assert_eq!(app.status(shared).await, "queued");
    app.run_pending_jobs().await;
    assert_eq!(leave(shared).await, "OK", "it is over");
    assert_eq!(app.status(shared).await, "success");
}

#[tokio::test]
async fn pages_come_before_files_and_users_take_turns() {
    let app = TestApp::with_config(|config| config.user_jobs_max = 2).await;
    app.report(
        "---\nid: 1\ntitle: Test\nfilters:\n  n: {type: number, default: 1}\n---\nselect {{ n }} as n",
    )
    .await;
    let store = &app.worker.store;
    let bob = app.key_of("bob@example.com", crate::access::Role::Viewer).await;
    let file = app.submit("/queries/1/submit_export.csv?n=1").await;
    let mut mine = Vec::new();
    for n in 1..=3 {
        mine.push(app.submit(&format!("/queries/1/submit_query.json?n={n}")).await);
    }
    let path = "/queries/1/submit_export.csv?n=2";
    let theirs = app
        .send(Method::GET, path, &[("X-Holistics-Key", &bob)], "")
        .await
        .json()["job_id"]
        .as_i64()
        .unwrap();
    for (job_id, position) in [(mine[0], 1), (mine[2], 3), (file, 4)] {
        assert_eq!(app.job(job_id).await["queue_position"], position);
    }
    let mut order = Vec::new();
    while let Some(claimed) = app.worker.claim().await.unwrap() {
        order.push(claimed.job);
    }
    let ids: Vec<i64> = order.iter().map(|job| job.id).collect();
    assert_eq!(ids, [mine[0], mine[1], theirs], "the others are over my limit");
    assert!(app.job(mine[0]).await["queue_position"].is_null());
    let error = crate::error::Error::invalid("no such column");
    store.fail(&order[0], &error).await.unwrap();
    assert_eq!(app.worker.claim().await.unwrap().unwrap().job.id, mine[2]);
    assert!(app.worker.claim().await.unwrap().is_none());
    store.fail(&order[1], &error).await.unwrap();
    assert_eq!(app.worker.claim().await.unwrap().unwrap().job.id, file);
}

#[tokio::test]
async fn source_takes_as_many_jobs_as_it_may() {
    let app = TestApp::with_config(|config| config.user_jobs_max = 100).await;
    let metadata = rusqlite::Connection::open(app.path().join("metadata.sqlite")).unwrap();
    let settings = "update sources set settings = '{\"concurrency\":2}' where id = 1";
    metadata.execute(settings, []).unwrap();
    app.report(
        "---\nid: 1\ntitle: Test\nfilters:\n  n: {type: number, default: 1}\n---\nselect {{ n }} as n",
    )
    .await;
    for n in 1..=3 {
        app.submit(&format!("/queries/1/submit_query.json?n={n}")).await;
    }
    let first = app.worker.claim().await.unwrap().unwrap();
    assert!(app.worker.claim().await.unwrap().is_some());
    assert!(app.worker.claim().await.unwrap().is_none());
    let error = crate::error::Error::invalid("no such column");
    app.worker.store.fail(&first.job, &error).await.unwrap();
    assert!(app.worker.claim().await.unwrap().is_some());
}

#[tokio::test]
async fn queue_that_is_full_refuses_and_half_of_it_is_left_to_others() {
    let app = TestApp::with_config(|config| config.queue_max = 4).await;
    app.report(
        "---\nid: 1\ntitle: Test\nfilters:\n  n: {type: number, default: 1}\n---\nselect {{ n }} as n",
    )
    .await;
    let path = |n: i64| format!("/queries/1/submit_query.json?n={n}");
    app.submit(&path(1)).await;
    app.submit(&path(2)).await;
    let refused = app.get(&path(3)).await;
    assert_eq!(refused.status, 429);
    assert_eq!(
        refused.json()["errors"][0],
        "2 jobs of yours are queued already (half of the setting `queue_max`): try again later"
    );
    assert_eq!(refused.header("Retry-After"), "5");
    assert_eq!(app.get(&path(2)).await.json()["status"], "already_existed");
    let bob = app.key_of("bob@example.com", Role::Viewer).await;
    let cid = app.key_of("cid@example.com", Role::Viewer).await;
    let send = async |key: &str, n: i64| {
        app.send(Method::GET, &path(n), &[("X-Holistics-Key", key)], "")
            .await
    };
    for n in [4, 5] {
        assert_eq!(send(&bob, n).await.status, 200);
    }
    let refused = send(&cid, 6).await;
    assert_eq!(
        refused.json()["errors"][0],
        "4 jobs are queued already (setting `queue_max`): try again later"
    );
    app.run_pending_jobs().await;
    app.submit(&path(3)).await;
}

#[tokio::test]
async fn an_export_of_rows_that_have_become_too_old_is_joined_by_nobody() {
    let app = TestApp::new().await;
    app.report("---\nid: 1\ntitle: Test\ncache: 1h\n---\nselect random() as r")
        .await;
    app.submit("/queries/1/submit_query.json").await;
    app.run_pending_jobs().await;
    let export = "/queries/1/submit_export.csv";
    let waiting = app.submit(export).await;
    assert_eq!(app.submit(export).await, waiting);
    let keyed = app.get_with(export, &[("Idempotency-Key", "a")]).await.json();
    assert_eq!(
        keyed,
        json!({"status": "already_existed", "job_id": waiting}),
        "with a key of its own, too"
    );
    let metadata = rusqlite::Connection::open(app.path().join("metadata.sqlite")).unwrap();
    metadata
        .execute("update results set created_at = created_at - 7200000000", [])
        .unwrap();
    let answer = app.get(export).await.json();
    assert_eq!(answer["status"], "created");
    assert_ne!(answer["job_id"], waiting);
    // Nor are rows of a time to come fresh.
    metadata
        .execute("update results set created_at = created_at + 36000000000", [])
        .unwrap();
    assert_ne!(app.submit("/queries/1/submit_query.json").await, 1);
}

#[tokio::test]
async fn a_submit_that_is_sent_again_may_wait_otherwise() {
    let app = TestApp::new().await;
    app.report("---\nid: 1\ntitle: Test\nfilters:\n  n: {type: number, default: 1}\n---\nselect {{ n }}")
        .await;
    let send = async |query: &str| {
        let path = format!("/queries/1/submit_query.json?{query}");
        app.get_with(&path, &[("Idempotency-Key", "a")]).await
    };
    let first = send("n=1").await.json();
    assert_eq!(
        send("n=1&_wait=0.01&_=123&_page=2").await.json()["job_id"],
        first["job_id"]
    );
    assert_eq!(send("n=1&_truncate=true").await.status, 409);
    assert_eq!(send("n=2").await.status, 409);
}

#[tokio::test]
async fn cache_off_runs_anew() {
    let app = TestApp::new().await;
    app.report("---\nid: 1\ntitle: Test\ncache: 1h\n---\nselect random() as r")
        .await;
    let path = "/queries/1/submit_query.json";
    let first = app.submit(path).await;
    let live = app.submit(&format!("{path}?_cache=off")).await;
    assert_ne!(live, first, "a run that has begun may have read what was before");
    app.run_pending_jobs().await;
    let fresh = app.submit(&format!("{path}?_cache=off")).await;
    app.run_pending_jobs().await;
    assert!(fresh > live);
    assert_eq!(app.submit(path).await, fresh, "what it has found is used again");
    let wrong = app.get(&format!("{path}?_cache=never")).await;
    assert_eq!(
        wrong.json()["errors"][0],
        "`_cache` must be `on` or `off`, got `never`"
    );
}

#[tokio::test]
async fn submit_that_is_sent_again_is_the_same_job() {
    let app = TestApp::new().await;
    app.report(
        "---\nid: 1\ntitle: Test\nfilters:\n  n: {type: number, default: 1}\n---\nselect {{ n }} as n, random() as r",
    )
    .await;
    let send = async |path: &str, key: &str| {
        let headers = [("X-Holistics-Key", app.key.as_str()), ("Idempotency-Key", key)];
        app.send(Method::GET, path, &headers, "").await
    };
    let query = "/queries/1/submit_query.json?n=1&_cache=off";
    let first = send(query, "a").await.json();
    app.run_pending_jobs().await;
    // Also when the job is over, and under another order of the same.
    assert_eq!(
        send("/queries/1-test/submit_query.json?_cache=off&n=1", "a")
            .await
            .json(),
        first
    );
    assert_ne!(send(query, "b").await.json(), first);
    for other in [
        "/queries/1/submit_query.json?n=2&_cache=off",
        "/queries/1/submit_export.csv?n=1&_cache=off",
    ] {
        let refused = send(other, "a").await;
        assert_eq!(refused.status, 409, "{}", refused.text());
        assert!(
            refused.text().contains("was used for another request"),
            "{}",
            refused.text()
        );
    }
    // A key is its user's.
    let bob = app.key_of("bob@example.com", crate::access::Role::Viewer).await;
    let headers = [("X-Holistics-Key", bob.as_str()), ("Idempotency-Key", "a")];
    let theirs = app.send(Method::GET, query, &headers, "").await.json();
    assert_ne!(theirs["job_id"], first["job_id"]);
    for key in ["", "ä", &"k".repeat(256)] {
        assert_eq!(send(query, key).await.status, 422, "{key}");
    }
    // After a day it is forgotten.
    let metadata = rusqlite::Connection::open(app.path().join("metadata.sqlite")).unwrap();
    let day_ago = "update idempotency_keys set created_at = created_at - 24 * 3600 * 1000000";
    metadata.execute(day_ago, []).unwrap();
    assert_ne!(send(query, "a").await.json(), first);
    app.worker.sweep().await.unwrap();
    let left: i64 = metadata
        .query_row("select count(*) from idempotency_keys", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 1);
}

#[tokio::test]
async fn upload_that_is_sent_again_is_the_same_import() {
    let app = TestApp::new().await;
    app.worker
        .store
        .set_can_import("ann@example.com", true)
        .await
        .unwrap();
    let send = async |rows: &str, key: &str| {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"dest_ds_id\"\r\n\r\n1\r\n\
             --b\r\nContent-Disposition: form-data; name=\"dest_table_name\"\r\n\r\nt\r\n\
             --b\r\nContent-Disposition: form-data; name=\"mode\"\r\n\r\nappend\r\n\
             --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"t.csv\"\r\n\r\n{rows}\r\n--b--\r\n"
        );
        let headers = [
            ("X-Holistics-Key", app.key.as_str()),
            ("Content-Type", "multipart/form-data; boundary=b"),
            ("Idempotency-Key", key),
        ];
        app.send(Method::POST, "/data_imports/import_csv.json", &headers, body)
            .await
    };
    let first = send("id\n1", "a").await.json();
    app.run_pending_jobs().await;
    assert_eq!(send("id\n1", "a").await.json(), first);
    assert_eq!(send("id\n2", "a").await.status, 409);
    app.run_pending_jobs().await;
    app.report_sql("select count(*) from t").await;
    assert_eq!(app.page().await["values"], json!([["1"]]));
    assert_eq!(std::fs::read_dir(app.path().join("uploads")).unwrap().count(), 1);
}
