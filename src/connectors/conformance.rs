//! What every kind of source keeps to: one list of promises, and each database that is held to it.
//! A report runs on a real database, from the request to the page, and the database is asked what it saw.

mod duckdb;
mod imports;
pub(super) mod mariadb;
pub(super) mod postgres;
mod sqlite;
mod tables;

use std::time::Duration;
use std::time::Instant;

use bytesize::ByteSize;
use serde_json::Value;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::connectors::conformance::imports::imports_conform;
use crate::connectors::conformance::tables::tables_conform;
use crate::connectors::duckdb_file::EngineSettings;
use crate::secret::SecretKey;
use crate::source::NewSource;
use crate::source::Password;
use crate::source::SourceKind;
use crate::source::SourceSettings;
use crate::source::tests::writable;
use crate::tests::TestApp;
use crate::worker::Ran;

/// No database takes this long over anything here; a test that waits longer fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// Of all subjects; the source that is hurried has a second.
const ROWS_MAX: u64 = 200_000;

/// Runs SQL and says what comes out.
type Admin = dyn Fn(&str) -> String;

/// A database and what it is asked in its own words.
struct Subject {
    kind: SourceKind,
    url: String,
    /// Runs SQL as somebody else than the server, and says what comes out.
    admin: Box<Admin>,
    /// Declared type, literal, and how the value is handed out.
    types: &'static [(&'static str, &'static str, &'static str)],
    /// A query that takes minutes before its first row.
    slow: &'static str,
    /// A query whose rows never end, or nearly so.
    endless: &'static str,
    /// The SQL of queries that run at the moment, but for the one that asks.
    running: Option<&'static str>,
    /// Ends the connections of queries whose text is like `{}`.
    cut: Option<fn(&Admin)>,
    /// What stands in the message for `select 1 +\n  from nowhere where`.
    syntax_error: &'static str,
    /// What quotes a name.
    quote: char,
}

/// What connectors get that do not run inside the server.
pub(super) fn no_engine() -> EngineSettings {
    EngineSettings {
        warehouse_file: "/none".into(),
        metadata_file: "/none".into(),
        spill_dir: "/none".into(),
        memory_max: ByteSize::mib(1),
        threads: 1,
    }
}

/// A subject with a server of ours that has it as a source.
struct Tested {
    subject: Subject,
    app: TestApp,
    /// The source that imports may write to.
    target_id: i64,
}

impl Tested {
    async fn new(subject: Subject) -> Self {
        let app = TestApp::with_config(|config| config.result_rows_max = ROWS_MAX).await;
        app.worker
            .store
            .set_can_import("ann@example.com", true)
            .await
            .unwrap();
        let mut tested = Self {
            subject,
            app,
            target_id: 0,
        };
        let url = tested.subject.url.clone();
        let settings = SourceSettings::default;
        tested.add_source("db", &url, None, settings()).await.unwrap();
        let hurried = SourceSettings {
            statement_timeout_secs: 1,
            ..settings()
        };
        tested.add_source("hurried", &url, None, hurried).await.unwrap();
        tested.target_id = tested.add_source("target", &url, None, writable()).await.unwrap();
        tested
    }

    async fn add_source(
        &self,
        name: &str,
        url: &str,
        password: Option<&str>,
        settings: SourceSettings,
    ) -> Result<i64, crate::error::Error> {
        let password = password.map(|text| Password::new(text.to_owned()));
        let new = NewSource::new(name.to_owned(), self.subject.kind, url, password, settings)?;
        let sealed = SecretKey::seal_of(self.app.path(), &new)?;
        self.app.worker.store.add_source(&new, sealed, false).await
    }

    async fn report(&self, source: &str, front: &str, sql: &str) {
        let text = format!("---\nid: 1\ntitle: Test\nsource: {source}\n{front}---\n{sql}");
        self.app.report(&text).await;
    }

    /// The first page of a report without filters.
    async fn page(&self, sql: &str) -> Value {
        self.report("db", "", sql).await;
        self.app.page().await
    }

    async fn values(&self, sql: &str) -> Value {
        let page = self.page(sql).await;
        assert_eq!(page["status"], "success", "{sql}: {page}");
        page["values"].clone()
    }

    async fn post_for_values(&self, body: &Value) -> Value {
        let answer = self
            .app
            .post("/queries/1/submit_query.json", &body.to_string())
            .await;
        let job_id = answer.json()["job_id"]
            .as_i64()
            .unwrap_or_else(|| panic!("{}", answer.text()));
        self.app.run_pending_jobs().await;
        self.poll(job_id).await["values"].clone()
    }

