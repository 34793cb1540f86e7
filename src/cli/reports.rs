//! `holistics reports`: reports as files.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use serde_json::value::RawValue;
use serde_json::value::to_raw_value;

use crate::access::Sight;
use crate::cli::apply::apply_to;
use crate::cli::apply::remove_from;
use crate::cli::apply::say_shares;
use crate::cli::apply::share_on;
use crate::cli::block_on;
use crate::cli::data::DataArgs;
use crate::cli::id;
use crate::cli::output::say_note;
use crate::cli::profile::ServerArgs;
use crate::cli::server_reports;
use crate::cli::server_reports::OpenArgs;
use crate::cli::submit::report_id;
use crate::cli::submit::the_one;
use crate::cli::values::ValuesArgs;
use crate::cli::values::values;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::http::reports::ReportInfo;
use crate::query::file::parse_report;
use crate::report::Report;
use crate::source::WAREHOUSE;
use crate::store::Store;
use crate::store::reports::Change;

#[derive(Args)]
#[command(after_help = "Examples:
  holistics reports list                                   those of the server that you may run
  holistics reports show 'Revenue by nation'
  holistics reports open 2 --format xlsx --filter region=ASIA
  holistics reports values 2 region                        what a filter may be, where a query lists that
  holistics reports list --data-dir holistics-data         those in the folder, on the server itself
  holistics reports apply my-reports --dry-run

list and show ask the server, unless --data-dir or HOLISTICS_DATA_DIR names a folder; open and values always do.
apply, share and remove work on the folder, unless --host, --profile or their variables name a server.")]
pub(super) struct ReportsArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring the .sql files of a folder into the server, with --host or --profile into that one: new reports and new versions; reports without a file stay
    Apply {
        /// The folder, with one report a file
        dir: PathBuf,
        /// Only say what would change
        #[arg(long)]
        dry_run: bool,
    },
    /// List reports
    List,
    /// Show a report with its filters, and its SQL if you may change it
    Show {
        /// Its number, or its title if no other has it
        report: String,
    },
    /// Have a report run into a file, print the link to it, and on a terminal open that in $BROWSER
    Open(OpenArgs),
    /// List what a filter may be, where a query of the report says that (`values_sql`)
    Values(ValuesArgs),
    /// Share a report with these and nobody else; with none it is its owner's and administrators' alone
    Share {
        /// The report's number
        #[arg(value_name = "ID", value_parser = id)]
        id: i64,
        /// `everyone`, an e-mail address, or `group:NAME`
        #[arg(value_name = "WITH")]
        shared_with: Vec<String>,
    },
    /// Remove a report; a file of it that is still applied brings it back
    Remove {
        /// The report's number
        #[arg(value_name = "ID", value_parser = id)]
        id: i64,
    },
}

pub(super) fn run(args: ReportsArgs) -> Result<()> {
    if args.server.has_option() && args.data.is_option() {
        return Err(Error::invalid(
            "name a server or a data folder (--data-dir), not both",
        ));
    }
    let asks_server = args.server.has_option() || !args.data.is_named();
    let changes_server = asks_server && args.server.is_named();
    match &args.command {
        Command::List if asks_server => {
            let answer: Box<RawValue> = args.server.client()?.get_json("/queries.json")?;
            return server_reports::list(&answer);
        }
        Command::Show { report } if asks_server => {
            let client = args.server.client()?;
            let id = report_id(&client, report)?;
            let answer: Box<RawValue> = client.get_json(&format!("/queries/{id}.json"))?;
            return server_reports::show(&answer);
        }
        Command::Open(_) | Command::Values(_) if args.data.is_option() => {
            return Err(Error::invalid(
                "open and values ask a server: leave --data-dir out",
            ));
        }
        Command::Open(open) => return server_reports::open(&args.server, open),
        Command::Values(asked) => return values(&args.server, asked),
        Command::Apply { dir, dry_run } if changes_server => {
            return apply_to(&args.server.client()?, dir, *dry_run);
        }
        Command::Share { id, shared_with } if changes_server => {
            return share_on(&args.server.client()?, *id, shared_with);
        }
        Command::Remove { id } if changes_server => {
            return remove_from(&args.server.client()?, *id);
        }
        _ => {}
    }
    block_on(async {
        match args.command {
            Command::List => server_reports::list(&to_raw_value(&in_folder(&args.data).await?)?)?,
            Command::Show { report } => {
                let reports = in_folder(&args.data).await?;
                let id = the_one(&report, reports.iter().map(ReportInfo::names))?;
                let mut found = reports.iter().filter(|report| report.names().0 == id);
                let missing = || Error::new(ErrorCode::NotFound, format!("there is no report `{id}`"));
                server_reports::show(&to_raw_value(found.next().ok_or_else(missing)?)?)?;
            }
            Command::Open(_) | Command::Values(_) => {}
            Command::Apply { dir, dry_run } => {
                say_where(&args.data, &args.server, "brings reports to")?;
                let reports = read_folder(&dir)?;
                let is_there = args.data.is_there();
                if dry_run && !is_there {
                    check_sources(&reports, &[WAREHOUSE])?;
                    for Report { id, title, .. } in &reports {
                        say!("report {id} `{title}`: would be created");
                    }
                    return Ok(());
                }
                let store = args.data.open_or_make().await?;
                if !is_there {
                    say_note(&format!(
                        "`{}` is a new data folder",
                        args.data.folder().display()
                    ));
                }
                let lines = apply(&store, &reports, dry_run).await?;
                store.close().await;
                for line in lines {
                    say!("{line}");
                }
            }
            Command::Remove { id } => {
                say_where(&args.data, &args.server, "removes it from")?;
                let store = args.data.open().await?;
                store.remove_report(id, None).await?;
                store.close().await;
                say!("removed report {id}");
            }
            Command::Share { id, shared_with } => {
                say_where(&args.data, &args.server, "shares it on")?;
                let store = args.data.open().await?;
                store.set_shares(id, &shared_with, None).await?;
                let shares = store.shares(id).await?;
                store.close().await;
                say_shares(id, &shares)?;
            }
        }
        Ok(())
    })
}

