//! Whether a PostgreSQL source can be used.

use crate::connectors::postgres::Postgres;
use crate::connectors::sessions::Server as _;
use crate::connectors::unreachable;
use crate::error::Result;

/// Relations of the database that hold rows, and how many of them may be read.
const READABLE: &str = "
    select count(*), count(*) filter (where has_table_privilege(pg_class.oid, 'select')
                                        and has_schema_privilege(relnamespace, 'usage'))
    from pg_class join pg_namespace on pg_namespace.oid = relnamespace
    where relkind in ('r', 'p', 'v', 'm', 'f') and nspname not in ('pg_catalog', 'information_schema')
      and nspname not like 'pg\\_toast%' and nspname not like 'pg\\_temp%'";

impl Postgres {
    /// Says what is found there, or what is wrong.
    pub(in crate::connectors) async fn check(&self) -> Result<String> {
        let connection = self.connect().await?;
        let begin = self.begin(&connection);
        self.next(connection.client.batch_execute(&begin).await)?;
        let row = self.next(connection.client.query_one(READABLE, &[]).await)?;
        let (all, readable): (i64, i64) = (row.get(0), row.get(1));
        if all > 0 && readable == 0 {
            return Err(unreachable(
                &self.name,
                &format!("no right to read any of the {all} tables and views of this database"),
            ));
        }
        Ok(format!(
            "PostgreSQL {}, {readable} of {all} tables and views can be read",
            connection.version
        ))
    }
}
