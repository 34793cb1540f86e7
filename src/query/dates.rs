//! Dates and times as people write them: ISO forms and relative ones such as `start of last month`.
//! There is no clock here; without a `now`, relative forms are not understood.

use chrono::Datelike as _;
use chrono::Days;
use chrono::Months;
use chrono::NaiveDate;
use chrono::NaiveDateTime;
use chrono::NaiveTime;
use chrono::TimeDelta;

const DATE: &str = "a date like 2026-01-31";
const DATETIME: &str = "a time like 2026-01-31 10:00:00";
const YEARS: &str = "within the years 0001 to 9999";

/// A day, or its last moment, or a moment on the clock.
enum Moment {
    Start(NaiveDate),
    End(NaiveDate),
    Exact(NaiveDateTime),
}

/// Reads `2026-01-31` or a relative day. The error says what is wanted.
pub(crate) fn parse_date(text: &str, now: Option<NaiveDateTime>) -> Result<NaiveDate, &'static str> {
    let text = text.trim();
    if let Some(date) = iso_date(text) {
        return in_years(date);
    }
    match now.and_then(|now| relative(text, now)) {
        Some(Moment::Start(date) | Moment::End(date)) => in_years(date),
        Some(Moment::Exact(_)) | None => Err(DATE),
    }
}

/// Reads a day, a day with a time, or a relative form; a zone moves the time to UTC.
/// A relative day is its first moment, after `end of` its last microsecond.
pub(crate) fn parse_datetime(text: &str, now: Option<NaiveDateTime>) -> Result<NaiveDateTime, &'static str> {
    let text = text.trim();
    let datetime = match now.and_then(|now| relative(text, now)) {
        Some(Moment::Start(date)) => date.and_time(NaiveTime::MIN),
        Some(Moment::End(date)) => date.and_hms_micro_opt(23, 59, 59, 999_999).ok_or(DATETIME)?,
        Some(Moment::Exact(datetime)) => datetime,
        None => iso_datetime(text).ok_or(DATETIME)?,
    };
    in_years(datetime.date())?;
    Ok(datetime)
}

fn in_years(date: NaiveDate) -> Result<NaiveDate, &'static str> {
    if (1..=9999).contains(&date.year()) {
        Ok(date)
    } else {
        Err(YEARS)
    }
}

fn iso_date(text: &str) -> Option<NaiveDate> {
    let (year, rest) = text.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let year = i32::try_from(digits(year, 4)?).ok()?;
    NaiveDate::from_ymd_opt(year, digits(month, 2)?, digits(day, 2)?)
}

