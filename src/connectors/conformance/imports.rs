//! What importing into every kind of source keeps to.

use serde_json::Value;
use serde_json::json;

use crate::connectors::conformance::Tested;
use crate::source::SourceKind;
use crate::source::tests::writable;
use crate::worker::Ran;

/// What became of an import.
pub(super) struct Imported {
    job: Value,
    log: String,
}

impl Tested {
    async fn submit_import(&self, table: &str, fields: &[(&str, &str)], file: &[u8]) -> i64 {
        self.submit_import_to(self.target_id, table, fields, file).await
    }

    async fn submit_import_to(
        &self,
        source_id: i64,
        table: &str,
        fields: &[(&str, &str)],
        file: &[u8],
    ) -> i64 {
        let source = source_id.to_string();
        let mut all = vec![("dest_ds_id", source.as_str()), ("dest_table_name", table)];
        all.extend_from_slice(fields);
        let answer = self.app.upload(&all, file).await;
        answer.json()["job_id"]
            .as_i64()
            .unwrap_or_else(|| panic!("{}", answer.text()))
    }

    pub(super) async fn import(
        &self,
        table: &str,
        fields: &[(&str, &str)],
        file: impl AsRef<[u8]>,
    ) -> Imported {
        let job_id = self.submit_import(table, fields, file.as_ref()).await;
        self.app.run_pending_jobs().await;
        self.imported(job_id).await
    }

    async fn imported(&self, job_id: i64) -> Imported {
        let log = self.app.get(&format!("/jobs/{job_id}/logs.json")).await.json();
        assert_eq!(log["has_more"], false, "{log}");
        Imported {
            job: self.app.get(&format!("/jobs/{job_id}.json")).await.json(),
            log: log["logs"].to_string(),
        }
    }
}

impl Imported {
    pub(super) fn succeeded(&self) {
        assert_eq!(self.job["status"], "success", "{} {}", self.job, self.log);
    }

    pub(super) fn failed_with(&self, words: &str) {
        assert_eq!(self.job["status"], "failure", "{}", self.log);
        let error = self.job["error"].as_str().unwrap();
        assert!(error.contains(words), "{error}");
    }
}

const EVERY_TYPE: &str = "\
yes,whole,exact,wide,near,day,moment,zoned,words
true,9223372036854775807,-0.01,12345678901234567890123456789012345.678,1.5e-7,0001-01-01,1999-12-31 23:59:59.999999,2026-01-31T12:00:00+05:30,\"a,b\"\"c\"
FALSE,-9223372036854775808,1234567890123456.78,0.001,-2.25E+10,9999-12-31,2026-01-31 00:00:00,2026-01-31T00:00:00Z,\"zwei
Zeilen 日本 😀\"
,,,,,,,,
,,,,,,,,\"\"
false,0,10,-1,0.5,2024-02-29,2026-02-01 01:02:03,2026-02-01T01:02:03Z,'; drop table x; --
";

pub(super) async fn imports_conform(tested: &Tested) {
    every_type_comes_in(tested).await;
    table_is_replaced_added_to_or_left(tested).await;
    failed_import_changes_nothing(tested).await;
    replacing_touches_no_other_table(tested).await;
    names_of_every_kind(tested).await;
    import_done_again_adds_nothing(tested).await;
    two_imports_at_once(tested).await;
    imports_of_two_sources_at_once(tested).await;
    added_values_are_kept_or_refused(tested).await;
    header_alone_makes_an_empty_table(tested).await;
}

