//! Real files: what comes out of them, what does not get in, and how queries are stopped.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use arrow::datatypes::DataType;
use arrow::datatypes::Field;
use arrow::datatypes::TimeUnit;
use arrow::record_batch::RecordBatch;
use chrono::NaiveDate;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::arrow_types::is_number_as_text;
use crate::connectors::BatchStream;
use crate::connectors::Purpose;
use crate::connectors::sqlite::Sqlite;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::exports::text::page_values;
use crate::query::Bind;
use crate::query::Statement;
use crate::query::ValueCheck;
use crate::source::Mismatch;
use crate::source::Source;
use crate::source::SourceKind;
use crate::source::SourceSettings;
use crate::tests::python;

/// Runs for hours before its first row.
const SLOW: &str = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
/// Never ends.
const ENDLESS: &str = "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n";

struct Test {
    folder: TempDir,
    settings: SourceSettings,
    sqlite: Arc<Sqlite>,
}

type Rows = Vec<Vec<Option<String>>>;

impl Test {
    fn new(setup: &str) -> Self {
        Self::with(setup, SourceSettings::default())
    }

    fn with(setup: &str, settings: SourceSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("файл.db");
        let test = Self {
            sqlite: Arc::new(sqlite(&path, &settings)),
            folder,
            settings,
        };
        test.owner().execute_batch(setup).unwrap();
        test
    }

    fn text(setup: &str) -> Self {
        let settings = SourceSettings {
            mismatch: Mismatch::Text,
            ..SourceSettings::default()
        };
        Self::with(setup, settings)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("файл.db")
    }

    /// A connection of whoever the file belongs to.
    fn owner(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    async fn start(&self, sql: &str) -> Result<BatchStream, Error> {
        self.sqlite.query(&statement(sql, &[]), &purpose()).await
    }

    async fn run_once(&self, statement: &Statement) -> Result<(Vec<Field>, Vec<RecordBatch>), Error> {
        let stream = self.sqlite.query(statement, &purpose()).await?;
        let fields = stream.schema.fields().iter().map(|field| field.as_ref().clone());
        Ok((fields.collect(), read(stream).await?))
    }

    /// As a job is run: a second time where that is worth it.
    async fn run(&self, statement: &Statement) -> Result<(Vec<Field>, Rows), Error> {
        let ran = match self.run_once(statement).await {
            Err(error) if error.again => self.run_once(statement).await,
            ran => ran,
        };
        let (fields, batches) = ran?;
        Ok((fields, batches.iter().flat_map(page_values).collect()))
    }

    async fn rows(&self, sql: &str, binds: &[Bind]) -> Result<Rows, Error> {
        Ok(self.run(&statement(sql, binds)).await?.1)
    }

    async fn value(&self, sql: &str, binds: &[Bind]) -> String {
        let rows = self.rows(sql, binds).await.unwrap();
        rows[0][0].clone().unwrap()
    }

    async fn column(&self, sql: &str) -> (DataType, Vec<Option<String>>) {
        let (fields, rows) = self.run(&statement(sql, &[])).await.unwrap();
        let values = rows.into_iter().map(|mut row| row.remove(0)).collect();
        (fields[0].data_type().clone(), values)
    }

    async fn message(&self, sql: &str) -> String {
        let error = self.rows(sql, &[]).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::SourceFailed, "{sql}: {error}");
        error.message
    }
}

fn sqlite(path: &std::path::Path, settings: &SourceSettings) -> Sqlite {
    let source = Source {
        id: 2,
        name: "shop".to_owned(),
        kind: SourceKind::Sqlite,
        url: path.display().to_string(),
        sealed_password: None,
        settings: settings.clone(),
        updated_at: 1,
    };
    Sqlite::new(&source, path, Duration::from_secs(600))
}

fn purpose() -> Purpose {
    Purpose {
        job_id: 1,
        subject: "report=2".to_owned(),
        user: "ann@example.com".to_owned(),
    }
}

fn statement(sql: &str, binds: &[Bind]) -> Statement {
    Statement {
        sql: sql.to_owned(),
        binds: binds.to_vec(),
        checks: Vec::new(),
    }
}

async fn read(mut stream: BatchStream) -> Result<Vec<RecordBatch>, Error> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut batches = Vec::new();
        while let Some(batch) = stream.batches.blocking_next()? {
            batches.push(batch);
        }
        drop(stream.cancel_on_drop);
        Ok(batches)
    });
    reading.await.unwrap()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

