//! The key under which the passwords of sources are kept, and how they are sealed and opened.

use std::env;
use std::fs;
use std::fs::File;
use std::io::ErrorKind;
use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::KeyInit as _;
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::XNonce;
use chacha20poly1305::aead::Aead as _;
use chacha20poly1305::aead::Payload;
use sha2::Digest as _;
use sha2::Sha256;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::random::random;
use crate::source::NewSource;
use crate::source::Password;
use crate::source::Source;

/// The environment variable that holds the key, for those who keep it away from the data.
const VARIABLE: &str = "HOLISTICS_SECRET_KEY";
const FILE: &str = "secret.key";
const KEY_CHARS_MIN: usize = 32;
const NONCE_BYTES: usize = 24;

/// Seals passwords.
pub(crate) struct SecretKey(XChaCha20Poly1305);

impl SecretKey {
    /// The key of `HOLISTICS_SECRET_KEY`, else that of the file in the data folder, which is made if need be.
    fn load(data_dir: &Path) -> Result<Self> {
        match env::var(VARIABLE) {
            Ok(text) if text.chars().count() >= KEY_CHARS_MIN => Ok(Self::of(&text)),
            Ok(_) => Err(Error::invalid(format!(
                "{VARIABLE} must have at least {KEY_CHARS_MIN} characters"
            ))),
            Err(env::VarError::NotPresent) => Self::of_file(&data_dir.join(FILE)),
            Err(env::VarError::NotUnicode(_)) => Err(Error::invalid(format!("{VARIABLE} is not UTF-8"))),
        }
    }

    /// A source's password as it is to be kept.
    pub(crate) fn seal_of(data_dir: &Path, new: &NewSource) -> Result<Option<Vec<u8>>> {
        let Some(password) = &new.password else {
            return Ok(None);
        };
        Self::load(data_dir)?.seal(&new.name, password.reveal()).map(Some)
    }

    /// A source's password as it was given.
    pub(crate) fn open_of(data_dir: &Path, source: &Source) -> Result<Option<Password>> {
        let Some(sealed) = &source.sealed_password else {
            return Ok(None);
        };
        let opened = Self::load(data_dir)?.open(&source.name, sealed)?;
        Ok(Some(Password::new(opened)))
    }

    fn of(text: &str) -> Self {
        Self(XChaCha20Poly1305::new(&Sha256::digest(text.trim())))
    }

    fn of_file(path: &Path) -> Result<Self> {
        if !path.exists() {
            make_file(path)?;
        }
        let text = fs::read_to_string(path)
            .map_err(|error| Error::invalid(format!("cannot read `{}`: {error}", path.display())))?;
        match text.trim().chars().count() >= KEY_CHARS_MIN {
            true => Ok(Self::of(&text)),
            false => Err(Error::invalid(format!("`{}` holds no key", path.display()))),
        }
    }

    /// Seals a text so that it can be opened only under the same name.
    fn seal(&self, name: &str, text: &str) -> Result<Vec<u8>> {
        let nonce = random::<NONCE_BYTES>()?;
        let payload = Payload {
            msg: text.as_bytes(),
            aad: name.as_bytes(),
        };
        let sealed = self
            .0
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|error| Error::internal(error.to_string()))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    fn open(&self, name: &str, sealed: &[u8]) -> Result<String> {
        let opened = sealed
            .split_first_chunk::<NONCE_BYTES>()
            .and_then(|(nonce, rest)| {
                let payload = Payload {
                    msg: rest,
                    aad: name.as_bytes(),
                };
                self.0.decrypt(&XNonce::from(*nonce), payload).ok()
            });
        opened
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| {
                Error::new(
                    ErrorCode::SourceFailed,
                    format!(
                        "the password of source `{name}` was sealed with another key: \
                     bring back {VARIABLE} or the file `{FILE}` of the data folder, or add the source again"
                    ),
                )
            })
    }
}

/// Makes a key that nobody else can read; whole or not at all, and never in place of another.
fn make_file(path: &Path) -> Result<()> {
    let key = random::<32>()?;
    let aside = path.with_extension(format!("key.{}", std::process::id()));
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&aside)?;
    writeln!(file, "{}", STANDARD.encode(key))?;
    file.sync_all()?;
    let linked = fs::hard_link(&aside, path);
    fs::remove_file(&aside)?;
    match linked {
        // Another process was faster; its key is as good.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => Ok(linked?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_text_opens_under_its_name_and_key_alone() {
        let key = SecretKey::of("a key of at least thirty-two characters");
        let sealed = key.seal("sales", "pä$$").unwrap();
        assert!(!sealed.windows(3).any(|part| part == b"p\xc3\xa4"));
        assert_ne!(
            sealed,
            key.seal("sales", "pä$$").unwrap(),
            "no nonce is used twice"
        );
        assert_eq!(key.open("sales", &sealed).unwrap(), "pä$$");
        let other = SecretKey::of("another key of at least thirty-two characters");
        for result in [
            key.open("other", &sealed),
            other.open("sales", &sealed),
            key.open("sales", &sealed[..20]),
        ] {
            assert!(result.unwrap_err().message.contains("another key"));
        }
    }

    #[test]
    fn key_file_is_made_once_and_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let sealed = SecretKey::of_file(&path).unwrap().seal("a", "x").unwrap();
        assert_eq!(
            SecretKey::of_file(&path).unwrap().open("a", &sealed).unwrap(),
            "x"
        );
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        fs::write(&path, "short").unwrap();
        assert!(SecretKey::of_file(&path).is_err());
    }
}
