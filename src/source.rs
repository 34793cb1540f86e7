//! A source: a database that reports run on. Plain data, and how its address is written.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use url::Url;

use crate::error::Error;
use crate::error::Result;

/// The name of the source that is always there: the DuckDB file in the data folder.
pub(crate) const WAREHOUSE: &str = "warehouse";
/// And its id.
pub(crate) const WAREHOUSE_ID: i64 = 1;

const NAME_CHARS_MAX: usize = 64;
/// Jobs that run on a source at the same time, unless it says otherwise.
pub(crate) const CONCURRENCY: u32 = 5;
const CONCURRENCY_MAX: u32 = 1000;
/// A day: a statement that takes longer is not a report's.
const TIMEOUT_MAX: Duration = Duration::from_hours(24);

/// A database that somebody configured.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) kind: SourceKind,
    /// Where it is, without the password. Empty for the warehouse.
    pub(crate) url: String,
    /// The password as it is kept; only who has the server's secret key can read it.
    pub(crate) sealed_password: Option<Vec<u8>>,
    pub(crate) settings: SourceSettings,
    /// Changes with every change of the rest.
    pub(crate) updated_at: i64,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, clap::ValueEnum, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
pub(crate) enum SourceKind {
    Postgres,
    /// MariaDB as well.
    Mysql,
    Sqlite,
    Duckdb,
}

impl SourceKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Sqlite => "sqlite",
            Self::Duckdb => "duckdb",
        }
    }
}

/// How a source may be used.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SourceSettings {
    /// Connections at the same time.
    pub(crate) concurrency: u32,
    /// How long the database lets one statement run; 0: as long as the server does.
    pub(crate) statement_timeout_secs: u64,
    /// The time zone of the session, as the database names it.
    pub(crate) time_zone: String,
    /// Whether imports may write to it. Reports never do.
    pub(crate) writable: bool,
    /// How the database's own lists of connections name us.
    pub(crate) application_name: String,
    /// Of SQLite: what becomes of a value that is not of its column's declared type.
    pub(crate) mismatch: Mismatch,
}

/// What becomes of a value that is not of its column's type.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mismatch {
    /// The job fails and names it.
    #[default]
    Error,
    /// Such columns are text.
    Text,
}

impl Default for SourceSettings {
    fn default() -> Self {
        Self {
            concurrency: CONCURRENCY,
            statement_timeout_secs: 0,
            time_zone: "UTC".to_owned(),
            writable: false,
            application_name: "holistics".to_owned(),
            mismatch: Mismatch::Error,
        }
    }
}

/// A password on its way. It shows itself to nobody by accident.
#[derive(Clone)]
pub(crate) struct Password(String);

impl Password {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(…)")
    }
}

/// A source as somebody describes it, checked.
#[derive(Debug)]
pub(crate) struct NewSource {
    pub(crate) name: String,
    pub(crate) kind: SourceKind,
    pub(crate) url: String,
    pub(crate) password: Option<Password>,
    pub(crate) settings: SourceSettings,
}

impl NewSource {
    /// A password in the URL is taken out of it.
    pub(crate) fn new(
        name: String,
        kind: SourceKind,
        url: &str,
        password: Option<Password>,
        settings: SourceSettings,
    ) -> Result<Self> {
        check_name(&name)?;
        check_settings(&settings)?;
        let (url, inner) = match kind {
            SourceKind::Sqlite | SourceKind::Duckdb => (file_url(kind, url)?, None),
            SourceKind::Postgres | SourceKind::Mysql => without_password(kind, url)?,
        };
        if password.is_some() && inner.is_some() {
            return Err(Error::invalid(
                "the password is given twice: in `url` and beside it",
            ));
        }
        let password = password.or(inner);
        let is_file = matches!(kind, SourceKind::Sqlite | SourceKind::Duckdb);
        if password.is_some() && is_file {
            return Err(Error::invalid(format!(
                "a source of type {} takes no password",
                kind.name()
            )));
        }
        if is_file && settings.time_zone != SourceSettings::default().time_zone {
            return Err(Error::invalid(format!(
                "a source of type {} has no `time_zone`: it is UTC",
                kind.name()
            )));
        }
        let new = Self {
            name,
            kind,
            url,
            password,
            settings,
        };
        Address::parse(kind, &new.url)?;
        Ok(new)
    }
}

fn check_name(name: &str) -> Result<()> {
    let fits = !name.is_empty()
        && name.chars().count() <= NAME_CHARS_MAX
        && name
            .chars()
            .all(|character| character.is_alphanumeric() || matches!(character, '_' | '-' | '.'));
    match fits {
        true if name != WAREHOUSE => Ok(()),
        true => Err(Error::invalid(
            "the name `warehouse` is taken by the server's own source",
        )),
        false => Err(Error::must_be(
            "name",
            "up to 64 letters, digits, `_`, `-` or `.`",
            name,
        )),
    }
}

