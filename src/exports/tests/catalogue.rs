//! Every type with its extremes, and what each format must make of it.

use std::sync::Arc;

use arrow::array::Array;
use arrow::array::ArrayRef;
use arrow::array::BinaryArray;
use arrow::array::BinaryViewArray;
use arrow::array::BooleanArray;
use arrow::array::Decimal32Array;
use arrow::array::Decimal64Array;
use arrow::array::Decimal128Array;
use arrow::array::Decimal256Array;
use arrow::array::FixedSizeBinaryArray;
use arrow::array::Float16Array;
use arrow::array::Float32Array;
use arrow::array::Float64Array;
use arrow::array::Int8Array;
use arrow::array::Int16Array;
use arrow::array::Int32Array;
use arrow::array::Int64Array;
use arrow::array::LargeBinaryArray;
use arrow::array::LargeStringArray;
use arrow::array::NullArray;
use arrow::array::StringArray;
use arrow::array::StringViewArray;
use arrow::array::UInt8Array;
use arrow::array::UInt16Array;
use arrow::array::UInt32Array;
use arrow::array::UInt64Array;
use arrow::datatypes::Float16Type;
use arrow::datatypes::i256;

use crate::exports::tests::catalogue_moments::moments;
use crate::exports::tests::catalogue_nested::nested;

/// A column and what each of its rows must become.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) array: ArrayRef,
    pub(super) rows: Vec<Row>,
}

/// In `xlsx`, `n 1.5` is a number, `b true` a boolean, `d 61.25` a date with its serial number,
/// `t` the text form as a text, and nothing an empty cell.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) text: Option<&'static str>,
    pub(super) json: &'static str,
    pub(super) xlsx: &'static str,
}

pub(super) fn row(text: &'static str, json: &'static str, xlsx: &'static str) -> Row {
    Row {
        text: Some(text),
        json,
        xlsx,
    }
}

pub(super) fn null() -> Row {
    Row {
        text: None,
        json: "null",
        xlsx: "",
    }
}

/// A value whose JSON is its text in quotes and whose cell is text.
pub(super) fn plain(text: &'static str) -> Row {
    row(text, format!("\"{text}\"").leak(), "t")
}

/// A number that every format shows as one.
fn same(text: &'static str) -> Row {
    row(text, text, format!("n {text}").leak())
}

/// A decimal: a string in JSON.
fn decimal(text: &'static str, xlsx: &'static str) -> Row {
    row(text, format!("\"{text}\"").leak(), xlsx)
}

pub(super) fn case(name: &'static str, array: impl Array + 'static, rows: Vec<Row>) -> Case {
    let array: ArrayRef = Arc::new(array);
    assert_eq!(array.len(), rows.len(), "{name}");
    Case { name, array, rows }
}

pub(super) fn every_type() -> Vec<Case> {
    let mut cases = integers();
    cases.extend(decimals());
    cases.extend(other_decimals());
    cases.extend(floats());
    cases.extend(texts());
    cases.extend(moments());
    cases.extend(nested());
    cases
}

fn integers() -> Vec<Case> {
    vec![
        case("null", NullArray::new(2), vec![null(), null()]),
        case(
            "boolean",
            BooleanArray::from(vec![Some(true), None, Some(false)]),
            vec![
                row("true", "true", "b true"),
                null(),
                row("false", "false", "b false"),
            ],
        ),
        case(
            "int8",
            Int8Array::from(vec![Some(i8::MIN), None, Some(i8::MAX)]),
            vec![same("-128"), null(), same("127")],
        ),
        case(
            "int16",
            Int16Array::from(vec![Some(i16::MIN), None]),
            vec![same("-32768"), null()],
        ),
        case(
            "int32",
            Int32Array::from(vec![Some(i32::MIN), None]),
            vec![same("-2147483648"), null()],
        ),
        int64(),
        case(
            "uint8",
            UInt8Array::from(vec![Some(u8::MAX), None]),
            vec![same("255"), null()],
        ),
        case(
            "uint16",
            UInt16Array::from(vec![Some(u16::MAX), None]),
            vec![same("65535"), null()],
        ),
        case(
            "uint32",
            UInt32Array::from(vec![Some(u32::MAX), None]),
            vec![same("4294967295"), null()],
        ),
        case(
            "uint64",
            UInt64Array::from(vec![Some(u64::MAX), None, Some(1 << 53)]),
            vec![
                row("18446744073709551615", "\"18446744073709551615\"", "t"),
                null(),
                row("9007199254740992", "9007199254740992", "t"),
            ],
        ),
    ]
}

