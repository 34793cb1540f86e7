//! Rows into a table of PostgreSQL: `COPY` in its binary form, in one transaction.

use std::time::Duration;
use std::time::Instant;

use arrow::datatypes::DataType;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use futures::SinkExt as _;
use tokio::sync::mpsc;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tracing::debug;

use crate::connectors::Batches;
use crate::connectors::deadline::took_too_long;
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
use crate::connectors::postgres::Connection;
use crate::connectors::postgres::Postgres;
use crate::connectors::postgres::copy::HEADER;
use crate::connectors::postgres::copy::TRAILER;
use crate::connectors::postgres::copy::write_rows;
use crate::connectors::postgres::given_up::GivenUp;
use crate::connectors::postgres::tables::Column;
use crate::connectors::postgres::tables::Table;
use crate::connectors::quoted;
use crate::connectors::sessions::Server as _;
use crate::data_import::Mode;
use crate::error::Error;
use crate::error::Result;

const TYPES: TypeNames = TypeNames {
    boolean: "boolean",
    integer: "bigint",
    decimal: "numeric",
    double: "double precision",
    date: "date",
    timestamp: "timestamp",
    timestamptz: "timestamptz",
    text: "text",
};

/// How long readers of a table are kept waiting while it is waited for, and how long they are not.
const LOCK_MS: u32 = 200;
const STEP_BACK: Duration = Duration::from_millis(800);

/// What is sent at once.
const PIECE_BYTES: usize = 256 << 10;
const PIECES_IN_FLIGHT: usize = 8;

impl Postgres {
    /// The columns of the table if it is there, each with the type that a file's values must have for it.
    pub(in crate::connectors) async fn columns_of(
        &self,
        destination: &Destination,
    ) -> Result<Option<Vec<(String, Option<DataType>)>>> {
        let connection = self.connect().await?;
        let table = self.table(&connection.client, destination).await?;
        Ok(table.map(|table| {
            let columns = table.columns.into_iter();
            columns.map(|column| (column.name, column.data_type)).collect()
        }))
    }

    /// Loads all batches or nothing, and says how many rows there were.
    pub(in crate::connectors) async fn load(
        &self,
        destination: &Destination,
        schema: SchemaRef,
        batches: Batches,
    ) -> Result<u64> {
        let connection = self.connect().await?;
        let mut given_up = GivenUp::new(connection.cancel.clone(), self.tls.clone());
        let loaded = self.load_by(&connection, destination, schema, batches).await;
        given_up.disarm();
        loaded
    }

    async fn load_by(
        &self,
        connection: &Connection,
        destination: &Destination,
        schema: SchemaRef,
        batches: Batches,
    ) -> Result<u64> {
        let client = &connection.client;
        let destination = &self.resolved(client, destination).await?;
        let once = destination.qualified(ONCE_TABLE, quoted);
        if destination.is_once() {
            self.make_once_table(client, &once).await?;
        }
        // Whoever imports into the same table waits here.
        let begin = format!(
            "{}begin; set local statement_timeout = {}; set local idle_in_transaction_session_timeout = 0; {}
             select pg_advisory_xact_lock(hashtextextended({}, 0))",
            destination.purpose.comment(),
            self.statement_timeout.as_millis(),
            connection.notices_when_nobody_is_there(),
            literal(&format!("holistics import {}", destination.shown())),
        );
        self.execute(client, &begin).await?;
        if destination.is_once() && self.was_done(client, &once, destination).await? {
            return batches.skip().await;
        }
        let table = self.table(client, destination).await?;
        if table.is_some() && destination.mode == Mode::Fail {
            return Err(destination.is_there_already());
        }
        let names = names(&schema);
        let rows = match &table {
            Some(table) if destination.mode == Mode::Append => {
                self.append(client, destination, table, &schema, &names, batches)
                    .await?
            }
            _ => self.replace(client, destination, &schema, batches).await?,
        };
        if destination.is_once() {
            let sql = format!("insert into {once} (run) values ({})", literal(&destination.run));
            self.execute(client, &sql).await?;
        }
        let committed = self.execute(client, "commit").await;
        // Whether the database has heard it, it knows itself: the next try asks for the mark.
        committed.map_err(|error| match destination.is_once() && client.is_closed() {
            true => error.worth_another_try(),
            false => error,
        })?;
        if destination.is_once() {
            let sql = format!("delete from {once} where finished_at < now() - interval '{ONCE_DAYS} days'");
            // The next import will.
            if let Err(error) = self.execute(client, &sql).await {
                debug!(%error, "cannot forget old imports");
            }
        }
        Ok(rows)
    }

    async fn execute(&self, client: &Client, sql: &str) -> Result<()> {
        client
            .batch_execute(sql)
            .await
            .map_err(|error| self.failed(&error, "", ""))
    }

