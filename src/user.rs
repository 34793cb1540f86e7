//! A user: who acts. Plain data.

/// Somebody with keys.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) email: String,
    pub(crate) name: String,
    /// May see the jobs of others.
    pub(crate) is_admin: bool,
    /// Without it the user's keys open nothing.
    pub(crate) api_access: bool,
    /// May import files into sources that are writable.
    pub(crate) can_import: bool,
}
