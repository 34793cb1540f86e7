//! `holistics export`: a report of a server into a file, whole or not at all.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;

use crate::cli::client::Client;
use crate::cli::download::Download;
use crate::cli::download::save_aside;
use crate::cli::interrupt::Interrupt;
use crate::cli::output::is_json;
use crate::cli::output::print_beside;
use crate::cli::output::say_note;
use crate::cli::output::say_object;
use crate::cli::profile::CSV_PROFILES;
use crate::cli::profile::ServerArgs;
use crate::cli::submit::Submit;
use crate::cli::submit::options;
use crate::cli::submit::spinner;
use crate::cli::submit::submit;
use crate::error::Error;
use crate::error::Result;
use crate::plural::plural;

/// What standard output is called: as a path it may lead to a file, which is not to be replaced.
const STANDARD_OUTPUTS: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
pub(super) const FORMATS: [&str; 6] = ["csv", "json", "xlsx", "ndjson", "parquet", "arrow"];

#[derive(Args)]
#[command(after_help = "Examples:
  holistics export 2 -o revenue.xlsx
  holistics export 'Revenue by nation' --filter region=ASIA -o asia.csv --csv-profile excel
  holistics export 6 --filter ids=1 --filter ids=2 --format ndjson -o - | jq .name

The file appears when it is whole and its SHA-256 is that of the server. A download that breaks off is resumed.
Ctrl-C stops the job, at its database too.")]
pub(super) struct ExportArgs {
    /// The report's number, or its title if no other has it
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
    /// `excel`: a CSV file that Excel reads as it is meant; `--profile excel` says the same
    #[arg(long, value_parser = CSV_PROFILES)]
    csv_profile: Option<String>,
    /// Take the first rows of a result that has more than it may
    #[arg(long)]
    truncate: bool,
    /// Run the report now, whatever result of earlier there is
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// What is exported, and where to.
pub(super) struct Export<'a> {
    pub(super) report: &'a str,
    pub(super) format: &'a str,
    pub(super) filters: &'a [String],
    pub(super) csv_profile: Option<&'a str>,
    pub(super) truncate: bool,
    pub(super) fresh: bool,
    /// `None` for standard output.
    pub(super) output: Option<&'a Path>,
}

pub(super) fn run(args: &ExportArgs) -> Result<()> {
    let format = format_of(args)?;
    let ending = ending_of(&args.output);
    if ending != format && FORMATS.contains(&ending.as_str()) {
        say_note(&format!(
            "`{}` holds {format}, as --format says",
            args.output.display()
        ));
    }
    let output = Some(args.output.as_path()).filter(|path| !is_standard(path));
    if let Some(path) = output {
        check_place(path)?;
    }
    let csv_profile = args.csv_profile.as_deref().or(args.server.csv_profile());
    if let Some(profile) = csv_profile.filter(|_| format != "csv") {
        return Err(Error::invalid(format!(
            "`{profile}` is a profile of CSV files, and this one is {format}"
        )));
    }
    let export = Export {
        report: &args.report,
        format: &format,
        filters: &args.filters,
        csv_profile,
        truncate: args.truncate,
        fresh: args.fresh,
        output,
    };
    export.run(&args.server.client_of_files()?)
}

impl Export<'_> {
    pub(super) fn run(&self, client: &Client) -> Result<()> {
        let bar = spinner()?;
        let interrupt = Interrupt::watch(client, &bar)?;
        let job_id = self.submit(client, &interrupt)?;
        let download = Download {
            client,
            job_id,
            bar: &bar,
            interrupt: &interrupt,
        };
        let told = match self.output {
            None => download.write(&mut std::io::stdout().lock(), "standard output"),
            Some(path) => save_aside(path, &interrupt, |file, place| download.write(file, place)),
        };
        // A file that has no place is none that a job should make.
        let (manifest, told) = told.map_err(|error| interrupt.given_up(client, error))?;
        bar.finish_and_clear();
        if manifest.truncated {
            say_note(&format!(
                "the result has more rows than it may: these are the first {}",
                manifest.rows
            ));
        }
        match (self.output, is_json()) {
            // Standard output is the data's.
            (None, true) => print_beside(&told.to_string()),
            (None, false) => {}
            (Some(_), true) => say_object(&told, "")?,
            (Some(path), false) => {
                let rows = plural(manifest.rows, "row");
                let bytes = manifest.bytes;
                print_beside(&format!("{rows}, {bytes} bytes in `{}`", path.display()));
            }
        }
        Ok(())
    }

    /// Has the file made, and says the job.
    pub(super) fn submit(&self, client: &Client, interrupt: &Interrupt) -> Result<i64> {
        let mut options = options(self.truncate, self.fresh);
        options.extend(self.csv_profile.map(|profile| ("_profile", profile)));
        let asked = Submit {
            report: self.report,
            action: &format!("submit_export.{}", self.format),
            filters: self.filters,
            options,
        };
        submit(client, &asked, interrupt)
    }
}

fn is_standard(path: &Path) -> bool {
    STANDARD_OUTPUTS.iter().any(|name| path == Path::new(name))
}

fn ending_of(path: &Path) -> String {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.unwrap_or_default().to_lowercase()
}

fn format_of(args: &ExportArgs) -> Result<String> {
    if let Some(format) = &args.format {
        return Ok(format.clone());
    }
    let ending = ending_of(&args.output);
    match FORMATS.contains(&ending.as_str()) {
        true => Ok(ending),
        false if is_standard(&args.output) => Err(Error::invalid(format!(
            "standard output does not say its format: add --format (one of {})",
            FORMATS.join(", ")
        ))),
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
        _ if fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::InvalidFilename) => {
            Err(Error::invalid(format!(
                "`{}` is too long for the name of a file",
                path.display()
            )))
        }
        _ if path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") => {
            Err(Error::invalid(format!("`{}` is a folder", path.display())))
        }
        _ if path.as_os_str().as_encoded_bytes().contains(&b'\\') && !cfg!(windows) => {
            Err(Error::invalid(format!(
                "`{}` is written like a path of Windows: here it is / that parts folders",
                path.display()
            )))
        }
        _ => Ok(()),
    }
}
