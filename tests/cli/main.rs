//! The program as its users start it: real processes, real sockets, real signals.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod apply;
mod bad_input;
mod client;
#[cfg(target_os = "linux")]
mod clients;
mod commands;
mod demo;
mod feeds;
mod imports;
mod server;
mod serving;
