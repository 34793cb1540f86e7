use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::array::StringArray;
use arrow::datatypes::DataType;
use arrow::datatypes::Field;
use arrow::datatypes::Schema;

use super::*;
use crate::objects::Folder;
use crate::objects::ObjectName;
use crate::objects::Objects;

const NAME: ObjectName = ObjectName::Result {
    job_id: 1,
    attempt: 1,
};
const LIMITS: Limits = Limits {
    rows_max: 100_000,
    bytes_max: ByteSize::mib(64),
};

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("n", DataType::Int64, true),
        Field::new("text", DataType::Utf8, true),
    ]))
}

fn batch(from: i64, rows: i64, width: usize) -> RecordBatch {
    let numbers: Int64Array = (from..from + rows).collect();
    let text: StringArray = (from..from + rows)
        .map(|n| Some(format!("{n}{}", "x".repeat(width))))
        .collect();
    RecordBatch::try_new(schema(), vec![Arc::new(numbers), Arc::new(text)]).unwrap()
}

fn write(batches: &[RecordBatch], limits: Limits) -> (tempfile::TempDir, Objects, Result<Written>) {
    let folder = tempfile::tempdir().unwrap();
    let objects = Objects::open(folder.path()).unwrap();
    let write = || {
        let mut writer = ResultWriter::new(objects.create(&NAME)?, &schema(), limits)?;
        for batch in batches {
            writer.write(batch.clone())?;
        }
        writer.finish()
    };
    let written = write();
    (folder, objects, written)
}

fn read(objects: &Objects, range: Range<u64>) -> Vec<i64> {
    let reader = ResultReader::open(objects.open_object(&NAME).unwrap()).unwrap();
    let mut numbers = Vec::new();
    for batch in reader.batches(range).unwrap() {
        let batch = batch.unwrap();
        let column = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
        numbers.extend(column.values().iter().copied());
    }
    numbers
}

#[test]
fn every_range_of_rows_is_what_was_written() {
    let batches: Vec<_> = (0..25).map(|n| batch(n * 2_048, 2_048, 4)).collect();
    let (_folder, objects, written) = write(&batches, LIMITS);
    assert_eq!(written.unwrap().rows, 51_200);
    let all: Vec<i64> = (0..51_200).collect();
    assert_eq!(read(&objects, 0..u64::MAX), all);
    for (start, end) in [
        (0, 1),
        (16_383, 16_385),
        (16_384, 32_768),
        (5, 51_200),
        (51_199, 51_200),
        (51_200, 51_300),
        (90_000, 90_001),
        (7, 7),
    ] {
        let expected: Vec<i64> = (start..end).filter(|n| *n < 51_200).collect();
        assert_eq!(
            read(&objects, start as u64..end as u64),
            expected,
            "{start}..{end}"
        );
    }
}

#[test]
fn zero_rows_keep_their_columns() {
    let (_folder, objects, written) = write(&[], LIMITS);
    assert_eq!(written.unwrap().rows, 0);
    let reader = ResultReader::open(objects.open_object(&NAME).unwrap()).unwrap();
    assert_eq!(reader.schema(), schema());
    assert_eq!(read(&objects, 0..10), Vec::<i64>::new());
}

#[test]
fn large_cells_are_cut_into_small_batches() {
    let (_folder, objects, written) = write(&[batch(0, 40, 1 << 20)], LIMITS);
    assert_eq!(written.unwrap().rows, 40);
    let reader = ResultReader::open(objects.open_object(&NAME).unwrap()).unwrap();
    assert!(reader.starts.len() > 4, "{:?}", reader.starts);
    assert_eq!(read(&objects, 39..40), [39]);
}

#[test]
fn over_a_limit_is_an_error_and_leaves_nothing() {
    for limits in [
        Limits {
            rows_max: 99,
            ..LIMITS
        },
        Limits {
            bytes_max: ByteSize::b(10),
            ..LIMITS
        },
    ] {
        let batches: Vec<_> = (0..20).map(|n| batch(n * 2_048, 2_048, 4)).collect();
        let (_folder, objects, written) = write(&batches, limits);
        assert_eq!(written.unwrap_err().code, ErrorCode::TooLarge);
        assert!(objects.list(Folder::Results).unwrap().is_empty());
    }
}
