//! From what a client sent to typed values, one set for every filter of a report.
//! All rules about values are here: defaults, required ones, fixed lists, limits.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;

use crate::error::Error;
use crate::error::Result;
use crate::query::Bind;
use crate::query::raw_values::Given;
use crate::query::raw_values::RawValues;
use crate::query::scalar::canonical;
use crate::query::scalar::parse_value;
use crate::query::scalar::shown;
use crate::report::Allowed;
use crate::report::Choice;
use crate::report::Filter;
use crate::report::FilterType;
use crate::report::Report;
use crate::report::ValueType;

/// Every value becomes a placeholder; databases take some tens of thousands.
pub(super) const VALUES_MAX: usize = 20_000;
/// What the texts of all values may take together: jobs keep them. As many values as there may be, of a hundred bytes.
const VALUES_BYTES_MAX: usize = 2 << 20;
/// How many of a fixed list's values a message names.
const NAMED_CHOICES_MAX: usize = 10;

/// The typed values of a report's filters, by the names that the SQL uses.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Values {
    by_name: BTreeMap<String, Vec<Bind>>,
}

impl Values {
    /// Empty if there is no value. Never more than one for a filter that takes one.
    pub(crate) fn get(&self, name: &str) -> &[Bind] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }
}

impl Values {
    /// By name: null, a text, or several; for people to read, so without what is secret.
    pub(crate) fn shown(&self, report: &Report) -> BTreeMap<String, serde_json::Value> {
        let mut shown = BTreeMap::new();
        for filter in report.filters.iter().filter(|filter| !filter.secret) {
            for name in filter.names() {
                let texts: Vec<String> = self.get(&name).iter().map(canonical).collect();
                let value = match (filter.multiple, texts.as_slice()) {
                    (true, _) => texts.into(),
                    (false, []) => serde_json::Value::Null,
                    (false, [text, ..]) => text.as_str().into(),
                };
                shown.insert(name, value);
            }
        }
        shown
    }
}

/// Types and checks the values of every filter; `now` is what relative dates count from.
/// Of several wrong filters the first one of the report is named.
pub(crate) fn parse_values(report: &Report, raw: &RawValues, now: NaiveDateTime) -> Result<Values> {
    let mut values = Values::default();
    let mut count = 0;
    let mut bytes = 0;
    for filter in &report.filters {
        refuse_range_name(filter, raw)?;
        for (side, name) in filter.names().into_iter().enumerate() {
            let texts = match raw.get(&name) {
                Some(given) => given_texts(filter, &name, given)?,
                None => default_texts(filter, side),
            };
            count += texts.len();
            if count > VALUES_MAX {
                let message =
                    format!("the filters have {count} values by `{name}`; at most {VALUES_MAX} are allowed");
                return Err(Error::invalid(message));
            }
            bytes += texts.iter().map(|text| text.len()).sum::<usize>();
            if bytes > VALUES_BYTES_MAX {
                let message = format!(
                    "the filters have {bytes} bytes of values by `{name}`; at most {VALUES_BYTES_MAX} are allowed"
                );
                return Err(Error::invalid(message));
            }
            if texts.is_empty() && filter.required {
                return Err(Error::invalid(format!("filter `{name}` is required")));
            }
            let binds = parse_texts(filter, &name, &texts, now)?;
            values.by_name.insert(name, binds);
        }
        check_order(filter, &values)?;
    }
    Ok(values)
}

/// Nobody means to be ignored who sends a date range under its own name.
fn refuse_range_name(filter: &Filter, raw: &RawValues) -> Result<()> {
    let name = &filter.name;
    if filter.filter_type == FilterType::DateRange && raw.get(name).is_some() {
        let message = format!("filter `{name}` is a date range: send `{name}_start` and `{name}_end`");
        return Err(Error::invalid(message));
    }
    Ok(())
}

