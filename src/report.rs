//! A report: SQL with typed filters. Plain data; parsing of files and templates is `query`'s.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

/// One version of a report.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Report {
    pub(crate) id: i64,
    pub(crate) title: String,
    /// The name of the source that its SQL runs on.
    pub(crate) source: String,
    pub(crate) description: String,
    /// How long a finished result may be handed out again; zero: never.
    #[serde(with = "duration_secs", rename = "cache_secs")]
    pub(crate) cache: Duration,
    /// How long its query may run, if less than the server lets it.
    #[serde(default, with = "optional_secs", rename = "timeout_secs")]
    pub(crate) timeout: Option<Duration>,
    /// How many rows its result may have, if fewer than the server lets it.
    #[serde(default)]
    pub(crate) rows_max: Option<u64>,
    /// Whom it is shared with, if the file says so: `everyone`, e-mail addresses, `group:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shared_with: Option<Vec<String>>,
    pub(crate) filters: Vec<Filter>,
    /// SQL with template syntax, as in the file.
    pub(crate) sql: String,
}

/// A typed value that the caller gives and the SQL uses by name.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Filter {
    pub(crate) name: String,
    pub(crate) label: String,
    #[serde(rename = "type")]
    pub(crate) filter_type: FilterType,
    /// The type of one value of a dropdown or list; of any other type, that type itself.
    pub(crate) of: ValueType,
    /// More than one value may be given. Always so for a list, never for a date range.
    pub(crate) multiple: bool,
    pub(crate) required: bool,
    /// No manifest names its values.
    #[serde(default)]
    pub(crate) secret: bool,
    /// As written in the file, relative dates too; several for a multiple filter.
    /// A date range has its start and its end, `None` where a side is open.
    pub(crate) default: Vec<Option<String>>,
    pub(crate) allowed: Option<Allowed>,
}

impl Filter {
    /// The names under which values are sent and used: two for a date range, else one.
    pub(crate) fn names(&self) -> Vec<String> {
        match self.filter_type {
            FilterType::DateRange => vec![format!("{}_start", self.name), format!("{}_end", self.name)],
            _ => vec![self.name.clone()],
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FilterType {
    Text,
    Number,
    Boolean,
    Date,
    Datetime,
    /// Sent and used as two dates, `NAME_start` and `NAME_end`.
    DateRange,
    /// Keys with labels; the key is sent.
    Dropdown,
    /// Several values.
    List,
}

/// The type of one value as the database sees it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ValueType {
    Text,
    Number,
    Boolean,
    Date,
    Datetime,
}

/// Where the values come from that a filter may take.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Allowed {
    Values(Vec<Choice>),
    /// A query on the report's source; its first column holds the keys, its second, if any, the labels.
    Sql(String),
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Choice {
    pub(crate) key: String,
    pub(crate) label: String,
}

/// The address form of a report: `1846-users-growth`.
pub(crate) fn slug(title: &str) -> String {
    let mut slug = String::with_capacity(title.len());
    for character in title.chars().flat_map(char::to_lowercase) {
        if character.is_alphanumeric() {
            slug.push(character);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

mod duration_secs {
    use std::time::Duration;

    use serde::Deserialize as _;
    use serde::Deserializer;
    use serde::Serializer;

    pub(super) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(value.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}

mod optional_secs {
    use std::time::Duration;

    use serde::Deserialize as _;
    use serde::Deserializer;
    use serde::Serialize as _;
    use serde::Serializer;

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(|value| value.as_secs()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let secs = Option::deserialize(deserializer)?;
        Ok(secs.map(Duration::from_secs))
    }
}
