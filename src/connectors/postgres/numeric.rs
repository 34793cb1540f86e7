//! PostgreSQL's `numeric` in its binary form: groups of four digits, the weight of the first,
//! the sign, and how many digits are shown after the point.

use std::fmt;

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xc000;
const INFINITY: u16 = 0xd000;
const MINUS_INFINITY: u16 = 0xf000;
/// Digits in a group.
const GROUP: i32 = 4;
/// Groups whose digits fit 64 bits.
const NARROW_GROUPS_MAX: usize = 4;

/// A value as it was sent.
pub(super) struct Numeric<'a> {
    /// Two bytes each.
    groups: &'a [u8],
    /// How many groups stand before the point, less one.
    weight: i16,
    sign: u16,
    scale: u16,
}

impl<'a> Numeric<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (head, groups) = bytes.split_first_chunk::<8>()?;
        let [count, weight, sign, scale] = [0, 2, 4, 6].map(|at| [head[at], head[at + 1]]);
        (groups.len() == 2 * usize::from(u16::from_be_bytes(count))).then_some(Self {
            groups,
            weight: i16::from_be_bytes(weight),
            sign: u16::from_be_bytes(sign),
            scale: u16::from_be_bytes(scale),
        })
    }

    /// Neither NaN nor an infinity.
    pub(super) fn is_number(&self) -> bool {
        matches!(self.sign, 0 | NEGATIVE)
    }

    fn group(&self, index: i32) -> u16 {
        let at = usize::try_from(index).unwrap_or(usize::MAX).saturating_mul(2);
        match self.groups.get(at..at.saturating_add(2)) {
            Some(pair) => u16::from_be_bytes([pair[0], pair[1]]),
            None => 0,
        }
    }

    /// As `unscaled`, for the few digits that most values have; `None` says nothing.
    pub(super) fn narrow(&self, scale: i16) -> Option<i64> {
        if self.groups.len() > 2 * NARROW_GROUPS_MAX {
            return None;
        }
        let pairs = self.groups.chunks_exact(2);
        let digits = pairs.fold(0_i64, |value, pair| {
            value * 10_000 + i64::from(u16::from_be_bytes([pair[0], pair[1]]))
        });
        let groups_after = i32::from(self.weight) + 1 - (self.groups.len() / 2) as i32;
        // Tens that the last digit is worth, in units of the column's last place.
        let place = GROUP * groups_after + i32::from(scale);
        let power = 10_i64.checked_pow(place.unsigned_abs())?;
        let unsigned = match place {
            0.. => digits.checked_mul(power)?,
            _ if digits % power == 0 => digits / power,
            _ => return None,
        };
        Some(if self.sign == NEGATIVE {
            -unsigned
        } else {
            unsigned
        })
    }

    /// The value times ten to the power of `scale`, if it has no more digits than that and fits.
    pub(super) fn unscaled(&self, scale: i16) -> Option<i128> {
        let mut value: i128 = 0;
        // Where the last digit of a group stands: units at 0, tenths at -1.
        let mut place = GROUP * (i32::from(self.weight) + 1);
        for pair in self.groups.chunks_exact(2) {
            let group = i128::from(u16::from_be_bytes([pair[0], pair[1]]));
            place -= GROUP;
            // The last group is filled up with zeros.
            let unwanted = (-place - i32::from(scale)).clamp(0, GROUP).unsigned_abs();
            let power = 10_i128.pow(unwanted);
            if group % power != 0 {
                return None;
            }
            value = value.checked_mul(10_000 / power)?.checked_add(group / power)?;
        }
        let missing = (place + i32::from(scale)).max(0).unsigned_abs();
        let unsigned = match value {
            0 => 0,
            value => value.checked_mul(10_i128.checked_pow(missing)?)?,
        };
        Some(if self.sign == NEGATIVE {
            -unsigned
        } else {
            unsigned
        })
    }
}

/// Groups that a value of 128 bits has at most, before the point and after it.
const GROUPS_MAX: usize = 20;

/// Writes a decimal's length and form: `unscaled` over ten to the power of `scale`.
pub(super) fn write(unscaled: i128, scale: u16, out: &mut Vec<u8>) {
    let mut groups = [0_u16; GROUPS_MAX];
    // Filled from its end, the last group first.
    let mut first = GROUPS_MAX;
    let magnitude = unscaled.unsigned_abs();
    let after_point = usize::from(scale).div_ceil(4);
    match u64::try_from(magnitude) {
        Ok(small) => push_groups(small, scale, &mut groups, &mut first, |value, by| {
            (value / by, (value % by) as u16)
        }),
        Err(_) => push_groups(magnitude, scale, &mut groups, &mut first, |value, by| {
            (value / u128::from(by), (value % u128::from(by)) as u16)
        }),
    }
    let mut last = GROUPS_MAX;
    while first < last && groups[first] == 0 {
        first += 1;
    }
    while first < last && groups[last - 1] == 0 {
        last -= 1;
    }
    let kept = &groups[first..last];
    // How many groups stand before the point, less one; of a number below 1 it is negative.
    let weight = (GROUPS_MAX - after_point) as i16 - first as i16 - 1;
    let weight = if kept.is_empty() { 0 } else { weight };
    let sign = if unscaled < 0 { NEGATIVE } else { 0 };
    out.extend_from_slice(&(8 + 2 * kept.len() as u32).to_be_bytes());
    out.extend_from_slice(&(kept.len() as u16).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&scale.to_be_bytes());
    for group in kept {
        out.extend_from_slice(&group.to_be_bytes());
    }
}

