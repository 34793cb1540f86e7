use crate::imports::CsvOptions;
use crate::imports::splitter::Sizes;
use crate::imports::survey::survey_in;
use crate::imports::tests::How;
use crate::imports::tests::NEVER;
use crate::imports::tests::USUAL;
use crate::imports::tests::load;
use crate::imports::tests::load_as;
use crate::imports::tests::loaded;
use crate::imports::tests::prepared;
use crate::imports::tests::refusal;
use crate::imports::tests::row;
use crate::imports::tests::with_header;

#[test]
fn records_are_divided_as_the_standard_says() {
    let cases: &[(&str, &[&[&str]])] = &[
        ("a,b\nx,y\n", &[&["x", "y"]]),
        ("a,b\nx,y", &[&["x", "y"]]),
        ("a,b\r\nx,y\r\n", &[&["x", "y"]]),
        ("a,b\r\nx,y\nz,w\r", &[&["x", "y"], &["z", "w"]]),
        ("a,b\rx,y\rz,w\r", &[&["x", "y"], &["z", "w"]]),
        ("a,b\rx,\"y\rz\"\r", &[&["x", "y\rz"]]),
        ("a,b\n\"x\"\"\",\"y,\nz\"\r\n", &[&["x\"", "y,\nz"]]),
        ("a,b\n5\" pipe,say \"hi\"\n", &[&["5\" pipe", "say \"hi\""]]),
        ("a,b\n\n\r\nx,y\n\n", &[&["x", "y"]]),
        ("a,b\nx\ry,z\n", &[&["x\ry", "z"]]),
        ("a,b\n \"x\",y\n", &[&[" \"x\"", "y"]]),
        ("a;b\nx;1,5\n", &[&["x", "1,5"]]),
        ("a\tb\nx\ty\n", &[&["x", "y"]]),
        ("a|b\nx|y\n", &[&["x", "y"]]),
        ("a,b;c,d\nx,y;z\nx,y,z;w\n", &[&["x,y", "z"], &["x,y,z", "w"]]),
        ("'a','b'\n'x,','it''s'\n1,'z'\n", &[&["x,", "it's"], &["1", "z"]]),
        ("a,b\n'x,y\n", &[&["'x", "y"]]),
        ("a\n\"\"\nx\n", &[&[""], &["x"]]),
        ("\n\na,b\nx,y\n", &[&["x", "y"]]),
    ];
    for (text, wanted) in cases {
        let wanted: Vec<_> = wanted.iter().map(|values| row(values)).collect();
        assert_eq!(loaded(text).rows, wanted, "{text:?}");
    }
}

#[test]
fn an_empty_line_of_a_single_column_is_null() {
    let text = "a\nx\n\ny\n";
    assert_eq!(loaded(text).rows, [row(&["x"]), vec![None], row(&["y"])]);
    assert_eq!(loaded("\n1\n2\n").rows.len(), 3);
}

#[test]
fn a_header_is_recognized() {
    let cases = [
        ("a,b\n1,x\n", true),
        ("a,b\n1,2\n", true),
        ("1,2\n3,4\n", false),
        ("1,x\n2,y\n", true),
        ("2019,2020\n1.5,2.5\n", true),
        ("1.5,true\n2.25,false\n", false),
        ("2026-01-31,1\n2026-02-01,2\n", false),
        ("31/01/2026,1\n02/03/2026,2\n", false),
        ("02/03/2026,1\n31/01/2026,2\n", false),
        (",1\n5,2\n", false),
        ("1,2\n", true),
        ("1,2\n3,\n", true),
    ];
    for (text, header) in cases {
        let loaded = loaded(text);
        assert_eq!(loaded.survey.header, header, "{text:?}");
        assert_eq!(loaded.rows.len() as u64, loaded.survey.rows);
        let lines = text.lines().count();
        assert_eq!(loaded.rows.len(), lines - usize::from(header), "{text:?}");
    }
}

#[test]
fn the_caller_may_know_of_the_header() {
    let loaded = load("a,b\nx,y\n", &with_header(false)).unwrap();
    assert_eq!(loaded.rows, [row(&["a", "b"]), row(&["x", "y"])]);
    assert_eq!(loaded.survey.columns[1].name, "column_2");
    let loaded = load("1,2\n3,4\n", &with_header(true)).unwrap();
    assert_eq!(loaded.rows, [row(&["3", "4"])]);
    assert_eq!(loaded.survey.columns[1].name, "2");
}

