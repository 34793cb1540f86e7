//! `holistics import csv`: a file into a table of a data source.

use std::fs::File;
use std::fs::Permissions;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use arrow::record_batch::RecordBatch;
use clap::Args;
use clap::Subcommand;
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::cli::client::Client;
use crate::cli::data_sources::source_id;
use crate::cli::download::PIECE_BYTES;
use crate::cli::download::save_aside;
use crate::cli::follow::Told;
use crate::cli::follow::follow;
use crate::cli::interrupt::Interrupt;
use crate::cli::interrupt::MAY_HAVE_BEGUN;
use crate::cli::output::is_json;
use crate::cli::output::say_object;
use crate::cli::output::unwritable;
use crate::cli::profile::ServerArgs;
use crate::cli::upload::Upload;
use crate::data_import::Mode;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::exports::text::page_values;
use crate::imports;
use crate::imports::CsvOptions;
use crate::imports::Survey;
use crate::plural::plural;

/// How a job ends that does not succeed.
const ENDS: [ErrorCode; 2] = [ErrorCode::SourceFailed, ErrorCode::Cancelled];
/// What standard input is called.
const STANDARD_INPUT: &str = "-";
/// Rows that a dry run shows.
const ROWS_SHOWN: usize = 10;

#[derive(Args)]
pub(super) struct ImportArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Upload a CSV file, plain or compressed by gzip or zstd, into a table
    Csv(Box<CsvArgs>),
}

#[derive(Args)]
#[command(after_help = "Examples:
  holistics import csv -d 1 -f people.csv -t people
  holistics import csv -d 1 -f - -t events --mode append < events.csv
  holistics import csv -f people.csv --schema zip:text --dry-run")]
struct CsvArgs {
    /// The data source that the table is in, by its number or its name; `holistics data_sources list` shows them
    #[arg(short = 'd', long, value_name = "ID", required_unless_present = "dry_run")]
    dest_ds_id: Option<String>,
    /// The file; - is standard input
    #[arg(short = 'f', long, value_name = "PATH")]
    filepath: PathBuf,
    /// The table
    #[arg(short = 't', long, value_name = "NAME", required_unless_present = "dry_run")]
    dest_table_name: Option<String>,
    /// The table's schema; else the data source's own default
    #[arg(long, value_name = "NAME")]
    dest_schema_name: Option<String>,
    /// What becomes of a table that is there already
    #[arg(long, default_value = "replace")]
    mode: Mode,
    /// Types of columns, such as id:integer,price:decimal(12,2),note:text; the others are found out
    #[arg(long, value_name = "COLUMN:TYPE,…")]
    schema: Option<String>,
    /// What stands between two fields, such as ; or tab; else it is found out
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<String>,
    /// utf-8, utf-16 or windows-1252; else it is found out
    #[arg(long)]
    encoding: Option<String>,
    /// What stands for NULL; else an empty field does
    #[arg(long, value_name = "TEXT")]
    null: Option<String>,
    /// The first line holds values, not names
    #[arg(long, conflicts_with = "header")]
    no_header: bool,
    /// The first line holds names, whatever it looks like
    #[arg(long)]
    header: bool,
    /// Leave out as many rows that cannot be read, and save them in a file
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    max_errors: u64,
    /// Where to save the rows that were left out; else beside the file, with .rejects.csv after its name
    #[arg(long, value_name = "PATH")]
    rejects: Option<PathBuf>,
    /// Only say what would be made, with the first rows
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Deserialize)]
struct Submitted {
    job_id: i64,
}

pub(super) fn run(args: ImportArgs) -> Result<()> {
    let Command::Csv(args) = args.command;
    let options = options(&args)?;
    match args.dry_run {
        true => dry_run(&args, &options),
        false => import(&args),
    }
}

