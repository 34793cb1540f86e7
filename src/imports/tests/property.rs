use proptest::prelude::*;

use crate::imports::CsvOptions;
use crate::imports::tests::How;
use crate::imports::tests::Row;
use crate::imports::tests::load_as;

/// Writes a table on its own terms: quotes where they must be, and here and there where they need not.
fn written(rows: &[Row], delimiter: char, line_end: &str, quote_all: bool) -> String {
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .map(|cell| match cell {
                None => String::new(),
                Some(cell) => {
                    let special = |c: char| c == delimiter || matches!(c, '"' | '\n' | '\r');
                    if quote_all || cell.is_empty() || cell.contains(special) {
                        format!("\"{}\"", cell.replace('"', "\"\""))
                    } else {
                        cell.clone()
                    }
                }
            })
            .collect();
        text.push_str(&cells.join(&delimiter.to_string()));
        text.push_str(line_end);
    }
    text
}

fn cell() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        1 => Just(None),
        // The letter makes it text, so that it must come back byte by byte.
        6 => "[a-z,;\"\n\r '|\té€0-9.-]{0,12}".prop_map(|text| Some(format!("{text}z"))),
        1 => Just(Some(String::new())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_table_comes_back(
        (width, rows) in (2_usize..6).prop_flat_map(|width| {
            let row = prop::collection::vec(cell(), width);
            (Just(width), prop::collection::vec(row, 0..12))
        }),
        delimiter in prop::sample::select(vec![',', ';', '\t', '|']),
        line_end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        quote_all in any::<bool>(),
        chunk in 1_usize..200,
        threads in 1_usize..4,
    ) {
        let header: Row = (0..width).map(|index| Some(format!("name{index}"))).collect();
        let mut all = vec![header];
        all.extend(rows.iter().cloned());
        let text = written(&all, delimiter, line_end, quote_all);
        let options = CsvOptions {
            delimiter: Some(delimiter),
            header: Some(true),
            ..CsvOptions::default()
        };
        let how = How { threads, chunk, batch_rows: 3 };
        let loaded = load_as(text.as_bytes(), &options, how).unwrap();
        // Empty strings are NULL where no value makes the column text; all columns here are text.
        prop_assert_eq!(loaded.rows, rows, "{:?}", text);
    }

    #[test]
    fn any_number_keeps_its_value(numbers in prop::collection::vec((any::<i64>(), 0_u32..6), 1..20)) {
        let text = |(number, scale): &(i64, u32)| {
            let power = 10_i64.pow(*scale);
            let sign = if *number < 0 { "-" } else { "" };
            let (whole, rest) = (number.unsigned_abs() / power as u64, number.unsigned_abs() % power as u64);
            match scale {
                0 => number.to_string(),
                _ => format!("{sign}{whole}.{rest:0width$}", width = *scale as usize),
            }
        };
        let lines: String = numbers.iter().map(|number| format!("{},x\n", text(number))).collect();
        let how = How { threads: 2, chunk: 50, batch_rows: 7 };
        let options = CsvOptions { header: Some(true), ..CsvOptions::default() };
        let loaded = load_as(format!("n,t\n{lines}").as_bytes(), &options, how).unwrap();
        prop_assert!(loaded.types()[0] != "text");
        for (row, number) in loaded.rows.iter().zip(&numbers) {
            let read = row[0].clone().unwrap();
            let wanted = text(number);
            let trimmed = |text: &str| match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').trim_start_matches('-').to_owned(),
                false => text.trim_start_matches('-').to_owned(),
            };
            prop_assert_eq!(trimmed(&read), trimmed(&wanted));
            prop_assert!(read.starts_with('-') == (number.0 < 0));
        }
    }
}
