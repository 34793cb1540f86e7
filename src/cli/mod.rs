//! The command line; one file per subcommand.

/// Prints a line on standard output. A reader that has gone is success, as for every tool in a pipe.
macro_rules! say {
    ($($argument:tt)*) => {
        $crate::cli::print_line(format_args!($($argument)*))?
    };
}

mod audit;
mod client;
mod data;
mod data_sources;
mod demo;
mod export;
mod feeds;
mod follow;
mod groups;
mod import;
mod jobs;
mod keys;
mod login;
mod reports;
pub(crate) mod serve;
mod sources;
mod tour;
mod tpch;
mod upload;
mod users;

use std::io::ErrorKind;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;

use crate::error::Error;
use crate::error::Result;

/// Runs SQL reports and hands out their data
#[derive(Parser)]
#[command(name = "holistics", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the main job on a TPC-H warehouse, then serve it
    Demo(demo::DemoArgs),
    /// Serve reports
    Serve(Box<serve::ServeArgs>),
    /// Reports as files
    Reports(reports::ReportsArgs),
    /// The databases that reports run on
    Sources(sources::SourcesArgs),
    /// Files into tables of data sources
    Import(import::ImportArgs),
    /// A report of a server into a file, whole and checked
    Export(export::ExportArgs),
    /// The data sources of a server
    #[command(name = "data_sources")]
    DataSources(data_sources::DataSourcesArgs),
    /// Jobs of the server that you are logged in to
    Jobs(jobs::JobsArgs),
    /// Who may use the server
    Users(users::UsersArgs),
    /// Users under one name, to share reports with
    Groups(groups::GroupsArgs),
    /// Live links to the files of reports
    Feeds(feeds::FeedsArgs),
    /// Who did what with the data
    Audit(audit::AuditArgs),
    /// Keys to the API
    Keys(keys::KeysArgs),
    /// Check a key against a server and remember it in ~/.holistics.yml
    Login(login::LoginArgs),
    /// Print the version
    Version,
}

/// Runs what the arguments say. Errors go to standard error, with a status that is not 0.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Serve(args) => serve::run(*args),
        Command::Reports(args) => reports::run(args),
        Command::Sources(args) => sources::run(args),
        Command::Import(args) => import::run(args),
        Command::Export(args) => export::run(args),
        Command::DataSources(args) => data_sources::run(args),
        Command::Jobs(args) => jobs::run(args),
        Command::Users(args) => users::run(args),
        Command::Feeds(args) => feeds::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Groups(args) => groups::run(args),
        Command::Keys(args) => keys::run(args),
        Command::Login(args) => login::run(args),
        Command::Version => print_line(format_args!("holistics {}", env!("CARGO_PKG_VERSION"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print_line(line: std::fmt::Arguments) -> Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Error::invalid(format!(
            "cannot write to standard output: {error}"
        ))),
        Ok(()) => Ok(()),
    }
}

/// Runs a command that works on the data folder for a moment.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::internal)?
        .block_on(work)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn arguments_are_well_formed() {
        Cli::command().debug_assert();
    }
}
