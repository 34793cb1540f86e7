//! `holistics feeds`: live links to the files of reports.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use clap::Subcommand;
use serde::Deserialize;
use serde_json::json;

use crate::cli::export::by_name;
use crate::cli::login::client;
use crate::error::Result;

#[derive(Args)]
pub(super) struct FeedsArgs {
    /// Where the server is; else `host:` of ~/.holistics.yml
    #[arg(long, env = "HOLISTICS_HOST", value_name = "URL", global = true)]
    host: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a link and print it, alone, on standard output; it is never shown again
    Create {
        /// The report's number
        #[arg(long, value_name = "ID")]
        report: i64,
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
        /// data or excel; of csv
        #[arg(long)]
        profile: Option<String>,
    },
    /// List links, without their tokens
    List,
    /// Give a link another token and print it; the one before opens nothing any more
    Rotate { id: i64 },
    /// Have a link answer 403 until it is resumed
    Pause { id: i64 },
    /// Let a paused link go on
    Resume { id: i64 },
    /// Remove a link; it opens nothing any more
    Revoke { id: i64 },
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
    url: Option<String>,
}

pub(super) fn run(args: FeedsArgs) -> Result<()> {
    let client = client(args.host.as_deref())?;
    let pause = |id: i64, is_paused: bool| -> Result<Feed> {
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
            profile,
        } => {
            let values = by_name(&filters)?;
            let asked = json!({
                "report_id": report,
                "format": format,
                "filters": values,
                "max_age": max_age.as_secs(),
                "stale_ok": stale_ok,
                "expires_in": expires.map(|expires| expires.as_secs()),
                "profile": profile,
            });
            let feed: Feed = client.send_json("POST", "/feeds.json", &asked)?;
            say!("{}", feed.url.unwrap_or_default());
        }
        Command::List => {
            let feeds: Vec<Feed> = client.get_json("/feeds.json")?;
            say!("ID | Report | Format | Filters | Max age | Paused | Last used | Expires");
            for feed in feeds {
                let filters: Vec<String> = feed
                    .filters
                    .iter()
                    .map(|(name, values)| format!("{name}={}", values.join(",")))
                    .collect();
                say!(
                    "{} | {} | {} | {} | {} | {} | {} | {}",
                    feed.id,
                    feed.report_id,
                    feed.format,
                    filters.join(" "),
                    humantime::format_duration(Duration::from_secs(feed.max_age)),
                    feed.is_paused,
                    feed.last_used_at.as_deref().unwrap_or("-"),
                    feed.expires_at.as_deref().unwrap_or("-"),
                );
            }
        }
        Command::Rotate { id } => {
            let feed: Feed = client.send_json("POST", &format!("/feeds/{id}/rotate.json"), &json!({}))?;
            say!("{}", feed.url.unwrap_or_default());
        }
        Command::Pause { id } => say!("paused feed {}", pause(id, true)?.id),
        Command::Resume { id } => say!("resumed feed {}", pause(id, false)?.id),
        Command::Revoke { id } => {
            let feed: Feed = client.send_json("DELETE", &format!("/feeds/{id}.json"), &json!({}))?;
            say!("revoked feed {}", feed.id);
        }
    }
    Ok(())
}
