//! Every type of the engine: what arrives, and that it is exact.

use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use bytesize::ByteSize;

use crate::connectors::duckdb::Warehouse;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::exports::text::page_values;
use crate::query::Bind;
use crate::query::Statement;
use crate::query::ValueCheck;

pub(super) struct TestWarehouse {
    pub(super) folder: tempfile::TempDir,
    pub(super) warehouse: Arc<Warehouse>,
}

impl TestWarehouse {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = Warehouse::open(
            &folder.path().join("warehouse.duckdb"),
            &folder.path().join("spill"),
            ByteSize::mib(256),
            2,
        );
        Self {
            warehouse: warehouse.unwrap(),
            folder,
        }
    }

    pub(super) fn load(&self, sql: &str) {
        self.warehouse.connect().unwrap().execute_batch(sql).unwrap();
    }

    pub(super) async fn run(&self, statement: &Statement) -> Result<Vec<RecordBatch>, Error> {
        let mut stream = self.warehouse.query(statement).await?;
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

    pub(super) async fn rows(&self, sql: &str, binds: &[Bind]) -> Result<Vec<Vec<Option<String>>>, Error> {
        let batches = self.run(&statement(sql, binds)).await?;
        Ok(batches.iter().flat_map(page_values).collect())
    }
}

pub(super) fn statement(sql: &str, binds: &[Bind]) -> Statement {
    Statement {
        sql: sql.to_owned(),
        binds: binds.to_vec(),
        checks: Vec::new(),
    }
}

/// Types whose text form here is another than the engine's, each for a reason.
const OWN_FORM: [&str; 5] = [
    "timestamp_tz", // The engine is a millisecond off at the end of its range.
    "blob",         // Hexadecimal, where the engine mixes text and escapes.
    "float",        // The same value in another notation: 3.4028235e38.
    "double",       // The same.
    "interval",     // Compared in the tests of the text form.
];

#[tokio::test]
async fn every_simple_type_has_the_text_of_the_engine() {
    let test = TestWarehouse::new();
    test.load("create table every as select * from test_all_types()");
    let columns = test
        .rows(
            "select column_name, column_type from (describe every)
             where not contains(column_type, '[') and not starts_with(column_type, 'STRUCT')
               and not starts_with(column_type, 'MAP')",
            &[],
        )
        .await
        .unwrap();
    assert!(columns.len() > 35, "{}", columns.len());
    for column in columns {
        let name = column[0].as_deref().unwrap();
        if OWN_FORM.contains(&name) {
            continue;
        }
        let ours = test
            .rows(&format!("select \"{name}\" from every"), &[])
            .await
            .unwrap();
        let theirs = test
            .rows(&format!("select \"{name}\"::varchar from every"), &[])
            .await
            .unwrap();
        assert_eq!(ours, theirs, "{name} {:?}", column[1]);
        assert_eq!(ours.len(), 3, "{name}");
    }
}

#[tokio::test]
async fn columns_that_become_text_keep_order_names_and_neighbours() {
    let test = TestWarehouse::new();
    let sql = "select 5 - n as n, n::uhugeint as \"big \"\"one\"\"\", '\u{1f986}' as duck, n::uhugeint as m
               from range(5) as numbers(n) order by 5 - n limit 3";
    let batches = test.run(&statement(sql, &[])).await.unwrap();
    let names: Vec<_> = batches[0]
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    assert_eq!(names, ["n", "big \"one\"", "duck", "m"]);
    let rows: Vec<_> = batches.iter().flat_map(page_values).flatten().flatten().collect();
    assert_eq!(rows.join(" "), "1 4 \u{1f986} 4 2 3 \u{1f986} 3 3 2 \u{1f986} 2");
}

