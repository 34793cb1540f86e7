//! Commands to a MySQL server and their answers: prepare, execute, rows in the binary form.

use std::io;

use futures::FutureExt as _;

use crate::connectors::mysql::binds::execution;
use crate::connectors::mysql::bytes::Bytes;
use crate::connectors::mysql::wire::Wire;
use crate::query::Bind;

const QUIT: u8 = 0x01;
const RESET: u8 = 0x1f;
const QUERY: u8 = 0x03;
const PREPARE: u8 = 0x16;
const CLOSE: u8 = 0x19;

/// What an answer begins with.
const OK: u8 = 0x00;
const FILE_WANTED: u8 = 0xfb;
const END: u8 = 0xfe;
const ERROR: u8 = 0xff;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// The connection is lost.
    Io(io::Error),
    /// The server said no.
    Told { code: u16, message: String },
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Fault {
    /// What an error packet says.
    pub(super) fn told(packet: &[u8]) -> Self {
        let mut bytes = Bytes(packet);
        let read = (|| {
            bytes.fixed::<1>()?;
            let code = u16::from_le_bytes(bytes.fixed()?);
            if bytes.0.first() == Some(&b'#') {
                bytes.fixed::<6>()?;
            }
            Some(Self::Told {
                code,
                message: String::from_utf8_lossy(bytes.0).into_owned(),
            })
        })();
        read.unwrap_or_else(|| Self::form().into())
    }

    /// An answer that the protocol does not know.
    pub(super) fn form() -> io::Error {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "the server sent what is not in its protocol",
        )
    }
}

/// Where a command stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Idle,
    /// A part of the command may be sent; the server does nothing yet.
    Sending,
    /// The server is at it.
    Waiting,
    Rows,
}

/// A connection that is let in.
pub(in crate::connectors) struct Client {
    pub(super) id: u32,
    pub(super) version: String,
    pub(super) is_mariadb: bool,
    wire: Wire,
    /// Whether what describes columns ends without a packet that says so.
    ends_at_once: bool,
    phase: Phase,
}

/// A statement that the server knows.
pub(super) struct Prepared {
    id: u32,
    pub(super) columns: usize,
    pub(super) values: usize,
}

/// A column as the server describes it.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) name: String,
    pub(super) character_set: u16,
    pub(super) length: u32,
    pub(super) kind: u8,
    pub(super) flags: u16,
    pub(super) decimals: u8,
}

impl Client {
    pub(super) fn new(wire: Wire, id: u32, version: String, is_mariadb: bool, ends_at_once: bool) -> Self {
        Self {
            id,
            version,
            is_mariadb,
            wire,
            ends_at_once,
            phase: Phase::Idle,
        }
    }

