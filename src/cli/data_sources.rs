//! `holistics data_sources`: the data sources of a server.

use clap::Args;
use clap::Subcommand;
use serde::Deserialize;

use crate::cli::login::client;
use crate::error::Result;

#[derive(Args)]
pub(super) struct DataSourcesArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the data sources of the server that you are logged in to
    List {
        /// Where the server is; else `host:` of ~/.holistics.yml
        #[arg(long, env = "HOLISTICS_HOST", value_name = "URL")]
        host: Option<String>,
    },
}

#[derive(Deserialize)]
struct DataSource {
    id: i64,
    dbtype: String,
    name: String,
}

pub(super) fn run(args: DataSourcesArgs) -> Result<()> {
    let Command::List { host } = args.command;
    let sources: Vec<DataSource> = client(host.as_deref())?.get_json("/data_sources.json")?;
    say!("ID | Type | Name");
    for source in sources {
        say!("{} | {} | {}", source.id, source.dbtype, source.name);
    }
    Ok(())
}
