use std::sync::atomic::AtomicBool;

use crate::error::ErrorCode;
use crate::imports::CsvOptions;
use crate::imports::read;
use crate::imports::survey;
use crate::imports::tests::How;
use crate::imports::tests::NEVER;
use crate::imports::tests::USUAL;
use crate::imports::tests::load;
use crate::imports::tests::load_as;
use crate::imports::tests::prepared;
use crate::imports::tests::refusal;
use crate::imports::tests::row;
use crate::imports::tests::with_schema;

#[test]
fn bad_rows_are_named_by_line_and_column() {
    let cases = [
        (
            "a,b\n1,2\n1,2,3\n",
            "",
            "1 row cannot be read:\nline 3 has 3 fields, the header has 2",
        ),
        (
            "a,b\n\"1\n\",2\n\n1\n",
            "",
            "1 row cannot be read:\nline 5 has 1 field, the header has 2",
        ),
        (
            "1,2\n3,4\n5\n",
            "",
            "1 row cannot be read:\nline 3 has 1 field, the first line has 2",
        ),
        (
            "a,b\n1,\"x\"y\n",
            "",
            "1 row cannot be read:\nline 2, column `b`: `x` has text after its closing quote",
        ),
        (
            "a,b\n1,abc\n2,1.555\n3,4\n",
            "b:decimal(12,2)",
            "2 rows cannot be read:\nline 2, column `b`: `abc` is no decimal(12,2)\n\
             line 3, column `b`: `1.555` is no decimal(12,2)",
        ),
        (
            "a,b\n2026-01-31,1\n2026-01-31 10:00,2\n",
            "a:date",
            "1 row cannot be read:\nline 3, column `a`: `2026-01-31 10:00` is no date",
        ),
    ];
    for (text, schema, wanted) in cases {
        let options = if schema.is_empty() {
            CsvOptions::default()
        } else {
            with_schema(schema)
        };
        assert_eq!(refusal(text, &options), wanted, "{text:?}");
    }
}

#[test]
fn many_bad_rows_are_counted_and_twenty_shown() {
    let text = format!("a,b\n{}", "1\n".repeat(1_000));
    let error = load(&text, &CsvOptions::default()).err().unwrap();
    assert_eq!(error.code, ErrorCode::InvalidRequest);
    let message = error.to_string();
    assert!(
        message.starts_with("1000 rows cannot be read; the first 20:\nline 2 has"),
        "{message}"
    );
    assert_eq!(message.lines().count(), 21);
}

#[test]
fn so_many_bad_rows_as_allowed_are_left_out() {
    let text = "a,b,c\n1,x,2026-01-31\n2\n3,\"y,\"z\",\n\n4,\"q\"\"uote\n\",nope\n5,z,\n";
    let options = CsvOptions {
        errors_max: 3,
        ..with_schema("c:date")
    };
    for chunk in 1..text.len() {
        let how = How { chunk, ..USUAL };
        let loaded = load_as(text.as_bytes(), &options, how).unwrap();
        let mut last = row(&["5", "z"]);
        last.push(None);
        assert_eq!(loaded.rows, [row(&["1", "x", "2026-01-31"]), last]);
        assert_eq!((loaded.survey.rows, loaded.survey.rejected), (2, 3));
        assert_eq!((loaded.report.rows, loaded.report.rejected), (2, 3));
        assert_eq!(loaded.report.first_rejects, loaded.survey.first_rejects);
        assert_eq!(
            loaded.rejects,
            "line,column,value,reason,record\n\
             3,,,\"has 1 field, the header has 3\",2\n\
             4,b,\"y,\",has text after its closing quote,\"3,\"\"y,\"\"z\"\",\"\n\
             6,c,nope,is no date,\"4,\"\"q\"\"\"\"uote\n\"\",nope\"\n"
        );
    }
    let options = CsvOptions {
        errors_max: 2,
        ..options
    };
    let message = refusal(text, &options);
    assert!(
        message.starts_with("3 rows cannot be read, 2 may be left out:\n"),
        "{message}"
    );
}

#[test]
fn bad_rows_have_no_say_in_types() {
    let options = CsvOptions {
        errors_max: 1,
        ..CsvOptions::default()
    };
    let loaded = load("a,b\n1,2\nx,y,z\n3,4\n", &options).unwrap();
    assert_eq!(loaded.types(), ["integer", "integer"]);
}

#[test]
fn long_values_are_shortened() {
    let text = format!("a,b\n{},1\n", "é".repeat(200));
    let message = refusal(&text, &with_schema("a:integer"));
    assert!(
        message.contains(&format!("`{}…` is no integer", "é".repeat(100))),
        "{message}"
    );
}

#[test]
fn a_file_that_changes_is_noticed() {
    let options = CsvOptions::default();
    let (_folder, prepared) = prepared(b"a,b\n1,2\n", &options).unwrap();
    let survey = survey(&prepared, &options, 1, &NEVER).unwrap();
    for changed in ["a,b\nx,2\n", "a,b\n1,2\n3,4\n", "a,b\n1\n2\n", "a,b\n1,2"] {
        std::fs::write(&prepared.path, changed).unwrap();
        let error = read(&prepared, &survey, &options, 1, &NEVER, &mut |_| Ok(()), None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the file changed while it was read",
            "{changed:?}"
        );
    }
}

#[test]
fn work_stops_when_asked_to() {
    let options = CsvOptions::default();
    let (folder, prepared) = prepared(b"a,b\n1,2\n", &options).unwrap();
    let found = survey(&prepared, &options, 1, &NEVER).unwrap();
    let stop = AtomicBool::new(true);
    let outcomes = [
        crate::imports::prepare(&prepared.path, folder.path(), &options, 100, &stop).err(),
        survey(&prepared, &options, 1, &stop).err(),
        read(&prepared, &found, &options, 1, &stop, &mut |_| Ok(()), None).err(),
    ];
    for error in outcomes {
        assert_eq!(error.unwrap().code, ErrorCode::Cancelled);
    }
}

#[test]
fn an_error_of_the_receiver_ends_the_reading() {
    let options = CsvOptions::default();
    let text = format!("a,b\n{}", "1,2\n".repeat(2_000_000));
    let (_folder, prepared) = prepared(text.as_bytes(), &options).unwrap();
    let found = survey(&prepared, &options, 2, &NEVER).unwrap();
    let mut refuse = |_| Err(crate::error::Error::invalid("full"));
    let error = read(&prepared, &found, &options, 2, &NEVER, &mut refuse, None).unwrap_err();
    assert_eq!(error.to_string(), "full");
}
