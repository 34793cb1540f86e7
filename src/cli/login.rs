//! `holistics login`, `logout` and `whoami`: a key, checked and remembered, forgotten, looked at.

use std::io::BufRead as _;
use std::io::IsTerminal as _;
use std::io::Read as _;
use std::io::stdin;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::cli::interrupt::keep_echo;
use crate::cli::output::is_json;
use crate::cli::output::say_object;
use crate::cli::profile::CSV_PROFILES;
use crate::cli::profile::ServerArgs;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

/// No key is nearly as long.
const KEY_BYTES_MAX: u64 = 4_096;

#[derive(Args)]
#[command(after_help = "Examples:
  holistics login --host https://reports.example.com      asks for the key, which is not shown
  holistics login < key.txt                               takes it from a file or a pipe
  holistics login --profile staging --host http://127.0.0.1:3000
  holistics whoami --profile staging")]
pub(super) struct LoginArgs {
    /// The API key; better not given here, where a shell's history keeps it
    token: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
pub(super) struct LogoutArgs {
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
pub(super) struct WhoamiArgs {
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Deserialize)]
struct Info {
    id: i64,
    email: String,
}

pub(super) fn login(args: LoginArgs) -> Result<()> {
    if let Some(name) = args.server.csv_profile() {
        return Err(Error::invalid(format!(
            "a server cannot be called {}: `{name}` is a profile of CSV files",
            CSV_PROFILES.join(" or ")
        )));
    }
    let token = match args.token {
        Some(token) => token,
        None => ask_for_key()?,
    };
    let host = args.server.host()?;
    let client = args.server.client_with(&token)?;
    if !is_json() {
        say!("Authenticating token...");
    }
    let answer: Box<RawValue> = client
        .get_json("/users/info.json")
        .map_err(|error| match error.code {
            ErrorCode::Unauthorized | ErrorCode::Forbidden => Error::new(
                ErrorCode::Unauthorized,
                "Error logging in. Please check your token again.",
            ),
            _ => error,
        })?;
    let info: Info = serde_json::from_str(answer.get()).map_err(|_| client.is_no_server())?;
    args.server.remember(&host, &token)?;
    say_object(
        &answer,
        &format!(
            "Authentication successful. Info:\n- ID: {}\n- Email: {}",
            info.id, info.email
        ),
    )
}

/// From a terminal without showing it, else from the first line of standard input.
fn ask_for_key() -> Result<String> {
    let failed = |error: std::io::Error| Error::invalid(format!("cannot read the key: {error}"));
    let terminal = console::Term::stderr();
    let key = match stdin().is_terminal() && terminal.is_term() {
        true => {
            keep_echo()?;
            eprint!("API key: ");
            terminal.read_secure_line().map_err(failed)?
        }
        false => {
            let mut line = String::new();
            let read = stdin().lock().take(KEY_BYTES_MAX).read_line(&mut line);
            read.map_err(failed)?;
            line
        }
    };
    match key.trim().is_empty() {
        true => Err(Error::invalid(
            "no key was given: type it where it is asked for, or pipe it to `holistics login`",
        )),
        false => Ok(key),
    }
}

pub(super) fn logout(args: &LogoutArgs) -> Result<()> {
    let profile = args.server.profile();
    match args.server.forget()? {
        true => say!("logged out of `{profile}`; the key itself works until it is revoked"),
        false => say!("nobody is logged in as `{profile}`"),
    }
    Ok(())
}

pub(super) fn whoami(args: &WhoamiArgs) -> Result<()> {
    let client = args.server.client()?;
    let me: Value = client.get_json("/users/me.json")?;
    if !me["email"].is_string() || !me["key"].is_object() {
        return Err(client.is_no_server());
    }
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let list = |value: &Value, all: &str| match value.as_array() {
        Some(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        None => all.to_owned(),
    };
    let may = |right: &str| if me[right] == true { "yes" } else { "no" };
    let key = &me["key"];
    let lines = [
        format!(
            "{} <{}>, user {}, {}",
            text(&me["name"]),
            text(&me["email"]),
            me["id"],
            text(&me["role"])
        ),
        format!("server: {} (profile {})", client.shown(), args.server.profile()),
        format!("key: {} {}", key["id"], text(&key["name"]))
            .trim_end()
            .to_owned(),
        format!("scopes: {}", list(&key["scopes"], "all")),
        format!("reports: {}", list(&key["reports"], "all of the user's")),
        format!("expires: {}", key["expires_at"].as_str().unwrap_or("never")),
        format!("may export: {}, import: {}", may("can_export"), may("can_import")),
    ];
    let limits = [
        ("addresses", &key["addresses"], ""),
        ("rate", &key["rate_max"], " requests a minute"),
        ("jobs", &key["jobs_max"], " at a time"),
    ];
    let limits = limits.into_iter().filter(|(_, value, _)| {
        let is_empty = value.as_array().is_some_and(Vec::is_empty);
        !value.is_null() && !is_empty
    });
    let limits = limits.map(|(name, value, unit)| format!("{name}: {}{unit}", list(value, &text(value))));
    let pins = key["pins"].as_object().into_iter().flatten();
    let pins = pins.map(|(name, values)| format!("always: {name}={}", list(values, &text(values))));
    let lines: Vec<String> = lines.into_iter().chain(limits).chain(pins).collect();
    say_object(&me, &lines.join("\n"))
}
