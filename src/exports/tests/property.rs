//! Random tables, read back by parsers that share no code with the writers.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::BooleanArray;
use arrow::array::Decimal128Array;
use arrow::array::Float64Array;
use arrow::array::Int64Array;
use arrow::array::RecordBatch;
use arrow::array::StringArray;
use arrow::array::TimestampMicrosecondArray;
use calamine::Data;
use calamine::Reader;
use calamine::Xlsx;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::proptest;
use serde_json::value::RawValue;

use crate::exports::Format;
use crate::exports::tests::batch;
use crate::exports::tests::file_of;
use crate::exports::text::page_values;

#[derive(Clone, Debug)]
struct Values {
    word: Option<String>,
    other_word: Option<String>,
    number: Option<i64>,
    decimal: Option<i128>,
    float: Option<f64>,
    flag: Option<bool>,
    moment: Option<i64>,
}

fn values() -> impl Strategy<Value = Values> {
    (
        option::of("[a,\"\r\n \u{1}😀\\\\é]{0,8}"),
        option::of(".{0,60}"),
        option::of(any::<i64>()),
        option::of(any::<i128>()),
        option::of(any::<f64>()),
        option::of(any::<bool>()),
        option::of(any::<i64>()),
    )
        .prop_map(
            |(word, other_word, number, decimal, float, flag, moment)| Values {
                word,
                other_word,
                number,
                decimal,
                float,
                flag,
                moment,
            },
        )
}

fn table(rows: &[Values]) -> RecordBatch {
    let decimals: Decimal128Array = rows.iter().map(|row| row.decimal).collect();
    let columns: [ArrayRef; 7] = [
        Arc::new(
            rows.iter()
                .map(|row| row.word.as_deref())
                .collect::<StringArray>(),
        ),
        Arc::new(
            rows.iter()
                .map(|row| row.other_word.as_deref())
                .collect::<StringArray>(),
        ),
        Arc::new(rows.iter().map(|row| row.number).collect::<Int64Array>()),
        Arc::new(decimals.with_precision_and_scale(38, 7).unwrap()),
        Arc::new(rows.iter().map(|row| row.float).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| row.flag).collect::<BooleanArray>()),
        Arc::new(
            rows.iter()
                .map(|row| row.moment)
                .collect::<TimestampMicrosecondArray>(),
        ),
    ];
    batch(
        ["word", "other", "number", "decimal", "float", "flag", "moment"]
            .into_iter()
            .zip(columns),
    )
}

/// Reads RFC 4180 one character at a time; an unquoted empty field is NULL.
fn parse_csv(text: &str) -> Vec<Vec<Option<String>>> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut inside = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if inside && characters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => {
                inside = !inside;
                quoted = true;
            }
            ',' | '\n' if !inside => {
                let value = std::mem::take(&mut field);
                row.push((quoted || !value.is_empty()).then_some(value));
                quoted = false;
                if character == '\n' {
                    rows.push(std::mem::take(&mut row));
                }
            }
            other => field.push(other),
        }
    }
    assert!(
        row.is_empty() && field.is_empty() && !inside,
        "the file ends within a row"
    );
    rows
}

/// Compares tokens, since `serde_json` itself may read a float one bit off.
fn assert_json(token: &str, text: Option<&str>, name: &str) {
    let Some(text) = text else {
        return assert_eq!(token, "null");
    };
    let bare = match name {
        "number" => text.parse::<i64>().unwrap().unsigned_abs() <= 1 << 53,
        "float" => text.parse::<f64>().unwrap().is_finite(),
        "flag" => true,
        _ => false,
    };
    if bare {
        assert_eq!(token, text);
    } else {
        assert_eq!(serde_json::from_str::<String>(token).unwrap(), text);
    }
}

/// A number's text form may hold zeros that a cell does not, and more digits than a cell can.
fn assert_cell(shown: &Data, text: Option<&str>, name: &str) {
    let text = text.unwrap_or_default();
    match shown {
        Data::Empty => assert_eq!(text, "", "{name}"),
        Data::Float(number) => assert_eq!(text.parse(), Ok(*number), "{name}"),
        Data::Bool(flag) => assert_eq!(text.parse(), Ok(*flag)),
        // Its value is looked at in `xlsx.rs`.
        Data::DateTime(_) => assert_eq!(name, "moment"),
        Data::String(shown) => assert_eq!(shown, text, "{name}"),
        other => panic!("{name}: {other:?}"),
    }
}

proptest! {
    #[test]
    fn xlsx_reads_back_as_the_text(rows in vec(values(), 1..40), cut in 0_usize..40) {
        let table = table(&rows);
        let cut = cut.min(rows.len());
        let parts = [table.slice(0, cut), table.slice(cut, rows.len() - cut)];
        let bytes = file_of(Format::Xlsx, &parts, 1);
        assert!(file_of(Format::Xlsx, &parts, 4) == bytes);
        let (_, sheet) = Xlsx::new(Cursor::new(bytes)).unwrap().worksheets().remove(0);
        for (row, texts) in (1..).zip(page_values(&table)) {
            for ((column, field), text) in (0..).zip(table.schema().fields()).zip(texts) {
                let shown = sheet.get_value((row, column)).unwrap_or(&Data::Empty);
                assert_cell(shown, text.as_deref(), field.name());
            }
        }
    }

    #[test]
    fn csv_reads_back_as_the_text(rows in vec(values(), 1..40), cut in 0_usize..40) {
        let table = table(&rows);
        let cut = cut.min(rows.len());
        let parts = [table.slice(0, cut), table.slice(cut, rows.len() - cut)];
        let bytes = file_of(Format::Csv, &parts, 1);
        assert_eq!(file_of(Format::Csv, &parts, 4), bytes);
        let mut parsed = parse_csv(std::str::from_utf8(&bytes).unwrap());
        parsed.remove(0);
        assert_eq!(parsed, page_values(&table));
    }

    #[test]
    fn json_reads_back_as_the_text(rows in vec(values(), 1..40), cut in 0_usize..40) {
        let table = table(&rows);
        let cut = cut.min(rows.len());
        let parts = [table.slice(0, cut), table.slice(cut, rows.len() - cut)];
        let bytes = file_of(Format::Json, &parts, 1);
        assert_eq!(file_of(Format::Json, &parts, 4), bytes);
        let parsed: Vec<HashMap<String, Box<RawValue>>> = serde_json::from_slice(&bytes).unwrap();
        let texts = page_values(&table);
        assert_eq!(parsed.len(), texts.len());
        for (object, texts) in parsed.iter().zip(&texts) {
            for (field, text) in table.schema().fields().iter().zip(texts) {
                assert_json(object[field.name()].get(), text.as_deref(), field.name());
            }
        }
    }
}
