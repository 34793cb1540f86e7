//! Dates and times in the forms that SQLite's own functions write and read: `2026-01-31`,
//! `2026-01-31 10:00`, `2026-01-31 10:00:00` and `2026-01-31T10:00:00.123456`.

use chrono::NaiveDate;
use chrono::NaiveDateTime;
use chrono::NaiveTime;

/// What a timestamp in microseconds has after the point.
const FRACTION_DIGITS: usize = 6;

/// Days since 1970-01-01.
pub(super) fn days(text: &str) -> Option<i32> {
    let days = date(text)?.signed_duration_since(NaiveDate::default()).num_days();
    i32::try_from(days).ok()
}

/// Microseconds since 1970-01-01. A date alone is its midnight, as it is to SQLite.
pub(super) fn microseconds(text: &str) -> Option<i64> {
    let (day, rest) = text.split_at_checked(10)?;
    let day = date(day)?;
    let time = match rest.strip_prefix([' ', 'T']) {
        Some(rest) => time(rest)?,
        None if rest.is_empty() => NaiveTime::default(),
        None => return None,
    };
    Some(NaiveDateTime::new(day, time).and_utc().timestamp_micros())
}

fn date(text: &str) -> Option<NaiveDate> {
    let [year, month, day] = parts(text, '-', [4, 2, 2])?;
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)
}

fn time(text: &str) -> Option<NaiveTime> {
    if let Some([hour, minute]) = parts(text, ':', [2, 2]) {
        return NaiveTime::from_hms_opt(hour, minute, 0);
    }
    let (text, fraction) = match text.split_once('.') {
        Some((text, fraction)) => (text, Some(fraction)),
        None => (text, None),
    };
    let [hour, minute, second] = parts(text, ':', [2, 2, 2])?;
    let microsecond = match fraction {
        Some("") => return None,
        Some(digits) => number(&format!("{digits:0<FRACTION_DIGITS$}"), FRACTION_DIGITS)?,
        None => 0,
    };
    NaiveTime::from_hms_micro_opt(hour, minute, second, microsecond)
}

/// Numbers of just so many digits with a mark between them.
fn parts<const N: usize>(text: &str, mark: char, digits: [usize; N]) -> Option<[u32; N]> {
    let mut texts = text.split(mark);
    let mut numbers = [0; N];
    for (place, digits) in numbers.iter_mut().zip(digits) {
        *place = number(texts.next()?, digits)?;
    }
    texts.next().is_none().then_some(numbers)
}

fn number(text: &str, digits: usize) -> Option<u32> {
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_sqlite_are_understood() {
        assert_eq!(days("1970-01-02"), Some(1));
        assert_eq!(days("0000-01-01"), Some(-719_528));
        assert_eq!(days("9999-12-31"), Some(2_932_896));
        for (text, wanted) in [
            ("1970-01-01", 0),
            ("1970-01-01 00:01", 60_000_000),
            ("1970-01-01T00:00:01", 1_000_000),
            ("1970-01-01 00:00:00.5", 500_000),
            ("1970-01-01 00:00:00.000001", 1),
            ("1969-12-31 23:59:59.999", -1_000),
        ] {
            assert_eq!(microseconds(text), Some(wanted), "{text}");
        }
    }

    #[test]
    fn other_forms_are_no_moments() {
        for text in [
            "",
            "2026-1-31",
            "2026-02-30",
            "2026-01-31 ",
            "20260131",
            "+026-01-31",
            "31.01.2026",
            "2026-01-31é",
            "-2026-01-31",
        ] {
            assert_eq!(days(text), None, "{text}");
            assert_eq!(microseconds(text), None, "{text}");
        }
        for text in [
            "2026-01-31 24:00:00",
            "2026-01-31 10:00:60",
            "2026-01-31 10:00:00Z",
            "2026-01-31 10:00:00+00:00",
            "2026-01-31 10:00:00.",
            "2026-01-31 10:00:00.1234567",
            "2026-01-31 10:00.5",
            "2026-01-31 10",
            "2026-01-31  10:00:00",
            "1769853600",
        ] {
            assert_eq!(microseconds(text), None, "{text}");
        }
    }
}
