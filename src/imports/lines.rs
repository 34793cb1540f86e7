//! A survey in words, a line each, as the log of an import and a dry run have them.

use crate::imports::prepare::Compression;
use crate::imports::survey::Survey;

impl Survey {
    /// For people to read.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("encoding: {}", self.encoding)];
        if self.compression != Compression::None {
            lines.push(format!("compression: {}", self.compression));
        }
        lines.push(format!("delimiter: {:?}", self.delimiter.to_string()));
        if self.quote != '"' {
            lines.push(format!("quote: {:?}", self.quote.to_string()));
        }
        let header = if self.header { "first line" } else { "none" };
        lines.push(format!("header: {header}"));
        for column in &self.columns {
            let original = if column.original == column.name {
                String::new()
            } else {
                format!(" (in the file {:?})", column.original)
            };
            lines.push(format!(
                "column `{}`: {}{original}",
                column.name, column.column_type
            ));
        }
        for column in self.columns.iter().filter(|column| column.unsettled) {
            lines.push(format!(
                "note: `{}` is text, since nothing tells days from months in its dates",
                column.name
            ));
        }
        if self.rejected > 0 {
            lines.push(format!("rows that cannot be read: {}", self.rejected));
            lines.extend(self.first_rejects.iter().map(ToString::to_string));
        }
        if self.rows == 0 {
            lines.push("note: there is no row".to_owned());
        }
        lines
    }
}
