//! Our XLSX writer beside rust_xlsxwriter in its mode of constant memory, with its default settings:
//! 100,000 rows of TPC-H `lineitem`, all 16 columns.

#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::hint::black_box;
use std::sync::Arc;

use arrow::array::Array;
use arrow::array::ArrayRef;
use arrow::array::AsArray;
use arrow::array::Date32Array;
use arrow::array::Decimal128Array;
use arrow::array::Int32Array;
use arrow::array::Int64Array;
use arrow::array::RecordBatch;
use arrow::array::StringArray;
use arrow::datatypes::DataType;
use arrow::datatypes::Date32Type;
use arrow::datatypes::Decimal128Type;
use arrow::datatypes::Int32Type;
use arrow::datatypes::Int64Type;
use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use rust_xlsxwriter::Format;
use rust_xlsxwriter::Workbook;
use rust_xlsxwriter::Worksheet;
use tpchgen::dates::TPCHDate;
use tpchgen::generators::LineItem;
use tpchgen::generators::LineItemGenerator;

const ROWS: usize = 100_000;
/// As stored results have them.
const BATCH_ROWS: usize = 16_384;
/// From 1970-01-01 to Excel's day 0.
const SERIAL_OF_1970: i32 = 25_569;

fn lineitem(rows: usize) -> Vec<RecordBatch> {
    let items: Vec<LineItem> = LineItemGenerator::new(1.0, 1, 1).iter().take(rows).collect();
    items.chunks(BATCH_ROWS).map(batch).collect()
}

fn batch(items: &[LineItem]) -> RecordBatch {
    let big = |value: fn(&LineItem) -> i64| Arc::new(Int64Array::from_iter_values(items.iter().map(value)));
    let small = |value: fn(&LineItem) -> i32| Arc::new(Int32Array::from_iter_values(items.iter().map(value)));
    let money = |value: fn(&LineItem) -> i64| {
        let cents = Decimal128Array::from_iter_values(items.iter().map(|item| value(item).into()));
        Arc::new(cents.with_precision_and_scale(15, 2).unwrap())
    };
    let day = |value: fn(&LineItem) -> TPCHDate| {
        Arc::new(Date32Array::from_iter_values(
            items.iter().map(|item| value(item).to_unix_epoch()),
        ))
    };
    fn text<'a>(items: &'a [LineItem<'a>], value: impl Fn(&'a LineItem<'a>) -> &'a str) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(items.iter().map(value)))
    }
    let columns: [(&str, ArrayRef); 16] = [
        ("l_orderkey", big(|item| item.l_orderkey)),
        ("l_partkey", big(|item| item.l_partkey)),
        ("l_suppkey", big(|item| item.l_suppkey)),
        ("l_linenumber", small(|item| item.l_linenumber)),
        ("l_quantity", money(|item| item.l_quantity * 100)),
        ("l_extendedprice", money(|item| item.l_extendedprice.into_inner())),
        ("l_discount", money(|item| item.l_discount.into_inner())),
        ("l_tax", money(|item| item.l_tax.into_inner())),
        ("l_returnflag", text(items, |item| item.l_returnflag)),
        ("l_linestatus", text(items, |item| item.l_linestatus)),
        ("l_shipdate", day(|item| item.l_shipdate)),
        ("l_commitdate", day(|item| item.l_commitdate)),
        ("l_receiptdate", day(|item| item.l_receiptdate)),
        ("l_shipinstruct", text(items, |item| item.l_shipinstruct)),
        ("l_shipmode", text(items, |item| item.l_shipmode)),
        ("l_comment", text(items, |item| item.l_comment)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// What somebody would write who has no writer of his own.
fn with_rust_xlsxwriter(batches: &[RecordBatch]) -> Vec<u8> {
    let mut book = Workbook::new();
    let date = Format::new().set_num_format("yyyy-mm-dd");
    let sheet = book.add_worksheet_with_constant_memory().unwrap();
    for (column, field) in (0..).zip(batches[0].schema().fields()) {
        sheet.write_string(0, column, field.name()).unwrap();
    }
    let mut next = 1;
    for batch in batches {
        for row in 0..batch.num_rows() {
            for (column, array) in (0..).zip(batch.columns()) {
                write_cell(sheet, (next, column), array, row, &date);
            }
            next += 1;
        }
    }
    book.save_to_buffer().unwrap()
}

fn write_cell(sheet: &mut Worksheet, place: (u32, u16), array: &ArrayRef, row: usize, date: &Format) {
    let (line, column) = place;
    let number = match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row) as f64,
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Decimal128(_, _) => array.as_primitive::<Decimal128Type>().value(row) as f64 / 100.0,
        DataType::Date32 => {
            let serial = array.as_primitive::<Date32Type>().value(row) + SERIAL_OF_1970;
            sheet
                .write_number_with_format(line, column, serial, date)
                .unwrap();
            return;
        }
        _ => {
            sheet
                .write_string(line, column, array.as_string::<i32>().value(row))
                .unwrap();
            return;
        }
    };
    sheet.write_number(line, column, number).unwrap();
}

fn xlsx(criterion: &mut Criterion) {
    let batches = lineitem(ROWS);
    let schema = batches[0].schema();
    let mut group = criterion.benchmark_group("xlsx");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(ROWS as u64));
    for threads in [1, 2] {
        group.bench_function(format!("holistics, {threads} threads"), |bencher| {
            bencher.iter(|| holistics::bench::xlsx(&schema, black_box(batches.clone()), threads));
        });
    }
    group.bench_function("rust_xlsxwriter", |bencher| {
        bencher.iter(|| with_rust_xlsxwriter(black_box(&batches)));
    });
    group.finish();
}

criterion_group!(benches, xlsx);
criterion_main!(benches);
