use std::io::Cursor;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::Int64Array;
use arrow::array::RecordBatch;
use calamine::Data;
use calamine::Range;
use calamine::Reader;
use calamine::Xlsx;

use crate::error::ErrorCode;
use crate::exports::Format;
use crate::exports::tests::batch;
use crate::exports::tests::catalogue::Row;
use crate::exports::tests::catalogue::every_type;
use crate::exports::tests::file;
use crate::exports::tests::strings;
use crate::exports::tests::try_file_of;
use crate::exports::xlsx::write_sheets;

/// The sheets with their names, as another library reads them.
fn sheets(bytes: Vec<u8>) -> Vec<(String, Range<Data>)> {
    let mut workbook = Xlsx::new(Cursor::new(bytes)).unwrap();
    workbook.worksheets()
}

fn only_sheet(bytes: Vec<u8>) -> Range<Data> {
    let mut sheets = sheets(bytes);
    assert_eq!(sheets.len(), 1);
    sheets.remove(0).1
}

fn cell(sheet: &Range<Data>, row: usize, column: u32) -> Data {
    let row = u32::try_from(row).unwrap();
    sheet.get_value((row, column)).cloned().unwrap_or(Data::Empty)
}

fn assert_cell(shown: &Data, wanted: &Row, name: &str) {
    let (kind, value) = wanted.xlsx.split_once(' ').unwrap_or((wanted.xlsx, ""));
    let agrees = match (kind, shown) {
        ("", Data::Empty) => true,
        ("t", Data::String(text)) => Some(text.as_str()) == wanted.text,
        ("n", Data::Float(number)) => value.parse() == Ok(*number),
        ("b", Data::Bool(boolean)) => value.parse() == Ok(*boolean),
        ("d", Data::DateTime(moment)) => {
            let serial: f64 = value.parse().unwrap();
            (moment.as_f64() - serial).abs() < 1e-10
        }
        _ => false,
    };
    assert!(agrees, "{name}: {shown:?} is not {wanted:?}");
}

#[test]
fn every_type_has_its_cell() {
    for case in every_type() {
        let sheet = only_sheet(file(Format::Xlsx, &batch([(case.name, case.array)])));
        assert_eq!(cell(&sheet, 0, 0), Data::String(case.name.to_owned()));
        for (position, row) in case.rows.iter().enumerate() {
            assert_cell(&cell(&sheet, position + 1, 0), row, case.name);
        }
    }
}

#[test]
fn rows_past_the_limit_get_further_sheets() {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10));
    let rows = batch([("n", numbers)]);
    // The border of a batch is not the border of a sheet.
    let batches = [rows.slice(0, 3), rows.slice(3, 7)].map(Ok);
    let temp_dir = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    write_sheets(&rows.schema(), batches.into_iter(), 5, &mut out, temp_dir.path()).unwrap();
    let sheets = sheets(out);
    let names: Vec<&str> = sheets.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Sheet1", "Sheet2", "Sheet3"]);
    let mut next = 0.0;
    for (_, sheet) in &sheets {
        assert_eq!(cell(sheet, 0, 0), Data::String("n".to_owned()));
        for row in 1..sheet.height() {
            assert_eq!(cell(sheet, row, 0), Data::Float(next));
            next += 1.0;
        }
    }
    assert_eq!(next, 10.0);
    assert_eq!(sheets[1].1.height(), 5);
}

#[test]
fn full_sheet_has_no_empty_follower() {
    let rows = batch([("n", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)]);
    let temp_dir = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    write_sheets(
        &rows.schema(),
        [Ok(rows.clone())].into_iter(),
        3,
        &mut out,
        temp_dir.path(),
    )
    .unwrap();
    assert_eq!(sheets(out).len(), 1);
}

#[test]
fn no_rows_leave_the_header() {
    let sheet = only_sheet(file(
        Format::Xlsx,
        &batch([("a", strings(&[])), ("a", strings(&[]))]),
    ));
    assert_eq!(sheet.height(), 1);
    assert_eq!(cell(&sheet, 0, 1), Data::String("a".to_owned()));
}

#[test]
fn column_of_nulls_is_empty() {
    let sheet = only_sheet(file(Format::Xlsx, &batch([("=a", strings(&[None, None]))])));
    assert_eq!(sheet.height(), 1);
    assert_eq!(cell(&sheet, 0, 0), Data::String("=a".to_owned()));
}

#[test]
fn cell_too_long_for_excel_is_named() {
    let longest = "é".repeat(32_767);
    let sheet = only_sheet(file(Format::Xlsx, &batch([("a", strings(&[Some(&longest)]))])));
    assert!(cell(&sheet, 1, 0) == Data::String(longest.clone()));

    // A character outside the first plane counts twice.
    let emoji = "😀".repeat(16_384);
    let megabyte = "x".repeat(1 << 20);
    for (text, length) in [(&emoji, 32_768), (&megabyte, 1 << 20)] {
        let rows = batch([
            ("a", strings(&[Some("x"), Some(&longest), None])),
            ("b", strings(&[None, None, Some(text)])),
        ]);
        let error = try_file_of(Format::Xlsx, &[rows], 1).unwrap_err();
        assert_eq!(error.code, ErrorCode::TooLarge);
        let wanted = format!(
            "row 3, column `b`: a cell of an XLSX file holds at most 32767 characters, \
             this one has {length}: take csv or json"
        );
        assert_eq!(error.message, wanted);
    }
}

#[test]
fn too_many_columns_are_an_error() {
    let column = strings(&[Some("x")]);
    let wide = |columns: usize| -> RecordBatch { batch((0..columns).map(|_| ("c", Arc::clone(&column)))) };
    let error = try_file_of(Format::Xlsx, &[wide(16_385)], 1).unwrap_err();
    assert_eq!(error.code, ErrorCode::TooLarge);
    assert_eq!(
        error.message,
        "an XLSX file holds at most 16384 columns, the result has 16385: take csv or json"
    );
    assert_eq!(only_sheet(file(Format::Xlsx, &wide(16_384))).width(), 16_384);
}
