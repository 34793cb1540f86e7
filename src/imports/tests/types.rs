use chrono::Datelike as _;

use crate::imports::CsvOptions;
use crate::imports::calendar::Forms;
use crate::imports::calendar::moment;
use crate::imports::tests::load;
use crate::imports::tests::loaded;
use crate::imports::tests::refusal;
use crate::imports::tests::with_schema;
use crate::imports::values::decimal;
use crate::imports::values::double;
use crate::imports::values::integer;

/// The type of a column of these values, and what is read of them.
fn column(values: &[&str]) -> (String, Vec<String>) {
    let text = format!(
        "name,other\n{}",
        values
            .iter()
            .map(|value| format!("{value},x\n"))
            .collect::<String>()
    );
    let loaded = loaded(&text);
    let read = loaded
        .rows
        .iter()
        .map(|row| row[0].clone().unwrap_or("NULL".to_owned()))
        .collect();
    (loaded.types()[0].clone(), read)
}

#[test]
fn a_column_has_the_type_that_all_its_values_fit() {
    let n38 = "9".repeat(38);
    let n39 = "9".repeat(39);
    let tiny = format!("0.{}1", "0".repeat(37));
    let cases: &[(&[&str], &str)] = &[
        (&["1", "-20", "0"], "integer"),
        (&["9223372036854775807", "-9223372036854775808"], "integer"),
        (&["9223372036854775808", "1"], "decimal(38,0)"),
        (&["-9223372036854775809"], "decimal(38,0)"),
        (&[&n38], "decimal(38,0)"),
        (&[&n39], "text"),
        (&["007", "1"], "text"),
        (&["+1"], "text"),
        (&["-0"], "text"),
        (&["-"], "text"),
        (&["."], "text"),
        (&["1.5", "-.5", "0.25", "3"], "decimal(18,2)"),
        (&["5."], "text"),
        (&["00.5"], "text"),
        (&["1.2.3"], "text"),
        (&["\"1,5\""], "text"),
        (&["-0.00"], "decimal(18,2)"),
        (&["1234567890123456.25"], "decimal(18,2)"),
        (&["12345678901234567.25"], "decimal(38,2)"),
        (&["1234567890123456", "0.123"], "decimal(38,3)"),
        (&[&tiny], "decimal(38,38)"),
        (&[&tiny, "1.5"], "text"),
        (&[&n38, "0.5"], "text"),
        (&["1.5e-7", "2", "0.1"], "double"),
        (&["1.5E+300"], "double"),
        (&["1.5e400"], "text"),
        (&["1.5e-400"], "text"),
        (&["1E10"], "text"),
        (&["1E10", "1.5e3"], "double"),
        (&["1E10", "15"], "text"),
        (&["1.5e-7", "9007199254740993"], "text"),
        (&["1.5e-7", "9007199254740992"], "double"),
        (&["0.1234567890123456789", "1.5e-7"], "text"),
        (&["3.141592653589793", "1.5e-7"], "double"),
        (&["1.5e", "2"], "text"),
        (&["1.5e-7", "abc"], "text"),
        (&["true", "FALSE", "True"], "boolean"),
        (&["true", "1"], "text"),
        (&["yes"], "text"),
        (&["2026-01-31", "0001-01-01", "9999-12-31", "2024-02-29"], "date"),
        (&["2026-02-29"], "text"),
        (&["1900-02-29"], "text"),
        (&["0000-01-01"], "text"),
        (&["2026-13-01"], "text"),
        (&["2026-1-01"], "text"),
        (&["2026/01/31"], "date"),
        (&["31.01.2026"], "date"),
        (&["31-Jan-2026", "01-dec-1999"], "date"),
        (&["31-Foo-2026"], "text"),
        (&["2026-01-31", "31.01.2026"], "text"),
        (&["31/01/2026", "02/03/2026"], "date"),
        (&["02/03/2026", "01/31/2026"], "date"),
        (&["02/03/2026"], "text"),
        (&["31/01/2026", "01/31/2026"], "text"),
        (&["2026-01-31T10:00", "2026-01-31 10:00:59.123456"], "timestamp"),
        (&["2026-01-31 10:00:00.123456000"], "timestamp"),
        (&["2026-01-31 10:00:00.1234567"], "text"),
        (&["2026-01-31 24:00"], "text"),
        (&["2026-01-31 10:60"], "text"),
        (&["2026-01-31 10"], "text"),
        (&["2026-01-31", "2026-01-31 10:00"], "timestamp"),
        (&["31.01.2026 10:00"], "timestamp"),
        (&["31.01.2026", "31.01.2026 10:00"], "text"),
        (
            &[
                "2026-01-31T10:00Z",
                "2026-01-31 10:00+05",
                "2026-01-31 10:00-05:30",
            ],
            "timestamptz",
        ),
        (&["2026-01-31T10:00Z", "2026-01-31 10:00"], "text"),
        (&["2026-01-31T10:00Z", "2026-01-31"], "text"),
        (&["0001-01-01T00:00+05"], "text"),
        (&[" 1"], "text"),
        (&["1 "], "text"),
        (&["", ""], "text"),
        (&["", "1", "\"\""], "integer"),
        (&["\"12\""], "integer"),
        (&["NaN"], "text"),
        (&["1", "2026-01-31"], "text"),
    ];
    for (values, wanted) in cases {
        assert_eq!(column(values).0, *wanted, "{values:?}");
    }
}

