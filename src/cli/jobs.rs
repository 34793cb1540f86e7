//! `holistics jobs`: the jobs of a server.

use clap::Args;
use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;

use crate::cli::login::client;
use crate::error::Result;

#[derive(Args)]
pub(super) struct JobsArgs {
    /// Where the server is; else `host:` of ~/.holistics.yml
    #[arg(long, env = "HOLISTICS_HOST", value_name = "URL", global = true)]
    host: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Stop a job, also at its database; one that has ended stays as it is
    Cancel {
        /// The job's number
        #[arg(value_name = "ID")]
        id: u64,
    },
}

#[derive(Deserialize)]
struct Cancelled {
    status: String,
}

pub(super) fn run(args: JobsArgs) -> Result<()> {
    let client = client(args.host.as_deref())?;
    match args.command {
        Command::Cancel { id } => {
            let cancelled: Cancelled =
                client.send_json("PUT", &format!("/jobs/{id}/cancel.json"), &json!({}))?;
            say!("[job:{id}] {}", cancelled.status);
            Ok(())
        }
    }
}
