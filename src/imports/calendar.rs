//! Dates and times as files have them, in a handful of forms.
//! A form with day and month as numbers between slashes can be read in two ways; only a whole column settles it.

use serde::Deserialize;
use serde::Serialize;

const MICROSECONDS: i64 = 1_000_000;
const DAY: i64 = 86_400 * MICROSECONDS;
/// 0001-01-01 and 9999-12-31, in days since 1970.
const FIRST_DAY: i64 = -719_162;
const LAST_DAY: i64 = 2_932_896;
/// No place on earth is farther from UTC.
const ZONE_HOURS_MAX: u32 = 18;
const MONTHS: [&[u8; 3]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];

/// A set of the forms that a date may have.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Forms(u8);

impl Forms {
    /// `2026-01-31`.
    pub(super) const ISO: Self = Self(1);
    /// `2026/01/31`.
    const SLASHES: Self = Self(2);
    /// `31.01.2026`.
    const DOTS: Self = Self(4);
    /// `31-Jan-2026`.
    const NAMED: Self = Self(8);
    /// `31/01/2026`.
    pub(super) const DAY_FIRST: Self = Self(16);
    /// `01/31/2026`.
    pub(super) const MONTH_FIRST: Self = Self(32);
    pub(super) const ALL: Self = Self(63);
    /// Those that can be read in one way only.
    pub(super) const PLAIN: Self = Self(15);
    pub(super) const EITHER: Self = Self(48);

    pub(super) fn has(self, form: Self) -> bool {
        self.0 & form.0 == form.0
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// A date, perhaps with a time, perhaps with a zone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Moment {
    days: i64,
    /// Microseconds of the day.
    time: Option<i64>,
    /// Microseconds that the zone is ahead of UTC.
    zone: Option<i64>,
}

impl Moment {
    pub(super) fn has_time(&self) -> bool {
        self.time.is_some()
    }

    pub(super) fn has_zone(&self) -> bool {
        self.zone.is_some()
    }

    /// Days since 1970.
    pub(super) fn date(&self) -> Option<i32> {
        match self.time {
            None => i32::try_from(self.days).ok(),
            Some(_) => None,
        }
    }

    /// Microseconds since 1970; a date is its midnight.
    pub(super) fn timestamp(&self) -> Option<i64> {
        match self.zone {
            None => Some(self.days * DAY + self.time.unwrap_or_default()),
            Some(_) => None,
        }
    }

