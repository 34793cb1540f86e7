//! What must hold of any template and any value.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a fuzz target fails by panicking"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::DateTime;
use chrono::NaiveDate;
use chrono::NaiveDateTime;

use crate::access::Pins;
use crate::query::Bind;
use crate::query::Dialect;
use crate::query::compile::compile;
use crate::query::file::parse_report;
use crate::query::lexer::Piece;
use crate::query::lexer::TokenKind;
use crate::query::lexer::tokens;
use crate::query::raw_values::Given;
use crate::query::raw_values::RawValues;
use crate::query::scalar::canonical;
use crate::query::scalar::parse_value;
use crate::query::tag::ValueTag;
use crate::query::template::Node;
use crate::query::template::parse;
use crate::query::values::Values;
use crate::query::values::parse_values;
use crate::report::Report;
use crate::report::ValueType;

const FILTERS: &str = "  x: {type: text}
  n: {type: number}
  b: {type: boolean}
  d: {type: date}
  t: {type: datetime}
  r: {type: date_range}
  l: {type: list}
  m: {type: list, of: number}
  k: {type: dropdown, values: [id, name]}
";
const DIALECTS: [Dialect; 4] = [
    Dialect::DuckDb,
    Dialect::Postgres,
    Dialect::MySql,
    Dialect::Sqlite,
];

fn report(sql: &str) -> Option<Report> {
    let file = format!("---\nid: 1\ntitle: t\nfilters:\n{FILTERS}---\n{sql}");
    parse_report("r.sql", &file).ok()
}

fn now() -> NaiveDateTime {
    let day = NaiveDate::from_ymd_opt(2024, 2, 29).unwrap();
    day.and_hms_opt(12, 30, 15).unwrap()
}

/// A template is cut without loss, means the same once it is written in our own way,
/// and makes SQL that does not depend on what a text says.
pub fn template(data: &[u8]) {
    let Ok(sql) = std::str::from_utf8(data) else {
        return;
    };
    check_tokens(sql);
    if let Ok(nodes) = parse(sql) {
        let printed = print(&nodes);
        let again = parse(&printed).expect("what was printed can be parsed");
        assert_eq!(print(&again), printed, "of {sql:?}");
        assert_eq!(shape(&again), shape(&nodes), "of {sql:?}");
    }
    let Some(report) = report(sql) else {
        return;
    };
    let given = |text: &str| {
        let body = serde_json::json!({
            "x": text, "n": 1.5, "b": true, "d": "2026-01-31", "t": "2026-01-31 10:00",
            "r_start": "2026-01-01", "r_end": "2026-01-31", "l": [text, "other"], "m": [1, 2], "k": "id",
        });
        let mut raw = RawValues::default();
        raw.merge_json(body.to_string().as_bytes()).unwrap();
        parse_values(&report, &raw, now()).unwrap()
    };
    for dialect in DIALECTS {
        let plain = compile(&report, &given("b4e1c0a7f29d"), dialect, &Pins::new()).unwrap();
        let hostile = compile(&report, &given("c5'--\\\"; /*$1{{x}}"), dialect, &Pins::new()).unwrap();
        assert_eq!(plain.sql, hostile.sql, "of {sql:?}");
        assert!(
            !plain.sql.contains("b4e1c0a7f29d") || sql.contains("b4e1c0a7f29d"),
            "of {sql:?}"
        );
        // A dropdown without a value may be refused.
        let without = compile(&report, &Values::default(), dialect, &Pins::new());
        for statement in without.iter().chain([&plain]) {
            for number in 1..=statement.binds.len() {
                let placeholder = match dialect {
                    Dialect::MySql => "?".to_owned(),
                    Dialect::Sqlite => format!("?{number}"),
                    Dialect::DuckDb | Dialect::Postgres => format!("${number}"),
                };
                assert!(statement.sql.contains(&placeholder), "{statement:?}");
            }
        }
    }
}

/// The tokens follow one another, and those that are text are the text where they stand.
fn check_tokens(sql: &str) {
    let Ok(tokens) = tokens(sql) else {
        return;
    };
    let mut expected = 0;
    for (index, token) in tokens.iter().enumerate() {
        assert!(token.at == expected, "a gap in {sql:?}");
        let end = tokens.get(index + 1).map_or(sql.len(), |next| next.at);
        let text = &sql[token.at..end];
        match &token.kind {
            TokenKind::Code(code) | TokenKind::Comment(code) => assert_eq!(text, *code),
            TokenKind::Semicolon => assert_eq!(text, ";"),
            TokenKind::Open => assert_eq!(text, "["),
            TokenKind::Close => assert_eq!(text, "]"),
            TokenKind::Tag(_) => assert!(text.starts_with("{{") && text.ends_with("}}")),
            TokenKind::Literal(_) => assert!(text.starts_with('\'') && text.ends_with('\'')),
        }
        expected = end;
    }
    assert_eq!(expected, sql.len());
}