    async fn make_once_table(&self, client: &Client, once: &str) -> Result<()> {
        // Two that make it at the same time would get into each other's way.
        let sql = format!(
            "begin; select pg_advisory_xact_lock(hashtextextended('holistics {ONCE_TABLE}', 0));
             set local client_min_messages = warning;
             create table if not exists {once} (run text primary key, finished_at timestamptz not null default now());
             commit"
        );
        self.execute(client, &sql).await
    }

    async fn was_done(&self, client: &Client, once: &str, destination: &Destination) -> Result<bool> {
        let sql = format!("select 1 from {once} where run = $1");
        let row = client.query_opt(&sql, &[&destination.run]).await;
        Ok(self.next(row)?.is_some())
    }

    /// Adds rows to a table, by way of another that takes them as they are in the file.
    async fn append(
        &self,
        client: &Client,
        destination: &Destination,
        table: &Table,
        schema: &SchemaRef,
        names: &[&str],
        batches: Batches,
    ) -> Result<u64> {
        let known: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        check_names(destination, names, &known)?;
        let types = table.columns.iter();
        check_types(
            destination,
            schema,
            types.map(|column| (column.name.as_str(), column.data_type.as_ref())),
        )?;
        let staging = format!("pg_temp.{}", quoted(&destination.staging()));
        let columns = TYPES.columns(schema.fields(), quoted)?;
        self.execute(
            client,
            &format!("create temporary table {staging} {columns} on commit drop"),
        )
        .await?;
        let rows = self.copy(client, &staging, "", batches).await?;
        // A cast to a type that is none of a file's; the others are assigned, which cuts nothing off.
        let mut chosen = Vec::new();
        for name in names {
            let column = table.columns.iter().find(|column| column.name == *name);
            if let Some(column) = column {
                self.check_rounding(client, &staging, column).await?;
            }
            chosen.push(match column {
                Some(column) if column.data_type.is_none() => {
                    format!("cast({} as {})", quoted(name), column.base)
                }
                _ => quoted(name),
            });
        }
        let sql = format!(
            "insert into {} ({}) select {} from {staging}",
            destination.qualified(&destination.table, quoted),
            list(names, quoted),
            chosen.join(", ")
        );
        let arrived = self.next(client.execute(&sql, &[]).await)?;
        destination.check_all_there(rows, arrived)?;
        Ok(rows)
    }

    /// Values that the database would round without a word are an error.
    async fn check_rounding(&self, client: &Client, staging: &str, column: &Column) -> Result<()> {
        let Some(is_rounded) = column.is_rounded() else {
            return Ok(());
        };
        let sql = count_changed(&quoted(&column.name), "text", staging, &is_rounded);
        let found = self.next(client.query_one(&sql, &[]).await)?;
        let (count, least): (i64, Option<&str>) = (found.get(0), found.get(1));
        match least {
            None => Ok(()),
            Some(least) => Err(would_round(&column.name, &column.full, count, least)),
        }
    }

    /// Makes a table of the rows and puts it in the place of the one that is there, if there is one.
    async fn replace(
        &self,
        client: &Client,
        destination: &Destination,
        schema: &SchemaRef,
        batches: Batches,
    ) -> Result<u64> {
        let staging = destination.qualified(&destination.staging(), quoted);
        let columns = TYPES.columns(schema.fields(), quoted)?;
        self.execute(client, &format!("create table {staging} {columns}"))
            .await?;
        // Frozen rows are seen by all, also by those whose transaction is older than the table's:
        // they find the new table whole, and not empty.
        let rows = self.copy(client, &staging, ", freeze true", batches).await?;
        // Looked at again: the file took its time, and from here on nobody can change it.
        if let Some(table) = self.locked(client, destination).await? {
            match destination.mode {
                Mode::Replace => {}
                Mode::Fail => return Err(destination.is_there_already()),
                Mode::Append => return Err(destination.has_changed()),
            }
            self.keep_owner(client, table.oid, &staging).await?;
            self.keep_rights(client, table.oid, &staging, &names(schema))
                .await?;
            let old = destination.qualified(&destination.table, quoted);
            self.execute(client, &format!("drop table {old}")).await?;
        }
        let rename = format!("alter table {staging} rename to {}", quoted(&destination.table));
        self.execute(client, &rename).await?;
        Ok(rows)
    }