fn int64() -> Case {
    let rows = vec![
        same("0"),
        null(),
        same("999999999999999"),
        row("1000000000000000", "1000000000000000", "t"),
        row("9007199254740992", "9007199254740992", "t"),
        row("-9007199254740992", "-9007199254740992", "t"),
        row("9007199254740993", "\"9007199254740993\"", "t"),
        row("-9223372036854775808", "\"-9223372036854775808\"", "t"),
        row("9223372036854775807", "\"9223372036854775807\"", "t"),
    ];
    let values = vec![
        Some(0),
        None,
        Some(999_999_999_999_999),
        Some(1_000_000_000_000_000),
        Some(1 << 53),
        Some(-(1 << 53)),
        Some((1 << 53) + 1),
        Some(i64::MIN),
        Some(i64::MAX),
    ];
    case("int64", Int64Array::from(values), rows)
}

fn decimals() -> Vec<Case> {
    let of_128 = |values: Vec<Option<i128>>, scale| {
        Decimal128Array::from(values)
            .with_precision_and_scale(38, scale)
            .unwrap()
    };
    vec![
        case(
            "decimal128 money",
            of_128(vec![Some(150), None, Some(-5), Some(0), Some(3_764_917_898)], 2),
            vec![
                decimal("1.50", "n 1.5"),
                null(),
                decimal("-0.05", "n -0.05"),
                decimal("0.00", "n 0"),
                decimal("37649178.98", "n 37649178.98"),
            ],
        ),
        case(
            "decimal128 extremes",
            of_128(
                vec![
                    Some(i128::MAX),
                    Some(i128::MIN),
                    Some(9_999_999_999_999_991),
                    Some(9_999_999_999_999_990),
                ],
                2,
            ),
            vec![
                decimal("1701411834604692317316873037158841057.27", "t"),
                decimal("-1701411834604692317316873037158841057.28", "t"),
                decimal("99999999999999.91", "t"),
                decimal("99999999999999.90", "n 99999999999999.9"),
            ],
        ),
        case(
            "decimal128 all fraction",
            of_128(vec![Some(i128::MAX), Some(7)], 38),
            vec![
                decimal("1.70141183460469231731687303715884105727", "t"),
                decimal(
                    "0.00000000000000000000000000000000000007",
                    "n 0.00000000000000000000000000000000000007",
                ),
            ],
        ),
        case(
            "decimal128 whole",
            of_128(vec![Some(12), Some(1_000_000_000_000_000)], 0),
            vec![
                row("12", "12", "n 12"),
                row("1000000000000000", "1000000000000000", "t"),
            ],
        ),
        case(
            "decimal128 negative scale",
            of_128(vec![Some(-12), Some(0), Some(999_999_999_999_999)], -2),
            vec![
                decimal("-1200", "n -1200"),
                decimal("0", "n 0"),
                decimal("99999999999999900", "t"),
            ],
        ),
    ]
}

fn other_decimals() -> Vec<Case> {
    let wide = i256::from_string(&format!("-{}", "1234567".repeat(11))).unwrap();
    vec![
        case(
            "decimal32",
            Decimal32Array::from(vec![Some(-1), None])
                .with_precision_and_scale(9, 3)
                .unwrap(),
            vec![decimal("-0.001", "n -0.001"), null()],
        ),
        case(
            "decimal64",
            Decimal64Array::from(vec![Some(123_456), None])
                .with_precision_and_scale(18, 3)
                .unwrap(),
            vec![decimal("123.456", "n 123.456"), null()],
        ),
        case(
            "decimal256",
            Decimal256Array::from(vec![Some(wide), None, Some(i256::from_i128(-250))])
                .with_precision_and_scale(76, 2)
                .unwrap(),
            vec![
                decimal(
                    "-123456712345671234567123456712345671234567123456712345671234567123456712345.67",
                    "t",
                ),
                null(),
                decimal("-2.50", "n -2.5"),
            ],
        ),
    ]
}

