//! The text of dates, times, timestamps, intervals and durations, as DuckDB and PostgreSQL write it.
//! The calendar is the proleptic Gregorian one over all of `i64`, wider than any date library's.

use arrow::datatypes::TimeUnit;

use crate::exports::numbers::write_integer;

pub(super) const SECONDS_PER_DAY: i64 = 86_400;

/// A day of the proleptic Gregorian calendar; year 0 is 1 BC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Civil {
    pub(super) year: i64,
    pub(super) month: u8,
    pub(super) day: u8,
}

/// Finds the day that is `days` after 1970-01-01.
/// Counts years from March within eras of 400 years, so that the leap day comes last
/// (the method of Howard Hinnant's `civil_from_days`).
#[inline]
pub(super) fn civil(days: i64) -> Civil {
    const DAYS_PER_ERA: i64 = 146_097;
    const MARCH_OF_YEAR_ZERO: i64 = 719_468;
    let shifted = days + MARCH_OF_YEAR_ZERO;
    let era = shifted.div_euclid(DAYS_PER_ERA);
    let day_of_era = shifted.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    Civil {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month: month as u8,
        day: day as u8,
    }
}

/// Appends `2026-01-31`; longer years as they are, years before 1 as `0044-03-15 (BC)`.
#[inline]
pub(super) fn write_date(days: i64, out: &mut Vec<u8>) {
    let Civil { year, month, day } = civil(days);
    if (1..=9_999).contains(&year) {
        write_pair(year / 100, out);
        write_pair(year % 100, out);
    } else {
        let shown = if year > 0 { year } else { 1 - year };
        write_padded(shown.unsigned_abs(), 4, out);
    }
    out.push(b'-');
    write_pair(i64::from(month), out);
    out.push(b'-');
    write_pair(i64::from(day), out);
    if year <= 0 {
        out.extend_from_slice(b" (BC)");
    }
}

/// Appends the date of a `Date32`, whose two outermost values stand for infinity.
#[inline]
pub(super) fn write_day_count(days: i32, out: &mut Vec<u8>) {
    match days {
        i32::MAX => out.extend_from_slice(b"infinity"),
        days if days == -i32::MAX => out.extend_from_slice(b"-infinity"),
        days => write_date(i64::from(days), out),
    }
}

/// Appends `2017-09-13 07:28:19.664131`; the two outermost values of any unit stand for infinity.
#[inline]
pub(super) fn write_timestamp(value: i64, unit: TimeUnit, zoned: bool, out: &mut Vec<u8>) {
    if value == i64::MAX {
        return out.extend_from_slice(b"infinity");
    }
    if value == -i64::MAX {
        return out.extend_from_slice(b"-infinity");
    }
    let ticks_per_second = ticks_per_second(unit);
    let seconds = value.div_euclid(ticks_per_second);
    write_date(seconds.div_euclid(SECONDS_PER_DAY), out);
    out.push(b' ');
    let second_of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    write_clock(second_of_day.unsigned_abs(), out);
    write_fraction(value.rem_euclid(ticks_per_second).unsigned_abs(), unit, out);
    if zoned {
        out.extend_from_slice(b"+00");
    }
}

/// Appends a time of day or a span of time: `07:28:19.5`, `24:00:00`, `-100:00:00`.
#[inline]
pub(super) fn write_time(value: i64, unit: TimeUnit, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let ticks_per_second = ticks_per_second(unit).unsigned_abs();
    let magnitude = value.unsigned_abs();
    write_clock(magnitude / ticks_per_second, out);
    write_fraction(magnitude % ticks_per_second, unit, out);
}

/// Appends an interval as DuckDB does: `1 year 2 months -3 days 04:05:06.789`, `00:00:00` for none.
pub(super) fn write_interval(months: i32, days: i32, nanoseconds: i64, out: &mut Vec<u8>) {
    let start = out.len();
    for (count, unit) in [(months / 12, " year"), (months % 12, " month"), (days, " day")] {
        if count == 0 {
            continue;
        }
        if out.len() > start {
            out.push(b' ');
        }
        write_integer(count, out);
        out.extend_from_slice(unit.as_bytes());
        if count.unsigned_abs() != 1 {
            out.push(b's');
        }
    }
    if nanoseconds == 0 && out.len() > start {
        return;
    }
    if out.len() > start {
        out.push(b' ');
    }
    write_time(nanoseconds, TimeUnit::Nanosecond, out);
}

pub(super) fn ticks_per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

fn write_clock(seconds: u64, out: &mut Vec<u8>) {
    write_padded(seconds / 3_600, 2, out);
    out.push(b':');
    write_padded(seconds / 60 % 60, 2, out);
    out.push(b':');
    write_padded(seconds % 60, 2, out);
}

/// Appends `.5` for half a second in any unit, nothing for a whole one.
fn write_fraction(ticks: u64, unit: TimeUnit, out: &mut Vec<u8>) {
    if ticks == 0 {
        return;
    }
    let places = match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    };
    out.push(b'.');
    write_padded(ticks, places, out);
    while out.last() == Some(&b'0') {
        out.pop();
    }
}

fn write_padded(value: u64, width: usize, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value);
    let zeros = width.saturating_sub(digits.len());
    out.resize(out.len() + zeros, b'0');
    out.extend_from_slice(digits.as_bytes());
}

/// Appends two digits of a value below 100.
#[inline]
fn write_pair(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]);
}
