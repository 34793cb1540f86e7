//! What must hold of a report's SQL before anybody runs it: known names, balanced blocks,
//! and no place where a value would become SQL text.

use crate::query::fault::Fault;
use crate::query::lexer::Piece;
use crate::query::lexer::TokenKind;
use crate::query::lexer::tokens;
use crate::query::scalar::canonical;
use crate::query::scalar::parse_value;
use crate::query::scalar::shown;
use crate::query::tag::Condition;
use crate::query::tag::ValueTag;
use crate::query::template::Node;
use crate::query::template::parse;
use crate::report::Allowed;
use crate::report::Choice;
use crate::report::Filter;
use crate::report::Report;
use crate::report::ValueType;

/// The template of a report whose every name and noquote has been checked.
pub(crate) fn checked(report: &Report) -> std::result::Result<Vec<Node<'_>>, Fault> {
    let nodes = parse(&report.sql)?;
    check_nodes(&report.filters, &nodes)?;
    Ok(nodes)
}

/// The keys of a filter that takes one of a fixed list; only these may be written into SQL.
pub(crate) fn single_choices(filter: &Filter) -> Option<&[Choice]> {
    match &filter.allowed {
        Some(Allowed::Values(choices)) if !filter.multiple => Some(choices),
        _ => None,
    }
}

/// The filter that bears a name in SQL.
pub(crate) fn find<'f>(filters: &'f [Filter], name: &str) -> Option<&'f Filter> {
    filters
        .iter()
        .find(|filter| filter.names().iter().any(|own| own == name))
}

fn check_nodes(filters: &[Filter], nodes: &[Node<'_>]) -> std::result::Result<(), Fault> {
    for node in nodes {
        match node {
            Node::Text(_) => {}
            Node::Value(value) => check_value(known(filters, value.name, value.at)?, value)?,
            Node::Literal(pieces) => check_literal(filters, pieces)?,
            Node::Block(inner) => check_nodes(filters, inner)?,
            Node::If {
                condition,
                then,
                otherwise,
            } => {
                check_condition(known(filters, condition.name, condition.at)?, condition)?;
                check_nodes(filters, then)?;
                check_nodes(filters, otherwise)?;
            }
        }
    }
    Ok(())
}

fn known<'f>(filters: &'f [Filter], name: &str, at: usize) -> std::result::Result<&'f Filter, Fault> {
    if let Some(filter) = find(filters, name) {
        return Ok(filter);
    }
    if filters.iter().any(|filter| filter.name == name) {
        let message = format!("`{name}` is a date range; use `{name}_start` and `{name}_end`");
        return Err(Fault::new(at, message));
    }
    let names: Vec<String> = filters.iter().flat_map(Filter::names).collect();
    let rest = if names.is_empty() {
        "the report has none".to_owned()
    } else {
        format!("one of {}", names.join(", "))
    };
    Err(Fault::new(at, format!("unknown filter {}; {rest}", shown(name))))
}

fn check_literal(filters: &[Filter], pieces: &[Piece<'_>]) -> std::result::Result<(), Fault> {
    for piece in pieces {
        let Piece::Value(value) = piece else { continue };
        if known(filters, value.name, value.at)?.multiple {
            let message = format!(
                "`{}` may have several values, a string literal takes one",
                value.name
            );
            return Err(Fault::new(value.at, message));
        }
    }
    Ok(())
}

/// `noquote` outside a literal writes SQL text, so only text of the report's own file may come out.
fn check_value(filter: &Filter, value: &ValueTag<'_>) -> std::result::Result<(), Fault> {
    if !value.noquote {
        return Ok(());
    }
    if let Some(choices) = single_choices(filter) {
        return check_keys(choices, value);
    }
    let is_plain = matches!(filter.of, ValueType::Number | ValueType::Boolean);
    if is_plain && !filter.multiple && filter.allowed.is_none() {
        return Ok(());
    }
    let name = value.name;
    Err(Fault::new(
        value.at,
        format!(
            "`{{{{ {name} | noquote }}}}` would paste what a caller sends into the SQL; \
             write `{{{{ {name} }}}}`, or give `{name}` a list of `values` and no `multiple`"
        ),
    ))
}

/// A key that becomes SQL must be whole: no open quote, no comment, no second statement.
fn check_keys(choices: &[Choice], value: &ValueTag<'_>) -> std::result::Result<(), Fault> {
    for choice in choices {
        let is_plain_sql = tokens(&choice.key).is_ok_and(|tokens| {
            tokens.iter().all(|token| {
                matches!(
                    token.kind,
                    TokenKind::Code(_) | TokenKind::Open | TokenKind::Close
                )
            })
        });
        if !is_plain_sql {
            let message = format!(
                "`{}` has the value {}, which cannot be written into SQL",
                value.name,
                shown(&choice.key)
            );
            return Err(Fault::new(value.at, message));
        }
    }
    Ok(())
}

fn check_condition(filter: &Filter, condition: &Condition<'_>) -> std::result::Result<(), Fault> {
    let literal = parse_value(filter.of, &condition.literal, None).map_err(|wanted| {
        let got = shown(&condition.literal);
        let message = format!(
            "`{}` is compared with {got}, which must be {wanted}",
            condition.name
        );
        Fault::new(condition.at, message)
    })?;
    let literal = canonical(&literal);
    if literal.is_empty() {
        let message =
            "a filter without a value equals nothing, not even ''; put what needs a value into [[ ]]";
        return Err(Fault::new(condition.at, message));
    }
    let Some(Allowed::Values(choices)) = &filter.allowed else {
        return Ok(());
    };
    let is_key = choices
        .iter()
        .any(|choice| canonical_text(filter.of, &choice.key) == literal);
    if is_key {
        return Ok(());
    }
    let message = format!(
        "`{}` is compared with {}, which is none of its values",
        condition.name,
        shown(&condition.literal)
    );
    Err(Fault::new(condition.at, message))
}

/// The canonical form of a text that stands in a report; unreadable text stays as it is.
pub(crate) fn canonical_text(of: ValueType, text: &str) -> String {
    parse_value(of, text, None).map_or_else(|_| text.to_owned(), |value| canonical(&value))
}