/// Declared type, literals, Arrow's type, what is handed out.
const TYPES: &[(&str, &[&str], DataType, &[&str])] = &[
    (
        "integer",
        &["-9223372036854775808", "9223372036854775807", "0"],
        DataType::Int64,
        &["-9223372036854775808", "9223372036854775807", "0"],
    ),
    ("BIGINT UNSIGNED", &["1"], DataType::Int64, &["1"]),
    ("boolean", &["1", "0"], DataType::Boolean, &["true", "false"]),
    (
        "double precision",
        &[
            "1.7976931348623157e308",
            "4.9e-324",
            "-0.1",
            "9e999",
            "9007199254740992",
        ],
        DataType::Float64,
        &[
            "1.7976931348623157e308",
            "5e-324",
            "-0.1",
            "Infinity",
            "9007199254740992.0",
        ],
    ),
    (
        "varchar(5)",
        &[
            "'longer than five'",
            "''",
            "'日本 😀'",
            "'a' || char(0) || 'b'",
            "12",
        ],
        DataType::Utf8,
        &["longer than five", "", "日本 😀", "a\0b", "12"],
    ),
    (
        "json",
        &["'{\"a\": [1]}'", "'5'", "2.5"],
        DataType::Utf8,
        &["{\"a\": [1]}", "5", "2.5"],
    ),
    (
        "blob",
        &["x'00ff41'", "x''"],
        DataType::Binary,
        &["\\x00ff41", "\\x"],
    ),
    (
        "date",
        &["'2026-01-31'", "'0001-01-01'", "'9999-12-31'"],
        DataType::Date32,
        &["2026-01-31", "0001-01-01", "9999-12-31"],
    ),
    (
        "datetime",
        &[
            "'2026-01-31 10:00:00'",
            "'2026-01-31T10:00:00.123456'",
            "datetime(0, 'unixepoch')",
            "'2026-01-31'",
        ],
        DataType::Timestamp(TimeUnit::Microsecond, None),
        &[
            "2026-01-31 10:00:00",
            "2026-01-31 10:00:00.123456",
            "1970-01-01 00:00:00",
            "2026-01-31 00:00:00",
        ],
    ),
    ("time", &["'10:00'", "'noon'"], DataType::Utf8, &["10:00", "noon"]),
    (
        "decimal(10,2)",
        &["12.50", "-3", "0.1", "1e21", "9223372036854775807"],
        DataType::Utf8,
        &[
            "12.50",
            "-3.00",
            "0.10",
            "1000000000000000000000.00",
            "9223372036854775807.00",
        ],
    ),
    ("uuid", &["'a0ee'", "'b'"], DataType::Utf8, &["a0ee", "b"]),
    ("", &["1", "2"], DataType::Int64, &["1", "2"]),
];

#[tokio::test]
async fn every_declared_type_comes_as_it_is() {
    for (declared, literals, wanted_type, wanted) in TYPES {
        let test = Test::new(&format!("create table t (c {declared})"));
        let owner = test.owner();
        for literal in *literals {
            owner
                .execute_batch(&format!("insert into t values ({literal})"))
                .unwrap();
        }
        owner.execute_batch("insert into t values (null)").unwrap();
        let (data_type, mut values) = test.column("select c from t order by rowid").await;
        assert_eq!(values.pop().unwrap(), None, "{declared}");
        assert_eq!(values, some(wanted), "{declared}");
        assert_eq!(data_type, *wanted_type, "{declared}");
        let through_view = "select c from (select * from t) where c is null";
        assert_eq!(test.column(through_view).await.1, [None]);
    }
}

#[tokio::test]
async fn decimals_say_that_they_are_numbers() {
    let test = Test::new("create table t (d decimal(10,2), s text); insert into t values (1.5, '1.5')");
    let (fields, _) = test.run(&statement("select d, s from t", &[])).await.unwrap();
    assert!(is_number_as_text(&fields[0]) && !is_number_as_text(&fields[1]));
}