#[test]
fn a_header_alone_has_no_rows() {
    let loaded = loaded("id,name\n");
    assert_eq!(loaded.types(), ["text", "text"]);
    assert_eq!((loaded.survey.rows, loaded.rows.len()), (0, 0));
}

#[test]
fn a_file_without_text_is_refused() {
    for text in ["", "\u{feff}", "\n", "\r\n\r\n"] {
        assert_eq!(
            refusal(text, &CsvOptions::default()),
            "the file is empty",
            "{text:?}"
        );
    }
}

#[test]
fn an_open_quote_is_named() {
    for (text, line) in [
        ("a,b\nx,\"y\nz\n", 2),
        ("a,b\n\"x\ny\",\"z\n", 3),
        ("a,b\nx,y\n\n1,\"2", 4),
        ("a,\"b\n", 1),
        ("a,b\rx,\"y\r", 2),
    ] {
        let message = refusal(text, &CsvOptions::default());
        assert_eq!(
            message,
            format!("a quote that opens in line {line} is never closed"),
            "{text:?}"
        );
    }
}

#[test]
fn a_record_may_not_be_endless() {
    let text = format!("a,b\nx,\"\n{}\",y\n", "z\n".repeat(1_000));
    let (_folder, prepared) = prepared(text.as_bytes(), &CsvOptions::default()).unwrap();
    let sizes = |_| Sizes {
        chunk: 64,
        record_max: 512,
    };
    let error = survey_in(&prepared, &CsvOptions::default(), 1, &NEVER, sizes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the record in line 2 is longer than 512 bytes: is the quote that opens in line 2 ever closed?"
    );
}

#[test]
fn a_cell_may_be_large() {
    let cell = "0123456789,\n".repeat(1 << 20);
    let loaded = loaded(&format!("a,b\n\"{cell}\",1\nx,2\n"));
    assert_eq!(loaded.rows, [row(&[&cell, "1"]), row(&["x", "2"])]);
}

#[test]
fn there_may_be_many_columns() {
    let line = |value: &str| vec![value; 20_000].join(",");
    let text = format!("{}\n{}\n{}\n", line("name"), line("1"), line("22"));
    let loaded = loaded(&text);
    assert_eq!(loaded.survey.columns[19_999].name, "name_20000");
    assert_eq!(loaded.survey.rows, 2);
    assert!(loaded.types().iter().all(|column_type| column_type == "integer"));
    let message = refusal(&format!("{}\n", ["x"; 100_001].join(",")), &CsvOptions::default());
    assert_eq!(
        message,
        "the first line has 100001 fields, at most 100000 can be read"
    );
}

#[test]
fn where_chunks_end_makes_no_difference() {
    let texts = [
        "id,text,day\r\n1,\"a\r\n\"\"b\"\", c\",2026-01-31\r\n\r\n2,d\"e,\r\n3,\"\",2026-02-01\n",
        "id,text,day\r1,\"a\r\n\"\"b\"\",\r c\",2026-01-31\r\r2,d\"e,\r3,\"\",2026-02-01\r\r",
        "1,2026-01-31\n2,\n,2026-02-01",
    ];
    for text in texts {
        let wanted = loaded(text);
        assert!(wanted.rows.len() >= 3);
        for chunk in 1..=text.len() + 1 {
            for (threads, batch_rows) in [(1, 1), (3, 2)] {
                let how = How {
                    threads,
                    chunk,
                    batch_rows,
                };
                let found = load_as(text.as_bytes(), &CsvOptions::default(), how).unwrap();
                assert_eq!(found.rows, wanted.rows, "{text:?} in chunks of {chunk}");
                assert_eq!(found.types(), wanted.types());
                assert_eq!(found.survey.header, wanted.survey.header);
            }
        }
    }
}

#[test]
fn batches_come_in_order_and_are_not_large() {
    let mut text = "n\n".to_owned();
    for number in 0..100_000 {
        text.push_str(&format!("{number}\n"));
    }
    for threads in [1, 3] {
        let how = How {
            threads,
            chunk: 100_000,
            ..USUAL
        };
        let loaded = load_as(text.as_bytes(), &CsvOptions::default(), how).unwrap();
        let numbers: Vec<_> = loaded.rows.iter().map(|row| row[0].clone().unwrap()).collect();
        assert!(
            numbers
                .iter()
                .enumerate()
                .all(|(index, number)| index.to_string() == *number)
        );
        assert_eq!(numbers.len(), 100_000);
        assert!(
            loaded
                .batches
                .iter()
                .all(|batch| batch.num_rows() <= 8_192 + 1_024)
        );
    }
}
