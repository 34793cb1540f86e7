//! `holistics keys`: keys to the API.

use std::net::IpAddr;
use std::time::Duration;

use chrono::DateTime;
use clap::Args;
use clap::Subcommand;
use ipnet::IpNet;
use serde::Serialize;
use serde_json::json;

use crate::access::KeyTerms;
use crate::access::Pins;
use crate::access::Scope;
use crate::api_key::ApiKey;
use crate::api_key::PlainKey;
use crate::cli::block_on;
use crate::cli::data::DataArgs;
use crate::cli::output::say_object;
use crate::cli::output::say_objects;
use crate::cli::users::plain;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::http::jobs::iso_time;
use crate::http::users::KeyShown;
use crate::store::now_us;

/// A hundred years.
const EXPIRES_DAYS_MAX: u64 = 36_525;

#[derive(Args)]
pub(super) struct KeysArgs {
    #[command(flatten)]
    data: DataArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a key and print it, alone, on standard output; it is never shown again
    Create {
        /// Whose key; they need API access
        #[arg(long, value_name = "EMAIL")]
        user: String,
        /// What the key is for
        #[arg(long, default_value = "")]
        name: String,
        #[command(flatten)]
        terms: TermsArgs,
    },
    /// Put a new key in the place of one, print it, and let the old one go on for a while
    Rotate {
        id: i64,
        /// How long the old key still works
        #[arg(long, default_value = "24h", value_name = "DURATION", value_parser = humantime::parse_duration)]
        grace: Duration,
    },
    /// List keys, without the keys themselves
    List,
    /// Revoke a key by its id; it opens nothing from then on
    Revoke { id: i64 },
}

/// What narrows a key.
#[derive(Args)]
struct TermsArgs {
    /// What it opens: run, read, import, reports:write, admin; several by commas
    #[arg(
        long,
        value_name = "SCOPES",
        value_delimiter = ',',
        default_value = "run,read"
    )]
    scope: Vec<Scope>,
    /// The only reports that it opens, by their numbers
    #[arg(long = "report", value_name = "ID", value_delimiter = ',')]
    reports: Option<Vec<i64>>,
    /// A filter value that nobody who has the key can change, such as tenant=7; it is given for each
    #[arg(long, value_name = "FILTER=VALUE")]
    pin: Vec<String>,
    /// How long it works, such as 90d
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    expires: Option<Duration>,
    /// Networks that it may be used from, such as 10.0.0.0/8; several by commas
    #[arg(long = "from", value_name = "NETWORKS", value_delimiter = ',', value_parser = network)]
    addresses: Vec<IpNet>,
    /// Requests a minute
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Jobs at a time, queued ones too
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
}

impl TermsArgs {
    fn into_terms(self) -> Result<KeyTerms> {
        let mut pins = Pins::new();
        for pin in &self.pin {
            let (name, value) = pin
                .split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| Error::must_be("--pin", "like tenant=7", pin))?;
            if value.trim_matches([' ', ',']).is_empty() {
                return Err(Error::must_be("--pin", "a filter with a value", pin));
            }
            pins.entry(name.to_owned()).or_default().push(value.to_owned());
        }
        // A key that is never over is made without the option, not by a slip of it.
        let expires_at = self.expires.map(|expires| {
            let days = expires.as_secs() / 86_400;
            match expires.is_zero() || days > EXPIRES_DAYS_MAX {
                true => Err(Error::must_be(
                    "--expires",
                    &format!("more than nothing and at most {EXPIRES_DAYS_MAX}d"),
                    &humantime::format_duration(expires).to_string(),
                )),
                false => Ok(now_us() + i64::try_from(expires.as_micros()).map_err(Error::internal)?),
            }
        });
        let expires_at = expires_at.transpose()?;
        Ok(KeyTerms {
            scopes: Some(self.scope),
            reports: self.reports,
            pins,
            expires_at,
            addresses: self.addresses,
            rate_max: self.rate,
            jobs_max: self.jobs,
        })
    }
}

