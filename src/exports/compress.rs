//! A file compressed as it is written, as one stream: some readers stop at the end of a first one.

use std::io;
use std::io::Write;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::sync_channel;
use std::thread;

use crate::error::Error;
use crate::error::Result;
use crate::exports::deflate::Deflated;
use crate::exports::deflate::Deflater;
use crate::exports::deflate::END;
use crate::exports::options::Compression;
use crate::exports::pipeline;

/// A quarter larger than at level 6, in a third of the time (TPC-H `lineitem` as CSV).
const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 1;

/// Of deflate, without a name or a time: the same rows make the same bytes. The system is unknown (RFC 1952).
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Compressed on one thread at a time. Blocks do not look back at each other, which costs nothing of note.
const BLOCK_BYTES: usize = 512 << 10;

/// Has `write` write a file, and compresses it on its way to `out`.
pub(super) fn compressed<W: Write + Send>(
    compression: Compression,
    threads: usize,
    out: &mut W,
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<()> + Send,
) -> Result<()> {
    match compression {
        Compression::Gzip => gzip(threads, out, write)?,
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

/// Several threads compress a block each; one after another they are one stream.
fn gzip(
    threads: usize,
    out: &mut (impl Write + Send),
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<()> + Send,
) -> Result<()> {
    out.write_all(&GZIP_HEADER)?;
    let (sender, receiver) = sync_channel(1);
    let mut sum = Deflated::default();
    thread::scope(|scope| {
        let writing = scope.spawn(move || {
            let mut blocks = Blocks {
                block: Vec::with_capacity(BLOCK_BYTES),
                sender,
            };
            write(&mut blocks)?;
            Ok::<_, Error>(blocks.send()?)
        });
        let new_deflater = || {
            let mut deflater = Deflater::new(GZIP_LEVEL);
            move |block: Vec<u8>| {
                deflater.push(&block)?;
                deflater.piece()
            }
        };
        let blocks = receiver.into_iter().map(Ok);
        let sent = pipeline::in_order(blocks, threads, 0, &new_deflater, |piece: Deflated| {
            sum.count(&piece);
            Ok(out.write_all(&piece.bytes)?)
        });
        let written = pipeline::joined(writing);
        // What stopped the taking of blocks is the reason why none could be written any more.
        sent.and(written)
    })?;
    out.write_all(END)?;
    out.write_all(&sum.checksum().to_le_bytes())?;
    // Modulo 2^32, as the format has it.
    Ok(out.write_all(&(sum.length as u32).to_le_bytes())?)
}

/// Cuts what is written to blocks and sends them on.
struct Blocks {
    block: Vec<u8>,
    sender: SyncSender<Vec<u8>>,
}

impl Blocks {
    fn send(&mut self) -> io::Result<()> {
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK_BYTES));
        self.sender
            .send(block)
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK_BYTES - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == BLOCK_BYTES {
            self.send()?;
        }
        Ok(taken)
    }

    /// A block that is not full would only make the file larger.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