async fn every_type_comes_in(tested: &Tested) {
    tested.import("every", &[], EVERY_TYPE).await.succeeded();
    let values = tested
        .values("select yes, whole, exact, wide, near, day, moment, zoned, words from every order by coalesce(whole, 1), words")
        .await;
    let rows = values.as_array().unwrap();
    let yes = |value: &Value| matches!(value.as_str(), Some("true" | "1"));
    assert_eq!(rows.len(), 5);
    let find = |whole: &str| {
        rows.iter()
            .find(|row| row[1] == whole)
            .unwrap_or_else(|| panic!("{values}"))
    };
    let first = find("9223372036854775807");
    assert!(yes(&first[0]), "{first}");
    assert_eq!(first[2].as_str().unwrap().trim_end_matches('0'), "-0.01");
    assert_eq!(first[3], "12345678901234567890123456789012345.678");
    assert_eq!(first[4], "1.5e-7");
    assert_eq!(first[5], "0001-01-01");
    assert_eq!(first[6], "1999-12-31 23:59:59.999999");
    assert_eq!(
        first[7].as_str().unwrap().trim_end_matches("+00"),
        "2026-01-31 06:30:00"
    );
    assert_eq!(first[8], "a,b\"c");
    let second = find("-9223372036854775808");
    assert!(!yes(&second[0]) && !second[0].is_null(), "{second}");
    assert_eq!(second[2], "1234567890123456.78");
    assert_eq!(second[5], "9999-12-31");
    assert_eq!(second[8], "zwei\nZeilen 日本 😀");
    assert_eq!(find("0")[8], "'; drop table x; --");
    let nulls: Vec<&Value> = rows.iter().filter(|row| row[1].is_null()).collect();
    assert_eq!(nulls.len(), 2, "{values}");
    assert!(
        nulls.iter().all(|row| (0..8).all(|index| row[index].is_null())),
        "{values}"
    );
    let words: Vec<&Value> = nulls.iter().map(|row| &row[8]).collect();
    assert!(
        words.contains(&&Value::Null) && words.contains(&&json!("")),
        "{values}"
    );
}

async fn table_is_replaced_added_to_or_left(tested: &Tested) {
    let count = |sql: &'static str| async move { tested.values(sql).await };
    tested
        .import("people", &[], "id,name\n1,Ann\n2,Bob\n")
        .await
        .succeeded();
    tested
        .import("people", &[], "id,name,age\n3,Cid,30\n")
        .await
        .succeeded();
    assert_eq!(
        count("select id, name, age from people").await,
        json!([["3", "Cid", "30"]])
    );
    let append = [("mode", "append")];
    tested
        .import("people", &append, "name,id\n007,4\n")
        .await
        .succeeded();
    assert_eq!(
        count("select id, name, age from people order by id").await,
        json!([["3", "Cid", "30"], ["4", "007", null]])
    );
    let unknown = tested.import("people", &append, "id,nickname\n5,x\n").await;
    unknown.failed_with("has no column `nickname`");
    let wrong = tested
        .import("people", &append, "id,name\n5,Eve\nsix,Fay\n")
        .await;
    wrong.failed_with("line 3, column `id`: `six`");
    let fail = [("mode", "fail")];
    let there = tested.import("people", &fail, "id\n9\n").await;
    there.failed_with("already, and the import's mode is `fail`");
    tested.import("fresh", &fail, "id\n9\n").await.succeeded();
    tested.import("fresher", &append, "id\n9\n").await.succeeded();
    assert_eq!(count("select count(*) from people").await, json!([["2"]]));
    assert_eq!(count("select id from fresh").await, json!([["9"]]));
    assert_eq!(count("select id from fresher").await, json!([["9"]]));
}

async fn failed_import_changes_nothing(tested: &Tested) {
    let bad = tested.import("people", &[], "id,name\n1,x\n2\n3,y,z\n").await;
    bad.failed_with("line 3");
    bad.failed_with("line 4");
    (tested.subject.admin)("create view seen as select id from people");
    let view = tested.import("seen", &[], "id\n1\n").await;
    view.failed_with("seen` is a view");
    let view = tested.import("seen", &[("mode", "append")], "id\n1\n").await;
    view.failed_with("seen` is a view");
    assert_eq!(tested.values("select count(*) from people").await, json!([["2"]]));
    assert_eq!(tested.values("select count(*) from seen").await, json!([["2"]]));
    (tested.subject.admin)("drop view seen");
    let left_out = tested
        .import("people", &[("max_errors", "2")], "id,name\n1,x\n2\n3,y,z\n")
        .await;
    left_out.succeeded();
    assert_eq!(
        tested.values("select id, name from people").await,
        json!([["1", "x"]])
    );
    let job_id = &left_out.job["id"];
    let rejects = tested.app.get(&format!("/jobs/{job_id}/rejects.csv")).await;
    assert_eq!(rejects.text().lines().count(), 3, "{}", rejects.text());
}

async fn replacing_touches_no_other_table(tested: &Tested) {
    if tested.subject.kind == SourceKind::Duckdb {
        // It has no actions of foreign keys.
        return;
    }
    (tested.subject.admin)(
        "create table parent (id integer primary key); insert into parent values (1);
         create table child (id integer, foreign key (id) references parent (id) on delete cascade);
         insert into child values (1);",
    );
    let replaced = tested.import("parent", &[], "id\n2\n").await;
    replaced.failed_with(match tested.subject.kind {
        SourceKind::Postgres => "other objects depend on it",
        _ => "`parent` cannot be replaced, since a foreign key of `child` refers to it: append to it",
    });
    assert_eq!(tested.values("select count(*) from child").await, json!([["1"]]));
    assert_eq!(tested.values("select id from parent").await, json!([["1"]]));
}

