//! One value: from the text that somebody wrote to a typed bind, and back to one canonical text.
//! Numbers never pass through a float.

use chrono::NaiveDateTime;

use crate::query::Bind;
use crate::query::dates::parse_date;
use crate::query::dates::parse_datetime;
use crate::report::ValueType;

/// What a 128-bit decimal holds.
const DIGITS_MAX: i64 = 38;
/// Longer values are cut in messages.
const SHOWN_CHARS_MAX: usize = 60;

const NUMBER: &str = "a number like 12.5";
const SHORTER_NUMBER: &str = "a number of at most 38 digits";

/// Reads one value; the error says what the value must be.
/// Relative dates are understood where `now` is given.
pub(crate) fn parse_value(
    of: ValueType,
    text: &str,
    now: Option<NaiveDateTime>,
) -> Result<Bind, &'static str> {
    match of {
        ValueType::Text if text.contains('\0') => Err("text without NUL characters"),
        ValueType::Text => Ok(Bind::Text(text.to_owned())),
        ValueType::Number => parse_number(text.trim()),
        ValueType::Boolean => parse_boolean(text.trim()),
        ValueType::Date => parse_date(text, now).map(Bind::Date),
        ValueType::Datetime => parse_datetime(text, now).map(Bind::Datetime),
    }
}

/// The text under which two equal values are equal: `1`, `1.0` and `1e0` are `1`.
pub(crate) fn canonical(value: &Bind) -> String {
    match value {
        Bind::Null => String::new(),
        Bind::Text(text) => text.clone(),
        Bind::Integer(integer) => integer.to_string(),
        Bind::Decimal(digits) if digits.contains('.') => {
            digits.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        Bind::Decimal(digits) => digits.clone(),
        Bind::Boolean(boolean) => boolean.to_string(),
        Bind::Date(date) => date.to_string(),
        Bind::Datetime(datetime) => datetime.to_string(),
    }
}

/// The canonical form of a text that is read as a value of the same type as another.
pub(crate) fn canonical_as(like: &Bind, text: &str) -> String {
    let of = match like {
        Bind::Null | Bind::Text(_) => ValueType::Text,
        Bind::Integer(_) | Bind::Decimal(_) => ValueType::Number,
        Bind::Boolean(_) => ValueType::Boolean,
        Bind::Date(_) => ValueType::Date,
        Bind::Datetime(_) => ValueType::Datetime,
    };
    parse_value(of, text, None).map_or_else(|_| text.to_owned(), |value| canonical(&value))
}

/// A value as messages quote it: short, and on one line.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::from("`");
    for (index, character) in text.chars().enumerate() {
        if index == SHOWN_CHARS_MAX {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown.push('`');
    shown
}

fn parse_boolean(text: &str) -> Result<Bind, &'static str> {
    match text.to_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(Bind::Boolean(true)),
        "false" | "0" | "no" => Ok(Bind::Boolean(false)),
        _ => Err("true or false"),
    }
}

/// An integer where it fits 64 bits and has no digits after the point, else a decimal.
fn parse_number(text: &str) -> Result<Bind, &'static str> {
    let (negative, unsigned) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NUMBER);
    }
    let point = i64::try_from(whole.len()).map_err(|_| SHORTER_NUMBER)? + exponent;
    let plain = place_point(&digits, point)?;
    if let Ok(integer) = format!("{}{plain}", if negative { "-" } else { "" }).parse::<i64>() {
        return Ok(Bind::Integer(integer));
    }
    let is_zero = plain.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    let sign = if negative && !is_zero { "-" } else { "" };
    Ok(Bind::Decimal(format!("{sign}{plain}")))
}

fn parse_exponent(text: &str) -> Result<i64, &'static str> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NUMBER);
    }
    text.parse::<i32>().map(i64::from).map_err(|_| SHORTER_NUMBER)
}

/// Writes the digits with the point after the first `point` of them, without an exponent.
fn place_point(digits: &str, point: i64) -> Result<String, &'static str> {
    let significant = digits.trim_start_matches('0');
    let leading_zeros = i64::try_from(digits.len() - significant.len()).map_err(|_| SHORTER_NUMBER)?;
    if significant.is_empty() {
        let scale = leading_zeros - point;
        if scale > DIGITS_MAX {
            return Err(SHORTER_NUMBER);
        }
        let fraction = "0".repeat(usize::try_from(scale).unwrap_or(0));
        return Ok(if fraction.is_empty() {
            "0".to_owned()
        } else {
            format!("0.{fraction}")
        });
    }
    let length = i64::try_from(significant.len()).map_err(|_| SHORTER_NUMBER)?;
    let point = point - leading_zeros;
    // Digits that a decimal of this value needs: those before the point and those after it.
    let needed = point.max(0) + (length - point).max(0);
    if needed > DIGITS_MAX {
        return Err(SHORTER_NUMBER);
    }
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
    if point <= 0 {
        return Ok(format!("0.{}{significant}", zeros(-point)));
    }
    if point >= length {
        return Ok(format!("{significant}{}", zeros(point - length)));
    }
    let (whole, fraction) = significant.split_at(usize::try_from(point).unwrap_or(0));
    Ok(format!("{whole}.{fraction}"))
}
