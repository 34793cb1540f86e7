use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::BooleanArray;
use arrow::array::Int64Array;
use arrow::array::ListArray;
use arrow::array::StringArray;
use arrow::datatypes::DataType;
use arrow::datatypes::Field;
use arrow::datatypes::Int64Type;
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

/// Rows of many types, of which none compresses.
fn random_batch(rows: usize, seed: u64) -> RecordBatch {
    let mut state = seed;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state >> 11
    };
    let numbers: Int64Array = (0..rows).map(|_| next() as i64).collect();
    let text: StringArray = (0..rows).map(|_| Some(format!("{:x}", next()))).collect();
    let flags: BooleanArray = (0..rows).map(|_| Some(next() % 2 == 0)).collect();
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(
        (0..rows).map(|_| Some((0..next() % 4).map(|_| Some(next() as i64)).collect::<Vec<_>>())),
    );
    RecordBatch::try_from_iter([
        ("n", Arc::new(numbers) as ArrayRef),
        ("text", Arc::new(text)),
        ("flag", Arc::new(flags)),
        ("list", Arc::new(lists)),
    ])
    .unwrap()
}

#[test]
fn what_fits_never_passes_the_limit_and_fills_most_of_it() {
    for (kib, batch_rows) in [
        (8, 10),
        (8, 2048),
        (100, 1),
        (500, 2048),
        (3000, 50),
        (20_000, 200_000),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::open(folder.path()).unwrap();
        let max = ByteSize::kib(kib);
        let mut batch = random_batch(batch_rows, 1);
        let mut writer = ResultWriter::new(objects.create(&NAME, max), &batch.schema()).unwrap();
        let mut rows = 0;
        let mut seed = 1;
        loop {
            let written = writer.write_what_fits(&batch).unwrap();
            rows += written as u64;
            if written < batch.num_rows() {
                break;
            }
            seed += 1;
            batch = random_batch(batch_rows, seed);
        }
        let written = writer.finish(true).unwrap();
        assert_eq!(written.rows, rows);
        assert!(written.object.bytes() <= max.as_u64());
        let content = written.object.into_content();
        let reader = Rows::of(content, &objects, &NAME).unwrap().open().unwrap();
        assert_eq!(reader.rows(), rows);
        // A row takes about 35 bytes; of a few KiB most is the schema and the end.
        assert!(kib < 500 || rows * 35 > kib << 9, "{kib} KiB: {rows} rows");
    }
}
