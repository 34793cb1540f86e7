//! The databases that reports run on, opened when first asked for.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use crate::connectors::BatchStream;
use crate::connectors::Purpose;
use crate::connectors::mysql::MySql;
use crate::connectors::postgres::Postgres;
use crate::connectors::sessions::Sessions;
use crate::error::Error;
use crate::error::ErrorCode;
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
    Postgres(Arc<Sessions<Postgres>>),
    MySql(Arc<Sessions<MySql>>),
}

impl Connector {
    /// Prepares for a source; nothing is connected yet.
    pub(crate) fn new(source: &Source, password: Option<&Password>, query_timeout: Duration) -> Result<Self> {
        let concurrency = source.settings.concurrency;
        match (source.kind, Address::parse(source.kind, &source.url)?) {
            (SourceKind::Postgres, Address::Server(address)) => {
                let server = Postgres::new(source, &address, password, query_timeout)?;
                Ok(Self(Database::Postgres(Arc::new(Sessions::new(
                    server,
                    concurrency,
                )))))
            }
            (SourceKind::Mysql, Address::Server(address)) => {
                let server = MySql::new(source, &address, password, query_timeout)?;
                Ok(Self(Database::MySql(Arc::new(Sessions::new(
                    server,
                    concurrency,
                )))))
            }
            (kind, _) => Err(Error::new(
                ErrorCode::SourceFailed,
                format!("sources of type {} cannot be used yet", kind.name()),
            )),
        }
    }

    /// Runs a statement. Rows come as the database makes them, held back while nobody takes them.
    pub(crate) async fn query(&self, statement: &Statement, purpose: Purpose) -> Result<BatchStream> {
        match &self.0 {
            Database::Postgres(sessions) => sessions.query(statement, purpose).await,
            Database::MySql(sessions) => sessions.query(statement, purpose).await,
        }
    }

    /// Says what is found there, or what is wrong.
    pub(crate) async fn check(&self) -> Result<String> {
        match &self.0 {
            Database::Postgres(sessions) => sessions.server().check().await,
            Database::MySql(sessions) => sessions.server().check().await,
        }
    }

    /// Waits until nothing runs there any more, but not longer.
    async fn settle(&self, patience: Duration) -> bool {
        match &self.0 {
            Database::Postgres(sessions) => sessions.settle(patience).await,
            Database::MySql(sessions) => sessions.settle(patience).await,
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
