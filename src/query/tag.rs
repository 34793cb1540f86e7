//! What stands between `{{` and `}}`.

use crate::query::fault::Fault;
use crate::query::scalar::shown;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tag<'a> {
    Value(ValueTag<'a>),
    If(Condition<'a>),
    Else,
    Endif,
}

/// `{{ name }}` or `{{ name | noquote }}`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ValueTag<'a> {
    pub(crate) name: &'a str,
    pub(crate) noquote: bool,
    /// The offset of `{{`.
    pub(crate) at: usize,
}

/// `{{#if name == 'v'}}`, or `!=` where `negated`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition<'a> {
    pub(crate) name: &'a str,
    pub(crate) negated: bool,
    pub(crate) literal: String,
    pub(crate) at: usize,
}

/// Parses the inside of a tag whose `{{` is at `at`.
pub(crate) fn parse_tag(inside: &str, at: usize) -> Result<Tag<'_>, Fault> {
    let inside = inside.trim();
    let Some(directive) = inside.strip_prefix('#') else {
        return parse_value_tag(inside, at).map(Tag::Value);
    };
    let (keyword, rest) = split_name(directive.trim_start());
    let rest = rest.trim();
    match (keyword, rest.is_empty()) {
        ("if", _) => parse_condition(rest, at).map(Tag::If),
        ("else", true) => Ok(Tag::Else),
        ("endif", true) => Ok(Tag::Endif),
        ("else" | "endif", false) => Err(Fault::new(
            at,
            format!("`{{{{#{keyword}}}}}` takes nothing more, got {}", shown(rest)),
        )),
        _ => Err(Fault::new(
            at,
            format!(
                "unknown {}; there are {{{{#if name == 'value'}}}}, {{{{#else}}}} and {{{{#endif}}}}",
                shown(&format!("{{{{{inside}}}}}"))
            ),
        )),
    }
}

/// Whether a filter may bear this name, reserved names aside.
pub(crate) fn is_name(text: &str) -> bool {
    let (name, rest) = split_name(text);
    rest.is_empty() && name.starts_with(|character: char| character.is_ascii_alphabetic())
}

fn parse_value_tag(inside: &str, at: usize) -> Result<ValueTag<'_>, Fault> {
    let (name, rest) = split_name(inside);
    let rest = rest.trim();
    if !is_name(name) {
        return Err(Fault::new(at, "`{{ }}` must hold the name of a filter"));
    }
    let noquote = match rest.strip_prefix('|') {
        None if rest.is_empty() => false,
        Some(modifier) if modifier.trim() == "noquote" => true,
        Some(modifier) => {
            let message = format!("only `noquote` may follow `|`, got {}", shown(modifier.trim()));
            return Err(Fault::new(at, message));
        }
        None => {
            let message = format!("`{{{{ {name} }}}}` holds more than a name: {}", shown(rest));
            return Err(Fault::new(at, message));
        }
    };
    Ok(ValueTag { name, noquote, at })
}

fn parse_condition(text: &str, at: usize) -> Result<Condition<'_>, Fault> {
    let fault = || {
        Fault::new(
            at,
            "a condition must be like {{#if name == 'value'}} or {{#if name != 'value'}}",
        )
    };
    let (name, rest) = split_name(text);
    if !is_name(name) {
        return Err(fault());
    }
    let rest = rest.trim_start();
    let (negated, rest) = match (rest.strip_prefix("=="), rest.strip_prefix("!=")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        (None, None) => return Err(fault()),
    };
    let literal = parse_literal(rest.trim()).ok_or_else(fault)?;
    Ok(Condition {
        name,
        negated,
        literal,
        at,
    })
}

/// Text in quotes, which are doubled inside; a number, `true` and `false` may go without.
fn parse_literal(text: &str) -> Option<String> {
    for quote in ["'", "\""] {
        let Some(inside) = text.strip_prefix(quote) else {
            continue;
        };
        let inside = inside.strip_suffix(quote)?;
        let doubled = quote.repeat(2);
        if inside.replace(&doubled, "").contains(quote) {
            return None;
        }
        return Some(inside.replace(&doubled, quote));
    }
    let is_number = text.starts_with(|first: char| first.is_ascii_digit() || first == '-' || first == '.')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.'));
    (is_number || matches!(text, "true" | "false")).then(|| text.to_owned())
}

fn split_name(text: &str) -> (&str, &str) {
    let end = text
        .find(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        .unwrap_or(text.len());
    text.split_at(end)
}
