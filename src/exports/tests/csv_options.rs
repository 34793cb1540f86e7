//! CSV as its readers ask for it: other delimiters, a word for NULL, texts that are no formulas.

use std::sync::Arc;

use arrow::array::Date32Array;
use arrow::array::Decimal128Array;
use arrow::array::Float64Array;
use arrow::array::Int64Array;
use arrow::array::IntervalMonthDayNanoArray;
use arrow::array::RecordBatch;
use arrow::datatypes::IntervalMonthDayNano;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_oneof;
use proptest::proptest;

use crate::exports::csv::CsvOptions;
use crate::exports::tests::batch;
use crate::exports::tests::catalogue::every_type;
use crate::exports::tests::strings;
use crate::exports::text::page_values;
use crate::tests::python;

fn options(delimiter: u8, null: &str, excel: bool) -> CsvOptions {
    CsvOptions {
        delimiter,
        null: null.as_bytes().to_vec(),
        excel,
    }
}

fn file(options: &CsvOptions, rows: &RecordBatch) -> String {
    let mut out = Vec::new();
    options.write_header(rows.schema_ref(), &mut out);
    options.write_rows(rows, &mut out);
    String::from_utf8(out).unwrap()
}

/// The same by the rules as they are written, a field at a time.
fn by_the_rules(options: &CsvOptions, rows: &RecordBatch) -> String {
    let null = str::from_utf8(&options.null).unwrap();
    let delimiter = char::from(options.delimiter);
    let field = |value: &str, text: bool| {
        let signs = ['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠'];
        let number = value.parse::<f64>().is_ok_and(f64::is_finite);
        let apostrophe = if options.excel && value.starts_with(signs) && (text || !number) {
            "'"
        } else {
            ""
        };
        let value = format!("{apostrophe}{value}");
        if value.is_empty() || value == null || value.contains([delimiter, '"', '\r', '\n']) {
            format!("\"{}\"", value.replace('"', "\"\""))
        } else {
            value
        }
    };
    let schema = rows.schema();
    let fields = schema.fields();
    let line = |cells: Vec<String>| cells.join(&delimiter.to_string()) + "\n";
    let mut shown = line(fields.iter().map(|named| field(named.name(), true)).collect());
    for row in page_values(rows) {
        let cells = row.iter().zip(fields).map(|(value, named)| match value {
            Some(value) => {
                let data_type = named.data_type();
                field(value, data_type.is_string() || data_type.is_nested())
            }
            None => null.to_owned(),
        });
        shown += &line(cells.collect());
    }
    shown
}

fn formulas() -> RecordBatch {
    batch([
        (
            "=text",
            strings(&[
                Some("=1+1"),
                Some("+1"),
                Some("-1"),
                Some("@SUM(A1)"),
                Some("\tx"),
                Some("\rx"),
                Some("＝1"),
                Some("＋1"),
                Some("－1"),
                Some("＠x"),
                Some("1=1"),
                Some("=a;b"),
                Some(""),
                None,
                Some("＃"),
            ]),
        ),
        ("number", Arc::new(Int64Array::from_iter_values(-15..0)) as _),
    ])
}

#[test]
fn formulas_become_text_and_numbers_stay() {
    let shown = file(&options(b';', "", true), &formulas());
    assert_eq!(
        shown,
        "'=text;number\n'=1+1;-15\n'+1;-14\n'-1;-13\n'@SUM(A1);-12\n'\tx;-11\n\"'\rx\";-10\n'＝1;-9\n'＋1;-8\n\
         '－1;-7\n'＠x;-6\n1=1;-5\n\"'=a;b\";-4\n\"\";-3\n;-2\n＃;-1\n"
    );
}

#[test]
fn words_with_a_sign_are_no_numbers() {
    let rows = batch([
        (
            "float",
            Arc::new(Float64Array::from(vec![
                -1e300,
                -0.5,
                f64::NEG_INFINITY,
                f64::INFINITY,
            ])) as _,
        ),
        (
            "interval",
            Arc::new(IntervalMonthDayNanoArray::from(vec![
                IntervalMonthDayNano::new(0, -3, 0),
                IntervalMonthDayNano::new(0, 3, 0),
                IntervalMonthDayNano::new(-1, 0, 0),
                IntervalMonthDayNano::new(0, 0, 0),
            ])) as _,
        ),
    ]);
    let shown = file(&options(b',', "", true), &rows);
    assert_eq!(
        shown,
        "float,interval\n-1e300,'-3 days\n-0.5,3 days\n'-Infinity,'-1 month\nInfinity,00:00:00\n"
    );
}

