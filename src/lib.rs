//! `holistics` serves SQL reports with typed filters as data.
//! One way through: `http` takes a request, `query` makes a statement, `store` queues a job,
//! `worker` runs it through `connectors` into `results`, `exports` make files of it.

mod access;
mod api_key;
mod arrow_types;
#[cfg(feature = "bench")]
pub mod bench;
mod cli;
mod config;
mod connectors;
mod data_import;
mod error;
mod exports;
mod feed;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod hex;
mod http;
mod imports;
mod job;
mod kill_point;
mod memo;
mod objects;
mod plural;
mod query;
mod random;
mod report;
mod results;
mod secret;
mod source;
mod store;
#[cfg(test)]
mod tests;
mod user;
mod worker;

/// Runs the command line and says how it ended.
pub fn run() -> std::process::ExitCode {
    cli::run()
}
