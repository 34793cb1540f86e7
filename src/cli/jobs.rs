//! `holistics jobs`: the jobs of a server.

use clap::Args;
use clap::Subcommand;
use serde::Deserialize;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use serde_json::value::RawValue;

use crate::cli::follow::Told;
use crate::cli::follow::follow;
use crate::cli::follow::print_log;
use crate::cli::id;
use crate::cli::output::say_list;
use crate::cli::output::say_members;
use crate::cli::output::say_note;
use crate::cli::output::say_object;
use crate::cli::output::unless_json;
use crate::cli::profile::ServerArgs;
use crate::cli::submit::encoded;
use crate::error::Result;

#[derive(Args)]
#[command(after_help = "Examples:
  holistics jobs list --status running
  holistics jobs logs 738 --follow
  holistics jobs wait 738 && echo done
  holistics jobs cancel 738")]
pub(super) struct JobsArgs {
    #[command(flatten)]
    server: ServerArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Stop a job, also at its database; one that has ended stays as it is
    Cancel {
        /// The job's number
        #[arg(value_name = "ID", value_parser = id)]
        id: i64,
    },
    /// List your jobs, newest first
    List {
        /// Only those with this status, such as running
        #[arg(long)]
        status: Option<String>,
        /// Which page of the list, from 1
        #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
        page: u64,
        /// How many jobs a page has
        #[arg(long, value_name = "JOBS", default_value_t = 25, value_parser = clap::value_parser!(u64).range(1..=1000))]
        page_size: u64,
    },
    /// Print a job's log
    Logs {
        /// The job's number
        #[arg(value_name = "ID", value_parser = id)]
        id: i64,
        /// Go on until the job is over, and fail if it does
        #[arg(short, long)]
        follow: bool,
    },
    /// Show one job
    Show {
        /// The job's number
        #[arg(value_name = "ID", value_parser = id)]
        id: i64,
    },
    /// Print what a job tells until it is over; fails if it does
    Wait {
        /// The job's number
        #[arg(value_name = "ID", value_parser = id)]
        id: i64,
    },
}

#[derive(Deserialize)]
struct Listed {
    id: i64,
    status: String,
    title: String,
    source_method: String,
    created_at: String,
    duration: f64,
}

pub(super) fn run(args: JobsArgs) -> Result<()> {
    let client = args.server.client()?;
    match args.command {
        Command::Cancel { id } => {
            let cancelled: Value = client.send_json("PUT", &format!("/jobs/{id}/cancel.json"), &json!({}))?;
            let status = cancelled["status"]
                .as_str()
                .ok_or_else(|| client.is_no_server())?;
            say_object(&cancelled, &format!("[job:{id}] {status}"))?;
            // A key that may stop it need not be one that may look.
            let job: Value = client.get_json(&format!("/jobs/{id}.json")).unwrap_or_default();
            if let Some(ended @ ("success" | "failure")) = job["status"].as_str() {
                say_note(&format!("job {id} was over: its status is {ended}"));
            }
            Ok(())
        }
        Command::List {
            status,
            page,
            page_size,
        } => {
            let status = encoded(&status.unwrap_or_default());
            let path = format!("/jobs.json?status={status}&_page={page}&_page_size={page_size}");
            let answer: Box<RawValue> = client.get_json(&path)?;
            let Some(jobs) = unless_json::<Vec<Listed>>(&answer)? else {
                return Ok(());
            };
            let is_full = jobs.len() as u64 == page_size;
            let rows = jobs.into_iter().map(|job| {
                let seconds = match job.duration < 0.0 {
                    true => "-".to_owned(),
                    false => format!("{:.1}", job.duration),
                };
                let id = job.id.to_string();
                vec![
                    id,
                    job.status,
                    job.source_method,
                    job.title,
                    job.created_at,
                    seconds,
                ]
            });
            let names = ["ID", "Status", "What", "Title", "Created", "Seconds"];
            say_list(&names, rows.collect())?;
            if is_full {
                say_note(&format!(
                    "--page {} has the older ones, if any",
                    page.saturating_add(1)
                ));
            }
            Ok(())
        }
        Command::Logs { id, follow: false } => print_log(&client, id),
        Command::Show { id } => {
            let answer: Box<RawValue> = client.get_json(&format!("/jobs/{id}.json"))?;
            match unless_json::<Map<String, Value>>(&answer)? {
                Some(job) => say_members(job),
                None => Ok(()),
            }
        }
        Command::Logs { id, follow: true } => follow(&client, id, Told::Log),
        Command::Wait { id } => follow(&client, id, Told::Steps),
    }
}
