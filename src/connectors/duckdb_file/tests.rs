//! Real files, and an owner who writes to them from another process: the engine's own shell.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use duckdb::Connection;
use tempfile::TempDir;

use crate::connectors::BatchStream;
use crate::connectors::duckdb_file::DuckdbFile;
use crate::connectors::duckdb_file::EngineSettings;
use crate::connectors::duckdb_file::is_open;
use crate::connectors::interrupt::Interrupt;
use crate::connectors::interrupt::Running;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::exports::text::page_values;
use crate::query::Bind;
use crate::query::Statement;
use crate::source::Source;
use crate::source::SourceKind;
use crate::source::SourceSettings;
use crate::source::tests::writable;
use crate::tests::reader;

/// Runs for hours before its first row.
const SLOW: &str =
    "select count(*) from range(100000000) as a(i), range(100000000) as b(j) where i * j % 7 = 8";
const ENDLESS: &str = "select i, i::varchar as text from range(10000000000) as rows(i)";

struct Test {
    folder: TempDir,
    file: Arc<DuckdbFile>,
}

impl Test {
    fn new(setup: &str) -> Self {
        Self::with(setup, SourceSettings::default())
    }

    fn with(setup: &str, settings: SourceSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("файл.duckdb");
        Connection::open(&path).unwrap().execute_batch(setup).unwrap();
        Self {
            file: file(folder.path(), "файл.duckdb", settings),
            folder,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("файл.duckdb")
    }

    async fn start(&self, sql: &str, binds: &[Bind]) -> Result<BatchStream, Error> {
        let statement = Statement {
            sql: sql.to_owned(),
            binds: binds.to_vec(),
            checks: Vec::new(),
        };
        self.file.query(&statement).await
    }

    async fn rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, Error> {
        read(self.start(sql, &[]).await?).await
    }

    async fn value(&self, sql: &str) -> String {
        self.rows(sql).await.unwrap()[0][0].clone().unwrap()
    }

    async fn is_closed(&self) {
        assert!(self.file.permits().settle(Duration::from_secs(60)).await);
        wait_until_closed(&self.path()).await;
    }
}

fn file(folder: &std::path::Path, name: &str, settings: SourceSettings) -> Arc<DuckdbFile> {
    let path = folder.join(name);
    let source = Source {
        id: 7,
        name: "lake".to_owned(),
        kind: SourceKind::Duckdb,
        url: path.display().to_string(),
        sealed_password: None,
        settings,
        updated_at: 1,
    };
    let engine = EngineSettings {
        warehouse_file: folder.join("warehouse.duckdb"),
        metadata_file: folder.join("metadata.sqlite"),
        spill_dir: folder.join("spill"),
        memory_max: ByteSize::mib(256),
        threads: 2,
    };
    Arc::new(DuckdbFile::new(&source, &path, Duration::from_secs(600), &engine))
}

/// A query's thread lets go of its file just after its last row is read.
async fn wait_until_closed(path: &std::path::Path) {
    while is_open(path) {
        tokio::task::yield_now().await;
    }
}

async fn read(mut stream: BatchStream) -> Result<Vec<Vec<Option<String>>>, Error> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut rows = Vec::new();
        while let Some(batch) = stream.batches.blocking_next()? {
            rows.extend(page_values(&batch));
        }
        drop(stream.cancel_on_drop);
        Ok(rows)
    });
    reading.await.unwrap()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[tokio::test]