/// A network, or an address, which is a network of one.
fn network(text: &str) -> std::result::Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address
        .or_else(|_| text.parse())
        .map_err(|_| format!("`{text}` is no network like 10.0.0.0/8"))
}

pub(super) fn run(args: KeysArgs) -> Result<()> {
    block_on(async {
        let store = args.data.open().await?;
        match args.command {
            Command::Create { user, name, terms } => {
                plain(&name)?;
                let owner = store.user_by_email(&user).await?.ok_or_else(|| {
                    Error::new(
                        ErrorCode::NotFound,
                        format!("there is no user `{user}`; add one with `holistics users add {user} --api-access`"),
                    )
                })?;
                let key = PlainKey::generate()?;
                let id = store
                    .add_key(owner.id, &name, &key.hash(), &terms.into_terms()?)
                    .await?;
                store.close().await;
                if !owner.api_access {
                    eprintln!("note: the key opens nothing until `holistics users api-access {user} on`");
                }
                say_object(&json!({"id": id, "key": key.reveal()}), key.reveal())?;
            }
            Command::Rotate { id, grace } => {
                let key = PlainKey::generate()?;
                let grace_us = i64::try_from(grace.as_micros()).unwrap_or(i64::MAX);
                let new = store.rotate_key(id, &key.hash(), grace_us).await?;
                store.close().await;
                eprintln!(
                    "key {new} takes the place of key {id}, which works for another {}",
                    humantime::format_duration(grace)
                );
                say_object(&json!({"id": new, "key": key.reveal()}), key.reveal())?;
            }
            Command::List => {
                let keys = store.keys().await?;
                let rows = keys.iter().map(|key| {
                    let mut row = vec![key.id.to_string(), key.email.clone(), key.name.clone()];
                    row.push(opens(&key.terms)?);
                    let times = [
                        Some(key.created_at),
                        key.last_used_at,
                        key.terms.expires_at,
                        key.revoked_at,
                    ];
                    row.extend(times.map(time));
                    Ok(row)
                });
                let rows = rows.collect::<Result<_>>()?;
                let shown: Vec<Listed> = keys.into_iter().map(Listed::of).collect();
                let names = [
                    "ID",
                    "User",
                    "Name",
                    "Opens",
                    "Created",
                    "Last used",
                    "Expires",
                    "Revoked",
                ];
                say_objects(&shown, &names, rows)?;
            }
            Command::Revoke { id } => {
                store.revoke_key(id).await?;
                store.close().await;
                say!("revoked key {id}");
            }
        }
        Ok(())
    })
}

/// A key as `--json` lists it.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    key: KeyShown,
    user: String,
    created_at: String,
    last_used_at: Option<String>,
    revoked_at: Option<String>,
}

impl Listed {
    fn of(key: ApiKey) -> Self {
        Self {
            user: key.email,
            created_at: iso_time(key.created_at),
            last_used_at: key.last_used_at.map(iso_time),
            revoked_at: key.revoked_at.map(iso_time),
            key: KeyShown::new(key.id, key.name, &key.terms),
        }
    }
}

/// What a key opens, on one line.
fn opens(terms: &KeyTerms) -> Result<String> {
    let mut parts = vec![match &terms.scopes {
        None => "everything".to_owned(),
        Some(scopes) => scopes.iter().map(Scope::to_string).collect::<Vec<_>>().join(","),
    }];
    if let Some(reports) = &terms.reports {
        parts.push(format!("reports {}", serde_json::to_string(reports)?));
    }
    for (name, values) in &terms.pins {
        parts.push(format!("{name}={}", values.join(",")));
    }
    for network in &terms.addresses {
        parts.push(format!("from {network}"));
    }
    if let Some(rate) = terms.rate_max {
        parts.push(format!("{rate} a minute"));
    }
    if let Some(jobs) = terms.jobs_max {
        parts.push(format!("{jobs} jobs"));
    }
    Ok(parts.join("; "))
}

fn time(time_us: Option<i64>) -> String {
    match time_us.and_then(DateTime::from_timestamp_micros) {
        Some(time) => time.format("%Y-%m-%d %H:%M UTC").to_string(),
        None => "-".to_owned(),
    }
}