#[test]
fn values_are_read_as_they_are() {
    let cases: &[(&[&str], &[&str])] = &[
        (&["1.5", "-.5", "0.25", "3"], &["1.50", "-0.50", "0.25", "3.00"]),
        (
            &["99999999999999999999999999999999999999"],
            &["99999999999999999999999999999999999999"],
        ),
        (&["-9223372036854775808"], &["-9223372036854775808"]),
        (&["1.5e-7", "9007199254740992"], &["1.5e-7", "9007199254740992.0"]),
        (&["31/01/2026", "02/03/2026"], &["2026-01-31", "2026-03-02"]),
        (&["02/03/2026", "01/31/2026"], &["2026-02-03", "2026-01-31"]),
        (
            &["0001-01-01", "9999-12-31", "1969-12-31"],
            &["0001-01-01", "9999-12-31", "1969-12-31"],
        ),
        (&["31-Jan-2026"], &["2026-01-31"]),
        (
            &["2026-01-31", "2026-01-31 10:00:00.5"],
            &["2026-01-31T00:00:00", "2026-01-31T10:00:00.500"],
        ),
        (
            &[
                "2026-01-31T10:00Z",
                "2026-01-31 10:00+05",
                "2025-12-31 23:00-05:30",
            ],
            &[
                "2026-01-31T10:00:00Z",
                "2026-01-31T05:00:00Z",
                "2026-01-01T04:30:00Z",
            ],
        ),
        (&["TRUE", "false"], &["true", "false"]),
        (&["", "1", "\"\""], &["NULL", "1", "NULL"]),
        (&["\"\"", "a", ""], &["", "a", "NULL"]),
    ];
    for (values, wanted) in cases {
        assert_eq!(column(values).1, *wanted, "{values:?}");
    }
}

#[test]
fn every_day_is_counted() {
    let first = chrono::NaiveDate::from_ymd_opt(1, 1, 1).unwrap();
    let epoch = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
    let mut day = first;
    while day.year() <= 9999 {
        let days = moment(day.to_string().as_bytes(), Forms::ALL)
            .unwrap()
            .0
            .date()
            .unwrap();
        assert_eq!(i64::from(days), (day - epoch).num_days(), "{day}");
        day += chrono::Duration::days(13);
    }
}

#[test]
fn numbers_keep_all_their_digits() {
    assert_eq!(integer(b"-12"), Some(-12));
    assert_eq!(integer(b"1.0"), None);
    assert_eq!(decimal(b"1.50", 3, 1), Some(15));
    assert_eq!(decimal(b"1.55", 3, 1), None);
    assert_eq!(decimal(b"100", 3, 1), None);
    assert_eq!(decimal(b"-99.9", 3, 1), Some(-999));
    assert_eq!(
        decimal(b"12345678901234567890123456789012345678", 38, 0).unwrap(),
        12345678901234567890123456789012345678
    );
    for text in [
        "0.1",
        "1e22",
        "123456789.123456",
        "2.2250738585072014e-308",
        "1.7976931348623157e308",
        "0.0e5",
    ] {
        assert_eq!(double(text.as_bytes()), text.parse().ok(), "{text}");
    }
    for text in [
        "5e-324",
        "0.123456789012345678",
        "9007199254740993",
        "1e400",
        "nan",
        "inf",
        "1e",
        "",
    ] {
        assert_eq!(double(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn a_wanted_type_is_the_columns_type() {
    let text = "id,day,price\n1,31.01.2026,2\n2,05/06/2026,3.5\n3,13/06/2026,\n";
    let options = with_schema("id:text,day:date,price:decimal(12,2)");
    let loaded = load(text, &options).unwrap();
    assert_eq!(loaded.types(), ["text", "date", "decimal(12,2)"]);
    let days: Vec<_> = loaded.rows.iter().map(|row| row[1].clone().unwrap()).collect();
    assert_eq!(days, ["2026-01-31", "2026-06-05", "2026-06-13"]);
    assert_eq!(loaded.rows[1][2].as_deref(), Some("3.50"));
    assert_eq!(loaded.rows[2][2], None);
}

#[test]
fn wanted_dates_must_tell_days_from_months() {
    let message = refusal("a,b\n01/02/2026,1\n", &with_schema("a:date"));
    assert!(message.contains("column `a` can be no date"), "{message}");
}

#[test]
fn a_wanted_column_must_be_there() {
    let message = refusal("a,b\n1,2\n", &with_schema("c:integer"));
    assert_eq!(message, "the file has no column `c`; it has `a`, `b`");
}

#[test]
fn unsettled_dates_are_noted() {
    let lines = loaded("day,n\n01/02/2026,1\n").survey.lines();
    assert_eq!(
        lines[0..4],
        [
            "encoding: utf-8",
            "delimiter: \",\"",
            "header: first line",
            "column `day`: text"
        ]
    );
    assert!(lines[5].starts_with("note: `day` is text"), "{lines:?}");
}

#[test]
fn a_word_can_mean_null() {
    let options = CsvOptions {
        null: Some("NA".to_owned()),
        ..CsvOptions::default()
    };
    let loaded = load("n,t\n1,NA\nNA,\n,\"NA\"\n", &options).unwrap();
    assert_eq!(loaded.types(), ["integer", "text"]);
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        loaded.rows,
        [[some("1"), None], [None, some("")], [None, some("NA")]]
    );
    assert!(loaded.survey.columns.iter().all(|column| column.nullable));
}

#[test]
fn columns_without_nulls_are_known() {
    let loaded = loaded("a,b,c\n1,x,\"\"\n2,,y\n");
    let nullable: Vec<_> = loaded
        .survey
        .columns
        .iter()
        .map(|column| column.nullable)
        .collect();
    assert_eq!(nullable, [false, true, false]);
}
