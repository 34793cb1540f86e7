//! What importing into every kind of source keeps to.

use serde_json::Value;
use serde_json::json;

use crate::connectors::conformance::Tested;
use crate::source::SourceKind;
use crate::worker::Ran;

/// What became of an import.
struct Imported {
    job: Value,
    log: String,
}

impl Tested {
    async fn submit_import(&self, table: &str, fields: &[(&str, &str)], file: &[u8]) -> i64 {
        let source = self.target_id.to_string();
        let mut all = vec![("dest_ds_id", source.as_str()), ("dest_table_name", table)];
        all.extend_from_slice(fields);
        let answer = self.app.upload(&all, file).await;
        answer.json()["job_id"]
            .as_i64()
            .unwrap_or_else(|| panic!("{}", answer.text()))
    }

    async fn import(&self, table: &str, fields: &[(&str, &str)], file: impl AsRef<[u8]>) -> Imported {
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
    fn succeeded(&self) {
        assert_eq!(self.job["status"], "success", "{} {}", self.job, self.log);
    }

    fn failed_with(&self, words: &str) {
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
    there.failed_with("there is a table `people` already");
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
    view.failed_with("`seen` is a view");
    let view = tested.import("seen", &[("mode", "append")], "id\n1\n").await;
    view.failed_with("`seen` is a view");
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
    assert_eq!(tested.values("select count(*) from child").await, json!([["1"]]));
    let parent = tested.values("select id from parent").await;
    match replaced.job["status"] == "success" {
        true => assert_eq!(parent, json!([["2"]])),
        false => assert_eq!(parent, json!([["1"]]), "{}", replaced.log),
    }
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

async fn two_imports_at_once(tested: &Tested) {
    let rows = |from: u32| -> String {
        let lines: Vec<String> = (from..from + 20_000).map(|id| format!("{id},{from}")).collect();
        format!("id,batch\n{}\n", lines.join("\n"))
    };
    let first = tested
        .submit_import("shared_table", &[], rows(0).as_bytes())
        .await;
    let second = tested
        .submit_import("shared_table", &[], rows(50_000).as_bytes())
        .await;
    let run = || {
        let (worker, mut stop) = (tested.app.worker.clone(), tested.app.stopping());
        tokio::spawn(async move { worker.run_next(&mut stop).await.unwrap() })
    };
    let (one, other) = tokio::join!(run(), run());
    assert_ne!(one.unwrap(), Ran::QueueEmpty);
    assert_ne!(other.unwrap(), Ran::QueueEmpty);
    for job_id in [first, second] {
        tested.imported(job_id).await.succeeded();
    }
    let values = tested
        .values("select count(*), count(distinct batch) from shared_table")
        .await;
    assert_eq!(values, json!([["20000", "1"]]));
    let append = [("mode", "append")];
    let first = tested
        .submit_import("shared_table", &append, rows(100_000).as_bytes())
        .await;
    let second = tested
        .submit_import("shared_table", &append, rows(150_000).as_bytes())
        .await;
    let (one, other) = tokio::join!(run(), run());
    one.and(other).unwrap();
    for job_id in [first, second] {
        tested.imported(job_id).await.succeeded();
    }
    let values = tested
        .values("select count(*), count(distinct batch) from shared_table")
        .await;
    assert_eq!(values, json!([["60000", "3"]]));
}

async fn header_alone_makes_an_empty_table(tested: &Tested) {
    tested.import("nobody", &[], "id,name\n").await.succeeded();
    let page = tested.page("select * from nobody").await;
    assert_eq!(page["fields"], json!(["id", "name"]), "{page}");
    assert_eq!(page["values"], json!([]));
}
