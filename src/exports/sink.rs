//! The end of a buffer as a place to write short pieces: room is made once a row, and a piece is then
//! one or two moves of a fixed size, whose surplus the next piece writes over.

/// A piece up to this is written by one move of this size.
pub(super) const SHORT: usize = 16;
/// As [`SHORT`], with some moves more.
pub(super) const MEDIUM: usize = 64;

/// How much a buffer grows at least, so that growing is rare.
const GROWTH: usize = 16 << 10;

/// Appends to a buffer that it holds for the while.
pub(super) struct Sink {
    /// All of it may be written; what counts ends at `at`.
    bytes: Vec<u8>,
    at: usize,
    /// What a row needs beside its long pieces.
    row: usize,
}

impl Sink {
    /// Takes the buffer; `row` bytes are there after each [`Self::begin_row`] and each long piece.
    pub(super) fn new(out: &mut Vec<u8>, row: usize) -> Self {
        let mut bytes = std::mem::take(out);
        let at = bytes.len();
        bytes.resize(bytes.capacity(), 0);
        Self { bytes, at, row }
    }

    /// Gives the buffer back.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) {
        self.bytes.truncate(self.at);
        *out = self.bytes;
    }

    pub(super) fn len(&self) -> usize {
        self.at
    }

    #[inline(always)]
    pub(super) fn begin_row(&mut self) {
        self.need(0);
    }

    /// Makes room for a piece and the rest of the row.
    #[inline(always)]
    fn need(&mut self, piece: usize) {
        let wanted = self.at + piece + self.row;
        if wanted > self.bytes.len() {
            self.bytes = grown(std::mem::take(&mut self.bytes), wanted);
        }
    }

    #[inline(always)]
    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes[self.at] = byte;
        self.at += 1;
    }

    /// Puts another byte in the place of the last one.
    #[inline(always)]
    pub(super) fn replace_last(&mut self, byte: u8) {
        self.bytes[self.at - 1] = byte;
    }

    /// Takes back what was written last.
    #[inline(always)]
    pub(super) fn back(&mut self, count: usize) {
        self.at -= count;
    }

    /// Lets `write` fill the next bytes, for which the row has room, and keeps as many as it says.
    /// One look at the room serves all that is written there.
    #[inline(always)]
    pub(super) fn slot<const N: usize>(&mut self, write: impl FnOnce(&mut [u8; N]) -> usize) -> usize {
        let Some(slot) = self.bytes[self.at..].first_chunk_mut::<N>() else {
            return 0;
        };
        let length = write(slot);
        self.at += length;
        length
    }

    /// The last bytes written.
    #[inline(always)]
    pub(super) fn last(&self, count: usize) -> &[u8] {
        &self.bytes[self.at - count..self.at]
    }

    /// Writes the first `length` bytes of a chunk, for which the row has room.
    #[inline(always)]
    pub(super) fn chunk<const N: usize>(&mut self, chunk: &[u8; N], length: usize) {
        self.slot(|slot| {
            *slot = *chunk;
            length
        });
    }

    /// Writes a part of `bytes` and a byte, with moves of a fixed size where they do not leave `bytes`.
    #[inline(always)]
    pub(super) fn part_and_byte(&mut self, bytes: &[u8], start: usize, end: usize, short: bool, byte: u8) {
        let length = end - start;
        let rest = &bytes[start..];
        if short && length <= SHORT {
            if let Some(chunk) = rest.first_chunk::<SHORT>() {
                return self.chunk_and_byte::<SHORT, { SHORT + 1 }>(chunk, length, byte);
            }
        } else if length <= MEDIUM
            && let Some(chunk) = rest.first_chunk::<MEDIUM>()
        {
            self.need(MEDIUM + 1);
            return self.chunk_and_byte::<MEDIUM, { MEDIUM + 1 }>(chunk, length, byte);
        }
        self.long(&rest[..length]);
        self.byte(byte);
    }

    /// `WITH` is one more than `N`.
    #[inline(always)]
    fn chunk_and_byte<const N: usize, const WITH: usize>(
        &mut self,
        chunk: &[u8; N],
        length: usize,
        byte: u8,
    ) {
        self.slot::<WITH>(|slot| {
            slot[..N].copy_from_slice(chunk);
            slot[length] = byte;
            length + 1
        });
    }

    /// Writes a piece of any length.
    #[inline(always)]
    pub(super) fn long(&mut self, piece: &[u8]) {
        self.bytes = with_piece(std::mem::take(&mut self.bytes), self.at, piece, self.row);
        self.at += piece.len();
    }
}

// These take the buffer and give it back, so that the sink itself has no address and stays in registers.

/// Makes a buffer longer, and by so much that this stays rare.
#[cold]
#[inline(never)]
fn grown(mut bytes: Vec<u8>, wanted: usize) -> Vec<u8> {
    bytes.reserve((wanted + GROWTH).saturating_sub(bytes.len()));
    bytes.resize(bytes.capacity(), 0);
    bytes
}

#[inline(never)]
fn with_piece(mut bytes: Vec<u8>, at: usize, piece: &[u8], row: usize) -> Vec<u8> {
    let end = at + piece.len();
    if end + row > bytes.len() {
        bytes = grown(bytes, end + row);
    }
    bytes[at..end].copy_from_slice(piece);
    bytes
}