/// Declared type, value that is not of it, how the message shows it, how `cast(x as text)` writes it.
const MISFITS: &[(&str, &str, &str, &str)] = &[
    ("integer", "'abc'", "`abc` (text)", "abc"),
    ("integer", "''", "`` (text)", ""),
    ("integer", "1.5", "`1.5` (real)", "1.5"),
    ("integer", "x'ff'", "`\\xff` (blob)", "\\xff"),
    ("boolean", "2", "`2` (integer)", "2"),
    ("boolean", "'true'", "`true` (text)", "true"),
    ("real", "'n/a'", "`n/a` (text)", "n/a"),
    ("text", "x'00'", "`\\x00` (blob)", "\\x00"),
    (
        "text",
        "cast(x'48ff' as text)",
        "`H\u{fffd}` (text that is not UTF-8)",
        "\\x48ff",
    ),
    ("blob", "'abc'", "`abc` (text)", "abc"),
    ("date", "''", "`` (text)", ""),
    ("date", "'31.01.2026'", "`31.01.2026` (text)", "31.01.2026"),
    ("date", "1769853600", "`1769853600` (integer)", "1769853600"),
    (
        "datetime",
        "'2026-01-31 10:00:00Z'",
        "`2026-01-31 10:00:00Z` (text)",
        "2026-01-31 10:00:00Z",
    ),
    ("datetime", "2460706.5", "`2460706.5` (real)", "2460706.5"),
    ("time", "12", "`12` (integer)", "12"),
    ("decimal(5,1)", "'n/a'", "`n/a` (text)", "n/a"),
    ("json", "x'01'", "`\\x01` (blob)", "\\x01"),
];

