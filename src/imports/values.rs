//! The texts of values: what a number or a boolean looks like, and what it is.
//! Survey and read ask the same functions, so that what the one has seen the other can read.

use crate::imports::types::DIGITS_MAX;

/// Longer texts are no numbers of ours: 38 digits, sign, point, exponent.
const NUMBER_LENGTH_MAX: usize = 48;
/// So many digits always fit 64 bits.
const DIGITS_IN_64_BITS: usize = 19;
/// So many digits survive in any double of common size, and so many in some.
const DOUBLE_DIGITS_SURE: usize = 15;
const DOUBLE_DIGITS_MAX: usize = 17;
/// Every integer up to here is a double.
const DOUBLE_INTEGER_MAX: u128 = 1 << 53;
const DOUBLE_DECIMAL_SURE: u128 = 1_000_000_000_000_000;

/// A number as it is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Number {
    negative: bool,
    /// All digits without the point; of one with an exponent those of its mantissa.
    magnitude: u128,
    /// Digits before the point, without the zero of `0.5`.
    pub(super) whole: u32,
    /// Digits after it.
    pub(super) scale: u32,
    pub(super) point: bool,
    pub(super) exponent: bool,
}

pub(super) fn boolean(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"true") {
        return Some(true);
    }
    text.eq_ignore_ascii_case(b"false").then_some(false)
}

/// No sign but `-`, no leading zeros, no negative zero without a point, no point at the end.
pub(super) fn number(text: &[u8]) -> Option<Number> {
    let negative = text.first() == Some(&b'-');
    let body = &text[usize::from(negative)..];
    if body.is_empty() || body.len() > NUMBER_LENGTH_MAX {
        return None;
    }
    let mut low: u64 = 0;
    let mut point = None;
    for (at, byte) in body.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            low = low.wrapping_mul(10).wrapping_add(u64::from(digit));
        } else if *byte == b'.' && point.is_none() {
            point = Some(at);
        } else if matches!(byte, b'e' | b'E') {
            return scientific(&text[..usize::from(negative) + at], &body[at + 1..]);
        } else {
            return None;
        }
    }
    let whole = point.unwrap_or(body.len());
    let scale = point.map_or(0, |point| body.len() - point - 1);
    let zero = body[0] == b'0';
    let malformed =
        (point.is_some() && scale == 0) || (zero && whole > 1) || (zero && negative && point.is_none());
    if malformed {
        return None;
    }
    let magnitude = if whole + scale <= DIGITS_IN_64_BITS {
        u128::from(low)
    } else {
        wide(body)
    };
    let number = Number {
        negative,
        magnitude,
        whole: if zero { 0 } else { whole as u32 },
        scale: scale as u32,
        point: point.is_some(),
        exponent: false,
    };
    (number.whole + number.scale <= DIGITS_MAX).then_some(number)
}

fn wide(body: &[u8]) -> u128 {
    let digits = body.iter().filter(|byte| **byte != b'.');
    // More than 38 digits that count are refused afterwards; zeros before them add nothing.
    digits.fold(0_u128, |value, byte| {
        value.wrapping_mul(10).wrapping_add(u128::from(byte - b'0'))
    })
}

#[inline(never)]
fn scientific(mantissa: &[u8], exponent: &[u8]) -> Option<Number> {
    let digits = match exponent {
        [b'+' | b'-', digits @ ..] => digits,
        digits => digits,
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mantissa = number(mantissa).filter(|number| !number.exponent)?;
    Some(Number {
        exponent: true,
        ..mantissa
    })
}

impl Number {
    pub(super) fn integer(&self) -> Option<i64> {
        if self.point || self.exponent {
            return None;
        }
        self.signed().and_then(|value| i64::try_from(value).ok())
    }

    /// As many times the smallest step of a decimal of this size, if it is one.
    pub(super) fn decimal(&self, precision: u8, scale: u8) -> Option<i128> {
        if self.exponent {
            return None;
        }
        let power = |digits: u32| 10_u128.checked_pow(digits);
        let wanted = u32::from(scale);
        let magnitude = if self.scale <= wanted {
            self.magnitude.checked_mul(power(wanted - self.scale)?)?
        } else {
            let dropped = power(self.scale - wanted)?;
            if !self.magnitude.is_multiple_of(dropped) {
                return None;
            }
            self.magnitude / dropped
        };
        if magnitude >= power(u32::from(precision))? {
            return None;
        }
        let value = i128::try_from(magnitude).ok()?;
        Some(if self.negative { -value } else { value })
    }

    fn signed(&self) -> Option<i128> {
        let value = i128::try_from(self.magnitude).ok()?;
        Some(if self.negative { -value } else { value })
    }

    /// Whether it needs no closer look to know that a double holds it.
    pub(super) fn is_surely_double(&self) -> bool {
        let most = if self.point {
            DOUBLE_DECIMAL_SURE
        } else {
            DOUBLE_INTEGER_MAX
        };
        !self.exponent && self.magnitude < most
    }
}

pub(super) fn integer(text: &[u8]) -> Option<i64> {
    number(text)?.integer()
}

pub(super) fn decimal(text: &[u8], precision: u8, scale: u8) -> Option<i128> {
    number(text)?.decimal(precision, scale)
}

/// A number, all of whose digits a double gives back.
pub(super) fn double(text: &[u8]) -> Option<f64> {
    let number = number(text)?;
    let value: f64 = str::from_utf8(text).ok()?.parse().ok()?;
    if number.is_surely_double() {
        return Some(value);
    }
    let mantissa = text.split(|byte| matches!(byte, b'e' | b'E')).next()?;
    let digits: Vec<u8> = mantissa
        .iter()
        .copied()
        .filter(u8::is_ascii_digit)
        .skip_while(|digit| *digit == b'0')
        .collect();
    let zeros = digits.iter().rev().take_while(|digit| **digit == b'0').count();
    let digits = &digits[..digits.len() - zeros];
    if digits.is_empty() {
        return Some(value);
    }
    if !value.is_normal() || digits.len() > DOUBLE_DIGITS_MAX {
        return None;
    }
    if digits.len() <= DOUBLE_DIGITS_SURE {
        return Some(value);
    }
    let back = format!("{:.*e}", digits.len() - 1, value.abs());
    let same = back
        .bytes()
        .take_while(|byte| *byte != b'e')
        .filter(|byte| *byte != b'.')
        .eq(digits.iter().copied());
    same.then_some(value)
}
