//! The command line; one file per subcommand.

#[macro_use]
mod output;
mod address;
mod answer;
mod apply;
mod audit;
mod client;
mod data;
mod data_sources;
mod demo;
mod download;
mod export;
mod faults;
mod feeds;
mod follow;
mod groups;
mod import;
mod interrupt;
mod jobs;
mod keyed;
mod keys;
mod login;
mod patience;
mod profile;
mod reports;
mod run;
pub(crate) mod serve;
mod server_reports;
mod shell;
mod sources;
mod submit;
mod table;
mod tour;
mod tpch;
mod upload;
mod users;
mod values;

use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;

use crate::cli::output::say_object;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

/// Runs SQL reports and hands out their data
#[derive(Parser)]
#[command(name = "holistics", version, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    output: output::OutputArgs,
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
    /// Look at the rows of a report of a server
    Run(run::RunArgs),
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
    /// Forget the key of a server
    Logout(login::LogoutArgs),
    /// Say who you are to a server, and what your key opens
    Whoami(login::WhoamiArgs),
    /// Print what makes a shell complete commands and options
    Completions(shell::CompletionsArgs),
    /// Write man pages into a folder
    Man(shell::ManArgs),
    /// Print the version
    Version,
}

/// Runs what the arguments say. Errors go to standard error, with a status that is not 0.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    cli.output.apply();
    let done = match cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Serve(args) => serve::run(*args),
        Command::Reports(args) => reports::run(args),
        Command::Sources(args) => sources::run(args),
        Command::Import(args) => import::run(args),
        Command::Run(args) => run::run(&args),
        Command::Export(args) => export::run(&args),
        Command::DataSources(args) => data_sources::run(&args),
        Command::Jobs(args) => jobs::run(args),
        Command::Users(args) => users::run(args),
        Command::Feeds(args) => feeds::run(args),
        Command::Audit(args) => audit::run(args),
        Command::Groups(args) => groups::run(args),
        Command::Keys(args) => keys::run(args),
        Command::Login(args) => login::login(args),
        Command::Logout(args) => login::logout(&args),
        Command::Whoami(args) => login::whoami(&args),
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
        Command::Version => version(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::say_error(&error);
            ExitCode::from(status(error.code))
        }
    }
}

/// How the program ends; docs/cli.md has them.
fn status(code: ErrorCode) -> u8 {
    match code {
        ErrorCode::InvalidRequest => 2,
        ErrorCode::Unauthorized | ErrorCode::Forbidden => 3,
        ErrorCode::Unreachable => 4,
        ErrorCode::SourceFailed | ErrorCode::Cancelled => 5,
        _ => 1,
    }
}

fn version() -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    say_object(
        &serde_json::json!({"version": version}),
        &format!("holistics {version}"),
    )
}

/// A number that an argument names something by.
fn id(text: &str) -> std::result::Result<i64, String> {
    let id = text.parse().ok().filter(|id| *id > 0);
    id.ok_or_else(|| "must be a number from 1, as lists have it".to_owned())
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

    #[test]
    fn every_argument_says_what_it_is() {
        fn silent(command: &clap::Command, path: &str) -> Vec<String> {
            let own = command
                .get_arguments()
                .filter(|argument| argument.get_help().is_none());
            let own = own.map(|argument| format!("{path}: {}", argument.get_id()));
            let below = command.get_subcommands();
            let below = below.flat_map(|below| silent(below, &format!("{path} {}", below.get_name())));
            own.chain(below).collect()
        }
        assert_eq!(silent(&Cli::command(), "holistics"), Vec::<String>::new());
    }
}
