//! Ways out of the warehouse that a report must not find.

use crate::connectors::types::TestWarehouse;
use crate::error::ErrorCode;

/// Each must fail, change nothing and show nothing. `{folder}` is the test's own.
const ESCAPES: &str = r#"
select * from read_csv('{folder}/secret.csv')
select * from "read_csv"('{folder}/secret.csv')
select * from READ_CSV_AUTO('{folder}/secret.csv')
select * from main.read_csv('{folder}/secret.csv')
select * from system.main.read_text('{folder}/secret.csv')
select content from read_blob('{folder}/secret.csv')
select * from '{folder}/secret.csv'
select * from "{folder}/secret.csv"
select * from read_json('{folder}/secret.csv')
select * from read_parquet('{folder}/secret.csv')
select * from parquet_metadata('{folder}/secret.csv')
select * from read_duckdb('{folder}/secret.csv')
select * from sniff_csv('{folder}/secret.csv')
select * from glob('{folder}/*')
select (select count(*) from read_csv('{folder}/secret.csv'))
with x as (select * from read_csv('{folder}/secret.csv')) select * from x
with x as materialized (from glob('/*')) select * from x
select 1 union all select content from read_text('{folder}/secret.csv')
select 1 where exists (from read_text('{folder}/secret.csv'))
from t, lateral (select * from read_text('{folder}/secret.csv'))
describe from read_csv('{folder}/secret.csv')
summarize from read_csv('{folder}/secret.csv')
select * from query('select * from read_csv(''{folder}/secret.csv'')')
select * from query_table('{folder}/secret.csv')
select * from query_table(['t'])
select * from json_execute_serialized_sql(json_serialize_sql('select 1'))
select * from read_csv('http://127.0.0.1:1/x.csv')
select * from read_parquet('s3://bucket/x')
select getenv('HOME')
select * from t where getenv('HOME') <> ''
select list_transform([1], x -> getenv('HOME'))
select columns(c -> getenv('HOME') = '') from t
select sum(n) over (order by getenv('HOME')) from t
select current_setting('temp_directory')
select * from duckdb_settings()
select * from duckdb_settings
select * from system.main.duckdb_databases
select * from pragma_database_list
select * from pg_settings
select * from pg_catalog.pg_settings
select * from pg_prepared_statements
select * from pg_database
show databases
show variables
select * from pragma_database_size()
select * from duckdb_secrets()
select * from which_secret('s3://x', 's3')
select * from duckdb_extensions()
select * from duckdb_logs
select * from duckdb_temporary_files()
select json_structure(repeat('[', 100000) || repeat(']', 100000))
select json_contains(repeat('[', 100000) || repeat(']', 100000), '5')
select json_merge_patch(repeat('{"a":', 50000) || '1' || repeat('}', 50000), '{}')
select json_serialize_plan('select * from duckdb_settings()')
select nextval('counter')
select * from t where nextval('counter') > 0
select nextval('coun' || 'ter')
select write_log('x')
select * from enable_logging()
select * from checkpoint()
select * from force_checkpoint()
select * from arrow_scan(1, 2, 3)
select * from arrow_scan_dumb(1, 2, 3)
select * from seq_scan()
insert into t values (9)
update t set n = 9
delete from t
with gone as (delete from t returning *) select * from gone
truncate t
drop table t
alter table t add column x integer
create table u (n integer)
create or replace temp table u as select 1
create view v as select 1
create macro m(x) as x
create secret s (type s3, key_id 'a', secret 'b')
copy t to '{folder}/out.csv'
copy (select 1) to '{folder}/out.csv'
copy t from '{folder}/secret.csv'
export database '{folder}/out'
import database '{folder}/out'
attach '{folder}/other.duckdb' as other
attach ':memory:' as other
detach memory
use memory
install httpfs
load httpfs
force install httpfs
set memory_limit = '100GB'
set enable_external_access = true
reset lock_configuration
set variable x = 1
pragma database_list
pragma enable_profiling
call pragma_version()
checkpoint
vacuum
analyze
begin
commit
rollback
begin transaction read write
prepare p as select 1
execute p
deallocate p
explain select 1
explain analyze insert into t values (9)
select 1; select 2
select 1; drop table t
drop table t; select 1
commit; drop table t; select 1
select 1;; insert into t values (9)
/* select */ insert into t values (9)
-- select
pivot t on n using count(*)
comment on table t is 'x'
kill 1

;
"#;

#[tokio::test]
async fn no_report_finds_a_way_out() {
    let test = TestWarehouse::new();
    let folder = test.folder.path().display().to_string();
    std::fs::write(test.folder.path().join("secret.csv"), "secret\nhunter2\n").unwrap();
    test.load("create table t as select 1 as n; create sequence counter; checkpoint");
    let files = || {
        let mut names: Vec<_> = std::fs::read_dir(test.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let before = files();
    for escape in ESCAPES.trim_start_matches('\n').lines() {
        let sql = escape.replace("{folder}", &folder);
        match test.rows(&sql, &[]).await {
            Ok(rows) => panic!("{sql} got out: {rows:?}"),
            Err(error) => {
                assert_eq!(error.code, ErrorCode::SourceFailed, "{sql}: {error}");
                assert!(!error.message.contains("hunter2"), "{sql}: {error}");
            }
        }
    }
    assert_eq!(files(), before);
    let rows = test.rows("select count(*), sum(n) from t", &[]).await.unwrap();
    assert_eq!(rows, [[Some("1".to_owned()), Some("1".to_owned())]]);
    let connection = test.warehouse.connect().unwrap();
    let next: i64 = connection
        .query_row("select nextval('counter')", [], |row| row.get(0))
        .unwrap();
    assert_eq!(next, 1);
}

#[tokio::test]
async fn what_reports_need_is_let_through() {
    let test = TestWarehouse::new();
    test.load(
        "create table t as select 1 as n; create view v as select * from t;
         create macro twice(x) as x * 2; create macro up_to(x) as table select * from range(x)",
    );
    for sql in [
        "select * from t",
        "SELECT * FROM main.t",
        "from t",
        "table t",
        "values (1), (2)",
        "with recursive r as (select 1 as n union all select n + 1 from r where n < 5) select * from r",
        "select twice(n) from v",
        "select * from up_to(3)",
        "select * from range(3), generate_series(1, 2), unnest([1, 2])",
        "select * from json_each('{\"a\": 1}')",
        "describe t",
        "summarize t",
        "show tables",
        "select * from information_schema.tables",
        "select * from t pivot (count(*) for n in (1, 2))",
        "select now(), random() >= 0, 'getenv(''HOME'')' as text",
        "select {'function_name': 'getenv'}, '{\"function_name\": \"getenv\"}'",
        "-- first\nselect 1 -- last",
    ] {
        if let Err(error) = test.rows(sql, &[]).await {
            panic!("{sql}: {error}");
        }
    }
}

#[tokio::test]
async fn deep_and_long_sql_is_no_danger() {
    let test = TestWarehouse::new();
    let deep = format!("select {}1{}", "abs(".repeat(5_000), ")".repeat(5_000));
    let error = test.rows(&deep, &[]).await;
    assert!(error.is_err_and(|error| error.code == ErrorCode::SourceFailed));
    let long = format!("select {}", vec!["'x'"; 200].join(" || "));
    assert_eq!(
        test.rows(&long, &[]).await.unwrap()[0][0].as_ref().unwrap().len(),
        200
    );
    let wide = format!("select 1 in ({})", vec!["2"; 10_000].join(", "));
    assert_eq!(
        test.rows(&wide, &[]).await.unwrap()[0][0].as_deref(),
        Some("false")
    );
}
