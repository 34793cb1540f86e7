use std::io;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use arrow::array::Array;
use arrow::array::ArrayRef;
use arrow::array::Int64Array;
use arrow::array::RecordBatch;
use arrow::array::StringArray;

use crate::error::Error;
use crate::error::ErrorCode;
use crate::exports::Format;
use crate::exports::encode;
use crate::exports::options::Compression;
use crate::exports::options::Options;
use crate::exports::pipeline::encode_in_order;
use crate::exports::tests::batch;
use crate::exports::tests::file_of;
use crate::exports::tests::strings;
use crate::exports::tests::text_file;

fn numbered(from: i64, rows: i64) -> RecordBatch {
    let numbers = Int64Array::from_iter_values(from..from + rows);
    let words = StringArray::from_iter_values((from..from + rows).map(|n| format!("row, {n}")));
    batch([("n", Arc::new(numbers) as ArrayRef), ("s", Arc::new(words))])
}

#[test]
fn format_is_its_extension() {
    for format in Format::ALL {
        assert_eq!(Format::parse(format.extension()), Some(format));
        assert!(format.content_type().contains('/'));
    }
    assert_eq!(Format::parse("CSV"), None);
    assert_eq!(Format::parse("pdf"), None);
}

#[test]
fn threads_and_batches_do_not_change_the_bytes() {
    let small: Vec<RecordBatch> = (0..200).map(|i| numbered(i * 150, 150)).collect();
    let empty = small[0].slice(0, 0);
    let mixed = [empty.clone(), numbered(0, 1), numbered(1, 29_999), empty];
    for format in [Format::Csv, Format::Json] {
        let bytes = file_of(format, &small, 1);
        for threads in [0, 2, 4, 16] {
            assert_eq!(file_of(format, &small, threads), bytes);
            assert_eq!(file_of(format, &mixed, threads), bytes);
        }
    }
}

#[test]
fn megabyte_cell_is_whole() {
    let text = "x\"y,".repeat(1 << 18);
    let rows = batch([
        ("a", strings(&[Some(&text), Some("end")])),
        ("b", strings(&[None, None])),
    ]);
    let wanted = format!("a,b\n\"{}\",\nend,\n", text.replace('"', "\"\""));
    assert!(text_file(Format::Csv, &rows) == wanted);
    let json: serde_json::Value = serde_json::from_str(&text_file(Format::Json, &rows)).unwrap();
    assert!(json[0]["a"] == text);
}

/// Every way through the encoders.
fn ways() -> Vec<(Format, Options)> {
    let compressed = [Compression::Gzip, Compression::Zstd].map(|compression| Options {
        compress: Some(compression),
        ..Options::default()
    });
    let plain = Format::ALL.map(|format| (format, Options::default()));
    let compressed = compressed.map(|options| (Format::Csv, options));
    plain.into_iter().chain(compressed).collect()
}

#[test]
fn error_of_the_source_ends_everything() {
    for (format, options) in ways() {
        let first = numbered(0, 10);
        let after_error = AtomicUsize::new(0);
        let batches = [Ok(first.clone()), Err(Error::new(ErrorCode::Timeout, "too slow"))]
            .into_iter()
            .chain(std::iter::repeat_with(|| {
                after_error.fetch_add(1, Ordering::Relaxed);
                Ok(numbered(0, 10))
            }));
        let mut out = Vec::new();
        let error = encode(format, &options, &first.schema(), batches, 2, &mut out).unwrap_err();
        assert_eq!(error.code, ErrorCode::Timeout);
        assert_eq!(after_error.load(Ordering::Relaxed), 0);
    }
}

/// A disk that is full after some bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self
            .0
            .checked_sub(bytes.len())
            .ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn error_of_the_writer_ends_an_endless_source() {
    for (format, options) in ways() {
        let batches = std::iter::repeat_with(|| Ok(numbered(0, 5_000)));
        let schema = numbered(0, 1).schema();
        let error = encode(format, &options, &schema, batches, 4, &mut Full(500_000)).unwrap_err();
        assert_eq!(error.code, ErrorCode::Internal);
        assert!(error.to_string().contains("no storage space"), "{error}");
    }
}

#[test]
fn panic_of_an_encoder_is_an_error() {
    for threads in [1, 4] {
        let batches = std::iter::repeat_with(|| Ok(numbered(0, 10)));
        let schema = numbered(0, 1).schema();
        let encode = |_: &RecordBatch, _: &mut Vec<u8>| panic!("broken encoder");
        let error = encode_in_order(&schema, batches, threads, &encode, |_| Ok(())).unwrap_err();
        assert_eq!(error.code, ErrorCode::Internal);
        assert!(error.to_string().contains("broken encoder"), "{error}");
    }
}

#[test]
fn panic_of_the_source_is_an_error() {
    for (format, options) in ways() {
        let first = numbered(0, 10);
        let batches =
            std::iter::once(Ok(first.clone())).chain(std::iter::repeat_with(|| panic!("broken source")));
        let error = encode(format, &options, &first.schema(), batches, 2, &mut Vec::new());
        assert!(error.unwrap_err().to_string().contains("broken source"));
    }
}

#[test]
fn batch_of_other_width_is_an_error() {
    for (format, options) in ways() {
        let narrow = batch([("n", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]);
        let batches = std::iter::once(Ok(narrow));
        let schema = numbered(0, 1).schema();
        let error = encode(format, &options, &schema, batches, 2, &mut Vec::new());
        assert_eq!(error.unwrap_err().code, ErrorCode::Internal);
    }
}

#[test]
fn few_batches_are_in_flight() {
    let threads = 2;
    let read = AtomicUsize::new(0);
    let mut written = 0;
    let batches = (0..200).map(|i| {
        read.fetch_add(1, Ordering::Relaxed);
        Ok(numbered(i, 1))
    });
    let schema = numbered(0, 1).schema();
    let encode = |batch: &RecordBatch, out: &mut Vec<u8>| out.push(u8::from(batch.column(0).is_empty()));
    encode_in_order(&schema, batches, threads, &encode, |_| {
        let ahead = read.load(Ordering::Relaxed) - written;
        assert!(ahead <= 2 * threads + 4, "{ahead} batches in flight");
        written += 1;
        Ok(())
    })
    .unwrap();
    assert_eq!(written, 200);
}
