//! Rows into a table of MySQL or MariaDB: inserts of many rows each, and one rename or one transaction at the end.

use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::datatypes::Schema;
use arrow::datatypes::SchemaRef;
use arrow::datatypes::TimeUnit;
use tokio::sync::mpsc;

use crate::connectors::Batches;
use crate::connectors::load::Destination;
use crate::connectors::load::ONCE_DAYS;
use crate::connectors::load::ONCE_TABLE;
use crate::connectors::load::TypeNames;
use crate::connectors::load::check_names;
use crate::connectors::load::digits;
use crate::connectors::load::list;
use crate::connectors::load::names;
use crate::connectors::mysql::MySql;
use crate::connectors::mysql::client::Client;
use crate::connectors::mysql::columns::AsText;
use crate::connectors::mysql::columns::Columns;
use crate::connectors::mysql::inserts::Inserts;
use crate::connectors::mysql::inserts::literal;
use crate::connectors::mysql::inserts::quoted;
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

/// The columns of a table: the name, and the type that a file's values must have for it.
/// For some only the values can tell; they are `Err`.
type Known = Vec<(String, std::result::Result<Option<DataType>, ()>)>;

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
            let columns = columns.into_iter();
            columns.filter_map(|(name, of)| Some((name, of.ok()?))).collect()
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
        let loaded = self.load_on(&mut client, destination, &schema, batches).await;
        if loaded.is_err() && !client.is_busy() {
            // The connection may be what has failed; the next run of this import clears up, too.
            let staging = destination.qualified(&destination.staging(), quoted);
            // Dropping a table would commit what was done so far.
            drop(client.command("rollback").await);
            drop(client.command(&format!("drop table if exists {staging}")).await);
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
        self.wait_for_others(client, destination).await?;
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
        let timeout = match client.is_mariadb {
            true => format!("max_statement_time = {}", self.statement_timeout.as_secs_f64()),
            // It is for queries alone.
            false => "autocommit = 1".to_owned(),
        };
        let sql = format!("set names utf8mb4, time_zone = '+00:00', sql_mode = '{SQL_MODE}', {timeout}");
        self.heard(client.command(&sql).await)
    }

    /// Whoever imports into the same table waits here, until the connection is closed.
    async fn wait_for_others(&self, client: &mut Client, destination: &Destination) -> Result<()> {
        let name = literal(&destination.shown());
        let patience = self.statement_timeout.as_secs();
        let sql =
            format!("select get_lock(concat('holistics ', md5(concat(database(), {name}))), {patience})");
        let got = self.texts(client, &sql).await?;
        match got.first().and_then(|row| row.first()) {
            Some(Some(one)) if one == "1" => Ok(()),
            _ => Err(Error::new(
                ErrorCode::Timeout,
                format!("another import into {} did not end in time", destination.shown()),
            )),
        }
    }

    /// Whether this import was finished before. Where a new table takes its name last, that it has is what counts.
    async fn was_done(&self, client: &mut Client, destination: &Destination) -> Result<bool> {
        let once = destination.qualified(ONCE_TABLE, quoted);
        let sql = format!(
            "create table if not exists {once} (run varchar(100) character set ascii primary key,
             finished_at timestamp not null default current_timestamp)"
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
            ..destination.clone()
        };
        if self.columns(client, &staging).await?.is_none() {
            return Ok(true);
        }
        let sql = format!("delete from {once} where run = {run}");
        self.heard(client.command(&sql).await)?;
        Ok(false)
    }

    fn mark(destination: &Destination) -> [String; 2] {
        let once = destination.qualified(ONCE_TABLE, quoted);
        [
            format!("insert into {once} (run) values ({})", literal(&destination.run)),
            format!("delete from {once} where finished_at < now() - interval {ONCE_DAYS} day"),
        ]
    }

    async fn columns(&self, client: &mut Client, destination: &Destination) -> Result<Option<Known>> {
        let schema = match &destination.schema {
            Some(schema) => literal(schema),
            None => "database()".to_owned(),
        };
        let of = format!(
            "table_schema = {schema} and table_name = {}",
            literal(&destination.table)
        );
        let sql = format!("select table_type from information_schema.tables where {of}");
        match self
            .texts(client, &sql)
            .await?
            .first()
            .and_then(|row| row.first())
        {
            None => return Ok(None),
            Some(Some(kind)) if kind == "BASE TABLE" || kind == "SYSTEM VERSIONED" => {}
            Some(_) => return Err(destination.is_no_table("a view")),
        }
        let sql = format!(
            "select column_name, column_type from information_schema.columns where {of} order by ordinal_position"
        );
        let rows = self.texts(client, &sql).await?;
        let columns = rows.into_iter().map(|row| {
            let mut texts = row.into_iter().map(Option::unwrap_or_default);
            let (name, declared) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
            (name, data_type(&declared))
        });
        Ok(Some(columns.collect()))
    }

    /// Adds rows to a table in one transaction, by way of another that takes them as they are in the file.
    async fn append(
        &self,
        client: &mut Client,
        destination: &Destination,
        known: &Known,
        schema: &SchemaRef,
        batches: Batches,
    ) -> Result<u64> {
        let names = names(schema);
        let there: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
        check_names(destination, &names, &there)?;
        let staging = destination.qualified(&destination.staging(), quoted);
        let columns = TYPES.columns(schema.fields(), quoted)?;
        let sql = format!("create temporary table {staging} {columns} character set utf8mb4");
        self.heard(client.command(&sql).await)?;
        let rows = self.insert(client, &staging, &names, batches).await?;
        let names = list(&names, quoted);
        let target = destination.qualified(&destination.table, quoted);
        let [mark, forget] = Self::mark(destination);
        for sql in [
            "start transaction",
            &format!("insert into {target} ({names}) select {names} from {staging}"),
            &mark,
            &forget,
            "commit",
        ] {
            self.heard(client.command(sql).await)?;
        }
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
        if destination.is_once() {
            for sql in Self::mark(destination) {
                self.heard(client.command(&sql).await)?;
            }
        }
        let target = destination.qualified(&destination.table, quoted);
        if !is_there {
            let sql = format!("rename table {staging} to {target}");
            self.heard(client.command(&sql).await)?;
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
        let schema = match &destination.schema {
            Some(schema) => literal(schema),
            None => "database()".to_owned(),
        };
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
    async fn texts(&self, client: &mut Client, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
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

/// What a file's values must be so that a column takes them as they are.
fn data_type(declared: &str) -> std::result::Result<Option<DataType>, ()> {
    let declared = declared.to_ascii_lowercase();
    let base: &str = declared.split(['(', ' ']).next().unwrap_or_default();
    let is_unsigned = declared.contains("unsigned");
    Ok(Some(match base {
        // Booleans too, and then with the words for them.
        "tinyint" => return Err(()),
        "bigint" if is_unsigned => return Ok(None),
        "smallint" | "mediumint" | "int" | "bigint" => DataType::Int64,
        "decimal" => match digits(&declared) {
            Some((precision @ 1..=38, scale @ 0..=38)) => DataType::Decimal128(precision, scale),
            _ => return Ok(None),
        },
        "float" | "double" => DataType::Float64,
        "date" => DataType::Date32,
        "datetime" | "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => DataType::Utf8,
        _ => return Ok(None),
    }))
}

/// Where the old table is between the rename and its end.
fn old(destination: &Destination) -> String {
    destination.qualified(&format!("{}_old", destination.staging()), quoted)
}