/// Who is logged in to a server and names no folder may mean either.
fn say_where(data: &DataArgs, server: &ServerArgs, does: &str) -> Result<()> {
    if data.is_named() {
        return Ok(());
    }
    let Some(host) = server.logged_in_to()? else {
        return Ok(());
    };
    let (folder, profile) = (data.folder().display(), server.profile());
    say_note(&format!(
        "this is of the data folder `{folder}`; --profile {profile} {does} {host}, where you are logged in"
    ));
    Ok(())
}

/// The reports of a data folder, as a server would show them.
async fn in_folder(data: &DataArgs) -> Result<Vec<ReportInfo>> {
    let store = data.open().await?;
    let mut reports = Vec::new();
    for found in store.reports_seen_by(&Sight::of_the_server()).await? {
        let shares = store.shares(found.report.id).await?;
        reports.push(ReportInfo::of(&found, Some(shares)));
    }
    store.close().await;
    Ok(reports)
}

/// Reads every `.sql` file of a folder. All faults are told at once.
pub(super) fn read_folder(dir: &Path) -> Result<Vec<Report>> {
    let files = read_files(dir)?;
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    parse_files(&files)
}

/// Names and texts of every `.sql` file of a folder.
pub(super) fn read_files(dir: &Path) -> Result<Vec<(String, String)>> {
    let unreadable =
        |path: &Path, error| Error::invalid(format!("cannot read `{}`: {error}", path.display()));
    if dir.is_file() {
        let message = format!("`{}` is a file: name the folder that it is in", dir.display());
        return Err(Error::invalid(message));
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(|error| unreadable(dir, error))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "sql") && !is_pipe(&path) {
            let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
            files.push((path.display().to_string(), text));
        }
    }
    if files.is_empty() {
        return Err(Error::invalid(format!("`{}` has no .sql file", dir.display())));
    }
    files.sort();
    Ok(files)
}

/// Reading a named pipe or a device would wait for ever.
fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file())
}

/// Parses report files, each with its name.
pub(super) fn parse_files(files: &[(&str, &str)]) -> Result<Vec<Report>> {
    let mut reports: Vec<Report> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    let mut faults = Vec::new();
    for (name, text) in files {
        let report = match parse_report(name, text) {
            Ok(report) => report,
            Err(error) => {
                faults.push(error.message);
                continue;
            }
        };
        if let Some(other) = reports.iter().position(|other| other.id == report.id) {
            faults.push(format!(
                "{name}: `id: {}` is taken by {}",
                report.id, names[other]
            ));
        }
        reports.push(report);
        names.push(name);
    }
    match faults.is_empty() {
        true => Ok(reports),
        false => Err(Error::invalid(faults.join("\n"))),
    }
}

fn check_sources(reports: &[Report], sources: &[&str]) -> Result<()> {
    let faults: Vec<String> = reports
        .iter()
        .filter(|report| !sources.contains(&report.source.as_str()))
        .map(
            |Report {
                 id, title, source, ..
             }| {
                format!(
                    "report {id} `{title}`: there is no source `{source}`; there are {}",
                    sources.join(", ")
                )
            },
        )
        .collect();
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Error::invalid(faults.join("\n"))),
    }
}

/// Applies reports and says in a line each what that did.
pub(super) async fn apply(store: &Store, reports: &[Report], dry_run: bool) -> Result<Vec<String>> {
    let sources = store.sources().await?;
    let sources: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    check_sources(reports, &sources)?;
    let changes = store.apply_reports(reports, None, dry_run).await?;
    let would = if dry_run { "would be " } else { "" };
    let lines = reports.iter().zip(changes).map(|(report, change)| {
        let Report { id, title, .. } = report;
        match change {
            Change::Created if report.shared_with.is_none() => format!(
                "report {id} `{title}`: {would}created, for administrators alone (`holistics reports share {id} everyone` changes that)"
            ),
            Change::Created => format!("report {id} `{title}`: {would}created"),
            Change::Changed(version) => format!("report {id} `{title}`: {would}changed, version {version}"),
            Change::Unchanged => format!("report {id} `{title}`: unchanged"),
        }
    });
    Ok(lines.collect())
}
