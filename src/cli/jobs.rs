//! `holistics jobs`: the jobs of a server.

use clap::Args;
use clap::Subcommand;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use crate::cli::follow::follow;
use crate::cli::login::client;
use crate::error::Result;

#[derive(Args)]
pub(super) struct JobsArgs {
    /// Where the server is; else `host:` of ~/.holistics.yml
    #[arg(long, env = "HOLISTICS_HOST", value_name = "URL", global = true)]
    host: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Stop a job, also at its database; one that has ended stays as it is
    Cancel {
        /// The job's number
        #[arg(value_name = "ID")]
        id: u64,
    },
    /// List your jobs, newest first
    List {
        /// Only those with this status, such as running
        #[arg(long)]
        status: Option<String>,
    },
    /// Show one job
    Show {
        /// The job's number
        #[arg(value_name = "ID")]
        id: u64,
    },
    /// Print what a job tells until it is over; fails if it does
    Wait {
        /// The job's number
        #[arg(value_name = "ID")]
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

#[derive(Deserialize)]
struct Cancelled {
    status: String,
}

pub(super) fn run(args: JobsArgs) -> Result<()> {
    let client = client(args.host.as_deref())?;
    match args.command {
        Command::Cancel { id } => {
            let cancelled: Cancelled =
                client.send_json("PUT", &format!("/jobs/{id}/cancel.json"), &json!({}))?;
            say!("[job:{id}] {}", cancelled.status);
        }
        Command::List { status } => {
            let status = status.unwrap_or_default();
            let status = percent_encoding::utf8_percent_encode(&status, percent_encoding::NON_ALPHANUMERIC);
            let jobs: Vec<Listed> = client.get_json(&format!("/jobs.json?status={status}"))?;
            say!("ID | Status | What | Title | Created | Seconds");
            for job in jobs {
                let seconds = match job.duration < 0.0 {
                    true => "-".to_owned(),
                    false => format!("{:.1}", job.duration),
                };
                say!(
                    "{} | {} | {} | {} | {} | {seconds}",
                    job.id,
                    job.status,
                    job.source_method,
                    job.title,
                    job.created_at
                );
            }
        }
        Command::Show { id } => {
            let job: serde_json::Map<String, Value> = client.get_json(&format!("/jobs/{id}.json"))?;
            for (name, value) in job {
                match value {
                    Value::String(text) => say!("{name}: {text}"),
                    other => say!("{name}: {other}"),
                }
            }
        }
        Command::Wait { id } => follow(&client, id)?,
    }
    Ok(())
}
