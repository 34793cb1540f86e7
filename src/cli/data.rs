//! The data folder of commands that work on it beside a server.

use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use clap::builder::OsStringValueParser;
use clap::builder::TypedValueParser as _;

use crate::config::Config;
use crate::error::Error;
use crate::error::Result;
use crate::objects::keep_new_files_private;
use crate::objects::make_private_folder;
use crate::store::Store;

#[derive(Args)]
pub(super) struct DataArgs {
    /// Folder of everything the server keeps; else ./holistics-data
    #[arg(
        long,
        env = "HOLISTICS_DATA_DIR",
        value_name = "DIR",
        value_parser = OsStringValueParser::new().map(PathBuf::from),
        global = true
    )]
    data_dir: Option<PathBuf>,
}

impl DataArgs {
    /// Opens the metadata, making the folder if need be.
    pub(super) async fn open_or_make(&self) -> Result<Store> {
        keep_new_files_private();
        make_private_folder(self.folder())?;
        Store::open(&Config::in_folder(self.folder())?.metadata_file()).await
    }

    pub(super) fn folder(&self) -> &Path {
        self.named().unwrap_or(Path::new("holistics-data"))
    }

    /// A variable that is set to nothing names none.
    fn named(&self) -> Option<&Path> {
        self.data_dir
            .as_deref()
            .filter(|folder| !folder.as_os_str().is_empty())
    }

    /// Whether somebody has named the folder, who therefore means it.
    pub(super) fn is_named(&self) -> bool {
        self.named().is_some()
    }

    /// Whether that was an option, and not the environment.
    pub(super) fn is_option(&self) -> bool {
        let variable = std::env::var_os("HOLISTICS_DATA_DIR").map(PathBuf::from);
        self.is_named() && self.data_dir != variable
    }

    pub(super) fn is_there(&self) -> bool {
        Config::in_folder(self.folder()).is_ok_and(|config| config.metadata_file().exists())
    }

    /// Opens the metadata of a folder that must be there: one cannot list what is nowhere.
    pub(super) async fn open(&self) -> Result<Store> {
        keep_new_files_private();
        let path = Config::in_folder(self.folder())?.metadata_file();
        if !path.exists() {
            return Err(Error::invalid(format!(
                "`{}` is no data folder of a server; name one with --data-dir",
                self.folder().display()
            )));
        }
        Store::open(&path).await
    }
}
