//! The short way of the common types writes what the general way writes.

use std::sync::Arc;

use arrow::array::Array;
use arrow::array::ArrayRef;
use arrow::array::Date32Array;
use arrow::array::Decimal32Array;
use arrow::array::Decimal64Array;
use arrow::array::Decimal128Array;
use arrow::array::Float32Array;
use arrow::array::Float64Array;
use arrow::array::Int32Array;
use arrow::array::Int64Array;
use arrow::array::RecordBatch;
use arrow::array::TimestampMicrosecondArray;
use arrow::array::TimestampMillisecondArray;
use arrow::array::TimestampNanosecondArray;
use arrow::array::TimestampSecondArray;
use arrow::array::UInt64Array;
use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_oneof;
use proptest::proptest;

use crate::exports::digits;
use crate::exports::digits::CELL;
use crate::exports::json;
use crate::exports::json_rows::JsonRows;
use crate::exports::tests::batch;
use crate::exports::tests::catalogue::every_type;
use crate::exports::tests::strings;
use crate::exports::text::page_values;

fn page(rows: &RecordBatch, limit: usize) -> String {
    let mut out = b"[".to_vec();
    let mut row = 0;
    while row < rows.num_rows() {
        if row > 0 {
            out.push(b',');
        }
        let limit = out.len().saturating_add(limit);
        row = JsonRows::for_page(rows).write(row..rows.num_rows(), Some(b','), limit, &mut out);
    }
    out.push(b']');
    String::from_utf8(out).unwrap()
}

fn assert_same(rows: &RecordBatch) {
    let shown: Vec<Vec<Option<String>>> = serde_json::from_str(&page(rows, usize::MAX)).unwrap();
    assert_eq!(shown, page_values(rows));
}

fn column(array: impl Array + 'static) -> (&'static str, ArrayRef) {
    ("v", Arc::new(array))
}

/// Numbers of any length, and those beside a power of ten.
fn number() -> impl Strategy<Value = i64> {
    let power = (0_u32..19, -1_i64..=1).prop_map(|(power, beside)| 10_i64.pow(power) + beside);
    prop_oneof![
        (any::<i64>(), 0_u32..64).prop_map(|(number, shift)| number >> shift),
        (power, any::<bool>()).prop_map(|(number, negative)| if negative { -number } else { number }),
    ]
}

#[test]
fn pages_show_the_text_of_every_type() {
    for case in every_type() {
        let rows = batch([(case.name, case.array)]);
        assert_same(&rows);
        assert_same(&rows.slice(1, rows.num_rows() - 1));
    }
}

#[test]
fn page_in_pieces_is_the_same() {
    let rows = batch([
        ("n", Arc::new(Int64Array::from_iter_values(0..100)) as _),
        ("s", strings(&[Some("say \"hi\""); 100])),
    ]);
    let whole = page(&rows, usize::MAX);
    for limit in [1, 20, 333] {
        assert_eq!(page(&rows, limit), whole);
    }
}

#[test]
fn rows_without_columns_are_empty() {
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(2));
    let schema = Arc::new(arrow::datatypes::Schema::empty());
    let rows = RecordBatch::try_new_with_options(schema, Vec::new(), &options).unwrap();
    assert_eq!(page(&rows, usize::MAX), "[[],[]]");
    let mut out = Vec::new();
    json::write_lines(rows.schema_ref(), &rows, &mut out);
    assert_eq!(out, b"{}\n{}\n");
}

#[test]
fn every_day_of_the_years_1_to_9999() {
    let mut cell = [0; CELL];
    let mut general = Vec::new();
    for days in -719_162..=2_932_896 {
        let length = digits::date(days, &mut cell);
        general.clear();
        crate::exports::calendar::write_date(days, &mut general);
        assert_eq!(&cell[..length], general, "day {days}");
    }
    for days in [i64::MIN, -719_163, 2_932_897, i64::MAX] {
        assert_eq!(digits::date(days, &mut cell), 0, "day {days}");
    }
}

