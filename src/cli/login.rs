//! `holistics login`: checks a key and remembers it.

use std::env;
use std::fs;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use crate::cli::client::Client;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::objects::make_private_file;

const HOST_DEFAULT: &str = "http://127.0.0.1:3000";

#[derive(Args)]
pub(super) struct LoginArgs {
    /// The API key
    token: String,
    /// Where the server is; else `host:` of ~/.holistics.yml, else http://127.0.0.1:3000
    #[arg(long, env = "HOLISTICS_HOST", value_name = "URL")]
    host: Option<String>,
}

/// What `~/.holistics.yml` holds.
#[derive(Default, Deserialize)]
struct Remembered {
    host: Option<String>,
    token: Option<String>,
}

#[derive(Deserialize)]
struct Info {
    id: i64,
    email: String,
}

pub(super) fn run(args: LoginArgs) -> Result<()> {
    let path = file()?;
    let host = match args.host {
        Some(host) => host,
        None => remembered(&path)?.host.unwrap_or_else(|| HOST_DEFAULT.to_owned()),
    };
    say!("Authenticating token...");
    let client = Client::new(&host, &args.token);
    let (status, body) = client.get_text(&client.url("/users/info.json"))?;
    match status {
        200 => {}
        401 | 403 | 422 => {
            return Err(Error::new(
                ErrorCode::Unauthorized,
                "Error logging in. Please check your token again.",
            ));
        }
        _ => {
            return Err(Error::new(
                ErrorCode::SourceFailed,
                format!("{host} answered {status}; is it a holistics server?"),
            ));
        }
    }
    let info: Info = serde_json::from_str(&body).map_err(|_| {
        Error::new(
            ErrorCode::SourceFailed,
            format!("{host} does not answer like a holistics server"),
        )
    })?;
    remember(&path, &host, &args.token)?;
    say!("Authentication successful. Info:");
    say!("- ID: {}", info.id);
    say!("- Email: {}", info.email);
    Ok(())
}

/// A client of the server that somebody logged in to.
pub(super) fn client(host: Option<&str>) -> Result<Client> {
    let remembered = remembered(&file()?)?;
    let token = remembered
        .token
        .ok_or_else(|| Error::invalid("no server is known: run `holistics login` first"))?;
    let host = host.or(remembered.host.as_deref()).unwrap_or(HOST_DEFAULT);
    Ok(Client::new(host, &token))
}

fn file() -> Result<PathBuf> {
    let home = env::var_os("HOME").ok_or_else(|| Error::invalid("there is no home folder: set HOME"))?;
    Ok(Path::new(&home).join(".holistics.yml"))
}

fn remembered(path: &Path) -> Result<Remembered> {
    if !path.exists() {
        return Ok(Remembered::default());
    }
    serde_saphyr::from_str(&fs::read_to_string(path)?)
        .map_err(|error| Error::invalid(format!("cannot read `{}`: {error}", path.display())))
}

/// Replaces the file at once, readable by its owner only.
fn remember(path: &Path, host: &str, token: &str) -> Result<()> {
    let aside = path.with_extension("yml.new");
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&aside)?;
    make_private_file(&aside)?;
    // A JSON string is a YAML string.
    writeln!(file, "token: {}", serde_json::to_string(token)?)?;
    writeln!(file, "host: {}", serde_json::to_string(host)?)?;
    file.sync_all()?;
    Ok(fs::rename(aside, path)?)
}