fn check_settings(settings: &SourceSettings) -> Result<()> {
    if settings.concurrency == 0 || settings.concurrency > CONCURRENCY_MAX {
        return Err(Error::must_be(
            "concurrency",
            "1 to 1000",
            &settings.concurrency.to_string(),
        ));
    }
    if settings.statement_timeout_secs > TIMEOUT_MAX.as_secs() {
        return Err(Error::invalid("`statement_timeout` must be at most 24h"));
    }
    let plain = |text: &str| {
        !text.is_empty()
            && text.len() <= 63
            && text
                .chars()
                .all(|character| character.is_ascii_alphanumeric() || "_-+/:. ".contains(character))
    };
    for (name, text) in [
        ("time_zone", &settings.time_zone),
        ("application_name", &settings.application_name),
    ] {
        if !plain(text) {
            return Err(Error::must_be(
                name,
                "up to 63 letters, digits, spaces or `_-+/:.`",
                text,
            ));
        }
    }
    Ok(())
}

/// The absolute path of a file, with or without `sqlite:` or `duckdb:` before it.
fn file_url(kind: SourceKind, url: &str) -> Result<String> {
    let path = url
        .strip_prefix(kind.name())
        .and_then(|rest| rest.strip_prefix(':'))
        .unwrap_or(url);
    let path = path
        .strip_prefix("//")
        .filter(|rest| rest.starts_with('/'))
        .unwrap_or(path);
    if path.starts_with('/') {
        return Ok(path.to_owned());
    }
    // What was meant for another type may hold a password, so that it is not repeated.
    Err(Error::invalid("`url` must be the absolute path of a file"))
}

fn without_password(kind: SourceKind, text: &str) -> Result<(String, Option<Password>)> {
    let mut url = parse_url(kind, text)?;
    let password = url.password().map(decoded).transpose()?;
    // Only a URL without a host has no password to take away.
    let _ = url.set_password(None);
    Ok((url.to_string(), password.map(Password::new)))
}

fn parse_url(kind: SourceKind, text: &str) -> Result<Url> {
    let (schemes, example) = match kind {
        SourceKind::Postgres => (&["postgres", "postgresql"], "postgres://user@host:5432/database"),
        _ => (&["mysql", "mariadb"], "mysql://user@host:3306/database"),
    };
    // The URL itself may hold a password, so that no message repeats it.
    let wrong = || Error::invalid(format!("`url` must be like {example}"));
    let url = Url::parse(text).map_err(|_| wrong())?;
    match schemes.contains(&url.scheme()) {
        true => Ok(url),
        false => Err(wrong()),
    }
}

fn decoded(part: &str) -> Result<String> {
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(part).collect();
    String::from_utf8(bytes).map_err(|_| Error::invalid("`url` has a part that is not UTF-8"))
}

/// Where a source is, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Address {
    File(PathBuf),
    Server(ServerAddress),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServerAddress {
    pub(crate) user: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) database: String,
    /// The folder or file of a Unix socket, instead of host and port.
    pub(crate) socket: Option<PathBuf>,
    pub(crate) sslmode: SslMode,
    /// Certificates to trust instead of the system's.
    pub(crate) sslrootcert: Option<PathBuf>,
}

/// As PostgreSQL's clients have it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SslMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl Address {
    pub(crate) fn parse(kind: SourceKind, url: &str) -> Result<Self> {
        match kind {
            SourceKind::Sqlite | SourceKind::Duckdb => Ok(Self::File(url.into())),
            SourceKind::Postgres | SourceKind::Mysql => Ok(Self::Server(parse_server(kind, url)?)),
        }
    }
}

fn parse_server(kind: SourceKind, text: &str) -> Result<ServerAddress> {
    let url = parse_url(kind, text)?;
    let mut address = ServerAddress {
        user: decoded(url.username())?,
        host: url
            .host_str()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned(),
        port: url.port().unwrap_or(match kind {
            SourceKind::Postgres => 5432,
            _ => 3306,
        }),
        database: decoded(url.path().trim_start_matches('/'))?,
        socket: None,
        sslmode: SslMode::Prefer,
        sslrootcert: None,
    };
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "sslmode" => address.sslmode = parse_sslmode(&value)?,
            "sslrootcert" => address.sslrootcert = Some(value.as_ref().into()),
            "socket" => address.socket = Some(value.as_ref().into()),
            other => {
                let shown: String = other.chars().take(50).collect();
                return Err(Error::invalid(format!(
                    "`url` has the unknown parameter `{shown}`; there are sslmode, sslrootcert and socket"
                )));
            }
        }
    }
    for (part, value) in [("user", &address.user), ("database", &address.database)] {
        if value.is_empty() {
            return Err(Error::invalid(format!("`url` names no {part}")));
        }
    }
    if address.host.is_empty() && address.socket.is_none() {
        return Err(Error::invalid("`url` names no host"));
    }
    Ok(address)
}

fn parse_sslmode(text: &str) -> Result<SslMode> {
    Ok(match text {
        "disable" => SslMode::Disable,
        "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        other => {
            return Err(Error::must_be(
                "sslmode",
                "disable, prefer, require, verify-ca or verify-full",
                other,
            ));
        }
    })
}

#[cfg(test)]
pub(crate) mod tests;
