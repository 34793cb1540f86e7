//! Dates, times and spans of time for the catalogue.

use arrow::array::Date32Array;
use arrow::array::Date64Array;
use arrow::array::DurationMillisecondArray;
use arrow::array::DurationSecondArray;
use arrow::array::IntervalDayTimeArray;
use arrow::array::IntervalMonthDayNanoArray;
use arrow::array::IntervalYearMonthArray;
use arrow::array::Time32MillisecondArray;
use arrow::array::Time32SecondArray;
use arrow::array::Time64MicrosecondArray;
use arrow::array::Time64NanosecondArray;
use arrow::array::TimestampMicrosecondArray;
use arrow::array::TimestampMillisecondArray;
use arrow::array::TimestampNanosecondArray;
use arrow::array::TimestampSecondArray;
use arrow::datatypes::IntervalDayTime;
use arrow::datatypes::IntervalMonthDayNano;

use crate::exports::tests::catalogue::Case;
use crate::exports::tests::catalogue::Row;
use crate::exports::tests::catalogue::case;
use crate::exports::tests::catalogue::null;
use crate::exports::tests::catalogue::plain;
use crate::exports::tests::catalogue::row;

/// A typed cell, a string in JSON.
fn moment(text: &'static str, xlsx: &'static str) -> Row {
    row(text, format!("\"{text}\"").leak(), xlsx)
}

pub(super) fn moments() -> Vec<Case> {
    let mut cases = dates();
    cases.extend(timestamps());
    cases.extend(times());
    cases.extend(spans());
    cases
}

fn dates() -> Vec<Case> {
    vec![
        case(
            "date32",
            Date32Array::from(vec![
                Some(0),
                None,
                Some(20_484),
                Some(-25_508),
                Some(-25_509),
                Some(2_932_896),
                Some(2_932_897),
                Some(-719_162),
                Some(-719_163),
                Some(-735_160),
                Some(11_016),
            ]),
            vec![
                moment("1970-01-01", "d 25569"),
                null(),
                moment("2026-01-31", "d 46053"),
                moment("1900-03-01", "d 61"),
                plain("1900-02-28"),
                moment("9999-12-31", "d 2958465"),
                plain("10000-01-01"),
                plain("0001-01-01"),
                plain("0001-12-31 (BC)"),
                plain("0044-03-15 (BC)"),
                moment("2000-02-29", "d 36585"),
            ],
        ),
        case(
            "date32 extremes",
            Date32Array::from(vec![i32::MAX, -i32::MAX, i32::MIN, i32::MAX - 1]),
            vec![
                plain("infinity"),
                plain("-infinity"),
                plain("5877642-06-23 (BC)"),
                plain("5881580-07-10"),
            ],
        ),
        case(
            "date64",
            Date64Array::from(vec![Some(-86_400_000), None, Some(1)]),
            vec![
                moment("1969-12-31", "d 25568"),
                null(),
                moment("1970-01-01 00:00:00.001", "d 25569.00000001157"),
            ],
        ),
    ]
}

