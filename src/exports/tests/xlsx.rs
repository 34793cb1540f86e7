use std::io::Cursor;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::DictionaryArray;
use arrow::array::Int8Array;
use arrow::array::Int64Array;
use arrow::array::RecordBatch;
use arrow::array::RecordBatchOptions;
use arrow::array::StringArray;
use arrow::array::StringViewArray;
use arrow::datatypes::Schema;
use calamine::Data;
use calamine::Range;
use calamine::Reader;
use calamine::Xlsx;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::exports::Format;
use crate::exports::encode;
use crate::exports::options::Options;
use crate::exports::tests::batch;
use crate::exports::tests::catalogue::Row;
use crate::exports::tests::catalogue::every_type;
use crate::exports::tests::file;
use crate::exports::tests::file_of;
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
    let mut out = Vec::new();
    write_sheets(&rows.schema(), batches.into_iter(), 2, 5, &mut out).unwrap();
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
    let mut out = Vec::new();
    write_sheets(&rows.schema(), [Ok(rows.clone())].into_iter(), 2, 3, &mut out).unwrap();
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

/// Rows numbered from `from`, with a text for each.
fn numbered(from: i64, rows: i64) -> RecordBatch {
    let numbers = Int64Array::from_iter_values(from..from + rows);
    let words = StringArray::from_iter_values((from..from + rows).map(|n| format!("row <{n}>")));
    batch([("n", Arc::new(numbers) as ArrayRef), ("s", Arc::new(words))])
}

#[test]
fn sheets_are_cut_within_pieces() {
    let batches: Vec<RecordBatch> = (0..5).map(|i| numbered(i * 9_000, 9_000)).collect();
    let file_on = |threads| {
        let mut out = Vec::new();
        let batches = batches.iter().cloned().map(Ok);
        write_sheets(&numbered(0, 1).schema(), batches, threads, 10_001, &mut out).unwrap();
        out
    };
    let bytes = file_on(1);
    for threads in [2, 5] {
        assert!(file_on(threads) == bytes, "{threads} threads make another file");
    }
    let sheets = sheets(bytes);
    let heights: Vec<usize> = sheets.iter().map(|(_, sheet)| sheet.height()).collect();
    assert_eq!(heights, [10_001, 10_001, 10_001, 10_001, 5_001]);
    let mut next = 0;
    for (_, sheet) in &sheets {
        assert_eq!(cell(sheet, 0, 1), Data::String("s".to_owned()));
        for row in 1..sheet.height() {
            assert_eq!(cell(sheet, row, 0), Data::Float(f64::from(next)));
            assert_eq!(cell(sheet, row, 1), Data::String(format!("row <{next}>")));
            next += 1;
        }
    }
    assert_eq!(next, 45_000);
}

#[test]
fn threads_do_not_change_the_bytes() {
    let batches: Vec<RecordBatch> = (0..10).map(|i| numbered(i * 3_000, 3_000)).collect();
    let bytes = file_of(Format::Xlsx, &batches, 1);
    for threads in [0, 2, 4, 16] {
        assert!(file_of(Format::Xlsx, &batches, threads) == bytes);
    }
}

#[test]
fn first_error_in_the_order_of_rows_is_told() {
    let long = "x".repeat(32_768);
    let mut words = vec![Some("x"); 30_000];
    words[25_000] = Some(&long);
    words[29_999] = Some(&long);
    let rows = batch([
        ("n", Arc::new(Int64Array::from(vec![1; 30_000])) as ArrayRef),
        ("s", strings(&words)),
    ]);
    for threads in [1, 4] {
        let batches = [rows.slice(0, 7_000), rows.slice(7_000, 23_000)].map(Ok);
        let broken = Err(Error::new(ErrorCode::Timeout, "too slow"));
        let batches = batches.into_iter().chain([broken]);
        let error = encode(
            Format::Xlsx,
            &Options::default(),
            &rows.schema(),
            batches,
            threads,
            &mut Vec::new(),
        )
        .unwrap_err();
        assert_eq!(error.code, ErrorCode::TooLarge);
        assert!(
            error.message.starts_with("row 25001, column `s`: a cell"),
            "{error}"
        );
    }
}

#[test]
fn name_too_long_for_excel_is_an_error() {
    let name = "n".repeat(32_768);
    let error = try_file_of(Format::Xlsx, &[batch([(name.as_str(), strings(&[]))])], 1).unwrap_err();
    assert!(error.message.starts_with("row 0, column `nnn"), "{error}");
}

#[test]
fn odd_texts_are_whole() {
    let texts = [
        "=1+1",
        "_x0041_",
        "_xD83D__xDE00_",
        "_x000D\r",
        " edges ",
        "\n",
        "\0\u{1f}\u{7f}\u{fffe}\u{ffff}",
        "a\r\nb\rc\td",
        "<&>\"'",
        "😀 é ｱ 𝒳",
        "]]>",
    ];
    let array: StringArray = texts.iter().copied().map(Some).collect();
    let views: StringViewArray = texts.iter().copied().map(Some).collect();
    let keys = Int8Array::from_iter_values(0..texts.len() as i8);
    let dictionary = DictionaryArray::new(keys, Arc::new(array.clone()));
    let columns: [(&str, ArrayRef); 3] = [
        (" a\r", Arc::new(array)),
        ("<b>", Arc::new(views)),
        ("_x0041_", Arc::new(dictionary)),
    ];
    let sheet = only_sheet(file(Format::Xlsx, &batch(columns)));
    for (position, name) in (0..).zip([" a\r", "<b>", "_x0041_"]) {
        assert_eq!(cell(&sheet, 0, position), Data::String(name.to_owned()));
        for (row, text) in texts.iter().enumerate() {
            assert_eq!(cell(&sheet, row + 1, position), Data::String((*text).to_owned()));
        }
    }
}

#[test]
fn no_columns_are_an_empty_sheet() {
    let options = RecordBatchOptions::new().with_row_count(Some(3));
    let rows = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
    assert!(only_sheet(file(Format::Xlsx, &rows)).is_empty());
}
