//! Lets through what a report may do on SQLite: read the tables and views of its one database.
//! SQLite asks for each thing that a statement wants before it runs. The file itself is opened read only.

use rusqlite::hooks::AuthAction;
use rusqlite::hooks::AuthContext;

/// Functions that load code or reach into the process.
const REFUSED_FUNCTIONS: [&str; 2] = ["fts3_tokenizer", "load_extension"];

/// Tell of tables and their columns, and of nothing outside the database.
const PRAGMAS: [&str; 7] = [
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// What full-text and spatial indexes themselves ask for where they are read.
const PRAGMAS_OF_INDEXES: [&str; 2] = ["data_version", "page_size"];
/// A spatial index prepares its writing when it is opened. It writes to tables with these endings;
/// into a file that is opened read only, nothing is written in fact.
const TABLES_OF_INDEXES: [&str; 3] = ["_node", "_parent", "_rowid"];

/// What of an action is refused, if it is.
pub(super) fn refused(context: &AuthContext<'_>) -> Option<String> {
    match context.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => None,
        AuthAction::Function { function_name } => {
            let name = function_name.to_ascii_lowercase();
            REFUSED_FUNCTIONS
                .contains(&name.as_str())
                .then(|| format!("function `{name}`"))
        }
        AuthAction::Pragma {
            pragma_name,
            pragma_value,
        } => {
            let name = pragma_name.to_ascii_lowercase();
            let is_harmless = PRAGMAS.contains(&name.as_str())
                || (PRAGMAS_OF_INDEXES.contains(&name.as_str()) && pragma_value.is_none());
            (!is_harmless).then(|| format!("pragma `{name}`"))
        }
        AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name } => {
            let is_of_index = TABLES_OF_INDEXES
                .iter()
                .any(|ending| table_name.ends_with(ending));
            (!is_of_index).then(|| format!("writing to `{table_name}`"))
        }
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => Some("another database".to_owned()),
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => Some("a transaction".to_owned()),
        _ => Some("changing the database".to_owned()),
    }
}