#[tokio::test]
async fn binds_have_their_type() {
    let test = TestWarehouse::new();
    let date = "2026-01-31".parse().unwrap();
    let datetime = "2026-01-31T10:11:12.000013".parse().unwrap();
    for (bind, expected) in [
        (
            Bind::Text("'; drop table x --".into()),
            "VARCHAR '; drop table x --",
        ),
        (Bind::Integer(7), "INTEGER 7"),
        (Bind::Integer(i64::MIN), "BIGINT -9223372036854775808"),
        (Bind::Decimal("-0.10".into()), "DECIMAL(3,2) -0.10"),
        (
            Bind::Decimal("12345678901234567890123456789012345.678".into()),
            "DECIMAL(38,3) 12345678901234567890123456789012345.678",
        ),
        (Bind::Boolean(true), "BOOLEAN true"),
        (Bind::Date(date), "DATE 2026-01-31"),
        (Bind::Datetime(datetime), "TIMESTAMP 2026-01-31 10:11:12.000013"),
    ] {
        let rows = test
            .rows("select typeof($1) || ' ' || $1", std::slice::from_ref(&bind))
            .await
            .unwrap();
        assert_eq!(rows[0][0].as_deref(), Some(expected), "{bind:?}");
    }
    let rows = test
        .rows("select 1 where $1 is null", &[Bind::Null])
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
}

#[tokio::test]
async fn values_sql_decides_in_the_job() {
    let test = TestWarehouse::new();
    test.load("create table colour as select unnest(['red', 'blue']) as name, 1 as rank");
    let with = |column: &str, values: &[Bind]| Statement {
        checks: vec![ValueCheck {
            filter: "colour".into(),
            values_sql: format!("select {column}, rank from colour -- all"),
            values: values.to_vec(),
        }],
        ..statement("select 1", &[])
    };
    let text = |value: &str| Bind::Text(value.into());
    test.run(&with("name", &[text("red")])).await.unwrap();
    test.run(&with("name", &[text("red"), text("blue")]))
        .await
        .unwrap();
    test.run(&with("rank", &[Bind::Integer(1), Bind::Integer(1)]))
        .await
        .unwrap();
    test.run(&with("rank", &[text("1")])).await.unwrap();
    for (column, values) in [
        ("name", vec![text("green")]),
        ("name", vec![text("red"), text("'; drop table colour --")]),
        ("rank", vec![text("one")]),
        ("rank", vec![Bind::Integer(1), Bind::Integer(2)]),
    ] {
        let error = test.run(&with(column, &values)).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidRequest, "{values:?} {error}");
        assert!(error.message.contains("`colour`"), "{error}");
    }
}

#[tokio::test]
async fn errors_are_the_engines_own() {
    let test = TestWarehouse::new();
    let error = test.rows("select * from nowhere", &[]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::SourceFailed);
    assert!(error.message.contains("nowhere"), "{error}");
    let error = test.rows("select\n  1 +\n  from from x", &[]).await.unwrap_err();
    assert!(error.message.contains("line 3"), "{error}");
    let error = test
        .rows(
            "select (case when n = 90000 then 'x' else '1' end)::integer from range(100000) t(n)",
            &[],
        )
        .await
        .unwrap_err();
    assert!(error.message.contains("Could not convert string 'x'"), "{error}");
}