#[tokio::test]
async fn value_of_another_type_is_named() {
    for (declared, literal, shown, _) in MISFITS {
        let test = Test::new(&format!(
            "create table t (n integer, c {declared}); insert into t values (1, null), (2, {literal})"
        ));
        let message = test.message("select n, c from t order by n").await;
        let wanted = format!("column `c`, row 2: {shown} is not of the declared type `");
        assert!(message.starts_with(&wanted), "{declared}: {message}");
        assert!(
            message.to_lowercase().contains(&format!("`{declared}`")),
            "{message}"
        );
        assert!(
            message.contains("set `mismatch` of the source to `text`"),
            "{message}"
        );
        assert_eq!(test.rows("select n from t", &[]).await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn misfits_make_their_column_text_and_no_other() {
    for (declared, literal, _, wanted) in MISFITS {
        let test = Test::text(&format!(
            "create table t (n integer, c {declared}); insert into t values (1, null), (2, {literal})"
        ));
        let sql = "select c, n from t order by n";
        let (fields, rows) = test.run(&statement(sql, &[])).await.unwrap();
        assert_eq!(
            rows,
            [vec![None, Some("1".to_owned())], some(&[wanted, "2"])],
            "{declared} {literal}"
        );
        assert_eq!(fields[0].data_type(), &DataType::Utf8, "{declared}");
        assert_eq!(fields[1].data_type(), &DataType::Int64, "{declared}");
        assert!(!is_number_as_text(&fields[0]));
        // What was learned is still known.
        assert_eq!(test.run_once(&statement(sql, &[])).await.unwrap().0, fields);
    }
}

#[tokio::test]
async fn text_is_what_sqlite_itself_makes_of_a_value() {
    let test = Test::text("create table t (c integer)");
    let owner = test.owner();
    for literal in [
        "1",
        "0.1 + 0.2",
        "1e300",
        "-1.0 / 3",
        "123456789012345678",
        "1e15",
        "9e999",
        "'x'",
        "''",
    ] {
        owner
            .execute_batch(&format!("insert into t values ({literal})"))
            .unwrap();
    }
    let (data_type, values) = test.column("select c from t order by rowid").await;
    let (_, casts) = test.column("select cast(c as text) from t order by rowid").await;
    assert_eq!(data_type, DataType::Utf8);
    assert_eq!(values, casts);
    assert_eq!(values[1..4], some(&["0.3", "1.0e+300", "-0.333333333333333"]));
}

#[tokio::test]
async fn all_misfits_are_found_in_one_more_attempt() {
    let test = Test::text("create table t (a integer, b date, c real)");
    test.owner()
        .execute_batch(
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < 30000)
             insert into t select case i when 20000 then 'x' else i end,
                                  case i when 30000 then 'soon' else '2026-01-31' end, i from n",
        )
        .unwrap();
    let sql = statement("select a, b, c from t order by rowid", &[]);
    assert!(test.run_once(&sql).await.unwrap_err().again);
    let (fields, batches) = test.run_once(&sql).await.unwrap();
    let types: Vec<_> = fields.iter().map(Field::data_type).collect();
    assert_eq!(types, [&DataType::Utf8, &DataType::Utf8, &DataType::Float64]);
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 30_000);
    assert!(batches.len() > 3, "{}", batches.len());
}

#[tokio::test]
async fn expressions_are_of_the_kind_of_their_values() {
    let test = Test::new("");
    for (values, data_type, wanted) in [
        (
            "(1), (null), (2)",
            DataType::Int64,
            vec![Some("1"), None, Some("2")],
        ),
        ("(1), (2.5)", DataType::Float64, vec![Some("1.0"), Some("2.5")]),
        ("(null), (null)", DataType::Utf8, vec![None, None]),
        ("('a'), ('')", DataType::Utf8, vec![Some("a"), Some("")]),
        ("(x'00')", DataType::Binary, vec![Some("\\x00")]),
        ("(1), ('a')", DataType::Utf8, vec![Some("1"), Some("a")]),
        ("(1.5), (x'00')", DataType::Utf8, vec![Some("1.5"), Some("\\x00")]),
        // No float is this integer.
        (
            "(9007199254740993), (0.5)",
            DataType::Utf8,
            vec![Some("9007199254740993"), Some("0.5")],
        ),
    ] {
        let (found, texts) = test.column(&format!("select * from (values {values})")).await;
        assert_eq!(found, data_type, "{values}");
        assert_eq!(
            texts,
            wanted
                .into_iter()
                .map(|text| text.map(str::to_owned))
                .collect::<Vec<_>>()
        );
    }
    let error = test.message("select cast(x'ff' as text)").await;
    assert!(error.contains("not UTF-8") && error.contains("row 1"), "{error}");
}

#[tokio::test]
async fn later_values_of_another_kind_are_learned() {
    let test = Test::new("");
    let with = |value: &str| {
        format!(
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
             select case when i < 15000 then {value} end from n"
        )
    };
    for (value, data_type, last) in [
        ("i else 0.5", DataType::Float64, "0.5"),
        ("i else 'end'", DataType::Utf8, "end"),
        ("i + 9007199254740993 else 0.5", DataType::Utf8, "0.5"),
        ("null else i", DataType::Int64, "20000"),
        ("null else x'01'", DataType::Binary, "\\x01"),
        ("'a' else 1", DataType::Utf8, "1"),
        ("1.5 else 1", DataType::Float64, "1.0"),
    ] {
        let (found, values) = test.column(&with(value)).await;
        assert_eq!(found, data_type, "{value}");
        assert_eq!(values.len(), 20_000);
        assert_eq!(values.last().unwrap().as_deref(), Some(last), "{value}");
    }
}

#[tokio::test]
async fn no_rows_have_columns_all_the_same() {
    let test = Test::new("create table t (a integer, b date)");
    let sql = statement("select a, b, a + 1 as c from t", &[]);
    let (fields, rows) = test.run(&sql).await.unwrap();
    assert!(rows.is_empty());
    let names: Vec<_> = fields.iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(fields[1].data_type(), &DataType::Date32);
}

#[tokio::test]
async fn bound_values_are_values() {
    let test = Test::new(
        "create table t (n integer, d date, m datetime, p decimal(30,10)); insert into t values (1, '2026-01-31', '2026-01-31 10:00:00', 12.50), (2, '2026-02-01', '2026-01-31 10:00:00.000001', 1234567890123456789.12)",
    );
    for text in ["'; drop table t; --", "?1 :a @b $c", "", "é😀'\"`\u{202e}"] {
        assert_eq!(
            test.value("select ?1", &[Bind::Text(text.to_owned())]).await,
            text
        );
    }
    let date = NaiveDate::from_ymd_opt(2026, 1, 31).unwrap();
    let time = date.and_hms_micro_opt(10, 0, 0, 1).unwrap();
    for (condition, bind, wanted) in [
        ("n = ?1", Bind::Integer(2), "2"),
        ("d = ?1", Bind::Date(date), "1"),
        ("m = ?1", Bind::Datetime(date.and_hms_opt(10, 0, 0).unwrap()), "1"),
        ("m = ?1", Bind::Datetime(time), "2"),
        ("p = ?1", Bind::Decimal("12.500".to_owned()), "1"),
        ("p + 0 = ?1", Bind::Decimal("12.5".to_owned()), "1"),
        ("p = ?1", Bind::Decimal("1234567890123456789.12".to_owned()), "2"),
        ("n > ?1", Bind::Decimal("1.5".to_owned()), "2"),
        ("(n = 1) = ?1", Bind::Boolean(true), "1"),
    ] {
        let sql = format!("select n from t where {condition}");
        assert_eq!(
            test.rows(&sql, std::slice::from_ref(&bind)).await.unwrap(),
            [some(&[wanted])],
            "{condition} {bind:?}"
        );
    }
    assert_eq!(test.rows("select ?1", &[Bind::Null]).await.unwrap(), [[None]]);
    assert_eq!(test.value("select count(*) from t", &[]).await, "2");
}

#[tokio::test]
async fn lists_may_be_long_but_not_longer_than_sqlite_takes() {
    let test = Test::new("create table t (n integer); insert into t values (1), (20000)");
    for (count, wanted) in [(1, "1"), (10_000, "1"), (32_766, "2")] {
        let binds: Vec<Bind> = (1..=count).map(Bind::Integer).collect();
        let list: Vec<String> = (1..=count).map(|number| format!("?{number}")).collect();
        let sql = format!("select count(*) from t where n in ({})", list.join(", "));
        assert_eq!(test.value(&sql, &binds).await, wanted);
    }
    assert_eq!(
        test.value("select count(*) from t where n in (null)", &[]).await,
        "0"
    );
    let binds = vec![Bind::Null; 32_767];
    let error = test.rows("select 1", &binds).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::TooLarge);
    assert!(
        error.message.contains("32766") && error.message.contains("32767"),
        "{error}"
    );
}

