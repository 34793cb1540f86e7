//! Which server a command talks to, and with which key: `~/.holistics.yml` and what overrides it.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use crate::cli::address::address;
use crate::cli::address::shown_address;
use crate::cli::client::Client;
use crate::cli::output::unwritable;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::objects::make_private_file;

const HOST_DEFAULT: &str = "http://127.0.0.1:3000";
const TIMEOUT_DEFAULT: &str = "60s";
const TIMEOUT_MAX: Duration = Duration::from_hours(24 * 365);
/// What a server is called whose `host` and `token` stand at the top of the file.
const PROFILE_DEFAULT: &str = "default";
/// Profiles of CSV files, which `--profile` names too; no server has these names.
pub(super) const CSV_PROFILES: [&str; 2] = ["data", "excel"];

#[derive(Args)]
pub(super) struct ServerArgs {
    /// Where the server is; else where that of --profile is, else HOLISTICS_HOST, else where `holistics login` was, else http://127.0.0.1:3000
    #[arg(long, value_name = "URL", global = true, help_heading = "Server")]
    host: Option<String>,
    /// Which server of ~/.holistics.yml; else HOLISTICS_PROFILE, else `default`
    #[arg(long, value_name = "NAME", global = true, help_heading = "Server")]
    profile: Vec<String>,
    /// How long the server may be silent
    #[arg(
        long,
        env = "HOLISTICS_TIMEOUT",
        value_name = "DURATION",
        default_value = TIMEOUT_DEFAULT,
        value_parser = timeout,
        global = true,
        help_heading = "Server"
    )]
    timeout: Duration,
}

fn timeout(text: &str) -> std::result::Result<Duration, String> {
    // A variable that is set to nothing is not set.
    let text = if text.is_empty() { TIMEOUT_DEFAULT } else { text };
    match humantime::parse_duration(text) {
        Ok(timeout) if timeout.is_zero() => Err("must be more than nothing".to_owned()),
        Ok(timeout) if timeout > TIMEOUT_MAX => Err("must be at most a year".to_owned()),
        Ok(timeout) => Ok(timeout),
        Err(error) => Err(error.to_string()),
    }
}

/// A server and a key, as the file has them.
#[derive(Clone, Default, Deserialize)]
pub(super) struct Login {
    token: Option<String>,
    host: Option<String>,
}

/// What `~/.holistics.yml` holds.
#[derive(Default, Deserialize)]
struct Remembered {
    #[serde(flatten)]
    default: Login,
    #[serde(default)]
    profiles: BTreeMap<String, Login>,
}

impl ServerArgs {
    /// Whether an option or the environment says which server.
    pub(super) fn is_named(&self) -> bool {
        let variables = ["HOLISTICS_HOST", "HOLISTICS_PROFILE"];
        self.has_option() || variables.iter().any(|name| variable(name).is_some())
    }

    /// Whether an option says so.
    pub(super) fn has_option(&self) -> bool {
        self.host.is_some() || self.names_profile()
    }

    fn names_profile(&self) -> bool {
        self.profile.iter().any(|name| !is_of_csv(name))
    }

    pub(super) fn profile(&self) -> String {
        let given = self.profile.iter().rfind(|name| !is_of_csv(name)).cloned();
        given
            .or_else(|| variable("HOLISTICS_PROFILE"))
            .unwrap_or_else(|| PROFILE_DEFAULT.to_owned())
    }

    /// The profile of a CSV file, if `--profile` names one.
    pub(super) fn csv_profile(&self) -> Option<&str> {
        self.profile
            .iter()
            .rfind(|name| is_of_csv(name))
            .map(String::as_str)
    }

    /// Where the server is, whether or not anybody has logged in there.
    pub(super) fn host(&self) -> Result<String> {
        let given = self.host.clone().filter(|host| !host.trim().is_empty());
        let remembered = remembered(&file()?)?.of(&self.profile());
        let remembered = remembered.and_then(|login| login.host);
        let variable = variable("HOLISTICS_HOST");
        let host = match self.names_profile() {
            true => given.or(remembered).or(variable),
            false => given.or(variable).or(remembered),
        };
        Ok(host.unwrap_or_else(|| HOST_DEFAULT.to_owned()))
    }

    /// Where `holistics login` was, as it may be shown.
    pub(super) fn logged_in_to(&self) -> Result<Option<String>> {
        // Without a home folder nobody is.
        let Ok(file) = file() else {
            return Ok(None);
        };
        let login = remembered(&file)?.of(&self.profile());
        let login = login.filter(|login| login.token.is_some());
        let host = login.map(|login| login.host.unwrap_or_else(|| HOST_DEFAULT.to_owned()));
        host.map(|host| address(&host).map(|url| shown_address(&url)))
            .transpose()
    }

    /// A client with this key.
    pub(super) fn client_with(&self, key: &str) -> Result<Client> {
        Client::new(&self.host()?, &plain_key(key)?, self.timeout)
    }

    /// A client of the server that somebody logged in to, for commands that make no CSV file.
    pub(super) fn client(&self) -> Result<Client> {
        match self.csv_profile() {
            None => self.client_of_files(),
            Some(name) => Err(Error::invalid(format!(
                "`{name}` is a profile of CSV files, of which this command makes none; no server has that name"
            ))),
        }
    }

