//! A file of a server, whole and checked, or not at all.

use std::fs;
use std::fs::File;
use std::io;
use std::io::ErrorKind;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::StdoutLock;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::Value;
use sha2::Digest as _;
use sha2::Sha256;
use ureq::Body;
use ureq::http::Response;

use crate::cli::client::Client;
use crate::cli::interrupt::Interrupt;
use crate::cli::output::unwritable;
use crate::cli::submit::Begun;
use crate::cli::submit::style;
use crate::cli::submit::wait;
use crate::cli::submit::with_hint_of_truncate;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::hex::hex;
use crate::objects::Flusher;
use crate::random::random;

/// How often in a row a download may break off.
const BREAKS_MAX: u32 = 5;
/// What a server says of a file that is not there yet.
const NOT_BEGUN: u16 = 422;
/// As many characters of a file's name are in that of its part.
const NAME_CHARACTERS: usize = 40;
/// As many links are followed as Linux does.
const LINKS_MAX: usize = 40;
pub(super) const PIECE_BYTES: usize = 256 << 10;

/// What the file is by the server's word.
#[derive(Deserialize)]
pub(super) struct Manifest {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    sha256: String,
    pub(super) truncated: bool,
}

/// Has a file written beside where it belongs, where it appears once it is whole. A pipe or a device stays what it is.
pub(super) fn save_aside<T>(
    path: &Path,
    interrupt: &Interrupt,
    write: impl FnOnce(&mut Aside, &str) -> Result<T>,
) -> Result<T> {
    let target = target_of(path);
    let path = target.as_path();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let start: String = name.chars().take(NAME_CHARACTERS).collect();
    let aside = path.with_file_name(format!(".{start}.{}.part", hex(&random::<4>()?)));
    let place = format!("`{}`", path.display());
    let unwritable = |error: io::Error| unwritable(&place, &error);
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let device = File::options().write(true).open(path).map_err(unwritable)?;
        let mut device = Aside {
            file: device,
            flusher: None,
        };
        return write(&mut device, &place);
    }
    let file = interrupt.make_part(&aside).map_err(unwritable)?;
    let kept = match fs::metadata(path) {
        // Who may read the file that this one replaces may read this one, and nobody else.
        Ok(there) => file.set_permissions(there.permissions()),
        Err(_) => Ok(()),
    };
    let mut file = Aside {
        file,
        flusher: Some(Flusher::default()),
    };
    let done = kept
        .map_err(unwritable)
        .and_then(|()| write(&mut file, &place))
        .and_then(|written| file.finish().map(|()| written).map_err(unwritable))
        .and_then(|written| fs::rename(&aside, path).map(|()| written).map_err(unwritable));
    if done.is_err() {
        let _ = fs::remove_file(&aside);
    }
    interrupt.part_is_over();
    done
}

/// Where a file is written that a link leads to, also where there is none yet. What is there and has no path, such as
/// a pipe, is called as it was.
fn target_of(path: &Path) -> PathBuf {
    let mut target = path.to_owned();
    if path.exists() {
        return fs::canonicalize(path).unwrap_or(target);
    }
    for _ in 0..LINKS_MAX {
        let Ok(link) = fs::read_link(&target) else {
            break;
        };
        target.pop();
        target.push(link);
    }
    fs::canonicalize(&target).unwrap_or(target)
}

/// What is written of a file that is not in its place yet, or into a device.
pub(super) struct Aside {
    file: File,
    /// Of a file alone.
    flusher: Option<Flusher>,
}

impl Aside {
    /// All of it is on disk after that.
    fn finish(&mut self) -> io::Result<()> {
        if let Some(flusher) = &mut self.flusher {
            flusher.finish()?;
        }
        self.file.sync_all()
    }
}

impl Write for Aside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        if let Some(flusher) = &mut self.flusher {
            flusher.wrote(&self.file, written)?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file to be fetched.
pub(super) struct Download<'a> {
    pub(super) client: &'a Client,
    /// Which makes it.
    pub(super) job_id: i64,
    pub(super) bar: &'a ProgressBar,
    pub(super) interrupt: &'a Interrupt,
}

/// Where the file goes.
pub(super) trait Out: Write {
    /// Takes back what was written; whether that can be.
    fn restart(&mut self) -> bool;
}

impl Out for Aside {
    fn restart(&mut self) -> bool {
        self.file.set_len(0).and_then(|()| self.file.rewind()).is_ok()
    }
}

impl Out for StdoutLock<'_> {
    fn restart(&mut self) -> bool {
        false
    }
}

/// What has arrived of it.
struct Arrived<'a, O: Out> {
    of: &'a Download<'a>,
    out: &'a mut O,
    place: &'a str,
    bytes: u64,
    sum: Sha256,
    piece: Vec<u8>,
}

impl<O: Out> Arrived<'_, O> {
    /// Begins again, where what was written can be taken back; whether it can.
    fn restart(&mut self) -> bool {
        let restarted = self.out.restart();
        if restarted {
            (self.bytes, self.sum) = (0, Sha256::new());
        }
        restarted
    }

    fn is_whole(&self, manifest: &Manifest) -> bool {
        self.bytes == manifest.bytes && hex(&self.sum.clone().finalize()) == manifest.sha256
    }

    /// Writes what an answer has, to its end or until it breaks off: that all has come, its bytes and their sum tell.
    /// More than there can be is not waited for.
    fn take(&mut self, answer: &mut Response<Body>, bytes_max: u64) -> Result<()> {
        let mut body = answer.body_mut().as_reader();
        while let Ok(read @ 1..) = body.read(&mut self.piece) {
            let bytes = self.piece.get(..read).unwrap_or_default();
            if self.bytes + read as u64 > bytes_max {
                return Err(incomplete(format!(
                    "the file has more bytes on its way than the {bytes_max} that were made"
                )));
            }
            self.sum.update(bytes);
            if let Err(error) = self.out.write_all(bytes) {
                let (is_pipe, told) = (
                    error.kind() == ErrorKind::BrokenPipe,
                    unwritable(self.place, &error),
                );
                if is_pipe {
                    // A reader that has gone has had enough, also of the job.
                    self.of.interrupt.given_up(self.of.client, told);
                    std::process::exit(0);
                }
                return Err(told);
            }
            self.bytes += bytes.len() as u64;
            self.of.bar.set_position(self.bytes);
        }
        Ok(())
    }
}

