//! The tables of MySQL and MariaDB that rows may go into, and which values their columns would change.

use arrow::datatypes::DataType;
use arrow::datatypes::TimeUnit;

use crate::connectors::load::Destination;
use crate::connectors::load::digits;
use crate::connectors::mysql::MySql;
use crate::connectors::mysql::client::Client;
use crate::connectors::mysql::inserts::literal;
use crate::connectors::mysql::inserts::quoted;
use crate::data_import::Mode;
use crate::error::Result;

/// A column of a table that is there.
pub(super) struct Column {
    pub(super) name: String,
    /// Its type, as the server writes it.
    pub(super) declared: String,
    pub(super) takes: Takes,
}

/// What a file's values must be so that a column takes them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Takes {
    Type(DataType),
    /// What the server makes of text.
    Text,
    /// Whole numbers or the words of booleans, as the values tell.
    Tiny,
}

impl MySql {
    /// The columns of the table if it is there.
    pub(super) async fn columns(
        &self,
        client: &mut Client,
        destination: &Destination,
    ) -> Result<Option<Vec<Column>>> {
        let schema = schema_of(destination);
        let of = format!(
            "table_schema = {schema} and table_name = {}",
            literal(&destination.table)
        );
        let sql = format!(
            "select table_type, coalesce((select transactions from information_schema.engines
                where engines.engine = tables.engine), 'NO') from information_schema.tables where {of}"
        );
        let found = self.texts(client, &sql).await?.into_iter().next();
        let Some(found) = found else {
            return Ok(None);
        };
        let mut found = found.into_iter().map(Option::unwrap_or_default);
        match found.next().unwrap_or_default().as_str() {
            "SYSTEM VERSIONED" if destination.mode == Mode::Replace => {
                let what = "a table with a history, which only takes mode `append`";
                return Err(destination.is_no_table(what));
            }
            "BASE TABLE" | "SYSTEM VERSIONED" => {}
            "VIEW" | "SYSTEM VIEW" => return Err(destination.is_no_table("a view")),
            _ => return Err(destination.is_no_table("no table of rows")),
        }
        if destination.mode == Mode::Append && found.next().as_deref() != Some("YES") {
            let what = "a table whose engine has no transactions, which only takes mode `replace`";
            return Err(destination.is_no_table(what));
        }
        let sql = format!(
            "select column_name, column_type from information_schema.columns where {of} order by ordinal_position"
        );
        let rows = self.texts(client, &sql).await?;
        let columns = rows.into_iter().map(|row| {
            let mut texts = row.into_iter().map(Option::unwrap_or_default);
            let (name, declared) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
            Column {
                takes: takes(&declared.to_ascii_lowercase()),
                name,
                declared,
            }
        });
        Ok(Some(columns.collect()))
    }
}

impl Column {
    /// Its name, and the type that a file's values must have for it; `None` where the values themselves tell.
    pub(super) fn wanted(&self) -> Option<(&str, Option<&DataType>)> {
        match &self.takes {
            Takes::Type(data_type) => Some((&self.name, Some(data_type))),
            Takes::Text => Some((&self.name, None)),
            Takes::Tiny => None,
        }
    }

    /// What is true of a value that the server would change without an error.
    pub(super) fn is_changed(&self) -> Option<String> {
        let value = quoted(&self.name);
        let declared = self.declared.to_ascii_lowercase();
        let (base, rest) = split(&declared);
        let first = digits(&declared).map_or(0, |(first, _)| u32::from(first));
        let finer_than = |digits: u32| format!("{value} regexp '[.][0-9]{{{digits}}}[0-9]*[1-9]'");
        match base {
            "tinyint" => Some(format!("cast({value} as char) not regexp '^[+-]?[0-9]+$'")),
            // Others are taken for years near the present.
            "year" => Some(format!("{value} <> 0 and {value} not between 1901 and 2155")),
            "datetime" | "timestamp" if first < 6 => {
                Some(format!("microsecond({value}) % {} <> 0", 10_u32.pow(6 - first)))
            }
            // The server would leave a date out, and takes digits alone for minutes and seconds.
            // Text is cut without a word when it comes from another table.
            "tinyblob" => Some(format!("octet_length({value}) > 255")),
            "blob" => Some(format!("octet_length({value}) > 65535")),
            "mediumblob" => Some(format!("octet_length({value}) > 16777215")),
            "time" => Some(format!(
                "{value} not regexp '^-?[0-9]{{1,3}}:[0-9]{{2}}(:[0-9]{{2}}([.][0-9]+)?)?$' or {}",
                finer_than(first)
            )),
            "decimal" if self.takes == Takes::Text => {
                let scale = digits(&declared).map_or(0, |(_, scale)| scale);
                Some(format!(
                    "{value} not regexp '^[+-]?[0-9]*([.][0-9]{{0,{scale}}}0*)?$'"
                ))
            }
            "float" | "double" if rest.starts_with('(') => {
                let scale = digits(&declared).map_or(0, |(_, scale)| scale);
                Some(format!("round({value}, {scale}) <> {value}"))
            }
            // One that is none of these may be taken for its number in the list.
            "enum" => {
                // The list is text of the database's, and the case is not, for which words are the same.
                let list = self.declared.get(4..).unwrap_or("('')");
                Some(format!("{value} collate utf8mb4_bin not in {list}"))
            }
            // A number is taken for the bits of several.
            "set" => Some(format!("{value} regexp '^ *[+-]?[0-9]+ *$'")),
            _ => None,
        }
    }
}

/// The schema of a table, as an expression.
pub(super) fn schema_of(destination: &Destination) -> String {
    match &destination.schema {
        Some(schema) => literal(schema),
        None => "database()".to_owned(),
    }
}

fn split(declared: &str) -> (&str, &str) {
    let end = declared.find(['(', ' ']).unwrap_or(declared.len());
    declared.split_at(end)
}

fn takes(declared: &str) -> Takes {
    let (base, rest) = split(declared);
    Takes::Type(match base {
        "tinyint" => return Takes::Tiny,
        "bigint" if rest.contains("unsigned") => DataType::Decimal128(20, 0),
        "smallint" | "mediumint" | "int" | "bigint" | "year" => DataType::Int64,
        "bit" if rest == "(1)" => DataType::Boolean,
        "bit" => DataType::Decimal128(20, 0),
        "decimal" => match digits(declared) {
            Some((precision @ 1..=38, scale @ 0..=38)) => DataType::Decimal128(precision, scale),
            _ => return Takes::Text,
        },
        "float" | "double" => DataType::Float64,
        "date" => DataType::Date32,
        "datetime" | "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, None),
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => DataType::Utf8,
        _ => return Takes::Text,
    })
}
