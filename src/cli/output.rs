//! What commands print: lines, lists and objects; as JSON where `--json` asks for it.

use std::fmt::Arguments;
use std::io::ErrorKind;
use std::io::Write as _;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use clap::Args;
use clap::ValueEnum;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::RawValue;

use crate::cli::table::Table;
use crate::cli::table::plain;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

/// Whether everything is printed as JSON; set once, before any command runs.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Prints a line on standard output, or with `--json` an object that has it as `message`.
macro_rules! say {
    ($($argument:tt)*) => {
        $crate::cli::output::say_line(format_args!($($argument)*))?
    };
}

#[derive(Args)]
pub(super) struct OutputArgs {
    /// Print JSON: objects as the API has them, other lines as {"message":"…"}, an error as {"error":{…}}
    #[arg(long, global = true, help_heading = "Output")]
    json: bool,
    /// When to use colours
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Output"
    )]
    color: ColorWhen,
}

#[derive(Clone, Copy, ValueEnum)]
enum ColorWhen {
    /// On terminals, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

impl OutputArgs {
    /// Has everything that is printed from now on follow the arguments.
    pub(super) fn apply(&self) {
        IS_JSON.store(self.json, Ordering::Relaxed);
        let colors = match self.color {
            ColorWhen::Auto => return,
            ColorWhen::Always => true,
            ColorWhen::Never => false,
        };
        console::set_colors_enabled(colors);
        console::set_colors_enabled_stderr(colors);
    }
}

pub(super) fn is_json() -> bool {
    IS_JSON.load(Ordering::Relaxed)
}

pub(super) fn say_line(line: Arguments) -> Result<()> {
    match is_json() {
        true => print(&json!({"message": line.to_string()}).to_string()),
        false => print(&shown(&line.to_string())),
    }
}

/// What is printed on a terminal does nothing to it: other control characters than ends of lines and tabs are written out.
pub(super) fn shown(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let parts: Vec<_> = line.split('\t').map(plain).collect();
        parts.join("\t")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Prints an object; without `--json` the line that tells the same.
pub(super) fn say_object(object: &impl Serialize, line: &str) -> Result<()> {
    match is_json() {
        true => print(&serde_json::to_string(object)?),
        false => print(&shown(line)),
    }
}

/// Prints a line on standard error as it is. Where nobody can read it, there is nobody to tell.
pub(super) fn print_beside(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints an error on standard error.
pub(super) fn say_error(error: &Error) {
    if is_json() {
        let message = error.to_string();
        let told = json!({"error": {"code": error.code.name(), "message": message}});
        return print_beside(&told.to_string());
    }
    let word = console::style("error:").for_stderr().red().bold();
    print_beside(&format!("{word} {}", shown(&error.to_string())));
}

/// Says on standard error what is worth a thought.
pub(super) fn say_note(note: &str) {
    say_beside("note: ", note);
}

/// Says on standard error what goes with the data.
pub(super) fn say_beside(word: &str, note: &str) {
    // Of what happens meanwhile there may be a line, which is drawn again.
    let terminal = console::Term::stderr();
    if terminal.is_term() {
        let _ = terminal.clear_line();
    }
    match is_json() {
        true => print_beside(&json!({"note": note}).to_string()),
        false => print_beside(&format!("{word}{}", shown(note))),
    }
}

/// Says that Ctrl-C has ended the program, and with what.
pub(super) fn say_interrupted(message: String) {
    match is_json() {
        true => say_error(&Error::new(ErrorCode::Cancelled, message)),
        false => print_beside(&message),
    }
}

/// What a server answered, read; or nothing, because `--json` had it printed as it came.
pub(super) fn unless_json<T: DeserializeOwned>(answer: &RawValue) -> Result<Option<T>> {
    if is_json() {
        print(answer.get())?;
        return Ok(None);
    }
    let read = serde_json::from_str(answer.get());
    read.map(Some).map_err(|error| {
        let message = format!("what the server answers is not as expected: {error}");
        Error::new(ErrorCode::Unreachable, message)
    })
}

/// Prints rows below their names: fitted on a terminal, with ` | ` in between elsewhere.
pub(super) fn say_list(names: &[&str], rows: Vec<Vec<String>>) -> Result<()> {
    let terminal = console::Term::stdout();
    if !terminal.is_term() {
        print(&names.join(" | "))?;
        return rows.iter().try_for_each(|row| print(&row.join(" | ")));
    }
    let table = Table {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        is_number: names.iter().map(|name| *name == "ID").collect(),
        rows: rows
            .into_iter()
            .map(|row| row.into_iter().map(Some).collect())
            .collect(),
        rows_before: 0,
    };
    let lines = table.lines(usize::from(terminal.size().1));
    lines.iter().try_for_each(|line| print(line))
}

/// The same of things that are no server's answer; with `--json` an array of them.
pub(super) fn say_objects(objects: &impl Serialize, names: &[&str], rows: Vec<Vec<String>>) -> Result<()> {
    match is_json() {
        true => print(&serde_json::to_string(objects)?),
        false => say_list(names, rows),
    }
}

/// Prints a line as it is. A reader that has gone is success, as for every tool in a pipe.
pub(super) fn print(line: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(unwritable("standard output", &error)),
        Ok(()) => Ok(()),
    }
}

/// A place that does not take what is written to it.
pub(super) fn unwritable(place: &str, error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorCode::Internal, format!("cannot write to {place}: {error}"))
}

/// Prints an object, a member a line.
pub(super) fn say_members(object: serde_json::Map<String, serde_json::Value>) -> Result<()> {
    object.into_iter().try_for_each(|(name, value)| match value {
        serde_json::Value::String(text) => print(&shown(&format!("{name}: {text}"))),
        other => print(&format!("{name}: {other}")),
    })
}
