//! The text form, as a page shows it.

use std::sync::Arc;

use arrow::array::Array;
use arrow::array::Int64Array;
use chrono::Datelike;
use chrono::NaiveDate;

use crate::exports::calendar::Civil;
use crate::exports::calendar::civil;
use crate::exports::tests::batch;
use crate::exports::tests::catalogue::every_type;
use crate::exports::tests::strings;
use crate::exports::text::page_values;

#[test]
fn every_type_has_its_text() {
    for case in every_type() {
        let values = page_values(&batch([(case.name, case.array)]));
        let shown: Vec<Option<&str>> = values.iter().map(|row| row[0].as_deref()).collect();
        let wanted: Vec<Option<&str>> = case.rows.iter().map(|row| row.text).collect();
        assert_eq!(shown, wanted, "{}", case.name);
    }
}

#[test]
fn slice_shows_its_own_rows() {
    for case in every_type() {
        let rows = case.array.len();
        let values = page_values(&batch([(case.name, case.array.slice(1, rows - 1))]));
        let shown: Vec<Option<&str>> = values.iter().map(|row| row[0].as_deref()).collect();
        let wanted: Vec<Option<&str>> = case.rows[1..].iter().map(|row| row.text).collect();
        assert_eq!(shown, wanted, "{}", case.name);
    }
}

#[test]
fn page_has_rows_of_columns() {
    let page = page_values(&batch([
        ("n", Arc::new(Int64Array::from(vec![Some(1), None])) as _),
        ("s", strings(&[Some(""), Some("x")])),
    ]));
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(page, [[text("1"), text("")], [None, text("x")]]);
}

#[test]
fn calendar_agrees_with_chrono() {
    // Every day of 800 years around the era's seams, then leaps over all that chrono knows.
    let days = (-1_000_000_i64..-700_000)
        .chain((-95_000_000..95_000_000).step_by(9_973))
        .chain(-150_000..150_000);
    for day in days {
        let known = NaiveDate::from_num_days_from_ce_opt(i32::try_from(day + 719_163).unwrap()).unwrap();
        let wanted = Civil {
            year: known.year().into(),
            month: u8::try_from(known.month()).unwrap(),
            day: u8::try_from(known.day()).unwrap(),
        };
        assert_eq!(civil(day), wanted, "day {day}");
    }
}
