//! The fields of an upload to be imported: where the rows go, and how the file is read.

use crate::data_import::Mode;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::http::App;
use crate::http::upload::Fields;
use crate::imports::CsvOptions;
use crate::imports::parse_delimiter;
use crate::imports::parse_schema;
use crate::query::scalar::shown;
use crate::source::Source;

/// As long as PostgreSQL's names; MySQL's have 64 characters.
const NAME_BYTES_MAX: usize = 63;
/// It is looked for in every field of the file.
const NULL_CHARS_MAX: usize = 100;
/// All that an upload can say beside `file`.
const KNOWN: [&str; 11] = [
    "dest_ds_id",
    "dest_table_name",
    "dest_schema_name",
    "mode",
    "schema",
    "delimiter",
    "encoding",
    "null",
    "header",
    "max_errors",
    "sha256",
];
/// What tables of our own are called.
const RESERVED: &str = "holistics_import";

/// Where the rows are to go, once all that can be said before the file is looked at is right.
pub(super) async fn destination(app: &App, fields: &Fields) -> Result<Source, Error> {
    // A slip of the pen would otherwise be taken for a default.
    if let Some(unknown) = fields.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(Error::invalid(format!(
            "there is no field {}; known are {}",
            shown(unknown),
            KNOWN.join(", ")
        )));
    }
    table_name(fields)?;
    mode(fields)?;
    options(fields)?;
    let text =
        given(fields, "dest_ds_id").ok_or_else(|| Error::invalid("the field `dest_ds_id` is missing"))?;
    let id = text
        .parse()
        .map_err(|_| Error::must_be("dest_ds_id", "the id of a data source", text))?;
    let source = app.store.source(id).await?;
    writable(source.ok_or_else(|| Error::invalid(format!("there is no data source `{id}`")))?)
}

pub(super) fn writable(source: Source) -> Result<Source, Error> {
    match source.settings.writable {
        true => Ok(source),
        false => Err(Error::new(
            ErrorCode::Forbidden,
            format!(
                "data source {} `{}` is not writable; whoever keeps the server can change that: holistics sources add {} … --writable --replace",
                source.id, source.name, source.name
            ),
        )),
    }
}

pub(super) fn given<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields
        .get(name)
        .map(String::as_str)
        .filter(|text| !text.is_empty())
}

pub(super) fn table_name(fields: &Fields) -> Result<String, Error> {
    let name = given(fields, "dest_table_name")
        .ok_or_else(|| Error::invalid("the field `dest_table_name` is missing"))?;
    if name.to_lowercase().starts_with(RESERVED) {
        return Err(Error::invalid(format!(
            "`dest_table_name` must not begin with `{RESERVED}`"
        )));
    }
    if let Some((schema, table)) = name.split_once('.') {
        return Err(Error::invalid(format!(
            "`dest_table_name` must be a table alone, got `{name}`: give `{schema}` as `dest_schema_name` and `{table}` as `dest_table_name`"
        )));
    }
    plain("dest_table_name", name)
}

pub(super) fn plain(field: &str, name: &str) -> Result<String, Error> {
    let fits = name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control) && name.trim() == name;
    match fits {
        true => Ok(name.to_owned()),
        false => Err(Error::must_be(
            field,
            "a name of at most 63 bytes, without control characters and spaces around it",
            name,
        )),
    }
}

pub(super) fn mode(fields: &Fields) -> Result<Mode, Error> {
    Ok(match given(fields, "mode") {
        None | Some("replace") => Mode::Replace,
        Some("append") => Mode::Append,
        Some("fail") => Mode::Fail,
        Some(other) => return Err(Error::must_be("mode", "replace, append or fail", other)),
    })
}

fn null(text: &str) -> Result<String, Error> {
    match text.chars().count() > NULL_CHARS_MAX {
        true => {
            let wanted = format!("a text of at most {NULL_CHARS_MAX} characters");
            Err(Error::must_be("null", &wanted, text))
        }
        false => Ok(text.to_owned()),
    }
}

pub(super) fn options(fields: &Fields) -> Result<CsvOptions, Error> {
    let mut options = CsvOptions::default();
    if let Some(text) = given(fields, "schema") {
        options.schema = parse_schema(text)?;
    }
    if let Some(text) = given(fields, "delimiter") {
        options.delimiter = Some(parse_delimiter(text)?);
    }
    if let Some(text) = given(fields, "encoding") {
        options.encoding = Some(text.parse()?);
    }
    options.null = fields.get("null").map(|text| null(text)).transpose()?;
    options.header = match given(fields, "header") {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(other) => return Err(Error::must_be("header", "true or false", other)),
    };
    if let Some(text) = given(fields, "max_errors") {
        options.errors_max = text
            .parse()
            .map_err(|_| Error::must_be("max_errors", "a whole number", text))?;
    }
    Ok(options)
}
