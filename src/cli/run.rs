//! `holistics run`: a report's rows, to be looked at.

use std::env;
use std::io::ErrorKind;
use std::io::Write as _;
use std::process::Command;
use std::process::Stdio;

use clap::Args;
use clap::ValueEnum;
use console::Term;
use indicatif::ProgressBar;
use serde::Deserialize;

use crate::cli::client::Client;
use crate::cli::export::Export;
use crate::cli::interrupt::Interrupt;
use crate::cli::output::is_json;
use crate::cli::output::print;
use crate::cli::output::say_beside;
use crate::cli::output::shown;
use crate::cli::profile::ServerArgs;
use crate::cli::submit::Submit;
use crate::cli::submit::options;
use crate::cli::submit::spinner;
use crate::cli::submit::submit;
use crate::cli::submit::wait;
use crate::cli::submit::with_hint_of_truncate;
use crate::cli::table::Table;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::plural::plural;

/// How wide a table is where there is no terminal.
const WIDTH_DEFAULT: usize = 80;

#[derive(Args)]
#[command(after_help = "Examples:
  holistics run 2
  holistics run 'Revenue by nation' --filter region=ASIA --filter period_start=1995-01-01
  holistics run 6 --filter ids=1 --filter ids=2 --page 2 --page-size 50
  holistics run 2 | head -3          CSV, the whole result
  holistics run 2 --json | jq .values

A terminal gets a table, through $PAGER (or less) if it is longer than the screen; NULL is written NULL.
Elsewhere it is the CSV file that `holistics export` makes; with --page, that page of it.")]
pub(super) struct RunArgs {
    /// The report's number, or its title if no other has it
    report: String,
    /// A filter's value, such as since=2026-01-31; given again for a further value
    #[arg(long = "filter", value_name = "FILTER=VALUE")]
    filters: Vec<String>,
    /// Which page of a table, from 1
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    page: Option<u64>,
    /// How many rows a page has
    #[arg(long, value_name = "ROWS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    page_size: u64,
    /// How rows are written; a table on a terminal and csv elsewhere unless said
    #[arg(long, conflicts_with = "json")]
    format: Option<RowFormat>,
    /// Take the first rows of a result that has more than it may
    #[arg(long)]
    truncate: bool,
    /// Run the report now, whatever result of earlier there is
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Copy, Eq, PartialEq, ValueEnum)]
enum RowFormat {
    Table,
    Csv,
}

#[derive(Deserialize)]
pub(super) struct Page {
    pub(super) fields: Vec<String>,
    pub(super) values: Vec<Vec<Option<String>>>,
    pub(super) paginated: Paginated,
}

#[derive(Deserialize)]
pub(super) struct Paginated {
    page: u64,
    page_size: u64,
    pub(super) num_rows: u64,
    #[serde(default)]
    truncated: bool,
}

#[derive(Deserialize)]
struct Manifest {
    columns: Vec<Column>,
}

#[derive(Deserialize)]
struct Column {
    #[serde(rename = "type")]
    arrow_type: String,
}

pub(super) fn run(args: &RunArgs) -> Result<()> {
    let client = args.server.client()?;
    let terminal = Term::stdout();
    let format = args.format.unwrap_or(match terminal.is_term() {
        true => RowFormat::Table,
        false => RowFormat::Csv,
    });
    if !is_json() && format == RowFormat::Csv && args.page.is_none() {
        let export = Export {
            report: &args.report,
            format: "csv",
            filters: &args.filters,
            csv_profile: None,
            truncate: args.truncate,
            fresh: args.fresh,
            output: None,
        };
        return export.run(&client);
    }
    let bar = spinner()?;
    let interrupt = Interrupt::watch(&client, &bar)?;
    let (job_id, text) = page(&client, args, &bar, &interrupt)?;
    if is_json() {
        return print(&text);
    }
    let page = Page::parse(&client, &text, args.page.unwrap_or(1), args.page_size)?;
    if format == RowFormat::Csv {
        let say = |line: String| match terminal.is_term() {
            true => print(&shown(&line)),
            false => print(&line),
        };
        say(csv_line(page.fields.iter().map(|name| Some(name.as_str()))))?;
        for row in &page.values {
            say(csv_line(row.iter().map(Option::as_deref)))?;
        }
        say_beside("", &page.told());
        return Ok(());
    }
    let manifest: Manifest = client.get_json(&format!("/jobs/{job_id}/manifest.json"))?;
    let told = page.told();
    let table = Table {
        names: page.fields,
        is_number: manifest.columns.iter().map(Column::is_number).collect(),
        rows: page.values,
        rows_before: (page.paginated.page - 1).saturating_mul(page.paginated.page_size),
    };
    let mut lines = table.lines(width(&terminal));
    lines.push(told);
    match terminal.size_checked() {
        Some((height, _)) if terminal.is_term() && lines.len() >= usize::from(height) => {
            show_paged(&lines, &interrupt)
        }
        _ => lines.iter().try_for_each(|line| print(line)),
    }
}

