//! Makes plain UTF-8 of an upload: unpacked, in one encoding, free of what no text has.
//! A file that is that already is used where it is.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use serde::Deserialize;
use serde::Serialize;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::imports::decode;
use crate::imports::decode::Utf8;
use crate::imports::options::CsvOptions;
use crate::imports::options::Encoding;
use crate::imports::stopped;
use crate::objects::check_disk;

const BLOCK: usize = 256 << 10;
/// How much of a file shows that it is UTF-16.
const HEAD: usize = 4 << 10;
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
const UTF16LE_MARK: &[u8] = b"\xff\xfe";
const UTF16BE_MARK: &[u8] = b"\xfe\xff";

/// A file that can be surveyed and read.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// The upload itself, or a file in the folder for work.
    pub(crate) path: PathBuf,
    /// Where the text begins: after a byte order mark.
    pub(crate) start: u64,
    /// Bytes of the file, with the mark.
    pub(crate) length: u64,
    /// What the upload had.
    pub(crate) encoding: Encoding,
    pub(crate) compression: Compression,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// Files in `work_dir` are the caller's to remove. No more than `bytes_max` are written there at a time.
pub(crate) fn prepare(
    upload: &Path,
    work_dir: &Path,
    options: &CsvOptions,
    bytes_max: u64,
    stop: &AtomicBool,
) -> Result<Prepared> {
    let limits = Limits { bytes_max, stop };
    let mut head = head(upload)?;
    if head.starts_with(b"PK\x03\x04") {
        return Err(Error::invalid(
            "the file is a ZIP archive, as those of Excel are: save it as CSV, or compress it by gzip or zstd",
        ));
    }
    let compression = match head.as_slice() {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        _ => Compression::None,
    };
    let unpacked = work_dir.join("unpacked");
    let plain = if compression == Compression::None {
        upload
    } else {
        limits.unpack(upload, &unpacked, compression)?;
        head = self::head(&unpacked)?;
        &unpacked
    };
    let (encoding, mark) = match announced(&head, options.encoding)? {
        Some(announced) => announced,
        None => (limits.guess(plain, options.encoding)?, 0),
    };
    if encoding == Encoding::Utf8 && mark > 0 {
        limits.check(plain, mark)?.sure(plain, mark)?;
    }
    let (path, start) = if encoding == Encoding::Utf8 {
        (plain.to_owned(), mark)
    } else {
        let decoded = work_dir.join("decoded");
        limits.decode(plain, mark, &decoded, encoding)?;
        if compression != Compression::None {
            std::fs::remove_file(&unpacked)?;
        }
        (decoded, 0)
    };
    Ok(Prepared {
        length: std::fs::metadata(&path)?.len(),
        path,
        start,
        encoding,
        compression,
    })
}

fn head(path: &Path) -> Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD);
    File::open(path)?.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// The encoding by the file's mark, its zero bytes or the caller's word, and how long the mark is.
/// Nothing if only the whole file can tell, or if it is to be checked for UTF-8.
fn announced(head: &[u8], given: Option<Encoding>) -> Result<Option<(Encoding, u64)>> {
    let marks = [
        (UTF8_MARK, Encoding::Utf8),
        (UTF16LE_MARK, Encoding::Utf16Le),
        (UTF16BE_MARK, Encoding::Utf16Be),
    ];
    if let Some((mark, encoding)) = marks.into_iter().find(|(mark, _)| head.starts_with(mark)) {
        let is_utf16 = |encoding| matches!(encoding, Encoding::Utf16Le | Encoding::Utf16Be);
        return match given {
            Some(given) if given != encoding && !(is_utf16(given) && is_utf16(encoding)) => {
                Err(Error::invalid(format!(
                    "the file begins with the byte order mark of {encoding}, `encoding` says {given}"
                )))
            }
            _ => Ok(Some((encoding, mark.len() as u64))),
        };
    }
    Ok(match given {
        Some(Encoding::Utf8) => None,
        Some(given) => Some((given, 0)),
        None => decode::utf16_by_zeros(head).map(|encoding| (encoding, 0)),
    })
}

struct Limits<'a> {
    bytes_max: u64,
    stop: &'a AtomicBool,
}

impl Limits<'_> {
    fn go_on(&self, written: u64) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(stopped());
        }
        if written > self.bytes_max {
            return Err(Error::new(
                ErrorCode::TooLarge,
                format!(
                    "the file is larger than {} bytes as plain text (`upload_bytes_max`)",
                    self.bytes_max
                ),
            ));
        }
        Ok(())
    }

    /// Writes what makes the file so many bytes long.
    fn write(&self, out: &mut File, bytes: &[u8], written: u64) -> Result<()> {
        self.go_on(written)?;
        check_disk(out)?;
        Ok(out.write_all(bytes)?)
    }

    fn unpack(&self, upload: &Path, to: &Path, compression: Compression) -> Result<()> {
        let file = File::open(upload)?;
        let mut packed: Box<dyn Read> = match compression {
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(file)?),
            _ => Box::new(flate2::read::MultiGzDecoder::new(
                std::io::BufReader::with_capacity(BLOCK, file),
            )),
        };
        let mut out = File::create(to)?;
        let mut block = vec![0; BLOCK];
        let mut written = 0;
        loop {
            let read = packed.read(&mut block).map_err(|error| {
                Error::invalid(format!(
                    "the {compression} archive is cut off or damaged: {error}"
                ))
            })?;
            if read == 0 {
                return Ok(());
            }
            written += read as u64;
            self.write(&mut out, &block[..read], written)?;
        }
    }

    /// UTF-8 or, if the caller does not say otherwise, Windows-1252.
    fn guess(&self, path: &Path, given: Option<Encoding>) -> Result<Encoding> {
        let utf8 = self.check(path, 0)?;
        if given.is_none() && utf8.may_be_windows() {
            return Ok(Encoding::Windows1252);
        }
        utf8.sure(path, 0)?;
        Ok(Encoding::Utf8)
    }

    fn check(&self, path: &Path, start: u64) -> Result<Utf8> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(start))?;
        let mut utf8 = Utf8::default();
        let mut block = vec![0; BLOCK];
        let mut kept = 0;
        loop {
            self.go_on(0)?;
            let read = file.read(&mut block[kept..])?;
            let seen = utf8.see(&block[..kept + read], read == 0);
            if read == 0 || utf8.is_settled() {
                return Ok(utf8);
            }
            block.copy_within(seen..kept + read, 0);
            kept = kept + read - seen;
        }
    }

    fn decode(&self, from: &Path, start: u64, to: &Path, encoding: Encoding) -> Result<()> {
        let mut file = File::open(from)?;
        file.seek(SeekFrom::Start(start))?;
        let mut out = File::create(to)?;
        let mut decoder = decode::Decoder::new(encoding);
        let mut block = vec![0; BLOCK];
        let mut written = 0;
        loop {
            let read = file.read(&mut block)?;
            let text = decoder.decode(&block[..read], read == 0)?;
            written += text.len() as u64;
            self.write(&mut out, text, written)?;
            if read == 0 {
                return Ok(());
            }
        }
    }
}
