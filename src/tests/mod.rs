//! The API as clients see it: a real data folder, a real warehouse, requests through the whole router.
//! Jobs are driven step by step, so nothing here waits or sleeps.

mod api;
mod audit;
mod bad_input;
mod cors;
mod downloads;
mod feeds;
mod filters;
mod imports;
mod job_lists;
mod jobs;
mod keys;
mod limits;
mod matrix;
mod options;
mod pages;
mod queue;
mod queue_model;
mod revoked;
mod rights;
mod same_data;
mod wait;

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use axum::Router;
use axum::body::Body;
use axum::body::to_bytes;
use axum::http::HeaderMap;
use axum::http::Method;
use axum::http::Request;
use axum::http::StatusCode;
use serde_json::Value;
use sqlx::Connection as _;
use sqlx::SqliteConnection;
use tempfile::TempDir;
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::access::KeyTerms;
use crate::access::Role;
use crate::api_key::PlainKey;
use crate::config::Config;
use crate::http;
use crate::query::file::parse_report;
use crate::user::User;
use crate::worker::Ran;
use crate::worker::Worker;

/// A server on a folder of its own, without sockets.
pub(crate) struct TestApp {
    pub(crate) folder: TempDir,
    pub(crate) worker: Worker,
    pub(crate) user: User,
    pub(crate) key: String,
    router: Router,
    stop: watch::Sender<bool>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl TestApp {
    pub(crate) async fn new() -> Self {
        Self::with_config(|_| {}).await
    }

    pub(crate) async fn with_config(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::in_folder(folder.path()).unwrap();
        change(&mut config);
        let worker = Worker::open(config).await.unwrap();
        let user = worker
            .store
            .add_user("ann@example.com", "Ann", Role::Analyst, true)
            .await
            .unwrap();
        let key = add_key(&worker, &user).await;
        let (stop, stopping) = watch::channel(false);
        Self {
            router: http::router(http::App {
                limits: std::sync::Arc::default(),
                store: worker.store.clone(),
                objects: worker.objects.clone(),
                config: worker.config.clone(),
                queued: worker.queued.clone(),
                stop: stopping,
            }),
            folder,
            worker,
            user,
            key,
            stop,
        }
    }

    /// A key of another user.
    pub(crate) async fn key_of(&self, email: &str, role: Role) -> String {
        let added = self.worker.store.add_user(email, email, role, true).await;
        add_key(&self.worker, &added.unwrap()).await
    }

    /// Runs SQL that writes, as an import would.
    pub(crate) fn load(&self, sql: &str) {
        self.worker
            .warehouse
            .connect()
            .unwrap()
            .execute_batch(sql)
            .unwrap();
    }

    /// Applies a report given as a file's text, for everyone.
    pub(crate) async fn report(&self, text: &str) {
        let report = parse_report("report.sql", text).unwrap();
        let id = report.id;
        let store = &self.worker.store;
        store.apply_reports(&[report], None, false).await.unwrap();
        store
            .set_shares(id, &["everyone".to_owned()], None)
            .await
            .unwrap();
    }

    /// Applies report 1 with this SQL and no filters.
    pub(crate) async fn report_sql(&self, sql: &str) {
        self.report(&format!("---\nid: 1\ntitle: Test\n---\n{sql}")).await;
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[("X-Holistics-Key", &self.key)], "")
            .await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut all = vec![("X-Holistics-Key", self.key.as_str())];
        all.extend_from_slice(headers);
        self.send(Method::GET, path, &all, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        let headers = [
            ("X-Holistics-Key", self.key.as_str()),
            ("Content-Type", "application/json"),
        ];
        self.send(Method::POST, path, &headers, body.to_owned()).await
    }

    pub(crate) async fn put(&self, path: &str) -> Answer {
        let headers = [("X-Holistics-Key", self.key.as_str())];
        self.send(Method::PUT, path, &headers, "").await
    }

    /// Uploads a file to be imported, the fields before it.
    pub(crate) async fn upload(&self, fields: &[(&str, &str)], file: &[u8]) -> Answer {
        let mut body = Vec::new();
        for (name, value) in fields {
            let part =
                format!("--between\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            body.extend_from_slice(part.as_bytes());
        }
        let part =
            "--between\r\nContent-Disposition: form-data; name=\"file\"; filename=\"people.csv\"\r\n\r\n";
        body.extend_from_slice(part.as_bytes());
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n--between--\r\n");
        self.send_upload(body).await
    }

    /// Sends the body of an upload as it is.
    pub(crate) async fn send_upload(&self, body: impl Into<Body>) -> Answer {
        let headers = [
            ("X-Holistics-Key", self.key.as_str()),
            ("Content-Type", "multipart/form-data; boundary=between"),
        ];
        self.send(Method::POST, "/data_imports/import_csv.json", &headers, body)
            .await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.request(request.body(body.into()).unwrap()).await
    }

    pub(crate) async fn request(&self, request: Request<Body>) -> Answer {
        let response = self
            .router
            .clone()
            .oneshot(http::layers::tidy_path(request))
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: to_bytes(body, usize::MAX).await.unwrap().to_vec(),
        }
    }

    /// Submits and says the job's id.
    pub(crate) async fn submit(&self, path: &str) -> i64 {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()["job_id"].as_i64().unwrap()
    }

    pub(crate) async fn run_pending_jobs(&self) {
        let mut stop = self.stop.subscribe();
        while let Ran::Job(_) = self.worker.run_next(&mut stop).await.unwrap() {}
    }

    /// Runs report 1 to a file of this format and says what the download holds.
    pub(crate) async fn export(&self, format: &str) -> Result<Vec<u8>, String> {
        let job_id = self.submit(&format!("/queries/1/submit_export.{format}")).await;
        self.run_pending_jobs().await;
        let poll = self
            .get(&format!("/queries/get_export_results.json?job_id={job_id}"))
            .await
            .json();
        if poll["status"] != "success" {
            return Err(poll["error"].as_str().unwrap().to_owned());
        }
        let answer = self.get(&format!("/exports/download?job_id={job_id}")).await;
        assert_eq!(answer.status, 200);
        Ok(answer.body)
    }

    /// Runs report 1 and says its first page.
    pub(crate) async fn page(&self) -> Value {
        let job_id = self.submit("/queries/1/submit_query.json").await;
        self.run_pending_jobs().await;
        self.get(&format!(
            "/queries/get_query_results.json?job_id={job_id}&_page_size=1000"
        ))
        .await
        .json()
    }

    /// Turns true when the server is told to stop.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Tells the server to stop.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// What outlives a crash, and the worker that is to go with it.
    pub(crate) fn into_parts(self) -> (TempDir, Worker) {
        (self.folder, self.worker)
    }

    /// The metadata, past the store.
    pub(crate) async fn metadata(&self) -> SqliteConnection {
        let file = self.path().join("metadata.sqlite");
        SqliteConnection::connect(file.to_str().unwrap()).await.unwrap()
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status and body on one line, for snapshots.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.status, self.text())
    }
}

