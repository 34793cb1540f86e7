//! What this server is measured against, where that is a library: minimal programs for `benches/run.py`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring program")]

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;
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
        ["small", file, count, keys] => small(file, count.parse().unwrap(), keys.parse().unwrap()),
        ["load", host, header, path, body, keys] => load(host, header, path, body, keys.parse().unwrap()),
        // `cargo bench` and `cargo test` call it without these words.
        _ => {}
    }
}

fn open(file: &str) -> Connection {
    let config = Config::default().access_mode(AccessMode::ReadOnly).unwrap();
    Connection::open_with_flags(file, config).unwrap()
}

/// The numbers of orders, well mixed.
fn key(number: i64, keys: i64) -> i64 {
    number * 7_919 % keys * 32 + 1
}

/// Requests a second and their median time in milliseconds, of many clients that each keep one connection.
/// `{key}` in the path and the body becomes another number each time, of as many as `keys`.
fn load(host: &str, header: &str, path: &str, body: &str, keys: i64) {
    let end = Instant::now() + LOAD_TIME;
    let numbers = AtomicI64::new(0);
    let mut times: Vec<f64> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..LOAD_CLIENTS)
            .map(|_| scope.spawn(|| client(host, header, path, body, keys, &numbers, end)))
            .collect();
        clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect()
    });
    times.sort_by(f64::total_cmp);
    let rate = times.len() as f64 / LOAD_TIME.as_secs_f64();
    println!("{rate} {}", times[times.len() / 2] * 1000.0);
}

const LOAD_CLIENTS: usize = 32;
const LOAD_TIME: Duration = Duration::from_secs(5);

fn client(
    host: &str,
    header: &str,
    path: &str,
    body: &str,
    keys: i64,
    numbers: &AtomicI64,
    end: Instant,
) -> Vec<f64> {
    let stream = TcpStream::connect(host).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut stream = BufReader::new(stream);
    let mut times = Vec::new();
    let mut started = Instant::now();
    while started < end {
        let key = key(numbers.fetch_add(1, Ordering::Relaxed), keys).to_string();
        let path = path.replace("{key}", &key);
        let body = body.replace("{key}", &key);
        let method = if body.is_empty() { "GET" } else { "POST" };
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{header}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        let answer = answer(&mut stream);
        assert!(answer.contains("l_comment"), "{answer}");
        times.push(started.elapsed().as_secs_f64());
        started = Instant::now();
    }
    times
}

/// The body of an answer that is 200, which says its length or comes in chunks.
fn answer(stream: &mut BufReader<TcpStream>) -> String {
    let mut length = None;
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    assert!(line.contains(" 200 "), "{line}");
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).unwrap();
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok();
        }
    }
    let mut body = vec![0; length.unwrap_or_default()];
    stream.read_exact(&mut body).unwrap();
    while length.is_none() {
        line.clear();
        stream.read_line(&mut line).unwrap();
        let chunk = usize::from_str_radix(line.trim_end(), 16).unwrap();
        let start = body.len();
        // With the line end that is behind each chunk.
        body.resize(start + chunk + 2, 0);
        stream.read_exact(&mut body[start..]).unwrap();
        body.truncate(start + chunk);
        if chunk == 0 {
            break;
        }
    }
    String::from_utf8(body).unwrap()
}

/// The seconds of each of many small queries, bound and executed anew each time.
fn small(file: &str, count: i64, keys: i64) {
    let connection = open(file);
    let sql = "select * from lineitem where l_orderkey >= $1 and l_orderkey < $1 + 3
               order by l_orderkey, l_linenumber";
    for number in 0..count {
        let key = key(number, keys);
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
