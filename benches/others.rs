//! What this server is measured against, where that is a library: minimal programs for `benches/run.py`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring program")]

use std::time::Instant;

use arrow::array::AsArray as _;
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use arrow::datatypes::Date32Type;
use arrow::datatypes::Decimal128Type;
use arrow::datatypes::Int32Type;
use arrow::datatypes::Int64Type;
use duckdb::AccessMode;
use duckdb::Config;
use duckdb::Connection;
use rust_xlsxwriter::Format;
use rust_xlsxwriter::Workbook;
use rust_xlsxwriter::Worksheet;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["xlsx", file, out, rows] => xlsx(file, out, rows),
        ["small", file, count] => small(file, count.parse().unwrap()),
        // `cargo bench` and `cargo test` call it without these words.
        _ => {}
    }
}

fn open(file: &str) -> Connection {
    let config = Config::default().access_mode(AccessMode::ReadOnly).unwrap();
    Connection::open_with_flags(file, config).unwrap()
}

/// The seconds of each of many small queries, bound and executed anew each time.
fn small(file: &str, count: i64) {
    let connection = open(file);
    let sql = "select * from lineitem where l_orderkey = $1 order by l_linenumber limit 10";
    for number in 0..count {
        let key = number * 7_919 % 187_500 * 32 + 1;
        let started = Instant::now();
        let mut statement = connection.prepare(sql).unwrap();
        let rows: usize = statement
            .query_arrow([key])
            .unwrap()
            .map(|batch| batch.num_rows())
            .sum();
        assert!(rows > 0);
        println!("{}", started.elapsed().as_secs_f64());
    }
}

/// A workbook of the first rows of `lineitem`, with the crate's defaults but for constant memory.
fn xlsx(file: &str, out: &str, rows: &str) {
    let connection = open(file);
    let mut statement = connection
        .prepare(&format!("select * from lineitem limit {rows}"))
        .unwrap();
    let batches = statement.stream_arrow([]).unwrap();
    let mut book = Workbook::new();
    let date = Format::new().set_num_format("yyyy-mm-dd");
    let sheet = book.add_worksheet_with_constant_memory().unwrap();
    for (column, field) in (0..).zip(batches.get_schema().fields()) {
        sheet.write_string(0, column, field.name()).unwrap();
    }
    let mut row = 1;
    for batch in batches {
        for index in 0..batch.num_rows() {
            write_row(sheet, row, &batch, index, &date);
            row += 1;
        }
    }
    book.save(out).unwrap();
}

fn write_row(sheet: &mut Worksheet, row: u32, batch: &RecordBatch, index: usize, date: &Format) {
    for (column, array) in (0..).zip(batch.columns()) {
        match array.data_type() {
            DataType::Int64 => {
                let value = array.as_primitive::<Int64Type>().value(index) as f64;
                sheet.write_number(row, column, value).unwrap();
            }
            DataType::Int32 => {
                let value = array.as_primitive::<Int32Type>().value(index);
                sheet.write_number(row, column, value).unwrap();
            }
            DataType::Decimal128(_, scale) => {
                let value = array.as_primitive::<Decimal128Type>().value(index) as f64;
                let value = value / 10_f64.powi((*scale).into());
                sheet.write_number(row, column, value).unwrap();
            }
            DataType::Date32 => {
                let value = array.as_primitive::<Date32Type>().value(index);
                let serial = f64::from(value) + 25_569.0;
                sheet.write_number_with_format(row, column, serial, date).unwrap();
            }
            _ => {
                let value = array.as_string::<i32>().value(index);
                sheet.write_string(row, column, value).unwrap();
            }
        };
    }
}
