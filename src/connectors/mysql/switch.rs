//! A new table in the place of an old one, by a rename of both.

use arrow::datatypes::SchemaRef;
use tracing::debug;

use crate::connectors::Batches;
use crate::connectors::load::Destination;
use crate::connectors::load::names;
use crate::connectors::mysql::MySql;
use crate::connectors::mysql::client::Client;
use crate::connectors::mysql::client::Fault;
use crate::connectors::mysql::inserts::literal;
use crate::connectors::mysql::inserts::quoted;
use crate::connectors::mysql::load::TYPES;
use crate::connectors::mysql::tables::schema_of;
use crate::error::Result;

/// The errors of dropping a table that a foreign key refers to.
const IS_REFERRED_TO: [u16; 2] = [1451, 3730];

impl MySql {
    /// Makes a table of the rows and puts it in the place of the one that is there, if there is one.
    pub(super) async fn replace(
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
        let comment = match destination.is_once() {
            true => literal(&made_by(destination)),
            false => "''".to_owned(),
        };
        let sql = format!("create table {staging} {columns} character set utf8mb4 comment = {comment}");
        self.heard(client.command(&sql).await)?;
        let rows = self.insert(client, &staging, &names, batches).await?;
        let target = destination.qualified(&destination.table, quoted);
        if !is_there {
            let sql = format!("rename table {staging} to {target}");
            self.heard(client.command(&sql).await)?;
            if destination.is_once() {
                // From here on the rows are there; until they are marked so, the table's comment says it.
                self.heard(client.command(&Self::mark(destination)).await)?;
                let sql = format!("alter table {target} comment = ''");
                self.heard(client.command(&sql).await)?;
                self.forget(client, destination).await;
            }
            return Ok(rows);
        }
        let old = old(destination);
        let sql = format!("rename table {target} to {old}, {staging} to {target}");
        self.heard(client.command(&sql).await)?;
        let dropped = client.command(&format!("drop table {old}")).await;
        match dropped {
            // A table refers to it that this user may not see.
            Err(Fault::Told { code, .. }) if IS_REFERRED_TO.contains(&code) => {
                let sql = format!("rename table {target} to {staging}, {old} to {target}");
                self.heard(client.command(&sql).await)?;
                Err(destination.is_referred_to("another schema"))
            }
            // The rows are there; the old table goes when everything is tidied up.
            Err(error) => {
                debug!(?error, "cannot drop a table that was replaced");
                Ok(rows)
            }
            Ok(()) => Ok(rows),
        }
    }

    /// Foreign keys follow a table to its new name, so that one that others refer to cannot make room.
    pub(super) async fn check_unreferenced(
        &self,
        client: &mut Client,
        destination: &Destination,
    ) -> Result<()> {
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
            Some(other) => Err(destination.is_referred_to(&other)),
        }
    }
}

/// Removes what is left of an import that was interrupted.
pub(super) fn leftovers(destination: &Destination) -> String {
    let staging = destination.qualified(&destination.staging(), quoted);
    format!("drop table if exists {staging}, {}", old(destination))
}

/// The comment of a table that an import has made, until it is remembered elsewhere.
pub(super) fn made_by(destination: &Destination) -> String {
    format!("holistics {}", destination.run)
}

/// Where the old table is between the rename and its end.
fn old(destination: &Destination) -> String {
    destination.qualified(&format!("{}_old", destination.staging()), quoted)
}
