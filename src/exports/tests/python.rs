//! What pyarrow, pandas, openpyxl and Python's own modules make of the files.
//! Needs a Python with pyarrow, pandas and openpyxl; without one it passes with a note, but not where `CI` is set.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::BooleanArray;
use arrow::array::Date32Array;
use arrow::array::Decimal128Array;
use arrow::array::Float64Array;
use arrow::array::Int32Array;
use arrow::array::Int64Array;
use arrow::array::RecordBatch;
use arrow::array::Time64MicrosecondArray;
use arrow::array::TimestampMicrosecondArray;

use crate::exports::Format;
use crate::exports::tests::batch;
use crate::exports::tests::file;
use crate::exports::tests::strings;
use crate::tests::python;

/// Runs a script that finds the file's path in `path`; the script asserts.
fn check(format: Format, rows: &RecordBatch, script: &str) {
    let name = format!("file.{}", format.extension());
    let script = format!("import sys\npath = sys.argv[1]\n{script}");
    python(&name, &file(format, rows), &script, &[]);
}

fn words() -> RecordBatch {
    let words = [
        Some("plain"),
        Some("a,b"),
        Some("say \"hi\""),
        Some("line\r\nline\nline"),
        Some("😀 naïve"),
        Some(""),
        None,
        Some(" edges "),
    ];
    let numbers: ArrayRef = Arc::new(Int32Array::from((0..8).collect::<Vec<i32>>()));
    batch([("word, \"quoted\"", strings(&words)), ("number", numbers)])
}

#[test]
fn python_reads_csv() {
    check(
        Format::Csv,
        &words(),
        r#"
import csv, pyarrow.csv as arrow_csv, pandas
words = ["plain", "a,b", 'say "hi"', "line\r\nline\nline", "😀 naïve", "", None, " edges "]
name = 'word, "quoted"'
with open(path, encoding="utf-8", newline="") as file:
    assert list(csv.reader(file)) == [[name, "number"]] + [[w or "", str(i)] for i, w in enumerate(words)]
table = arrow_csv.read_csv(
    path,
    parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
    convert_options=arrow_csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False),
)
assert table.column_names == [name, "number"]
assert table.column(0).to_pylist() == words, table.column(0).to_pylist()
frame = pandas.read_csv(path, keep_default_na=False)
assert frame[name].tolist() == [w or "" for w in words]
"#,
    );
}

#[test]
fn python_can_keep_every_row_of_one_column() {
    let rows = batch([("n", Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])) as _)]);
    check(
        Format::Csv,
        &rows,
        r#"
import csv, pyarrow.csv as arrow_csv, pandas
keep = arrow_csv.ParseOptions(ignore_empty_lines=False)
assert arrow_csv.read_csv(path, parse_options=keep).column(0).to_pylist() == [1, None, 3]
assert len(pandas.read_csv(path, skip_blank_lines=False)) == 3
with open(path, newline="") as file:
    assert list(csv.reader(file)) == [["n"], ["1"], [], ["3"]]
"#,
    );
}

#[test]
fn python_reads_json() {
    check(
        Format::Json,
        &words(),
        r#"
import json
words = ["plain", "a,b", 'say "hi"', "line\r\nline\nline", "😀 naïve", "", None, " edges "]
with open(path, encoding="utf-8") as file:
    rows = json.load(file)
assert rows == [{'word, "quoted"': w, "number": i} for i, w in enumerate(words)]
assert [list(row) for row in rows] == [['word, "quoted"', "number"]] * 8
"#,
    );
}

#[test]
fn openpyxl_reads_typed_cells() {
    let decimals = Decimal128Array::from(vec![Some(150), None, Some(i128::MAX)]);
    let columns: [(&str, ArrayRef); 8] = [
        (
            "flag",
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        ),
        (
            "int",
            Arc::new(Int64Array::from(vec![Some(-5), None, Some(i64::MAX)])),
        ),
        (
            "decimal",
            Arc::new(decimals.with_precision_and_scale(38, 2).unwrap()),
        ),
        (
            "float",
            Arc::new(Float64Array::from(vec![Some(0.1), Some(f64::NAN), Some(1e300)])),
        ),
        (
            "date",
            Arc::new(Date32Array::from(vec![Some(20_484), None, Some(-25_509)])),
        ),
        (
            "timestamp",
            Arc::new(TimestampMicrosecondArray::from(vec![
                Some(1_505_287_699_664_000),
                Some(1_505_287_699_000_000),
                Some(i64::MAX),
            ])),
        ),
        (
            "time",
            Arc::new(Time64MicrosecondArray::from(vec![
                Some(26_899_500_000),
                Some(26_899_000_000),
                Some(86_400_000_000),
            ])),
        ),
        (
            "text",
            strings(&[Some("=1+1"), Some("https://example.org"), None]),
        ),
    ];
    check(
        Format::Xlsx,
        &batch(columns),
        r#"
import datetime as d, openpyxl
book = openpyxl.load_workbook(path)
assert book.sheetnames == ["Sheet1"]
sheet = book["Sheet1"]
rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
# To this reader a number without a point is an int.
assert type(rows[1][1]) is int and type(rows[3][3]) is float
assert rows == [
    ["flag", "int", "decimal", "float", "date", "timestamp", "time", "text"],
    [True, -5, 1.5, 0.1, d.datetime(2026, 1, 31), d.datetime(2017, 9, 13, 7, 28, 19, 664000), d.time(7, 28, 19, 500000), "=1+1"],
    [None, None, None, "NaN", None, d.datetime(2017, 9, 13, 7, 28, 19), d.time(7, 28, 19), "https://example.org"],
    [False, "9223372036854775807", "1701411834604692317316873037158841057.27", 1e300, "1900-02-28", "infinity", "24:00:00", None],
], rows
types = [[cell.data_type for cell in row] for row in sheet.iter_rows(min_row=2)]
assert types == [list("bnnndddf".replace("f", "s")), list("nnnsndds"), list("bssnsssn")], types
assert [cell.number_format for cell in sheet[2]][4:7] == ["yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss.000", "hh:mm:ss.000"]
assert [cell.number_format for cell in sheet[3]][5:7] == ["yyyy-mm-dd hh:mm:ss", "hh:mm:ss"]
assert all(cell.font.bold for cell in sheet[1]) and not sheet["A2"].font.bold
assert sheet.freeze_panes == "A2"
assert not any(cell.hyperlink for row in sheet.iter_rows() for cell in row)
"#,
    );
}

#[test]
fn openpyxl_reads_odd_texts() {
    let odd = [
        "_x0041_",
        "a\nb",
        "a\r\nb\r",
        "\u{1}\u{b}",
        " edges ",
        "😀",
        "<&>\"'",
        "\u{fffe}",
    ];
    check(
        Format::Xlsx,
        &batch([("text", strings(&odd.map(Some)))]),
        r#"
import openpyxl
from openpyxl.utils.escape import unescape
# openpyxl leaves it to its caller to undo the escapes that the file format has for control characters.
values = [unescape(cell.value) for cell in openpyxl.load_workbook(path)["Sheet1"]["A"]][1:]
assert values == ["_x0041_", "a\nb", "a\r\nb\r", "\x01\x0b", " edges ", "😀", "<&>\"'", "\ufffe"], values
"#,
    );
}