#[tokio::test]
async fn placeholder_of_ones_own_is_no_null() {
    let test = Test::new("");
    for sql in [
        "select ?",
        "select :name",
        "select @name",
        "select $name",
        "select ?7",
    ] {
        let message = test.message(sql).await;
        assert!(message.contains("placeholder of its own"), "{message}");
    }
}

#[tokio::test]
async fn allowed_values_are_those_of_their_query() {
    let test = Test::new(
        "create table k (a integer, b text, c real, d date, e boolean); insert into k values (1, 'x''y', 2.50, '2026-01-31', 1), (null, null, null, null, null)",
    );
    let date = |day| Bind::Date(NaiveDate::from_ymd_opt(2026, 1, day).unwrap());
    for (column, good, bad) in [
        ("a", Bind::Integer(1), Bind::Integer(2)),
        ("b", Bind::Text("x'y".to_owned()), Bind::Text("x".to_owned())),
        (
            "c",
            Bind::Decimal("2.5".to_owned()),
            Bind::Decimal("2.51".to_owned()),
        ),
        ("d", date(31), date(30)),
        ("e", Bind::Boolean(true), Bind::Boolean(false)),
    ] {
        let checked = |value: &Bind| Statement {
            checks: vec![ValueCheck {
                filter: "f".to_owned(),
                values_sql: format!("select {column}, 5 from k -- all"),
                values: vec![value.clone()],
            }],
            ..statement("select ?1", std::slice::from_ref(value))
        };
        test.run(&checked(&good)).await.unwrap();
        let error = test.run(&checked(&bad)).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidRequest);
        assert!(error.message.contains("filter `f`"), "{error}");
    }
}

#[tokio::test]
async fn syntax_error_has_its_place() {
    let test = Test::new("create table größe (n integer)");
    for (sql, wanted) in [
        (
            "select 1 +\n  from größe",
            "near \"from\": syntax error (line 2, column 3 of the SQL)",
        ),
        (
            "select 'é', nope from größe",
            "no such column: nope (line 1, column 13 of the SQL)",
        ),
        ("select * from nowhere", "no such table: nowhere"),
        (
            "select 1;\nselekt 2",
            "near \"selekt\": syntax error (line 2, column 1 of the SQL)",
        ),
        ("select abs(-9223372036854775808)", "integer overflow"),
    ] {
        let message = test.message(sql).await;
        assert!(message.starts_with(wanted), "{message}");
    }
}