async fn file_is_read_behind_the_walls_of_the_warehouse() {
    let test = Test::new(
        "create type mood as enum ('gut'); create table t (n integer, d decimal(20,2), m mood);
         insert into t values (1, 12.50, 'gut'), (null, null, null); create sequence counter; create view v as select * from t",
    );
    let rows = test.rows("select * from v order by n nulls last").await.unwrap();
    assert_eq!(rows, [some(&["1", "12.50", "gut"]), vec![None; 3]]);
    let given = test
        .start("select $1 as x", &[Bind::Text("'; drop table t".to_owned())])
        .await;
    assert_eq!(read(given.unwrap()).await.unwrap(), [some(&["'; drop table t"])]);
    assert!(test.rows("select * from t where false").await.unwrap().is_empty());
    let secret = test.folder.path().join("secret.csv");
    std::fs::write(&secret, "hunter2").unwrap();
    for sql in [
        format!("select * from read_text('{}')", secret.display()),
        format!("select * from '{}'", secret.display()),
        format!("attach '{}/other' as other", test.folder.path().display()),
        "insert into t values (2)".to_owned(),
        "create table u as select 1".to_owned(),
        "select nextval('counter')".to_owned(),
        "set memory_limit = '1TB'".to_owned(),
        "select 1; select 2".to_owned(),
        "select * from duckdb_settings()".to_owned(),
    ] {
        let error = test.rows(&sql).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::SourceFailed, "{sql}: {error}");
    }
    let found = test.file.check().await.unwrap();
    assert!(
        found.starts_with("DuckDB v") && found.ends_with(", 1 tables and 1 views"),
        "{found}"
    );
}

#[tokio::test]
async fn error_has_its_place() {
    let test = Test::new("create table t (n integer)");
    let error = test.rows("select 1 +\n  from t where").await.unwrap_err();
    assert!(error.message.contains("line 2"), "{error}");
}

#[tokio::test]
async fn file_is_opened_read_only_unless_imports_may_write_to_it() {
    let test = Test::new("create table t (n integer)");
    let target = file(test.folder.path(), "файл.duckdb", writable());
    let refused = test
        .file
        .open()
        .await
        .unwrap()
        .warehouse()
        .unwrap()
        .connect()
        .unwrap()
        .execute_batch("insert into t values (1)");
    assert!(refused.unwrap_err().to_string().contains("read-only"));
    test.is_closed().await;
    let open = target.open().await.unwrap();
    open.warehouse()
        .unwrap()
        .connect()
        .unwrap()
        .execute_batch("insert into t values (1)")
        .unwrap();
    // Reports of both see the one file that is open.
    assert_eq!(test.value("select count(*) from t").await, "1");
    drop(open);
    test.is_closed().await;
    // The other way round there would be two engines on one file.
    let reading = test.start(ENDLESS, &[]).await.unwrap();
    let mut impatient = self::file(test.folder.path(), "файл.duckdb", writable());
    Arc::get_mut(&mut impatient).unwrap().patience = Duration::ZERO;
    let error = impatient.open().await.err().unwrap();
    assert!(
        error.message.contains("read by a source that is not writable"),
        "{error}"
    );
    let mut waiting = Box::pin(target.open());
    assert!(futures::poll!(&mut waiting).is_pending());
    drop(reading);
    assert!(waiting.await.is_ok());
}

#[tokio::test]
async fn file_is_not_opened_again_before_its_last_connection_is_closed() {
    let test = Test::new("create table t (n integer)");
    let target = file(test.folder.path(), "файл.duckdb", writable());
    let open = test.file.open().await.unwrap();
    let connection = open.warehouse().unwrap().connect().unwrap();
    let running = Running {
        interrupt: Arc::new(Interrupt::new(&connection)),
        connection,
        warehouse: open.warehouse().unwrap().clone(),
    };
    drop(open);
    let mut waiting = Box::pin(target.open());
    assert!(futures::poll!(&mut waiting).is_pending());
    assert!(is_open(&test.path()));
    running.connection.execute_batch("from t").unwrap();
    drop(running);
    assert!(waiting.await.is_ok());
}

#[tokio::test]
async fn owner_writes_in_between() {
    let test = Test::new("create table t (n integer); insert into t values (1)");
    let shell = |sql: &str| {
        let mut shell = reader("duckdb")?;
        Some(shell.arg(test.path()).args(["-c", sql]).output().unwrap())
    };
    let reading = test.start(ENDLESS, &[]).await.unwrap();
    let Some(refused) = shell("insert into t values (2)") else {
        return;
    };
    assert!(!refused.status.success());
    drop(reading);
    test.is_closed().await;
    let written = shell("insert into t values (2)").unwrap();
    assert!(
        written.status.success(),
        "{}",
        String::from_utf8_lossy(&written.stderr)
    );
    assert_eq!(test.value("select sum(n) from t").await, "3");
}

