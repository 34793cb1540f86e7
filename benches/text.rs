//! Rows a second of CSV, JSON and pages, a type at a time and for a table like TPC-H's `lineitem`,
//! beside the writers of Arrow's own crates.

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::array::Date32Array;
use arrow::array::Decimal128Array;
use arrow::array::Float64Array;
use arrow::array::Int64Array;
use arrow::array::RecordBatch;
use arrow::array::StringArray;
use arrow::array::TimestampMicrosecondArray;
use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use holistics::bench::csv_rows;
use holistics::bench::json_rows;
use holistics::bench::page_rows;

const ROWS: usize = 8_192;

/// Random numbers by xorshift, the same in every run.
struct Random(u64);

impl Random {
    fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        low + (self.0 >> 11) as i64 % (high - low + 1)
    }

    fn integers(&mut self, low: i64, high: i64) -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(
            (0..ROWS).map(|_| self.between(low, high)),
        ))
    }

    /// Money: `low` and `high` are in hundredths.
    fn decimals(&mut self, low: i64, high: i64, step: i64) -> ArrayRef {
        let values = (0..ROWS).map(|_| i128::from(self.between(low, high) * step));
        let decimals = Decimal128Array::from_iter_values(values);
        Arc::new(decimals.with_precision_and_scale(15, 2).unwrap())
    }

    fn dates(&mut self) -> ArrayRef {
        Arc::new(Date32Array::from_iter_values(
            (0..ROWS).map(|_| self.between(8_036, 10_561) as i32),
        ))
    }

    fn timestamps(&mut self) -> ArrayRef {
        let micros = (0..ROWS).map(|_| self.between(0, 1_700_000_000_000_000));
        Arc::new(TimestampMicrosecondArray::from_iter_values(micros))
    }

    fn doubles(&mut self) -> ArrayRef {
        let values = (0..ROWS).map(|_| self.between(0, 1 << 52) as f64 / 1e9);
        Arc::new(Float64Array::from_iter_values(values))
    }

    fn one_of(&mut self, words: &[&str]) -> ArrayRef {
        let last = words.len() as i64 - 1;
        let values = (0..ROWS).map(|_| words[self.between(0, last) as usize]);
        Arc::new(StringArray::from_iter_values(values))
    }

    /// Sentences of `low` to `high` characters.
    fn sentences(&mut self, low: i64, high: i64, words: &[&str]) -> ArrayRef {
        let last = words.len() as i64 - 1;
        let sentences = (0..ROWS).map(|_| {
            let length = self.between(low, high) as usize;
            let mut text = String::new();
            while text.len() < length {
                text += words[self.between(0, last) as usize];
                text.push(' ');
            }
            text.truncate(length);
            text
        });
        Arc::new(StringArray::from_iter_values(sentences))
    }
}

const WORDS: [&str; 16] = [
    "furiously",
    "sly",
    "deposits",
    "carefully",
    "ironic",
    "packages",
    "haggle",
    "quickly",
    "even",
    "requests",
    "are",
    "the",
    "final",
    "bold",
    "accounts",
    "nag",
];

fn lineitem(random: &mut Random) -> RecordBatch {
    let instructions = ["DELIVER IN PERSON", "COLLECT COD", "NONE", "TAKE BACK RETURN"];
    let modes = ["REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB"];
    let mut comment_words: Vec<&str> = WORDS.repeat(3);
    comment_words.push("slyly,");
    let columns = [
        ("l_orderkey", random.integers(1, 6_000_000)),
        ("l_partkey", random.integers(1, 200_000)),
        ("l_suppkey", random.integers(1, 10_000)),
        ("l_linenumber", random.integers(1, 7)),
        ("l_quantity", random.decimals(1, 50, 100)),
        ("l_extendedprice", random.decimals(90_000, 10_494_950, 1)),
        ("l_discount", random.decimals(0, 10, 1)),
        ("l_tax", random.decimals(0, 8, 1)),
        ("l_returnflag", random.one_of(&["R", "A", "N", "N"])),
        ("l_linestatus", random.one_of(&["O", "F"])),
        ("l_shipdate", random.dates()),
        ("l_commitdate", random.dates()),
        ("l_receiptdate", random.dates()),
        ("l_shipinstruct", random.one_of(&instructions)),
        ("l_shipmode", random.one_of(&modes)),
        ("l_comment", random.sentences(10, 43, &comment_words)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn arrow_csv_rows(batch: &RecordBatch, out: &mut Vec<u8>) {
    let mut writer = arrow_csv::WriterBuilder::new().with_header(false).build(out);
    writer.write(batch).unwrap();
}

fn arrow_json_rows(batch: &RecordBatch, out: &mut Vec<u8>) {
    let mut writer = arrow_json::LineDelimitedWriter::new(out);
    writer.write(batch).unwrap();
    writer.finish().unwrap();
}

/// A way to append rows.
type Rows = fn(&RecordBatch, &mut Vec<u8>);

fn text(criterion: &mut Criterion) {
    let mut random = Random(88_172_645_463_325_252);
    let one = |array: ArrayRef| RecordBatch::try_from_iter([("v", array)]).unwrap();
    let quoted = [
        "say \"hi\",",
        "to",
        "the",
        "\"world\"",
        "and",
        "every",
        "one",
        "therein",
    ];
    let tables = [
        ("int64", one(random.integers(-1_000_000_000, 1_000_000_000))),
        ("decimal", one(random.decimals(90_000, 10_494_950, 1))),
        ("date", one(random.dates())),
        ("timestamp", one(random.timestamps())),
        ("double", one(random.doubles())),
        ("short text", one(random.sentences(1, 25, &WORDS))),
        (
            "long text with quotes",
            one(random.sentences(200, 1_000, &quoted)),
        ),
        ("lineitem", lineitem(&mut random)),
    ];
    let ways: [(&str, Rows); 5] = [
        ("csv", csv_rows),
        ("arrow-csv", arrow_csv_rows),
        ("json", json_rows),
        ("arrow-json", arrow_json_rows),
        ("page", page_rows),
    ];
    for (table, batch) in &tables {
        let mut group = criterion.benchmark_group(*table);
        group.throughput(Throughput::Elements(ROWS as u64));
        for (way, write) in ways {
            let mut out = Vec::new();
            group.bench_function(way, |bencher| {
                bencher.iter(|| {
                    out.clear();
                    write(black_box(batch), &mut out);
                    out.len()
                });
            });
        }
    }
}

criterion_group!(benches, text);
criterion_main!(benches);
