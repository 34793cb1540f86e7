//! Arrays that hold no values but point to them: dictionaries, run ends, unions.
//! Every format shows the value pointed to, so that none of them shows in a file.

use arrow::array::Array;
use arrow::array::AsArray;
use arrow::array::types::RunEndIndexType;
use arrow::datatypes::DataType;
use arrow::datatypes::Int16Type;
use arrow::datatypes::Int32Type;
use arrow::datatypes::Int64Type;

/// Where the values of an array are.
pub(super) struct Indirect<'a> {
    pub(super) children: Vec<&'a dyn Array>,
    /// From a row that is not null to a child and the row in it.
    pub(super) locate: Box<dyn Fn(usize) -> (usize, usize) + Send + Sync + 'a>,
}

impl<'a> Indirect<'a> {
    /// `None` for an array with values of its own.
    pub(super) fn of(array: &'a dyn Array) -> Option<Self> {
        match array.data_type() {
            DataType::Dictionary(_, _) => Some(Self::dictionary(array)),
            DataType::RunEndEncoded(run_ends, _) => Some(match run_ends.data_type() {
                DataType::Int16 => Self::runs::<Int16Type>(array),
                DataType::Int32 => Self::runs::<Int32Type>(array),
                _ => Self::runs::<Int64Type>(array),
            }),
            DataType::Union(_, _) => Some(Self::union(array)),
            _ => None,
        }
    }

    fn dictionary(array: &'a dyn Array) -> Self {
        let dictionary = array.as_any_dictionary();
        let values = dictionary.values();
        // Without a value every row is null, and there is no key to look up.
        let keys = if values.is_empty() {
            Vec::new()
        } else {
            dictionary.normalized_keys()
        };
        Self {
            children: vec![values.as_ref()],
            locate: Box::new(move |row| (0, keys[row])),
        }
    }

    fn runs<R: RunEndIndexType>(array: &'a dyn Array) -> Self {
        let runs = array.as_run::<R>();
        Self {
            children: vec![runs.values().as_ref()],
            locate: Box::new(move |row| (0, runs.get_physical_index(row))),
        }
    }

    fn union(array: &'a dyn Array) -> Self {
        let union = array.as_union();
        let type_ids: Vec<i8> = union.fields().iter().map(|(type_id, _)| type_id).collect();
        let children = type_ids
            .iter()
            .map(|type_id| union.child(*type_id).as_ref())
            .collect();
        Self {
            children,
            locate: Box::new(move |row| {
                let type_id = union.type_id(row);
                let child = type_ids.iter().position(|known| *known == type_id);
                (child.unwrap_or_default(), union.value_offset(row))
            }),
        }
    }
}
