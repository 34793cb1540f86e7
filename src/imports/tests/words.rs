use crate::imports::ColumnType;
use crate::imports::CsvOptions;
use crate::imports::Encoding;
use crate::imports::names::safe;
use crate::imports::parse_schema;
use crate::imports::tests::loaded;
use crate::imports::tests::refusal;

fn safe_names(originals: &[&str]) -> Vec<String> {
    safe(
        &originals
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>(),
    )
}

#[test]
fn names_are_made_safe_and_different() {
    let cases: &[(&[&str], &[&str])] = &[
        (
            &[" id ", "Preis €", "select", "a\"b"],
            &["id", "Preis €", "select", "a\"b"],
        ),
        (&["", "  ", "a\u{0}\nb"], &["column_1", "column_2", "ab"]),
        (&["a", "A", "a"], &["a", "A_2", "a_3"]),
        (&["a", "a", "a_2"], &["a", "a_3", "a_2"]),
        (&["a_2", "a", "a"], &["a_2", "a", "a_3"]),
        (&["column_2", ""], &["column_2", "column_2_2"]),
        (&["Ä", "ä"], &["Ä", "ä_2"]),
    ];
    for (originals, wanted) in cases {
        assert_eq!(safe_names(originals), *wanted);
    }
}

#[test]
fn long_names_are_cut_between_characters() {
    let long = format!("{}é", "x".repeat(62));
    let names = safe_names(&[&long, &long, &"ж".repeat(40)]);
    assert_eq!(names[0], "x".repeat(62));
    assert_eq!(names[1], format!("{}_2", "x".repeat(61)));
    assert_eq!(names[2], "ж".repeat(31));
}

#[test]
fn the_survey_tells_the_original_names() {
    let lines = loaded("\"a \",a\n1,x\n").survey.lines();
    assert_eq!(
        lines[3..],
        [
            "column `a`: integer (in the file \"a \")",
            "column `a_2`: text (in the file \"a\")"
        ]
    );
}

#[test]
fn a_schema_is_read() {
    let schema = parse_schema("a:integer, b c : decimal(12, 2),d:e:varchar,f:numeric(5)").unwrap();
    let shown: Vec<_> = schema
        .iter()
        .map(|(name, column_type)| format!("{name}={column_type}"))
        .collect();
    assert_eq!(
        shown,
        ["a=integer", "b c=decimal(12,2)", "d:e=text", "f=decimal(5,0)"]
    );
    for wrong in [
        "",
        "a",
        "a:",
        ":text",
        "a:money",
        "a:decimal",
        "a:decimal(39,0)",
        "a:decimal(2,3)",
        "a:text,a:date",
    ] {
        assert!(parse_schema(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn types_and_encodings_are_stored_by_name() {
    for name in [
        "boolean",
        "integer",
        "decimal(18,2)",
        "double",
        "date",
        "timestamp",
        "timestamptz",
        "text",
    ] {
        let stored = format!("\"{name}\"");
        let column_type: ColumnType = serde_json::from_str(&stored).unwrap();
        assert_eq!(serde_json::to_string(&column_type).unwrap(), stored);
    }
    for (name, wanted) in [
        ("UTF-8", "utf-8"),
        ("latin1", "windows-1252"),
        ("cp1252", "windows-1252"),
        ("utf-16be", "utf-16be"),
    ] {
        assert_eq!(name.parse::<Encoding>().unwrap().to_string(), wanted);
    }
    assert!("ebcdic".parse::<Encoding>().is_err());
}

#[test]
fn a_delimiter_is_one_ascii_character() {
    for delimiter in ['é', '"', '\n'] {
        let options = CsvOptions {
            delimiter: Some(delimiter),
            ..CsvOptions::default()
        };
        assert!(refusal("a,b\n", &options).starts_with("`delimiter` must be one ASCII character"));
    }
}
