//! MySQL and MariaDB: rows by the binary protocol, values bound, in one read-only transaction.

mod binds;
mod bytes;
mod check;
mod client;
mod columns;
mod connect;
mod given_up;
mod guard;
mod inserts;
mod load;
mod login;
mod switch;
mod tables;
#[cfg(test)]
mod tests;
mod values;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray as _;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use tracing::debug;

use crate::connectors::deadline::timeout_of;
use crate::connectors::deadline::took_too_long;
use crate::connectors::io_words;
use crate::connectors::lost;
use crate::connectors::mysql::client::Client;
use crate::connectors::mysql::client::Fault;
use crate::connectors::mysql::client::Prepared;
use crate::connectors::mysql::columns::AsText;
use crate::connectors::mysql::columns::Columns;
use crate::connectors::mysql::connect::Target;
use crate::connectors::mysql::guard::is_query;
use crate::connectors::no_rows;
use crate::connectors::rows::Rows;
use crate::connectors::sessions::Server;
use crate::connectors::sessions::Task;
use crate::connectors::stopped;
use crate::connectors::tls;
use crate::connectors::wanted_values;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::memo::OfText;
use crate::query::Bind;
use crate::query::ValueCheck;
use crate::source::Password;
use crate::source::ServerAddress;
use crate::source::Source;

/// How often a query that was told to stop is told so again, and how often.
const CANCEL_EVERY: Duration = Duration::from_millis(200);
const CANCELS_MAX: usize = 50;

/// The protocol counts values in 16 bits.
const BINDS_MAX: usize = 65_535;

/// The errors of a server that mean more than that the SQL is wrong.
const INTERRUPTED: u16 = 1317;
const TIMED_OUT_MARIADB: u16 = 1969;
const TIMED_OUT_MYSQL: u16 = 3024;
const UNKNOWN_TIME_ZONE: u16 = 1298;
/// It shuts down, or has ended the connection.
const GONE: [u16; 4] = [1053, 1152, 1927, 4031];

/// A MySQL or MariaDB server.
pub(super) struct MySql {
    target: Arc<Target>,
    time_zone: String,
    statement_timeout: Duration,
    /// SQL that had a value once which fits no other type than text.
    inexact: OfText<AsText>,
}

impl MySql {
    pub(super) fn new(
        source: &Source,
        address: &ServerAddress,
        password: Option<&Password>,
        query_timeout: Duration,
    ) -> Result<Self> {
        let time_zone = &source.settings.time_zone;
        Ok(Self {
            target: Arc::new(Target {
                name: source.name.clone(),
                address: address.clone(),
                password: password.cloned(),
                program: source.settings.application_name.clone(),
                tls: Arc::new(tls::config(address)?),
            }),
            // Names are known only to servers whose time zone tables somebody has filled.
            time_zone: match time_zone.eq_ignore_ascii_case("UTC") {
                true => "+00:00".to_owned(),
                false => time_zone.clone(),
            },
            statement_timeout: timeout_of(source, query_timeout),
            inexact: OfText::default(),
        })
    }

    /// Everything is set for each query, so that a pooler in between is no harm. How the server reads SQL is left alone.
    async fn begin(&self, client: &mut Client) -> Result<()> {
        let timeout = match client.is_mariadb {
            true => format!("max_statement_time = {}", self.statement_timeout.as_secs_f64()),
            false => format!("max_execution_time = {}", self.statement_timeout.as_millis()),
        };
        for sql in [
            &format!("set names utf8mb4, time_zone = '{}', {timeout}", self.time_zone),
            "set session transaction isolation level repeatable read",
            "start transaction with consistent snapshot, read only",
        ] {
            self.heard(client.command(sql).await)?;
        }
        Ok(())
    }

    async fn prepare(&self, client: &mut Client, sql: &str, binds: &[Bind]) -> Result<Prepared> {
        let failed = |message: String| Err(Error::new(ErrorCode::SourceFailed, message));
        if binds.len() > BINDS_MAX {
            return failed(format!(
                "a query on MySQL takes at most {BINDS_MAX} values, got {}",
                binds.len()
            ));
        }
        let prepared = self.heard(client.prepare(sql).await)?;
        // What the server cannot read is said first, in its own words.
        if prepared.columns == 0 || !is_query(sql) {
            return Err(no_rows());
        }
        if prepared.values != binds.len() {
            return failed(format!(
                "the SQL has {} placeholders `?`, the report's filters give {} values: write values as filters",
                prepared.values,
                binds.len()
            ));
        }
        Ok(prepared)
    }

