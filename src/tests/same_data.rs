//! For any report and any page size: the pages = the CSV = the JSON = the XLSX = what DuckDB's shell says,
//! while something else writes to the warehouse.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use calamine::Data;
use calamine::Reader as _;
use proptest::prelude::*;
use proptest::test_runner::Config as CaseConfig;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use crate::tests::TestApp;
use crate::tests::reader;

const LOAD: &str = "create table base as
    select n, 'text, \"' || n || '\"' || case when n % 5 = 0 then chr(10) else '' end as t from range(700) as r(n);";

/// Columns whose text the shell writes as we do.
const COLUMNS: [&str; 14] = [
    "n",
    "n::integer - 350",
    "n * 12345678901234567 - 7",
    "n::hugeint * 170141183460469231 * 1000000000000",
    "(n * 1.37)::decimal(12, 3)",
    "(n / 7.0)::decimal(30, 17)",
    "case when n % 3 = 0 then null else t end",
    "case when n % 4 = 0 then '' when n % 4 = 1 then null else ' 🦆' || n end",
    "date '1992-01-01' + n::integer * 13",
    "timestamp '2001-02-03 04:05:06.789' + interval (n * 97) minute",
    "time '00:00:00' + interval (n) minute",
    "n % 2 = 0",
    "(n / 8)::double",
    "null::varchar",
];

type Rows = Vec<Vec<Option<String>>>;

#[derive(Clone, Debug)]
struct Case {
    columns: Vec<usize>,
    modulus: u32,
    limit: u32,
    descending: bool,
    page_size: u32,
}

impl Case {
    /// As text: each column cast, so that the shell's JSON output holds strings.
    fn sql(&self, as_text: bool) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| match as_text {
                true => format!("({})::varchar as c{index}", COLUMNS[*column]),
                false => format!("{} as c{index}", COLUMNS[*column]),
            })
            .collect();
        format!(
            "select {} from base where n % {} = 0 order by base.n {} limit {}",
            columns.join(", "),
            self.modulus,
            if self.descending { "desc" } else { "" },
            self.limit
        )
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let columns = prop::collection::vec(0..COLUMNS.len(), 2..6);
    (columns, 1_u32..9, 0_u32..700, any::<bool>(), 1_u32..120).prop_map(
        |(columns, modulus, limit, descending, page_size)| Case {
            columns,
            modulus,
            limit,
            descending,
            page_size,
        },
    )
}

#[test]
fn every_way_out_gives_the_same_data() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let app = runtime.block_on(TestApp::new());
    app.load(LOAD);
    let stop = Arc::new(AtomicBool::new(false));
    let writing = {
        let connection = app.worker.warehouse.connect().unwrap();
        let stop = stop.clone();
        std::thread::spawn(move || {
            let mut written = 0;
            while !stop.load(Ordering::Relaxed) {
                // Other rows come and go; the same rows are written again and again.
                let sql = "begin; insert into base select -n - 1, 'noise' from range(1000) as r(n);
                           delete from base where n < 0; update base set t = t where n % 2 = 0; commit;";
                connection.execute_batch(sql).unwrap();
                written += 1;
            }
            written
        })
    };
    let mut runner = TestRunner::new(CaseConfig {
        cases: 24,
        max_shrink_iters: 50,
        ..CaseConfig::default()
    });
    let held = runner.run(&cases(), |case| {
        runtime.block_on(check(&app, &case));
        Ok(())
    });
    stop.store(true, Ordering::Relaxed);
    let written = writing.join().unwrap();
    held.unwrap();
    assert!(written > 0);
}

