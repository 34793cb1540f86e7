//! A user: who acts. Plain data.

use crate::access::Role;
use crate::error::Error;
use crate::error::Result;

/// Somebody with keys.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct User {
    pub(crate) id: i64,
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Without it the user's keys open nothing.
    pub(crate) api_access: bool,
    /// May import files into sources that are writable.
    pub(crate) can_import: bool,
    /// May take whole files, beside pages.
    pub(crate) can_export: bool,
}

impl User {
    /// What to call somebody with this address, unless something else is given. Names go into tables and logs,
    /// where a control character could forge a line.
    pub(crate) fn name_for(email: &str, given: Option<&str>) -> Result<String> {
        let before_at = match email.split_once('@') {
            Some((name, host)) if !name.is_empty() && !host.is_empty() => name,
            _ => return Err(Error::must_be("email", "an e-mail address", email)),
        };
        let name = given.unwrap_or(before_at);
        for text in [email, name] {
            if text.contains(char::is_control) {
                return Err(Error::invalid(format!("{text:?} has a control character")));
            }
        }
        Ok(name.to_owned())
    }
}
