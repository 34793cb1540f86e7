//! Imports as clients see them: what is refused, what is told, what is kept.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::Method;
use bytesize::ByteSize;
use futures::StreamExt as _;
use serde_json::Value;
use serde_json::json;

use crate::source::NewSource;
use crate::source::SourceKind;
use crate::source::SourceSettings;
use crate::source::tests::writable;
use crate::tests::Answer;
use crate::tests::TestApp;

const PEOPLE: &[(&str, &str)] = &[("dest_ds_id", "1"), ("dest_table_name", "people")];

async fn app() -> TestApp {
    let app = TestApp::new().await;
    allow(&app).await;
    app
}

async fn allow(app: &TestApp) {
    app.worker
        .store
        .set_can_import("ann@example.com", true)
        .await
        .unwrap();
}

/// The job that came of an upload.
async fn job_of(app: &TestApp, answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    app.run_pending_jobs().await;
    let job_id = &answer.json()["job_id"];
    app.get(&format!("/jobs/{job_id}.json")).await.json()
}

async fn import(app: &TestApp, file: &[u8]) -> Value {
    job_of(app, &app.upload(PEOPLE, file).await).await
}

async fn values(app: &TestApp, sql: &str) -> Value {
    app.report_sql(sql).await;
    app.page().await["values"].clone()
}

