//! Lists, structs, maps, and the arrays that point to their values.

use std::sync::Arc;

use arrow::array::Array;
use arrow::array::ArrayRef;
use arrow::array::DictionaryArray;
use arrow::array::FixedSizeListArray;
use arrow::array::Float64Array;
use arrow::array::Int8Array;
use arrow::array::Int32Array;
use arrow::array::Int64Array;
use arrow::array::LargeListArray;
use arrow::array::ListArray;
use arrow::array::ListViewArray;
use arrow::array::MapArray;
use arrow::array::RunArray;
use arrow::array::StringArray;
use arrow::array::StructArray;
use arrow::array::UnionArray;
use arrow::buffer::NullBuffer;
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::DataType;
use arrow::datatypes::Field;
use arrow::datatypes::Fields;
use arrow::datatypes::Int32Type;
use arrow::datatypes::Int64Type;
use arrow::datatypes::UnionFields;

use crate::exports::tests::catalogue::Case;
use crate::exports::tests::catalogue::Row;
use crate::exports::tests::catalogue::case;
use crate::exports::tests::catalogue::null;
use crate::exports::tests::catalogue::plain;
use crate::exports::tests::catalogue::row;

/// A nested value: its text is its JSON.
fn json(text: &'static str) -> Row {
    row(text, text, "t")
}

pub(super) fn nested() -> Vec<Case> {
    let mut cases = lists();
    cases.extend(structs_and_maps());
    cases.extend(pointers());
    cases.extend(unions());
    cases
}

fn lists() -> Vec<Case> {
    let lists = || vec![Some(vec![Some(1), None, Some(i64::MAX)]), None, Some(vec![])];
    let rows = || vec![json("[1,null,\"9223372036854775807\"]"), null(), json("[]")];
    let field = Arc::new(Field::new_list_field(DataType::Float64, true));
    let doubles: ArrayRef = Arc::new(Float64Array::from(vec![
        Some(1.0),
        Some(f64::NAN),
        None,
        Some(4.5),
        None,
        None,
    ]));
    let nulls = NullBuffer::from(vec![true, true, false]);
    let fixed = FixedSizeListArray::new(field.clone(), 2, doubles.clone(), Some(nulls));
    let views = ListViewArray::new(field, vec![3, 0].into(), vec![1, 2].into(), doubles, None);
    vec![
        case(
            "list",
            ListArray::from_iter_primitive::<Int64Type, _, _>(lists()),
            rows(),
        ),
        case(
            "large list",
            LargeListArray::from_iter_primitive::<Int64Type, _, _>(lists()),
            rows(),
        ),
        case(
            "sliced list",
            ListArray::from_iter_primitive::<Int64Type, _, _>([
                Some(vec![Some(7)]),
                Some(vec![Some(8), None]),
            ])
            .slice(1, 1),
            vec![json("[8,null]")],
        ),
        case(
            "fixed size list",
            fixed.clone(),
            vec![json("[1.0,\"NaN\"]"), json("[null,4.5]"), null()],
        ),
        case(
            "sliced fixed size list",
            fixed.slice(1, 1),
            vec![json("[null,4.5]")],
        ),
        case("list view", views, vec![json("[4.5]"), json("[1.0,\"NaN\"]")]),
    ]
}

