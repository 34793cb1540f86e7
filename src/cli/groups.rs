//! `holistics groups`: users under one name, to share reports with.

use clap::Args;
use clap::Subcommand;

use crate::cli::block_on;
use crate::cli::data::DataArgs;
use crate::cli::output::say_objects;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::http::users::GroupShown;
use crate::plural::plural;

#[derive(Args)]
pub(super) struct GroupsArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a group, or have one that is there consist of these users
    Set {
        /// The group's name
        name: String,
        /// The e-mail addresses of its users
        #[arg(value_name = "EMAIL")]
        users: Vec<String>,
    },
    /// List groups with their users
    List,
    /// Remove a group; what was shared with it is so no more
    Remove {
        /// The group's name
        name: String,
    },
}

pub(super) fn run(args: GroupsArgs) -> Result<()> {
    block_on(async {
        let store = args.data.open().await?;
        match args.command {
            Command::Set { name, users } => {
                store.set_group(&name, &users).await?;
                say!("group {name} has {}", plural(users.len() as u64, "user"));
            }
            Command::List => {
                let groups = store.groups().await?;
                let rows = groups
                    .iter()
                    .map(|group| vec![group.id.to_string(), group.name.clone(), group.users.join(", ")]);
                let rows = rows.collect();
                let shown: Vec<GroupShown> = groups.into_iter().map(GroupShown::from).collect();
                say_objects(&shown, &["ID", "Name", "Users"], rows)?;
            }
            Command::Remove { name } => {
                let group = store.groups().await?.into_iter().find(|group| group.name == name);
                let group = group
                    .ok_or_else(|| Error::new(ErrorCode::NotFound, format!("there is no group `{name}`")))?;
                store.remove_group(group.id).await?;
                say!("removed group {name}");
            }
        }
        store.close().await;
        Ok(())
    })
}
