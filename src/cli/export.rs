//! `holistics export`: a report of a server into a file, whole or not at all.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io::ErrorKind;
use std::io::Read as _;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use sha2::Digest as _;
use sha2::Sha256;

use crate::cli::client::Client;
use crate::cli::login::client;
use crate::cli::serve::stop_signal;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::hex::hex;

/// What standard output is called.
const STANDARD_OUTPUT: &str = "-";
const FORMATS: [&str; 6] = ["csv", "json", "xlsx", "ndjson", "parquet", "arrow"];
/// How long one poll waits, in seconds.
const WAIT_SECS: u32 = 10;
/// How often in a row a download may break off.
const BREAKS_MAX: u32 = 5;
const PIECE_BYTES: usize = 256 << 10;

#[derive(Args)]
pub(super) struct ExportArgs {
    /// The report's number, alone or with its slug
    report: String,
    /// The file, whose ending says its format (csv, json, xlsx, ndjson, parquet, arrow); - is standard output
    #[arg(short = 'o', long, value_name = "PATH")]
    output: PathBuf,
    /// A filter's value, such as since=2026-01-31; given again for a further value
    #[arg(long = "filter", value_name = "FILTER=VALUE")]
    filters: Vec<String>,
    /// The format, where the file's name does not say it
    #[arg(long, value_parser = FORMATS)]
    format: Option<String>,
    /// `excel`: a CSV file that Excel reads as it is meant
    #[arg(long, value_parser = ["data", "excel"])]
    profile: Option<String>,
    /// Take the first rows of a result that has more than it may
    #[arg(long)]
    truncate: bool,
    /// Where the server is; else `host:` of ~/.holistics.yml
    #[arg(long, env = "HOLISTICS_HOST", value_name = "URL")]
    host: Option<String>,
}

#[derive(Deserialize)]
struct Submitted {
    job_id: i64,
}

#[derive(Deserialize)]
struct Polled {
    status: String,
    error: Option<String>,
    export: Option<Link>,
}

#[derive(Deserialize)]
struct Link {
    http_path: String,
}

#[derive(Deserialize)]
struct Manifest {
    rows: u64,
    bytes: u64,
    sha256: String,
    truncated: bool,
}

pub(super) fn run(args: ExportArgs) -> Result<()> {
    let format = format_of(&args)?;
    let to_stdout = args.output == Path::new(STANDARD_OUTPUT);
    if !to_stdout {
        check_place(&args.output)?;
    }
    let client = Arc::new(client(args.host.as_deref())?);
    let job_id = Arc::new(AtomicI64::new(0));
    cancel_on_interrupt(client.clone(), job_id.clone())?;
    let bar = ProgressBar::no_length().with_style(style("{spinner} {msg} ({elapsed})")?);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar.set_message("submitting");
    let mut query = Vec::new();
    query.extend(
        args.profile
            .as_deref()
            .map(|profile| format!("_profile={profile}")),
    );
    query.extend(args.truncate.then(|| "_truncate=true".to_owned()));
    let report = percent_encoding::utf8_percent_encode(&args.report, percent_encoding::NON_ALPHANUMERIC);
    let path = format!("/queries/{report}/submit_export.{format}?{}", query.join("&"));
    let submitted: Submitted = client.send_json("POST", &path, &filters(&args.filters)?)?;
    job_id.store(submitted.job_id, Ordering::Relaxed);
    let link = wait(&client, submitted.job_id, &bar)?;
    let manifest: Manifest = client.get_json(&format!("/jobs/{}/manifest.json", submitted.job_id))?;
    job_id.store(0, Ordering::Relaxed);
    bar.set_length(manifest.bytes);
    bar.set_style(style(
        "{bytes} of {total_bytes} {wide_bar} {bytes_per_sec}, {eta} left",
    )?);
    match to_stdout {
        true => download(&client, &link, &manifest, &bar, &mut std::io::stdout().lock())?,
        false => save(&client, &link, &manifest, &bar, &args.output)?,
    }
    bar.finish_and_clear();
    if manifest.truncated {
        eprintln!(
            "note: the result has more rows than it may: these are the first {}",
            manifest.rows
        );
    }
    if !to_stdout {
        eprintln!(
            "{} rows, {} bytes in `{}`",
            manifest.rows,
            manifest.bytes,
            args.output.display()
        );
    }
    Ok(())
}

fn format_of(args: &ExportArgs) -> Result<String> {
    if let Some(format) = &args.format {
        return Ok(format.clone());
    }
    let ending = args
        .output
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default();
    match FORMATS.contains(&ending.to_lowercase().as_str()) {
        true => Ok(ending.to_lowercase()),
        false => Err(Error::invalid(format!(
            "`{}` does not say its format: name it like report.csv, or add --format (one of {})",
            args.output.display(),
            FORMATS.join(", ")
        ))),
    }
}

/// Found out before a report is run for a file that has no place.
fn check_place(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => Err(Error::invalid(format!(
            "there is no folder `{}`",
            folder.display()
        ))),
        _ if path.is_dir() => Err(Error::invalid(format!("`{}` is a folder", path.display()))),
        _ => Ok(()),
    }
}

/// `a=1` and `b=2`, `b=3` are `{"a": "1", "b": ["2", "3"]}`.
fn filters(given: &[String]) -> Result<Value> {
    let values = by_name(given)?;
    let values = values.into_iter().map(|(name, values)| match values.as_slice() {
        [value] => (name.to_owned(), json!(value)),
        _ => (name.to_owned(), json!(values)),
    });
    Ok(Value::Object(values.collect()))
}

