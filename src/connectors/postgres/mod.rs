//! PostgreSQL: rows by the binary protocol, values bound, in one read-only transaction.

mod binds;
mod check;
mod columns;
mod connect;
mod copy;
mod given_up;
mod load;
mod numeric;
mod tables;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::Schema;
use futures::TryStreamExt as _;
use tokio_postgres::CancelToken;
use tokio_postgres::Client;
use tokio_postgres::RowStream;
use tokio_postgres::Statement as Prepared;
use tokio_postgres::error::ErrorPosition;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::debug;

use crate::connectors::deadline::timeout_of;
use crate::connectors::deadline::took_too_long;
use crate::connectors::lost;
use crate::connectors::no_rows;
use crate::connectors::place;
use crate::connectors::postgres::binds::Given;
use crate::connectors::postgres::binds::types;
use crate::connectors::postgres::columns::Columns;
use crate::connectors::postgres::columns::Decimals;
use crate::connectors::postgres::columns::needs_text;
use crate::connectors::rows::Rows;
use crate::connectors::sessions::Server;
use crate::connectors::sessions::Task;
use crate::connectors::stopped;
use crate::connectors::tls;
use crate::connectors::wanted_values;
use crate::connectors::with_text_columns;
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

/// From this version on a backend notices by itself that nobody is there any more.
const CHECKS_CONNECTION: u32 = 14;

/// A PostgreSQL server.
pub(super) struct Postgres {
    name: String,
    config: tokio_postgres::Config,
    tls: MakeRustlsConnect,
    time_zone: String,
    statement_timeout: Duration,
    /// SQL whose decimals were no numbers once; they are read as text from then on.
    inexact: OfText<()>,
}

/// A connection, and how to stop what it does.
pub(super) struct Connection {
    client: Client,
    cancel: CancelToken,
    version: u32,
}

impl Connection {
    /// A setting for a transaction, if the server knows it.
    fn notices_when_nobody_is_there(&self) -> &'static str {
        match self.version >= CHECKS_CONNECTION {
            true => "set local client_connection_check_interval = '2s';",
            false => "",
        }
    }
}

impl Postgres {
    pub(super) fn new(
        source: &Source,
        address: &ServerAddress,
        password: Option<&Password>,
        query_timeout: Duration,
    ) -> Result<Self> {
        Ok(Self {
            name: source.name.clone(),
            config: connect::config(address, password, &source.settings.application_name),
            tls: MakeRustlsConnect::new(tls::config(address)?),
            time_zone: source.settings.time_zone.clone(),
            statement_timeout: timeout_of(source, query_timeout),
            inexact: OfText::default(),
        })
    }

    /// Everything is as in the source's settings for this transaction alone, so that a pooler in between is no harm.
    fn begin(&self, connection: &Connection) -> String {
        let mut sql = format!(
            "begin transaction isolation level repeatable read, read only;
             set local time zone '{}'; set local statement_timeout = {};
             set local datestyle = 'ISO'; set local intervalstyle = 'postgres'; set local bytea_output = 'hex';
             set local extra_float_digits = 1;",
            self.time_zone,
            self.statement_timeout.as_millis()
        );
        sql.push_str(connection.notices_when_nobody_is_there());
        sql
    }

    /// The server says what type each value has, as it would for a literal in its place. Where it cannot, text is text.
    async fn prepare(
        &self,
        connection: &Connection,
        comment: &str,
        sql: &str,
        binds: &[Bind],
    ) -> Result<Prepared> {
        let client = &connection.client;
        let text = format!("{comment}{sql}");
        let error = match client.prepare_typed(&text, &types(binds, &Type::UNKNOWN)).await {
            Ok(prepared) => return Ok(prepared),
            Err(error) => error,
        };
        let undecided = [SqlState::INDETERMINATE_DATATYPE, SqlState::AMBIGUOUS_PARAMETER];
        if !error.code().is_some_and(|code| undecided.contains(code)) {
            return Err(self.failed(&error, comment, sql));
        }
        let again = format!("rollback; {}", self.begin(connection));
        client
            .batch_execute(&again)
            .await
            .map_err(|error| self.failed(&error, "", ""))?;
        client
            .prepare_typed(&text, &types(binds, &Type::TEXT))
            .await
            .map_err(|error| self.failed(&error, comment, sql))
    }

    async fn start(&self, connection: &Connection, prepared: &Prepared, binds: &[Bind]) -> Result<RowStream> {
        let given: Vec<Given> = binds.iter().map(Given).collect();
        connection
            .client
            .query_raw(prepared, &given)
            .await
            .map_err(|error| self.failed(&error, "", ""))
    }

