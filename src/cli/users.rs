//! `holistics users`: who may use the server.

use clap::Args;
use clap::Subcommand;

use crate::access::Role;
use crate::cli::block_on;
use crate::cli::data::DataArgs;
use crate::cli::output::say_objects;
use crate::error::Error;
use crate::error::Result;
use crate::http::users::UserShown;
use crate::user::User;

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
        /// Whose: the e-mail address
        email: String,
        /// How to call them; the part of the address before @ unless given
        #[arg(long)]
        name: Option<String>,
        /// A viewer runs what is shared with them, an analyst makes reports, an administrator may everything
        #[arg(long, value_enum, default_value = "viewer")]
        role: Role,
        /// May use keys
        #[arg(long)]
        api_access: bool,
        /// May import files into sources that are writable
        #[arg(long)]
        can_import: bool,
    },
    /// Switch a user's API access on or off; off stops all their keys at once
    ApiAccess {
        /// Whose: the e-mail address
        email: String,
        /// on or off
        #[arg(value_parser = ["on", "off"])]
        switch: String,
    },
    /// Let a user import files, or no more
    Imports {
        /// Whose: the e-mail address
        email: String,
        /// on or off
        #[arg(value_parser = ["on", "off"])]
        switch: String,
    },
    /// Let a user take whole files, or pages alone
    Exports {
        /// Whose: the e-mail address
        email: String,
        /// on or off
        #[arg(value_parser = ["on", "off"])]
        switch: String,
    },
    /// Make a user a viewer, an analyst or an administrator
    Role {
        /// Whose: the e-mail address
        email: String,
        /// What it is from now on
        #[arg(value_enum)]
        role: Role,
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
                role,
                api_access,
                can_import,
            } => {
                let name = User::name_for(&email, name.as_deref())?;
                let store = args.data.open_or_make().await?;
                let user = store.add_user(&email, &name, role, api_access).await?;
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
            Command::Exports { email, switch } => {
                let store = args.data.open().await?;
                store.set_can_export(&email, switch == "on").await?;
                store.close().await;
                say!("exports of {email} are {switch}");
            }
            Command::Role { email, role } => {
                let store = args.data.open().await?;
                store.set_role(&email, role).await?;
                store.close().await;
                say!("{email} is a user with the role {}", role.name());
            }
            Command::List => {
                let users = args.data.open().await?.users().await?;
                let shown: Vec<UserShown> = users.iter().cloned().map(UserShown::from).collect();
                let rows = users.into_iter().map(|user| {
                    let rights = [user.api_access, user.can_import, user.can_export];
                    let mut row = vec![user.id.to_string(), user.email, user.name];
                    row.push(user.role.name().to_owned());
                    row.extend(rights.map(|right| right.to_string()));
                    row
                });
                let names = ["ID", "Email", "Name", "Role", "API access", "Imports", "Exports"];
                say_objects(&shown, &names, rows.collect())?;
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
