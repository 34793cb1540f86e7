//! Numbers of things in messages: `1 job`, `2 jobs`.

use std::fmt::Display;

/// A number with the noun that it is of, which takes an `s`.
pub(crate) fn plural(count: impl Into<u64> + Copy + Display, noun: &str) -> String {
    match count.into() {
        1 => format!("{count} {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one() {
        assert_eq!(plural(0_u32, "job"), "0 jobs");
        assert_eq!(plural(1_u32, "job"), "1 job");
        assert_eq!(plural(2_u64, "row"), "2 rows");
    }
}