async fn names_of_every_kind(tested: &Tested) {
    let file = "select,Größe,größe,,two words,\"quote\"\"d\",日本\n1,2,3,4,5,6,7\n";
    tested.import("order", &[], file).await.succeeded();
    let quote = tested.subject.quote;
    let named = |name: &str| format!("{quote}{name}{quote}");
    let sql = format!(
        "select {}, {}, {} from {}",
        named("select"),
        named("two words"),
        named("日本"),
        named("order")
    );
    assert_eq!(tested.values(&sql).await, json!([["1", "5", "7"]]));
    let page = tested.page(&format!("select * from {}", named("order"))).await;
    assert_eq!(
        page["fields"],
        json!([
            "select",
            "Größe",
            "größe_2",
            "column_4",
            "two words",
            "quote\"d",
            "日本"
        ])
    );
}

async fn import_done_again_adds_nothing(tested: &Tested) {
    tested.import("once", &[], "id\n1\n").await.succeeded();
    let added = tested.import("once", &[("mode", "append")], "id\n2\n").await;
    added.succeeded();
    // As after a crash between the database's commit and the job's.
    let metadata = rusqlite::Connection::open(tested.app.path().join("metadata.sqlite")).unwrap();
    metadata
        .execute_batch("drop trigger if exists jobs_transitions")
        .unwrap();
    let again = "update jobs set status = 'queued', ended_at = null where id = ?1";
    assert_eq!(metadata.execute(again, [added.job["id"].as_i64()]).unwrap(), 1);
    tested.app.run_pending_jobs().await;
    tested
        .imported(added.job["id"].as_i64().unwrap())
        .await
        .succeeded();
    assert_eq!(
        tested.values("select id from once order by id").await,
        json!([["1"], ["2"]])
    );
    // Somebody who does the same once more means it.
    let id = added.job["source_id"].as_i64().unwrap();
    let path = format!("/data_imports/{id}/execute.json");
    let answer = tested.app.post(&path, "").await;
    assert_eq!(answer.json()["status"], "created", "{}", answer.text());
    tested.app.run_pending_jobs().await;
    assert_eq!(
        tested.values("select id from once order by id").await,
        json!([["1"], ["2"], ["2"]])
    );
}

/// Ids from a number on, with that number beside them.
fn rows(from: u32) -> String {
    let lines: Vec<String> = (from..from + 20_000).map(|id| format!("{id},{from}")).collect();
    format!("id,batch\n{}\n", lines.join("\n"))
}

impl Tested {
    /// Two workers take what they find, at once.
    async fn run_two(&self) -> [Ran; 2] {
        let run = || {
            let (worker, mut stop) = (self.app.worker.clone(), self.app.stopping());
            tokio::spawn(async move { worker.run_next(&mut stop).await.unwrap() })
        };
        let (one, other) = tokio::join!(run(), run());
        [one.unwrap(), other.unwrap()]
    }

    async fn shared_table(&self) -> Value {
        self.values("select count(*), count(distinct batch), max(batch) from shared_table")
            .await
    }
}

async fn two_imports_at_once(tested: &Tested) {
    let mode = |mode| [("mode", mode)];
    for (mode, total) in [
        (mode("replace"), json!([["20000", "1", "50000"]])),
        (mode("append"), json!([["60000", "2", "50000"]])),
    ] {
        let first = tested
            .submit_import("shared_table", &mode, rows(0).as_bytes())
            .await;
        let second = tested
            .submit_import("shared_table", &mode, rows(50_000).as_bytes())
            .await;
        // The second does not keep a worker waiting, which may do something else.
        let ran = tested.run_two().await;
        assert!(ran.contains(&Ran::Job(first)), "{ran:?}");
        if ran.contains(&Ran::QueueEmpty) {
            assert!(tested.run_two().await.contains(&Ran::Job(second)));
        }
        tested.imported(first).await.succeeded();
        tested.imported(second).await.succeeded();
        assert_eq!(tested.shared_table().await, total);
    }
}

