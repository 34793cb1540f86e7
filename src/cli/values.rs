//! `holistics reports values`: what a filter may be, as a query of the report lists it.

use clap::Args;
use serde_json::json;

use crate::cli::interrupt::Interrupt;
use crate::cli::output::is_json;
use crate::cli::output::print;
use crate::cli::output::say_list;
use crate::cli::profile::ServerArgs;
use crate::cli::run::Page;
use crate::cli::submit::Submit;
use crate::cli::submit::encoded;
use crate::cli::submit::spinner;
use crate::cli::submit::submit;
use crate::cli::submit::wait;
use crate::error::Result;

/// Fetched at a time.
const PAGE_ROWS: u64 = 10_000;

#[derive(Args)]
pub(super) struct ValuesArgs {
    /// The report's number, or its title if no other has it
    report: String,
    /// The filter's name
    filter: String,
}

/// Prints all of them: what is sent, and what people read if the query has that too.
pub(super) fn values(server: &ServerArgs, args: &ValuesArgs) -> Result<()> {
    let client = server.client()?;
    let bar = spinner()?;
    let interrupt = Interrupt::watch(&client, &bar)?;
    let asked = Submit {
        report: &args.report,
        action: &format!("filters/{}/submit_values.json", encoded(&args.filter)),
        filters: &[],
        options: Vec::new(),
    };
    let job_id = submit(&client, &asked, &interrupt)?;
    let poll = |page: u64| {
        format!("/queries/get_query_results.json?job_id={job_id}&_page={page}&_page_size={PAGE_ROWS}")
    };
    let first = wait(&client, job_id, &poll(1), &bar, &interrupt, None)?;
    let mut all = Page::parse(&client, &first, 1, PAGE_ROWS)?;
    for page in 2..=all.paginated.num_rows.div_ceil(PAGE_ROWS) {
        let next = client.get_ok(&poll(page))?;
        all.values
            .extend(Page::parse(&client, &next, page, PAGE_ROWS)?.values);
    }
    bar.finish_and_clear();
    // Neither NULL nor nothing can be sent.
    all.values
        .retain(|row| matches!(row.first(), Some(Some(key)) if !key.is_empty()));
    if is_json() {
        return print(&json!({"fields": all.fields, "values": all.values}).to_string());
    }
    let names: Vec<&str> = all.fields.iter().map(String::as_str).collect();
    let rows = all.values.into_iter();
    let rows = rows.map(|row| row.into_iter().map(Option::unwrap_or_default).collect());
    say_list(&names, rows.collect())
}
