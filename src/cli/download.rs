//! A file of a server, whole and checked, or not at all.

use std::fs;
use std::fs::File;
use std::io;
use std::io::ErrorKind;
use std::io::Read as _;
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;

use indicatif::ProgressBar;
use serde::Deserialize;
use sha2::Digest as _;
use sha2::Sha256;

use crate::cli::client::Client;
use crate::cli::interrupt::Interrupt;
use crate::cli::output::unwritable;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::hex::hex;
use crate::random::random;

/// How often in a row a download may break off.
const BREAKS_MAX: u32 = 5;
/// As many characters of a file's name are in that of its part.
const NAME_CHARACTERS: usize = 40;
const PIECE_BYTES: usize = 256 << 10;

/// What the file is by the server's word.
#[derive(Deserialize)]
pub(super) struct Manifest {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    sha256: String,
    pub(super) truncated: bool,
}

/// Has a file written beside where it belongs, where it appears once it is whole. A pipe or a device stays what it is.
pub(super) fn save_aside(
    path: &Path,
    interrupt: &Interrupt,
    write: impl FnOnce(&mut File, &str) -> Result<()>,
) -> Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let path = target.as_path();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let start: String = name.chars().take(NAME_CHARACTERS).collect();
    let aside = path.with_file_name(format!(".{start}.{}.part", hex(&random::<4>()?)));
    let place = format!("`{}`", path.display());
    let unwritable = |error: io::Error| unwritable(&place, &error);
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let mut device = File::options().write(true).open(path).map_err(unwritable)?;
        return write(&mut device, &place);
    }
    let mut file = File::create_new(&aside).map_err(unwritable)?;
    interrupt.set_part(Some(aside.clone()));
    let kept = match fs::metadata(path) {
        // Who may read the file that this one replaces may read this one, and nobody else.
        Ok(there) => file.set_permissions(there.permissions()),
        Err(_) => Ok(()),
    };
    let done = kept
        .map_err(unwritable)
        .and_then(|()| write(&mut file, &place))
        .and_then(|()| file.sync_all().map_err(unwritable))
        .and_then(|()| fs::rename(&aside, path).map_err(unwritable));
    if done.is_err() {
        let _ = fs::remove_file(&aside);
    }
    interrupt.set_part(None);
    done
}

/// A file to be fetched.
pub(super) struct Download<'a> {
    pub(super) client: &'a Client,
    pub(super) link: &'a str,
    pub(super) manifest: &'a Manifest,
    pub(super) bar: &'a ProgressBar,
}

impl Download<'_> {
    pub(super) fn save(&self, path: &Path, interrupt: &Interrupt) -> Result<()> {
        save_aside(path, interrupt, |file, place| self.write(file, place))
    }

    /// Fetches the file, goes on where it breaks off, and checks that it is what was made.
    pub(super) fn write(&self, out: &mut impl Write, place: &str) -> Result<()> {
        let incomplete = |message: String| Error::new(ErrorCode::Unreachable, message);
        let all = self.manifest.bytes;
        let mut sum = Sha256::new();
        let mut position = 0;
        let mut breaks = 0;
        let mut etag = String::new();
        let mut piece = vec![0; PIECE_BYTES];
        while position < all {
            let part = self.client.get_part(self.link, position, &etag);
            let mut answer = match part {
                Ok(answer) => answer,
                Err(_) if breaks < BREAKS_MAX => {
                    breaks += 1;
                    thread::sleep(Duration::from_millis(200) * breaks);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let expected = if position == 0 { 200 } else { 206 };
            if answer.status() != expected {
                let status = answer.status();
                return Err(incomplete(format!(
                    "the file cannot be fetched any more: the server answered {status}"
                )));
            }
            if let Some(tag) = answer.headers().get("etag").and_then(|tag| tag.to_str().ok()) {
                tag.clone_into(&mut etag);
            }
            let mut body = answer.body_mut().as_reader();
            while let Ok(read @ 1..) = body.read(&mut piece) {
                let bytes = piece.get(..read).unwrap_or_default();
                sum.update(bytes);
                match out.write_all(bytes) {
                    // A reader that has gone has had enough.
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
                    Err(error) => return Err(unwritable(place, &error)),
                    Ok(()) => {}
                }
                position += read as u64;
                breaks = 0;
                self.bar.set_position(position);
            }
            breaks += 1;
            if position < all && breaks > BREAKS_MAX {
                return Err(incomplete(format!(
                    "the download broke off after {position} of {all} bytes"
                )));
            }
        }
        out.flush().map_err(|error| unwritable(place, &error))?;
        match position == all && hex(&sum.finalize()) == self.manifest.sha256 {
            true => Ok(()),
            false => Err(incomplete(
                "what arrived is not what the server made: its SHA-256 is another".to_owned(),
            )),
        }
    }
}
