//! Whether a MySQL source can be used.

use std::sync::Arc;

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use arrow::datatypes::Schema;

use crate::connectors::mysql::MySql;
use crate::connectors::mysql::columns::AsText;
use crate::connectors::mysql::columns::Columns;
use crate::connectors::sessions::Server as _;
use crate::connectors::unreachable;
use crate::error::Error;
use crate::error::Result;

/// Tables of which we may know, and how many of them may be read. The server shows only those to which there is any
/// right, so that without any there may be others.
const READABLE: &str = "
    select count(*), cast(coalesce(sum(
               exists (select 1 from information_schema.user_privileges as granted
                       where privilege_type = 'SELECT')
               or exists (select 1 from information_schema.schema_privileges as granted
                          where privilege_type = 'SELECT' and known.table_schema like granted.table_schema)
               or exists (select 1 from information_schema.table_privileges as granted
                          where privilege_type = 'SELECT' and known.table_schema = granted.table_schema
                            and known.table_name = granted.table_name)
               or exists (select 1 from information_schema.column_privileges as granted
                          where privilege_type = 'SELECT' and known.table_schema = granted.table_schema
                            and known.table_name = granted.table_name)), 0) as signed),
           exists (select 1 from information_schema.user_privileges where privilege_type = 'SELECT')
           or exists (select 1 from information_schema.schema_privileges where privilege_type = 'SELECT')
    from information_schema.tables as known
    where table_schema = database()";

impl MySql {
    /// Says what is found there, or what is wrong.
    pub(in crate::connectors) async fn check(&self) -> Result<String> {
        let mut client = self.connect().await?;
        self.begin(&mut client).await?;
        let prepared = self.prepare(&mut client, READABLE, &[]).await?;
        let described = self.heard(client.execute(&prepared, &[]).await)?;
        let mut columns = Columns::new(&described, AsText::default())?;
        let schema = Arc::new(Schema::new(columns.fields()));
        while let Some(row) = self.heard(client.row().await)? {
            columns.push(row)?;
        }
        let batch = columns.take(&schema)?;
        let number = |index: usize| -> Result<i64> {
            let column = arrow::compute::cast(batch.column(index), &arrow::datatypes::DataType::Int64)?;
            let numbers = column.as_primitive::<Int64Type>();
            match numbers.iter().next().flatten() {
                Some(number) => Ok(number),
                None => Err(Error::internal("a count is missing")),
            }
        };
        let (all, readable, may_read) = (number(0)?, number(1)?, number(2)?);
        if readable == 0 && (all > 0 || may_read == 0) {
            let which = match all {
                0 => "any table of this database".to_owned(),
                _ => format!("any of the {all} tables and views of this database"),
            };
            return Err(unreachable(
                &self.target.name,
                &format!("no right to read {which}"),
            ));
        }
        let product = match client.is_mariadb {
            true => "MariaDB",
            false => "MySQL",
        };
        let version = client.version.split('-').next().unwrap_or_default();
        let found = format!("{product} {version}, {readable} of {all} tables and views can be read");
        self.heard(client.quit().await)?;
        Ok(found)
    }
}
