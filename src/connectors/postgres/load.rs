//! Rows into a table of PostgreSQL: `COPY` in its binary form, in one transaction.

use arrow::datatypes::DataType;
use arrow::datatypes::SchemaRef;
use arrow::datatypes::TimeUnit;
use bytes::Bytes;
use futures::SinkExt as _;
use tokio::sync::mpsc;
use tokio_postgres::Client;

use crate::connectors::Batches;
use crate::connectors::load::Destination;
use crate::connectors::load::ONCE_DAYS;
use crate::connectors::load::ONCE_TABLE;
use crate::connectors::load::TypeNames;
use crate::connectors::load::check_names;
use crate::connectors::load::digits;
use crate::connectors::load::list;
use crate::connectors::load::names;
use crate::connectors::postgres::Postgres;
use crate::connectors::postgres::copy::HEADER;
use crate::connectors::postgres::copy::TRAILER;
use crate::connectors::postgres::copy::write_rows;
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

/// What is sent at once.
const PIECE_BYTES: usize = 256 << 10;
const PIECES_IN_FLIGHT: usize = 8;

/// A table that is there.
struct Table {
    oid: u32,
    /// Its columns with the name of their type and what that is of a file's.
    columns: Vec<(String, String, Option<DataType>)>,
}

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
            columns.map(|(name, _, data_type)| (name, data_type)).collect()
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
        let client = &connection.client;
        let once = destination.qualified(ONCE_TABLE, quoted);
        if destination.is_once() {
            self.make_once_table(client, &once).await?;
        }
        // Whoever imports into the same table waits here.
        self.execute(
            client,
            &format!(
                "{}begin; set local statement_timeout = {}; set local idle_in_transaction_session_timeout = 0;
                 select pg_advisory_xact_lock(hashtextextended({}, 0))",
                destination.purpose.comment(),
                self.statement_timeout.as_millis(),
                literal(&format!("holistics import {}", destination.shown())),
            ),
        )
        .await?;
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
            _ => {
                self.replace(client, destination, table.as_ref(), &schema, batches)
                    .await?
            }
        };
        if destination.is_once() {
            let sql = format!(
                "insert into {once} (run) values ({}); delete from {once} where finished_at < now() - interval '{ONCE_DAYS} days'",
                literal(&destination.run)
            );
            self.execute(client, &sql).await?;
        }
        self.execute(client, "commit").await?;
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

    async fn table(&self, client: &Client, destination: &Destination) -> Result<Option<Table>> {
        let name = destination.qualified(&destination.table, quoted);
        let found = client
            .query_opt(
                "select oid, relkind::text from pg_class where oid = to_regclass($1)",
                &[&name],
            )
            .await;
        let Some(found) = self.next(found)? else {
            return Ok(None);
        };
        let (oid, kind): (u32, &str) = (found.get(0), found.get(1));
        match (kind, destination.mode) {
            ("r", _) | ("p", Mode::Append | Mode::Fail) => {}
            ("p", _) => {
                return Err(destination.is_no_table("a partitioned table, which only takes mode `append`"));
            }
            ("v" | "m", _) => return Err(destination.is_no_table("a view")),
            _ => return Err(destination.is_no_table("no table of the database's own")),
        }
        let rows = client
            .query(
                "select attname::text, format_type(atttypid, null), format_type(atttypid, atttypmod)
                 from pg_attribute where attrelid = $1 and attnum > 0 and not attisdropped and attgenerated = ''
                 order by attnum",
                &[&oid],
            )
            .await;
        let rows = self.next(rows)?;
        let columns = rows.iter().map(|row| {
            let (name, base, full): (String, String, &str) = (row.get(0), row.get(1), row.get(2));
            let data_type = data_type(&base, full);
            (name, base, data_type)
        });
        Ok(Some(Table {
            oid,
            columns: columns.collect(),
        }))
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
        let known: Vec<&str> = table.columns.iter().map(|(name, _, _)| name.as_str()).collect();
        check_names(destination, names, &known)?;
        let staging = quoted(&destination.staging());
        let columns = TYPES.columns(schema.fields(), quoted)?;
        self.execute(
            client,
            &format!("create temporary table {staging} {columns} on commit drop"),
        )
        .await?;
        let rows = self.copy(client, &staging, "", batches).await?;
        // A cast to a type that is none of a file's; the others are assigned, which cuts nothing off.
        let chosen: Vec<String> = names
            .iter()
            .map(|name| {
                let of = table.columns.iter().find(|(known, _, _)| known == name);
                match of {
                    Some((_, base, None)) => format!("cast({} as {base})", quoted(name)),
                    _ => quoted(name),
                }
            })
            .collect();
        let sql = format!(
            "insert into {} ({}) select {} from {staging}",
            destination.qualified(&destination.table, quoted),
            list(names, quoted),
            chosen.join(", ")
        );
        self.execute(client, &sql).await?;
        Ok(rows)
    }

    /// Makes a table of the rows and puts it in the place of the one that is there, if there is one.
    async fn replace(
        &self,
        client: &Client,
        destination: &Destination,
        table: Option<&Table>,
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
        if let Some(table) = table {
            self.keep_rights(client, table.oid, &staging).await?;
            let old = destination.qualified(&destination.table, quoted);
            self.execute(client, &format!("drop table {old}")).await?;
        }
        let rename = format!("alter table {staging} rename to {}", quoted(&destination.table));
        self.execute(client, &rename).await?;
        Ok(rows)
    }

    /// Whoever could use the old table can use the new one.
    async fn keep_rights(&self, client: &Client, oid: u32, staging: &str) -> Result<()> {
        let rows = client
            .query(
                "select privilege_type || ' on ' || $2::text || ' to '
                        || case grantee when 0 then 'public' else quote_ident(rolname) end
                        || case when is_grantable then ' with grant option' else '' end
                 from pg_class cross join lateral aclexplode(relacl) left join pg_roles on pg_roles.oid = grantee
                 where pg_class.oid = $1 and grantee <> relowner",
                &[&oid, &staging],
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

/// What a file's values must be so that a column takes them as they are; `None` for what only text says.
fn data_type(base: &str, full: &str) -> Option<DataType> {
    Some(match base {
        "boolean" => DataType::Boolean,
        "smallint" | "integer" | "bigint" => DataType::Int64,
        "numeric" => return numeric(full),
        "real" | "double precision" => DataType::Float64,
        "date" => DataType::Date32,
        "timestamp without time zone" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "timestamp with time zone" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "text" | "character varying" | "character" => DataType::Utf8,
        _ => return None,
    })
}

/// Of `numeric(12,2)`; one without a precision takes what text says.
fn numeric(full: &str) -> Option<DataType> {
    match digits(full)? {
        (precision @ 1..=38, scale @ 0..=38) => Some(DataType::Decimal128(precision, scale)),
        _ => None,
    }
}

/// Text as a literal, whichever way the server reads backslashes.
fn literal(text: &str) -> String {
    format!("e'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
