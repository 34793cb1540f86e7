//! Which tables take which imports, and what is left of an import that is given up.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Instant;

use arrow::array::Decimal128Array;
use arrow::array::Int64Array;
use arrow::array::RecordBatch;
use serde_json::Value;
use serde_json::json;

use crate::connectors::Batches;
use crate::connectors::Purpose;
use crate::connectors::conformance::PATIENCE;
use crate::connectors::conformance::Tested;
use crate::connectors::load::Destination;
use crate::data_import::Mode;
use crate::source::SourceKind;

const APPEND: (&str, &str) = ("mode", "append");

pub(super) async fn tables_conform(tested: &Tested) {
    decimals_compare_as_numbers(tested).await;
    types_of_the_table_lead(tested).await;
    for mode in [Mode::Replace, Mode::Append] {
        given_up_import_leaves_nothing(tested, mode).await;
    }
    table_that_comes_in_between_is_not_rounded_into(tested).await;
    match tested.subject.kind {
        SourceKind::Postgres => {
            owner_and_rights_stay(tested).await;
            given_up_statement_is_stopped(tested).await;
            nothing_of_a_report_stays(tested, "select set_config('datestyle', 'german', false), pg_advisory_lock(7)",
                "select current_setting('datestyle'), (select count(*) from pg_locks where locktype = 'advisory')",
                json!([["ISO, MDY", "0"]])).await;
            rows_that_are_kept_out_are_told(
                tested,
                "create table sieve (id bigint);
                create rule none as on insert to sieve where new.id > 1 do instead nothing",
            )
            .await;
            what_protects_a_table_stays(tested).await;
            schemas_are_apart(tested).await;
        }
        SourceKind::Mysql => {
            nothing_half_added_without_transactions(tested).await;
            zero_stays_zero(tested).await;
            history_stays(tested).await;
            nothing_of_a_report_stays(
                tested,
                "select @n := 7, get_lock('mine', 1)",
                "select @n is null, is_free_lock('mine')",
                json!([["1", "1"]]),
            )
            .await;
        }
        SourceKind::Sqlite => {
            rows_that_are_kept_out_are_told(
                tested,
                "create table sieve (id integer unique on conflict ignore); insert into sieve values (2)",
            )
            .await;
        }
        SourceKind::Duckdb => {}
    }
}

async fn decimals_compare_as_numbers(tested: &Tested) {
    let file = "k,price\n1,10.00\n2,9.00\n3,100.50\n";
    tested.import("prices", &[], file).await.succeeded();
    assert_eq!(
        tested
            .values("select k, price from prices where price > 9.5 order by price")
            .await,
        json!([["1", "10.00"], ["3", "100.50"]])
    );
}

async fn types_of_the_table_lead(tested: &Tested) {
    tested.import("led", &[], "id\n1\n").await.succeeded();
    let other = tested
        .import("led", &[APPEND, ("schema", "id:text")], "id\n2\n")
        .await;
    other.failed_with("takes integer, `schema` says text: leave it out of `schema`");
    let same = tested
        .import("led", &[APPEND, ("schema", "id:integer")], "id\n2\n")
        .await;
    same.succeeded();
    assert_eq!(tested.values("select count(*) from led").await, json!([["2"]]));
}

/// Somebody makes the table after the file was found to have decimals.
async fn table_that_comes_in_between_is_not_rounded_into(tested: &Tested) {
    let source = tested.app.worker.store.source(tested.target_id).await.unwrap();
    let connector = tested.app.worker.connector(&source.unwrap()).unwrap();
    (tested.subject.admin)("create table between_times (id integer)");
    let halves = Decimal128Array::from(vec![5, 15])
        .with_precision_and_scale(18, 1)
        .unwrap();
    let batch = RecordBatch::try_from_iter([("id", Arc::new(halves) as _)]).unwrap();
    let (sender, batches) = Batches::channel();
    let schema = batch.schema();
    let sending = tokio::task::spawn_blocking(move || {
        let sent = sender.blocking_send(batch);
        sent.and_then(|()| sender.end(Ok(())))
    });
    let loaded = connector
        .load(&destination("between_times", Mode::Append), schema, batches)
        .await;
    drop(sending.await.unwrap());
    let error = loaded.unwrap_err();
    assert!(
        error.again && error.message.contains("was changed while the file was read"),
        "{error}"
    );
    assert_eq!(
        tested.values("select count(*) from between_times").await,
        json!([["0"]])
    );
}