async fn check(app: &TestApp, case: &Case) {
    app.report_sql(&case.sql(false)).await;
    let pages = pages(app, case.page_size).await;
    let csv = app.export("csv").await.unwrap();
    let json = json_rows(&app.export("json").await.unwrap());
    let same = json.len() == pages.len() && json.iter().zip(&pages).all(|(a, b)| same_json(a, b));
    assert!(same, "JSON differs: {json:?} {pages:?}");
    let xlsx = xlsx_rows(&app.export("xlsx").await.unwrap());
    assert!(xlsx.len() <= pages.len(), "XLSX rows");
    for (row, texts) in pages.iter().enumerate() {
        // Rows without a cell at the end of a sheet are not in it; only rows of nothing may be missing.
        for (column, text) in texts.iter().enumerate() {
            let cell = xlsx.get(row).and_then(|cells| cells.get(column));
            same_cell(cell.unwrap_or(&Data::Empty), text.as_deref());
        }
    }
    let Some(mut shell) = reader("duckdb") else {
        return;
    };
    let file = app.path().join("same.csv");
    std::fs::write(&file, &csv).unwrap();
    let script = format!(
        "{LOAD} select count(*)::varchar as c0 from ({}) as report; {}; select * from read_csv('{}', header = true, all_varchar = true, delim = ',', quote = '\"',
         escape = '\"', new_line = '\\n', allow_quoted_nulls = false, null_padding = false);",
        case.sql(true),
        case.sql(true),
        file.display()
    );
    let output = shell.args(["-json", "-c", &script]).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut answers = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    let mut next = || {
        answers
            .next()
            .map_or_else(Vec::new, |answer| text_rows(&answer.unwrap()))
    };
    assert_eq!(
        next(),
        [[Some(pages.len().to_string())]],
        "DuckDB's shell counts otherwise"
    );
    if pages.is_empty() {
        return;
    }
    assert_eq!(next(), pages, "DuckDB's shell says otherwise");
    assert_eq!(next(), pages, "the CSV reads otherwise");
}

async fn pages(app: &TestApp, page_size: u32) -> Rows {
    let job_id = app.submit("/queries/1/submit_query.json").await;
    app.run_pending_jobs().await;
    let mut rows = Rows::new();
    for page in 1.. {
        let path =
            format!("/queries/get_query_results.json?job_id={job_id}&_page={page}&_page_size={page_size}");
        let answer = app.get(&path).await.json();
        assert_eq!(answer["status"], "success", "{answer}");
        let values: Rows = serde_json::from_value(answer["values"].clone()).unwrap();
        if values.is_empty() {
            assert_eq!(answer["paginated"]["num_rows"], rows.len());
            assert_eq!(answer["paginated"]["num_pages"], page - 1);
            break;
        }
        rows.extend(values);
    }
    rows
}

fn json_rows(file: &[u8]) -> Vec<Vec<Value>> {
    let rows: Vec<serde_json::Map<String, Value>> = serde_json::from_slice(file).unwrap();
    rows.into_iter().map(in_order).collect()
}

fn in_order(row: serde_json::Map<String, Value>) -> Vec<Value> {
    let names: BTreeSet<String> = row.keys().cloned().collect();
    names.iter().map(|name| row[name].clone()).collect()
}

fn text_rows(answer: &Value) -> Rows {
    let rows: Vec<serde_json::Map<String, Value>> = serde_json::from_value(answer.clone()).unwrap();
    rows.into_iter()
        .map(|row| {
            in_order(row)
                .iter()
                .map(|value| value.as_str().map(str::to_owned))
                .collect()
        })
        .collect()
}

fn same_json(values: &[Value], texts: &[Option<String>]) -> bool {
    values.len() == texts.len()
        && values.iter().zip(texts).all(|(value, text)| match (value, text) {
            (Value::Null, None) => true,
            (Value::String(value), Some(text)) => value == text,
            (Value::Bool(value), Some(text)) => value.to_string() == *text,
            (Value::Number(value), Some(text)) => value.to_string() == *text,
            _ => false,
        })
}

fn xlsx_rows(file: &[u8]) -> Vec<Vec<Data>> {
    let mut workbook = calamine::Xlsx::new(std::io::Cursor::new(file)).unwrap();
    let range = workbook.worksheet_range("Sheet1").unwrap();
    let height = range.end().map_or(0, |(row, _)| row as usize);
    let mut rows: Vec<Vec<Data>> = range.rows().skip(1).map(<[Data]>::to_vec).collect();
    // Rows of nothing but NULL at the end have no cells, hence no place in the range.
    rows.truncate(height);
    rows
}

fn same_cell(cell: &Data, text: Option<&str>) {
    let same = match (cell, text) {
        (Data::Empty, None | Some("")) => true,
        (Data::Float(value), Some(text)) => text.parse() == Ok(*value),
        (Data::Int(value), Some(text)) => value.to_string() == text,
        (Data::Bool(value), Some(text)) => value.to_string() == text,
        (Data::String(value), Some(text)) => value == text,
        (Data::DateTime(time), Some(text)) => same_time(time, text),
        _ => false,
    };
    assert!(same, "{cell:?} is not {text:?}");
}

fn same_time(time: &calamine::ExcelDateTime, text: &str) -> bool {
    let time = time.as_datetime().unwrap();
    let date = time.date().to_string();
    let clock = time.time().format("%H:%M:%S%.f").to_string();
    [date.clone(), clock.clone(), format!("{date} {clock}")].contains(&text.to_owned())
}