#[test]
fn null_and_text_never_look_alike() {
    let rows = batch([
        ("NULL", strings(&[Some("NULL"), None, Some(""), Some("NULLS")])),
        (
            "n",
            Arc::new(Int64Array::from(vec![Some(0), None, Some(1), Some(10)])) as _,
        ),
    ]);
    assert_eq!(
        file(&options(b',', "NULL", false), &rows),
        "\"NULL\",n\nNULL,0\n".replacen("NULL,0", "\"NULL\",0", 1) + "NULL,NULL\n\"\",1\nNULLS,10\n"
    );
    // Numbers, decimals, dates and floats, too.
    assert_eq!(
        file(&options(b'\t', "1", false), &rows),
        "NULL\tn\nNULL\t0\n1\t1\n\"\"\t\"1\"\nNULLS\t10\n"
    );
    let decimals = Decimal128Array::from(vec![150, -5])
        .with_precision_and_scale(15, 2)
        .unwrap();
    let rows = batch([
        ("d", Arc::new(decimals) as _),
        ("f", Arc::new(Float64Array::from(vec![1.5, f64::NAN])) as _),
        ("t", Arc::new(Date32Array::from(vec![0, 1])) as _),
    ]);
    assert_eq!(
        file(&options(b'|', "NaN", false), &rows),
        "d|f|t\n1.50|1.5|1970-01-01\n-0.05|\"NaN\"|1970-01-02\n"
    );
    assert_eq!(
        file(&options(b'|', "1970-01-01", false), &rows),
        "d|f|t\n1.50|1.5|\"1970-01-01\"\n-0.05|NaN|1970-01-02\n"
    );
    // An apostrophe can make a text look like NULL.
    let rows = batch([("v", strings(&[Some("-"), None, Some("'-")]))]);
    assert_eq!(file(&options(b',', "'-", true), &rows), "v\n\"'-\"\n'-\n\"'-\"\n");
}

#[test]
fn number_with_the_delimiter_is_quoted() {
    let decimals = Decimal128Array::from(vec![150, -5])
        .with_precision_and_scale(15, 2)
        .unwrap();
    let rows = batch([("d", Arc::new(decimals) as _)]);
    assert_eq!(file(&options(b'.', "", false), &rows), "d\n\"1.50\"\n\"-0.05\"\n");
}

#[test]
fn every_type_follows_the_rules() {
    for case in every_type() {
        // A union's texts are texts and its numbers none, which the rules here do not look into.
        let union = case.name.contains("union");
        let rows = batch([(case.name, case.array)]);
        for delimiter in [b',', b';', b'\t', b'|'] {
            for (null, excel) in [
                ("", false),
                ("NULL", false),
                ("1", false),
                ("", true),
                ("NaN", true),
            ] {
                if excel && union {
                    continue;
                }
                let options = options(delimiter, null, excel);
                assert_eq!(
                    file(&options, &rows),
                    by_the_rules(&options, &rows),
                    "{options:?}"
                );
            }
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a,;|=@+＝－\t\r\n\"'-]{0,4}", ".{0,60}", Just("NULL".to_owned()),]
}

fn any_options() -> impl Strategy<Value = CsvOptions> {
    (
        prop_oneof![Just(b','), Just(b';'), Just(b'\t'), Just(b'|')],
        prop_oneof![Just(""), Just("NULL"), Just("a"), Just("7"), Just("'=")],
        any::<bool>(),
    )
        .prop_map(|(delimiter, null, excel)| options(delimiter, null, excel))
}

proptest! {
    #[test]
    fn random_tables_follow_the_rules(
        rows in vec((option::of(text()), option::of(0_i64..20), option::of(text())), 1..40),
        options in any_options(),
        from in 0_usize..40,
    ) {
        let texts: Vec<Option<&str>> = rows.iter().map(|row| row.0.as_deref()).collect();
        let others: Vec<Option<&str>> = rows.iter().map(|row| row.2.as_deref()).collect();
        let numbers: Int64Array = rows.iter().map(|row| row.1).collect();
        let rows = batch([("=a", strings(&texts)), ("n", Arc::new(numbers) as _), ("", strings(&others))]);
        let from = from.min(rows.num_rows());
        let rows = rows.slice(from, rows.num_rows() - from);
        assert_eq!(file(&options, &rows), by_the_rules(&options, &rows));
    }
}

/// Has Python's reader split the file, and compares with what went in.
#[test]
fn python_splits_what_was_joined() {
    for (delimiter, null, excel) in [
        (b';', "", true),
        (b'\t', "NULL", true),
        (b'|', "", false),
        (b',', "-3", true),
    ] {
        let rows = formulas();
        let shown = file(&options(delimiter, null, excel), &rows);
        let script = r#"
import csv, json, sys
path, delimiter = sys.argv[1:]
with open(path, encoding="utf-8", newline="") as file:
    json.dump(list(csv.reader(file, delimiter=delimiter, strict=True)), sys.stdout)
"#;
        let delimiter = char::from(delimiter).to_string();
        let Some(printed) = python("file.csv", shown.as_bytes(), script, &[&delimiter]) else {
            return;
        };
        let read: Vec<Vec<String>> = serde_json::from_slice(&printed).unwrap();
        assert_eq!(read.len(), rows.num_rows() + 1);
        for (fields, values) in read[1..].iter().zip(page_values(&rows)) {
            let shown: Vec<String> = values
                .iter()
                .map(|value| value.clone().unwrap_or(null.to_owned()))
                .collect();
            assert_eq!(fields[1], shown[1]);
            if excel && fields[0] != shown[0] {
                assert_eq!(fields[0], format!("'{}", shown[0]));
                assert!(shown[0].starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']));
            } else {
                assert_eq!(fields[0], shown[0]);
            }
        }
    }
}
