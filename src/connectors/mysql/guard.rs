//! Which statements are queries. MySQL commits a read-only transaction before some others that return rows,
//! such as `optimize table`, and then runs them all the same.

/// What a query begins with.
const BEGINNINGS: [&str; 8] = [
    "select", "with", "values", "table", "show", "describe", "desc", "explain",
];

/// Whether the first word is that of a query. Comments that the server runs are no words.
pub(super) fn is_query(sql: &str) -> bool {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches(|character: char| character.is_whitespace() || character == '(');
        let after = if rest.starts_with('#') || is_dashes(rest) {
            rest.split_once('\n')
        } else if rest.starts_with("/*!") || rest.starts_with("/*M!") {
            return false;
        } else {
            rest.strip_prefix("/*").and_then(|inner| inner.split_once("*/"))
        };
        match after {
            Some((_, after)) => rest = after,
            None => break,
        }
    }
    let length = rest
        .find(|character: char| !character.is_ascii_alphabetic())
        .unwrap_or(rest.len());
    let word = rest.get(..length).unwrap_or_default().to_ascii_lowercase();
    BEGINNINGS.contains(&word.as_str())
}

/// Two dashes begin a comment only before a space.
fn is_dashes(sql: &str) -> bool {
    sql.strip_prefix("--").is_some_and(|rest| {
        rest.starts_with(|character: char| character.is_whitespace() || character.is_control())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_word_decides() {
        for sql in [
            "select 1",
            "SELECT`a`from t",
            "/* a */ -- b\n# c\n((\tselect 1))",
            "--\nwith x as (select 1) select * from x",
            "values (1)",
            "desc t",
        ] {
            assert!(is_query(sql), "{sql}");
        }
        for sql in [
            "",
            "optimize table t",
            "analyze table t",
            "/*! select */ optimize table t",
            "/*M!100100 optimize table t */",
            "/* select",
            "-- select",
            "--select 1",
            "#select 1",
            "selection",
            "set statement x = 1 for select 1",
        ] {
            assert!(!is_query(sql), "{sql}");
        }
    }
}
