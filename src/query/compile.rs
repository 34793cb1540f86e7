//! A report and its values become one SQL text with numbered placeholders and the values bound to them.
//! The text depends on which values are there and on the report, never on what a text value says.

use std::collections::HashMap;

use crate::access::Pins;
use crate::error::Error;
use crate::error::ErrorCode;
use crate::error::Result;
use crate::query::Bind;
use crate::query::Dialect;
use crate::query::Statement;
use crate::query::ValueCheck;
use crate::query::check::canonical_text;
use crate::query::check::checked;
use crate::query::check::find;
use crate::query::check::single_choices;
use crate::query::lexer::Piece;
use crate::query::lexer::comment_length;
use crate::query::lexer::is_word;
use crate::query::lexer::joins;
use crate::query::scalar::canonical;
use crate::query::tag::Condition;
use crate::query::tag::ValueTag;
use crate::query::template::Node;
use crate::query::template::names;
use crate::query::values::Values;
use crate::query::values::one_of;
use crate::report::Allowed;
use crate::report::Filter;
use crate::report::Report;

/// Stands where a condition stood whose value was not given.
const ALWAYS_TRUE: &str = "1=1";

/// Words that a block without a value keeps before `1=1`.
const KEPT_WORDS: [&str; 6] = ["and", "or", "where", "having", "on", "qualify"];

/// Words that begin a clause which takes no condition; a block without a value then leaves nothing.
const CLAUSE_WORDS: [&str; 15] = [
    "limit",
    "offset",
    "fetch",
    "order",
    "group",
    "join",
    "left",
    "right",
    "inner",
    "full",
    "cross",
    "union",
    "except",
    "intersect",
    "using",
];

/// Makes the statement. A report that was read from a file fails only for its values.
/// Refused where a pinned filter does not decide wherever it stands: a condition on it that an optional block
/// takes along, or a branch that is not chosen, would let all rows out.
pub(crate) fn compile(report: &Report, values: &Values, dialect: Dialect, pins: &Pins) -> Result<Statement> {
    let nodes = checked(report).map_err(|fault| fault.into_error(&report.sql))?;
    let mut writer = Writer {
        filters: &report.filters,
        values,
        dialect,
        sql: String::with_capacity(report.sql.len()),
        binds: Vec::new(),
        placeholders: HashMap::new(),
        used: Vec::new(),
        dropped: Vec::new(),
        missing: None,
        edge: Edge::None,
    };
    writer.nodes(&nodes)?;
    let decides = |pinned: &str| writer.used.contains(&pinned) && !writer.dropped.contains(&pinned);
    if let Some(unused) = pins.keys().find(|pinned| !decides(pinned)) {
        let message = format!(
            "this key pins filter `{unused}`, which report `{}` does not use, or not everywhere, with these values",
            report.id
        );
        return Err(Error::new(ErrorCode::Forbidden, message));
    }
    if let Some(filter) = writer.missing {
        let message = format!(
            "filter `{}` must be {}, got no value",
            filter.name,
            one_of(filter)
        );
        return Err(Error::invalid(message));
    }
    Ok(Statement {
        sql: writer.sql,
        binds: writer.binds,
        checks: value_checks(report, values),
    })
}

fn value_checks(report: &Report, values: &Values) -> Vec<ValueCheck> {
    let mut checks = Vec::new();
    for filter in &report.filters {
        let Some(Allowed::Sql(values_sql)) = &filter.allowed else {
            continue;
        };
        let values = values.get(&filter.name);
        if !values.is_empty() {
            checks.push(ValueCheck {
                filter: filter.name.clone(),
                values_sql: values_sql.clone(),
                values: values.to_vec(),
            });
        }
    }
    checks
}

/// What was written last; the next text must not run into it.
#[derive(Clone, Copy, PartialEq)]
enum Edge {
    None,
    Placeholder,
    Block,
}

struct Writer<'a> {
    filters: &'a [Filter],
    values: &'a Values,
    dialect: Dialect,
    sql: String,
    binds: Vec<Bind>,
    /// The numbers that a name's values have in the SQL, from the first one on.
    placeholders: HashMap<&'a str, usize>,
    /// The filters that what is written depends on.
    used: Vec<&'a str>,
    /// Those of what was left out, unless what is written in its place has them too.
    dropped: Vec<&'a str>,
    /// A filter without a value whose key the SQL cannot do without.
    missing: Option<&'a Filter>,
    edge: Edge,
}