/// Values of filters as the command line has them, by the filter's name.
pub(super) fn by_name(given: &[String]) -> Result<BTreeMap<&str, Vec<&str>>> {
    let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for filter in given {
        let (name, value) = filter
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| Error::must_be("--filter", "like since=2026-01-31", filter))?;
        values.entry(name).or_default().push(value);
    }
    Ok(values)
}

/// Polls until the file is there.
fn wait(client: &Client, job_id: i64, bar: &ProgressBar) -> Result<String> {
    let mut last_id = 0;
    loop {
        let secs = if bar.is_hidden() { WAIT_SECS } else { 1 };
        let path = format!("/queries/get_export_results.json?job_id={job_id}&_wait={secs}");
        let polled: Polled = client.get_json(&path)?;
        match (polled.status.as_str(), polled.export) {
            ("success", Some(link)) => return Ok(link.http_path),
            ("failure", _) => {
                let message = polled.error.unwrap_or_else(|| "the job failed".to_owned());
                return Err(Error::new(ErrorCode::SourceFailed, message));
            }
            _ => {}
        }
        if !bar.is_hidden() {
            let logs: Value = client.get_json(&format!("/jobs/{job_id}/logs.json?last_id={last_id}"))?;
            if let Some(line) = logs["logs"].as_array().and_then(|lines| lines.last()) {
                last_id = line["id"].as_i64().unwrap_or(last_id);
                bar.set_message(line["message"].as_str().unwrap_or_default().to_owned());
            }
        }
    }
}

/// Writes beside the file, which appears when it is whole. A pipe or a device stays what it is.
fn save(client: &Client, link: &str, manifest: &Manifest, bar: &ProgressBar, path: &Path) -> Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}.part", std::process::id()));
    let aside = PathBuf::from(aside);
    let unwritable =
        |error: &dyn std::fmt::Display| Error::invalid(format!("cannot write `{}`: {error}", path.display()));
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let device = File::options().write(true).open(path);
        let mut device = device.map_err(|error| unwritable(&error))?;
        return download(client, link, manifest, bar, &mut device);
    }
    let mut file = File::create_new(&aside).map_err(|error| unwritable(&error))?;
    let done = download(client, link, manifest, bar, &mut file)
        .and_then(|()| file.sync_all().map_err(|error| unwritable(&error)))
        .and_then(|()| fs::rename(&aside, path).map_err(|error| unwritable(&error)));
    if done.is_err() {
        let _ = fs::remove_file(&aside);
    }
    done
}

/// Fetches the file, goes on where it breaks off, and checks that it is what was made.
fn download(
    client: &Client,
    link: &str,
    manifest: &Manifest,
    bar: &ProgressBar,
    out: &mut impl Write,
) -> Result<()> {
    let incomplete = |message: String| Error::new(ErrorCode::SourceFailed, message);
    let mut sum = Sha256::new();
    let mut position = 0;
    let mut breaks = 0;
    let mut etag = String::new();
    let mut piece = vec![0; PIECE_BYTES];
    while position < manifest.bytes {
        let part = client.get_part(link, position, &etag);
        let mut answer = match part {
            Ok(answer) => answer,
            Err(_) if breaks < BREAKS_MAX => {
                breaks += 1;
                thread::sleep(Duration::from_millis(200) * breaks);
                continue;
            }
            Err(error) => return Err(error),
        };
        let expected = if position == 0 { 200 } else { 206 };
        if answer.status() != expected {
            let status = answer.status();
            return Err(incomplete(format!(
                "the file cannot be fetched any more: the server answered {status}"
            )));
        }
        if let Some(tag) = answer.headers().get("etag").and_then(|tag| tag.to_str().ok()) {
            tag.clone_into(&mut etag);
        }
        let mut body = answer.body_mut().as_reader();
        while let Ok(read @ 1..) = body.read(&mut piece) {
            let bytes = piece.get(..read).unwrap_or_default();
            sum.update(bytes);
            match out.write_all(bytes) {
                // A reader that has gone has had enough.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
                Err(error) => return Err(Error::invalid(format!("cannot write what arrives: {error}"))),
                Ok(()) => {}
            }
            position += read as u64;
            breaks = 0;
            bar.set_position(position);
        }
        breaks += 1;
        if position < manifest.bytes && breaks > BREAKS_MAX {
            let all = manifest.bytes;
            return Err(incomplete(format!(
                "the download broke off after {position} of {all} bytes"
            )));
        }
    }
    out.flush()
        .map_err(|error| Error::invalid(format!("cannot write what arrives: {error}")))?;
    match position == manifest.bytes && hex(&sum.finalize()) == manifest.sha256 {
        true => Ok(()),
        false => Err(incomplete(
            "what arrived is not what the server made: its SHA-256 is another".to_owned(),
        )),
    }
}

/// On Ctrl-C the job that is under way is stopped, also at its database.
fn cancel_on_interrupt(client: Arc<Client>, job_id: Arc<AtomicI64>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::internal)?;
    thread::spawn(move || {
        if runtime.block_on(stop_signal()).is_ok() {
            let id = job_id.load(Ordering::Relaxed);
            if id > 0 {
                let cancelled: Result<Value> =
                    client.send_json("PUT", &format!("/jobs/{id}/cancel.json"), &json!({}));
                let word = if cancelled.is_ok() { "cancelled" } else { "goes on" };
                eprintln!("interrupted: job {id} {word}");
            }
            std::process::exit(130);
        }
    });
    Ok(())
}

fn style(template: &str) -> Result<ProgressStyle> {
    ProgressStyle::with_template(template).map_err(Error::internal)
}
