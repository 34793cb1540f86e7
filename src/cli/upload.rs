//! A file on its way to a server, as a multipart body that is made while it is read.

use std::fs::File;
use std::io;
use std::io::IsTerminal as _;
use std::io::Read;
use std::time::SystemTime;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use sha2::Digest as _;
use sha2::Sha256;

use crate::cli::interrupt::Interrupt;
use crate::error::Error;
use crate::hex::hex;

const HEX_DIGITS: usize = 64;

/// The body: fields, then the file, then the file's SHA-256.
pub(super) struct Upload {
    pub(super) boundary: String,
    /// What goes before the file, and after that what goes after it.
    frame: io::Cursor<Vec<u8>>,
    file: Source,
    hash: Sha256,
    state: State,
    progress: ProgressBar,
    /// Why the file could not be read to its end.
    fault: Option<String>,
    /// Told when all of it has been read: from then on there may be a job.
    interrupt: Interrupt,
}

enum Source {
    File {
        file: File,
        bytes: u64,
        modified: Option<SystemTime>,
        read: u64,
    },
    StandardInput,
}

enum State {
    Before,
    File,
    After,
}

impl Upload {
    /// Without a file, standard input is read.
    pub(super) fn new(
        fields: Vec<(&str, String)>,
        file: Option<File>,
        file_name: &str,
        interrupt: &Interrupt,
    ) -> Self {
        // Hard to meet by chance in a file, and nobody gains from putting it there: it is his own file.
        let boundary = format!(
            "holistics-{}",
            hex(&Sha256::digest(format!(
                "{:?}{}",
                SystemTime::now(),
                std::process::id()
            )))
        );
        let mut before = String::new();
        for (name, value) in fields {
            before.push_str(&format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            ));
        }
        let file_name = file_name.replace(['"', '\\', '\r', '\n'], "_");
        before.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file_name}\"\r\n\
             Content-Type: text/csv\r\n\r\n"
        ));
        let file = match file.map(|file| (file.metadata(), file)) {
            Some((Ok(metadata), file)) if metadata.is_file() && metadata.len() > 0 => Source::File {
                file,
                bytes: metadata.len(),
                modified: metadata.modified().ok(),
                read: 0,
            },
            // Such as a pipe that has a name, or what the system makes when it is read.
            Some((_, file)) => Source::File {
                file,
                bytes: u64::MAX,
                modified: None,
                read: 0,
            },
            None => Source::StandardInput,
        };
        let progress = progress(&file);
        Self {
            boundary,
            frame: io::Cursor::new(before.into_bytes()),
            file,
            hash: Sha256::new(),
            state: State::Before,
            progress,
            fault: None,
            interrupt: interrupt.clone(),
        }
    }

    /// How long the body is, if that is known.
    pub(super) fn length(&self) -> Option<u64> {
        match self.file {
            Source::File { bytes, .. } if bytes < u64::MAX => {
                let after = self.after(&"0".repeat(HEX_DIGITS)).len();
                Some(self.frame.get_ref().len() as u64 + bytes + after as u64)
            }
            _ => None,
        }
    }

    /// What ended an upload, if it was the file.
    pub(super) fn fault(&self) -> Option<Error> {
        let fault = self.fault.as_ref()?;
        Some(Error::invalid(format!("{fault}; nothing was imported")))
    }

    fn after(&self, sha256: &str) -> String {
        let boundary = &self.boundary;
        format!(
            "\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"sha256\"\r\n\r\n{sha256}\r\n--{boundary}--\r\n"
        )
    }

    fn read_file(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match &mut self.file {
            Source::StandardInput => io::stdin().lock().read(buffer)?,
            Source::File {
                file,
                bytes,
                modified,
                read,
            } => {
                let count = file.read(buffer)?;
                *read += count as u64;
                let is_end = count == 0;
                let is_known = *bytes < u64::MAX;
                let metadata = file.metadata()?;
                if is_known
                    && (metadata.len() != *bytes
                        || metadata.modified().ok() != *modified
                        || (is_end && read != bytes))
                {
                    return Err(io::Error::other("the file changed while it was uploaded"));
                }
                count
            }
        };
        self.hash.update(&buffer[..count]);
        self.progress.inc(count as u64);
        Ok(count)
    }
}

impl Read for Upload {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match self.state {
                State::Before => match self.frame.read(buffer)? {
                    0 => self.state = State::File,
                    count => return Ok(count),
                },
                State::File => match self.read_file(buffer) {
                    Err(error) => {
                        self.fault = Some(error.to_string());
                        return Err(error);
                    }
                    Ok(0) => {
                        let sha256 = hex(&self.hash.clone().finalize());
                        self.frame = io::Cursor::new(self.after(&sha256).into_bytes());
                        self.state = State::After;
                        self.interrupt.has_uploaded();
                        self.progress.finish_and_clear();
                    }
                    Ok(count) => return Ok(count),
                },
                State::After => return self.frame.read(buffer),
            }
        }
    }
}

fn progress(file: &Source) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (progress, template) = match file {
        Source::File { bytes, .. } if *bytes < u64::MAX => (
            ProgressBar::new(*bytes),
            "uploading {bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        ),
        _ => (ProgressBar::new_spinner(), "uploading {bytes} {bytes_per_sec}"),
    };
    // A template that cannot be read leaves the bar as it is.
    match ProgressStyle::with_template(template) {
        Ok(style) => progress.with_style(style),
        Err(_) => progress,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    fn upload_of(fields: Vec<(&str, String)>, file: File) -> Upload {
        Upload::new(fields, Some(file), "people.csv", &Interrupt::default())
    }

    #[test]
    fn body_is_as_long_as_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("people.csv");
        fs::write(&path, "id\n1\n").unwrap();
        let file = File::open(&path).unwrap();
        let mut upload = upload_of(vec![("mode", "append".to_owned())], file);
        let length = upload.length().unwrap();
        let mut body = String::new();
        upload.read_to_string(&mut body).unwrap();
        assert_eq!(body.len() as u64, length);
        assert!(body.contains(&hex(&Sha256::digest("id\n1\n"))), "{body}");
    }

    #[test]
    fn file_that_changes_while_it_is_read_is_no_upload() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("people.csv");
        for change in ["grow", "shrink"] {
            fs::write(&path, "id\n".repeat(100_000)).unwrap();
            let mut upload = upload_of(Vec::new(), File::open(&path).unwrap());
            let mut read = vec![0; 10_000];
            upload.read_exact(&mut read).unwrap();
            let mut file = File::options().append(true).open(&path).unwrap();
            match change {
                "grow" => file.write_all(b"id\n").unwrap(),
                _ => file.set_len(20_000).unwrap(),
            }
            let error = upload.read_to_end(&mut read).unwrap_err();
            assert!(error.to_string().contains("the file changed"), "{error}");
        }
    }
}
