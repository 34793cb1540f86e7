//! What the declared types of a table's columns do to values that are added to it.

use arrow::datatypes::DataType;
use arrow::datatypes::TimeUnit;

use crate::connectors::load::digits;

/// A number keeps as many digits.
pub(super) const NUMERIC_DIGITS: u8 = 15;
/// The types that programs declare for numbers with a fraction begin like this.
const NUMBERS: [&str; 5] = ["DEC", "NUMERIC", "NUMBER", "MONEY", "CURRENCY"];

/// What a file's values must be so that a column keeps them as they are; `None` for what takes anything.
pub(super) fn data_type(declared: &str) -> Option<DataType> {
    let declared = declared.to_ascii_uppercase();
    let decimals = |most: u8| -> Option<DataType> {
        let (precision, scale) = digits(&declared).filter(|_| declared.trim_end().ends_with(')'))?;
        let precision = precision.min(most);
        (scale >= 0 && scale.unsigned_abs() <= precision).then_some(DataType::Decimal128(precision, scale))
    };
    match declared.as_str() {
        of if of.starts_with("DECIMAL_TEXT") => decimals(38),
        of if of.contains("INT") => Some(DataType::Int64),
        of if of.starts_with("BOOL") => Some(DataType::Boolean),
        of if of.contains("CHAR") || of.contains("TEXT") || of.contains("CLOB") => Some(DataType::Utf8),
        of if of.contains("REAL") || of.contains("FLOA") || of.contains("DOUB") => Some(DataType::Float64),
        "DATE" => Some(DataType::Date32),
        of if of.starts_with("TIMESTAMP") || of.starts_with("DATETIME") => {
            Some(DataType::Timestamp(TimeUnit::Microsecond, None))
        }
        of if NUMBERS.iter().any(|name| of.starts_with(name)) => {
            decimals(NUMERIC_DIGITS).or(Some(DataType::Float64))
        }
        _ => None,
    }
}

/// Whether a column's values are bytes, as those of a text then are.
pub(super) fn is_binary(declared: &str) -> bool {
    data_type(declared).is_none() && declared.to_ascii_uppercase().contains("BLOB")
}

/// Whether SQLite may make a number of a text, and write its digits otherwise.
pub(super) fn may_be_rewritten(declared: &str, text: &str) -> bool {
    let keeps_text = ["CHAR", "TEXT", "CLOB"]
        .iter()
        .any(|name| declared.to_ascii_uppercase().contains(name));
    if data_type(declared).is_some() || declared.is_empty() || keeps_text || is_binary(declared) {
        return false;
    }
    let is_number = |character: char| character.is_ascii_digit() || "+-.eE".contains(character);
    let number = text.trim();
    number.chars().all(is_number) && number.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_may_become_numbers_are_known() {
        for text in ["007", "1.10", "+1", " 1", "1e5", "99999999999999999999"] {
            assert!(may_be_rewritten("STRING", text), "{text}");
        }
        for text in ["a1", "1-2", "", "12:30", "v1.10"] {
            assert!(!may_be_rewritten("STRING", text), "{text}");
        }
        for declared in ["", "BLOB", "VARCHAR(5)", "NUMBER", "money", "DECIMAL_TEXT"] {
            assert!(!may_be_rewritten(declared, "1.10"), "{declared}");
        }
    }
}
