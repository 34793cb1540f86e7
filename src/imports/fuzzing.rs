//! What must hold of any file that is imported.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a fuzz target fails by panicking"
)]

use std::cell::RefCell;
use std::sync::atomic::AtomicBool;

use arrow::array::Array as _;
use arrow::array::ArrayRef;
use arrow::array::AsArray as _;
use arrow::array::types::Date32Type;
use arrow::array::types::Decimal128Type;
use arrow::array::types::Float64Type;
use arrow::array::types::Int64Type;
use arrow::array::types::TimestampMicrosecondType;
use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use chrono::DateTime;
use chrono::NaiveDate;
use chrono::NaiveDateTime;
use tempfile::TempDir;

use crate::error::ErrorCode;
use crate::imports::CsvOptions;
use crate::imports::Prepared;
use crate::imports::Survey;
use crate::imports::columns::Nulls;
use crate::imports::prepare;
use crate::imports::read::Reader;
use crate::imports::splitter::Sizes;
use crate::imports::survey::survey_in;
use crate::imports::types::ColumnType;

/// Packed files may be larger than what is sent.
const BYTES_MAX: u64 = 1 << 20;

static NEVER: AtomicBool = AtomicBool::new(false);

thread_local! {
    static FOLDER: RefCell<TempDir> = RefCell::new(tempfile::tempdir().unwrap());
}

/// A file is surveyed alike however it is cut, is read as it was surveyed,
/// and each value is the one that its text says. The first byte picks the options.
pub fn csv(data: &[u8]) {
    let Some((first, file)) = data.split_first() else {
        return;
    };
    let options = CsvOptions {
        errors_max: if first & 1 == 0 { 1_000 } else { 0 },
        header: [None, None, Some(true), Some(false)][usize::from(first >> 1) & 3],
        null: (first & 8 != 0).then(|| "-".to_owned()),
        delimiter: (first & 16 != 0).then_some(';'),
        ..CsvOptions::default()
    };
    FOLDER.with_borrow(|folder| {
        let path = folder.path().join("upload");
        std::fs::write(&path, file).unwrap();
        match prepare(&path, folder.path(), &options, BYTES_MAX, &NEVER) {
            Ok(prepared) => check(&prepared, &options),
            Err(error) => assert_ne!(error.code, ErrorCode::Internal, "{error:?}"),
        }
    });
}

fn sizes(chunk: usize) -> Sizes {
    Sizes {
        chunk,
        record_max: 64 << 20,
    }
}

fn check(prepared: &Prepared, options: &CsvOptions) {
    let whole = survey_in(prepared, options, 1, &NEVER, |_| sizes(1 << 20));
    let cut = survey_in(prepared, options, 1, &NEVER, |_| sizes(7));
    let (survey, cut) = match (whole, cut) {
        (Ok(whole), Ok(cut)) => (whole, cut),
        (Err(whole), Err(cut)) => {
            assert_ne!(whole.code, ErrorCode::Internal, "{whole:?}");
            assert_eq!(whole.message, cut.message);
            return;
        }
        (whole, cut) => panic!("read whole: {whole:?}; in pieces: {cut:?}"),
    };
    let stored = serde_json::to_string(&survey).unwrap();
    assert_eq!(stored, serde_json::to_string(&cut).unwrap());
    let survey: Survey = serde_json::from_str(&stored).unwrap();
    let Some(typed) = read(prepared, &survey, options) else {
        assert_eq!(survey.rows, 0);
        return;
    };
    let mut plain = survey.clone();
    for column in &mut plain.columns {
        column.column_type = ColumnType::Text;
    }
    let texts = read(prepared, &plain, options).expect("as many rows");
    for (index, column) in survey.columns.iter().enumerate() {
        check_column(typed.column(index), texts.column(index), column.column_type);
        assert!(column.nullable || typed.column(index).null_count() == 0);
    }
}

fn read(prepared: &Prepared, survey: &Survey, options: &CsvOptions) -> Option<RecordBatch> {
    let reader = Reader {
        survey,
        nulls: Nulls(options.null.clone().map(String::into_bytes)),
        schema: survey.schema(),
        sizes: sizes(1 << 20),
        batch_rows: 3,
    };
    let mut batches = Vec::new();
    let mut keep = |batch| {
        batches.push(batch);
        Ok(())
    };
    let report = reader.read(prepared, 1, &NEVER, &mut keep, None);
    let report = report.expect("a file that was surveyed can be read");
    assert_eq!((report.rows, report.rejected), (survey.rows, survey.rejected));
    let schema = batches.first()?.schema();
    Some(concat_batches(&schema, &batches).unwrap())
}

fn check_column(values: &ArrayRef, texts: &ArrayRef, column_type: ColumnType) {
    let texts = texts.as_string::<i32>();
    for row in 0..values.len() {
        let text = texts.is_valid(row).then(|| texts.value(row));
        let Some(text) = text.filter(|text| column_type == ColumnType::Text || !text.is_empty()) else {
            assert!(values.is_null(row), "a value out of nothing");
            continue;
        };
        assert!(values.is_valid(row), "{text:?} is lost as {column_type}");
        assert!(
            is_same(values, row, text, column_type),
            "{text:?} as {column_type}: {values:?}"
        );
    }
}

fn is_same(values: &ArrayRef, row: usize, text: &str, column_type: ColumnType) -> bool {
    match column_type {
        ColumnType::Text => values.as_string::<i32>().value(row) == text,
        ColumnType::Boolean => values.as_boolean().value(row).to_string() == text.to_ascii_lowercase(),
        ColumnType::Integer => values.as_primitive::<Int64Type>().value(row).to_string() == text,
        ColumnType::Decimal { .. } => {
            let value = values.as_primitive::<Decimal128Type>().value_as_string(row);
            // Zeros that only fill the scale, and the sign of a zero, are all that may differ.
            let plain = |text: &str| {
                let text = match text.contains('.') {
                    true => text.trim_end_matches('0').trim_end_matches('.'),
                    false => text,
                };
                if text == "-0" {
                    "0".to_owned()
                } else {
                    text.replace("-.", "-0.")
                }
            };
            let text = match text.strip_prefix('.') {
                Some(fraction) => format!("0.{fraction}"),
                None => text.replace("-.", "-0."),
            };
            plain(&value) == plain(&text)
        }
        ColumnType::Double => {
            let value = values.as_primitive::<Float64Type>().value(row);
            text.parse::<f64>()
                .is_ok_and(|own| own.to_bits() == value.to_bits())
        }
        ColumnType::Date => {
            let date = values.as_primitive::<Date32Type>().value_as_date(row).unwrap();
            let forms = [
                "%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d-%b-%Y", "%d/%m/%Y", "%m/%d/%Y",
            ];
            let mut forms = forms.iter();
            forms.any(|form| NaiveDate::parse_from_str(text, form) == Ok(date))
        }
        ColumnType::Timestamp => {
            let moment = values.as_primitive::<TimestampMicrosecondType>();
            let moment = moment.value_as_datetime(row).unwrap();
            let text = text.replacen('T', " ", 1);
            match NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f") {
                Ok(own) => own == moment,
                // Other forms of dates are looked at as dates.
                Err(_) => true,
            }
        }
        ColumnType::TimestampTz => {
            let moment = values.as_primitive::<TimestampMicrosecondType>();
            let moment = moment.value_as_datetime(row).unwrap();
            DateTime::parse_from_rfc3339(text).is_ok_and(|own| own.naive_utc() == moment)
                || DateTime::parse_from_rfc3339(text).is_err()
        }
    }
}
