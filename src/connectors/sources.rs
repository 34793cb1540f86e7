//! The databases that reports run on, opened when first asked for.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use arrow::datatypes::DataType;
use arrow::datatypes::SchemaRef;

use crate::connectors::BatchStream;
use crate::connectors::Batches;
use crate::connectors::Purpose;
use crate::connectors::duckdb::Warehouse;
use crate::connectors::duckdb_file::DuckdbFile;
use crate::connectors::duckdb_file::EngineSettings;
use crate::connectors::load::Destination;
use crate::connectors::mysql::MySql;
use crate::connectors::permits::Permits;
use crate::connectors::postgres::Postgres;
use crate::connectors::sessions::Sessions;
use crate::connectors::sqlite::Sqlite;
use crate::error::Error;
use crate::error::Result;
use crate::query::Statement;
use crate::source::Address;
use crate::source::Password;
use crate::source::Source;
use crate::source::SourceKind;

/// A database, ready to be asked.
#[derive(Clone)]
pub(crate) struct Connector(Database);

#[derive(Clone)]
enum Database {
    Warehouse(Arc<Warehouse>),
    Postgres(Arc<Sessions<Postgres>>),
    Sqlite(Arc<Sqlite>),
    Duckdb(Arc<DuckdbFile>),
    MySql(Arc<Sessions<MySql>>),
}

impl Connector {
    /// Prepares for a source; nothing is connected yet.
    pub(crate) fn new(
        source: &Source,
        password: Option<&Password>,
        query_timeout: Duration,
        engine: &EngineSettings,
    ) -> Result<Self> {
        match (source.kind, Address::parse(source.kind, &source.url)?) {
            (SourceKind::Postgres, Address::Server(address)) => {
                let server = Postgres::new(source, &address, password, query_timeout)?;
                Ok(Self(Database::Postgres(Arc::new(Sessions::new(
                    server,
                    Permits::of(source),
                )))))
            }
            (SourceKind::Sqlite, Address::File(path)) => {
                engine.refuse_own(&source.name, &path)?;
                let sqlite = Sqlite::new(source, &path, query_timeout);
                Ok(Self(Database::Sqlite(Arc::new(sqlite))))
            }
            (SourceKind::Duckdb, Address::File(path)) => {
                engine.refuse_own(&source.name, &path)?;
                let file = DuckdbFile::new(source, &path, query_timeout, engine);
                Ok(Self(Database::Duckdb(Arc::new(file))))
            }
            (SourceKind::Mysql, Address::Server(address)) => {
                let server = MySql::new(source, &address, password, query_timeout)?;
                Ok(Self(Database::MySql(Arc::new(Sessions::new(
                    server,
                    Permits::of(source),
                )))))
            }
            (kind, _) => Err(Error::internal(format!(
                "an address that is none of {}",
                kind.name()
            ))),
        }
    }

    pub(crate) fn of_warehouse(warehouse: Arc<Warehouse>) -> Self {
        Self(Database::Warehouse(warehouse))
    }

    /// Runs a statement. Rows come as the database makes them, held back while nobody takes them.
    pub(crate) async fn query(&self, statement: &Statement, purpose: Purpose) -> Result<BatchStream> {
        match &self.0 {
            Database::Warehouse(warehouse) => warehouse.query(statement).await,
            Database::Postgres(sessions) => sessions.query(statement, purpose).await,
            Database::Sqlite(sqlite) => sqlite.query(statement, &purpose).await,
            Database::Duckdb(file) => file.query(statement).await,
            Database::MySql(sessions) => sessions.query(statement, purpose).await,
        }
    }

    /// The columns of a table if it is there, each with the type that a file's values must have for it;
    /// none if the database is to read their text.
    pub(crate) async fn columns_of(
        &self,
        destination: &Destination,
    ) -> Result<Option<Vec<(String, Option<DataType>)>>> {
        match &self.0 {
            Database::Warehouse(warehouse) => warehouse.columns_of(destination).await,
            Database::Postgres(sessions) => {
                let _permit = sessions.permits().one().await?;
                sessions.server().columns_of(destination).await
            }
            Database::Sqlite(sqlite) => sqlite.columns_of(destination).await,
            Database::Duckdb(file) => file.columns_of(destination).await,
            Database::MySql(sessions) => {
                let _permit = sessions.permits().one().await?;
                sessions.server().columns_of(destination).await
            }
        }
    }

    /// Loads all batches into a table or leaves everything as it was; says how many rows there were.
    pub(crate) async fn load(
        &self,
        destination: &Destination,
        schema: SchemaRef,
        batches: Batches,
    ) -> Result<u64> {
        match &self.0 {
            Database::Warehouse(warehouse) => warehouse.load(destination, schema, batches).await,
            Database::Postgres(sessions) => {
                let _permit = sessions.permits().one().await?;
                sessions.server().load(destination, schema, batches).await
            }
            Database::Sqlite(sqlite) => sqlite.load(destination, schema, batches).await,
            Database::Duckdb(file) => file.load(destination, schema, batches).await,
            Database::MySql(sessions) => {
                let _permit = sessions.permits().one().await?;
                sessions.server().load(destination, schema, batches).await
            }
        }
    }

    /// Says what is found there, or what is wrong.
    pub(crate) async fn check(&self) -> Result<String> {
        match &self.0 {
            Database::Warehouse(_) => Ok("DuckDB".to_owned()),
            Database::Postgres(sessions) => sessions.server().check().await,
            Database::Sqlite(sqlite) => sqlite.check().await,
            Database::Duckdb(file) => file.check().await,
            Database::MySql(sessions) => sessions.server().check().await,
        }
    }

    /// Waits until nothing runs there any more, but not longer.
    pub(super) async fn settle(&self, patience: Duration) -> bool {
        match &self.0 {
            Database::Warehouse(_) => true,
            Database::Postgres(sessions) => sessions.permits().settle(patience).await,
            Database::Sqlite(sqlite) => sqlite.permits().settle(patience).await,
            Database::Duckdb(file) => file.permits().settle(patience).await,
            Database::MySql(sessions) => sessions.permits().settle(patience).await,
        }
    }
}

/// The sources that were used before, each with the time of its last change.
#[derive(Default)]
pub(crate) struct Sources(Mutex<HashMap<i64, (i64, Connector)>>);

impl Sources {
    /// The connector of a source as it is now.
    pub(crate) fn known(&self, source: &Source) -> Option<Connector> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(&source.id)
            .filter(|(updated_at, _)| *updated_at == source.updated_at)
            .map(|(_, connector)| connector.clone())
    }

    /// Keeps a connector, in place of that of an earlier state of its source.
    /// Should another have been faster, that one is it.
    pub(crate) fn keep(&self, source: &Source, connector: Connector) -> Connector {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&source.id) {
            Some((updated_at, kept)) if *updated_at == source.updated_at => kept.clone(),
            _ => {
                known.insert(source.id, (source.updated_at, connector.clone()));
                connector
            }
        }
    }

    /// Gives databases that were told to stop queries a moment to do so.
    pub(crate) async fn settle(&self, patience: Duration) {
        let known: Vec<Connector> = {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.values().map(|(_, connector)| connector.clone()).collect()
        };
        futures::future::join_all(known.iter().map(|connector| connector.settle(patience))).await;
    }
}
