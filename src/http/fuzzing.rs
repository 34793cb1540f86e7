//! What must hold of the headers that are about parts, copies and places of files.

use axum::http::HeaderValue;

use crate::http::auth::named_address;
use crate::http::download::matches;
use crate::http::encoding::accepted;
use crate::http::feed_files::id_of;
use crate::http::range::Part;
use crate::http::range::part;

/// A part lies within the file and is what was asked for. The first eight bytes are the file's length.
pub fn ranges(data: &[u8]) {
    let Some((length, header)) = data.split_first_chunk::<8>() else {
        return;
    };
    // What cannot be a header never comes so far.
    let Ok(header) = HeaderValue::from_bytes(header) else {
        return;
    };
    let Ok(text) = header.to_str() else {
        return;
    };
    let length = u64::from_le_bytes(*length);
    // Small files meet small numbers more often.
    for length in [length, length % 16, 0] {
        check_part(text, length);
    }
    let encodings = accepted(Some(text));
    assert!(encodings.len() <= 2);
    for encoding in &encodings {
        let name = encoding.content_encoding();
        assert!(text.to_ascii_lowercase().contains(name));
        assert_eq!(encodings.iter().filter(|other| *other == encoding).count(), 1);
    }
    for tag in ["\"1-2-3\"", "\"\""] {
        assert!(!matches(text, tag) || text.contains('*') || text.contains(tag));
        assert!(matches(&format!("\"x\", W/{tag}"), tag));
    }
    if let Some(id) = id_of(text) {
        assert_eq!(id_of(&id.to_string()).is_some(), id >= 0);
    }
    if let Some(address) = named_address(text.as_bytes()) {
        assert_eq!(named_address(address.to_string().as_bytes()), Some(address));
    }
}

fn check_part(header: &str, length: u64) {
    let found = part(Some(header), length);
    if let Part::Bytes(range) = &found {
        assert!(
            range.start < range.end && range.end <= length,
            "{header:?} of {length}: {range:?}"
        );
    }
    let Some((first, last)) = plain(header) else {
        return;
    };
    let wanted = match (first, last) {
        (Some(first), Some(last)) if first > last => Part::Whole,
        (Some(first), last) if first < u128::from(length) => {
            let end = last.map_or(u128::from(length), |last| (last + 1).min(length.into()));
            Part::Bytes(low(first)..low(end))
        }
        (None, Some(suffix)) if suffix > 0 && length > 0 => {
            Part::Bytes(low(u128::from(length).saturating_sub(suffix))..length)
        }
        (None, None) => Part::Whole,
        _ => Part::Unsatisfiable,
    };
    assert_eq!(found, wanted, "{header:?} of {length}");
}

/// The two numbers of `bytes=1-2`, if the header is as plain as that.
fn plain(header: &str) -> Option<(Option<u128>, Option<u128>)> {
    let (first, last) = header.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| match text {
        "" => Some(None),
        text if text.len() <= 30 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().ok().map(Some)
        }
        _ => None,
    };
    Some((number(first)?, number(last)?))
}

/// Of a number that a file's length bounds.
fn low(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
