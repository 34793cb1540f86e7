//! The values that a filter of a report file may take: a fixed list or a query.

use std::collections::HashSet;

use crate::query::fault::Fault;
use crate::query::file_filter::Settings;
use crate::query::scalar::canonical;
use crate::query::scalar::parse_value;
use crate::query::scalar::shown;
use crate::query::template::first_tag;
use crate::query::template::parse;
use crate::query::template::statement;
use crate::query::yaml::Kind;
use crate::query::yaml::Node;
use crate::report::Allowed;
use crate::report::Choice;
use crate::report::Filter;
use crate::report::FilterType;
use crate::report::ValueType;

type Result<T> = std::result::Result<T, Fault>;

/// Reads `values` or `values_sql`. The keys are held against the filter's type later.
pub(crate) fn read_allowed(
    key: &Node,
    settings: &Settings<'_>,
    filter_type: FilterType,
    what: &str,
) -> Result<Option<Allowed>> {
    let given = settings.values.or(settings.values_sql);
    let takes_none = matches!(filter_type, FilterType::Boolean | FilterType::DateRange);
    match (settings.values, settings.values_sql) {
        (Some(_), Some(node)) => Err(node.fault(format!("{what} has both `values` and `values_sql`"))),
        (None, None) if filter_type == FilterType::Dropdown => {
            Err(key.fault(format!("{what} is a dropdown and needs `values` or `values_sql`")))
        }
        (None, None) => Ok(None),
        _ if takes_none => {
            let message = format!("{what}: a boolean or a date range takes no list of values");
            Err(given.unwrap_or(key).fault(message))
        }
        (Some(node), None) => {
            let mut choices = Vec::new();
            for (key, label) in choice_nodes(node)? {
                let key = key.text("a value's key")?.to_owned();
                let label = label
                    .map_or(Ok(key.as_str()), |label| label.text("a label"))?
                    .to_owned();
                choices.push(Choice { key, label });
            }
            Ok(Some(Allowed::Values(choices)))
        }
        (None, Some(node)) => read_values_sql(node).map(|sql| Some(Allowed::Sql(sql))),
    }
}

/// Every key must be a value of the filter's type, and no two the same value.
pub(crate) fn check_choices(filter: &Filter, settings: &Settings<'_>) -> Result<()> {
    let Some(values) = settings.values else {
        return Ok(());
    };
    let mut seen = HashSet::new();
    for (key, _) in choice_nodes(values)? {
        let text = key.text("a value's key")?;
        let value = parse_value(filter.of, text, None)
            .map_err(|wanted| key.fault(format!("a value must be {wanted}, got {}", shown(text))))?;
        let value = canonical(&value);
        if value.is_empty() {
            return Err(key.fault("an empty key cannot be sent; leave the filter without a value instead"));
        }
        if !seen.insert(value) {
            return Err(key.fault(format!("the value {} is there twice", shown(text))));
        }
    }
    Ok(())
}

/// Whether every key is a number to YAML and loses nothing as one: `1`, not `"1"` and not `007`.
pub(crate) fn are_all_numbers(values: Option<&Node>) -> bool {
    let Some(Ok(choices)) = values.map(choice_nodes) else {
        return false;
    };
    choices.iter().all(|(key, _)| match &key.kind {
        Kind::Scalar { text, plain: true } => {
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            let has_leading_zero = digits.len() > 1
                && digits.starts_with('0')
                && digits.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
            !has_leading_zero && parse_value(ValueType::Number, text, None).is_ok()
        }
        _ => false,
    })
}

/// Keys with their labels, from scalars, from `{key, label}`, or from a mapping of key to label.
fn choice_nodes(node: &Node) -> Result<Vec<(&Node, Option<&Node>)>> {
    let mut choices = Vec::new();
    match &node.kind {
        Kind::Map(pairs) => {
            for (key, label) in pairs {
                choices.push((key, (!label.is_null()).then_some(label)));
            }
        }
        Kind::List(items) => {
            for item in items {
                choices.push(match &item.kind {
                    Kind::Map(pairs) => key_and_label(item, pairs)?,
                    _ => (item, None),
                });
            }
        }
        Kind::Scalar { .. } => {
            return Err(node.fault("`values` must be a list, or a mapping of keys to labels"));
        }
    }
    if choices.is_empty() {
        return Err(node.fault("`values` has nothing in it"));
    }
    Ok(choices)
}

fn key_and_label<'n>(item: &Node, pairs: &'n [(Node, Node)]) -> Result<(&'n Node, Option<&'n Node>)> {
    let mut key = None;
    let mut label = None;
    for (name, value) in pairs {
        match name.text("a key")? {
            "key" => key = Some(value),
            "label" => label = (!value.is_null()).then_some(value),
            other => return Err(name.fault(format!("unknown key {}; one of key, label", shown(other)))),
        }
    }
    key.map(|key| (key, label))
        .ok_or_else(|| item.fault("a value has no `key`"))
}

fn read_values_sql(node: &Node) -> Result<String> {
    let in_place = |fault: Fault| node.fault(format!("`values_sql`: {}", fault.message));
    let sql = statement(node.text("`values_sql`")?.trim()).map_err(in_place)?;
    if first_tag(sql).map_err(in_place)?.is_some() {
        return Err(node.fault("`values_sql` cannot use {{ }}"));
    }
    parse(sql).map_err(in_place)?;
    Ok(sql.to_owned())
}