    async fn check_values(&self, connection: &Connection, comment: &str, check: &ValueCheck) -> Result<()> {
        let sql = format!(
            "select cast(key as text) from (\n{}\n) as allowed(key)",
            check.values_sql
        );
        let prepared = self.prepare(connection, comment, &sql, &[]).await?;
        let mut rows = std::pin::pin!(self.start(connection, &prepared, &[]).await?);
        let mut wanted = wanted_values(check);
        while let Some(row) = self.next(rows.try_next().await)? {
            if let Some(key) = row.try_get::<_, Option<&str>>(0).map_err(Error::internal)? {
                wanted.found(key);
            }
        }
        wanted.all_found()
    }

    fn next<T>(&self, row: std::result::Result<T, tokio_postgres::Error>) -> Result<T> {
        row.map_err(|error| self.failed(&error, "", ""))
    }

    /// The database's own words, and where in the SQL they apply.
    fn failed(&self, error: &tokio_postgres::Error, comment: &str, sql: &str) -> Error {
        let Some(told) = error.as_db_error() else {
            return lost(&self.name, &connect::words(error));
        };
        let code = told.code();
        if *code == SqlState::QUERY_CANCELED {
            return match told.message().contains("statement timeout") {
                true => took_too_long(&self.name, self.statement_timeout),
                false => stopped(),
            };
        }
        let gone = [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
        ];
        if gone.contains(code) {
            return lost(&self.name, told.message());
        }
        let mut message = told.message().to_owned();
        if let Some(ErrorPosition::Original(position)) = told.position() {
            let before = (*position as usize)
                .checked_sub(1 + comment.chars().count())
                .filter(|_| !sql.is_empty());
            let before = before.map(|count| sql.chars().take(count).collect::<String>());
            message.push_str(&place(before.as_deref()));
        }
        if let Some(hint) = told.hint() {
            message.push_str("; hint: ");
            message.push_str(hint);
        }
        Error::new(ErrorCode::SourceFailed, message)
    }

    async fn read(&self, connection: &Connection, task: &Task, rows: &mut Rows) -> Result<()> {
        let statement = &task.statement;
        let comment = task.purpose.comment();
        for check in &statement.checks {
            self.check_values(connection, &comment, check).await?;
        }
        let asked = self
            .prepare(connection, &comment, &statement.sql, &statement.binds)
            .await?;
        if asked.columns().is_empty() {
            return Err(no_rows());
        }
        let names: Vec<&str> = asked.columns().iter().map(|column| column.name()).collect();
        let is_text = asked.columns().iter().map(|column| needs_text(column.type_()));
        let is_text: Vec<bool> = is_text.collect();
        let prepared = match with_text_columns(&statement.sql, &names, &is_text, "text") {
            Some(sql) => self.prepare(connection, &comment, &sql, &statement.binds).await?,
            None => asked,
        };
        let decimals = match self.inexact.get_of(&statement.sql) {
            Some(()) => Decimals::Text,
            None => Decimals::Exact,
        };
        let mut columns = Columns::new(prepared.columns(), decimals)?;
        let mut stream = std::pin::pin!(self.start(connection, &prepared, &statement.binds).await?);
        let schema = rows.schema(Arc::new(Schema::new(columns.fields())))?;
        while let Some(row) = self.next(stream.try_next().await)? {
            columns.push(&row).inspect_err(|error| {
                if error.again {
                    self.inexact.set_of(&statement.sql, ());
                }
            })?;
            if columns.is_full() {
                rows.batch(columns.take(&schema)?).await?;
            }
        }
        if !columns.is_empty() {
            rows.batch(columns.take(&schema)?).await?;
        }
        Ok(())
    }
}

impl Server for Postgres {
    type Connection = Connection;

    async fn connect(&self) -> Result<Connection> {
        connect::connect(&self.name, &self.config, self.tls.clone()).await
    }

    async fn is_open(&self, connection: &mut Connection) -> bool {
        !connection.client.is_closed()
    }

    async fn run(&self, connection: &mut Connection, task: &Task, rows: &mut Rows) -> Result<()> {
        let begin = self.begin(connection);
        let client = &connection.client;
        self.next(client.batch_execute(&begin).await)?;
        self.read(connection, task, rows).await?;
        // Undone, as all that a report has set or written in spite of everything; locks of the session stay otherwise.
        let end = "rollback; select pg_advisory_unlock_all()";
        self.next(client.batch_execute(end).await)
    }

    async fn stop(&self, connection: Connection) {
        // Its answer comes when the query is over.
        let mut over = std::pin::pin!(connection.client.batch_execute("rollback"));
        for _ in 0..CANCELS_MAX {
            // A request that comes before the query has begun is forgotten.
            if let Err(error) = connection.cancel.cancel_query(self.tls.clone()).await {
                debug!(%error, "cannot ask a source to stop a query");
            }
            if tokio::time::timeout(CANCEL_EVERY, &mut over).await.is_ok() {
                return;
            }
        }
        debug!("a source goes on with a query; closing its connection");
    }
}
