//! Rows into a table of MySQL or MariaDB: inserts of many rows each, and one rename or one transaction at the end.

use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::datatypes::Schema;
use arrow::datatypes::SchemaRef;
use tokio::sync::mpsc;
use tracing::debug;

use crate::connectors::Batches;
use crate::connectors::load::Destination;
use crate::connectors::load::ONCE_DAYS;
use crate::connectors::load::ONCE_TABLE;
use crate::connectors::load::TypeNames;
use crate::connectors::load::check_names;
use crate::connectors::load::count_changed;
use crate::connectors::load::list;
use crate::connectors::load::names;
use crate::connectors::load::would_round;
use crate::connectors::mysql::MySql;
use crate::connectors::mysql::client::Client;
use crate::connectors::mysql::columns::AsText;
use crate::connectors::mysql::columns::Columns;
use crate::connectors::mysql::given_up::GivenUp;
use crate::connectors::mysql::inserts::Inserts;
use crate::connectors::mysql::inserts::literal;
use crate::connectors::mysql::inserts::quoted;
use crate::connectors::mysql::tables::Column;
use crate::connectors::mysql::tables::Takes;
use crate::connectors::mysql::tables::schema_of;
use crate::connectors::sessions::Server as _;
use crate::data_import::Mode;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

const TYPES: TypeNames = TypeNames {
    boolean: "boolean",
    integer: "bigint",
    decimal: "decimal",
    double: "double",
    date: "date",
    timestamp: "datetime(6)",
    timestamptz: "datetime(6)",
    text: "longtext",
};

/// A value that does not fit is an error; quotes and backslashes are what they are in literals of ours.
const SQL_MODE: &str = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION";
const STATEMENTS_IN_FLIGHT: usize = 4;

impl MySql {
    /// The columns of the table if it is there, each with the type that a file's values must have for it.
    pub(in crate::connectors) async fn columns_of(
        &self,
        destination: &Destination,
    ) -> Result<Option<Vec<(String, Option<DataType>)>>> {
        let mut client = self.connect().await?;
        self.settle_session(&mut client).await?;
        let columns = self.columns(&mut client, destination).await?;
        drop(client.quit().await);
        Ok(columns.map(|columns| {
            let columns = columns.into_iter().filter_map(|column| match column.takes {
                Takes::Type(data_type) => Some((column.name, Some(data_type))),
                Takes::Text => Some((column.name, None)),
                Takes::Tiny => None,
            });
            columns.collect()
        }))
    }

    /// Loads all batches or nothing, and says how many rows there were.
    pub(in crate::connectors) async fn load(
        &self,
        destination: &Destination,
        schema: SchemaRef,
        batches: Batches,
    ) -> Result<u64> {
        let mut client = self.connect().await?;
        let staging = destination.qualified(&destination.staging(), quoted);
        let wait = self.wait_for_others(destination);
        let mut given_up = GivenUp::new(self.target.clone(), client.id, wait, staging.clone());
        let loaded = self.load_on(&mut client, destination, &schema, batches).await;
        let mut is_tidy = loaded.is_ok();
        if !is_tidy && !client.is_busy() {
            // Dropping a table would commit what was done so far.
            drop(client.command("rollback").await);
            let dropped = client.command(&format!("drop table if exists {staging}")).await;
            is_tidy = dropped.is_ok();
        }
        if is_tidy {
            given_up.disarm();
        }
        drop(client.quit().await);
        loaded
    }

    async fn load_on(
        &self,
        client: &mut Client,
        destination: &Destination,
        schema: &SchemaRef,
        batches: Batches,
    ) -> Result<u64> {
        self.settle_session(client).await?;
        if !self.heard(client.has_rows(&self.wait_for_others(destination)).await)? {
            return Err(Error::new(
                ErrorCode::Timeout,
                format!("another import into {} did not end in time", destination.shown()),
            ));
        }
        let staging = destination.qualified(&destination.staging(), quoted);
        if destination.is_once() && self.was_done(client, destination).await? {
            return batches.skip().await;
        }
        // An earlier run of this import may have been interrupted.
        let sql = format!("drop table if exists {staging}, {}", old(destination));
        self.heard(client.command(&sql).await)?;
        let known = self.columns(client, destination).await?;
        if known.is_some() && destination.mode == Mode::Fail {
            return Err(destination.is_there_already());
        }
        match known {
            Some(known) if destination.mode == Mode::Append => {
                self.append(client, destination, &known, schema, batches).await
            }
            known => {
                if known.is_some() {
                    self.check_unreferenced(client, destination).await?;
                }
                self.replace(client, destination, known.is_some(), schema, batches)
                    .await
            }
        }
    }