/// Eyes that see everything.
pub(crate) fn all() -> crate::access::Sight {
    crate::access::Sight::of_the_server()
}

pub(crate) async fn add_key(worker: &Worker, user: &User) -> String {
    let (_, key) = add_key_with(worker, user.id, &KeyTerms::default()).await;
    key.reveal().to_owned()
}

/// A key with these terms, behind its id.
pub(crate) async fn add_key_with(worker: &Worker, user_id: i64, terms: &KeyTerms) -> (i64, PlainKey) {
    let key = PlainKey::generate().unwrap();
    let id = worker.store.add_key(user_id, "test", &key.hash(), terms).await;
    (id.unwrap(), key)
}

/// What a script of Python prints that finds a file's path in `sys.argv[1]`, and `arguments` behind it.
/// It must succeed. `None` where there is no Python.
pub(crate) fn python(file_name: &str, bytes: &[u8], script: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    let mut python = reader("python")?;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file_name);
    std::fs::write(&path, bytes).unwrap();
    let output = python
        .args(["-c", script])
        .arg(&path)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(output.stdout)
}

/// A program of the independent readers, which `scripts/test` installs. `None` where they are not,
/// which only CI does not forgive.
pub(crate) fn reader(program: &str) -> Option<Command> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(".venv/bin")
        .join(program);
    if path.exists() {
        return Some(Command::new(path));
    }
    assert!(std::env::var_os("CI").is_none(), "CI needs {}", path.display());
    eprintln!("skipped: there is no {}", path.display());
    None
}