    /// Whether the server may be at something.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::Rows)
    }

    /// Whether the server has neither said goodbye nor gone.
    pub(super) fn is_open(&mut self) -> bool {
        self.phase == Phase::Idle && self.wire.unasked().now_or_never().is_none()
    }

    async fn send(&mut self, command: u8, body: &[u8]) -> Result<(), Fault> {
        self.phase = Phase::Sending;
        let mut packet = Vec::with_capacity(body.len() + 1);
        packet.push(command);
        packet.extend_from_slice(body);
        self.wire.send(&packet).await?;
        self.phase = Phase::Waiting;
        Ok(())
    }

    async fn packet(&mut self) -> Result<&[u8], Fault> {
        let packet = match self.wire.packet().await {
            Ok(packet) => packet,
            Err(error) => {
                self.phase = Phase::Idle;
                return Err(error.into());
            }
        };
        if packet.first() == Some(&ERROR) {
            self.phase = Phase::Idle;
            return Err(Fault::told(packet));
        }
        Ok(packet)
    }

    /// A statement that returns no rows.
    pub(super) async fn command(&mut self, sql: &str) -> Result<(), Fault> {
        self.send(QUERY, sql.as_bytes()).await?;
        match self.packet().await?.first() {
            Some(&OK) => {
                self.phase = Phase::Idle;
                Ok(())
            }
            _ => Err(Fault::form().into()),
        }
    }

    /// Makes the session as good as new: variables, locks, temporary tables.
    pub(super) async fn reset(&mut self) -> Result<(), Fault> {
        self.send(RESET, &[]).await?;
        match self.packet().await?.first() {
            Some(&OK) => {
                self.phase = Phase::Idle;
                Ok(())
            }
            _ => Err(Fault::form().into()),
        }
    }

    pub(super) async fn prepare(&mut self, sql: &str) -> Result<Prepared, Fault> {
        self.send(PREPARE, sql.as_bytes()).await?;
        let mut bytes = Bytes(self.packet().await?);
        let prepared = (|| {
            bytes.fixed::<1>().filter(|[kind]| *kind == OK)?;
            Some(Prepared {
                id: u32::from_le_bytes(bytes.fixed()?),
                columns: u16::from_le_bytes(bytes.fixed()?).into(),
                values: u16::from_le_bytes(bytes.fixed()?).into(),
            })
        })();
        // What follows is only a description.
        self.phase = Phase::Idle;
        let prepared = prepared.ok_or_else(Fault::form)?;
        for count in [prepared.values, prepared.columns] {
            for _ in 0..count {
                self.packet().await?;
            }
            self.end_of_description(count).await?;
        }
        Ok(prepared)
    }

    /// Whether a query returns a row.
    pub(super) async fn has_rows(&mut self, sql: &str) -> Result<bool, Fault> {
        let prepared = self.prepare(sql).await?;
        self.execute(&prepared, &[]).await?;
        let mut any = false;
        while self.row().await?.is_some() {
            any = true;
        }
        self.close(&prepared).await?;
        Ok(any)
    }

    async fn end_of_description(&mut self, count: usize) -> Result<(), Fault> {
        if count > 0 && !self.ends_at_once {
            self.packet().await?;
        }
        Ok(())
    }

    /// Begins with a statement; its rows are next.
    pub(super) async fn execute(
        &mut self,
        prepared: &Prepared,
        binds: &[Bind],
    ) -> Result<Vec<Described>, Fault> {
        self.phase = Phase::Sending;
        self.wire.send(&execution(prepared.id, binds)).await?;
        self.phase = Phase::Waiting;
        let packet = self.packet().await?;
        let count = match packet.first() {
            Some(&FILE_WANTED) | None => None,
            Some(&OK) => Some(0),
            Some(_) => Bytes(packet).integer(),
        };
        let count = count
            .and_then(|count| usize::try_from(count).ok())
            .ok_or_else(Fault::form)?;
        self.phase = match count {
            0 => Phase::Idle,
            _ => Phase::Rows,
        };
        let mut columns = Vec::new();
        for _ in 0..count {
            let column = described(self.packet().await?);
            columns.push(column.ok_or_else(Fault::form)?);
        }
        self.end_of_description(count).await?;
        Ok(columns)
    }

    /// The next row, its values and which of them are NULL, or `None` at the end.
    pub(super) async fn row(&mut self) -> Result<Option<&[u8]>, Fault> {
        let packet = match self.wire.packet().await {
            Ok(packet) => packet,
            Err(error) => {
                self.phase = Phase::Idle;
                return Err(error.into());
            }
        };
        match packet.split_first() {
            Some((&OK, row)) => Ok(Some(row)),
            Some((&END, _)) => {
                self.phase = Phase::Idle;
                Ok(None)
            }
            Some((&ERROR, _)) => {
                self.phase = Phase::Idle;
                Err(Fault::told(packet))
            }
            _ => Err(Fault::form().into()),
        }
    }

    /// The server forgets the statement; it does not answer.
    pub(super) async fn close(&mut self, prepared: &Prepared) -> Result<(), Fault> {
        self.send(CLOSE, &prepared.id.to_le_bytes()).await?;
        self.phase = Phase::Idle;
        Ok(())
    }

    /// Takes what is still sent, until the server is at nothing any more or has gone.
    pub(super) async fn drain(&mut self) {
        while self.is_busy() {
            let is_first = self.phase == Phase::Waiting;
            match self.wire.packet().await.map(<[u8]>::first) {
                Ok(Some(&OK)) if !is_first => {}
                Ok(Some(&(OK | END | ERROR)) | None) | Err(_) => self.phase = Phase::Idle,
                Ok(Some(_)) => self.phase = Phase::Rows,
            }
        }
    }

    /// Says goodbye.
    pub(super) async fn quit(mut self) -> Result<(), Fault> {
        if self.phase == Phase::Idle {
            self.send(QUIT, &[]).await?;
        }
        Ok(self.wire.shut_down().await?)
    }
}

fn described(packet: &[u8]) -> Option<Described> {
    let mut bytes = Bytes(packet);
    // Catalogue, database, table and its first name.
    for _ in 0..4 {
        bytes.text()?;
    }
    let name = String::from_utf8_lossy(bytes.text()?).into_owned();
    // The column's first name, and how long the rest is.
    bytes.text()?;
    bytes.integer()?;
    Some(Described {
        name,
        character_set: u16::from_le_bytes(bytes.fixed()?),
        length: u32::from_le_bytes(bytes.fixed()?),
        kind: u8::from_le_bytes(bytes.fixed()?),
        flags: u16::from_le_bytes(bytes.fixed()?),
        decimals: u8::from_le_bytes(bytes.fixed()?),
    })
}