/// A number written with exactly `length` digits.
fn digits(text: &str, length: usize) -> Option<u32> {
    if text.len() != length || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn iso_datetime(text: &str) -> Option<NaiveDateTime> {
    let (date, rest) = text.split_at_checked(10)?;
    let date = iso_date(date)?;
    if rest.is_empty() {
        return Some(date.and_time(NaiveTime::MIN));
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    // An unescaped `+` of a query string arrives as a space.
    let zone_at = rest.find(['Z', 'z', '+', '-', ' ']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at_checked(zone_at)?;
    let datetime = date.and_time(iso_time(time)?);
    datetime.checked_sub_signed(zone_offset(zone)?)
}

/// `10:00`, `10:00:00` or `10:00:00.123456`.
fn iso_time(text: &str) -> Option<NaiveTime> {
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let mut parts = clock.split(':');
    let hour = digits(parts.next()?, 2)?;
    let minute = digits(parts.next()?, 2)?;
    let second = parts.next();
    if parts.next().is_some() || (second.is_none() && fraction.is_some()) {
        return None;
    }
    let second = second.map_or(Some(0), |second| digits(second, 2))?;
    let micros = fraction.map_or(Some(0), |fraction| {
        (1..=6).contains(&fraction.len()).then_some(())?;
        digits(&format!("{fraction:0<6}"), 6)
    })?;
    NaiveTime::from_hms_micro_opt(hour, minute, second, micros)
}

/// `Z`, `+02:00`, `+0200`, `+02`, or nothing.
fn zone_offset(zone: &str) -> Option<TimeDelta> {
    if zone.is_empty() || zone.eq_ignore_ascii_case("z") {
        return Some(TimeDelta::zero());
    }
    let (sign, rest) = zone.split_at_checked(1)?;
    let (hours, minutes) = rest.split_at_checked(2)?;
    let hours = digits(hours, 2)?;
    let minutes = match minutes.strip_prefix(':') {
        Some(minutes) => digits(minutes, 2)?,
        None if minutes.is_empty() => 0,
        None => digits(minutes, 2)?,
    };
    if hours > 15 || minutes > 59 {
        return None;
    }
    let offset = TimeDelta::minutes(i64::from(hours * 60 + minutes));
    Some(if sign == "-" { -offset } else { offset })
}

fn relative(text: &str, now: NaiveDateTime) -> Option<Moment> {
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split_whitespace().collect();
    let today = now.date();
    match words.as_slice() {
        ["now"] => Some(Moment::Exact(now)),
        ["today"] => Some(Moment::Start(today)),
        ["yesterday"] => today.pred_opt().map(Moment::Start),
        ["tomorrow"] => today.succ_opt().map(Moment::Start),
        [count, unit, "ago"] => moved(now, signed_count(count, false)?, unit),
        [count, unit, "from", "now"] => moved(now, signed_count(count, true)?, unit),
        ["start", "of", which, unit] => period_start(today, step(which)?, unit).map(Moment::Start),
        ["end", "of", which, unit] => {
            let next = period_start(today, step(which)? + 1, unit)?;
            next.pred_opt().map(Moment::End)
        }
        _ => None,
    }
}

fn step(which: &str) -> Option<i32> {
    match which {
        "this" => Some(0),
        "last" => Some(-1),
        "next" => Some(1),
        _ => None,
    }
}

fn signed_count(text: &str, forward: bool) -> Option<i32> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: i32 = text.parse().ok()?;
    Some(if forward { count } else { -count })
}

fn moved(now: NaiveDateTime, count: i32, unit: &str) -> Option<Moment> {
    let today = now.date();
    let day = match unit.strip_suffix('s').unwrap_or(unit) {
        "minute" => return exact(now, TimeDelta::minutes(i64::from(count))),
        "hour" => return exact(now, TimeDelta::hours(i64::from(count))),
        "day" => add_days(today, i64::from(count)),
        "week" => add_days(today, i64::from(count) * 7),
        "month" => add_months(today, i64::from(count)),
        "quarter" => add_months(today, i64::from(count) * 3),
        "year" => add_months(today, i64::from(count) * 12),
        _ => None,
    };
    day.map(Moment::Start)
}

fn exact(now: NaiveDateTime, delta: TimeDelta) -> Option<Moment> {
    now.checked_add_signed(delta).map(Moment::Exact)
}

/// The first day of the period that lies `steps` periods from today's; weeks begin on Monday.
fn period_start(today: NaiveDate, steps: i32, unit: &str) -> Option<NaiveDate> {
    let steps = i64::from(steps);
    match unit {
        "day" => add_days(today, steps),
        "week" => add_days(
            today,
            steps * 7 - i64::from(today.weekday().num_days_from_monday()),
        ),
        "month" => add_months(today.with_day(1)?, steps),
        "quarter" => {
            let first_month = today.month0() / 3 * 3;
            add_months(today.with_day(1)?.with_month0(first_month)?, steps * 3)
        }
        "year" => add_months(today.with_day(1)?.with_month0(0)?, steps * 12),
        _ => None,
    }
}

fn add_days(date: NaiveDate, days: i64) -> Option<NaiveDate> {
    if days < 0 {
        date.checked_sub_days(Days::new(days.unsigned_abs()))
    } else {
        date.checked_add_days(Days::new(days.unsigned_abs()))
    }
}

/// A day that the month does not have becomes the month's last.
fn add_months(date: NaiveDate, months: i64) -> Option<NaiveDate> {
    let count = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
    if months < 0 {
        date.checked_sub_months(count)
    } else {
        date.checked_add_months(count)
    }
}
