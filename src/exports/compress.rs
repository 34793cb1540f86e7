//! A file compressed as it is written, as one stream: some readers stop at the end of a first one.

use std::io::Write;

use flate2::write::GzEncoder;

use crate::error::Result;
use crate::exports::options::Compression;

/// A quarter larger than at level 6, in a third of the time (TPC-H `lineitem` as CSV).
const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 1;

/// Has `write` write a file, and compresses it on its way to `out`.
pub(super) fn compressed<W: Write + Send>(
    compression: Compression,
    threads: usize,
    out: &mut W,
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<()>,
) -> Result<()> {
    match compression {
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(out, flate2::Compression::new(GZIP_LEVEL));
            write(&mut encoder)?;
            encoder.finish()?;
        }
        Compression::Zstd => {
            let mut encoder = zstd::stream::Encoder::new(out, ZSTD_LEVEL)?;
            encoder.include_checksum(true)?;
            // Changes the bytes with the number of threads, never what they hold.
            encoder.multithread(u32::try_from(threads).unwrap_or(1))?;
            write(&mut encoder)?;
            encoder.finish()?;
        }
    }
    Ok(())
}
