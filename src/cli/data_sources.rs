//! `holistics data_sources`: the data sources of a server.

use clap::Args;
use clap::Subcommand;
use serde::Deserialize;
use serde_json::Map;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cli::client::Client;
use crate::cli::id;
use crate::cli::output::say_list;
use crate::cli::output::say_members;
use crate::cli::output::unless_json;
use crate::cli::profile::ServerArgs;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

#[derive(Args)]
#[command(after_help = "Examples:
  holistics data_sources list
  holistics data_sources show 1 --json")]
pub(super) struct DataSourcesArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the data sources of the server that you are logged in to
    List,
    /// Show one data source
    Show {
        /// Its number
        #[arg(value_name = "ID", value_parser = id)]
        id: i64,
    },
}

#[derive(Deserialize)]
struct DataSource {
    id: i64,
    dbtype: String,
    name: String,
}

/// The data source with this number, or else with this name.
pub(super) fn source_id(client: &Client, given: &str) -> Result<i64> {
    if let Ok(id) = given.parse() {
        return Ok(id);
    }
    let sources: Vec<DataSource> = client.get_json("/data_sources.json")?;
    let found = sources.iter().find(|source| source.name == given);
    found.map(|source| source.id).ok_or_else(|| {
        let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
        let there = match names.is_empty() {
            true => "there is none that you may see".to_owned(),
            false => format!("there are {}", names.join(", ")),
        };
        let message = format!("there is no data source `{given}`; {there}");
        Error::new(ErrorCode::NotFound, message)
    })
}

pub(super) fn run(args: &DataSourcesArgs) -> Result<()> {
    let client = args.server.client()?;
    match args.command {
        Command::List => {
            let answer: Box<RawValue> = client.get_json("/data_sources.json")?;
            let Some(sources) = unless_json::<Vec<DataSource>>(&answer)? else {
                return Ok(());
            };
            let rows = sources
                .into_iter()
                .map(|source| vec![source.id.to_string(), source.dbtype, source.name]);
            say_list(&["ID", "Type", "Name"], rows.collect())
        }
        Command::Show { id } => {
            let answer: Box<RawValue> = client.get_json(&format!("/data_sources/{id}.json"))?;
            match unless_json::<Map<String, Value>>(&answer)? {
                Some(source) => say_members(source),
                None => Ok(()),
            }
        }
    }
}
