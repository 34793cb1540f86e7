//! The parts of a file that a client asks for. Pure.

use std::ops::Range;

/// What of a file to send.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Part {
    Whole,
    Bytes(Range<u64>),
    /// The file has no such bytes.
    Unsatisfiable,
}

/// Reads a `Range` header. One range is served; several at once, and what is no range of bytes,
/// may be ignored (RFC 9110, 14.2), which sends the whole file.
pub(crate) fn part(header: Option<&str>, length: u64) -> Part {
    let Some(spec) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else {
        return Part::Whole;
    };
    if spec.contains(',') {
        return Part::Whole;
    }
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Part::Whole;
    };
    let within = |number: u128| u64::try_from(number).unwrap_or(u64::MAX).min(length);
    let range = match (parse(first), parse(last)) {
        (Bound::Number(first), Bound::Number(last)) if first <= last => {
            within(first)..within(last.saturating_add(1))
        }
        (Bound::Number(first), Bound::Missing) => within(first)..length,
        (Bound::Missing, Bound::Number(0)) => return Part::Unsatisfiable,
        (Bound::Missing, Bound::Number(suffix)) => length - within(suffix)..length,
        _ => return Part::Whole,
    };
    match range.start < length {
        true => Part::Bytes(range),
        false => Part::Unsatisfiable,
    }
}

enum Bound {
    Missing,
    Number(u128),
    Invalid,
}

fn parse(text: &str) -> Bound {
    let text = text.trim();
    if text.is_empty() {
        return Bound::Missing;
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Bound::Invalid;
    }
    // A number beyond 128 bits is beyond every file too; of two beyond 64 bits it still counts which is larger.
    Bound::Number(text.parse().unwrap_or(u128::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_file_of_ten_bytes() {
        for (header, expected) in [
            (None, Part::Whole),
            (Some("bytes=0-3"), Part::Bytes(0..4)),
            (Some("bytes=4-"), Part::Bytes(4..10)),
            (Some("bytes=-3"), Part::Bytes(7..10)),
            (Some("bytes=-30"), Part::Bytes(0..10)),
            (Some("bytes=8-300"), Part::Bytes(8..10)),
            (Some("bytes=9-99999999999999999999"), Part::Bytes(9..10)),
            (Some("bytes=10-"), Part::Unsatisfiable),
            (Some("bytes=-0"), Part::Unsatisfiable),
            (Some("bytes=99999999999999999999-"), Part::Unsatisfiable),
            (Some("bytes=5-2"), Part::Whole),
            // Found by fuzzing.
            (
                Some("bytes=18446744073709559614-18446744073709551615"),
                Part::Whole,
            ),
            (Some("bytes=0-1,4-5"), Part::Whole),
            (Some("bytes=a-b"), Part::Whole),
            (Some("bytes=-"), Part::Whole),
            (Some("rows=0-1"), Part::Whole),
        ] {
            assert_eq!(part(header, 10), expected, "{header:?}");
        }
        assert_eq!(part(Some("bytes=0-"), 0), Part::Unsatisfiable);
    }
}