#[test]
fn every_number_of_up_to_six_digits() {
    let mut cell = [0; CELL];
    for number in 0..1_000_000_u64 {
        let length = digits::integer(number, true, &mut cell);
        assert_eq!(&cell[..length], format!("-{number}").as_bytes());
    }
}

#[test]
fn texts_of_every_length() {
    // Long and short ones in turn, up to the end of the values, with and without a mark at either end.
    for mark in ["", "\"", "\n", ","] {
        let texts: Vec<String> = (0..200_usize)
            .map(|row| match row % 3 {
                0 => format!("{mark}{}", "x".repeat(row / 3)),
                1 => format!("{}{mark}", "y".repeat(200 - row)),
                _ => "z".repeat(row % 17),
            })
            .collect();
        for from in [0, 1, 50, 199] {
            let texts: Vec<Option<&str>> = texts.iter().map(|text| Some(text.as_str())).collect();
            let rows = batch([("t", strings(&texts))]);
            assert_same(&rows.slice(from, 200 - from));
            assert_same(&rows.slice(0, from));
        }
    }
}

#[test]
fn lines_are_objects() {
    let name = "a name that is longer than what one move copies";
    let rows = batch([
        ("n", Arc::new(Int32Array::from(vec![Some(1), None])) as _),
        (name, strings(&[Some("x\ny"), None])),
    ]);
    let mut out = b"before\n".to_vec();
    json::write_lines(rows.schema_ref(), &rows, &mut out);
    let wanted = format!("before\n{{\"n\":1,\"{name}\":\"x\\ny\"}}\n{{\"n\":null,\"{name}\":null}}\n");
    assert_eq!(String::from_utf8(out).unwrap(), wanted);
}

proptest! {
    #[test]
    fn numbers_are_the_same(numbers in vec(number(), 1..60)) {
        assert_same(&batch([column(Int64Array::from(numbers.clone()))]));
        assert_same(&batch([column(numbers.iter().map(|n| Some(*n as i32)).collect::<Int32Array>())]));
        assert_same(&batch([column(numbers.iter().map(|n| Some(*n as u64)).collect::<UInt64Array>())]));
    }

    #[test]
    fn decimals_are_the_same(numbers in vec(number(), 1..60), scale in -2_i8..=9) {
        let wide = numbers.iter().map(|n| Some(i128::from(*n))).collect::<Decimal128Array>();
        assert_same(&batch([column(wide.with_precision_and_scale(38, scale).unwrap())]));
        let narrow = Decimal64Array::from(numbers.clone());
        assert_same(&batch([column(narrow.with_precision_and_scale(18, scale).unwrap())]));
        let small = numbers.iter().map(|n| Some(*n as i32)).collect::<Decimal32Array>();
        assert_same(&batch([column(small.with_precision_and_scale(9, scale).unwrap())]));
    }

    #[test]
    fn moments_are_the_same(numbers in vec(number(), 1..60), near in vec(-9_000_000_000_000_i64..9_000_000_000_000, 30)) {
        let numbers: Vec<i64> = numbers.into_iter().chain(near).collect();
        assert_same(&batch([column(numbers.iter().map(|n| Some(*n as i32)).collect::<Date32Array>())]));
        assert_same(&batch([column(TimestampSecondArray::from(numbers.clone()))]));
        assert_same(&batch([column(TimestampMillisecondArray::from(numbers.clone()))]));
        assert_same(&batch([column(TimestampMicrosecondArray::from(numbers.clone()).with_timezone("UTC"))]));
        assert_same(&batch([column(TimestampNanosecondArray::from(numbers.clone()))]));
    }

    #[test]
    fn floats_are_the_same(numbers in vec((any::<f64>(), number()), 1..60)) {
        let numbers: Vec<f64> = numbers.iter().flat_map(|(any, number)| [*any, *number as f64 / 100.0]).collect();
        assert_same(&batch([column(Float64Array::from(numbers.clone()))]));
        assert_same(&batch([column(numbers.iter().map(|n| Some(*n as f32)).collect::<Float32Array>())]));
    }
}