/// What a server cannot know to be the same table, the database does.
async fn imports_of_two_sources_at_once(tested: &Tested) {
    let url = tested.subject.url.clone();
    let other = tested.add_source("other", &url, None, writable()).await.unwrap();
    tested.import("shared_table", &[], rows(0)).await.succeeded();
    let append = [("mode", "append")];
    let first = tested
        .submit_import("shared_table", &append, rows(20_000).as_bytes())
        .await;
    let second = tested
        .submit_import_to(other, "shared_table", &append, rows(40_000).as_bytes())
        .await;
    let ran = tested.run_two().await;
    assert!(
        ran.contains(&Ran::Job(first)) && ran.contains(&Ran::Job(second)),
        "{ran:?}"
    );
    for job_id in [first, second] {
        tested.imported(job_id).await.succeeded();
    }
    assert_eq!(tested.shared_table().await, json!([["60000", "3", "40000"]]));
}

/// Declared type, a value that it keeps, how that is handed out, and one that it would change.
type Kept = (&'static str, &'static str, &'static str, &'static str);

const LONG_NAME: &str = "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn";

/// More than 255 bytes.
const TOO_LONG: &str = "\
    bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\
    bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\
    bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn kept(kind: SourceKind) -> &'static [Kept] {
    match kind {
        SourceKind::Postgres => &[
            ("smallint", "7", "7", "1.5"),
            ("numeric(5,2)", "1.25", "1.25", "1.255"),
            ("numeric(50,2)", "1.25", "1.25", "1.255"),
            ("numeric", "1.255", "1.255", "one"),
            ("cents", "1.25", "1.25", "1.255"),
            (
                "timestamp(0)",
                "2026-01-31 12:00:00",
                "2026-01-31 12:00:00",
                "2026-01-31 12:00:00.5",
            ),
            (
                "timestamptz(3)",
                "2026-01-31T12:00:00.125Z",
                "2026-01-31 12:00:00.125+00",
                "2026-01-31T12:00:00.1255Z",
            ),
            ("time(0)", "12:00", "12:00:00", "12:00:00.5"),
            ("interval(0)", "1 day", "1 day", "0.5 seconds"),
            ("bit(3)", "101", "101", "1011"),
            ("varchar(3)", "007", "007", "0007"),
            ("money", "1.25", "$1.25", "1.255"),
            (
                "uuid",
                "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
                "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
                "a0",
            ),
            ("boolean", "true", "true", "2"),
            ("date", "2026-01-31", "2026-01-31", "2026-01-31 12:00"),
            ("time", "12:00", "12:00:00", "2026-01-31 12:00:00"),
            ("time", "12:00:00.123456", "12:00:00.123456", "12:00:00.1234567"),
            ("timetz", "12:00+05:30", "12:00:00+05:30", "12:00:00.1234567+00"),
            ("interval", "1 day", "1 day", "0.0000001 seconds"),
            ("name", "n", "n", LONG_NAME),
            ("\"char\"", "a", "a", "abc"),
            ("oid", "7", "7", "-1"),
            ("fee", "1.25", "1.25", "1.255"),
            ("code", "abc", "abc", "abcdef"),
            ("priced", "\"(1.25,x)\"", "(1.25,x)", "\"(1.255,x)\""),
            ("numeric(5,2)[]", "\"{1.25, 2.50}\"", "{1.25,2.50}", "{1.255}"),
            ("varchar(3)[]", "{abc}", "{abc}", "{abcdef}"),
            ("date[]", "{2026-01-31}", "{2026-01-31}", "{2026-01-31 12:00}"),
        ],
        SourceKind::Mysql => &[
            ("tinyint", "7", "7", "1.5"),
            ("tinyint(1)", "true", "1", "often"),
            ("smallint", "7", "7", "1.5"),
            (
                "bigint unsigned",
                "18446744073709551615",
                "18446744073709551615",
                "1.5",
            ),
            ("decimal(5,2)", "1.25", "1.25", "1.255"),
            ("decimal(50,2)", "1.25", "1.25", "1.255"),
            ("double(7,2)", "1.25", "1.25", "1.255"),
            (
                "datetime",
                "2026-01-31 12:00:00",
                "2026-01-31 12:00:00",
                "2026-01-31 12:00:00.5",
            ),
            (
                "timestamp(3)",
                "2026-01-31 12:00:00.125",
                "2026-01-31 12:00:00.125",
                "2026-01-31 12:00:00.1255",
            ),
            ("time(1)", "12:00:00.5", "12:00:00.5", "12:00:00.55"),
            ("time", "-12:00:00", "-12:00:00", "2026-01-31 12:00:00"),
            ("time", "838:59:59", "838:59:59", "1234"),
            ("tinyblob", "abc", "\\x616263", TOO_LONG),
            ("set('1','2')", "\"1,2\"", "1,2", "+1"),
            ("year", "2026", "2026", "26"),
            ("bit(1)", "true", "true", "2"),
            ("bit(9)", "257", "257", "1.5"),
            ("enum('a','b')", "a", "a", "1"),
            ("set('a','b')", "\"a,b\"", "a,b", "2"),
            ("varchar(3)", "007", "007", "0007"),
        ],
        SourceKind::Sqlite => &[
            ("INTEGER", "7", "7", "1.5"),
            ("DECIMAL(5,2)", "1.25", "1.25", "1.255"),
            ("STRING", "v1.10", "v1.10", "1.10"),
            ("STRING", "1.5", "1.5", "100000000000000000000"),
            ("STRING", "7", "7", "0.00001"),
            ("DECIMAL_TEXT", "1.10", "1.10", ""),
            ("BLOB", "abc", "\\x616263", ""),
            ("UUID", "a-1", "a-1", "12e5"),
            ("MONEY", "1.5", "1.5", "one"),
            ("TEXT", "007", "007", ""),
            ("BOOLEAN", "true", "true", "2"),
        ],
        SourceKind::Duckdb => &[
            ("tinyint", "7", "7", "1.5"),
            ("ubigint", "18446744073709551615", "18446744073709551615", "1.5"),
            (
                "hugeint",
                "-12345678901234567890123456789012345678",
                "-12345678901234567890123456789012345678",
                "1.5",
            ),
            (
                "uhugeint",
                "12345678901234567890123456789012345678",
                "12345678901234567890123456789012345678",
                "1.5",
            ),
            ("bignum", "123", "123", "1.5"),
            ("decimal(5,2)", "1.25", "1.25", "1.255"),
            (
                "timestamp_s",
                "2026-01-31 12:00:00",
                "2026-01-31 12:00:00",
                "2026-01-31 12:00:00.5",
            ),
            (
                "timestamp_ms",
                "2026-01-31 12:00:00.125",
                "2026-01-31 12:00:00.125",
                "2026-01-31 12:00:00.1255",
            ),
            (
                "timestamp_ns",
                "2026-01-31 12:00:00.123456789",
                "2026-01-31 12:00:00.123456789",
                "2026-01-31 12:00:00.1234567891",
            ),
            ("time", "12:00:00.5", "12:00:00.5", "12:00:00.0000005"),
            ("time", "12:00", "12:00:00", "2026-01-31 12:00:00"),
            ("time", "12:00", "12:00:00", "12:00:00+07"),
            ("integer[]", "\"[1, 2]\"", "[1,2]", "[1.5]"),
            (
                "uuid",
                "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
                "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
                "a0",
            ),
        ],
    }
}

