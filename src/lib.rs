//! `holistics` serves SQL reports with typed filters as data.
//! One way through: `http` takes a request, `query` makes a statement, `store` queues a job,
//! `worker` runs it through `connectors` into `results`, `exports` make files of it.

mod error;
mod exports;
mod query;
mod report;