fn structs_and_maps() -> Vec<Case> {
    let fields = Fields::from(vec![
        Field::new("a", DataType::Int32, true),
        Field::new("a", DataType::Utf8, true),
        Field::new("q\"", DataType::Int32, true),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![Some(1), None, Some(3)])),
        Arc::new(StringArray::from(vec![Some("x\"\n"), None, Some("y")])),
        Arc::new(Int32Array::from(vec![5, 6, 7])),
    ];
    let structs = StructArray::new(fields, columns, Some(NullBuffer::from(vec![true, true, false])));
    vec![
        case(
            "struct",
            structs,
            vec![
                json(r#"{"a":1,"a_2":"x\"\n","q\"":5}"#),
                json(r#"{"a":null,"a_2":null,"q\"":6}"#),
                null(),
            ],
        ),
        case(
            "struct without fields",
            StructArray::new_empty_fields(1, None),
            vec![json("{}")],
        ),
        case(
            "map of text",
            map(Arc::new(StringArray::from(vec!["a", "b", "c"]))),
            vec![
                json(r#"{"a":1,"b":null}"#),
                null(),
                json(r#"{"c":3}"#),
                json("{}"),
            ],
        ),
        case(
            "map of numbers",
            map(Arc::new(Int64Array::from(vec![10, 20, 30]))),
            vec![json("[[10,1],[20,null]]"), null(), json("[[30,3]]"), json("[]")],
        ),
    ]
}

fn map(keys: ArrayRef) -> MapArray {
    let fields = Fields::from(vec![
        Field::new("key", keys.data_type().clone(), false),
        Field::new("value", DataType::Int32, true),
    ]);
    let values: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3)]));
    let entries = StructArray::new(fields.clone(), vec![keys, values], None);
    let field = Arc::new(Field::new("entries", DataType::Struct(fields), false));
    let offsets = OffsetBuffer::new(vec![0, 2, 2, 3, 3].into());
    let nulls = NullBuffer::from(vec![true, false, true, true]);
    MapArray::new(field, offsets, entries, Some(nulls), false)
}

fn pointers() -> Vec<Case> {
    let words: ArrayRef = Arc::new(StringArray::from(vec![Some("x,y"), None]));
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![7, 8]));
    let no_words: ArrayRef = Arc::new(StringArray::from(Vec::<&str>::new()));
    let runs = RunArray::<Int32Type>::try_new(
        &Int32Array::from(vec![2, 3, 5]),
        &StringArray::from(vec![Some("a"), None, Some("b")]),
    );
    let runs = runs.unwrap();
    vec![
        case(
            "dictionary",
            DictionaryArray::new(Int8Array::from(vec![Some(0), Some(1), None, Some(0)]), words),
            vec![plain("x,y"), null(), null(), plain("x,y")],
        ),
        case(
            "dictionary of numbers",
            DictionaryArray::new(Int8Array::from(vec![Some(1), Some(0)]), numbers),
            vec![row("8", "8", "n 8"), row("7", "7", "n 7")],
        ),
        case(
            "dictionary without values",
            DictionaryArray::new(Int8Array::from(vec![None, None]), no_words),
            vec![null(), null()],
        ),
        case(
            "run ends",
            runs.clone(),
            vec![plain("a"), plain("a"), null(), plain("b"), plain("b")],
        ),
        case(
            "sliced run ends",
            runs.slice(1, 3),
            vec![plain("a"), null(), plain("b")],
        ),
    ]
}

fn unions() -> Vec<Case> {
    let fields = UnionFields::try_new(
        vec![3, 5],
        vec![
            Field::new("n", DataType::Int32, true),
            Field::new("s", DataType::Utf8, true),
        ],
    );
    let fields = fields.unwrap();
    let numbers = |values: Vec<Option<i32>>| -> ArrayRef { Arc::new(Int32Array::from(values)) };
    let words = |values: Vec<Option<&str>>| -> ArrayRef { Arc::new(StringArray::from(values)) };
    let dense = UnionArray::try_new(
        fields.clone(),
        vec![5, 3, 5].into(),
        Some(vec![0, 0, 1].into()),
        vec![numbers(vec![Some(1)]), words(vec![Some("x"), None])],
    );
    let sparse = UnionArray::try_new(
        fields,
        vec![3, 5].into(),
        None,
        vec![numbers(vec![Some(1), None]), words(vec![None, Some("x")])],
    );
    vec![
        case(
            "dense union",
            dense.unwrap(),
            vec![plain("x"), row("1", "1", "n 1"), null()],
        ),
        case(
            "sparse union",
            sparse.unwrap(),
            vec![row("1", "1", "n 1"), plain("x")],
        ),
    ]
}