fn options(args: &CsvArgs) -> Result<CsvOptions> {
    let schema = args.schema.as_deref().map(imports::parse_schema).transpose()?;
    let delimiter = args
        .delimiter
        .as_deref()
        .map(imports::parse_delimiter)
        .transpose()?;
    Ok(CsvOptions {
        schema: schema.unwrap_or_default(),
        delimiter,
        encoding: args.encoding.as_deref().map(str::parse).transpose()?,
        null: args.null.clone(),
        header: header(args),
        errors_max: args.max_errors,
        ..CsvOptions::default()
    })
}

fn header(args: &CsvArgs) -> Option<bool> {
    match (args.header, args.no_header) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

fn import(args: &CsvArgs) -> Result<()> {
    if let Some(path) = &args.rejects {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if folder.is_some_and(|folder| !folder.is_dir()) || path.is_dir() {
            return Err(Error::must_be(
                "--rejects",
                "a file in a folder that is there",
                &path.display().to_string(),
            ));
        }
    }
    let client = args.server.client()?;
    let interrupt = Interrupt::watch(&client, &ProgressBar::hidden())?;
    let mut fields = fields(args);
    if let Some(source) = &args.dest_ds_id {
        fields.push(("dest_ds_id", source_id(&client, source)?.to_string()));
    }
    let upload = Upload::new(
        fields,
        open(&args.filepath)?,
        &file_name(&args.filepath),
        &interrupt,
    );
    let submitted: Result<Submitted> = client.upload("/data_imports/import_csv.json", upload);
    let may_have_begun = interrupt.import_is(submitted.as_ref().ok().map(|submitted| submitted.job_id));
    let id = submitted
        .map(|submitted| submitted.job_id)
        .map_err(|error| match error.code {
            ErrorCode::Unreachable if may_have_begun => error.and(MAY_HAVE_BEGUN),
            _ => error,
        })?;
    let followed = follow(&client, id, Told::Steps);
    interrupt.job_is_over();
    let error = followed.as_ref().err();
    if error.is_some_and(|error| !ENDS.contains(&error.code)) {
        let hint = format!("job {id} may go on, which `holistics jobs wait {id}` follows");
        return followed.map_err(|error| error.and(&hint));
    }
    let saved = match args.max_errors {
        0 => Ok(()),
        _ => save_rejects(&client, id, args, &interrupt),
    };
    followed.and(saved)
}

fn fields(args: &CsvArgs) -> Vec<(&'static str, String)> {
    let mut fields = vec![("mode", args.mode.name().to_owned())];
    let flags = [
        ("dest_table_name", args.dest_table_name.clone()),
        ("dest_schema_name", args.dest_schema_name.clone()),
        ("schema", args.schema.clone()),
        ("delimiter", args.delimiter.clone()),
        ("encoding", args.encoding.clone()),
        ("null", args.null.clone()),
        ("header", header(args).map(|header| header.to_string())),
        ("max_errors", Some(args.max_errors.to_string())),
    ];
    for (name, value) in flags {
        fields.extend(value.map(|value| (name, value)));
    }
    fields
}

/// A file, or nothing for standard input.
fn open(path: &Path) -> Result<Option<File>> {
    if path == Path::new(STANDARD_INPUT) {
        return Ok(None);
    }
    let cannot = |why: String| Error::invalid(format!("cannot read `{}`: {why}", path.display()));
    let file = File::open(path).map_err(|error| cannot(error.to_string()))?;
    match file.metadata()?.is_dir() {
        true => Err(cannot("it is a folder".to_owned())),
        false => Ok(Some(file)),
    }
}

fn file_name(path: &Path) -> String {
    match path.file_name() {
        Some(name) if path != Path::new(STANDARD_INPUT) => name.to_string_lossy().into_owned(),
        _ => "standard input".to_owned(),
    }
}

fn save_rejects(client: &Client, job_id: i64, args: &CsvArgs, interrupt: &Interrupt) -> Result<()> {
    let mut response = client.get_part(&client.url(&format!("/jobs/{job_id}/rejects.csv")), 0, "")?;
    // There are none.
    if response.status() == 404 {
        return Ok(());
    }
    if response.status() != 200 {
        return Err(no_rejects(job_id, &format!("status {}", response.status())));
    }
    let content = response.headers().get("content-type");
    if content.is_none_or(|content| !content.as_bytes().starts_with(b"text/csv")) {
        return Err(no_rejects(job_id, "what answers is no CSV file"));
    }
    let path = args.rejects.clone().unwrap_or_else(|| {
        let mut name = match args.filepath == Path::new(STANDARD_INPUT) {
            true => "stdin".into(),
            false => args.filepath.clone().into_os_string(),
        };
        name.push(".rejects.csv");
        name.into()
    });
    save_aside(&path, interrupt, |file, place| {
        let mut rejects = response.body_mut().as_reader();
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = rejects.read(&mut piece);
            let read = read.map_err(|error| no_rejects(job_id, &error.to_string()))?;
            match piece.get(..read) {
                None | Some([]) => return Ok(()),
                Some(bytes) => file.write_all(bytes).map_err(|error| unwritable(place, &error))?,
            }
        }
    })?;
    say!("the rows that were left out are in {}", path.display());
    Ok(())
}

