//! How a file is written beside its format, as a client asks for it.

use serde::Deserialize;
use serde::Serialize;

use crate::error::Error;
use crate::error::Result;
use crate::exports::Format;
use crate::exports::csv::is_formula;

const NULL_CHARACTERS_MAX: usize = 20;

/// Equal options make equal files of equal rows.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) profile: Profile,
    /// Of CSV.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) delimiter: Delimiter,
    /// What stands for NULL in CSV.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) null: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) compress: Option<Compression>,
}

/// For whom a CSV file is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Profile {
    /// Programs: exactly the data.
    #[default]
    Data,
    /// Excel: with a byte order mark, and no text that it would take for a formula.
    Excel,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Delimiter {
    #[default]
    Comma,
    Semicolon,
    Tab,
    Pipe,
}

impl Delimiter {
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Pipe => b'|',
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    /// What is added to the file's name, without a dot.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Gzip => "gz",
            Self::Zstd => "zst",
        }
    }

    /// Its name in HTTP.
    pub(crate) fn content_encoding(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Gzip => "application/gzip",
            Self::Zstd => "application/zstd",
        }
    }
}

impl Options {
    /// Reads the reserved parameters of a submit; `get` finds one by name.
    pub(crate) fn parse<'a>(format: Format, get: impl Fn(&str) -> Option<&'a str>) -> Result<Self> {
        let given = |name: &'static str| get(name).filter(|text| !text.is_empty());
        let options = Self {
            profile: match given("_profile") {
                None | Some("data") => Profile::Data,
                Some("excel") => Profile::Excel,
                Some(other) => return Err(Error::must_be("_profile", "`data` or `excel`", other)),
            },
            delimiter: match given("_delimiter") {
                None | Some(",") => Delimiter::Comma,
                Some(";") => Delimiter::Semicolon,
                Some("\t" | "\\t" | "tab") => Delimiter::Tab,
                Some("|") => Delimiter::Pipe,
                Some(other) => return Err(Error::must_be("_delimiter", "`,`, `;`, `|` or `tab`", other)),
            },
            null: given("_null").unwrap_or_default().to_owned(),
            compress: match given("_compress") {
                None => None,
                Some("gzip") => Some(Compression::Gzip),
                Some("zstd") => Some(Compression::Zstd),
                Some(other) => return Err(Error::must_be("_compress", "`gzip` or `zstd`", other)),
            },
        };
        options.check(format)?;
        Ok(options)
    }

    fn check(&self, format: Format) -> Result<()> {
        for (name, is_given) in [
            ("_profile", self.profile != Profile::Data),
            ("_delimiter", self.delimiter != Delimiter::Comma),
            ("_null", !self.null.is_empty()),
        ] {
            if is_given && format != Format::Csv {
                return Err(Error::invalid(format!(
                    "`{name}` is for csv alone, the format is {}",
                    format.extension()
                )));
            }
        }
        if self.compress.is_some() && format.is_compressed() {
            return Err(Error::invalid(format!(
                "`_compress` is for csv, json, ndjson and arrow: {} is compressed already",
                format.extension()
            )));
        }
        let is_plain = |character: char| {
            !character.is_control() && character != '"' && character != char::from(self.delimiter.byte())
        };
        if self.null.chars().count() > NULL_CHARACTERS_MAX || !self.null.chars().all(is_plain) {
            let wanted = format!(
                "up to {NULL_CHARACTERS_MAX} characters without quotes, delimiters, tabs and line breaks, such as `NULL` or `\\N`"
            );
            return Err(Error::must_be("_null", &wanted, &self.null));
        }
        // A lone sign is no formula.
        if self.profile == Profile::Excel && self.null.len() > 1 && is_formula(self.null.as_bytes()) {
            let wanted = "no formula with `_profile=excel`: without `=`, `+`, `-` or `@` at its beginning";
            return Err(Error::must_be("_null", wanted, &self.null));
        }
        Ok(())
    }

    /// Refuses the parameters above where no file is made.
    pub(crate) fn refuse<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<()> {
        for name in ["_profile", "_delimiter", "_null", "_compress"] {
            if get(name).is_some_and(|text| !text.is_empty()) {
                return Err(Error::invalid(format!(
                    "`{name}` is for files: it goes with submit_export, not with submit_query"
                )));
            }
        }
        Ok(())
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(format: Format, name: &'static str, text: &'static str) -> Result<String> {
        let options = Options::parse(format, |asked| (asked == name).then_some(text))?;
        Ok(serde_json::to_string(&options).unwrap())
    }

    #[test]
    fn options_of_every_kind() {
        for (name, text, expected) in [
            ("_page", "7", "{}"),
            ("_profile", "data", "{}"),
            ("_profile", "excel", r#"{"profile":"excel"}"#),
            ("_delimiter", ",", "{}"),
            ("_delimiter", "tab", r#"{"delimiter":"tab"}"#),
            ("_delimiter", "\t", r#"{"delimiter":"tab"}"#),
            ("_delimiter", "|", r#"{"delimiter":"pipe"}"#),
            ("_null", "", "{}"),
            ("_null", "\\N", r#"{"null":"\\N"}"#),
            ("_compress", "zstd", r#"{"compress":"zstd"}"#),
        ] {
            let json = parse(Format::Csv, name, text).unwrap();
            assert_eq!(json, expected, "{name}={text}");
            let read: Options = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), expected);
        }
    }

    #[test]
    fn wrong_options_say_what_would_be_right() {
        for (format, name, text, part) in [
            (
                Format::Csv,
                "_profile",
                "excel97",
                "`data` or `excel`, got `excel97`",
            ),
            (
                Format::Csv,
                "_delimiter",
                "xx",
                "`,`, `;`, `|` or `tab`, got `xx`",
            ),
            (Format::Csv, "_null", "a,b", "without quotes, delimiters"),
            (Format::Csv, "_null", "a\nb", "without quotes, delimiters"),
            (
                Format::Csv,
                "_null",
                "123456789012345678901",
                "up to 20 characters",
            ),
            (Format::Csv, "_compress", "br", "`gzip` or `zstd`, got `br`"),
            (Format::Json, "_null", "NULL", "for csv alone, the format is json"),
            (Format::Xlsx, "_compress", "gzip", "xlsx is compressed already"),
        ] {
            let error = parse(format, name, text).unwrap_err();
            assert!(error.message.contains(part), "{error}");
            assert!(error.message.contains(name), "{error}");
        }
    }
}
