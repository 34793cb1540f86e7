//! The digits of numbers: integers, decimals of any width, floats.
//! Everything is appended to a buffer; nothing here allocates for a cell of 128 bits or fewer.

use std::io::Write;

use arrow::datatypes::i256;

/// Appends an integer in base ten.
#[inline]
pub(super) fn write_integer<I: itoa::Integer>(value: I, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a decimal with its full scale: 100 with scale 2 is `1.00`.
#[inline]
pub(super) fn write_decimal(value: i128, scale: i8, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    let magnitude = value.unsigned_abs();
    let mut buffer = itoa::Buffer::new();
    // Almost every decimal fits 64 bits, and those digits come several times faster.
    let digits = match u64::try_from(magnitude) {
        Ok(narrow) => buffer.format(narrow),
        Err(_) => buffer.format(magnitude),
    };
    place_point(digits.as_bytes(), scale, out);
}

/// Appends a decimal of up to 256 bits.
pub(super) fn write_wide_decimal(value: i256, scale: i8, out: &mut Vec<u8>) {
    if let Some(narrow) = value.to_i128() {
        return write_decimal(narrow, scale, out);
    }
    // 77 digits and a sign at most, so the write into the array cannot fail.
    let mut buffer = [0_u8; 80];
    let mut rest = &mut buffer[..];
    if write!(rest, "{value}").is_err() {
        return;
    }
    let free = rest.len();
    let written = &buffer[..buffer.len() - free];
    let digits = match written.strip_prefix(b"-") {
        Some(digits) => {
            out.push(b'-');
            digits
        }
        None => written,
    };
    place_point(digits, scale, out);
}

fn place_point(digits: &[u8], scale: i8, out: &mut Vec<u8>) {
    let places = usize::from(scale.unsigned_abs());
    if scale <= 0 {
        out.extend_from_slice(digits);
        if digits != b"0" {
            out.resize(out.len() + places, b'0');
        }
    } else if digits.len() > places {
        let (whole, fraction) = digits.split_at(digits.len() - places);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    } else {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + places - digits.len(), b'0');
        out.extend_from_slice(digits);
    }
}

/// Appends the shortest text that reads back as the same float: `0.1`, `1.0`, `-0.0`, `1e300`, `NaN`, `-Infinity`.
#[inline]
pub(super) fn write_double(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        write_finite(zmij::Buffer::new().format_finite(value), out);
    } else {
        out.extend_from_slice(not_finite(value).as_bytes());
    }
}

/// As [`write_double`], with no more digits than single precision needs.
#[inline]
pub(super) fn write_single(value: f32, out: &mut Vec<u8>) {
    if value.is_finite() {
        write_finite(zmij::Buffer::new().format_finite(value), out);
    } else {
        out.extend_from_slice(not_finite(f64::from(value)).as_bytes());
    }
}

/// Leaves out the plus sign of an exponent: `1e+300` is `1e300`.
#[inline]
fn write_finite(text: &str, out: &mut Vec<u8>) {
    match text.split_once("e+") {
        Some((digits, exponent)) => {
            out.extend_from_slice(digits.as_bytes());
            out.push(b'e');
            out.extend_from_slice(exponent.as_bytes());
        }
        None => out.extend_from_slice(text.as_bytes()),
    }
}

fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}