fn no_rejects(job_id: i64, why: &str) -> Error {
    let message = format!(
        "the rows that were left out cannot be fetched ({why}): `/jobs/{job_id}/rejects.csv` has them"
    );
    Error::new(ErrorCode::Unreachable, message)
}

/// Reads the file as the server would, and makes nothing.
fn dry_run(args: &CsvArgs, options: &CsvOptions) -> Result<()> {
    let folder = work_folder()?;
    let path = match open(&args.filepath)? {
        Some(_) => args.filepath.clone(),
        None => {
            let path = folder.path().join("stdin");
            io::copy(&mut io::stdin().lock(), &mut File::create(&path)?)?;
            path
        }
    };
    let stop = std::sync::atomic::AtomicBool::new(false);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let prepared = imports::prepare(&path, folder.path(), options, u64::MAX, &stop)?;
    let survey = imports::survey(&prepared, options, threads, &stop)?;
    let mut first_rows = Vec::new();
    let mut show = |batch: RecordBatch| {
        first_rows = page_values(&batch.slice(0, batch.num_rows().min(ROWS_SHOWN)));
        Err(Error::new(ErrorCode::Cancelled, "enough was seen"))
    };
    match imports::read(&prepared, &survey, options, 1, &stop, &mut show, None) {
        Err(error) if error.code != ErrorCode::Cancelled => return Err(error),
        _ => {}
    }
    if is_json() {
        return say_object(&seen(&survey, &first_rows), "");
    }
    for line in survey.lines() {
        say!("{line}");
    }
    let names: Vec<&str> = survey.columns.iter().map(|column| column.name.as_str()).collect();
    say!("{}", names.join(" | "));
    for row in first_rows {
        let cells = row
            .into_iter()
            .map(|cell| cell.unwrap_or_else(|| "NULL".to_owned()));
        say!("{}", cells.collect::<Vec<_>>().join(" | "));
    }
    say!("{}", plural(survey.rows, "row"));
    say!("nothing was imported: this was a dry run");
    Ok(())
}

/// What a dry run has found out, for a program.
fn seen(survey: &Survey, first_rows: &[Vec<Option<String>>]) -> Value {
    let columns = survey.columns.iter();
    let columns = columns.map(|column| json!({"name": column.name, "type": column.column_type.to_string()}));
    json!({
        "columns": columns.collect::<Vec<_>>(),
        "rows": survey.rows,
        "rejected": survey.rejected,
        "first_rows": first_rows,
        "found": survey.lines(),
    })
}

/// A folder that nobody else can look into, gone when dropped.
fn work_folder() -> Result<TempDir> {
    let private = Permissions::from_mode(0o700);
    let mut builder = tempfile::Builder::new();
    Ok(builder.prefix("holistics-").permissions(private).tempdir()?)
}
