//! Groups, and with whom reports are shared.

use sqlx::SqliteConnection;

use crate::error::Error;
use crate::error::Result;
use crate::store::Store;
use crate::store::must_exist;
use crate::store::reports::may_change;
use crate::user::User;

/// What all users are called together.
pub(crate) const EVERYONE: &str = "everyone";

/// What the name of a group begins with, where one of a user could be.
pub(crate) const GROUP: &str = "group:";

/// Users under one name.
pub(crate) struct Group {
    pub(crate) id: i64,
    pub(crate) name: String,
    /// The e-mail addresses of those in it.
    pub(crate) users: Vec<String>,
}

impl Store {
    pub(crate) async fn groups(&self) -> Result<Vec<Group>> {
        let rows: Vec<(i64, String, Option<String>)> = sqlx::query_as(
            "select groups.id, groups.name, email from groups
             left join group_users on group_id = groups.id
             left join users on users.id = user_id order by groups.id, email",
        )
        .fetch_all(&self.reads)
        .await?;
        let mut groups: Vec<Group> = Vec::new();
        for (id, name, email) in rows {
            if groups.last().is_none_or(|last| last.id != id) {
                let users = Vec::new();
                groups.push(Group { id, name, users });
            }
            if let (Some(group), Some(email)) = (groups.last_mut(), email) {
                group.users.push(email);
            }
        }
        Ok(groups)
    }

    /// Makes a group, or makes one that is there have these users and no others. Says its id.
    pub(crate) async fn set_group(&self, name: &str, users: &[String]) -> Result<i64> {
        if name.trim() != name || name.is_empty() || name.contains(char::is_control) {
            return Err(Error::must_be("name", "one line of text", name));
        }
        let mut transaction = self.begin_write().await?;
        sqlx::query("insert into groups (name) values ($1) on conflict do nothing")
            .bind(name)
            .execute(&mut *transaction)
            .await?;
        let id = group_id(&mut transaction, name).await?;
        sqlx::query("delete from group_users where group_id = $1")
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        for email in users {
            let user = user_id(&mut transaction, email).await?;
            sqlx::query("insert into group_users (group_id, user_id) values ($1, $2) on conflict do nothing")
                .bind(id)
                .bind(user)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(id)
    }

    /// Removes a group, and with it what is shared with it.
    pub(crate) async fn remove_group(&self, id: i64) -> Result<()> {
        let removed = sqlx::query("delete from groups where id = $1")
            .bind(id)
            .execute(&self.writes)
            .await?
            .rows_affected();
        must_exist(removed, &format!("group `{id}`"))
    }

    /// With whom a report is shared: `everyone`, e-mail addresses, and groups as `group:NAME`.
    pub(crate) async fn shares(&self, report_id: i64) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar(
            "select coalesce(email, $2 || groups.name, $3) from report_shares
             left join users on users.id = user_id
             left join groups on groups.id = group_id
             where report_id = $1 order by user_id, group_id",
        )
        .bind(report_id)
        .bind(GROUP)
        .bind(EVERYONE)
        .fetch_all(&self.reads)
        .await?)
    }

    /// Shares a report with these and nobody else, if this user may; without one it is done on the server itself.
    pub(crate) async fn set_shares(
        &self,
        report_id: i64,
        shared_with: &[String],
        by: Option<&User>,
    ) -> Result<()> {
        let mut transaction = self.begin_write().await?;
        may_change(&mut transaction, report_id, by).await?;
        share(&mut transaction, report_id, shared_with).await?;
        transaction.commit().await
    }
}

/// Shares a report with these and nobody else, in a transaction.
pub(super) async fn share(
    connection: &mut SqliteConnection,
    report_id: i64,
    shared_with: &[String],
) -> Result<()> {
    sqlx::query("delete from report_shares where report_id = $1")
        .bind(report_id)
        .execute(&mut *connection)
        .await?;
    for name in shared_with {
        let (user, group) = match (name.as_str(), name.strip_prefix(GROUP)) {
            (EVERYONE, _) => (None, None),
            (_, Some(name)) => (None, Some(group_id(connection, name).await?)),
            (email, None) => (Some(user_id(connection, email).await?), None),
        };
        sqlx::query(
            "insert into report_shares (report_id, user_id, group_id) values ($1, $2, $3) on conflict do nothing",
        )
        .bind(report_id)
        .bind(user)
        .bind(group)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn user_id(connection: &mut SqliteConnection, email: &str) -> Result<i64> {
    let id = sqlx::query_scalar("select id from users where email = $1")
        .bind(email)
        .fetch_optional(connection)
        .await?;
    id.ok_or_else(|| Error::invalid(format!("there is no user `{email}`")))
}

async fn group_id(connection: &mut SqliteConnection, name: &str) -> Result<i64> {
    let id = sqlx::query_scalar("select id from groups where name = $1")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    id.ok_or_else(|| Error::invalid(format!("there is no group `{name}`")))
}