    async fn poll(&self, job_id: i64) -> Value {
        let path = format!("/queries/get_query_results.json?job_id={job_id}&_page_size=1000");
        self.app.get(&path).await.json()
    }

    /// Starts the next job and returns when the database is at it.
    async fn start(&self, sql: &str) -> (i64, JoinHandle<Ran>) {
        self.report("db", "", sql).await;
        let job_id = self.app.submit("/queries/1/submit_query.json").await;
        let (worker, mut stop) = (self.app.worker.clone(), self.app.stopping());
        let running = tokio::spawn(async move { worker.run_next(&mut stop).await.unwrap() });
        self.wait_until(|queries| {
            queries.contains(&format!("holistics job={job_id} report=1 user=ann@example.com"))
        })
        .await;
        let began = Instant::now();
        // Of an engine without a list of queries this is all that is known.
        while self.app.get(&format!("/jobs/{job_id}.json")).await.json()["status"] != "running" {
            assert!(began.elapsed() < PATIENCE);
            tokio::task::yield_now().await;
        }
        (job_id, running)
    }

    async fn wait_until(&self, is_so: impl Fn(&str) -> bool) {
        let Some(running) = self.subject.running else {
            return;
        };
        let began = Instant::now();
        loop {
            let queries = (self.subject.admin)(running);
            if is_so(&queries) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{queries}");
            tokio::task::yield_now().await;
        }
    }

    async fn nothing_runs(&self) {
        self.wait_until(|queries| !queries.contains("holistics job="))
            .await;
    }
}

/// Every promise, kept by one database.
async fn conforms(subject: Subject) {
    // What failed inside stands in the log alone.
    let log = tracing_subscriber::fmt().with_test_writer();
    drop(log.try_init());
    let tested = Tested::new(subject).await;
    types_come_as_they_are(&tested).await;
    no_rows_are_a_result(&tested).await;
    values_are_never_sql(&tested).await;
    lists_of_every_length(&tested).await;
    names_of_every_script(&tested).await;
    syntax_error_has_its_place(&tested).await;
    report_writes_nothing(&tested).await;
    result_over_the_limit_fails(&tested).await;
    deadline_stops_the_query(&tested).await;
    lost_connection_is_no_short_result(&tested).await;
    imports_conform(&tested).await;
    tables_conform(&tested).await;
    cancel_reaches_the_database(&tested).await;
    stop_reaches_the_database(tested).await;
}

