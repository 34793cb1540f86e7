//! Packets of MySQL's protocol on a connection: three bytes of length and one that counts stand before each.
//! A packet is read where it came to lie, without a copy.

use std::io;
use std::ops::Range;

use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;

const HEAD: usize = 4;
/// A part of this length is followed by another of the same packet.
const PART_MAX: usize = 0xff_ffff;
/// What is read at once. A longer packet has more for as long as it is there.
const BUFFER: usize = 128 * 1024;

/// TCP or a Unix socket, with or without TLS.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// A connection. Reading may be given up at any time and taken up again.
pub(super) struct Wire {
    socket: Box<dyn Socket>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// A packet of several parts, and whether some are still to come.
    long: Vec<u8>,
    is_partial: bool,
    counter: u8,
}

impl Wire {
    pub(super) fn new(socket: Box<dyn Socket>) -> Self {
        Self {
            socket,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            long: Vec::new(),
            is_partial: false,
            counter: 0,
        }
    }

    /// The connection itself, to go on with TLS, and the count to go on with.
    pub(super) fn into_socket(self) -> (Box<dyn Socket>, u8) {
        (self.socket, self.counter)
    }

    pub(super) fn count_from(&mut self, counter: u8) {
        self.counter = counter;
    }

    /// The next packet.
    pub(super) async fn packet(&mut self) -> io::Result<&[u8]> {
        loop {
            let part = self.part().await?;
            let is_last = part.len() < PART_MAX;
            if is_last && !self.is_partial {
                return Ok(self.buffer.get(part).unwrap_or_default());
            }
            if !self.is_partial {
                self.long = Vec::new();
            }
            self.long
                .extend_from_slice(self.buffer.get(part).unwrap_or_default());
            self.is_partial = !is_last;
            if is_last {
                return Ok(&self.long);
            }
        }
    }

    /// Where the next part of a packet lies.
    async fn part(&mut self) -> io::Result<Range<usize>> {
        self.fill(HEAD).await?;
        let (length, counter) = match self.buffer.get(self.start..).and_then(<[u8]>::first_chunk) {
            Some(&[first, second, third, counter]) => {
                (u32::from_le_bytes([first, second, third, 0]) as usize, counter)
            }
            None => (0, 0),
        };
        self.fill(HEAD + length).await?;
        self.counter = counter.wrapping_add(1);
        let from = self.start + HEAD;
        self.start = from + length;
        Ok(from..self.start)
    }

    /// Reads until so many bytes are there.
    async fn fill(&mut self, wanted: usize) -> io::Result<()> {
        while self.end - self.start < wanted {
            if self.start == self.end {
                (self.start, self.end) = (0, 0);
                if self.buffer.len() > BUFFER {
                    self.buffer = vec![0; BUFFER];
                }
            }
            if self.buffer.len() - self.start < wanted {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
                if self.buffer.len() < wanted {
                    self.buffer.resize(wanted, 0);
                }
            }
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.socket.read(room).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.end += read,
            }
        }
        Ok(())
    }

    /// Waits until something comes that nobody asked for, or the connection ends.
    pub(super) async fn unasked(&mut self) {
        drop(self.fill(self.end - self.start + 1).await);
    }

    /// Sends the first packet of a command.
    pub(super) async fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        self.counter = 0;
        self.answer(packet).await
    }

    /// Sends a packet that goes on with an exchange.
    pub(super) async fn answer(&mut self, packet: &[u8]) -> io::Result<()> {
        let mut sent = Vec::with_capacity(packet.len() + HEAD);
        let mut rest = packet;
        loop {
            let (part, after) = rest.split_at(rest.len().min(PART_MAX));
            let length = u32::try_from(part.len()).map_err(io::Error::other)?;
            let [first, second, third, _] = length.to_le_bytes();
            sent.extend_from_slice(&[first, second, third, self.counter]);
            sent.extend_from_slice(part);
            self.counter = self.counter.wrapping_add(1);
            rest = after;
            if part.len() < PART_MAX {
                break;
            }
        }
        self.socket.write_all(&sent).await?;
        self.socket.flush().await
    }

    /// Says that nothing more will be sent.
    pub(super) async fn shut_down(&mut self) -> io::Result<()> {
        self.socket.shutdown().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn packets_of_every_length_arrive_whole() {
        let lengths = [
            0,
            1,
            BUFFER,
            PART_MAX - 1,
            PART_MAX,
            PART_MAX + 1,
            2 * PART_MAX,
            3,
        ];
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let sending = tokio::spawn(async move {
            let mut wire = Wire::new(Box::new(theirs));
            for length in lengths {
                wire.send(&vec![7; length]).await.unwrap();
            }
        });
        let mut wire = Wire::new(Box::new(ours));
        for length in lengths {
            let packet = wire.packet().await.unwrap();
            assert_eq!(packet.len(), length);
            assert!(packet.iter().all(|byte| *byte == 7));
        }
        assert_eq!(
            wire.packet().await.unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        assert!(wire.buffer.len() <= BUFFER);
        sending.await.unwrap();
    }
}
