//! What must hold of any text at all.

use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prelude::prop;
use proptest::proptest;

use crate::query::file::parse_report;
use crate::query::raw_values::RawValues;
use crate::query::tests::FILE_NAME;
use crate::query::tests::by_json;
use crate::query::tests::report_file;
use crate::query::tests::statement;

/// Pieces that make the parser work.
const FRAGMENTS: [&str; 44] = [
    "{{",
    "}}",
    "{{ x }}",
    "{{x|noquote}}",
    "{{ n | noquote }}",
    "{{#if x == 'v'}}",
    "{{#if n != 1}}",
    "{{#else}}",
    "{{#endif}}",
    "[[",
    "]]",
    "[",
    "]",
    "'",
    "''",
    "\"",
    "`",
    "--",
    "\n",
    "/*",
    "*/",
    "$",
    "$$",
    "$t$",
    "$1",
    "E'",
    "\\",
    ";",
    "(",
    ")",
    ",",
    " and ",
    " or ",
    "where ",
    "limit ",
    "1",
    "é",
    "𝄞",
    " ",
    "'a{{x}}b'",
    "{{ l }}",
    "#",
    "|",
    "x",
];

fn template() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(FRAGMENTS.as_slice()), 0..30).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn the_parser_never_panics_and_binds_are_complete(sql in template(), x in any::<Option<String>>()) {
        let filters = "x: {type: text}\nn: {type: number}\nl: {type: list}";
        if let Ok(report) = parse_report(FILE_NAME, &report_file(filters, &sql)) {
            let body = serde_json::json!({ "x": x, "l": ["a", "b"] }).to_string();
            if let Ok(statement) = statement(&report, "", Some(&body)) {
                let sql = &statement.sql;
                for number in 1..=statement.binds.len() {
                    assert!(sql.contains(&format!("${number}")), "${number} is not in {sql}");
                }
            }
        }
    }

    #[test]
    fn files_and_requests_never_panic(file in any::<String>(), query in any::<String>(), body in any::<Vec<u8>>()) {
        drop(parse_report(FILE_NAME, &file));
        drop(parse_report(FILE_NAME, &format!("---\n{file}\n---\nselect 1")));
        if let Ok(mut raw) = RawValues::from_query_string(&query) {
            drop(raw.merge_json(&body));
        }
    }

    #[test]
    fn values_never_panic(text in "[ -~é]{0,40}|[-+0-9.eE]{0,60}|[0-9]{1,10} (days|weeks|months|quarters|years|hours) (ago|from now)|[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{0,9}[+-][0-9:]{0,5}") {
        for of in ["text", "number", "boolean", "date", "datetime"] {
            let filters = format!("x: {{type: list, of: {of}}}");
            let report = parse_report(FILE_NAME, &report_file(&filters, "select {{ x }}")).unwrap();
            drop(by_json(&report, "x", &text));
        }
    }
}
