//! `holistics reports apply`, `share` and `remove` with `--host` or `--profile`: on a server elsewhere.

use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use crate::cli::client::Client;
use crate::cli::reports::parse_files;
use crate::cli::reports::read_files;
use crate::error::Error;
use crate::error::Result;

/// What a server tells of a report that it was sent.
#[derive(Deserialize)]
struct Changed {
    status: String,
}

/// Whom a report is shared with.
#[derive(Deserialize)]
struct Shared {
    shared_with: Vec<String>,
}

/// With the key of `holistics login`. What is wrong with any file, here or there, is told before the first is applied.
pub(super) fn apply_to(client: &Client, dir: &Path, dry_run: bool) -> Result<()> {
    let files = read_files(dir)?;
    let named: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let reports = parse_files(&named)?;
    let send = |name: &str, text: &str, dry_run: bool| -> Result<Changed> {
        let asked = json!({"file": text, "dry_run": dry_run});
        let sent: Result<Changed> = client.send_json("POST", "/queries.json", &asked);
        sent.map_err(|error| Error::new(error.code, format!("{name}: {error}")))
    };
    let mut tried = Vec::new();
    for (name, text) in &named {
        tried.push(send(name, text, true)?.status);
    }
    for ((report, (name, text)), tried) in reports.iter().zip(&named).zip(tried) {
        // Told one by one: should a later one fail, these are done.
        let done = match (dry_run, tried.as_str()) {
            (true, "unchanged") => tried,
            (true, _) => format!("would be {tried}"),
            (false, _) => send(name, text, false)?.status,
        };
        say!("report {} `{}`: {done}", report.id, report.title);
    }
    Ok(())
}

/// Shares a report of a server.
pub(super) fn share_on(client: &Client, id: i64, shared_with: &[String]) -> Result<()> {
    let asked = json!({"shared_with": shared_with});
    let shared: Shared = client.send_json("PUT", &format!("/queries/{id}/shares.json"), &asked)?;
    say_shares(id, &shared.shared_with)
}

pub(super) fn say_shares(id: i64, shared_with: &[String]) -> Result<()> {
    match shared_with {
        [] => say!("report {id} is shared with nobody"),
        with => say!("report {id} is shared with {}", with.join(", ")),
    }
    Ok(())
}

/// Removes a report from a server.
pub(super) fn remove_from(client: &Client, id: i64) -> Result<()> {
    let _: Changed = client.send_json("DELETE", &format!("/queries/{id}.json"), &json!({}))?;
    say!("removed report {id}");
    Ok(())
}
