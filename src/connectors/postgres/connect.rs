//! Reaching a PostgreSQL server, and why it could not be reached.

use std::error::Error as _;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::SslMode as Ssl;
use tokio_postgres::error::SqlState;
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::debug;

use crate::connectors::postgres::Connection;
use crate::connectors::unreachable;
use crate::error::Result;
use crate::source::Password;
use crate::source::ServerAddress;
use crate::source::SslMode;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);

pub(super) fn config(address: &ServerAddress, password: Option<&Password>, application_name: &str) -> Config {
    let mut config = Config::new();
    config
        .user(&address.user)
        .dbname(&address.database)
        .port(address.port)
        .application_name(application_name)
        .connect_timeout(CONNECT_TIMEOUT)
        .keepalives_idle(KEEPALIVE_AFTER)
        .ssl_mode(match address.sslmode {
            SslMode::Disable => Ssl::Disable,
            SslMode::Prefer => Ssl::Prefer,
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => Ssl::Require,
        });
    match &address.socket {
        Some(folder) => config.host_path(folder),
        None => config.host(&address.host),
    };
    if let Some(password) = password {
        config.password(password.reveal());
    }
    config
}

pub(super) async fn connect(name: &str, config: &Config, tls: MakeRustlsConnect) -> Result<Connection> {
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, config.connect(tls)).await;
    let connected = connecting.map_err(|_| {
        let waited = humantime::format_duration(CONNECT_TIMEOUT);
        unreachable(name, &format!("no answer within {waited}"))
    })?;
    let (client, connection) = connected.map_err(|error| unreachable(name, &why(&error)))?;
    let version = connection
        .parameter("server_version")
        .and_then(|version| {
            version
                .split(|character: char| !character.is_ascii_digit())
                .next()
        })
        .and_then(|major| major.parse().ok())
        .unwrap_or(0);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!(%error, "a connection to a source ended badly");
        }
    });
    Ok(Connection {
        cancel: client.cancel_token(),
        client,
        version,
    })
}

/// Why there is no connection, in words that name what to mend.
fn why(error: &tokio_postgres::Error) -> String {
    let Some(told) = error.as_db_error() else {
        return words(error);
    };
    let code = told.code();
    let message = told.message();
    if *code == SqlState::INVALID_PASSWORD {
        return format!("wrong user or password: {message}");
    }
    if *code == SqlState::INVALID_CATALOG_NAME {
        return format!("no such database: {message}");
    }
    if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION && message.contains("no encryption") {
        return format!("TLS required: {message}; add `?sslmode=require` to its URL");
    }
    message.to_owned()
}

/// An error that the server has not sent, with its causes.
pub(super) fn words(error: &tokio_postgres::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(error) = inner.downcast_ref::<std::io::Error>() {
            return crate::connectors::io_words(error);
        }
        words = inner.to_string();
        cause = inner.source();
    }
    if words.contains("server does not support TLS") {
        return format!("TLS required by `sslmode`, but the {words}");
    }
    if words.contains("password missing") {
        return "wrong user or password: the server asks for a password and none is set".to_owned();
    }
    words
}
