//! What MySQL's packets are made of: little-endian numbers, integers of several lengths,
//! and texts whose length stands before them.

/// What is left of a packet.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    /// An integer in as many bytes as its first one says.
    pub(super) fn integer(&mut self) -> Option<u64> {
        Some(match self.fixed()? {
            [0xfc] => u16::from_le_bytes(self.fixed()?).into(),
            [0xfd] => {
                let [first, second, third] = self.fixed()?;
                u32::from_le_bytes([first, second, third, 0]).into()
            }
            [0xfe] => u64::from_le_bytes(self.fixed()?),
            [0xfb | 0xff] => return None,
            [small] => small.into(),
        })
    }

    pub(super) fn taken(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A text with its length before it.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.integer()?;
        self.taken(usize::try_from(length).ok()?)
    }

    /// A moment with its length before it, which is one byte.
    pub(super) fn moment(&mut self) -> Option<&'a [u8]> {
        let [length] = self.fixed()?;
        self.taken(length.into())
    }
}

/// Writes a text with its length before it.
pub(super) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    let length = text.len() as u64;
    let digits = length.to_le_bytes();
    match length {
        0..0xfb => out.extend_from_slice(&digits[..1]),
        0xfb..=0xffff => {
            out.push(0xfc);
            out.extend_from_slice(&digits[..2]);
        }
        0x1_0000..=0xff_ffff => {
            out.push(0xfd);
            out.extend_from_slice(&digits[..3]);
        }
        _ => {
            out.push(0xfe);
            out.extend_from_slice(&digits);
        }
    }
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_length_are_read_as_written() {
        for length in [0, 1, 0xfa, 0xfb, 0xffff, 0x1_0000, 0xff_ffff, 0x100_0000] {
            let mut written = Vec::new();
            put_text(&mut written, &vec![0xfe; length]);
            let mut bytes = Bytes(&written);
            assert_eq!(bytes.text().unwrap().len(), length);
            assert!(bytes.0.is_empty());
            written.pop();
            assert!(length == 0 || Bytes(&written).text().is_none());
        }
    }
}
