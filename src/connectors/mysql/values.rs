//! Single values in MySQL's binary form: decimals in digits, days and times in parts.

use std::fmt::Write as _;

use arrow::array::StringBuilder;
use chrono::Datelike as _;
use chrono::NaiveDate;

use crate::connectors::mysql::bytes::Bytes;

const DAYS_TO_1970: i32 = 719_163;
const MICROSECONDS: i64 = 1_000_000;
/// The most digits after the point of a second.
const FRACTION_MAX: u8 = 6;

/// Digits that become one number before it is widened.
const NARROW: u64 = 1_000_000_000_000_000_000;

/// How many digits a column's decimals have, and how many of them after the point.
#[derive(Clone, Copy)]
pub(super) struct Digits {
    pub(super) all: u8,
    pub(super) after_point: u8,
}

/// The value times ten to the power of the column's scale, if it has no more digits than the column.
pub(super) fn unscaled(text: &[u8], of: Digits) -> Option<i128> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        _ => (false, text),
    };
    let (mut high, mut low, mut power) = (0_u128, 0_u64, 1_u64);
    let mut after_point = None;
    for character in digits {
        match character {
            b'0'..=b'9' => {
                if power == NARROW {
                    high = high.checked_mul(power.into())?.checked_add(low.into())?;
                    (low, power) = (0, 1);
                }
                low = low * 10 + u64::from(character - b'0');
                power *= 10;
                after_point = after_point.map(|count: u8| count.saturating_add(1));
            }
            b'.' if after_point.is_none() => after_point = Some(0),
            _ => return None,
        }
    }
    let value = high.checked_mul(power.into())?.checked_add(low.into())?;
    let missing = of.after_point.checked_sub(after_point.unwrap_or(0))?;
    let value = value.checked_mul(10_u128.checked_pow(missing.into())?)?;
    if value >= 10_u128.checked_pow(of.all.into())? {
        return None;
    }
    let value = i128::try_from(value).ok()?;
    Some(if negative { -value } else { value })
}

/// A day and a time of it, as they were sent.
pub(super) struct Moment {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
    microsecond: u32,
}

impl Moment {
    /// What is zero is left out, from the end on.
    pub(super) fn parse(sent: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(sent);
        let (mut date, mut time, mut microsecond) = ([0; 4], [0; 3], [0; 4]);
        if !sent.is_empty() {
            date = bytes.fixed()?;
        }
        if sent.len() > 4 {
            time = bytes.fixed()?;
        }
        if sent.len() > 7 {
            microsecond = bytes.fixed()?;
        }
        let [low, high, month, day] = date;
        let [hour, minute, second] = time;
        bytes.0.is_empty().then_some(Self {
            year: u16::from_le_bytes([low, high]),
            month,
            day,
            hour,
            minute,
            second,
            microsecond: u32::from_le_bytes(microsecond),
        })
    }

    /// Days since 1970, if it is a day. Years begin with 1: the server has none before, only zeros.
    pub(super) fn days(&self) -> Option<i32> {
        if self.year == 0 {
            return None;
        }
        let date = NaiveDate::from_ymd_opt(self.year.into(), self.month.into(), self.day.into())?;
        Some(date.num_days_from_ce() - DAYS_TO_1970)
    }

    /// Microseconds since 1970.
    pub(super) fn microseconds(&self) -> Option<i64> {
        let hours = i64::from(self.days()?) * 24 + i64::from(self.hour);
        let seconds = (hours * 60 + i64::from(self.minute)) * 60 + i64::from(self.second);
        Some(seconds * MICROSECONDS + i64::from(self.microsecond))
    }

    pub(super) fn write_date(&self, out: &mut StringBuilder) -> std::fmt::Result {
        write!(out, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    /// As the server writes it.
    pub(super) fn write(&self, out: &mut StringBuilder, decimals: u8) -> std::fmt::Result {
        self.write_date(out)?;
        write!(out, " {:02}:{:02}:{:02}", self.hour, self.minute, self.second)?;
        write_fraction(out, self.microsecond, decimals)
    }
}

/// Writes a time as the server does: `-838:59:59.000000`, with the column's digits.
pub(super) fn write_time(out: &mut StringBuilder, sent: &[u8], decimals: u8) -> Option<()> {
    let mut bytes = Bytes(sent);
    let (mut sign, mut days, mut time, mut microsecond) = ([0], [0; 4], [0; 3], [0; 4]);
    if !sent.is_empty() {
        sign = bytes.fixed()?;
        days = bytes.fixed()?;
        time = bytes.fixed()?;
    }
    if sent.len() > 8 {
        microsecond = bytes.fixed()?;
    }
    let [hour, minute, second] = time;
    let hours = u64::from(u32::from_le_bytes(days)) * 24 + u64::from(hour);
    let sign = if sign == [0] { "" } else { "-" };
    write!(out, "{sign}{hours:02}:{minute:02}:{second:02}").ok()?;
    write_fraction(out, u32::from_le_bytes(microsecond), decimals).ok()
}

/// As many digits as the column has; all where it does not say or some would be lost.
fn write_fraction(out: &mut StringBuilder, microsecond: u32, decimals: u8) -> std::fmt::Result {
    let decimals = match decimals {
        0..=FRACTION_MAX if microsecond.is_multiple_of(10_u32.pow((FRACTION_MAX - decimals).into())) => {
            decimals
        }
        _ if microsecond == 0 => 0,
        _ => FRACTION_MAX,
    };
    if decimals == 0 {
        return Ok(());
    }
    let shown = microsecond / 10_u32.pow((FRACTION_MAX - decimals).into());
    write!(out, ".{shown:0width$}", width = usize::from(decimals))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_or_nothing() {
        let nines = "9".repeat(38);
        for (text, all, after_point, wanted) in [
            ("0", 1, 0, Some(0)),
            ("-1.50", 3, 2, Some(-150)),
            ("1.5", 3, 2, Some(150)),
            ("0.001", 3, 3, Some(1)),
            ("1.505", 3, 2, None),
            ("10.00", 3, 2, None),
            (nines.as_str(), 38, 0, Some(10_i128.pow(38) - 1)),
            (
                "1000000000000000000.000000000000000001",
                37,
                18,
                Some(10_i128.pow(36) + 1),
            ),
            ("1e5", 10, 0, None),
            ("1.2.3", 10, 2, None),
            ("", 10, 0, None),
        ] {
            assert_eq!(
                unscaled(text.as_bytes(), Digits { all, after_point }),
                wanted,
                "{text}"
            );
        }
        let longer = "9".repeat(39);
        assert_eq!(
            unscaled(
                longer.as_bytes(),
                Digits {
                    all: 38,
                    after_point: 0
                }
            ),
            None
        );
    }

    #[test]
    fn days_are_counted_from_1970() {
        let moment = |sent: &[u8]| Moment::parse(sent).unwrap();
        assert_eq!(moment(&[0xb2, 0x07, 1, 1]).days(), Some(0));
        assert_eq!(
            moment(&[0xb2, 0x07, 1, 2, 0, 0, 1]).microseconds(),
            Some(86_401_000_000)
        );
        assert_eq!(
            moment(&[0xb1, 0x07, 12, 31, 23, 59, 59, 0x3f, 0x42, 0x0f, 0]).microseconds(),
            Some(-1)
        );
        assert_eq!(moment(&[]).days(), None);
        assert_eq!(moment(&[0xe8, 0x07, 2, 30]).days(), None);
        assert!(Moment::parse(&[1, 2, 3]).is_none());
        assert!(Moment::parse(&[0xb2, 0x07, 1, 1, 0]).is_none());
    }
}
