//! `holistics sources`: the databases that reports run on.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::Subcommand;
use serde_json::json;

use crate::cli::block_on;
use crate::cli::data::DataArgs;
use crate::cli::output::is_json;
use crate::cli::output::say_object;
use crate::cli::output::say_objects;
use crate::config::Config;
use crate::connectors::sources::Connector;
use crate::error::Error;
use crate::error::Result;
use crate::http::sources::DataSource;
use crate::secret::SecretKey;
use crate::source::Mismatch;
use crate::source::NewSource;
use crate::source::Password;
use crate::source::Source;
use crate::source::SourceKind;
use crate::source::SourceSettings;
use crate::source::WAREHOUSE;
use crate::worker::source::engine_settings;

/// How long `check` lets a database think.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Args)]
pub(super) struct SourcesArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Add a source and print its id
    Add(Box<AddArgs>),
    /// List sources
    List,
    /// Show one source, without its password
    Show {
        /// The source's name
        name: String,
    },
    /// Connect to a source and say what is there, or what is wrong
    Check {
        /// The source's name
        name: String,
    },
    /// Remove a source that no report names
    Remove {
        /// The source's name
        name: String,
    },
}

#[derive(Args)]
struct AddArgs {
    /// What reports call it
    name: String,
    /// The kind of database; mysql is for MariaDB too
    #[arg(long = "type", value_name = "TYPE")]
    kind: SourceKind,
    /// Where it is: postgres://user@host:5432/database, mysql://user@host:3306/database, or a file's path
    #[arg(long)]
    url: String,
    /// Environment variable that holds the password
    #[arg(long, value_name = "VAR", conflicts_with = "password_file")]
    password_env: Option<String>,
    /// File that holds the password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Jobs that use it at the same time; 5 unless said otherwise
    #[arg(long, value_name = "COUNT")]
    concurrency: Option<u32>,
    /// How long the database lets one statement run, such as 5m; else as long as the server's query_timeout
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    statement_timeout: Option<Duration>,
    /// Time zone of the session, as the database names it
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Let imports write to it; reports never do
    #[arg(long)]
    writable: bool,
    /// Let imports write to it no more
    #[arg(long, conflicts_with = "writable")]
    read_only: bool,
    /// How the database's own list of connections names the server; holistics unless said otherwise
    #[arg(long, value_name = "NAME")]
    application_name: Option<String>,
    /// Of sqlite: what becomes of a value that is not of its column's declared type; error unless said otherwise
    #[arg(long, value_name = "WHAT")]
    mismatch: Option<Mismatch>,
    /// Change the source of this name, which keeps its id and all that is not said
    #[arg(long)]
    replace: bool,
}

pub(super) fn run(args: SourcesArgs) -> Result<()> {
    block_on(async {
        match args.command {
            Command::Add(add) => {
                let password = password(&add)?;
                let store = args.data.open_or_make().await?;
                let known = store.source_named(&add.name).await.ok();
                let known = known.filter(|known| add.replace && known.kind == add.kind);
                let settings = known.as_ref().map(|known| known.settings.clone());
                let new = new_source(&add, password, settings.unwrap_or_default())?;
                let sealed = match SecretKey::seal_of(args.data.folder(), &new)? {
                    None => known.and_then(|known| known.sealed_password),
                    sealed => sealed,
                };
                let id = store.add_source(&new, sealed, add.replace).await?;
                store.close().await;
                say_object(&json!({"id": id}), &id.to_string())?;
            }
            Command::List => {
                let sources = args.data.open().await?.sources().await?;
                let rows = sources.iter().map(|source| {
                    let imports = if source.settings.writable { "yes" } else { "no" };
                    let id = source.id.to_string();
                    let kind = source.kind.name().to_owned();
                    vec![id, kind, source.name.clone(), imports.to_owned()]
                });
                let rows = rows.collect();
                let shown = sources.into_iter().map(|source| DataSource::new(source, true));
                let shown: Vec<DataSource> = shown.collect();
                say_objects(&shown, &["ID", "Type", "Name", "Imports"], rows)?;
            }
            Command::Show { name } => {
                let source = args.data.open().await?.source_named(&name).await?;
                match is_json() {
                    true => say_object(&DataSource::new(source, true), "")?,
                    false => show(&source)?,
                }
            }
            Command::Check { name } => {
                let source = args.data.open().await?.source_named(&name).await?;
                if source.name == WAREHOUSE {
                    say!("{name}: the server's own DuckDB file, which the server opens when it starts");
                    return Ok(());
                }
                let password = SecretKey::open_of(args.data.folder(), &source)?;
                let engine = engine_settings(&Config::in_folder(args.data.folder())?);
                let found = Connector::new(&source, password.as_ref(), CHECK_TIMEOUT, &engine)?
                    .check()
                    .await?;
                say!("{name}: {found}");
            }
            Command::Remove { name } => {
                let store = args.data.open().await?;
                store.remove_source(&name).await?;
                store.close().await;
                say!("removed source {name}");
            }
        }
        Ok(())
    })
}

