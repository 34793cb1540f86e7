//! Reaching a MySQL server, being let in, and why not.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mysql_common::constants::CapabilityFlags;
use mysql_common::io::ParseBuf;
use mysql_common::packets::HandshakePacket;
use mysql_common::packets::HandshakeResponse;
use mysql_common::packets::SslRequest;
use mysql_common::proto::MySerialize as _;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;

use crate::connectors::io_words;
use crate::connectors::mysql::client::Client;
use crate::connectors::mysql::client::Fault;
use crate::connectors::mysql::login::Login;
use crate::connectors::mysql::wire::Socket;
use crate::connectors::mysql::wire::Wire;
use crate::connectors::unreachable;
use crate::error::Result;
use crate::source::Password;
use crate::source::ServerAddress;
use crate::source::SslMode;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// The longest packet that a server can have.
const PACKET_MAX: u32 = 1 << 30;
const UTF8MB4: u8 = 45;

/// Several statements in one, files of ours and results of procedures are left out on purpose.
const WANTED: CapabilityFlags = CapabilityFlags::CLIENT_LONG_PASSWORD
    .union(CapabilityFlags::CLIENT_LONG_FLAG)
    .union(CapabilityFlags::CLIENT_PROTOCOL_41)
    .union(CapabilityFlags::CLIENT_TRANSACTIONS)
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA)
    .union(CapabilityFlags::CLIENT_CONNECT_WITH_DB)
    .union(CapabilityFlags::CLIENT_CONNECT_ATTRS)
    .union(CapabilityFlags::CLIENT_DEPRECATE_EOF);

/// The errors of a server that this file has words for.
const ACCESS_DENIED: u16 = 1045;
const ACCESS_DENIED_WITHOUT_PASSWORD: u16 = 1698;
const NO_RIGHT_TO_DATABASE: u16 = 1044;
const NO_SUCH_DATABASE: u16 = 1049;
const TLS_REQUIRED: u16 = 3159;

/// Where a server is, and as whom to reach it.
pub(super) struct Target {
    pub(super) name: String,
    pub(super) address: ServerAddress,
    pub(super) password: Option<Password>,
    /// How the server's own lists of connections name us.
    pub(super) program: String,
    pub(super) tls: Arc<ClientConfig>,
}

/// Why there is no connection.
pub(super) enum Refusal {
    Fault(Fault),
    Words(String),
}

impl<T: Into<Fault>> From<T> for Refusal {
    fn from(fault: T) -> Self {
        Self::Fault(fault.into())
    }
}