async fn types_come_as_they_are(tested: &Tested) {
    let types = tested.subject.types;
    let columns: Vec<String> = (0..types.len()).map(|index| format!("c{index}")).collect();
    let declared: Vec<String> = columns
        .iter()
        .zip(types)
        .map(|(name, (of, _, _))| format!("{name} {of}"))
        .collect();
    let literals: Vec<&str> = types.iter().map(|(_, literal, _)| *literal).collect();
    let nulls = vec!["null"; types.len()];
    (tested.subject.admin)(&format!(
        "create table every_type (n integer, {}); insert into every_type values (1, {}); insert into every_type values (2, {});",
        declared.join(", "),
        literals.join(", "),
        nulls.join(", "),
    ));
    let values = tested
        .values(&format!(
            "select {} from every_type order by n",
            columns.join(", ")
        ))
        .await;
    let mut faults = Vec::new();
    for (index, (of, literal, wanted)) in types.iter().enumerate() {
        let (value, null) = (&values[0][index], &values[1][index]);
        if value != wanted || !null.is_null() {
            faults.push(format!(
                "{of}: {literal} is {value} and {null}, not {wanted:?} and null"
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(values.as_array().unwrap().len(), 2);
}

async fn no_rows_are_a_result(tested: &Tested) {
    let page = tested.page("select c0, c1 from every_type where n = 3").await;
    assert_eq!(page["status"], "success", "{page}");
    assert_eq!(page["fields"], json!(["c0", "c1"]));
    assert_eq!(page["values"], json!([]));
}

const SQL_LIKE: &[&str] = &[
    "'; drop table every_type; --",
    "' or '1'='1",
    "\\' or 1=1 #",
    "$1 ?1 ? :x @y {{ x }}",
    "/* */ -- \u{0}",
    "é😀\u{202e}'\"`",
];

async fn values_are_never_sql(tested: &Tested) {
    let front = "filters:\n  text: {type: text}\n";
    tested.report("db", front, "select {{ text }} as given").await;
    for text in SQL_LIKE.iter().filter(|text| !text.contains('\u{0}')) {
        assert_eq!(
            tested.post_for_values(&json!({ "text": text })).await,
            json!([[text]])
        );
    }
    assert_eq!(
        tested.values("select count(*) from every_type").await,
        json!([["2"]])
    );
}

async fn lists_of_every_length(tested: &Tested) {
    let front = "filters:\n  ids: {type: list, of: number}\n";
    tested
        .report(
            "db",
            front,
            "select count(*) from every_type where 1 = 1 [[and n in ({{ ids }})]]",
        )
        .await;
    for (ids, wanted) in [(vec![], "2"), (vec![2], "1"), ((2..10_002).collect(), "1")] {
        assert_eq!(
            tested.post_for_values(&json!({ "ids": ids })).await,
            json!([[wanted]])
        );
    }
}

async fn names_of_every_script(tested: &Tested) {
    (tested.subject.admin)(
        "create table таблица (größe varchar(20)); insert into таблица values ('日本 😀');",
    );
    let page = tested.page("select größe from таблица").await;
    assert_eq!(page["fields"], json!(["größe"]), "{page}");
    assert_eq!(page["values"], json!([["日本 😀"]]));
}

async fn syntax_error_has_its_place(tested: &Tested) {
    let page = tested.page("select 1 +\n  from nowhere where").await;
    assert_eq!(page["status"], "failure");
    let message = page["error"].as_str().unwrap();
    assert!(message.contains(tested.subject.syntax_error), "{message}");
}

async fn report_writes_nothing(tested: &Tested) {
    for sql in [
        "insert into every_type (n) values (3)",
        "delete from every_type",
        "drop table every_type",
        "create table other (n integer)",
        "commit",
    ] {
        let page = tested.page(sql).await;
        assert_eq!(page["status"], "failure", "{sql}: {page}");
    }
    assert_eq!(
        (tested.subject.admin)("select count(*) from every_type").trim(),
        "2"
    );
}

async fn result_over_the_limit_fails(tested: &Tested) {
    let page = tested.page(tested.subject.endless).await;
    let message = page["error"].as_str().unwrap();
    assert!(message.contains("rows passed the limit of 200000"), "{message}");
    tested.nothing_runs().await;
}

async fn deadline_stops_the_query(tested: &Tested) {
    tested.report("hurried", "", tested.subject.slow).await;
    let page = tested.app.page().await;
    let message = page["error"].as_str().unwrap();
    assert!(message.contains("stopped") && message.contains("1s"), "{message}");
    tested.nothing_runs().await;
}

async fn lost_connection_is_no_short_result(tested: &Tested) {
    let Some(cut) = tested.subject.cut else {
        return;
    };
    for sql in [tested.subject.slow, tested.subject.endless] {
        // So many rows that the connection is cut before they end.
        let (job_id, running) = tested.start(&sql.replace("200000", "2000000")).await;
        cut(&tested.subject.admin);
        running.await.unwrap();
        let page = tested.poll(job_id).await;
        let message = page["error"].as_str().unwrap_or_else(|| panic!("{page}"));
        assert!(
            message.contains("lost the connection to source `db`"),
            "{message}"
        );
    }
    // The next query has a connection again.
    assert_eq!(
        tested.values("select count(*) from every_type").await,
        json!([["2"]])
    );
}

/// A job that is cancelled is stopped at the database too, before its first row and in between.
async fn cancel_reaches_the_database(tested: &Tested) {
    for sql in [tested.subject.slow, tested.subject.endless] {
        let (job_id, running) = tested.start(sql).await;
        let answer = tested.app.put(&format!("/jobs/{job_id}/cancel.json")).await;
        assert_eq!(answer.json(), json!({"status": "OK"}));
        assert_eq!(running.await.unwrap(), Ran::Job(job_id));
        assert_eq!(tested.poll(job_id).await["status"], "cancelled");
        tested.nothing_runs().await;
    }
    assert_eq!(
        tested.values("select count(*) from every_type").await,
        json!([["2"]])
    );
}

async fn stop_reaches_the_database(tested: Tested) {
    let (job_id, running) = tested.start(tested.subject.slow).await;
    tested.app.stop();
    assert_eq!(running.await.unwrap(), Ran::Job(job_id));
    tested.nothing_runs().await;
}
