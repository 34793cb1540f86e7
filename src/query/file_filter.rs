//! The filters of a report file: from YAML to checked filters.

use chrono::NaiveDate;
use chrono::NaiveDateTime;

use crate::query::Bind;
use crate::query::fault::Fault;
use crate::query::file_choices::are_all_numbers;
use crate::query::file_choices::check_choices;
use crate::query::file_choices::read_allowed;
use crate::query::scalar::parse_value;
use crate::query::scalar::shown;
use crate::query::tag::is_name;
use crate::query::values::parse_texts;
use crate::query::yaml::Kind;
use crate::query::yaml::Node;
use crate::report::Filter;
use crate::report::FilterType;
use crate::report::ValueType;

type Result<T> = std::result::Result<T, Fault>;

const KEYS: [&str; 9] = [
    "type",
    "of",
    "label",
    "default",
    "required",
    "secret",
    "values",
    "values_sql",
    "multiple",
];

const FILTER_TYPES: [(&str, FilterType); 8] = [
    ("text", FilterType::Text),
    ("number", FilterType::Number),
    ("boolean", FilterType::Boolean),
    ("date", FilterType::Date),
    ("datetime", FilterType::Datetime),
    ("date_range", FilterType::DateRange),
    ("dropdown", FilterType::Dropdown),
    ("list", FilterType::List),
];

const VALUE_TYPES: [(&str, ValueType); 5] = [
    ("text", ValueType::Text),
    ("number", ValueType::Number),
    ("boolean", ValueType::Boolean),
    ("date", ValueType::Date),
    ("datetime", ValueType::Datetime),
];

/// Reads the mapping from names to filters, in its order.
pub(crate) fn read_filters(node: &Node) -> Result<Vec<Filter>> {
    let mut filters = Vec::new();
    let mut claimed: Vec<String> = Vec::new();
    for (key, value) in node.map("`filters`")? {
        let filter = read_filter(key, value)?;
        let mut names = filter.names();
        if !names.contains(&filter.name) {
            names.push(filter.name.clone());
        }
        for name in names {
            if claimed.contains(&name) {
                let message = format!("the name `{name}` is taken; a date range takes three names");
                return Err(key.fault(message));
            }
            claimed.push(name);
        }
        filters.push(filter);
    }
    Ok(filters)
}

/// The settings of one filter, as the file has them; none is null.
#[derive(Default)]
pub(crate) struct Settings<'n> {
    pub(crate) filter_type: Option<&'n Node>,
    pub(crate) of: Option<&'n Node>,
    pub(crate) label: Option<&'n Node>,
    pub(crate) default: Option<&'n Node>,
    pub(crate) required: Option<&'n Node>,
    pub(crate) secret: Option<&'n Node>,
    pub(crate) values: Option<&'n Node>,
    pub(crate) values_sql: Option<&'n Node>,
    pub(crate) multiple: Option<&'n Node>,
}

fn read_filter(key: &Node, node: &Node) -> Result<Filter> {
    let name = read_name(key)?;
    let what = format!("filter `{name}`");
    let settings = read_settings(node, &what)?;
    let Some(type_node) = settings.filter_type else {
        let types = names(&FILTER_TYPES);
        return Err(key.fault(format!("{what} has no `type`; one of {types}")));
    };
    let filter_type = choose(type_node, &FILTER_TYPES, "filter type")?;
    let allowed = read_allowed(key, &settings, filter_type, &what)?;
    let of = read_of(&settings, filter_type)?;
    let required = settings
        .required
        .map_or(Ok(false), |node| node.boolean("`required`"))?;
    let label = match settings.label {
        Some(node) => node.text("`label`")?.to_owned(),
        None => name.to_owned(),
    };
    let filter = Filter {
        name: name.to_owned(),
        label,
        filter_type,
        of,
        multiple: read_multiple(&settings, filter_type)?,
        required,
        secret: settings
            .secret
            .map_or(Ok(false), |node| node.boolean("`secret`"))?,
        default: Vec::new(),
        allowed,
    };
    check_choices(&filter, &settings)?;
    let default = settings
        .default
        .map_or(Ok(Vec::new()), |node| read_default(&filter, node))?;
    Ok(Filter { default, ..filter })
}

fn read_name(key: &Node) -> Result<&str> {
    let name = key.text("a filter's name")?;
    if name == "job_id" || name.starts_with('_') {
        return Err(key.fault(format!("the name {} is reserved", shown(name))));
    }
    if !is_name(name) {
        let message = format!(
            "a filter's name must be a letter, then letters, digits and `_`, got {}",
            shown(name)
        );
        return Err(key.fault(message));
    }
    Ok(name)
}