impl Download<'_> {
    /// Writes the file, most of it while it is made, checks that it is what was made, and hands its manifest out:
    /// read, and as it came.
    pub(super) fn write(&self, out: &mut impl Out, place: &str) -> Result<(Manifest, Value)> {
        let Self {
            client, job_id, bar, ..
        } = *self;
        let mut arrived = Arrived {
            of: self,
            out,
            place,
            bytes: 0,
            sum: Sha256::new(),
            piece: vec![0; PIECE_BYTES],
        };
        // Not the link of the answer, which may name another host: the key is for this one.
        let link = client.url(&format!("/exports/download?job_id={job_id}"));
        let mut etag = String::new();
        let mut follow = |secs: f64| {
            let link = format!("{link}&_follow=true&_wait={secs}");
            // What cannot be had this way can later.
            let Ok(mut answer) = client.impatient().get_part(&link, 0, "") else {
                return Ok(Begun::Unknown);
            };
            match answer.status().as_u16() {
                // What has no tag is no file of ours.
                200 if !tag_of(&answer).is_empty() => {}
                NOT_BEGUN => return Ok(Begun::NotYet),
                _ => return Ok(Begun::Unknown),
            }
            etag = tag_of(&answer);
            self.measure(None)?;
            arrived.take(&mut answer, u64::MAX)?;
            Ok(Begun::Taken)
        };
        let poll = format!("/queries/get_export_results.json?job_id={job_id}");
        wait(client, job_id, &poll, bar, self.interrupt, Some(&mut follow)).map_err(with_hint_of_truncate)?;
        let told: Value = client.get_json(&format!("/jobs/{job_id}/manifest.json"))?;
        let manifest: Manifest = serde_json::from_value(told.clone()).map_err(|_| client.is_no_server())?;
        self.measure(Some(manifest.bytes))?;
        let was_followed = !etag.is_empty();
        self.fetch(&link, &manifest, etag, &mut arrived)?;
        // The file of a job that began again may be shorter than what had come of the one before.
        if was_followed && !arrived.is_whole(&manifest) && arrived.restart() {
            self.fetch(&link, &manifest, String::new(), &mut arrived)?;
        }
        arrived.out.flush().map_err(|error| unwritable(place, &error))?;
        match arrived.is_whole(&manifest) {
            true => Ok((manifest, told)),
            false => Err(incomplete(
                "what arrived is not what the server made: its SHA-256 is another".to_owned(),
            )),
        }
    }

    /// From now on the line shows how much has arrived, and of how much as soon as that is known.
    fn measure(&self, all: Option<u64>) -> Result<()> {
        // The rate is that of the download alone.
        self.bar.reset();
        match all {
            None => self
                .bar
                .set_style(style("{spinner} {bytes} {wide_msg} {bytes_per_sec}")?),
            Some(bytes) => {
                self.bar.set_length(bytes);
                let template = "{bytes} of {total_bytes} {wide_bar} {bytes_per_sec}, {eta} left";
                self.bar.set_style(style(template)?);
            }
        }
        Ok(())
    }

    /// Fetches what is missing, and goes on where it breaks off.
    fn fetch(
        &self,
        link: &str,
        manifest: &Manifest,
        mut etag: String,
        arrived: &mut Arrived<impl Out>,
    ) -> Result<()> {
        let (mut breaks, mut most) = (0, arrived.bytes);
        while arrived.bytes < manifest.bytes {
            let mut answer = self.client.get_part(link, arrived.bytes, &etag)?;
            match (answer.status().as_u16(), arrived.bytes) {
                (200, 0) | (206, 1..) => {}
                // The job began again after its first bytes were here, and this is all of its other file.
                (200, _) if arrived.restart() => {}
                (200, _) => {
                    return Err(incomplete(
                        "the job began again, and made another file than the one that was begun with"
                            .to_owned(),
                    ));
                }
                (status, _) => {
                    return Err(incomplete(format!(
                        "the file cannot be fetched any more: the server answered {status}"
                    )));
                }
            }
            etag = tag_of(&answer);
            arrived.take(&mut answer, manifest.bytes)?;
            // Further than ever: what begins again each time gets nowhere.
            if arrived.bytes > most {
                (breaks, most) = (0, arrived.bytes);
            }
            breaks += 1;
            if arrived.bytes < manifest.bytes && breaks > BREAKS_MAX {
                let (bytes, all) = (arrived.bytes, manifest.bytes);
                return Err(incomplete(format!(
                    "the download broke off after {bytes} of {all} bytes"
                )));
            }
        }
        Ok(())
    }
}

fn tag_of(answer: &Response<Body>) -> String {
    let tag = answer.headers().get("etag").and_then(|tag| tag.to_str().ok());
    tag.unwrap_or_default().to_owned()
}

fn incomplete(message: String) -> Error {
    Error::new(ErrorCode::Unreachable, message)
}