fn print(nodes: &[Node<'_>]) -> String {
    let tag = |value: &ValueTag<'_>| match value.noquote {
        true => format!("{{{{{}|noquote}}}}", value.name),
        false => format!("{{{{{}}}}}", value.name),
    };
    let mut out = String::new();
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Value(value) => out.push_str(&tag(value)),
            Node::Literal(pieces) => {
                out.push('\'');
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => out.push_str(text),
                        Piece::Value(value) => out.push_str(&tag(value)),
                    }
                }
                out.push('\'');
            }
            Node::Block(inner) => out.push_str(&format!("[[{}]]", print(inner))),
            Node::If {
                condition,
                then,
                otherwise,
            } => {
                let sign = if condition.negated { "!=" } else { "==" };
                let literal = condition.literal.replace('\'', "''");
                write!(
                    out,
                    "{{{{#if {} {sign} '{literal}'}}}}{}",
                    condition.name,
                    print(then)
                )
                .unwrap();
                if !otherwise.is_empty() {
                    write!(out, "{{{{#else}}}}{}", print(otherwise)).unwrap();
                }
                out.push_str("{{#endif}}");
            }
        }
    }
    out
}

/// The tree without the places that its nodes have in the text.
fn shape(nodes: &[Node<'_>]) -> Vec<String> {
    let texts = |pieces: &[Piece<'_>]| -> Vec<String> {
        pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => format!("text {text:?}"),
                Piece::Value(value) => format!("{} {}", value.name, value.noquote),
            })
            .collect()
    };
    nodes
        .iter()
        .map(|node| match node {
            Node::Text(text) => format!("text {text:?}"),
            Node::Value(value) => format!("{} {}", value.name, value.noquote),
            Node::Literal(pieces) => format!("literal {:?}", texts(pieces)),
            Node::Block(inner) => format!("block {:?}", shape(inner)),
            Node::If {
                condition,
                then,
                otherwise,
            } => format!(
                "if {} {} {:?} {:?} {:?}",
                condition.name,
                condition.negated,
                condition.literal,
                shape(then),
                shape(otherwise)
            ),
        })
        .collect()
}

/// A value keeps its meaning on its way into its type and back, and into an address and a body and back.
/// The first byte picks the type.
pub fn values(data: &[u8]) {
    let Some((first, Ok(text))) = data
        .split_first()
        .map(|(first, rest)| (first, std::str::from_utf8(rest)))
    else {
        return;
    };
    let types = [
        (ValueType::Text, "x"),
        (ValueType::Number, "n"),
        (ValueType::Boolean, "b"),
        (ValueType::Date, "d"),
        (ValueType::Datetime, "t"),
    ];
    let (of, name) = types[usize::from(*first) % types.len()];
    check_scalar(of, text);
    // As they come from anybody.
    let report = report("select 1").unwrap();
    let mut raw = RawValues::from_query_string(text).unwrap_or_default();
    check_report(&report, &raw);
    if raw.merge_json(text.as_bytes()).is_ok() {
        check_report(&report, &raw);
    }
    // Sent under a name.
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair(name, text)
        .finish();
    let by_query = RawValues::from_query_string(&query).unwrap();
    assert_eq!(by_query.get(name), Some(&Given::Texts(vec![text.to_owned()])));
    let mut by_body = RawValues::default();
    let body = serde_json::json!({ name: text }).to_string();
    by_body.merge_json(body.as_bytes()).unwrap();
    assert_eq!(by_body, by_query);
    check_report(&report, &by_query);
}

fn check_scalar(of: ValueType, text: &str) {
    let Ok(value) = parse_value(of, text, Some(now())) else {
        return;
    };
    let plain = canonical(&value);
    let again = parse_value(of, &plain, None).expect("a value's own text is a value");
    assert_eq!(canonical(&again), plain, "of {text:?}");
    match &value {
        Bind::Text(own) => assert_eq!(own, text),
        Bind::Integer(_) | Bind::Decimal(_) => {
            // Two texts of one number are one double.
            let double = |text: &str| text.trim().parse::<f64>().expect("a number").abs();
            assert!(
                double(text).to_bits() == double(&plain).to_bits(),
                "{text:?} became {plain}"
            );
            let digits = plain.bytes().filter(u8::is_ascii_digit).count();
            assert!(digits <= 39, "{text:?} became {plain}");
        }
        Bind::Date(date) => {
            assert_eq!(again, value);
            if let Ok(iso) = NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d") {
                assert_eq!(iso, *date);
            }
        }
        Bind::Datetime(datetime) => {
            assert_eq!(again, value);
            if let Ok(zoned) = DateTime::parse_from_rfc3339(text.trim()) {
                assert_eq!(zoned.naive_utc(), *datetime);
            }
        }
        Bind::Null | Bind::Boolean(_) => assert_eq!(again, value),
    }
}

/// The values of a request, shown and sent again, are the same values; a feed lives by that.
fn check_report(report: &Report, raw: &RawValues) {
    let Ok(values) = parse_values(report, raw, now()) else {
        return;
    };
    let shown = values.shown(report);
    let mut again = RawValues::default();
    again
        .merge_json(serde_json::to_string(&shown).unwrap().as_bytes())
        .unwrap();
    let again = parse_values(report, &again, now()).expect("values as shown are values");
    let texts = |values: &Values| -> BTreeMap<String, Vec<String>> {
        let names = report.filters.iter().flat_map(crate::report::Filter::names);
        names
            .map(|name| (name.clone(), values.get(&name).iter().map(canonical).collect()))
            .collect()
    };
    assert_eq!(texts(&again), texts(&values));
}