fn uploads(app: &TestApp) -> usize {
    std::fs::read_dir(app.path().join("uploads")).unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_before_anything_is_kept() {
    let app = TestApp::new().await;
    let refused = app.upload(PEOPLE, b"id\n1\n").await;
    assert_eq!(refused.status, 403);
    assert!(
        refused.text().contains("ann@example.com may not import"),
        "{}",
        refused.text()
    );
    allow(&app).await;
    let settings = SourceSettings::default();
    let new = NewSource::new(
        "locked".to_owned(),
        SourceKind::Sqlite,
        "/locked.db",
        None,
        settings,
    )
    .unwrap();
    let locked = app
        .worker
        .store
        .add_source(&new, None, false)
        .await
        .unwrap()
        .to_string();
    for (fields, status, words) in [
        (
            vec![("dest_table_name", "people")],
            422,
            "`dest_ds_id` is missing",
        ),
        (vec![("dest_ds_id", "1")], 422, "`dest_table_name` is missing"),
        (
            vec![("dest_ds_id", "99"), ("dest_table_name", "people")],
            422,
            "no data source `99`",
        ),
        (
            vec![("dest_ds_id", "x"), ("dest_table_name", "people")],
            422,
            "`dest_ds_id` must be",
        ),
        (
            vec![("dest_ds_id", &locked), ("dest_table_name", "people")],
            403,
            "`locked` is not writable",
        ),
        (
            vec![("dest_ds_id", "1"), ("dest_table_name", "hr.people")],
            422,
            "give `hr` as `dest_schema_name` and `people` as `dest_table_name`",
        ),
        (
            [PEOPLE, &[("max_error", "5")]].concat(),
            422,
            "there is no field `max_error`; known are dest_ds_id,",
        ),
        (
            [PEOPLE, &[("mode", "merge")]].concat(),
            422,
            "replace, append or fail",
        ),
        (
            [PEOPLE, &[("schema", "id:number of things")]].concat(),
            422,
            "number of things",
        ),
        (
            [PEOPLE, &[("delimiter", ";;")]].concat(),
            422,
            "`delimiter` must be",
        ),
        ([PEOPLE, &[("encoding", "ebcdic")]].concat(), 422, "ebcdic"),
        (
            [PEOPLE, &[("max_errors", "-1")]].concat(),
            422,
            "`max_errors` must be",
        ),
        (
            [PEOPLE, &[("sha256", "00ff")]].concat(),
            422,
            "not 00ff: send it again",
        ),
        (
            vec![("dest_ds_id", "1"), ("dest_table_name", "holistics_imports")],
            422,
            "must not begin with",
        ),
        (
            vec![("dest_ds_id", "1"), ("dest_table_name", "a\tb")],
            422,
            "without control characters",
        ),
    ] {
        let answer = app.upload(&fields, b"id\n1\n").await;
        assert_eq!(answer.status, status, "{fields:?}: {}", answer.text());
        assert!(answer.text().contains(words), "{fields:?}: {}", answer.text());
    }
    assert_eq!(uploads(&app), 0);
    assert_eq!(app.get("/data_imports.json").await.json(), json!([]));
    let no_form = app.post("/data_imports/import_csv.json", "{}").await;
    assert!(
        no_form.text().contains("must be multipart/form-data"),
        "{}",
        no_form.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_that_breaks_off_leaves_nothing() {
    let app = app().await;
    let head = "--between\r\nContent-Disposition: form-data; name=\"dest_ds_id\"\r\n\r\n1\r\n\
                --between\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.csv\"\r\n\r\nid\n1\n2";
    let answer = app.send_upload(head).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    let broken = futures::stream::iter([
        Ok(head.to_owned()),
        Err(std::io::Error::other("the cable is out")),
    ]);
    let answer = app.send_upload(Body::from_stream(broken)).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(
        answer.text().contains("the body cannot be read"),
        "{}",
        answer.text()
    );
    assert_eq!(uploads(&app), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn file_over_the_limit_is_refused() {
    let app = TestApp::with_config(|config| config.upload_bytes_max = ByteSize::kib(64)).await;
    allow(&app).await;
    let answer = app.upload(PEOPLE, "id\n".repeat(30_000).as_bytes()).await;
    assert_eq!(answer.status, 413);
    assert!(
        answer
            .text()
            .contains("over the limit of 64.0 KiB (setting `upload_bytes_max`)"),
        "{}",
        answer.text()
    );
    assert_eq!(uploads(&app), 0);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all("id\n".repeat(30_000).as_bytes()).unwrap();
    let job = import(&app, &packed.finish().unwrap()).await;
    assert!(
        job["error"].as_str().unwrap().contains("upload_bytes_max"),
        "{job}"
    );
    assert_eq!(
        std::fs::read_dir(app.path().join("tmp"))
            .unwrap()
            .filter(|entry| {
                entry
                    .as_ref()
                    .unwrap()
                    .file_name()
                    .to_string_lossy()
                    .starts_with("job-")
            })
            .count(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_over_the_limit_are_refused() {
    let app = TestApp::with_config(|config| config.request_bytes_max = ByteSize::kib(64)).await;
    allow(&app).await;
    let long = "x".repeat(40_000);
    let names = "n".repeat(70_000);
    // Empty ones take room too.
    let many: Vec<String> = (0..1_000).map(|number| format!("name{number}")).collect();
    for fields in [
        // Each alone would do.
        vec![("null", long.as_str()), ("schema", long.as_str())],
        vec![(names.as_str(), "")],
        many.iter().map(|name| (name.as_str(), "")).collect(),
    ] {
        let answer = app.upload(&fields, b"id\n1\n").await;
        assert_eq!(answer.status, 413, "{}", answer.text());
        assert!(answer.text().contains("`request_bytes_max`"), "{}", answer.text());
        assert_eq!(uploads(&app), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_null_that_is_too_long_is_refused() {
    let app = TestApp::new().await;
    allow(&app).await;
    let fields = |null| [("dest_ds_id", "1"), ("dest_table_name", "people"), ("null", null)];
    let long = "ä".repeat(101);
    let answer = app.upload(&fields(&long), b"id\n1\n").await;
    assert_eq!(answer.status, 422);
    assert!(
        answer
            .text()
            .contains("`null` must be a text of at most 100 characters, got `ää"),
        "{}",
        answer.text()
    );
    assert_eq!(app.upload(&fields(&long[2..]), b"id\n1\n").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_which_no_part_begins_is_not_gathered() {
    let app = TestApp::new().await;
    for allowed in [false, true] {
        if allowed {
            allow(&app).await;
        }
        let taken = Arc::new(AtomicU64::new(0));
        let counted = taken.clone();
        let pieces = futures::stream::iter(0..64).map(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(vec![b'x'; 1 << 20])
        });
        let answer = app.send_upload(Body::from_stream(pieces)).await;
        assert_eq!(
            answer.status,
            if allowed { 422 } else { 403 },
            "{}",
            answer.text()
        );
        // What is left is read, and not kept.
        assert_eq!(taken.load(Ordering::Relaxed), 64);
        assert!(
            !allowed || answer.text().contains("no part begins"),
            "{}",
            answer.text()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_no_tables_fail_and_say_why() {
    let app = app().await;
    import(&app, b"id\n1\n").await;
    let long = format!("id\n{}", "x".repeat(65 << 20));
    for (file, words) in [
        (b"".as_slice(), "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (b"id,name\n1,a\n2\n", "line 3"),
        (b"id,name\n1,a\n2,b,c\n", "line 3"),
        (b"id,name\n1,a\x00b\n", "line 2"),
        (b"id,name\n1,\xc3\xa4\n2,\xff\n", "line 3"),
        (b"id,name\n1,\"a\n", "line 2"),
        (b"\x1f\x8b\x08\x00garbage", "gzip"),
        (long.as_bytes(), "line 2"),
    ] {
        let job = import(&app, file).await;
        assert_eq!(job["status"], "failure", "{job}");
        assert!(job["error"].as_str().unwrap().contains(words), "{words}: {job}");
    }
    assert_eq!(values(&app, "select id from people").await, json!([["1"]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn cells_may_be_large_and_columns_many() {
    let app = app().await;
    let cell = "ä".repeat(5 << 20);
    let job = import(&app, format!("id,cell\n1,\"{cell}\"\n").as_bytes()).await;
    assert_eq!(job["status"], "success", "{job}");
    let found = values(
        &app,
        "select length(cell), md5(cell) = md5(repeat('ä', 5242880)) from people",
    )
    .await;
    assert_eq!(found, json!([["5242880", "true"]]));
    app.load("drop table people");
    let wide = wide_file();
    let job = import(&app, wide.as_bytes()).await;
    let error = job["error"].as_str().unwrap();
    assert!(error.contains("raise `warehouse_memory_max`"), "{error}");
    let there = "select count(*) from information_schema.tables where table_name = 'people'";
    assert_eq!(values(&app, there).await, json!([["0"]]));
    let app = TestApp::with_config(|config| config.warehouse_memory_max = ByteSize::gib(2)).await;
    allow(&app).await;
    let job = import(&app, wide.as_bytes()).await;
    assert_eq!(job["status"], "success", "{job}");
    assert_eq!(
        values(&app, "select c0, c19999 from people").await,
        json!([["0", "19999"]])
    );
}

fn wide_file() -> String {
    let names: Vec<String> = (0..20_000).map(|number| format!("c{number}")).collect();
    let numbers: Vec<String> = (0..20_000).map(|number| number.to_string()).collect();
    format!("{}\n{}\n", names.join(","), numbers.join(","))
}

#[tokio::test(flavor = "multi_thread")]
async fn import_is_kept_shown_and_run_again() {
    let app = app().await;
    let job = import(&app, b"id,when\n1,2026-01-31\n").await;
    assert_eq!(job["status"], "success", "{job}");
    assert_eq!(
        (&job["source_type"], &job["source_method"], &job["source_id"]),
        (&json!("DataImport"), &json!("import"), &json!(1))
    );
    let mut shown = app.get("/data_imports/1.json").await.json();
    assert_eq!(app.get("/data_imports.json").await.json(), json!([shown]));
    for time in ["created_at", "updated_at", "last_run"] {
        assert!(shown[time].as_str().unwrap().starts_with("20"), "{shown}");
        shown.as_object_mut().unwrap().remove(time);
    }
    shown["source_config"]
        .as_object_mut()
        .unwrap()
        .remove("expires_at");
    assert_eq!(
        shown,
        json!({
            "id": 1, "title": "people.csv to people", "owner_id": 1, "owner_name": "Ann",
            "source_type": "Csv", "source_label": "people.csv",
            "source_config": {
                "file_name": "people.csv", "bytes": 21,
                "sha256": "8ae86d77182a0cd9446e4199ef8dbc8b5aca39d6ea609f63c49e0a5d73092e69",
            },
            "dest_ds_id": 1, "dest_schema_name": null, "dest_table_name": "people", "import_mode": "replace",
            "table_config": {"columns": [
                {"source_expression": "id", "column_name": "id", "data_type": "integer", "is_nullable": false},
                {"source_expression": "when", "column_name": "when", "data_type": "date", "is_nullable": false},
            ]},
            "last_run_job": {"id": job["id"], "status": "success"},
        })
    );
    app.load("drop table people");
    let execute = async |id: &str| {
        let headers = [("X-Holistics-Key", app.key.as_str())];
        app.send(
            Method::POST,
            &format!("/data_imports/{id}/execute.json"),
            &headers,
            "",
        )
        .await
    };
    let first = execute("1").await;
    let second = execute("1").await.json();
    assert_eq!(second["status"], "already_existed");
    assert_eq!(second["job_id"], first.json()["job_id"]);
    assert_eq!(job_of(&app, &first).await["status"], "success");
    assert_eq!(values(&app, "select id from people").await, json!([["1"]]));
    assert_eq!(execute("2").await.status, 404);
    let metadata = rusqlite::Connection::open(app.path().join("metadata.sqlite")).unwrap();
    metadata
        .execute("update data_imports set expires_at = 0", [])
        .unwrap();
    app.worker.sweep().await.unwrap();
    assert_eq!(uploads(&app), 0);
    let late = execute("1").await;
    assert_eq!(late.status, 409);
    assert!(late.text().contains("has expired"), "{}", late.text());
    // It is remembered as long as its jobs are.
    metadata.execute("update jobs set created_at = 0", []).unwrap();
    app.worker.sweep().await.unwrap();
    assert_eq!(app.get("/data_imports/1.json").await.status, 200);
    metadata
        .execute("update data_imports set created_at = 0", [])
        .unwrap();
    app.worker.sweep().await.unwrap();
    assert_eq!(app.get("/data_imports/1.json").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_see_no_import_of_mine() {
    let app = app().await;
    let job = import(&app, b"id\n1\n").await;
    let bob = app
        .worker
        .store
        .add_user("bob@example.com", "Bob", crate::access::Role::Analyst, true)
        .await
        .unwrap();
    let key = crate::tests::add_key(&app.worker, &bob).await;
    let headers = [("X-Holistics-Key", key.as_str())];
    let job_id = &job["id"];
    for path in [
        "/data_imports/1.json".to_owned(),
        format!("/jobs/{job_id}/logs.json"),
        format!("/jobs/{job_id}/rejects.csv"),
    ] {
        assert_eq!(
            app.send(Method::GET, &path, &headers, "").await.status,
            404,
            "{path}"
        );
    }
    assert_eq!(
        app.send(Method::GET, "/data_imports.json", &headers, "")
            .await
            .json(),
        json!([])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_of_an_import_say_where_to_look() {
    let app = app().await;
    let answer = app.upload(PEOPLE, b"id\n1\n").await;
    let job_id = &answer.json()["job_id"];
    let results = format!("/jobs/{job_id}/get_results.json");
    assert_eq!(app.get(&results).await.json(), json!({"status": "queued"}));
    app.run_pending_jobs().await;
    assert_eq!(app.get(&results).await.json(), json!({"status": "success"}));
    for poll in ["get_query_results", "get_export_results"] {
        let answer = app.get(&format!("/queries/{poll}.json?job_id={job_id}")).await;
        assert_eq!(answer.status, 422);
        assert!(answer.text().contains("is of an import"), "{}", answer.text());
    }
    let logs = app.get(&format!("/jobs/{job_id}/logs.json")).await.json();
    let lines = logs["logs"].as_array().unwrap();
    let last = lines.last().unwrap();
    assert_eq!(last["message"], "1 row is in `people`");
    let after = app
        .get(&format!("/jobs/{job_id}/logs.json?last_id={}", last["id"]))
        .await
        .json();
    assert_eq!(after, json!({"logs": [], "has_more": false}));
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_nothing_names_go_at_the_next_start() {
    let app = app().await;
    import(&app, b"id\n1\n").await;
    std::fs::write(app.path().join("uploads/left-by-a-crash"), "id\n").unwrap();
    let (folder, worker) = app.into_parts();
    worker.store.close().await;
    let config = (*worker.config).clone();
    drop(worker);
    crate::worker::Worker::open(config).await.unwrap();
    let left: Vec<_> = std::fs::read_dir(folder.path().join("uploads"))
        .unwrap()
        .collect();
    assert_eq!(left.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_are_no_source() {
    let app = app().await;
    let url = app.path().join("metadata.sqlite").display().to_string();
    let new = NewSource::new("own".to_owned(), SourceKind::Sqlite, &url, None, writable()).unwrap();
    let id = app
        .worker
        .store
        .add_source(&new, None, false)
        .await
        .unwrap()
        .to_string();
    let fields = [("dest_ds_id", id.as_str()), ("dest_table_name", "users")];
    let job = job_of(&app, &app.upload(&fields, b"id\n1\n").await).await;
    assert!(
        job["error"]
            .as_str()
            .unwrap()
            .contains("the server's own metadata"),
        "{job}"
    );
}