/// Runs the report; its job, and the answer that has the page.
fn page(client: &Client, args: &RunArgs, bar: &ProgressBar, interrupt: &Interrupt) -> Result<(i64, String)> {
    let asked = Submit {
        report: &args.report,
        action: "submit_query.json",
        filters: &args.filters,
        options: options(args.truncate, args.fresh),
    };
    let job_id = submit(client, &asked, interrupt)?;
    let (page, size) = (args.page.unwrap_or(1), args.page_size);
    let poll = format!("/queries/get_query_results.json?job_id={job_id}&_page={page}&_page_size={size}");
    let text = wait(client, job_id, &poll, bar, interrupt, None).map_err(with_hint_of_truncate)?;
    bar.finish_and_clear();
    Ok((job_id, text))
}

impl Page {
    /// What a server answers to who asks for this page, which must be all of it.
    pub(super) fn parse(client: &Client, text: &str, number: u64, size: u64) -> Result<Self> {
        let page: Self = serde_json::from_str(text).map_err(|_| client.is_no_server())?;
        let Paginated {
            page: of,
            page_size,
            num_rows,
            ..
        } = page.paginated;
        let before = (number - 1).saturating_mul(size);
        let rows = num_rows.saturating_sub(before).min(size);
        let is_even = page.values.iter().all(|row| row.len() == page.fields.len());
        match (of, page_size) == (number, size) && page.values.len() as u64 == rows && is_even {
            true => Ok(page),
            false => Err(Error::new(
                ErrorCode::Unreachable,
                format!(
                    "page {number} is not whole: of {num_rows} rows it has {}, not {rows}",
                    page.values.len()
                ),
            )),
        }
    }

    /// Which rows these are, of how many.
    fn told(&self) -> String {
        let Paginated {
            page,
            page_size,
            num_rows,
            truncated,
        } = self.paginated;
        let before = (page - 1).saturating_mul(page_size);
        let last = before + self.values.len() as u64;
        let cut = match truncated {
            true => "; there were more, which the report's limit cut",
            false => "",
        };
        match self.values.len() as u64 {
            all if all == num_rows => format!("{}{cut}", plural(num_rows, "row")),
            0 => format!("no rows on page {page}: there are {num_rows}{cut}"),
            _ if last < num_rows => format!(
                "rows {} to {last} of {num_rows}{cut}; --page {} has the next",
                before + 1,
                page + 1
            ),
            _ => format!("rows {} to {last} of {num_rows}{cut}", before + 1),
        }
    }
}

impl Column {
    fn is_number(&self) -> bool {
        ["Int", "UInt", "Float", "Decimal"]
            .iter()
            .any(|number| self.arrow_type.starts_with(number) && !self.arrow_type.starts_with("Interval"))
    }
}

/// That of the terminal; elsewhere what a shell says of it.
fn width(terminal: &Term) -> usize {
    if let Some((_, width)) = terminal.size_checked() {
        return usize::from(width);
    }
    let columns = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    columns.filter(|columns| *columns > 0).unwrap_or(WIDTH_DEFAULT)
}

/// As files have it: NULL is nothing, the empty text is `""`.
fn csv_line<'a>(cells: impl Iterator<Item = Option<&'a str>>) -> String {
    let cells = cells.map(|cell| match cell {
        None => String::new(),
        Some(text) if text.is_empty() || text.contains([',', '"', '\n', '\r']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Some(text) => text.to_owned(),
    });
    cells.collect::<Vec<_>>().join(",")
}

/// Shows lines through what `$PAGER` names, or less; where there is none, as they are.
fn show_paged(lines: &[String], interrupt: &Interrupt) -> Result<()> {
    let pager = env::var("PAGER").unwrap_or_else(|_| "less".to_owned());
    let mut command = Command::new("sh");
    command.args(["-c", &pager]).stdin(Stdio::piped());
    if env::var_os("LESS").is_none() {
        // Colours pass, what fits is not held back, and it stays on the screen.
        command.env("LESS", "FRX");
    }
    let print_all = || lines.iter().try_for_each(|line| print(line));
    if pager.trim().is_empty() || pager.trim() == "cat" {
        return print_all();
    }
    interrupt.leave_to_pager();
    let Ok(mut process) = command.spawn() else {
        return print_all();
    };
    if let Some(mut stdin) = process.stdin.take() {
        match stdin.write_all((lines.join("\n") + "\n").as_bytes()) {
            // Whoever looks has seen enough.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(Error::internal(error)),
            _ => {}
        }
    }
    let ended = process.wait().map_err(Error::internal)?;
    match ended.code() {
        // What a shell says of a program that cannot be run, or is not there.
        Some(126 | 127) => print_all(),
        _ => Ok(()),
    }
}