#[tokio::test]
async fn giving_up_stops_the_query() {
    let test = TestWarehouse::new();
    let connections = || {
        let connection = test.warehouse.connect().unwrap();
        let count = connection.query_row("select * from duckdb_connection_count()", [], |row| {
            row.get::<_, i64>(0)
        });
        count.unwrap()
    };
    let alone = connections();
    // It would take years, and answers only at the end, so it is given up while it runs.
    let endless = statement(
        "select max(a.n * b.n) from range(10000000) a(n), range(10000000) b(n)",
        &[],
    );
    let deadline = std::time::Duration::from_millis(100);
    let gave_up = tokio::time::timeout(deadline, test.warehouse.query(&endless)).await;
    assert!(gave_up.is_err());
    // The query's connection goes only because the engine was told to stop.
    while connections() > alone {
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn numbers_are_bound_as_literals_are() {
    let test = TestWarehouse::new();
    let three = [Bind::Integer(3)];
    for (sql, expected) in [
        ("select date '2026-01-10' - $1", "2026-01-07"),
        ("select round(12.34567, $1)", "12.346"),
        ("select repeat('x', $1)", "xxx"),
        ("select count(*) from (select 1 from range(9) limit $1)", "3"),
        ("select 7 % $1", "1"),
    ] {
        let rows = test.rows(sql, &three).await.unwrap();
        assert_eq!(rows[0][0].as_deref(), Some(expected), "{sql}");
    }
}

#[tokio::test]
async fn enumerations_are_text_at_any_depth() {
    let test = TestWarehouse::new();
    test.load("create type mood as enum ('sad', 'glad')");
    let sql = "select case when n % 2 = 0 then 'sad' else 'glad' end::mood as e, [e] as l, {'k': e} as s,
               map {'k': e} as m from range(50000) as t(n) order by n";
    let batches = test.run(&statement(sql, &[])).await.unwrap();
    assert!(!format!("{:?}", batches[0].schema()).contains("Dictionary"));
    let row = &page_values(&batches[0])[1];
    let row: Vec<&str> = row.iter().flatten().map(String::as_str).collect();
    assert_eq!(row, ["glad", r#"["glad"]"#, r#"{"k":"glad"}"#, r#"{"k":"glad"}"#]);
}

#[tokio::test]
async fn asking_for_the_types_runs_nothing() {
    let test = TestWarehouse::new();
    test.load("create sequence counter; create table t as select 1 as n");
    // An error of the run shows that the run has begun: with zero rows asked for, it must not.
    let connection = test.warehouse.connect().unwrap();
    let probe = "select * from (select error('ran') from t) as report limit 0";
    assert!(connection.prepare(probe).unwrap().query([]).is_ok());
}

#[tokio::test]
async fn what_is_known_of_a_statement_is_checked_again() {
    let test = TestWarehouse::new();
    let text = |value: &str| vec![vec![Some(value.to_owned())]];
    test.load("create table t as select 1 as n");
    for _ in 0..2 {
        assert_eq!(test.rows("select * from t", &[]).await.unwrap(), text("1"));
    }
    test.load("create or replace table t as select '0101'::bit as n");
    for _ in 0..2 {
        assert_eq!(test.rows("select * from t", &[]).await.unwrap(), text("0101"));
    }
    test.load("create or replace table t as select 2 as n");
    assert_eq!(test.rows("select * from t", &[]).await.unwrap(), text("2"));

    test.load("create macro own(x) as table select x as n");
    assert_eq!(test.rows("select * from own(3)", &[]).await.unwrap(), text("3"));
    test.load("drop macro table own");
    let error = test.rows("select * from own(3)", &[]).await.unwrap_err();
    assert!(error.message.contains("table function `own`"), "{error}");
}

#[tokio::test]
async fn narrow_decimals_come_narrow() {
    let test = TestWarehouse::new();
    let sql = "select 1.5::decimal(4, 1) as a, -2.25::decimal(15, 2) as b, 3::decimal(20, 0) as c, 7::decimal(9, 0) as d";
    let batches = test.run(&statement(sql, &[])).await.unwrap();
    let types: Vec<DataType> = batches[0]
        .schema()
        .fields()
        .iter()
        .map(|field| field.data_type().clone())
        .collect();
    assert_eq!(
        types,
        [
            DataType::Decimal32(4, 1),
            DataType::Decimal64(15, 2),
            DataType::Decimal128(20, 0),
            DataType::Decimal32(9, 0)
        ]
    );
    let text = |value: &str| Some(value.to_owned());
    assert_eq!(
        test.rows(sql, &[]).await.unwrap(),
        [[text("1.5"), text("-2.25"), text("3"), text("7")]]
    );
}
