//! What a caller may say about a CSV file; what is not said is found out.
//! The options are stored with an import, so that all its steps read the file alike.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde::Serialize;

use crate::error::Error;
use crate::error::Result;
use crate::imports::types::ColumnType;

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct CsvOptions {
    pub(crate) delimiter: Option<char>,
    pub(crate) encoding: Option<Encoding>,
    /// What an unquoted field is that means NULL; without it that is an empty one.
    pub(crate) null: Option<String>,
    pub(crate) header: Option<bool>,
    /// Types of columns by their name; those of the others are found out.
    pub(crate) schema: Vec<(String, ColumnType)>,
    /// The columns of the table that the rows are added to; a file need not have them all.
    #[serde(skip)]
    pub(crate) table: Vec<(String, ColumnType)>,
    /// How many rows that cannot be read are left out before the import fails.
    pub(crate) errors_max: u64,
}

/// How a file's characters are written.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
    Windows1252,
}

impl fmt::Display for Encoding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Utf8 => "utf-8",
            Self::Utf16Le => "utf-16le",
            Self::Utf16Be => "utf-16be",
            Self::Windows1252 => "windows-1252",
        })
    }
}

impl From<Encoding> for String {
    fn from(encoding: Encoding) -> Self {
        encoding.to_string()
    }
}

impl TryFrom<String> for Encoding {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl FromStr for Encoding {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text.trim().to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" => Self::Utf8,
            // A byte order mark decides; without one it is nearly always the little end.
            "utf-16" | "utf16" | "utf-16le" | "utf16le" => Self::Utf16Le,
            "utf-16be" | "utf16be" => Self::Utf16Be,
            "windows-1252" | "cp1252" | "latin1" | "latin-1" | "iso-8859-1" => Self::Windows1252,
            _ => {
                let wanted = "`utf-8`, `utf-16`, `utf-16le`, `utf-16be` or `windows-1252`";
                return Err(Error::must_be("encoding", wanted, text));
            }
        })
    }
}

/// Reads `a:integer,b:decimal(12,2)`.
pub(crate) fn parse_schema(text: &str) -> Result<Vec<(String, ColumnType)>> {
    let mut schema: Vec<(String, ColumnType)> = Vec::new();
    for part in parts(text) {
        let Some((name, column_type)) = part.rsplit_once(':') else {
            let wanted = "columns with their types, such as `id:integer,price:decimal(12,2)`";
            return Err(Error::must_be("schema", wanted, part));
        };
        let name = name.trim();
        if name.is_empty() {
            return Err(Error::must_be("schema", "names and types", part));
        }
        if schema.iter().any(|(known, _)| known == name) {
            return Err(Error::invalid(format!("`schema` has column `{name}` twice")));
        }
        let column_type = column_type
            .parse()
            .map_err(|error: Error| Error::invalid(format!("`schema`, column `{name}`: {error}")))?;
        schema.push((name.to_owned(), column_type));
    }
    Ok(schema)
}

/// A delimiter as somebody writes it on a command line.
pub(crate) fn parse_delimiter(text: &str) -> Result<char> {
    let mut characters = text.chars();
    match (text, characters.next(), characters.next()) {
        ("tab" | "\\t", _, _) => Ok('\t'),
        (_, Some(delimiter), None) if delimiter.is_ascii() && !"\"\r\n\0".contains(delimiter) => {
            Ok(delimiter)
        }
        _ => Err(Error::must_be("delimiter", "one ASCII character, or `tab`", text)),
    }
}

/// Split at the commas outside of parentheses.
fn parts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0, 0_i32);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}