    /// A client of the server that somebody logged in to.
    pub(super) fn client_of_files(&self) -> Result<Client> {
        let name = self.profile();
        let remembered = remembered(&file()?)?;
        let is_default = name == PROFILE_DEFAULT;
        let login = remembered.of(&name);
        let mut names: Vec<&str> = remembered.profiles.keys().map(String::as_str).collect();
        names.insert(0, PROFILE_DEFAULT);
        if login.is_none() && !is_default {
            return Err(Error::new(
                ErrorCode::Unauthorized,
                format!(
                    "there is no profile `{name}`, only {}: `holistics login --profile {name}` makes it",
                    names.join(", ")
                ),
            ));
        }
        // What an option names wins over the environment, as for the host.
        let host = self.host()?;
        let login = login.unwrap_or_default();
        let is_elsewhere = login.host.as_deref().is_some_and(|own| !is_same(own, &host));
        // A server gets the key that is its own.
        let token = login.token.filter(|_| !is_elsewhere);
        let variable = variable("HOLISTICS_KEY");
        let remembered = match self.names_profile() || variable.is_none() {
            true => token,
            false => None,
        };
        if let Some(key) = remembered {
            return self.client_with(&key);
        }
        if let Some(key) = variable {
            return Ok(self
                .client_with(&key)?
                .with_key_hint("it is that of HOLISTICS_KEY"));
        }
        let profile = match is_default {
            true => String::new(),
            false => format!(" --profile {name}"),
        };
        let shown = |host: &str| address(host).map(|url| shown_address(&url));
        let message = match login.host.filter(|_| is_elsewhere) {
            Some(own) => format!(
                "not logged in to {host}: the key of `holistics login` is for {}; \
                 run `holistics login{profile} --host {host}` first, or set HOLISTICS_KEY",
                shown(&own)?,
                host = shown(&host)?,
            ),
            None => format!("not logged in: run `holistics login{profile}` first"),
        };
        Err(Error::new(ErrorCode::Unauthorized, message))
    }

    /// Remembers a key for the next commands.
    pub(super) fn remember(&self, host: &str, key: &str) -> Result<()> {
        let login = Login {
            token: Some(plain_key(key)?),
            host: Some(host.to_owned()),
        };
        self.change(Some(login)).map(|_| ())
    }

    /// Whether there was something to forget.
    pub(super) fn forget(&self) -> Result<bool> {
        self.change(None)
    }

    fn change(&self, login: Option<Login>) -> Result<bool> {
        let path = file()?;
        let mut remembered = remembered(&path)?;
        let name = self.profile();
        let was = remembered.of(&name).is_some_and(|login| login.token.is_some());
        match (name.as_str(), login) {
            (PROFILE_DEFAULT, login) => remembered.default = login.unwrap_or_default(),
            (_, Some(login)) => drop(remembered.profiles.insert(name, login)),
            (_, None) => drop(remembered.profiles.remove(&name)),
        }
        write(&path, &remembered)?;
        Ok(was)
    }
}

impl Remembered {
    fn of(&self, name: &str) -> Option<Login> {
        match name {
            PROFILE_DEFAULT => Some(self.default.clone()),
            _ => self.profiles.get(name).cloned(),
        }
    }
}

/// Whether two addresses are of one server.
fn is_same(host: &str, other: &str) -> bool {
    let origin = |host: &str| address(host).map(|url| url.origin());
    origin(host).is_ok_and(|host| origin(other).is_ok_and(|other| host == other))
}

fn is_of_csv(name: &str) -> bool {
    CSV_PROFILES.contains(&name)
}

/// A variable that is set to nothing is not set.
fn variable(name: &str) -> Option<String> {
    let value = env::var_os(name)?.to_string_lossy().into_owned();
    Some(value).filter(|value| !value.trim().is_empty())
}

/// A key without the line end that came with it; with one inside it is none.
fn plain_key(key: &str) -> Result<String> {
    let key = key.trim();
    match !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(key.to_owned()),
        false => Err(Error::invalid(
            "that is no key: a key is one line of letters, digits and signs",
        )),
    }
}

fn file() -> Result<PathBuf> {
    let home = env::var_os("HOME").ok_or_else(|| Error::invalid("there is no home folder: set HOME"))?;
    Ok(Path::new(&home).join(".holistics.yml"))
}

fn remembered(path: &Path) -> Result<Remembered> {
    if !path.exists() {
        return Ok(Remembered::default());
    }
    let unreadable =
        |error: &dyn std::fmt::Display| Error::invalid(format!("cannot read `{}`: {error}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    if text.trim().is_empty() {
        return Ok(Remembered::default());
    }
    // The error's own words may have the key in them.
    serde_saphyr::from_str(&text).map_err(|error| {
        let line = error.location().map(|location| format!("line {} is ", location.line()));
        unreadable(&format!(
            "{}not as `holistics login` writes it: `token` and `host`, each with a text, and `profiles` of those",
            line.unwrap_or_default()
        ))
    })
}

/// Replaces the file at once, readable by its owner only.
fn write(path: &Path, remembered: &Remembered) -> Result<()> {
    let aside = path.with_extension("yml.new");
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let text = text_of(remembered)?;
    let written = options.open(&aside).and_then(|mut file| {
        make_private_file(&aside).map_err(io::Error::other)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&aside, path)
    });
    written.map_err(|error| {
        let _ = fs::remove_file(&aside);
        unwritable(&format!("`{}`", path.display()), &error)
    })
}

fn text_of(remembered: &Remembered) -> Result<String> {
    let mut text = login_text("", &remembered.default)?;
    if !remembered.profiles.is_empty() {
        text.push_str("profiles:\n");
    }
    for (name, login) in &remembered.profiles {
        text.push_str(&format!(
            "  {}:\n{}",
            serde_json::to_string(name)?,
            login_text("    ", login)?
        ));
    }
    Ok(text)
}

fn login_text(indent: &str, login: &Login) -> Result<String> {
    let mut text = String::new();
    for (name, value) in [("token", &login.token), ("host", &login.host)] {
        if let Some(value) = value {
            // A JSON string is a YAML string.
            text.push_str(&format!("{indent}{name}: {}\n", serde_json::to_string(value)?));
        }
    }
    Ok(text)
}
