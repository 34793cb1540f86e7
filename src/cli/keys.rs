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
use crate::access::Role;
use crate::access::Scope;
use crate::access::Sight;
use crate::api_key::ApiKey;
use crate::api_key::PlainKey;
use crate::cli::block_on;
use crate::cli::data::DataArgs;
use crate::cli::id;
use crate::cli::output::say_beside;
use crate::cli::output::say_note;
use crate::cli::output::say_object;
use crate::cli::output::say_objects;
use crate::cli::users::plain;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::http::jobs::iso_time;
use crate::http::users::KeyShown;
use crate::plural::plural;
use crate::report::Filter;
use crate::store::Store;
use crate::store::now_us;
use crate::user::User;

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
        /// The key's number
        #[arg(value_name = "ID", value_parser = id)]
        id: i64,
        /// How long the old key still works
        #[arg(long, default_value = "24h", value_name = "DURATION", value_parser = humantime::parse_duration)]
        grace: Duration,
    },
    /// List keys, without the keys themselves
    List,
    /// Revoke a key by its id; it opens nothing from then on
    Revoke {
        /// The key's number
        #[arg(value_name = "ID", value_parser = id)]
        id: i64,
    },
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
        let terms = KeyTerms {
            scopes: Some(self.scope),
            reports: self.reports,
            pins,
            expires_at,
            addresses: self.addresses,
            rate_max: self.rate,
            jobs_max: self.jobs,
        };
        let closed = [Scope::Import, Scope::ReportsWrite, Scope::Admin];
        let scopes = terms.scopes.iter().flatten();
        match scopes.into_iter().find(|scope| closed.contains(scope)) {
            // It never will: a key's terms do not change.
            Some(scope) if terms.is_of_reports() => Err(Error::invalid(format!(
                "a key with `--report` or `--pin` opens reports alone, so that the scope `{scope}` opens nothing: leave it out"
            ))),
            _ => Ok(terms),
        }
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
                let terms = terms.into_terms()?;
                let mut notes = notes(&store, &owner, &terms).await?;
                if !owner.api_access {
                    notes.push(format!(
                        "the key opens nothing until `holistics users api-access {user} on`"
                    ));
                }
                let key = PlainKey::generate()?;
                let id = store.add_key(owner.id, &name, &key.hash(), &terms).await?;
                store.close().await;
                notes.iter().for_each(|note| say_note(note));
                say_object(&json!({"id": id, "key": key.reveal()}), key.reveal())?;
            }
            Command::Rotate { id, grace } => {
                let key = PlainKey::generate()?;
                let grace_us = i64::try_from(grace.as_micros()).unwrap_or(i64::MAX);
                let (new, over_at) = store.rotate_key(id, &key.hash(), grace_us).await?;
                store.close().await;
                let until = match over_at > now_us() {
                    true => format!("works until {}", time(Some(over_at))),
                    false => "is over".to_owned(),
                };
                say_beside(
                    "",
                    &format!("key {new} takes the place of key {id}, which {until}"),
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

/// What the terms say that opens nothing as things are, and may later.
async fn notes(store: &Store, owner: &User, terms: &KeyTerms) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for (scope, role) in [
        (Scope::ReportsWrite, Role::Analyst),
        (Scope::Admin, Role::Administrator),
    ] {
        if terms.has_scope(scope) && owner.role < role {
            let (email, role, own) = (&owner.email, role.name(), owner.role.name());
            notes.push(format!(
                "the scope `{scope}` opens nothing until {email} is {role}, not {own}: `holistics users role {email} {role}`"
            ));
        }
    }
    if terms.has_scope(Scope::Import) && !owner.can_import {
        let email = &owner.email;
        notes.push(format!(
            "the scope `import` opens nothing until `holistics users imports {email} on`"
        ));
    }
    let reports = store.reports_seen_by(&Sight::of_the_server()).await?;
    for id in terms.reports.iter().flatten() {
        if !reports.iter().any(|found| found.report.id == *id) {
            notes.push(format!("there is no report `{id}` yet"));
        }
    }
    for name in terms.pins.keys() {
        let opened = reports.iter().filter(|found| {
            let only = terms.reports.as_ref();
            only.is_none_or(|only| only.contains(&found.report.id))
        });
        let mut names = opened
            .flat_map(|found| &found.report.filters)
            .flat_map(Filter::names);
        if !names.any(|known| known == *name) {
            notes.push(format!("no report that the key opens has a filter `{name}` yet"));
        }
    }
    Ok(notes)
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
        parts.push(plural(jobs, "job"));
    }
    Ok(parts.join("; "))
}

fn time(time_us: Option<i64>) -> String {
    match time_us.and_then(DateTime::from_timestamp_micros) {
        Some(time) => time.format("%Y-%m-%d %H:%M UTC").to_string(),
        None => "-".to_owned(),
    }
}
