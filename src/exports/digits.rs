//! The digits of common numbers, dates and timestamps, eight at a time and without a branch for each.
//! A text is written into a cell of known size, so that its caller checks the room once;
//! what is written behind the text's end has no meaning, and a length of 0 says "not here, but in the general way".

/// No text made here is longer, and none writes behind this.
pub(super) const CELL: usize = 40;

/// Room for one value.
pub(super) type Cell = [u8; CELL];

/// More digits than two groups of eight are left to the general way.
const GROUP: u64 = 100_000_000;

/// The character `0` eight times.
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// Eight digits of a number below 10^8, one a byte, the first in the lowest byte; leading zeros included.
/// Splits into halves, then pairs, then digits, in all lanes at once by multiplying with a reciprocal.
#[inline(always)]
fn eight_digits(number: u64) -> u64 {
    let halves = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007f_0000_007f;
    pairs_to_digits(hundreds | ((halves - 100 * hundreds) << 16))
}

/// Digits of four numbers below 100 that stand in 16 bits each.
#[inline(always)]
fn pairs_to_digits(pairs: u64) -> u64 {
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((pairs - 10 * tens) << 8)
}

/// As [`eight_digits`] with less work, for a number below 10^4.
#[inline(always)]
fn four_digits(number: u64) -> u64 {
    let hundreds = (number * 5_243) >> 19;
    pairs_to_digits((hundreds << 32) | ((number - 100 * hundreds) << 48))
}

#[inline(always)]
fn put_eight(cell: &mut Cell, at: usize, bytes: u64) {
    cell[at..at + 8].copy_from_slice(&bytes.to_le_bytes());
}

/// Writes the sign and says where the digits begin.
#[inline(always)]
fn put_sign(cell: &mut Cell, negative: bool) -> usize {
    cell[0] = b'-';
    usize::from(negative)
}

/// Writes the digits without leading zeros, at least those from byte `kept` on, and says where they end.
#[inline(always)]
fn put_trimmed(cell: &mut Cell, at: usize, digits: u64, kept: u32) -> usize {
    let zeros = (digits | (1 << (8 * kept))).trailing_zeros() / 8;
    put_eight(cell, at, (digits | ZEROS) >> (8 * zeros));
    at + 8 - zeros as usize
}

/// An integer in base ten.
#[inline(always)]
pub(super) fn integer(magnitude: u64, negative: bool, cell: &mut Cell) -> usize {
    let at = put_sign(cell, negative);
    if magnitude < 10 {
        cell[at] = b'0' | magnitude as u8;
        return at + 1;
    }
    if magnitude < GROUP {
        return put_trimmed(cell, at, eight_digits(magnitude), 7);
    }
    long_integer(magnitude, at, cell)
}

#[inline(never)]
fn long_integer(magnitude: u64, at: usize, cell: &mut Cell) -> usize {
    let (high, low) = (magnitude / GROUP, magnitude % GROUP);
    let at = if high < GROUP {
        put_trimmed(cell, at, eight_digits(high), 7)
    } else {
        let at = put_trimmed(cell, at, eight_digits(high / GROUP), 7);
        put_eight(cell, at, eight_digits(high % GROUP) | ZEROS);
        at + 8
    };
    put_eight(cell, at, eight_digits(low) | ZEROS);
    at + 8
}

/// The largest scale that [`decimal`] knows.
pub(super) const SCALE_MAX: u32 = 7;

/// A decimal with a scale of 1 to 7: 100 with scale 2 is `1.00`. Knows 16 digits.
#[inline(always)]
pub(super) fn decimal(magnitude: u64, negative: bool, scale: u32, cell: &mut Cell) -> usize {
    let at = put_sign(cell, negative);
    let whole = 8 - scale;
    let (at, digits) = if magnitude < GROUP {
        let digits = if magnitude < 10_000 {
            four_digits(magnitude)
        } else {
            eight_digits(magnitude)
        };
        (put_trimmed(cell, at, digits, whole - 1) - scale as usize, digits)
    } else if magnitude < GROUP * GROUP {
        let at = put_trimmed(cell, at, eight_digits(magnitude / GROUP), 7);
        let digits = eight_digits(magnitude % GROUP);
        put_eight(cell, at, digits | ZEROS);
        (at + whole as usize, digits)
    } else {
        return 0;
    };
    // The point goes over the first of the places, and these once more behind it.
    put_eight(
        cell,
        at,
        u64::from(b'.') | (((digits | ZEROS) >> (8 * whole)) << 8),
    );
    at + 1 + scale as usize
}

