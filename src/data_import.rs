//! A data import: an uploaded file, and the table that its rows go to. Plain data.

use serde::Deserialize;
use serde::Serialize;

/// What becomes of a table that is there already.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, clap::ValueEnum, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// Its rows and columns make room for those of the file.
    #[default]
    Replace,
    /// The file's rows are added, each column by its name.
    Append,
    /// The import fails.
    Fail,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Append => "append",
            Self::Fail => "fail",
        }
    }
}

/// A row of `data_imports`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct DataImport {
    pub(crate) id: i64,
    pub(crate) title: String,
    pub(crate) user_id: i64,
    /// How that user is called.
    pub(crate) owner_name: String,
    pub(crate) source_id: i64,
    pub(crate) schema_name: Option<String>,
    pub(crate) table_name: String,
    pub(crate) mode: Mode,
    /// How the file is read, as JSON.
    pub(crate) options: String,
    /// What the file was called where it came from.
    pub(crate) file_name: String,
    /// Names the file in the folder of uploads.
    pub(crate) upload: String,
    pub(crate) bytes: i64,
    pub(crate) sha256: String,
    /// What was found in the file, as JSON, once it was imported.
    pub(crate) survey: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    /// When the uploaded file goes; `None` once it has gone.
    pub(crate) expires_at: Option<i64>,
}

/// An upload that is whole and on disk, and what is to become of it.
pub(crate) struct NewDataImport {
    pub(crate) user_id: i64,
    pub(crate) source_id: i64,
    pub(crate) schema_name: Option<String>,
    pub(crate) table_name: String,
    pub(crate) mode: Mode,
    pub(crate) options: String,
    pub(crate) file_name: String,
    pub(crate) upload: String,
    pub(crate) bytes: i64,
    pub(crate) sha256: String,
    pub(crate) lifetime_us: i64,
}
