use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::array::StringArray;
use arrow::datatypes::DataType;
use arrow::datatypes::Field;
use arrow::datatypes::Schema;
use bytesize::ByteSize;

use super::*;
use crate::objects::Folder;
use crate::objects::ObjectName;
use crate::objects::Objects;

const NAME: ObjectName = ObjectName::Result {
    job_id: 1,
    attempt: 1,
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

fn write(batches: &[RecordBatch], bytes_max: ByteSize) -> (tempfile::TempDir, Objects, Result<Written>) {
    let folder = tempfile::tempdir().unwrap();
    let objects = Objects::open(folder.path()).unwrap();
    let write = || {
        let mut writer = ResultWriter::new(objects.create(&NAME, bytes_max), &schema())?;
        for batch in batches {
            writer.write(batch.clone())?;
        }
        writer.finish(false)
    };
    let written = write();
    (folder, objects, written)
}

fn read(objects: &Objects, range: Range<u64>) -> Vec<i64> {
    let reader = Rows::of(None, objects, &NAME).unwrap().open().unwrap();
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
    let (_folder, objects, written) = write(&batches, ByteSize::mib(64));
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
    let (_folder, _objects, written) = write(&[], ByteSize::mib(64));
    let written = written.unwrap();
    assert_eq!(written.rows, 0);
    let Object::Inline(content) = written.object else {
        panic!("a file without rows is small");
    };
    let reader = Rows::Inline(content).open().unwrap();
    assert_eq!(reader.schema(), schema());
    assert_eq!(reader.batches(0..10).unwrap().count(), 0);
}

#[test]
fn large_cells_are_cut_into_small_batches() {
    let (_folder, _objects, written) = write(&[batch(0, 40, 1 << 20)], ByteSize::mib(64));
    let written = written.unwrap();
    assert_eq!(written.rows, 40);
    // They are large, but the same character all over.
    let Object::Inline(content) = written.object else {
        panic!("a small file is inline");
    };
    let reader = Rows::Inline(content).open().unwrap();
    assert!(reader.starts.len() > 4, "{:?}", reader.starts);
    let last = reader.batches(39..40).unwrap().next().unwrap().unwrap();
    assert_eq!(last.column(0).as_ref(), &Int64Array::from(vec![39]));
}

#[test]
fn over_a_limit_is_an_error_and_leaves_nothing() {
    let batches: Vec<_> = (0..20).map(|n| batch(n * 2_048, 2_048, 4)).collect();
    let (_folder, objects, written) = write(&batches, ByteSize::b(10));
    assert_eq!(written.unwrap_err().code, ErrorCode::TooLarge);
    assert!(objects.list(Folder::Results).unwrap().files.is_empty());
}
