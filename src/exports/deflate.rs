//! Compresses the pieces of a file apart from each other, so that several threads can.
//! Each ends on a byte's border and looks back at no other: one after another they are one deflate stream.

use crc32fast::Hasher;
use flate2::Compress;
use flate2::Compression;
use flate2::FlushCompress;

use crate::error::Error;
use crate::error::Result;

/// An empty last block: what a stream ends with.
pub(super) const END: &[u8] = &[3, 0];

/// Enough for all that a compressor still holds when it is told to write everything.
const FLUSH_BYTES: usize = 192 << 10;

/// A piece of a stream, or the sum of many.
#[derive(Default)]
pub(super) struct Deflated {
    pub(super) bytes: Vec<u8>,
    pub(super) deflated_length: u64,
    /// Before compression.
    pub(super) length: u64,
    checksum: Hasher,
}

impl Deflated {
    /// Counts in another piece, without its bytes.
    pub(super) fn count(&mut self, piece: &Self) {
        self.deflated_length += piece.deflated_length;
        self.length += piece.length;
        self.checksum.combine(&piece.checksum);
    }

    /// The CRC-32 of what was compressed.
    pub(super) fn checksum(&self) -> u32 {
        self.checksum.clone().finalize()
    }
}

/// Compresses one piece after another.
pub(super) struct Deflater {
    /// A new one for each piece: what a used one makes of it may depend on what it was used for.
    compress: Compress,
    level: Compression,
    piece: Deflated,
    size_guess: usize,
}

impl Deflater {
    pub(super) fn new(level: u32) -> Self {
        let level = Compression::new(level);
        Self {
            compress: new_compress(level),
            level,
            piece: Deflated::default(),
            size_guess: 0,
        }
    }

    /// Adds to the current piece.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.piece.checksum.update(bytes);
        self.piece.length += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() {
            let spare = self.piece.bytes.capacity() - self.piece.bytes.len();
            if spare < rest.len() / 4 + 64 {
                let wanted = self.size_guess.max(rest.len()) + 64;
                self.piece.bytes.reserve(wanted);
            }
            let taken = self.run(rest, FlushCompress::None)?;
            rest = &rest[taken..];
        }
        Ok(())
    }

    /// Ends the current piece and begins the next.
    pub(super) fn piece(&mut self) -> Result<Deflated> {
        loop {
            self.piece.bytes.reserve(FLUSH_BYTES);
            self.run(&[], FlushCompress::Sync)?;
            // With room left nothing is held back.
            if self.piece.bytes.len() < self.piece.bytes.capacity() {
                break;
            }
        }
        self.compress = new_compress(self.level);
        let mut piece = std::mem::take(&mut self.piece);
        piece.deflated_length = piece.bytes.len() as u64;
        self.size_guess = piece.bytes.len() + piece.bytes.len() / 8;
        Ok(piece)
    }

    fn run(&mut self, bytes: &[u8], flush: FlushCompress) -> Result<usize> {
        let before = self.compress.total_in();
        self.compress
            .compress_vec(bytes, &mut self.piece.bytes, flush)
            .map_err(Error::internal)?;
        usize::try_from(self.compress.total_in() - before).map_err(Error::internal)
    }
}

fn new_compress(level: Compression) -> Compress {
    let zlib_header = false;
    Compress::new(level, zlib_header)
}

/// A whole file's content, but for its [`END`].
pub(super) fn deflate(content: &[u8], level: u32) -> Result<Deflated> {
    let mut deflater = Deflater::new(level);
    deflater.push(content)?;
    deflater.piece()
}
