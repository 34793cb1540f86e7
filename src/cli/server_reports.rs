//! `holistics reports list`, `show` and `open`: what there is to run.

use std::env;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::export::Export;
use crate::cli::export::FORMATS;
use crate::cli::interrupt::Interrupt;
use crate::cli::output::is_json;
use crate::cli::output::say_list;
use crate::cli::output::say_note;
use crate::cli::output::say_object;
use crate::cli::output::unless_json;
use crate::cli::profile::ServerArgs;
use crate::cli::submit::spinner;
use crate::cli::submit::wait;
use crate::error::Result;

#[derive(Args)]
pub(super) struct OpenArgs {
    /// The report's number, or its title if no other has it
    report: String,
    /// A filter's value, such as since=2026-01-31; given again for a further value
    #[arg(long = "filter", value_name = "FILTER=VALUE")]
    filters: Vec<String>,
    /// The format of the file
    #[arg(long, value_parser = FORMATS, default_value = "xlsx")]
    format: String,
    /// Run the report now, whatever result of earlier there is
    #[arg(long)]
    fresh: bool,
}

#[derive(Deserialize)]
struct Polled {
    export: Link,
}

#[derive(Deserialize)]
struct Link {
    http_path: String,
}

/// A report as a server shows it.
#[derive(Deserialize)]
struct Shown {
    id: i64,
    slug: String,
    title: String,
    description: String,
    version: i64,
    source: String,
    /// Seconds.
    #[serde(default)]
    cache: u64,
    filters: Vec<Filter>,
    sql: Option<String>,
    shared_with: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Filter {
    name: String,
    label: String,
    #[serde(rename = "type")]
    filter_type: String,
    #[serde(default)]
    of: String,
    required: bool,
    multiple: bool,
    #[serde(default)]
    default: Vec<Option<String>>,
    values: Option<Vec<Value>>,
    #[serde(default)]
    has_values_sql: bool,
}

#[derive(Deserialize)]
struct Value {
    key: String,
    #[serde(default)]
    label: String,
}

impl Value {
    /// What is sent, and what people read if that says more.
    fn shown(&self) -> String {
        let Self { key, label } = self;
        match label.is_empty() || label == key {
            true => key.clone(),
            false => format!("{key} ({label})"),
        }
    }
}

impl Filter {
    /// What values are given by: a date range has two.
    fn names(&self) -> String {
        match self.filter_type.as_str() {
            "date_range" => format!("{name}_start, {name}_end", name = self.name),
            _ => self.name.clone(),
        }
    }

    fn kind(&self) -> String {
        match (self.filter_type.as_str(), self.of.as_str()) {
            (kind @ ("list" | "dropdown"), of) if !["", "text"].contains(&of) => format!("{kind} of {of}"),
            (kind, _) => kind.to_owned(),
        }
    }
}

/// Lists reports, as a server answers them.
pub(super) fn list(answer: &RawValue) -> Result<()> {
    let Some(reports) = unless_json::<Vec<Shown>>(answer)? else {
        return Ok(());
    };
    // Only who may change reports is told.
    let tells_shares = reports.iter().any(|report| report.shared_with.is_some());
    let rows = reports.into_iter().map(|report| {
        let filters: Vec<String> = report.filters.iter().map(Filter::names).collect();
        let mut row = vec![
            report.id.to_string(),
            report.version.to_string(),
            report.title,
            filters.join(", "),
        ];
        let shares = report.shared_with.unwrap_or_default().join(", ");
        row.extend(tells_shares.then_some(shares));
        row
    });
    let mut names = vec!["ID", "Version", "Title", "Filters"];
    names.extend(tells_shares.then_some("Shared with"));
    say_list(&names, rows.collect())
}

/// Shows a report, as a server answers it.
pub(super) fn show(answer: &RawValue) -> Result<()> {
    let Some(report) = unless_json::<Shown>(answer)? else {
        return Ok(());
    };
    say!("{} ({}, version {})", report.title, report.slug, report.version);
    if !report.description.is_empty() {
        say!("{}", report.description);
    }
    say!("source: {}", report.source);
    if report.cache > 0 {
        let cache = humantime::format_duration(Duration::from_secs(report.cache));
        say!("cache: {cache}");
    }
    if let Some(shared_with) = &report.shared_with {
        let nobody = "nobody but its owner and administrators".to_owned();
        let shown = if shared_with.is_empty() {
            nobody
        } else {
            shared_with.join(", ")
        };
        say!("shared with: {shown}");
    }
    for filter in &report.filters {
        let must = if filter.required { ", required" } else { "" };
        let many = if filter.multiple { ", several values" } else { "" };
        let default = listed(", default ", filter.default.iter().flatten().cloned());
        let values = filter.values.iter().flatten().map(Value::shown);
        let one_of = match filter.has_values_sql {
            true => format!(
                ", one of what `holistics reports values {} {}` lists",
                report.id, filter.name
            ),
            false => listed(", one of ", values),
        };
        say!(
            "filter {}: {}{must}{many}{default}{one_of} ({})",
            filter.names(),
            filter.kind(),
            filter.label
        );
    }
    if let Some(sql) = &report.sql {
        say!("\n{}", sql.trim_end());
    }
    Ok(())
}

/// Words and what they are of, or nothing.
fn listed(words: &str, texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.collect();
    match texts.is_empty() {
        true => String::new(),
        false => format!("{words}{}", texts.join(", ")),
    }
}

pub(super) fn open(server: &ServerArgs, args: &OpenArgs) -> Result<()> {
    let client = server.client_of_files()?;
    let export = Export {
        report: &args.report,
        format: &args.format,
        filters: &args.filters,
        csv_profile: server.csv_profile(),
        truncate: false,
        fresh: args.fresh,
        output: None,
    };
    let bar = spinner()?;
    let interrupt = Interrupt::watch(&client, &bar)?;
    let job_id = export.submit(&client, &interrupt)?;
    let poll = format!("/queries/get_export_results.json?job_id={job_id}");
    let done = wait(&client, job_id, &poll, &bar, &interrupt, None)?;
    let polled: Polled = serde_json::from_str(&done).map_err(|_| client.is_no_server())?;
    let link = polled.export.http_path;
    bar.finish_and_clear();
    say_object(&serde_json::json!({"job_id": job_id, "http_path": link}), &link)?;
    if !is_json() && console::Term::stdout().is_term() {
        browse(&link);
    }
    Ok(())
}

/// The link is printed, so that it is no failure if no browser opens it.
fn browse(link: &str) {
    let opener = env::var("BROWSER").unwrap_or_else(|_| match cfg!(target_os = "macos") {
        true => "open".to_owned(),
        false => "xdg-open".to_owned(),
    });
    let started = Command::new(&opener)
        .arg(link)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if started.is_err() {
        say_note(&format!("cannot start `{opener}`; BROWSER names a browser"));
    }
}