/// What one report sets is not there for the next.
async fn nothing_of_a_report_stays(tested: &Tested, sets: &str, asks: &str, wanted: Value) {
    for _ in 0..3 {
        tested.values(sets).await;
        assert_eq!(tested.values(asks).await, wanted);
    }
}

async fn rows_that_are_kept_out_are_told(tested: &Tested, sql: &str) {
    (tested.subject.admin)(sql);
    let added = tested.import("sieve", &[APPEND], "id\n1\n2\n").await;
    added.failed_with("1 of 2 rows would be in");
    assert_eq!(
        tested.values("select count(*) from sieve where id = 1").await,
        json!([["0"]])
    );
}

async fn zero_stays_zero(tested: &Tested) {
    (tested.subject.admin)("create table numbered (id integer auto_increment primary key, n integer)");
    tested
        .import("numbered", &[APPEND], "id,n\n0,1\n5,2\n")
        .await
        .succeeded();
    assert_eq!(
        tested.values("select id from numbered order by id").await,
        json!([["0"], ["5"]])
    );
}

async fn history_stays(tested: &Tested) {
    (tested.subject.admin)(
        "create table versioned (id integer) with system versioning; insert into versioned values (1)",
    );
    let replaced = tested.import("versioned", &[], "id\n2\n").await;
    replaced.failed_with("a table with a history, which only takes mode `append`");
    tested.import("versioned", &[APPEND], "id\n2\n").await.succeeded();
}

fn destination(table: &str, mode: Mode) -> Destination {
    Destination {
        schema: None,
        table: table.to_owned(),
        mode,
        run: format!("given{table}{}", mode.name()),
        purpose: Purpose {
            job_id: 1,
            subject: "import=1".to_owned(),
            user: "ann@example.com".to_owned(),
        },
    }
}

