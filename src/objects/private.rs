//! Files and folders that are their owner's alone.

use std::fs;
use std::io;
use std::path::Path;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;

/// Makes a folder that only its owner can look into; one that is there stays as it is.
pub(super) fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// The same for a folder that an operator has named: the error says where.
pub(crate) fn make_private_folder(path: &Path) -> Result<()> {
    private_folder(path).map_err(|error| {
        Error::new(
            ErrorCode::InvalidRequest,
            format!("cannot make the folder `{}`: {error}", path.display()),
        )
    })
}

/// Whatever this process makes from now on is its owner's alone, also what libraries make beside their files.
pub(crate) fn keep_new_files_private() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// Takes a file that is there from everybody but its owner.
pub(crate) fn make_private_file(path: &Path) -> Result<()> {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(())
}
