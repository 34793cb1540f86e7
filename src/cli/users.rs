//! `holistics users`: who may use the server.

use clap::Args;
use clap::Subcommand;

use crate::cli::block_on;
use crate::cli::data::DataArgs;
use crate::error::Error;
use crate::error::Result;

#[derive(Args)]
pub(super) struct UsersArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Add a user
    Add {
        email: String,
        /// How to call them; the part of the address before @ unless given
        #[arg(long)]
        name: Option<String>,
        /// May see the jobs of everybody
        #[arg(long)]
        admin: bool,
        /// May use keys
        #[arg(long)]
        api_access: bool,
        /// May import files into sources that are writable
        #[arg(long)]
        can_import: bool,
    },
    /// Switch a user's API access on or off; off stops all their keys at once
    ApiAccess {
        email: String,
        #[arg(value_parser = ["on", "off"])]
        switch: String,
    },
    /// Let a user import files, or no more
    Imports {
        email: String,
        #[arg(value_parser = ["on", "off"])]
        switch: String,
    },
    /// List users
    List,
}

pub(super) fn run(args: UsersArgs) -> Result<()> {
    block_on(async {
        match args.command {
            Command::Add {
                email,
                name,
                admin,
                api_access,
                can_import,
            } => {
                plain(&email)?;
                plain(name.as_deref().unwrap_or_default())?;
                let before_at = match email.split_once('@') {
                    Some((name, host)) if !name.is_empty() && !host.is_empty() => name.to_owned(),
                    _ => return Err(Error::invalid(format!("`{email}` is no e-mail address"))),
                };
                let store = args.data.open_or_make().await?;
                let name = name.unwrap_or(before_at);
                let user = store.add_user(&email, &name, admin, api_access).await?;
                if can_import {
                    store.set_can_import(&email, true).await?;
                }
                store.close().await;
                say!("added user {} with id {}", user.email, user.id);
            }
            Command::ApiAccess { email, switch } => {
                let store = args.data.open().await?;
                store.set_api_access(&email, switch == "on").await?;
                store.close().await;
                say!("API access of {email} is {switch}");
            }
            Command::Imports { email, switch } => {
                let store = args.data.open().await?;
                store.set_can_import(&email, switch == "on").await?;
                store.close().await;
                say!("imports of {email} are {switch}");
            }
            Command::List => {
                let users = args.data.open().await?.users().await?;
                say!("ID | Email | Name | Admin | API access | Imports");
                for user in users {
                    say!(
                        "{} | {} | {} | {} | {} | {}",
                        user.id,
                        user.email,
                        user.name,
                        user.is_admin,
                        user.api_access,
                        user.can_import
                    );
                }
            }
        }
        Ok(())
    })
}

/// Names go into tables and logs, where a control character could forge a line.
pub(super) fn plain(text: &str) -> Result<()> {
    match text.chars().any(char::is_control) {
        true => Err(Error::invalid(format!("{text:?} has a control character"))),
        false => Ok(()),
    }
}