    async fn settle_session(&self, client: &mut Client) -> Result<()> {
        let seconds = self.statement_timeout.as_secs().max(1);
        let mut sql = format!(
            "set names utf8mb4, time_zone = '+00:00', sql_mode = '{SQL_MODE}',
             lock_wait_timeout = {seconds}, innodb_lock_wait_timeout = {seconds}"
        );
        if client.is_mariadb {
            // MySQL has none for what is no query.
            let timeout = self.statement_timeout.as_secs_f64();
            sql.push_str(&format!(", max_statement_time = {timeout}"));
        }
        self.heard(client.command(&sql).await)
    }

    /// Whoever imports into the same table waits with this, until the other's connection is closed.
    /// There is a row unless it takes too long.
    fn wait_for_others(&self, destination: &Destination) -> String {
        format!(
            "select 1 from dual where get_lock(concat('holistics ', md5(lower(concat({}, '.', {})))), {}) = 1",
            schema_of(destination),
            literal(&destination.table),
            self.statement_timeout.as_secs()
        )
    }

    /// Whether this import was finished before. Where a new table takes its name last, that it has is what counts.
    async fn was_done(&self, client: &mut Client, destination: &Destination) -> Result<bool> {
        let once = destination.qualified(ONCE_TABLE, quoted);
        let sql = format!(
            "create table if not exists {once} (run varchar(100) character set ascii primary key,
             finished_at timestamp not null default current_timestamp) engine = InnoDB"
        );
        self.heard(client.command(&sql).await)?;
        let run = literal(&destination.run);
        let found = self
            .texts(client, &format!("select 1 from {once} where run = {run}"))
            .await?;
        if found.is_empty() {
            return Ok(false);
        }
        let staging = Destination {
            table: destination.staging(),
            mode: Mode::Fail,
            ..destination.clone()
        };
        if self.columns(client, &staging).await?.is_none() {
            return Ok(true);
        }
        self.heard(client.command(&Self::unmark(destination)).await)?;
        Ok(false)
    }

    fn mark(destination: &Destination) -> String {
        let once = destination.qualified(ONCE_TABLE, quoted);
        format!("insert into {once} (run) values ({})", literal(&destination.run))
    }

    fn unmark(destination: &Destination) -> String {
        let once = destination.qualified(ONCE_TABLE, quoted);
        format!("delete from {once} where run = {}", literal(&destination.run))
    }

    /// What does not work is left to the next import.
    async fn forget(&self, client: &mut Client, destination: &Destination) {
        let once = destination.qualified(ONCE_TABLE, quoted);
        let sql = format!("delete from {once} where finished_at < now() - interval {ONCE_DAYS} day");
        if let Err(error) = self.heard(client.command(&sql).await) {
            debug!(%error, "cannot forget old imports");
        }
    }

    /// Values that the server would change without an error are one.
    async fn check_changes(
        &self,
        client: &mut Client,
        staging: &str,
        column: &Column,
        data_type: &DataType,
    ) -> Result<()> {
        let is_fine = column.takes == Takes::Tiny && matches!(data_type, DataType::Boolean | DataType::Int64);
        let Some(is_changed) = column.is_changed().filter(|_| !is_fine) else {
            return Ok(());
        };
        let sql = count_changed(&quoted(&column.name), "char", staging, &is_changed);
        let found = self.texts(client, &sql).await?.into_iter().next();
        let mut found = found.unwrap_or_default().into_iter().flatten();
        match (found.next(), found.next()) {
            (Some(count), Some(least)) => {
                let count = count.parse().unwrap_or_default();
                Err(would_round(&column.name, &column.declared, count, &least))
            }
            _ => Ok(()),
        }
    }

    /// Adds rows to a table in one transaction, by way of another that takes them as they are in the file.
    async fn append(
        &self,
        client: &mut Client,
        destination: &Destination,
        known: &[Column],
        schema: &SchemaRef,
        batches: Batches,
    ) -> Result<u64> {
        let names = names(schema);
        let there: Vec<&str> = known.iter().map(|column| column.name.as_str()).collect();
        check_names(destination, &names, &there)?;
        let staging = destination.qualified(&destination.staging(), quoted);
        let columns = TYPES.columns(schema.fields(), quoted)?;
        let sql = format!("create temporary table {staging} {columns} character set utf8mb4");
        self.heard(client.command(&sql).await)?;
        let rows = self.insert(client, &staging, &names, batches).await?;
        for column in known {
            if let Ok(field) = schema.field_with_name(&column.name) {
                self.check_changes(client, &staging, column, field.data_type())
                    .await?;
            }
        }
        let names = list(&names, quoted);
        let target = destination.qualified(&destination.table, quoted);
        for sql in [
            "start transaction",
            &format!("insert into {target} ({names}) select {names} from {staging}"),
            &Self::mark(destination),
            "commit",
        ] {
            self.heard(client.command(sql).await)?;
        }
        self.forget(client, destination).await;
        Ok(rows)
    }

    /// Makes a table of the rows and puts it in the place of the one that is there, if there is one.
    async fn replace(
        &self,
        client: &mut Client,
        destination: &Destination,
        is_there: bool,
        schema: &SchemaRef,
        batches: Batches,
    ) -> Result<u64> {
        let names = names(schema);
        let staging = destination.qualified(&destination.staging(), quoted);
        let columns = TYPES.columns(schema.fields(), quoted)?;
        let sql = format!("create table {staging} {columns} character set utf8mb4");
        self.heard(client.command(&sql).await)?;
        let rows = self.insert(client, &staging, &names, batches).await?;
        let target = destination.qualified(&destination.table, quoted);
        if destination.is_once() {
            self.heard(client.command(&Self::mark(destination)).await)?;
        }
        if !is_there {
            let sql = format!("rename table {staging} to {target}");
            if let Err(error) = self.heard(client.command(&sql).await) {
                // Without the table there is nothing to remember.
                drop(client.command(&Self::unmark(destination)).await);
                return Err(error);
            }
            if destination.is_once() {
                self.forget(client, destination).await;
            }
            return Ok(rows);
        }
        let old = old(destination);
        let sql = format!("rename table {target} to {old}, {staging} to {target}");
        self.heard(client.command(&sql).await)?;
        self.heard(client.command(&format!("drop table {old}")).await)?;
        Ok(rows)
    }

    /// Foreign keys follow a table to its new name, so that one that others refer to cannot make room.
    async fn check_unreferenced(&self, client: &mut Client, destination: &Destination) -> Result<()> {
        let schema = schema_of(destination);
        let sql = format!(
            "select table_name from information_schema.key_column_usage
             where referenced_table_schema = {schema} and referenced_table_name = {}",
            literal(&destination.table)
        );
        match self
            .texts(client, &sql)
            .await?
            .into_iter()
            .flatten()
            .flatten()
            .next()
        {
            None => Ok(()),
            Some(other) => Err(Error::new(
                ErrorCode::Conflict,
                format!(
                    "{} cannot be replaced, since a foreign key of `{other}` refers to it: append to it",
                    destination.shown()
                ),
            )),
        }
    }

    async fn insert(
        &self,
        client: &mut Client,
        table: &str,
        names: &[&str],
        batches: Batches,
    ) -> Result<u64> {
        let inserts = Inserts::new(format!("insert into {table} ({}) values ", list(names, quoted)));
        let (sender, mut statements) = mpsc::channel(STATEMENTS_IN_FLIGHT);
        let writing = tokio::task::spawn_blocking(move || inserts.write(batches, &sender));
        // A commit for each would wait for the disk.
        self.heard(client.command("start transaction").await)?;
        while let Some(statement) = statements.recv().await {
            let statement: String = statement;
            self.heard(client.command(&statement).await)?;
        }
        let rows = writing.await.map_err(Error::internal)??;
        self.heard(client.command("commit").await)?;
        Ok(rows)
    }

    /// The rows of a small query, as text.
    pub(super) async fn texts(&self, client: &mut Client, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let prepared = self.heard(client.prepare(sql).await)?;
        let described = self.heard(client.execute(&prepared, &[]).await)?;
        let mut columns = Columns::new(&described, AsText::default())?;
        let schema = Arc::new(Schema::new(columns.fields()));
        while let Some(row) = self.heard(client.row().await)? {
            columns.push(row)?;
        }
        let batch = columns.take(&schema)?;
        self.heard(client.close(&prepared).await)?;
        let mut texts = vec![Vec::new(); batch.num_rows()];
        for column in batch.columns() {
            let column = cast(column, &DataType::Utf8)?;
            for (row, text) in texts.iter_mut().zip(column.as_string::<i32>()) {
                row.push(text.map(str::to_owned));
            }
        }
        Ok(texts)
    }
}

/// Where the old table is between the rename and its end.
fn old(destination: &Destination) -> String {
    destination.qualified(&format!("{}_old", destination.staging()), quoted)
}