fn floats() -> Vec<Case> {
    let half = |value: f32| <Float16Type as arrow::array::ArrowPrimitiveType>::Native::from_f32(value);
    let odd = [
        ("NaN", f64::NAN),
        ("Infinity", f64::INFINITY),
        ("-Infinity", f64::NEG_INFINITY),
    ];
    let mut doubles = vec![
        ("0.1", 0.1),
        ("1.0", 1.0),
        ("-0.0", -0.0),
        ("123456789012345.0", 123_456_789_012_345.0),
        ("1e300", 1e300),
        ("-2.2250738585072014e-308", -f64::MIN_POSITIVE),
        ("5e-324", 5e-324),
        ("1.7976931348623157e308", f64::MAX),
        ("0.30000000000000004", 0.1 + 0.2),
    ];
    let mut rows: Vec<Row> = doubles.iter().map(|(text, _)| same(text)).collect();
    rows.extend(odd.iter().map(|(text, _)| plain(text)));
    doubles.extend(odd);
    rows.push(null());
    let values: Float64Array = doubles
        .iter()
        .map(|(_, value)| Some(*value))
        .chain([None])
        .collect();
    vec![
        case("float64", values, rows),
        case(
            "float32",
            Float32Array::from(vec![
                Some(0.1),
                Some(16_777_216.0),
                Some(f32::MAX),
                Some(f32::NAN),
                None,
            ]),
            vec![
                same("0.1"),
                same("16777216.0"),
                same("3.4028235e38"),
                plain("NaN"),
                null(),
            ],
        ),
        case(
            "float16",
            Float16Array::from(vec![Some(half(1.5)), Some(half(f32::NEG_INFINITY)), None]),
            vec![same("1.5"), plain("-Infinity"), null()],
        ),
    ]
}

fn texts() -> Vec<Case> {
    let values = || {
        vec![
            Some("plain"),
            None,
            Some("=1+1"),
            Some("say \"hi\", \\ bye"),
            Some("a\r\nb\nc\rd\te"),
            Some("\u{1}\u{1f}_x0041_\u{7f}"),
            Some("naïve 日本 😀"),
            Some("https://example.org"),
            Some(" edges "),
        ]
    };
    let rows = || {
        vec![
            plain("plain"),
            null(),
            plain("=1+1"),
            row("say \"hi\", \\ bye", r#""say \"hi\", \\ bye""#, "t"),
            row("a\r\nb\nc\rd\te", r#""a\r\nb\nc\rd\te""#, "t"),
            row("\u{1}\u{1f}_x0041_\u{7f}", "\"\\u0001\\u001f_x0041_\u{7f}\"", "t"),
            plain("naïve 日本 😀"),
            plain("https://example.org"),
            plain(" edges "),
        ]
    };
    let bytes = vec![Some(b"Hello".as_slice()), None, Some(b""), Some(&[0, 255, 128])];
    let hex = || {
        vec![
            row("\\x48656c6c6f", r#""\\x48656c6c6f""#, "t"),
            null(),
            row("\\x", r#""\\x""#, "t"),
            row("\\x00ff80", r#""\\x00ff80""#, "t"),
        ]
    };
    let fixed =
        FixedSizeBinaryArray::try_from_sparse_iter_with_size([Some([1_u8, 171]), None].into_iter(), 2);
    vec![
        case("utf8", StringArray::from(values()), rows()),
        case("large utf8", LargeStringArray::from(values()), rows()),
        case("utf8 view", StringViewArray::from(values()), rows()),
        case(
            "empty utf8",
            StringArray::from(vec!["", "x"]),
            vec![row("", "\"\"", ""), plain("x")],
        ),
        case("binary", BinaryArray::from(bytes.clone()), hex()),
        case("large binary", LargeBinaryArray::from(bytes.clone()), hex()),
        case("binary view", BinaryViewArray::from(bytes), hex()),
        case(
            "fixed size binary",
            fixed.unwrap(),
            vec![row("\\x01ab", r#""\\x01ab""#, "t"), null()],
        ),
    ]
}
