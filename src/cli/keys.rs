//! `holistics keys`: keys to the API.

use chrono::DateTime;
use clap::Args;
use clap::Subcommand;

use crate::api_key::PlainKey;
use crate::cli::block_on;
use crate::cli::data::DataArgs;
use crate::cli::users::plain;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

#[derive(Args)]
pub(super) struct KeysArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a key and print it, alone, on standard output; it is never shown again
    Create {
        /// Whose key; they need API access
        #[arg(long, value_name = "EMAIL")]
        user: String,
        /// What the key is for
        #[arg(long, default_value = "")]
        name: String,
    },
    /// List keys, without the keys themselves
    List,
    /// Revoke a key by its id; it opens nothing from then on
    Revoke { id: i64 },
}

pub(super) fn run(args: KeysArgs) -> Result<()> {
    block_on(async {
        let store = args.data.open().await?;
        match args.command {
            Command::Create { user, name } => {
                plain(&name)?;
                let owner = store.user_by_email(&user).await?.ok_or_else(|| {
                    Error::new(
                        ErrorCode::NotFound,
                        format!("there is no user `{user}`; add one with `holistics users add {user} --api-access`"),
                    )
                })?;
                let key = PlainKey::generate()?;
                store.add_key(owner.id, &name, &key.hash()).await?;
                store.close().await;
                if !owner.api_access {
                    eprintln!("note: the key opens nothing until `holistics users api-access {user} on`");
                }
                say!("{}", key.reveal());
            }
            Command::List => {
                say!("ID | User | Name | Created | Last used | Revoked");
                for key in store.keys().await? {
                    say!(
                        "{} | {} | {} | {} | {} | {}",
                        key.id,
                        key.email,
                        key.name,
                        time(Some(key.created_at)),
                        time(key.last_used_at),
                        time(key.revoked_at)
                    );
                }
            }
            Command::Revoke { id } => {
                store.revoke_key(id).await?;
                store.close().await;
                say!("revoked key {id}");
            }
        }
        Ok(())
    })
}

fn time(time_us: Option<i64>) -> String {
    match time_us.and_then(DateTime::from_timestamp_micros) {
        Some(time) => time.format("%Y-%m-%d %H:%M UTC").to_string(),
        None => "-".to_owned(),
    }
}