/// The texts that a client gave, without empty ones, which stand for no value.
fn given_texts<'t>(filter: &Filter, name: &str, given: &'t Given) -> Result<Vec<&'t str>> {
    let texts = match given {
        Given::Texts(texts) => texts,
        Given::Unusable(what) => {
            let wanted = if filter.multiple {
                "a list of values"
            } else {
                "one value"
            };
            return Err(Error::invalid(format!(
                "filter `{name}` must be {wanted}, got {what}"
            )));
        }
    };
    if !filter.multiple {
        if texts.len() > 1 {
            let message = format!("filter `{name}` takes one value, got {}", texts.len());
            return Err(Error::invalid(message));
        }
        let is_empty = |text: &&str| match filter.of {
            ValueType::Text => !text.is_empty(),
            _ => !text.trim().is_empty(),
        };
        return Ok(texts.iter().map(String::as_str).filter(is_empty).collect());
    }
    if filter.of == ValueType::Text {
        return Ok(texts
            .iter()
            .map(String::as_str)
            .filter(|text| !text.is_empty())
            .collect());
    }
    let pieces = texts.iter().flat_map(|text| text.split(','));
    Ok(pieces.filter(|piece| !piece.trim().is_empty()).collect())
}

fn default_texts(filter: &Filter, side: usize) -> Vec<&str> {
    let defaults: Vec<Option<&str>> = filter.default.iter().map(Option::as_deref).collect();
    match filter.filter_type {
        FilterType::DateRange => defaults.get(side).copied().flatten().into_iter().collect(),
        _ => defaults.into_iter().flatten().collect(),
    }
}

/// Types the texts of one name and holds them against the filter's fixed list.
pub(crate) fn parse_texts(
    filter: &Filter,
    name: &str,
    texts: &[&str],
    now: NaiveDateTime,
) -> Result<Vec<Bind>> {
    let choices = match &filter.allowed {
        Some(Allowed::Values(choices)) => Some(allowed_binds(filter, choices)),
        _ => None,
    };
    let mut binds = Vec::with_capacity(texts.len());
    for text in texts {
        let parsed = parse_value(filter.of, text, Some(now));
        let Some(choices) = &choices else {
            let wrong =
                |wanted| Error::invalid(format!("filter `{name}` must be {wanted}, got {}", shown(text)));
            binds.push(parsed.map_err(wrong)?);
            continue;
        };
        let found = parsed.ok().and_then(|value| choices.get(&canonical(&value)));
        let Some(value) = found else {
            let message = format!("filter `{name}` must be {}, got {}", one_of(filter), shown(text));
            return Err(Error::invalid(message));
        };
        binds.push(value.clone());
    }
    Ok(binds)
}

fn allowed_binds(filter: &Filter, choices: &[Choice]) -> BTreeMap<String, Bind> {
    let mut binds = BTreeMap::new();
    for choice in choices {
        if let Ok(bind) = parse_value(filter.of, &choice.key, None) {
            binds.insert(canonical(&bind), bind);
        }
    }
    binds
}

/// ``one of `a`, `b` ``, shortened if there are many.
pub(crate) fn one_of(filter: &Filter) -> String {
    let Some(Allowed::Values(choices)) = &filter.allowed else {
        return "one of its values".to_owned();
    };
    let named: Vec<String> = choices
        .iter()
        .take(NAMED_CHOICES_MAX)
        .map(|choice| shown(&choice.key))
        .collect();
    let rest = choices.len() - named.len();
    let tail = if rest > 0 {
        format!(" and {rest} more")
    } else {
        String::new()
    };
    format!("one of {}{tail}", named.join(", "))
}

fn check_order(filter: &Filter, values: &Values) -> Result<()> {
    if filter.filter_type != FilterType::DateRange {
        return Ok(());
    }
    let (start_name, end_name) = (format!("{}_start", filter.name), format!("{}_end", filter.name));
    if let ([Bind::Date(start)], [Bind::Date(end)]) = (values.get(&start_name), values.get(&end_name))
        && start > end
    {
        let message =
            format!("filter `{start_name}` must not be after `{end_name}`, got `{start}` and `{end}`");
        return Err(Error::invalid(message));
    }
    Ok(())
}
