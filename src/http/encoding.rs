//! The encodings and types that a client takes. Pure.

use crate::exports::options::Compression;

/// Reads an `Accept-Encoding` header: what the client takes beside the plain file, the most wanted first.
/// Nothing where the client would rather have the file as it is.
pub(crate) fn accepted(header: Option<&str>) -> Vec<Compression> {
    let header = header.unwrap_or_default();
    let plain = weight(header, "identity").unwrap_or(0.0);
    let mut wanted: Vec<(f32, Compression)> = [Compression::Zstd, Compression::Gzip]
        .into_iter()
        .filter_map(|compression| {
            // `*` says that the client does not care, not that it can read everything.
            let weight = weight(header, compression.content_encoding())?;
            (weight > 0.0 && weight >= plain).then_some((weight, compression))
        })
        .collect();
    wanted.sort_by(|one, other| other.0.total_cmp(&one.0));
    wanted.into_iter().map(|(_, compression)| compression).collect()
}

/// How much an encoding or a type is wanted, from 0 to 1, if the header names it.
pub(crate) fn weight(header: &str, encoding: &str) -> Option<f32> {
    header.split(',').find_map(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let name = parts.next()?;
        let is_named = name.eq_ignore_ascii_case(encoding)
            || (encoding == "gzip" && name.eq_ignore_ascii_case("x-gzip"));
        if !is_named {
            return None;
        }
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        // What is no number is no wish.
        Some(quality.map_or(1.0, |quality| quality.trim().parse().unwrap_or(0.0)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_every_kind() {
        use Compression::Gzip;
        use Compression::Zstd;
        for (header, expected) in [
            (None, &[][..]),
            (Some(""), &[]),
            (Some("identity"), &[]),
            (Some("br, deflate"), &[]),
            (Some("gzip, deflate, br"), &[Gzip]),
            (Some("x-gzip"), &[Gzip]),
            (Some("GZip;q=0.5"), &[Gzip]),
            (Some("gzip, zstd"), &[Zstd, Gzip]),
            (Some("zstd;q=0.1, gzip;q=0.2"), &[Gzip, Zstd]),
            (Some("*"), &[]),
            (Some("gzip;q=0, zstd, *"), &[Zstd]),
            (Some("*;q=0"), &[]),
            (Some("gzip;q=0.5, identity"), &[]),
            (Some("gzip;q=nonsense"), &[]),
        ] {
            assert_eq!(accepted(header), expected, "{header:?}");
        }
    }
}