/// A database rounds, cuts or converts many a value without a word.
async fn added_values_are_kept_or_refused(tested: &Tested) {
    let append = [("mode", "append")];
    if tested.subject.kind == SourceKind::Postgres {
        (tested.subject.admin)(
            "create domain cents as numeric(9,2); create domain fee as cents;
             create domain short as varchar(3); create domain code as short;
             create type priced as (price numeric(5,2), note text)",
        );
    }
    for (index, (declared, value, handed_out, changed)) in kept(tested.subject.kind).iter().enumerate() {
        let table = format!("kept_{index}");
        (tested.subject.admin)(&format!("create table {table} (n integer, v {declared})"));
        let file = |value: &str| format!("n,v\n1,{value}\n2,\n");
        tested.import(&table, &append, file(value)).await.succeeded();
        if !changed.is_empty() {
            let refused = tested.import(&table, &append, file(changed)).await;
            assert_eq!(
                refused.job["status"], "failure",
                "{declared} {changed} {}",
                refused.log
            );
        }
        let values = tested.values(&format!("select v from {table} order by n")).await;
        assert_eq!(values, json!([[handed_out], [null]]), "{declared}");
    }
}

async fn header_alone_makes_an_empty_table(tested: &Tested) {
    tested.import("nobody", &[], "id,name\n").await.succeeded();
    let page = tested.page("select * from nobody").await;
    assert_eq!(page["fields"], json!(["id", "name"]), "{page}");
    assert_eq!(page["values"], json!([]));
}
