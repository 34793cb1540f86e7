//! A source: a database that reports run on. Plain data.

/// A database that somebody configured.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) kind: SourceKind,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SourceKind {
    DuckDb,
}

impl SourceKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DuckDb => "duckdb",
        }
    }
}

/// The name of the source that is always there: the DuckDB file in the data folder.
pub(crate) const WAREHOUSE: &str = "warehouse";

/// The sources that reports can name.
pub(crate) fn sources() -> Vec<Source> {
    vec![Source {
        id: 1,
        name: WAREHOUSE.to_owned(),
        kind: SourceKind::DuckDb,
    }]
}