#[tokio::test]
async fn file_that_another_process_writes_to_is_locked() {
    let test = Test::new("create table t (n integer)");
    let Some(mut shell) = reader("duckdb") else {
        return;
    };
    let mut owner = shell
        .arg(test.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It answers once it has the file.
    std::io::Write::write_all(owner.stdin.as_mut().unwrap(), b"select 42;\n").unwrap();
    let mut answer = [0; 1];
    std::io::Read::read_exact(owner.stdout.as_mut().unwrap(), &mut answer).unwrap();
    let error = test.rows("select * from t").await.unwrap_err();
    drop(owner.stdin.take());
    owner.wait().unwrap();
    assert_eq!(error.code, ErrorCode::SourceFailed);
    let wanted = "cannot use source `lake`: `";
    assert!(error.message.starts_with(wanted), "{error}");
    assert!(
        error.message.contains("is locked, another process has it open: "),
        "{error}"
    );
    assert!(error.message.contains("PID"), "{error}");
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_said_in_words() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("text"), "this is no database ".repeat(1_000)).unwrap();
    let sqlite = rusqlite::Connection::open(folder.path().join("sqlite.db")).unwrap();
    sqlite.execute_batch("create table t (n integer)").unwrap();
    let warehouse = folder.path().join("warehouse.duckdb");
    let own = Connection::open(&warehouse).unwrap();
    own.execute_batch("create table t (n integer)").unwrap();
    std::os::unix::fs::symlink(&warehouse, folder.path().join("link")).unwrap();
    std::fs::hard_link(&warehouse, folder.path().join("other")).unwrap();
    for (name, wanted) in [
        ("none", "no such file `"),
        (".", "it is not a file"),
        ("text", "is not a DuckDB database"),
        ("sqlite.db", "is not a DuckDB database"),
        (
            "warehouse.duckdb",
            "is the server's own warehouse: its reports name the source `warehouse`",
        ),
        ("link", "is the server's own warehouse"),
        ("other", "is the server's own warehouse"),
    ] {
        let file = file(folder.path(), name, SourceSettings::default());
        let error = file.check().await.unwrap_err();
        assert_eq!(error.code, ErrorCode::SourceFailed);
        assert!(error.message.starts_with("cannot use source `lake`: "), "{error}");
        assert!(error.message.contains(wanted), "{error}");
    }
    assert!(!folder.path().join("none").exists());
    // Nobody has taken the lock of the server's own engine away.
    if let Some(mut shell) = reader("duckdb") {
        let refused = shell.arg(&warehouse).args(["-c", "select 1"]).output().unwrap();
        assert!(!refused.status.success());
    }
    drop(own);
}

#[tokio::test]
async fn deadline_stops_the_query_with_the_words_of_its_settings() {
    let hurried = SourceSettings {
        statement_timeout_secs: 1,
        ..SourceSettings::default()
    };
    let test = Test::with("select 1", hurried);
    for sql in [SLOW, ENDLESS] {
        let error = test.rows(sql).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Timeout, "{error}");
        let wanted = "source `lake` stopped the query after 1s (setting `statement_timeout` of the source, or `query_timeout`)";
        assert_eq!(error.message, wanted);
    }
    test.is_closed().await;
}

#[tokio::test]
async fn given_up_queries_make_room_for_others() {
    let narrow = SourceSettings {
        concurrency: 1,
        ..SourceSettings::default()
    };
    let test = Test::with("select 1", narrow);
    let first = test.start(ENDLESS, &[]).await.unwrap();
    let mut second = Box::pin(test.start("select 2", &[]));
    assert!(futures::poll!(&mut second).is_pending());
    assert_eq!(test.file.permits().free(), 0);
    drop(first);
    assert_eq!(read(second.await.unwrap()).await.unwrap(), [some(&["2"])]);
    test.is_closed().await;
}