fn read_settings<'n>(node: &'n Node, what: &str) -> Result<Settings<'n>> {
    let mut settings = Settings::default();
    for (key, value) in node.map(what)? {
        let slot = match key.text("a key")? {
            "type" => &mut settings.filter_type,
            "of" => &mut settings.of,
            "label" => &mut settings.label,
            "default" => &mut settings.default,
            "required" => &mut settings.required,
            "secret" => &mut settings.secret,
            "values" => &mut settings.values,
            "values_sql" => &mut settings.values_sql,
            "multiple" => &mut settings.multiple,
            other => {
                let message = format!(
                    "unknown key {} of {what}; one of {}",
                    shown(other),
                    KEYS.join(", ")
                );
                return Err(key.fault(message));
            }
        };
        if !value.is_null() {
            *slot = Some(value);
        }
    }
    Ok(settings)
}

fn choose<T: Copy>(node: &Node, options: &[(&str, T)], what: &str) -> Result<T> {
    let text = node.text(&format!("the {what}"))?;
    let found = options.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        node.fault(format!(
            "unknown {what} {}; one of {}",
            shown(text),
            names(options)
        ))
    })
}

fn names<T>(options: &[(&str, T)]) -> String {
    let names: Vec<&str> = options.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

fn read_of(settings: &Settings<'_>, filter_type: FilterType) -> Result<ValueType> {
    let fixed = match filter_type {
        FilterType::Text => ValueType::Text,
        FilterType::Number => ValueType::Number,
        FilterType::Boolean => ValueType::Boolean,
        FilterType::Date | FilterType::DateRange => ValueType::Date,
        FilterType::Datetime => ValueType::Datetime,
        FilterType::Dropdown | FilterType::List => {
            return match settings.of {
                Some(node) => choose(node, &VALUE_TYPES, "value type"),
                None if filter_type == FilterType::Dropdown && are_all_numbers(settings.values) => {
                    Ok(ValueType::Number)
                }
                None => Ok(ValueType::Text),
            };
        }
    };
    match settings.of {
        Some(node) => Err(node.fault("`of` is for a dropdown or a list only")),
        None => Ok(fixed),
    }
}

fn read_multiple(settings: &Settings<'_>, filter_type: FilterType) -> Result<bool> {
    let is_list = filter_type == FilterType::List;
    let Some(node) = settings.multiple else {
        return Ok(is_list);
    };
    let multiple = node.boolean("`multiple`")?;
    match filter_type {
        FilterType::List if !multiple => Err(node.fault("a list always takes several values")),
        FilterType::Boolean if multiple => Err(node.fault("a boolean cannot be `multiple`")),
        FilterType::DateRange if multiple => Err(node.fault("a date range cannot be `multiple`")),
        _ => Ok(multiple),
    }
}

fn read_default(filter: &Filter, node: &Node) -> Result<Vec<Option<String>>> {
    if filter.filter_type == FilterType::DateRange {
        return read_range_default(filter, node);
    }
    let items = match &node.kind {
        Kind::List(items) if filter.multiple => items.iter().collect(),
        _ => vec![node],
    };
    let mut default = Vec::new();
    for item in items {
        let text = item.text("`default`")?;
        if !text.is_empty() {
            parse_default(filter, item, text)?;
            default.push(Some(text.to_owned()));
        }
    }
    Ok(default)
}

/// `[1995-01-01, today]` or `{start: 1995-01-01, end: today}`; a side may be null.
fn read_range_default(filter: &Filter, node: &Node) -> Result<Vec<Option<String>>> {
    let wrong = || node.fault("the default of a date range must be a list of two dates");
    let mut sides = [None, None];
    match &node.kind {
        Kind::List(items) if items.len() == 2 => sides = [items.first(), items.get(1)],
        Kind::Map(pairs) => {
            for (key, value) in pairs {
                match key.text("a key")? {
                    "start" => sides[0] = Some(value),
                    "end" => sides[1] = Some(value),
                    _ => return Err(wrong()),
                }
            }
        }
        _ => return Err(wrong()),
    }
    let mut default = Vec::new();
    let mut dates = Vec::new();
    for side in sides {
        let Some(side) = side.filter(|side| !side.is_null()) else {
            default.push(None);
            continue;
        };
        let text = side.text("`default`")?;
        parse_default(filter, side, text)?;
        default.push(Some(text.to_owned()));
        dates.extend(parse_value(ValueType::Date, text, None).ok());
    }
    if let [Bind::Date(start), Bind::Date(end)] = dates.as_slice()
        && start > end
    {
        return Err(node.fault("the default of a date range must not end before it starts"));
    }
    Ok(default)
}

fn parse_default(filter: &Filter, node: &Node, text: &str) -> Result<Vec<Bind>> {
    parse_texts(filter, &filter.name, &[text], some_day())
        .map_err(|error| node.fault(format!("default: {}", error.message)))
}

/// Any day will do to see whether a relative date can be read.
fn some_day() -> NaiveDateTime {
    NaiveDate::from_ymd_opt(2000, 1, 1)
        .unwrap_or_default()
        .and_time(chrono::NaiveTime::MIN)
}
