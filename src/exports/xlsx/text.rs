//! Texts within the XML of a sheet.
//! Control characters, which XML forbids, are written as Excel does: `_x000D_` for a carriage return;
//! and a text that looks like such an escape gets its first underscore escaped.

/// Whether each byte may stand as it is, wherever it stands.
/// May be wrong in doubt: a tab, an underscore and some Asian characters are only looked at more closely.
#[inline]
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    // Folding over all bytes without an early end lets the compiler look at many at once.
    !bytes.iter().fold(false, |found, byte| {
        found
            | (*byte < b' ')
            | (*byte == b'&')
            | (*byte == b'<')
            | (*byte == b'>')
            | (*byte == b'_')
            | (*byte == 0xEF)
    })
}

/// Whether a reader would cut white space off the text.
#[inline]
pub(super) fn has_edges(text: &[u8]) -> bool {
    let white = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t' | b'\n'));
    white(text.first()) || white(text.last())
}

/// Appends a text with all escapes it needs.
pub(super) fn write_escaped(text: &str, out: &mut Vec<u8>) {
    let mut plain_from = 0;
    for (position, character) in text.char_indices() {
        let bytes = &text.as_bytes()[position..];
        let escape: &[u8] = match character {
            '&' => b"&amp;",
            '<' => b"&lt;",
            '>' => b"&gt;",
            '_' if looks_escaped(bytes) => b"_x005F_",
            _ if is_forbidden(bytes) => b"",
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[plain_from..position]);
        plain_from = position + character.len_utf8();
        if escape.is_empty() {
            write_code(u32::from(character), out);
        } else {
            out.extend_from_slice(escape);
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain_from..]);
}

/// Whether the text begins as an escape does; its last underscore may be that of a following escape.
fn looks_escaped(text: &[u8]) -> bool {
    const DIGITS_END: usize = 6;
    text.starts_with(b"_x")
        && text.len() > DIGITS_END
        && text[2..DIGITS_END].iter().all(u8::is_ascii_hexdigit)
        && (text[DIGITS_END] == b'_' || is_forbidden(&text[DIGITS_END..]))
}

/// Whether the text begins with a character that XML cannot hold.
fn is_forbidden(text: &[u8]) -> bool {
    match text {
        [b'\t' | b'\n', ..] => false,
        [control, ..] if *control < b' ' => true,
        [0xEF, 0xBF, 0xBE | 0xBF, ..] => true,
        _ => false,
    }
}

fn write_code(code: u32, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(b"_x");
    for shift in [12, 8, 4, 0] {
        out.push(DIGITS[(code >> shift & 15) as usize]);
    }
    out.push(b'_');
}
