//! A report file: YAML front matter between two `---` lines, then SQL.
//! Whatever is wrong is told with file, line and column.

use std::time::Duration;

use crate::error::Result;
use crate::query::check::checked;
use crate::query::fault::Fault;
use crate::query::file_filter::read_filters;
use crate::query::template::statement;
use crate::query::yaml;
use crate::query::yaml::Kind;
use crate::query::yaml::Node;
use crate::report::Report;

const KEYS: [&str; 9] = [
    "id",
    "title",
    "source",
    "description",
    "cache",
    "timeout",
    "rows_max",
    "shared_with",
    "filters",
];
const DEFAULT_SOURCE: &str = "warehouse";

/// Reads a report and checks all of it. Messages begin `reports/orders.sql:7:12: `.
pub(crate) fn parse_report(file_name: &str, text: &str) -> Result<Report> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    read(text).map_err(|fault| fault.into_file_error(file_name, text))
}

fn read(text: &str) -> std::result::Result<Report, Fault> {
    let (matter_at, sql_at) = sections(text)?;
    let matter = text.get(matter_at.0..matter_at.1).unwrap_or("");
    let root = yaml::parse(matter).map_err(|fault| fault.moved(matter_at.0))?;
    let mut report = read_front_matter(&root).map_err(|fault| fault.moved(matter_at.0))?;
    let rest = text.get(sql_at..).unwrap_or("");
    let sql_at = sql_at + rest.len() - rest.trim_start().len();
    report.sql = statement(rest.trim_start())
        .map_err(|fault| fault.moved(sql_at))?
        .to_owned();
    checked(&report).map_err(|fault| fault.moved(sql_at))?;
    Ok(report)
}

/// The bounds of the front matter, and where the SQL begins.
fn sections(text: &str) -> std::result::Result<((usize, usize), usize), Fault> {
    let mut at = 0;
    let mut matter_start = None;
    for line in text.split_inclusive('\n') {
        let is_border = line.trim_end() == "---";
        match matter_start {
            None if is_border => matter_start = Some(at + line.len()),
            None => {
                return Err(Fault::new(
                    0,
                    "a report begins with a line `---`, then its title and filters",
                ));
            }
            Some(start) if is_border => return Ok(((start, at), at + line.len())),
            Some(_) => {}
        }
        at += line.len();
    }
    match matter_start {
        Some(_) => Err(Fault::new(
            text.len(),
            "the front matter must end with a line `---`, before the SQL",
        )),
        None => Err(Fault::new(0, "the file is empty")),
    }
}

fn read_front_matter(root: &Node) -> std::result::Result<Report, Fault> {
    let mut report = Report {
        id: 0,
        title: String::new(),
        source: DEFAULT_SOURCE.to_owned(),
        description: String::new(),
        cache: Duration::ZERO,
        timeout: None,
        rows_max: None,
        shared_with: None,
        filters: Vec::new(),
        sql: String::new(),
    };
    if root.is_null() {
        return Err(root.fault("`id` and `title` are missing"));
    }
    for (key, value) in root.map("the front matter")? {
        let name = key.text("a key")?;
        if !KEYS.contains(&name) {
            return Err(key.fault(format!("unknown key `{name}`; one of {}", KEYS.join(", "))));
        }
        if name != "id" && name != "title" && value.is_null() {
            continue;
        }
        match name {
            "id" => report.id = read_positive(value, "`id`")?,
            "title" => report.title = read_line(value, "`title`")?,
            "source" => report.source = read_line(value, "`source`")?,
            "description" => report.description = value.text("`description`")?.trim().to_owned(),
            "cache" => report.cache = read_duration(value, "`cache`")?,
            "timeout" => match read_duration(value, "`timeout`")? {
                Duration::ZERO => return Err(value.fault("`timeout` must be above 0")),
                timeout => report.timeout = Some(timeout),
            },
            "rows_max" => report.rows_max = Some(read_positive(value, "`rows_max`")?.unsigned_abs()),
            "shared_with" => report.shared_with = Some(read_names(value)?),
            _ => report.filters = read_filters(value)?,
        }
    }
    if report.id == 0 {
        return Err(root.fault("`id` is missing"));
    }
    if report.title.is_empty() {
        return Err(root.fault("`title` is missing"));
    }
    Ok(report)
}

fn read_positive(value: &Node, what: &str) -> std::result::Result<i64, Fault> {
    let fault = || value.fault(format!("{what} must be a positive integer"));
    let text = value.text(what).map_err(|_| fault())?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(fault());
    }
    match text.parse() {
        Ok(id) if id > 0 => Ok(id),
        _ => Err(fault()),
    }
}

/// One name or a list of them.
fn read_names(value: &Node) -> std::result::Result<Vec<String>, Fault> {
    match &value.kind {
        Kind::List(names) => names
            .iter()
            .map(|name| read_line(name, "`shared_with`"))
            .collect(),
        _ => Ok(vec![read_line(value, "`shared_with`")?]),
    }
}

fn read_line(value: &Node, what: &str) -> std::result::Result<String, Fault> {
    let text = value.text(what)?.trim();
    if text.is_empty() || text.contains(char::is_control) {
        return Err(value.fault(format!("{what} must be one line of text")));
    }
    Ok(text.to_owned())
}

fn read_duration(value: &Node, what: &str) -> std::result::Result<Duration, Fault> {
    let fault = || {
        value.fault(format!(
            "{what} must be a duration in whole seconds, like 15m or 1h"
        ))
    };
    let text = value.text(what).map_err(|_| fault())?.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    match humantime::parse_duration(text) {
        Ok(duration) if duration.subsec_nanos() == 0 => Ok(duration),
        _ => Err(fault()),
    }
}