fn password(add: &AddArgs) -> Result<Option<Password>> {
    let text = match (&add.password_env, &add.password_file) {
        (Some(variable), _) => env::var(variable)
            .map_err(|_| Error::invalid(format!("the environment variable `{variable}` is not set")))?,
        (None, Some(path)) => fs::read_to_string(path)
            .map_err(|error| Error::invalid(format!("cannot read `{}`: {error}", path.display())))?
            .trim_end_matches(['\r', '\n'])
            .to_owned(),
        (None, None) => return Ok(None),
    };
    Ok(Some(Password::new(text)))
}

/// The source as the arguments have it, and as it was where they say nothing.
fn new_source(add: &AddArgs, password: Option<Password>, known: SourceSettings) -> Result<NewSource> {
    let is_file = matches!(add.kind, SourceKind::Sqlite | SourceKind::Duckdb);
    let url = match is_file && !add.url.contains(':') {
        // Here alone is it known what a path starts from.
        true => std::path::absolute(&add.url)?.display().to_string(),
        false => add.url.clone(),
    };
    if add
        .statement_timeout
        .is_some_and(|timeout| timeout.as_secs() == 0)
    {
        return Err(Error::invalid("`--statement-timeout` must be a second or more"));
    }
    let settings = SourceSettings {
        concurrency: add.concurrency.unwrap_or(known.concurrency),
        statement_timeout_secs: add
            .statement_timeout
            .map_or(known.statement_timeout_secs, |timeout| timeout.as_secs()),
        time_zone: add.time_zone.clone().unwrap_or(known.time_zone),
        writable: (known.writable || add.writable) && !add.read_only,
        application_name: add.application_name.clone().unwrap_or(known.application_name),
        mismatch: add.mismatch.unwrap_or(known.mismatch),
    };
    NewSource::new(add.name.clone(), add.kind, &url, password, settings)
}

fn show(source: &Source) -> Result<()> {
    let settings = &source.settings;
    say!("id: {}", source.id);
    say!("name: {}", source.name);
    say!("type: {}", source.kind.name());
    say!("url: {}", source.url);
    say!(
        "password: {}",
        if source.sealed_password.is_some() {
            "set"
        } else {
            "none"
        }
    );
    say!("concurrency: {}", settings.concurrency);
    let timeout = match settings.statement_timeout_secs {
        0 => "that of the server (query_timeout)".to_owned(),
        seconds => humantime::format_duration(Duration::from_secs(seconds)).to_string(),
    };
    say!("statement_timeout: {timeout}");
    say!("time_zone: {}", settings.time_zone);
    say!("writable: {}", settings.writable);
    say!("application_name: {}", settings.application_name);
    if source.kind == SourceKind::Sqlite {
        let mismatch = match settings.mismatch {
            Mismatch::Error => "error",
            Mismatch::Text => "text",
        };
        say!("mismatch: {mismatch}");
    }
    Ok(())
}