impl<'a> Writer<'a> {
    fn nodes(&mut self, nodes: &[Node<'a>]) -> Result<()> {
        for node in nodes {
            match node {
                Node::Text(text) => self.push(text),
                Node::Value(value) => self.value(value)?,
                Node::Literal(pieces) => self.literal(pieces),
                Node::Block(inner) => self.block(inner)?,
                Node::If {
                    condition,
                    then,
                    otherwise,
                } => {
                    self.used.push(condition.name);
                    let (branch, other) = match self.holds(condition) {
                        true => (then, otherwise),
                        false => (otherwise, then),
                    };
                    let (kept, other) = (names(branch), names(other));
                    let is_dropped = |name: &&str| *name != condition.name && !kept.contains(name);
                    self.dropped.extend(other.into_iter().filter(is_dropped));
                    self.nodes(branch)?;
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, text: &str) {
        let (Some(last), Some(first)) = (self.sql.chars().next_back(), text.chars().next()) else {
            self.sql.push_str(text);
            return;
        };
        let collides = match self.edge {
            Edge::Placeholder => is_word(first),
            _ if joins(last, first) => true,
            Edge::None => false,
            Edge::Block => {
                !last.is_whitespace() && !first.is_whitespace() && last != '(' && !matches!(first, ')' | ',')
            }
        };
        if collides {
            self.sql.push(' ');
        }
        self.sql.push_str(text);
        self.edge = Edge::None;
    }

    fn value(&mut self, value: &ValueTag<'a>) -> Result<()> {
        let Some(filter) = find(self.filters, value.name) else {
            return Err(Error::invalid(format!("unknown filter `{}`", value.name)));
        };
        self.used.push(value.name);
        let given = self.values.get(value.name);
        match single_choices(filter) {
            Some(choices) if value.noquote => {
                let Some(bind) = given.first() else {
                    self.missing = self.missing.or(Some(filter));
                    return Ok(());
                };
                let wanted = canonical(bind);
                let choice = choices
                    .iter()
                    .find(|choice| canonical_text(filter.of, &choice.key) == wanted);
                match choice {
                    Some(choice) => self.push(&choice.key),
                    None => self.missing = self.missing.or(Some(filter)),
                }
            }
            _ if filter.multiple && given.is_empty() => self.expression("NULL"),
            _ => {
                let numbers = self.bind(value.name);
                let written: Vec<String> = numbers.map(|number| self.dialect.placeholder(number)).collect();
                self.expression(&written.join(", "));
            }
        }
        Ok(())
    }

    /// Writes text that must not become one word with its neighbours.
    fn expression(&mut self, text: &str) {
        if self.edge == Edge::None && self.sql.ends_with(is_word) {
            self.edge = Edge::Placeholder;
        }
        self.push(text);
        self.edge = Edge::Placeholder;
    }

    /// Binds the values of a name, once where the dialect can name them, and gives their numbers;
    /// nothing given is one `Null`.
    fn bind(&mut self, name: &'a str) -> std::ops::RangeInclusive<usize> {
        let given = self.values.get(name);
        let count = given.len().max(1);
        if let Some(first) = self.placeholders.get(name).filter(|_| self.dialect.has_numbers()) {
            return *first..=*first + count - 1;
        }
        let first = self.binds.len() + 1;
        if given.is_empty() {
            self.binds.push(Bind::Null);
        } else {
            self.binds.extend_from_slice(given);
        }
        self.placeholders.insert(name, first);
        first..=first + count - 1
    }

    fn literal(&mut self, pieces: &[Piece<'a>]) {
        let mut parts = Vec::with_capacity(pieces.len());
        for piece in pieces {
            match piece {
                Piece::Text(text) => parts.push(format!("'{text}'")),
                Piece::Value(value) => {
                    self.used.push(value.name);
                    let number = *self.bind(value.name).start();
                    parts.push(self.dialect.as_text(&self.dialect.placeholder(number)));
                }
            }
        }
        let joined = self.dialect.joined(&parts);
        self.expression(&joined);
    }

    fn holds(&self, condition: &Condition<'_>) -> bool {
        let Some(filter) = find(self.filters, condition.name) else {
            return condition.negated;
        };
        let wanted = canonical_text(filter.of, &condition.literal);
        let given = self.values.get(condition.name);
        given.iter().any(|value| canonical(value) == wanted) != condition.negated
    }

    /// Writes the block, and takes it back if a value is missing or nothing came of it.
    fn block(&mut self, nodes: &[Node<'a>]) -> Result<()> {
        let (sql_length, binds_length, used_length) = (self.sql.len(), self.binds.len(), self.used.len());
        let missing_before = self.missing;
        self.edge = Edge::Block;
        self.nodes(nodes)?;
        let written = self.sql.get(sql_length..).unwrap_or("");
        let lacks_value = match has_value_tag(nodes) {
            true => self.lacks_value(nodes),
            false => self.lacks_condition(nodes),
        };
        if lacks_value || after_connective(written).trim().is_empty() {
            let replacement = without_value(written);
            self.sql.truncate(sql_length);
            self.binds.truncate(binds_length);
            self.dropped.extend(self.used.drain(used_length..));
            self.missing = missing_before;
            self.placeholders.retain(|_, first| *first <= binds_length);
            self.edge = Edge::Block;
            if !replacement.is_empty() {
                self.push(&replacement);
            }
        }
        self.edge = Edge::Block;
        Ok(())
    }

    /// Whether a value is missing that the chosen branches would write. Nested blocks see to their own.
    fn lacks_value(&self, nodes: &[Node<'_>]) -> bool {
        nodes.iter().any(|node| match node {
            Node::Text(_) | Node::Block(_) => false,
            Node::Value(value) => self.values.get(value.name).is_empty(),
            Node::Literal(pieces) => pieces.iter().any(|piece| match piece {
                Piece::Text(_) => false,
                Piece::Value(value) => self.values.get(value.name).is_empty(),
            }),
            Node::If {
                condition,
                then,
                otherwise,
            } => self.lacks_value(if self.holds(condition) { then } else { otherwise }),
        })
    }

    /// For a block that writes no value: whether a filter has none that its conditions ask for.
    fn lacks_condition(&self, nodes: &[Node<'_>]) -> bool {
        nodes.iter().any(|node| match node {
            Node::If {
                condition,
                then,
                otherwise,
            } => {
                self.values.get(condition.name).is_empty()
                    || self.lacks_condition(then)
                    || self.lacks_condition(otherwise)
            }
            _ => false,
        })
    }
}

fn has_value_tag(nodes: &[Node<'_>]) -> bool {
    nodes.iter().any(|node| match node {
        Node::Text(_) | Node::Block(_) => false,
        Node::Value(_) | Node::Literal(_) => true,
        Node::If { then, otherwise, .. } => has_value_tag(then) || has_value_tag(otherwise),
    })
}

/// What stands in place of a block whose SQL would have been `written`.
fn without_value(written: &str) -> String {
    let code = skip_comments(written);
    let word = first_word(code);
    let rest = code.get(word.len()..).unwrap_or("").trim_start();
    let lower = word.to_lowercase();
    if KEPT_WORDS.contains(&lower.as_str()) {
        return format!("{word} {ALWAYS_TRUE}");
    }
    if code.starts_with(',') || (CLAUSE_WORDS.contains(&lower.as_str()) && !rest.starts_with('(')) {
        return String::new();
    }
    // A word at the end of a line comment joins nothing.
    let last_line = code.trim_end().rsplit('\n').next().unwrap_or("");
    let last = last_line
        .rsplit(|character: char| !is_word(character))
        .next()
        .unwrap_or("");
    if is_connective(last) && !last_line.contains("--") {
        return format!("{ALWAYS_TRUE} {last}");
    }
    ALWAYS_TRUE.to_owned()
}

/// The SQL of a block without the `and` or `or` that it begins with.
fn after_connective(written: &str) -> &str {
    let code = skip_comments(written);
    let word = first_word(code);
    if is_connective(word) {
        code.get(word.len()..).unwrap_or("")
    } else {
        code
    }
}

fn is_connective(word: &str) -> bool {
    word.eq_ignore_ascii_case("and") || word.eq_ignore_ascii_case("or")
}

fn first_word(code: &str) -> &str {
    let end = code
        .find(|character: char| !is_word(character))
        .unwrap_or(code.len());
    code.get(..end).unwrap_or("")
}

/// The SQL from its first piece on that is neither blank nor a comment.
fn skip_comments(written: &str) -> &str {
    let mut rest = written.trim_start();
    while let Some(length) = comment_length(rest) {
        rest = rest.get(length..).unwrap_or("").trim_start();
    }
    rest
}