    /// The table that is there, which nobody else can use any more until the transaction ends.
    async fn locked(&self, client: &Client, destination: &Destination) -> Result<Option<Table>> {
        let Some(found) = self.table(client, destination).await? else {
            return Ok(None);
        };
        let name = destination.qualified(&destination.table, quoted);
        let lock = format!(
            "savepoint free; set local lock_timeout = '{LOCK_MS}ms'; lock table only {name} in access exclusive mode;
             set local lock_timeout = 0"
        );
        let began = Instant::now();
        // While this waits for a lock, all new readers wait behind it: it steps back for them in between.
        loop {
            let error = match client.batch_execute(&lock).await {
                Ok(()) => break,
                Err(error) => error,
            };
            if error.code() != Some(&SqlState::LOCK_NOT_AVAILABLE) {
                return Err(self.failed(&error, "", ""));
            }
            self.execute(client, "rollback to savepoint free").await?;
            if began.elapsed() > self.statement_timeout {
                return Err(took_too_long(&self.name, self.statement_timeout));
            }
            tokio::time::sleep(STEP_BACK).await;
        }
        match self.table(client, destination).await? {
            Some(locked) if locked.oid == found.oid => Ok(Some(locked)),
            _ => Err(destination.has_changed()),
        }
    }

    /// The new table belongs to whom the old one belongs to.
    async fn keep_owner(&self, client: &Client, oid: u32, staging: &str) -> Result<()> {
        let owner = client
            .query_opt(
                "select quote_ident(rolname) from pg_class join pg_roles on pg_roles.oid = relowner
                 where pg_class.oid = $1 and rolname <> current_user",
                &[&oid],
            )
            .await;
        if let Some(row) = self.next(owner)? {
            let owner: &str = row.get(0);
            self.execute(client, &format!("alter table {staging} owner to {owner}"))
                .await?;
        }
        Ok(())
    }

    /// Whoever could use the old table, or some of its columns, can use the new one, and nobody else.
    async fn keep_rights(&self, client: &Client, oid: u32, staging: &str, names: &[&str]) -> Result<()> {
        // What the database gives to all new tables.
        let given = client
            .query(
                "select distinct case grantee when 0 then 'public' else quote_ident(rolname) end
                 from pg_class cross join lateral aclexplode(relacl) left join pg_roles on pg_roles.oid = grantee
                 where pg_class.oid = to_regclass($1) and grantee <> relowner",
                &[&staging],
            )
            .await;
        for row in self.next(given)? {
            let grantee: &str = row.get(0);
            self.execute(client, &format!("revoke all on {staging} from {grantee}"))
                .await?;
        }
        let rows = client
            .query(
                "select privilege_type || columns || ' on ' || $2::text || ' to '
                        || case grantee when 0 then 'public' else quote_ident(rolname) end
                        || case when is_grantable then ' with grant option' else '' end
                 from (select '' as columns, relacl as acl from pg_class where oid = $1
                       union all
                       select ' (' || quote_ident(attname) || ')', attacl from pg_attribute
                       where attrelid = $1 and attname = any ($3::text[]) and not attisdropped) as granted
                 cross join lateral aclexplode(acl) left join pg_roles on pg_roles.oid = grantee
                 where grantee <> (select relowner from pg_class where oid = $1)",
                &[&oid, &staging, &names],
            )
            .await;
        for row in self.next(rows)? {
            let right: &str = row.get(0);
            self.execute(client, &format!("grant {right}")).await?;
        }
        Ok(())
    }

    async fn copy(&self, client: &Client, table: &str, options: &str, batches: Batches) -> Result<u64> {
        let (sender, mut pieces) = mpsc::channel(PIECES_IN_FLIGHT);
        let encoding = tokio::task::spawn_blocking(move || encode(batches, &sender));
        let sql = format!("copy {table} from stdin (format binary{options})");
        let sink = client
            .copy_in::<_, Bytes>(&sql)
            .await
            .map_err(|error| self.failed(&error, "", ""))?;
        let mut sink = std::pin::pin!(sink);
        while let Some(piece) = pieces.recv().await {
            self.next(sink.send(piece).await)?;
        }
        // Without this the copy is given up, and with it the transaction.
        encoding.await.map_err(Error::internal)??;
        self.next(sink.finish().await)
    }
}

/// Turns batches into pieces of the stream.
fn encode(mut batches: Batches, sender: &mpsc::Sender<Bytes>) -> Result<()> {
    let mut piece = HEADER.to_vec();
    while let Some(batch) = batches.blocking_next()? {
        // A row at a time would be many calls; a batch is about as large as a piece.
        write_rows(&batch, &mut piece)?;
        if piece.len() >= PIECE_BYTES && sender.blocking_send(std::mem::take(&mut piece).into()).is_err() {
            // Nobody takes it any more, and knows why.
            return Ok(());
        }
    }
    piece.extend_from_slice(TRAILER);
    // As above.
    let _ = sender.blocking_send(piece.into());
    Ok(())
}

/// Text as a literal, whichever way the server reads backslashes.
fn literal(text: &str) -> String {
    format!("e'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
