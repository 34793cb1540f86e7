//! `holistics audit`: who did what with the data.

use clap::Args;
use clap::Subcommand;

use crate::cli::block_on;
use crate::cli::data::DataArgs;
use crate::cli::output::print;
use crate::error::Result;
use crate::http::audit::shown;

/// Records read at a time.
const STEP: i64 = 1_000;

#[derive(Args)]
pub(super) struct AuditArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the records, a JSON object a line, oldest first
    Export {
        /// Only what comes after the record with this id
        #[arg(long, default_value_t = 0, value_name = "ID")]
        after: i64,
    },
}

pub(super) fn run(args: AuditArgs) -> Result<()> {
    let Command::Export { mut after } = args.command;
    block_on(async {
        let store = args.data.open().await?;
        loop {
            let records = store.records_after(after, STEP).await?;
            let Some(last) = records.last() else {
                break;
            };
            after = last.id;
            for record in records {
                print(&shown(record).to_string())?;
            }
        }
        store.close().await;
        Ok(())
    })
}