    /// Microseconds since 1970 in UTC.
    pub(super) fn timestamp_in_zone(&self) -> Option<i64> {
        Some(self.days * DAY + self.time? - self.zone?)
    }
}

/// Reads a date or a timestamp in one of these forms, and says which of them it has.
/// If it has two, the value is that of the day first.
pub(super) fn moment(text: &[u8], forms: Forms) -> Option<(Moment, Forms)> {
    let length = if text.get(2) == Some(&b'-') { 11 } else { 10 };
    let (days, form) = date(text.get(..length)?, forms)?;
    let mut moment = Moment {
        days,
        time: None,
        zone: None,
    };
    match &text[length..] {
        [] => {}
        [b'T' | b' ', rest @ ..] => {
            let (time, zone) = time(rest)?;
            moment.time = Some(time);
            moment.zone = zone;
            let shifted = days * DAY + time - zone.unwrap_or_default();
            if !(FIRST_DAY..=LAST_DAY).contains(&shifted.div_euclid(DAY)) {
                return None;
            }
        }
        _ => return None,
    }
    Some((moment, form))
}

fn date(text: &[u8], forms: Forms) -> Option<(i64, Forms)> {
    let in_form = |form: Forms, year: usize, month: usize, day: usize| {
        if !forms.has(form) {
            return None;
        }
        let year = two(text, year)? * 100 + two(text, year + 2)?;
        days(year, two(text, month)?, two(text, day)?)
    };
    let (form, found) = match text {
        [_, _, _, _, b'-', _, _, b'-', _, _] => (Forms::ISO, in_form(Forms::ISO, 0, 5, 8)),
        [_, _, _, _, b'/', _, _, b'/', _, _] => (Forms::SLASHES, in_form(Forms::SLASHES, 0, 5, 8)),
        [_, _, b'.', _, _, b'.', _, _, _, _] => (Forms::DOTS, in_form(Forms::DOTS, 6, 3, 0)),
        [_, _, b'/', _, _, b'/', _, _, _, _] => {
            let day_first = in_form(Forms::DAY_FIRST, 6, 3, 0);
            let month_first = in_form(Forms::MONTH_FIRST, 6, 0, 3);
            let form = match (day_first, month_first) {
                (Some(_), Some(_)) => Forms::EITHER,
                (Some(_), None) => Forms::DAY_FIRST,
                _ => Forms::MONTH_FIRST,
            };
            (form, day_first.or(month_first))
        }
        [_, _, b'-', name @ .., b'-', _, _, _, _] if forms.has(Forms::NAMED) => {
            let month = MONTHS
                .iter()
                .position(|month| name.eq_ignore_ascii_case(*month))?;
            let year = two(text, 7)? * 100 + two(text, 9)?;
            (Forms::NAMED, days(year, month as u32 + 1, two(text, 0)?))
        }
        _ => return None,
    };
    Some((found?, form))
}

/// `HH:MM[:SS[.fraction]]` and `Z` or `+HH[:MM]`.
fn time(text: &[u8]) -> Option<(i64, Option<i64>)> {
    let hour = two(text, 0)?;
    let minute = two(text, 3)?;
    if text[2] != b':' || hour > 23 || minute > 59 {
        return None;
    }
    let mut time = i64::from(hour * 3_600 + minute * 60) * MICROSECONDS;
    let mut rest = &text[5..];
    if let [b':', seconds @ ..] = rest {
        let second = two(seconds, 0)?;
        if second > 59 {
            return None;
        }
        time += i64::from(second) * MICROSECONDS;
        rest = &seconds[2..];
        if let [b'.', digits @ ..] = rest {
            let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
            time += fraction(&digits[..count])?;
            rest = &digits[count..];
        }
    }
    Some((time, zone(rest)?))
}

fn fraction(digits: &[u8]) -> Option<i64> {
    let exact = !digits.is_empty() && digits.len() <= 9 && digits.iter().skip(6).all(|digit| *digit == b'0');
    if !exact {
        return None;
    }
    let digits = digits.iter().map(|digit| i64::from(digit - b'0'));
    let zeros = std::iter::repeat(0);
    Some(
        digits
            .chain(zeros)
            .take(6)
            .fold(0, |value, digit| value * 10 + digit),
    )
}

fn zone(text: &[u8]) -> Option<Option<i64>> {
    let (sign, hours, minutes) = match text {
        [] => return Some(None),
        [b'Z'] => (1, 0, 0),
        [sign @ (b'+' | b'-'), rest @ ..] => {
            let minutes = match rest {
                [_, _] => 0,
                [_, _, b':', _, _] => two(rest, 3)?,
                _ => return None,
            };
            (if *sign == b'-' { -1 } else { 1 }, two(rest, 0)?, minutes)
        }
        _ => return None,
    };
    let fits = minutes < 60 && hours * 60 + minutes <= ZONE_HOURS_MAX * 60;
    fits.then(|| Some(sign * i64::from(hours * 3_600 + minutes * 60) * MICROSECONDS))
}

#[inline(always)]
fn two(text: &[u8], at: usize) -> Option<u32> {
    let tens = text.get(at)?.wrapping_sub(b'0');
    let ones = text.get(at + 1)?.wrapping_sub(b'0');
    (tens < 10 && ones < 10).then_some(u32::from(tens) * 10 + u32::from(ones))
}

/// Days since 1970 of a date that exists, by the calendar of today also before it was one.
fn days(year: u32, month: u32, day: u32) -> Option<i64> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year == 0 || day == 0 || day > length {
        return None;
    }
    // Years that begin in March have their leap day last.
    let (shifted_year, shifted_month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let century = shifted_year / 100;
    let of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let all = 365 * shifted_year + shifted_year / 4 - century + century / 4 + of_year;
    Some(i64::from(all) - 719_468)
}