/// 0001-01-01 and the number of days to the end of 9999.
const FIRST_DAY: i64 = -719_162;
const DAYS: u64 = 3_652_059;

/// A date of the years 1 to 9999 as `2026-01-31`, from its days after 1970-01-01.
#[inline(always)]
pub(super) fn date(days: i64, cell: &mut Cell) -> usize {
    if days.wrapping_sub(FIRST_DAY).cast_unsigned() >= DAYS {
        return 0;
    }
    // Multiplications instead of divisions in 32 bits, after C. Neri and L. Schneider, "Euclidean affine
    // functions and their application to calendar algorithms" (2023). Years begin in March.
    let quarters = 4 * (days + 719_468) as u32 + 3;
    let century = quarters / 146_097;
    let product = 2_939_745 * u64::from((quarters % 146_097) | 3);
    let day_of_year = product as u32 / 2_939_745 / 4;
    let month_and_day = 2_141 * day_of_year + 197_913;
    let after_new_year = u32::from(day_of_year >= 306);
    let year = 100 * century + (product >> 32) as u32 + after_new_year;
    let month = (month_and_day >> 16) - 12 * after_new_year;
    let day = (month_and_day & 0xffff) / 2_141 + 1;
    let digits = ZEROS
        | pairs_to_digits(
            u64::from(year / 100)
                | (u64::from(year % 100) << 16)
                | (u64::from(month) << 32)
                | (u64::from(day) << 48),
        );
    let dashes = (u64::from(b'-') << 32) | (u64::from(b'-') << 56);
    put_eight(
        cell,
        0,
        (digits & 0xffff_ffff) | (((digits >> 32) & 0xffff) << 40) | dashes,
    );
    cell[8..10].copy_from_slice(&((digits >> 48) as u16).to_le_bytes());
    10
}

/// A timestamp of the years 1 to 9999 as `2017-09-13 07:28:19.664131`, from its ticks after 1970-01-01.
#[inline(never)]
pub(super) fn timestamp<const TICKS_PER_SECOND: i64>(ticks: i64, zoned: bool, cell: &mut Cell) -> usize {
    let seconds = ticks.div_euclid(TICKS_PER_SECOND);
    if date(seconds.div_euclid(86_400), cell) == 0 {
        return 0;
    }
    let second = seconds.rem_euclid(86_400).cast_unsigned();
    let digits =
        ZEROS | pairs_to_digits((second / 3_600) | ((second / 60 % 60) << 16) | ((second % 60) << 32));
    let colons = (u64::from(b':') << 16) | (u64::from(b':') << 40);
    cell[10] = b' ';
    put_eight(
        cell,
        11,
        (digits & 0xffff) | ((digits & 0xffff_0000) << 8) | ((digits & 0xffff_0000_0000) << 16) | colons,
    );
    let nanosecond =
        (ticks.rem_euclid(TICKS_PER_SECOND) * (1_000_000_000 / TICKS_PER_SECOND)).cast_unsigned();
    let mut at = 19;
    if nanosecond > 0 {
        let digits = eight_digits(nanosecond / 10);
        let ninth = nanosecond % 10;
        cell[19] = b'.';
        put_eight(cell, 20, digits | ZEROS);
        cell[28] = b'0' | ninth as u8;
        at = if ninth > 0 {
            29
        } else {
            28 - (digits.leading_zeros() / 8) as usize
        };
    }
    if zoned {
        cell[at..at + 3].copy_from_slice(b"+00");
        at += 3;
    }
    at
}