const ESCAPES: &str = "
insert into t values (9)
insert into t values (9) returning n
update t set n = 9 returning n
delete from t returning n
replace into t values (9)
with gone as (select 1) delete from t
create table u (n)
create temp table u as select 1
create temp view u as select 1
create view u as select 1
create index i on t (n)
create trigger g after insert on t begin select 1; end
create virtual table v using fts5(a)
create virtual table temp.v using fts5(a)
drop table t
alter table t rename to u
attach '{folder}/other.db' as other
attach ':memory:' as other
detach main
vacuum
vacuum into '{folder}/copy.db'
reindex
analyze
begin
commit
rollback
end
savepoint s
release s
pragma database_list
pragma journal_mode = wal
pragma writable_schema = on
pragma user_version = 5
pragma page_size = 512
pragma temp_store_directory = '/tmp'
select * from pragma_database_list
select * from pragma_journal_mode
select * from pragma_user_version
select load_extension('{folder}/x.so')
select fts3_tokenizer('simple')
select writefile('{folder}/out', 'x')
select readfile('{folder}/secret')
select edit('x')
select 1; select 2
select 1; drop table t
drop table t; select 1
select 1; commit; drop table t
/* select */ insert into t values (9)
insert into main.t_node values (9) returning n
-- select

;
";

