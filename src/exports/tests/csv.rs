use std::sync::Arc;

use arrow::array::Array;
use arrow::array::Int32Array;

use crate::exports::Format;
use crate::exports::tests::batch;
use crate::exports::tests::catalogue::every_type;
use crate::exports::tests::strings;
use crate::exports::tests::text_file;

#[test]
fn quotes_stand_only_where_they_are_needed() {
    let rows = batch([
        (
            "a,b",
            strings(&[
                Some("plain"),
                Some("a,b"),
                Some("say \"hi\""),
                Some(" x "),
                Some("\""),
            ]),
        ),
        (
            "",
            strings(&[
                Some("a\r\nb"),
                Some("\n"),
                Some("\r"),
                Some("😀;\t"),
                Some("'=1+1"),
            ]),
        ),
    ]);
    insta::assert_debug_snapshot!(text_file(Format::Csv, &rows), @r#""\"a,b\",\"\"\nplain,\"a\r\nb\"\n\"a,b\",\"\n\"\n\"say \"\"hi\"\"\",\"\r\"\n x ,😀;\t\n\"\"\"\",'=1+1\n""#);
}

#[test]
fn null_and_empty_text_differ() {
    let rows = batch([
        ("a", strings(&[None, Some(""), Some("NULL")])),
        ("b", strings(&[Some(""), None, None])),
    ]);
    assert_eq!(text_file(Format::Csv, &rows), "a,b\n,\"\"\n\"\",\nNULL,\n");
}

#[test]
fn lone_null_is_an_empty_line() {
    let rows = batch([("a", Arc::new(Int32Array::from(vec![Some(1), None])) as _)]);
    assert_eq!(text_file(Format::Csv, &rows), "a\n1\n\n");
}

#[test]
fn duplicate_names_stay() {
    let rows = batch([("a", strings(&[Some("1")])), ("a", strings(&[Some("2")]))]);
    assert_eq!(text_file(Format::Csv, &rows), "a,a\n1,2\n");
}

#[test]
fn no_rows_leave_the_header() {
    let rows = batch([("a", strings(&[])), ("b", strings(&[]))]);
    assert_eq!(text_file(Format::Csv, &rows), "a,b\n");
}

#[test]
fn every_type_is_its_text() {
    for case in every_type() {
        let count = case.array.len();
        let nulls = strings(&vec![None; count]);
        let shown = text_file(Format::Csv, &batch([(case.name, case.array), ("null", nulls)]));
        let mut wanted = format!("{},null\n", case.name);
        for row in &case.rows {
            let text = row.text.unwrap_or_default();
            if row.text == Some("") || text.contains([',', '"', '\n', '\r']) {
                wanted += &format!("\"{}\",\n", text.replace('"', "\"\""));
            } else {
                wanted += &format!("{text},\n");
            }
        }
        assert_eq!(shown, wanted, "{}", case.name);
    }
}