impl Target {
    pub(super) async fn connect(&self) -> Result<Client> {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, self.let_in()).await;
        let connected = connecting.map_err(|_| {
            let waited = humantime::format_duration(CONNECT_TIMEOUT);
            unreachable(&self.name, &format!("no answer within {waited}"))
        })?;
        connected.map_err(|refusal| {
            let why = match refusal {
                Refusal::Words(words) => words,
                Refusal::Fault(Fault::Io(error)) => io_words(&error),
                Refusal::Fault(Fault::Told { code, message }) => self.told_words(code, message),
            };
            unreachable(&self.name, &why)
        })
    }

    async fn let_in(&self) -> std::result::Result<Client, Refusal> {
        let mut wire = Wire::new(self.reach().await?);
        let packet = wire.packet().await?;
        if packet.first() == Some(&0xff) {
            return Err(Fault::told(packet).into());
        }
        let hello = ParseBuf(packet)
            .parse::<HandshakePacket<'_>>(())
            .map_err(|_| Refusal::Words("what answers is no MySQL or MariaDB server".to_owned()))?
            .into_owned();
        let offered = hello.capabilities();
        let mut agreed = WANTED & (offered | CapabilityFlags::CLIENT_LONG_PASSWORD);
        if self.address.database.is_empty() {
            agreed.remove(CapabilityFlags::CLIENT_CONNECT_WITH_DB);
        }
        let offers_tls = offered.contains(CapabilityFlags::CLIENT_SSL);
        let with_tls = match self.address.sslmode {
            SslMode::Disable => false,
            // Nobody listens on a socket.
            SslMode::Prefer => offers_tls && self.address.socket.is_none(),
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull if offers_tls => true,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                let words = "TLS required by `sslmode`, but the server does not support TLS";
                return Err(Refusal::Words(words.to_owned()));
            }
        };
        if with_tls {
            agreed.insert(CapabilityFlags::CLIENT_SSL);
            wire = self.encrypt(wire, agreed).await?;
        }
        let mut login = Login::new(
            self.password.as_ref(),
            with_tls,
            self.address.socket.is_some(),
            hello.auth_plugin(),
            hello.nonce(),
        )?;
        let response = HandshakeResponse::new(
            login.first()?,
            (8, 0, 0),
            Some(self.address.user.as_bytes()),
            Some(self.address.database.as_bytes()).filter(|name| !name.is_empty()),
            agreed
                .contains(CapabilityFlags::CLIENT_PLUGIN_AUTH)
                .then(|| login.plugin()),
            agreed,
            agreed
                .contains(CapabilityFlags::CLIENT_CONNECT_ATTRS)
                .then(|| [("program_name".to_owned(), self.program.clone())].into()),
            PACKET_MAX,
        );
        wire.answer(&written(|out| response.serialize(out))).await?;
        login.finish(&mut wire).await?;
        let version = hello.server_version_str();
        // MariaDB leaves this one out to say that it is not MySQL.
        let is_mariadb =
            version.contains("MariaDB") || !offered.contains(CapabilityFlags::CLIENT_LONG_PASSWORD);
        Ok(Client::new(
            wire,
            hello.connection_id(),
            version.trim_start_matches("5.5.5-").to_owned(),
            is_mariadb,
            agreed.contains(CapabilityFlags::CLIENT_DEPRECATE_EOF),
        ))
    }

    async fn reach(&self) -> io::Result<Box<dyn Socket>> {
        if let Some(path) = &self.address.socket {
            return Ok(Box::new(UnixStream::connect(path).await?));
        }
        let stream = TcpStream::connect((self.address.host.as_str(), self.address.port)).await?;
        stream.set_nodelay(true)?;
        rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
        rustix::net::sockopt::set_tcp_keepidle(&stream, KEEPALIVE_AFTER)?;
        Ok(Box::new(stream))
    }

    async fn encrypt(&self, mut wire: Wire, agreed: CapabilityFlags) -> std::result::Result<Wire, Refusal> {
        let request = SslRequest::new(agreed, PACKET_MAX, UTF8MB4);
        wire.answer(&written(|out| request.serialize(out))).await?;
        let (socket, counter) = wire.into_socket();
        let host = match self.address.socket {
            Some(_) => "localhost".to_owned(),
            None => self.address.host.clone(),
        };
        let name = ServerName::try_from(host)
            .map_err(|error| Refusal::Words(format!("its host is no name: {error}")))?;
        let connector = TlsConnector::from(self.tls.clone());
        let socket = connector
            .connect(name, socket)
            .await
            .map_err(|error| Refusal::Words(format!("no TLS connection: {}", io_words(&error))))?;
        let mut wire = Wire::new(Box::new(socket));
        wire.count_from(counter);
        Ok(wire)
    }

    /// What the server said, in words that name what to mend.
    fn told_words(&self, code: u16, message: String) -> String {
        let is_plain = self.address.sslmode == SslMode::Disable && self.address.socket.is_none();
        match code {
            // Users who must come with TLS are told no more than this.
            ACCESS_DENIED if is_plain => {
                format!("wrong user or password, or TLS required (`?sslmode=require` in its URL): {message}")
            }
            ACCESS_DENIED | ACCESS_DENIED_WITHOUT_PASSWORD => format!("wrong user or password: {message}"),
            NO_RIGHT_TO_DATABASE => format!("no right to use this database: {message}"),
            NO_SUCH_DATABASE => format!("no such database: {message}"),
            TLS_REQUIRED => format!("TLS required: {message}; add `?sslmode=require` to its URL"),
            _ => message,
        }
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}