/// As when the server is told to stop in the middle of it.
async fn given_up_import_leaves_nothing(tested: &Tested, mode: Mode) {
    tested.import("left_alone", &[], "id\n-1\n").await.succeeded();
    let source = tested.app.worker.store.source(tested.target_id).await.unwrap();
    let connector = tested.app.worker.connector(&source.unwrap()).unwrap();
    let destination = destination("left_alone", mode);
    let ids = Arc::new(Int64Array::from_iter_values(0..8_192));
    let batch = RecordBatch::try_from_iter([("id", ids as _)]).unwrap();
    let (sender, batches) = Batches::channel();
    let taken = Arc::new(AtomicU64::new(0));
    let counted = taken.clone();
    let schema = batch.schema();
    // For as long as somebody takes them.
    let sending = tokio::task::spawn_blocking(move || {
        while sender.blocking_send(batch.clone()).is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let loading = tokio::spawn(async move { connector.load(&destination, schema, batches).await });
    let began = Instant::now();
    while taken.load(Ordering::Relaxed) < 40 {
        assert!(began.elapsed() < PATIENCE && !loading.is_finished());
        tokio::task::yield_now().await;
    }
    loading.abort();
    assert!(loading.await.unwrap_err().is_cancelled());
    sending.await.unwrap();
    if matches!(tested.subject.kind, SourceKind::Postgres | SourceKind::Mysql) {
        let began = Instant::now();
        let leftovers = "select table_name from information_schema.tables where table_name like 'holistics_import_given%'";
        loop {
            let left = (tested.subject.admin)(leftovers);
            if left.trim().is_empty() {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "{left}");
            tokio::task::yield_now().await;
        }
    }
    // Nothing of it is there, and nothing keeps the next one waiting.
    assert_eq!(tested.values("select id from left_alone").await, json!([["-1"]]));
    tested
        .import("left_alone", &[APPEND], "id\n-2\n")
        .await
        .succeeded();
    assert_eq!(
        tested.values("select id from left_alone order by id").await,
        json!([["-2"], ["-1"]])
    );
}

/// What it does there, it does no longer.
async fn given_up_statement_is_stopped(tested: &Tested) {
    let admin = &tested.subject.admin;
    admin(
        "create table slowly (id bigint);
         create function wait() returns trigger language plpgsql as $$ begin perform pg_sleep(3600); return new; end $$;
         create trigger wait before insert on slowly for each row execute function wait()",
    );
    let source = tested.app.worker.store.source(tested.target_id).await.unwrap();
    let connector = tested.app.worker.connector(&source.unwrap()).unwrap();
    let batch =
        RecordBatch::try_from_iter([("id", Arc::new(Int64Array::from_iter_values(0..3)) as _)]).unwrap();
    let (sender, batches) = Batches::channel();
    let (schema, destination) = (batch.schema(), destination("slowly", Mode::Append));
    let sending = tokio::task::spawn_blocking(move || {
        sender.blocking_send(batch).unwrap();
        sender.end(Ok(())).unwrap();
    });
    let loading = tokio::spawn(async move { connector.load(&destination, schema, batches).await });
    let until = async |count: &str| {
        let began = Instant::now();
        let active = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
        while admin(active).trim() != count {
            assert!(began.elapsed() < PATIENCE);
            tokio::task::yield_now().await;
        }
    };
    until("1").await;
    sending.await.unwrap();
    loading.abort();
    assert!(loading.await.unwrap_err().is_cancelled());
    until("0").await;
}

async fn owner_and_rights_stay(tested: &Tested) {
    let admin = &tested.subject.admin;
    admin(
        "create role keeper; create role reader; create role narrow;
         create table kept (id bigint, name text, gone text); alter table kept owner to keeper;
         grant select on kept to reader with grant option; grant select (id, gone), update (name) on kept to narrow",
    );
    tested.import("kept", &[], "name,id\nAnn,1\n").await.succeeded();
    let kept = admin(
        "select tableowner from pg_tables where tablename = 'kept'
         union all select has_table_privilege('reader', 'kept', 'select with grant option')::text
         union all select has_column_privilege('narrow', 'kept', 'id', 'select')::text
         union all select has_column_privilege('narrow', 'kept', 'name', 'select')::text
         union all select has_column_privilege('narrow', 'kept', 'name', 'update')::text
         union all select id || name from kept",
    );
    let kept: Vec<&str> = kept.lines().collect();
    assert_eq!(kept, ["keeper", "true", "true", "false", "true", "1Ann"]);
    // What all new tables give was taken back from this one.
    admin(
        "create role analyst; alter default privileges grant select on tables to analyst;
         create table salaries (id bigint); revoke select on salaries from analyst",
    );
    tested.import("salaries", &[], "id\n1\n").await.succeeded();
    assert_eq!(
        admin("select has_table_privilege('analyst', 'salaries', 'select')").trim(),
        "f"
    );
    admin("alter default privileges revoke select on tables from analyst");
}

async fn what_protects_a_table_stays(tested: &Tested) {
    let admin = &tested.subject.admin;
    admin(
        "create table guarded (id bigint); alter table guarded enable row level security;
         create table parted (id bigint) partition by range (id);
         create table part partition of parted for values from (0) to (100);
         create table elder (id bigint); create table younger () inherits (elder)",
    );
    for (table, words) in [
        ("guarded", "`public.guarded` is a table with row security"),
        ("parted", "`public.parted` is a partitioned table"),
        ("part", "`public.part` is a part or a parent of other tables"),
        ("elder", "`public.elder` is a part or a parent of other tables"),
    ] {
        let replaced = tested.import(table, &[], "id\n1\n").await;
        replaced.failed_with(words);
        replaced.failed_with("which only takes mode `append`");
        tested.import(table, &[APPEND], "id\n7\n").await.succeeded();
    }
    let outside = tested.import("parted", &[APPEND], "id\n8\n700\n").await;
    outside.failed_with("no partition of relation");
    assert_eq!(admin("select count(*) from parted").trim(), "2");
    assert_eq!(
        admin("select relrowsecurity from pg_class where relname = 'guarded'").trim(),
        "t"
    );
}

async fn schemas_are_apart(tested: &Tested) {
    let admin = &tested.subject.admin;
    admin("create schema \"Lab 2\"; create table apart (id bigint)");
    let lab = ("dest_schema_name", "Lab 2");
    tested.import("apart", &[lab], "id\n1\n2\n").await.succeeded();
    tested
        .import("apart", &[lab, APPEND], "id\n3\n")
        .await
        .succeeded();
    let counts = admin("select count(*) from public.apart union all select count(*) from \"Lab 2\".apart");
    assert_eq!(counts.lines().collect::<Vec<_>>(), ["0", "3"]);
    let nowhere = tested
        .import("apart", &[("dest_schema_name", "lab 3")], "id\n1\n")
        .await;
    nowhere.failed_with("schema \"lab 3\" does not exist");
}

async fn nothing_half_added_without_transactions(tested: &Tested) {
    (tested.subject.admin)("create table plain (id integer) engine = MyISAM; insert into plain values (1)");
    let added = tested.import("plain", &[APPEND], "id\n2\n").await;
    added.failed_with("whose engine has no transactions, which only takes mode `replace`");
    assert_eq!(tested.values("select id from plain").await, json!([["1"]]));
    tested.import("plain", &[], "id\n3\n").await.succeeded();
    assert_eq!(tested.values("select id from plain").await, json!([["3"]]));
}