fn timestamps() -> Vec<Case> {
    vec![
        case(
            "timestamp us",
            TimestampMicrosecondArray::from(vec![
                Some(1_505_287_699_664_131),
                None,
                Some(1_505_287_699_500_000),
                Some(-1),
                Some(i64::MAX),
                Some(-i64::MAX),
                Some(253_402_300_799_999_999),
                Some(-63_517_788_000_000_000),
            ]),
            vec![
                moment("2017-09-13 07:28:19.664131", "d 42991.31133870522"),
                null(),
                moment("2017-09-13 07:28:19.5", "d 42991.31133680556"),
                moment("1969-12-31 23:59:59.999999", "d 25568.999999999989"),
                plain("infinity"),
                plain("-infinity"),
                // As a serial number it would round up to a day that Excel does not know.
                plain("9999-12-31 23:59:59.999999"),
                plain("0044-03-15 (BC) 10:00:00"),
            ],
        ),
        case(
            "timestamp us with zone",
            TimestampMicrosecondArray::from(vec![Some(1_505_287_699_500_000), None, Some(i64::MAX)])
                .with_timezone("Asia/Tokyo"),
            vec![
                moment("2017-09-13 07:28:19.5+00", "d 42991.31133680556"),
                null(),
                plain("infinity"),
            ],
        ),
        case(
            "timestamp s",
            TimestampSecondArray::from(vec![Some(1_505_287_699), Some(i64::MIN), Some(i64::MAX - 1)]),
            vec![
                moment("2017-09-13 07:28:19", "d 42991.31133101852"),
                plain("292277022658-01-27 (BC) 08:29:52"),
                plain("292277026596-12-04 15:30:06"),
            ],
        ),
        case(
            "timestamp ms",
            TimestampMillisecondArray::from(vec![Some(43_200_000), None]),
            vec![moment("1970-01-01 12:00:00", "d 25569.5"), null()],
        ),
        case(
            "timestamp ns",
            TimestampNanosecondArray::from(vec![Some(1_505_287_699_123_456_789), Some(253), None]),
            vec![
                moment("2017-09-13 07:28:19.123456789", "d 42991.31133244742"),
                moment("1970-01-01 00:00:00.000000253", "d 25569"),
                null(),
            ],
        ),
    ]
}

fn times() -> Vec<Case> {
    vec![
        case(
            "time32 s",
            Time32SecondArray::from(vec![Some(0), None, Some(86_400)]),
            vec![moment("00:00:00", "d 0"), null(), plain("24:00:00")],
        ),
        case(
            "time32 ms",
            Time32MillisecondArray::from(vec![Some(26_899_500), None]),
            vec![moment("07:28:19.5", "d 0.31133680556"), null()],
        ),
        case(
            "time64 us",
            Time64MicrosecondArray::from(vec![Some(43_200_000_000), Some(86_400_000_000), Some(-1)]),
            vec![
                moment("12:00:00", "d 0.5"),
                plain("24:00:00"),
                plain("-00:00:00.000001"),
            ],
        ),
        case(
            "time64 ns",
            Time64NanosecondArray::from(vec![Some(86_399_999_999_999), None]),
            vec![moment("23:59:59.999999999", "d 0.99999999999999"), null()],
        ),
    ]
}

fn spans() -> Vec<Case> {
    let span = |months, days, nanoseconds| Some(IntervalMonthDayNano::new(months, days, nanoseconds));
    vec![
        case(
            "interval month day nano",
            IntervalMonthDayNanoArray::from(vec![
                span(14, 3, 14_706_789_000_000),
                None,
                span(0, 0, 0),
                span(-14, 0, 0),
                span(0, 45, 0),
                span(1, -1, -1_000_000_000),
                span(0, 0, 3_600_000_000_000_000),
                span(24, 1, 1_000),
                span(i32::MIN, i32::MIN, i64::MIN),
            ]),
            vec![
                plain("1 year 2 months 3 days 04:05:06.789"),
                null(),
                plain("00:00:00"),
                plain("-1 year -2 months"),
                plain("45 days"),
                plain("1 month -1 day -00:00:01"),
                plain("1000:00:00"),
                plain("2 years 1 day 00:00:00.000001"),
                plain("-178956970 years -8 months -2147483648 days -2562047:47:16.854775808"),
            ],
        ),
        case(
            "interval year month",
            IntervalYearMonthArray::from(vec![Some(11), None, Some(0)]),
            vec![plain("11 months"), null(), plain("00:00:00")],
        ),
        case(
            "interval day time",
            IntervalDayTimeArray::from(vec![
                Some(IntervalDayTime::new(-1, 0)),
                Some(IntervalDayTime::new(2, -1_500)),
            ]),
            vec![plain("-1 day"), plain("2 days -00:00:01.5")],
        ),
        case(
            "duration s",
            DurationSecondArray::from(vec![Some(360_000), None, Some(i64::MIN)]),
            vec![plain("100:00:00"), null(), plain("-2562047788015215:30:08")],
        ),
        case(
            "duration ms",
            DurationMillisecondArray::from(vec![Some(-1_050), Some(0)]),
            vec![plain("-00:00:01.05"), plain("00:00:00")],
        ),
    ]
}