    async fn check_values(&self, client: &mut Client, comment: &str, check: &ValueCheck) -> Result<()> {
        let sql = format!("{comment}{}", check.values_sql);
        let mut wanted = wanted_values(check);
        let exact = AsText {
            days: true,
            decimals: true,
        };
        let prepared = self.prepare(client, &sql, &[]).await?;
        let described = self.heard(client.execute(&prepared, &[]).await)?;
        let mut columns = Columns::new(&described, exact)?;
        let schema = Arc::new(Schema::new(columns.fields()));
        while let Some(row) = self.heard(client.row().await)? {
            columns.push(row)?;
            if columns.is_full() {
                find(&columns.take(&schema)?, |key| wanted.found(key))?;
            }
        }
        find(&columns.take(&schema)?, |key| wanted.found(key))?;
        self.heard(client.close(&prepared).await)?;
        wanted.all_found()
    }

    async fn read(&self, client: &mut Client, task: &Task, rows: &mut Rows) -> Result<()> {
        let statement = &task.statement;
        let comment = task.purpose.comment();
        for check in &statement.checks {
            self.check_values(client, &comment, check).await?;
        }
        let sql = format!("{comment}{}", statement.sql);
        let prepared = self.prepare(client, &sql, &statement.binds).await?;
        let described = self.heard(client.execute(&prepared, &statement.binds).await)?;
        let as_text = self.inexact.get_of(&statement.sql).unwrap_or_default();
        let mut columns = Columns::new(&described, as_text)?;
        let schema = rows.schema(Arc::new(Schema::new(columns.fields())))?;
        while let Some(row) = self.heard(client.row().await)? {
            if let Err(error) = columns.push(row) {
                if error.again {
                    self.inexact.set_of(&statement.sql, columns.as_text());
                }
                return Err(error);
            }
            if columns.is_full() {
                rows.batch(columns.take(&schema)?).await?;
            }
        }
        if !columns.is_empty() {
            rows.batch(columns.take(&schema)?).await?;
        }
        self.heard(client.close(&prepared).await)
    }

    fn heard<T>(&self, answer: std::result::Result<T, Fault>) -> Result<T> {
        answer.map_err(|fault| self.failed(fault))
    }

    /// The database's own words, which say at which line of the SQL they apply.
    fn failed(&self, fault: Fault) -> Error {
        let name = &self.target.name;
        let (code, message) = match fault {
            Fault::Io(error) => return lost(name, &io_words(&error)),
            Fault::Told { code, message } => (code, message),
        };
        match code {
            TIMED_OUT_MARIADB | TIMED_OUT_MYSQL => took_too_long(name, self.statement_timeout),
            INTERRUPTED => stopped(),
            UNKNOWN_TIME_ZONE => Error::new(
                ErrorCode::SourceFailed,
                format!(
                    "{message}: set `time_zone` of source `{name}` to an offset like `+07:00`, or fill the server's time zone tables"
                ),
            ),
            _ if GONE.contains(&code) => lost(name, &message),
            _ => Error::new(ErrorCode::SourceFailed, message),
        }
    }
}

impl Server for MySql {
    type Connection = Client;

    async fn connect(&self) -> Result<Client> {
        self.target.connect().await
    }

    async fn is_open(&self, connection: &mut Client) -> bool {
        // What the last report has set, or locked, is not there for the next.
        connection.is_open() && connection.reset().await.is_ok()
    }

    async fn run(&self, connection: &mut Client, task: &Task, rows: &mut Rows) -> Result<()> {
        self.begin(connection).await?;
        self.read(connection, task, rows).await?;
        self.heard(connection.command("commit").await)
    }

    async fn stop(&self, mut connection: Client) {
        if connection.is_busy() {
            self.kill(&mut connection).await;
        }
        if let Err(error) = connection.quit().await {
            debug!(?error, "a connection to a source ended badly");
        }
    }
}

impl MySql {
    /// Stops what a connection does, by another.
    async fn kill(&self, connection: &mut Client) {
        let mut killer = match self.connect().await {
            Ok(killer) => killer,
            Err(error) => {
                debug!(%error, "cannot ask a source to stop a query");
                return;
            }
        };
        for _ in 0..CANCELS_MAX {
            // One that comes before the query has begun is forgotten.
            if let Err(error) = killer.command(&format!("kill query {}", connection.id)).await {
                debug!(?error, "cannot ask a source to stop a query");
            }
            if tokio::time::timeout(CANCEL_EVERY, connection.drain())
                .await
                .is_ok()
            {
                break;
            }
        }
        if connection.is_busy() {
            debug!("a source goes on with a query; closing its connection");
        }
        drop(killer.quit().await);
    }
}

/// Tells each value of the first column, as text.
fn find(batch: &RecordBatch, mut found: impl FnMut(&str)) -> Result<()> {
    if let Some(column) = batch.columns().first() {
        let keys = cast(column, &DataType::Utf8)?;
        keys.as_string::<i32>().iter().flatten().for_each(&mut found);
    }
    Ok(())
}
