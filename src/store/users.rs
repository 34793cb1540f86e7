//! Users.

use crate::access::Role;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::store::Store;
use crate::store::must_exist;
use crate::store::now_us;
use crate::user::User;

impl Store {
    /// Adds a user. The address must be new.
    pub(crate) async fn add_user(
        &self,
        email: &str,
        name: &str,
        role: Role,
        api_access: bool,
    ) -> Result<User> {
        sqlx::query_as(
            "insert into users (email, name, role, api_access, created_at)
             values ($1, $2, $3, $4, $5)
             on conflict (email) do nothing
             returning *",
        )
        .bind(email)
        .bind(name)
        .bind(role)
        .bind(api_access)
        .bind(now_us())
        .fetch_all(&self.writes)
        .await?
        .pop()
        .ok_or_else(|| Error::new(ErrorCode::Conflict, format!("there is a user `{email}` already")))
    }

    pub(crate) async fn user_by_email(&self, email: &str) -> Result<Option<User>> {
        Ok(sqlx::query_as("select * from users where email = $1")
            .bind(email)
            .fetch_optional(&self.reads)
            .await?)
    }

    pub(crate) async fn user(&self, id: i64) -> Result<Option<User>> {
        Ok(sqlx::query_as("select * from users where id = $1")
            .bind(id)
            .fetch_optional(&self.reads)
            .await?)
    }

    /// The e-mail address of a user.
    pub(crate) async fn email_of(&self, id: i64) -> Result<String> {
        Ok(sqlx::query_scalar("select email from users where id = $1")
            .bind(id)
            .fetch_one(&self.reads)
            .await?)
    }

    pub(crate) async fn users(&self) -> Result<Vec<User>> {
        Ok(sqlx::query_as("select * from users order by id")
            .fetch_all(&self.reads)
            .await?)
    }

    /// Switches "Allow API access" of a user; their keys stop or start to work at once.
    pub(crate) async fn set_api_access(&self, email: &str, api_access: bool) -> Result<()> {
        self.switch(
            email,
            "update users set api_access = $1 where email = $2",
            api_access,
        )
        .await
    }

    /// Switches whether a user may import files.
    pub(crate) async fn set_can_import(&self, email: &str, can_import: bool) -> Result<()> {
        self.switch(
            email,
            "update users set can_import = $1 where email = $2",
            can_import,
        )
        .await
    }

    /// Switches whether a user may take whole files.
    pub(crate) async fn set_can_export(&self, email: &str, can_export: bool) -> Result<()> {
        self.switch(
            email,
            "update users set can_export = $1 where email = $2",
            can_export,
        )
        .await
    }

    /// Makes a user something else.
    pub(crate) async fn set_role(&self, email: &str, role: Role) -> Result<()> {
        self.switch(email, "update users set role = $1 where email = $2", role.name())
            .await
    }

    async fn switch<'q, T>(&self, email: &'q str, sql: &'static str, to: T) -> Result<()>
    where
        T: sqlx::Encode<'q, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + 'q,
    {
        let changed = sqlx::query(sql)
            .bind(to)
            .bind(email)
            .execute(&self.writes)
            .await?
            .rows_affected();
        must_exist(changed, &format!("user `{email}`"))
    }
}
