use std::sync::Arc;

use arrow::array::Int64Array;
use serde_json::Value;

use crate::exports::Format;
use crate::exports::json_rows::JsonRows;
use crate::exports::names::unique_names;
use crate::exports::tests::batch;
use crate::exports::tests::catalogue::every_type;
use crate::exports::tests::strings;
use crate::exports::tests::text_file;

#[test]
fn row_is_a_line() {
    let rows = batch([
        (
            "n",
            Arc::new(Int64Array::from(vec![Some(1), Some(i64::MAX)])) as _,
        ),
        ("say \"hi\"", strings(&[None, Some("x\ny")])),
    ]);
    insta::assert_snapshot!(text_file(Format::Json, &rows), @r#"
    [
    {"n":1,"say \"hi\"":null},
    {"n":"9223372036854775807","say \"hi\"":"x\ny"}
    ]
    "#);
}

#[test]
fn no_rows_are_an_empty_array() {
    assert_eq!(text_file(Format::Json, &batch([("a", strings(&[]))])), "[]\n");
}

#[test]
fn every_type_has_its_json() {
    for case in every_type() {
        let shown = text_file(Format::Json, &batch([("v", case.array)]));
        let wanted: Vec<String> = case
            .rows
            .iter()
            .map(|row| format!("{{\"v\":{}}}", row.json))
            .collect();
        assert_eq!(shown, format!("[\n{}\n]\n", wanted.join(",\n")), "{}", case.name);
        serde_json::from_str::<Value>(&shown).unwrap();
    }
}

#[test]
fn duplicate_names_get_endings() {
    let names = |names: &[&str]| unique_names(names.iter().copied());
    assert_eq!(names(&["a", "b", "a", "a"]), ["a", "b", "a_2", "a_3"]);
    assert_eq!(names(&["a", "a", "a_2", "a_2"]), ["a", "a_3", "a_2", "a_2_2"]);
    assert_eq!(names(&["", ""]), ["", "_2"]);
}

#[test]
fn page_goes_on_by_a_row_at_least() {
    let rows = batch([("a", strings(&[Some("x"), Some("y")]))]);
    let mut out = b"as much as fits".to_vec();
    let next = JsonRows::for_page(&rows).write(0..2, Some(b','), 3, &mut out);
    assert_eq!(next, 1, "or a comma would have been written for nothing");
    assert_eq!(out, b"as much as fits[\"x\"]");
}