#[tokio::test]
async fn no_report_finds_a_way_out() {
    let test = Test::new(
        "create table t (n integer); insert into t values (1); create table t_node (n); pragma journal_mode = wal",
    );
    let folder = test.folder.path().display().to_string();
    std::fs::write(test.folder.path().join("secret"), "hunter2").unwrap();
    let keeper = test.owner();
    keeper.execute_batch("begin; select * from t").unwrap();
    let files = || {
        let entries = std::fs::read_dir(test.folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = files();
    for escape in ESCAPES.trim_start_matches('\n').lines() {
        let sql = escape.replace("{folder}", &folder);
        match test.rows(&sql, &[]).await {
            Ok(rows) => panic!("{sql} got out: {rows:?}"),
            Err(error) => assert_eq!(error.code, ErrorCode::SourceFailed, "{sql}: {error}"),
        }
    }
    assert_eq!(files(), before);
    assert_eq!(test.rows("select * from t", &[]).await.unwrap(), [some(&["1"])]);
    assert_eq!(test.value("select count(*) from t_node", &[]).await, "0");
}

#[tokio::test]
async fn what_is_refused_is_named() {
    let test = Test::new("create table t (n integer)");
    for (sql, wanted) in [
        (
            "select load_extension('x')",
            "function `load_extension` is not allowed in a report",
        ),
        ("pragma database_list", "pragma `database_list` is not allowed"),
        ("attach 'x' as y", "another database is not allowed"),
        ("update t set n = 1 returning n", "writing to `t` is not allowed"),
        ("select 1; select 2", "a report must be one statement"),
        ("", "a report must be a query that returns rows"),
    ] {
        let message = test.message(sql).await;
        assert!(message.starts_with(wanted), "{message}");
    }
}

#[tokio::test]
async fn what_reports_need_is_let_through() {
    let test = Test::new(
        "create table t (n integer primary key, s text); insert into t values (1, 'a b');
         create view v as select * from t;
         create virtual table words using fts5(s); insert into words values ('quick fox');
         create virtual table old_words using fts4(s); insert into old_words values ('quick fox');
         create virtual table boxes using rtree(id, x0, x1); insert into boxes values (1, 0, 2);
         create table таблица (größe varchar(20)); insert into таблица values ('日本 😀')",
    );
    for (sql, wanted) in [
        ("select n from v;", "1"),
        ("select n from t; -- that is all", "1"),
        ("values (1), (2)", "1"),
        (
            "with recursive r(n) as (select 1 union all select n + 1 from r where n < 5) select max(n) from r",
            "5",
        ),
        ("select s from words where words match 'quick'", "quick fox"),
        (
            "select highlight(words, 0, '<', '>') from words where words match 'fox'",
            "quick <fox>",
        ),
        ("select s from old_words where old_words match 'fox'", "quick fox"),
        ("select id from boxes where x0 <= 1 and x1 >= 1", "1"),
        ("select value from json_each('[7]')", "7"),
        ("select name from pragma_table_info('t') where pk = 1", "n"),
        ("select count(*) from sqlite_schema where name = 't'", "1"),
        ("select sum(n) over (order by n) from t", "1"),
        ("select größe from таблица", "日本 😀"),
        ("select strftime('%Y', '2026-01-31')", "2026"),
    ] {
        assert_eq!(test.value(sql, &[]).await, wanted, "{sql}");
    }
    let deep = format!("select {}1{}", "abs(".repeat(2_000), ")".repeat(2_000));
    assert!(test.message(&deep).await.contains("too large"));
}

async fn nothing_runs(test: &Test) {
    assert!(test.sqlite.permits().settle(Duration::from_secs(60)).await);
}

#[tokio::test]
async fn query_that_is_given_up_stops() {
    let test = Arc::new(Test::with(
        "",
        SourceSettings {
            concurrency: 1,
            ..SourceSettings::default()
        },
    ));
    // Before its first row: the caller goes away.
    let slow = {
        let test = test.clone();
        tokio::spawn(async move { test.start(SLOW).await.map(drop) })
    };
    while test.sqlite.permits().free() > 0 {
        tokio::task::yield_now().await;
    }
    slow.abort();
    assert!(slow.await.is_err());
    // In between: whoever reads drops the rows.
    let stream = test.start(ENDLESS).await;
    drop(stream.unwrap());
    // By whoever knows that nobody needs the rest.
    let mut stream = test.start(ENDLESS).await.unwrap();
    (stream.cancel_on_drop.cancel())();
    let ended = tokio::task::spawn_blocking(move || {
        loop {
            if let Err(error) = stream.batches.blocking_next() {
                return error;
            }
        }
    });
    assert_eq!(ended.await.unwrap().code, ErrorCode::Cancelled);
    nothing_runs(&test).await;
}

#[tokio::test]
async fn deadline_stops_the_query_with_the_words_of_its_settings() {
    let test = Test::with(
        "",
        SourceSettings {
            statement_timeout_secs: 1,
            ..SourceSettings::default()
        },
    );
    let began = Instant::now();
    for sql in [SLOW, ENDLESS] {
        let error = test.rows(sql, &[]).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Timeout, "{error}");
        assert_eq!(
            error.message,
            "source `shop` stopped the query after 1s (setting `statement_timeout` of the source, or `query_timeout`)"
        );
    }
    assert!(began.elapsed() < Duration::from_secs(30));
    nothing_runs(&test).await;
}

#[tokio::test]
async fn no_more_queries_run_than_the_source_allows() {
    let test = Test::with(
        "",
        SourceSettings {
            concurrency: 2,
            ..SourceSettings::default()
        },
    );
    let (first, second) = (
        test.start(ENDLESS).await.unwrap(),
        test.start(ENDLESS).await.unwrap(),
    );
    let mut third = Box::pin(test.start("select 1"));
    assert!(futures::poll!(&mut third).is_pending());
    assert_eq!(test.sqlite.permits().free(), 0);
    drop(first);
    read(third.await.unwrap()).await.unwrap();
    drop(second);
    nothing_runs(&test).await;
}

#[tokio::test]
async fn writer_in_wal_mode_does_not_change_a_running_result() {
    let test = Test::new(
        "pragma journal_mode = wal; create table t (n integer);
         with recursive n(i) as (select 1 union all select i + 1 from n where i < 200000) insert into t select i from n",
    );
    let stream = test.start("select n from t order by n").await.unwrap();
    test.owner()
        .execute_batch(
            "update t set n = -n; delete from t where n < -100; drop table t; create table t (x text)",
        )
        .unwrap();
    let batches = read(stream).await.unwrap();
    let rows: Rows = batches.iter().flat_map(page_values).collect();
    assert_eq!(rows.len(), 200_000);
    assert_eq!(rows.last().unwrap(), &some(&["200000"]));
    assert!(test.rows("select n from t", &[]).await.is_err());
}

#[tokio::test]
async fn check_and_statement_see_the_same_database() {
    let test = Test::new("pragma journal_mode = wal; create table t (n integer); insert into t values (1)");
    let checked = Statement {
        checks: vec![ValueCheck {
            filter: "f".to_owned(),
            values_sql: "select n from t".to_owned(),
            values: vec![Bind::Integer(1)],
        }],
        ..statement("select count(*) from t where n = ?1", &[Bind::Integer(1)])
    };
    assert_eq!(test.run(&checked).await.unwrap().1, [some(&["1"])]);
    let (_, batches) = test.run_once(&checked).await.unwrap();
    assert_eq!(batches.len(), 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_said_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.db");
    std::fs::write(
        &text,
        "this is no database, and it is long enough to be looked at ".repeat(20),
    )
    .unwrap();
    for (path, wanted) in [
        (folder.path().join("none.db"), "no such file `"),
        (folder.path().to_owned(), "is not a file"),
        (text, "is not a SQLite database"),
    ] {
        let sqlite = Arc::new(sqlite(&path, &SourceSettings::default()));
        for error in [
            sqlite.check().await.unwrap_err(),
            sqlite
                .query(&statement("select 1", &[]), &purpose())
                .await
                .err()
                .unwrap(),
        ] {
            assert_eq!(error.code, ErrorCode::SourceFailed);
            assert!(error.message.starts_with("cannot use source `shop`: "), "{error}");
            assert!(error.message.contains(wanted), "{error}");
        }
    }
    assert!(!folder.path().join("none.db").exists());
}

#[tokio::test]
async fn file_that_another_program_keeps_locked_is_busy() {
    let mut test = Test::new("create table t (n integer)");
    let writer = test.owner();
    writer.execute_batch("begin exclusive").unwrap();
    let mut impatient = sqlite(&test.path(), &test.settings);
    impatient.patience = Duration::from_millis(50);
    test.sqlite = Arc::new(impatient);
    let message = test.message("select * from t").await;
    assert!(
        message.contains("is busy: another program has had it locked for 50ms"),
        "{message}"
    );
    // Whoever waits for it can be stopped.
    test.sqlite = Arc::new(sqlite(&test.path(), &test.settings));
    let waiting = {
        let sqlite = test.sqlite.clone();
        tokio::spawn(async move {
            sqlite
                .query(&statement("select 1", &[]), &purpose())
                .await
                .map(drop)
        })
    };
    while test.sqlite.permits().free() == 5 {
        tokio::task::yield_now().await;
    }
    waiting.abort();
    assert!(waiting.await.is_err());
    assert!(test.sqlite.permits().settle(Duration::from_secs(5)).await);
    // And it comes through once the lock is gone.
    let sqlite = test.sqlite.clone();
    let mut patient = Box::pin(sqlite.check());
    assert!(futures::poll!(&mut patient).is_pending());
    writer.execute_batch("commit").unwrap();
    assert!(patient.await.is_ok());
}

#[tokio::test]
async fn check_says_what_is_there() {
    let test = Test::new(
        "create table a (n integer primary key autoincrement); create table b (n); create view v as select 1",
    );
    let found = test.sqlite.check().await.unwrap();
    assert_eq!(
        found,
        format!("SQLite {}, 2 tables and 1 views", rusqlite::version())
    );
}

#[tokio::test]
async fn file_that_python_wrote_is_read() {
    let test = Test::new("");
    let script = r#"
import datetime, sqlite3, sys
sqlite3.register_adapter(datetime.date, datetime.date.isoformat)
sqlite3.register_adapter(datetime.datetime, lambda moment: moment.isoformat(" "))
db = sqlite3.connect(sys.argv[2])
db.execute("create table sales (id integer primary key, day date, at timestamp, price numeric(8,2), paid boolean, note text, pdf blob)")
db.execute("insert into sales values (?, ?, ?, ?, ?, ?, ?)", (1, datetime.date(2026, 1, 31), datetime.datetime(2026, 1, 31, 10, 0, 0, 5), 12.5, True, "naïve", b"\x00\xff"))
db.execute("insert into sales (id) values (2)")
db.commit()
"#;
    let path = test.path();
    if python("unused", b"", script, &[path.to_str().unwrap()]).is_none() {
        return;
    }
    let rows = test.rows("select * from sales order by id", &[]).await.unwrap();
    let first = some(&[
        "1",
        "2026-01-31",
        "2026-01-31 10:00:00.000005",
        "12.50",
        "true",
        "naïve",
        "\\x00ff",
    ]);
    assert_eq!(rows[0], first);
    assert_eq!(rows[1][1..], vec![None; 6]);
}

#[tokio::test]
async fn wide_rows_make_small_batches() {
    let test = Test::new("");
    let sql = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 40) select i, zeroblob(100000) from n";
    let (_, batches) = test.run_once(&statement(sql, &[])).await.unwrap();
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 40);
    assert!(batches.len() >= 3, "{}", batches.len());
}
