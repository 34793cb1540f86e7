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
use crate::connectors::load::check_types;
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
use crate::connectors::mysql::switch::leftovers;
use crate::connectors::mysql::switch::made_by;
use crate::connectors::mysql::tables::Column;
use crate::connectors::mysql::tables::Takes;
use crate::connectors::mysql::tables::schema_of;
use crate::connectors::sessions::Server as _;
use crate::data_import::Mode;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

pub(super) const TYPES: TypeNames = TypeNames {
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
pub(super) const SETTLE: &str =
    "set names utf8mb4, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO'";
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
            let wanted = columns.iter().filter_map(Column::wanted);
            wanted.map(|(name, of)| (name.to_owned(), of.cloned())).collect()
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
        let leftovers = leftovers(destination);
        let wait = self.wait_for_others(destination);
        let mut given_up = GivenUp::new(self.target.clone(), client.id, wait, leftovers.clone());
        let loaded = self.load_on(&mut client, destination, &schema, batches).await;
        let mut is_tidy = loaded.is_ok();
        if !client.is_busy() {
            // Dropping a table would commit what was done so far.
            if !is_tidy {
                drop(client.command("rollback").await);
            }
            is_tidy = client.command(&leftovers).await.is_ok();
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
        if destination.is_once() && self.was_done(client, destination).await? {
            return batches.skip().await;
        }
        // An earlier run of this import may have been interrupted.
        self.heard(client.command(&leftovers(destination)).await)?;
        self.remove_old_leftovers(client, destination).await?;
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
            "{SETTLE}, time_zone = '+00:00',
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
            "select 1 from dual where get_lock(concat('holistics ', md5(lower(concat(convert({} using utf8mb4), '.', {})))), {}) = 1",
            schema_of(destination),
            literal(&destination.table),
            self.statement_timeout.as_secs()
        )
    }

    /// Whether this import was finished before: it is marked so, or a table that it made has just got its name.
    async fn was_done(&self, client: &mut Client, destination: &Destination) -> Result<bool> {
        let once = destination.qualified(ONCE_TABLE, quoted);
        let sql = format!(
            "create table if not exists {once} (run varchar(100) character set ascii primary key,
             finished_at timestamp not null default current_timestamp) engine = InnoDB"
        );
        self.heard(client.command(&sql).await)?;
        let run = literal(&destination.run);
        let sql = format!(
            "select 1 from {once} where run = {run}
             union all
             select 1 from information_schema.tables
             where table_schema = {} and table_name = {} and table_comment = {}",
            schema_of(destination),
            literal(&destination.table),
            literal(&made_by(destination))
        );
        Ok(!self.texts(client, &sql).await?.is_empty())
    }

    pub(super) fn mark(destination: &Destination) -> String {
        let once = destination.qualified(ONCE_TABLE, quoted);
        format!("insert into {once} (run) values ({})", literal(&destination.run))
    }

    /// Tables of imports that never came to their end, because the server or the database was gone for good.
    async fn remove_old_leftovers(&self, client: &mut Client, destination: &Destination) -> Result<()> {
        let sql = format!(
            "select table_name from information_schema.tables
             where table_schema = {} and table_name regexp '^holistics_import_[0-9a-f]{{24}}(_old)?$'
               and create_time < now() - interval 1 day",
            schema_of(destination)
        );
        for name in self.texts(client, &sql).await?.into_iter().flatten().flatten() {
            let table = destination.qualified(&name, quoted);
            if let Err(error) = client.command(&format!("drop table if exists {table}")).await {
                debug!(?error, "cannot remove what an import has left behind");
            }
        }
        Ok(())
    }

    /// What does not work is left to the next import.
    pub(super) async fn forget(&self, client: &mut Client, destination: &Destination) {
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
        check_types(destination, schema, known.iter().filter_map(Column::wanted))?;
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
            let heard = self.heard(client.command(sql).await);
            // Whether the database has heard it, it knows itself: the next try asks for the mark.
            heard.map_err(|error| match sql {
                "commit" if !client.is_open() => error.worth_another_try(),
                _ => error,
            })?;
        }
        self.forget(client, destination).await;
        Ok(rows)
    }

    pub(super) async fn insert(
        &self,
        client: &mut Client,
        table: &str,
        names: &[&str],
        batches: Batches,
    ) -> Result<u64> {
        let longest = self.texts(client, "select @@max_allowed_packet").await?;
        let longest = longest.into_iter().flatten().flatten().next();
        let longest = longest.and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
        let head = format!("insert into {table} ({}) values ", list(names, quoted));
        let inserts = Inserts::new(head, longest);
        let (sender, mut statements) = mpsc::channel(STATEMENTS_IN_FLIGHT);
        let writing = tokio::task::spawn_blocking(move || inserts.write(batches, &sender));
        // A commit for each would wait for the disk.
        self.heard(client.command("start transaction").await)?;
        while let Some(statement) = statements.recv().await {
            let statement: String = statement;
            // A row alone is so long.
            if statement.len() >= longest {
                return Err(Error::new(
                    ErrorCode::TooLarge,
                    format!(
                        "a row of the file has more than the {longest} bytes that the server takes at once: raise its `max_allowed_packet`"
                    ),
                ));
            }
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
