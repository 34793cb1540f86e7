//! `holistics feeds`: live links to the files of reports.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use clap::Subcommand;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use serde_json::value::RawValue;

use crate::cli::client::Client;
use crate::cli::id;
use crate::cli::output::say_list;
use crate::cli::output::say_object;
use crate::cli::output::unless_json;
use crate::cli::profile::CSV_PROFILES;
use crate::cli::profile::ServerArgs;
use crate::cli::submit::by_name;
use crate::cli::submit::report_id;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

/// How many a server is asked for at a time.
const PAGE_SIZE: usize = 1_000;

#[derive(Args)]
#[command(after_help = "Examples:
  holistics feeds create --report 7 --format csv --filter since=2026-01-01 --max-age 15m
  holistics feeds create --report 7 --csv-profile excel --expires 90d
  holistics feeds list")]
pub(super) struct FeedsArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a link and print it, alone, on standard output; it is never shown again
    Create {
        /// The report's number or title
        #[arg(long, value_name = "REPORT")]
        report: String,
        /// csv, json, xlsx, parquet, ndjson or arrow
        #[arg(long, default_value = "csv")]
        format: String,
        /// A filter's value, such as since=2026-01-31; given again for a further value
        #[arg(long = "filter", value_name = "FILTER=VALUE")]
        filters: Vec<String>,
        /// How old the file may be, such as 15m; each fetch runs the report unless given
        #[arg(long, default_value = "0s", value_name = "DURATION", value_parser = humantime::parse_duration)]
        max_age: Duration,
        /// How long the link lives, such as 90d
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
        expires: Option<Duration>,
        /// Hand an older file out while a new one is late, or when its report fails
        #[arg(long)]
        stale_ok: bool,
        /// Of csv; `--profile excel` says the same
        #[arg(long, value_parser = CSV_PROFILES)]
        csv_profile: Option<String>,
    },
    /// List links, without their tokens
    List,
    /// Give a link another token and print it; the one before opens nothing any more
    Rotate {
        /// The feed's number
        #[arg(value_name = "ID", value_parser = id)]
        id: i64,
    },
    /// Have a link answer 403 until it is resumed
    Pause {
        /// The feed's number
        #[arg(value_name = "ID", value_parser = id)]
        id: i64,
    },
    /// Let a paused link go on
    Resume {
        /// The feed's number
        #[arg(value_name = "ID", value_parser = id)]
        id: i64,
    },
    /// Remove a link; it opens nothing any more
    Revoke {
        /// The feed's number
        #[arg(value_name = "ID", value_parser = id)]
        id: i64,
    },
}

/// Files are that old, and links live for, so many seconds.
fn whole_secs(name: &str, duration: Duration) -> Result<u64> {
    let shown = || humantime::format_duration(duration).to_string();
    match duration.subsec_nanos() {
        0 => Ok(duration.as_secs()),
        _ => Err(Error::must_be(name, "a whole number of seconds", &shown())),
    }
}

/// What a server tells of a feed.
#[derive(Deserialize)]
struct Feed {
    id: i64,
    report_id: i64,
    format: String,
    filters: BTreeMap<String, Vec<String>>,
    max_age: u64,
    is_paused: bool,
    last_used_at: Option<String>,
    expires_at: Option<String>,
}

pub(super) fn run(args: FeedsArgs) -> Result<()> {
    let client = args.server.client_of_files()?;
    let pause = |id: i64, is_paused: bool| -> Result<Value> {
        client.send_json(
            "PUT",
            &format!("/feeds/{id}.json"),
            &json!({"is_paused": is_paused}),
        )
    };
    match args.command {
        Command::Create {
            report,
            format,
            filters,
            max_age,
            expires,
            stale_ok,
            csv_profile,
        } => {
            let values = by_name(&filters)?;
            let asked = json!({
                "report_id": report_id(&client, &report)?,
                "format": format,
                "filters": values,
                "max_age": whole_secs("--max-age", max_age)?,
                "stale_ok": stale_ok,
                "expires_in": expires.map(|expires| whole_secs("--expires", expires)).transpose()?,
                "profile": csv_profile.as_deref().or(args.server.csv_profile()),
            });
            let made = client.send_json("POST", "/feeds.json", &asked);
            say_url(made.map_err(|error: Error| match error.code {
                ErrorCode::NotFound => error.and(&format!("is there a report `{report}`?")),
                _ => error,
            })?)
        }
        Command::List => {
            let answer = all_feeds(&client)?;
            let Some(feeds) = unless_json::<Vec<Feed>>(&answer)? else {
                return Ok(());
            };
            let names = [
                "ID",
                "Report",
                "Format",
                "Filters",
                "Max age",
                "Paused",
                "Last used",
                "Expires",
            ];
            say_list(&names, feeds.into_iter().map(Feed::row).collect())
        }
        Command::Rotate { id } => {
            say_url(client.send_json("POST", &format!("/feeds/{id}/rotate.json"), &json!({}))?)
        }
        Command::Pause { id } => say_object(&pause(id, true)?, &format!("paused feed {id}")),
        Command::Resume { id } => say_object(&pause(id, false)?, &format!("resumed feed {id}")),
        Command::Revoke { id } => {
            let feed: Value = client.send_json("DELETE", &format!("/feeds/{id}.json"), &json!({}))?;
            say_object(&feed, &format!("revoked feed {id}"))
        }
    }
}

/// All of them, as the server tells them.
fn all_feeds(client: &Client) -> Result<Box<RawValue>> {
    let mut feeds = Vec::new();
    for page in 1.. {
        let path = format!("/feeds.json?_page={page}&_page_size={PAGE_SIZE}");
        let more: Vec<Box<RawValue>> = client.get_json(&path)?;
        let is_last = more.len() < PAGE_SIZE;
        feeds.extend(more);
        if is_last {
            break;
        }
    }
    Ok(serde_json::value::to_raw_value(&feeds)?)
}

/// The address alone, for a script to take.
fn say_url(feed: Value) -> Result<()> {
    say_object(&feed, feed["url"].as_str().unwrap_or_default())
}

impl Feed {
    fn row(self) -> Vec<String> {
        let filters: Vec<String> = self
            .filters
            .iter()
            .map(|(name, values)| format!("{name}={}", values.join(",")))
            .collect();
        vec![
            self.id.to_string(),
            self.report_id.to_string(),
            self.format,
            filters.join(" "),
            humantime::format_duration(Duration::from_secs(self.max_age)).to_string(),
            self.is_paused.to_string(),
            self.last_used_at.unwrap_or_else(|| "-".to_owned()),
            self.expires_at.unwrap_or_else(|| "-".to_owned()),
        ]
    }
}
