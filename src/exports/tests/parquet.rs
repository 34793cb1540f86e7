//! Parquet and Arrow files, read back by pyarrow and by DuckDB.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::Int64Array;
use arrow::array::IntervalMonthDayNanoArray;
use arrow::array::ListArray;
use arrow::array::RecordBatch;
use arrow::array::StringArray;
use arrow::array::TimestampSecondArray;
use arrow::datatypes::Int64Type;
use arrow::datatypes::IntervalMonthDayNano;

use crate::error::Error;
use crate::exports::Format;
use crate::exports::encode;
use crate::exports::options::Options;
use crate::exports::tests::batch;
use crate::exports::tests::file_of;
use crate::tests::python;

fn numbers(from: i64, rows: i64) -> RecordBatch {
    let numbers: ArrayRef = Arc::new((from..from + rows).collect::<Int64Array>());
    let words: ArrayRef = Arc::new(
        (from..from + rows)
            .map(|n| (n % 3 > 0).then(|| format!("word {n}")))
            .collect::<StringArray>(),
    );
    batch([("n", numbers), ("word", words)])
}

/// What a script of Python prints that finds the file's path in `path`.
fn pyarrow(format: Format, bytes: &[u8], script: &str) -> Option<String> {
    let name = format!("file.{}", format.extension());
    let script = format!("import sys, pyarrow, pyarrow.parquet\npath = sys.argv[1]\n{script}");
    let printed = python(&name, bytes, &script, &[])?;
    Some(String::from_utf8(printed).unwrap())
}

#[test]
fn rows_keep_their_order_over_row_groups_and_threads() {
    let batches: Vec<_> = (0..200).map(|n| numbers(n * 2_000, 2_000)).collect();
    let script = "
file = pyarrow.parquet.ParquetFile(path)
table = file.read()
assert table['n'].to_pylist() == list(range(400000))
assert table['word'].to_pylist() == [f'word {n}' if n % 3 else None for n in range(400000)]
print([file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)])
";
    for threads in [1, 3] {
        let bytes = file_of(Format::Parquet, &batches, threads);
        if let Some(printed) = pyarrow(Format::Parquet, &bytes, script) {
            assert_eq!(printed, "[122880, 122880, 122880, 31360]\n");
        }
    }
    assert_eq!(
        file_of(Format::Parquet, &batches, 1),
        file_of(Format::Parquet, &batches, 3)
    );
    let script = "
reader = pyarrow.ipc.open_stream(path)
batches = list(reader)
assert [n for batch in batches for n in batch['n'].to_pylist()] == list(range(400000))
print([batch.num_rows for batch in batches])
";
    if let Some(printed) = pyarrow(Format::Arrow, &file_of(Format::Arrow, &batches, 2), script) {
        assert_eq!(printed, format!("[{}4000]\n", "18000, ".repeat(22)));
    }
}

#[test]
fn columns_of_different_values_have_no_dictionary() {
    let script = "
group = pyarrow.parquet.ParquetFile(path).metadata.row_group(0)
print([group.column(n).has_dictionary_page for n in range(3)], pyarrow.parquet.read_table(path).column_names)
";
    let repeated: ArrayRef = Arc::new(
        (0..5_000)
            .map(|n| Some(format!("{}", n % 100)))
            .collect::<StringArray>(),
    );
    let own: ArrayRef = Arc::new((0..5_000).map(|n| Some(format!("{n}"))).collect::<StringArray>());
    // A name that comes twice gets an ending, and one with a dot is one name.
    let columns = [("a.b", repeated), ("own", own.clone()), ("own", own)];
    let bytes = file_of(Format::Parquet, &[batch(columns)], 2);
    if let Some(printed) = pyarrow(Format::Parquet, &bytes, script) {
        assert_eq!(printed, "[True, False, False] ['a.b', 'own', 'own_2']\n");
    }
}

#[test]
fn large_cells_make_small_row_groups() {
    let wide: ArrayRef = Arc::new(
        (0..64)
            .map(|n| Some(format!("{n}").repeat(1 << 19)))
            .collect::<StringArray>(),
    );
    let bytes = file_of(Format::Parquet, &[batch([("wide", wide)])], 2);
    let script = "
file = pyarrow.parquet.ParquetFile(path)
assert [len(text) for text in file.read()['wide'].to_pylist()] == [2**19 * len(str(n)) for n in range(64)]
assert file.num_row_groups > 1
";
    pyarrow(Format::Parquet, &bytes, script);
}

#[test]
fn types_that_parquet_lacks_are_text() {
    let span = IntervalMonthDayNano::new(14, -3, 4_000_000_000);
    let seconds = [
        Some(0),
        None,
        Some(i64::MAX),
        Some(-i64::MAX),
        Some(1_500_000_000),
    ];
    let rows = batch([
        (
            "span",
            Arc::new(IntervalMonthDayNanoArray::from(vec![
                Some(span),
                None,
                None,
                None,
                None,
            ])) as ArrayRef,
        ),
        (
            "moment",
            Arc::new(TimestampSecondArray::from(seconds.to_vec())) as ArrayRef,
        ),
        (
            "list",
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
                Some(vec![Some(1), None]),
                None,
                Some(vec![]),
                None,
                Some(vec![Some(2)]),
            ])) as ArrayRef,
        ),
    ]);
    let script = "
table = pyarrow.parquet.read_table(path)
assert str(table.schema.field('moment').type) == 'timestamp[ms]', table.schema
assert table['moment'].cast('int64').to_pylist() == [0, None, 2**63 - 1, -(2**63 - 1), 1500000000000]
assert table['span'].to_pylist() == ['1 year 2 months -3 days 00:00:04', None, None, None, None], table['span']
assert table['list'].to_pylist() == [[1, None], None, [], None, [2]]
";
    pyarrow(Format::Parquet, &file_of(Format::Parquet, &[rows], 2), script);
}

#[test]
fn no_rows_keep_their_columns() {
    let none = numbers(0, 0);
    let script = "
table = pyarrow.parquet.read_table(path) if path.endswith('parquet') else pyarrow.ipc.open_stream(path).read_all()
assert table.num_rows == 0 and table.column_names == ['n', 'word'], table
";
    for format in [Format::Parquet, Format::Arrow] {
        pyarrow(format, &file_of(format, std::slice::from_ref(&none), 2), script);
    }
}

#[test]
fn error_of_the_last_batch_is_the_error() {
    let rows = numbers(0, 300_000);
    for format in [Format::Parquet, Format::Arrow, Format::Ndjson] {
        let batches = [Ok(rows.clone()), Err(Error::invalid("the last one"))];
        let error = encode(
            format,
            &Options::default(),
            &rows.schema(),
            batches.into_iter(),
            2,
            &mut Vec::new(),
        )
        .unwrap_err();
        assert_eq!(error.message, "the last one");
    }
}