/// Takes a number apart from its end; the last group is filled up with zeros.
fn push_groups<T: Copy + Default + PartialEq>(
    magnitude: T,
    scale: u16,
    groups: &mut [u16; GROUPS_MAX],
    first: &mut usize,
    divide: impl Fn(T, u64) -> (T, u16),
) {
    let mut left = magnitude;
    let partial = scale % 4;
    if partial > 0 {
        let (rest, group) = divide(left, 10_u64.pow(u32::from(partial)));
        left = rest;
        *first -= 1;
        groups[*first] = group * 10_u16.pow(u32::from(4 - partial));
    }
    let wanted = GROUPS_MAX - usize::from(scale).div_ceil(4);
    while left != T::default() || *first > wanted {
        let (rest, group) = divide(left, 10_000);
        left = rest;
        *first -= 1;
        groups[*first] = group;
    }
}

/// As the server writes it.
impl fmt::Display for Numeric<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sign {
            NAN => return formatter.write_str("NaN"),
            INFINITY => return formatter.write_str("Infinity"),
            MINUS_INFINITY => return formatter.write_str("-Infinity"),
            NEGATIVE => formatter.write_str("-")?,
            _ => {}
        }
        if self.weight < 0 {
            formatter.write_str("0")?;
        }
        for index in 0..=i32::from(self.weight) {
            match index {
                0 => write!(formatter, "{}", self.group(index))?,
                _ => write!(formatter, "{:04}", self.group(index))?,
            }
        }
        let mut left = usize::from(self.scale);
        if left > 0 {
            formatter.write_str(".")?;
        }
        let mut index = i32::from(self.weight) + 1;
        while left > 0 {
            let digits = format!("{:04}", self.group(index));
            let shown = digits.get(..left.min(4)).unwrap_or_default();
            formatter.write_str(shown)?;
            left -= shown.len();
            index += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(groups: &[u16], weight: i16, sign: u16, scale: u16) -> Vec<u8> {
        let count = u16::try_from(groups.len()).unwrap();
        let mut bytes = [
            count.to_be_bytes(),
            weight.to_be_bytes(),
            sign.to_be_bytes(),
            scale.to_be_bytes(),
        ]
        .concat();
        bytes.extend(groups.iter().flat_map(|group| group.to_be_bytes()));
        bytes
    }

    #[test]
    fn text_and_decimal_are_exact() {
        for (groups, weight, sign, scale, text, unscaled) in [
            (&[][..], 0, 0, 2, "0.00", Some(0)),
            (&[1234, 5600], 0, 0, 2, "1234.56", Some(123_456)),
            (&[1], 1, NEGATIVE, 0, "-10000", Some(-1_000_000)),
            (&[5], -1, 0, 4, "0.0005", None),
            (&[500], -1, 0, 2, "0.05", Some(5)),
            (&[12], -2, 0, 8, "0.00000012", None),
            (&[9, 1, 2500], 1, 0, 2, "90001.25", Some(9_000_125)),
            (
                &[17, 141, 1834, 6046, 9231, 7316, 8730, 3715, 8841, 500],
                8,
                0,
                2,
                "1701411834604692317316873037158841.05",
                Some(170_141_183_460_469_231_731_687_303_715_884_105),
            ),
        ] {
            let bytes = sent(groups, weight, sign, scale);
            let numeric = Numeric::parse(&bytes).unwrap();
            assert_eq!(numeric.to_string(), text);
            assert_eq!(numeric.unscaled(2), unscaled, "{text}");
            if let Some(narrow) = numeric.narrow(2) {
                assert_eq!(Some(narrow.into()), unscaled, "{text}");
            }
        }
        for (sign, text) in [
            (NAN, "NaN"),
            (INFINITY, "Infinity"),
            (MINUS_INFINITY, "-Infinity"),
        ] {
            let bytes = sent(&[], 0, sign, 0);
            let numeric = Numeric::parse(&bytes).unwrap();
            assert!(!numeric.is_number());
            assert_eq!(numeric.to_string(), text);
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for unscaled in [
            0,
            1,
            -1,
            9_999,
            10_000,
            123_456_789,
            i128::from(u64::MAX) + 1,
            10_i128.pow(38) - 1,
        ] {
            for scale in [0, 1, 2, 3, 4, 5, 9, 37, 38] {
                for value in [unscaled, -unscaled] {
                    let mut written = Vec::new();
                    write(value, scale, &mut written);
                    let (length, form) = written.split_first_chunk::<4>().unwrap();
                    assert_eq!(u32::from_be_bytes(*length) as usize, form.len());
                    let numeric = Numeric::parse(form).unwrap();
                    let arrow_scale = i16::try_from(scale).unwrap();
                    assert_eq!(numeric.unscaled(arrow_scale), Some(value), "{value} {scale}");
                    let narrow = numeric.narrow(arrow_scale).map(i128::from);
                    assert!(narrow.is_none() || narrow == Some(value), "{value} {scale}");
                    let is_small = unscaled < 1_000_000_000 && scale < 4;
                    assert!(narrow.is_some() || !is_small, "{value} {scale}");
                    assert_eq!(numeric.scale, scale);
                }
            }
        }
    }

    #[test]
    fn what_is_cut_off_is_no_numeric() {
        let bytes = sent(&[1, 2], 1, 0, 0);
        for length in 0..bytes.len() {
            assert!(Numeric::parse(&bytes[..length]).is_none(), "{length}");
        }
    }
}
