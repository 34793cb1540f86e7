//! Names of columns that every database takes in quotes, made of what a header has.
//! Letters of any script, spaces and reserved words stay.

use std::collections::HashMap;
use std::collections::HashSet;

/// PostgreSQL cuts longer ones off without a word.
const BYTES_MAX: usize = 63;

/// What a column without a name is called, counted from 1.
pub(super) fn unnamed(index: usize) -> String {
    format!("column_{}", index + 1)
}

/// One name a column, no two alike, not even in another case.
pub(super) fn safe(originals: &[String]) -> Vec<String> {
    let wanted: Vec<String> = originals
        .iter()
        .enumerate()
        .map(|(index, original)| cleaned(original, index))
        .collect();
    // A name that only one column has is never given to another.
    let reserved: HashSet<String> = wanted.iter().map(|name| name.to_lowercase()).collect();
    let mut taken: HashSet<String> = HashSet::new();
    let mut next: HashMap<String, usize> = HashMap::new();
    wanted
        .into_iter()
        .map(|name| {
            let key = name.to_lowercase();
            if taken.insert(key.clone()) {
                return name;
            }
            let number = next.entry(key).or_insert(2);
            loop {
                let suffix = format!("_{number}");
                *number += 1;
                let other = format!("{}{suffix}", cut(&name, BYTES_MAX - suffix.len()));
                let key = other.to_lowercase();
                if !reserved.contains(&key) && taken.insert(key) {
                    return other;
                }
            }
        })
        .collect()
}

fn cleaned(original: &str, index: usize) -> String {
    let plain: String = original
        .chars()
        .filter(|character| !character.is_control())
        .collect();
    let name = cut(plain.trim(), BYTES_MAX).trim_end();
    if name.is_empty() {
        unnamed(index)
    } else {
        name.to_owned()
    }
}

/// As much of a text as fits, whole characters only.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
