//! Column names for formats where a name can be used once only.

use std::collections::HashSet;

/// Gives the second and later columns of a name the endings `_2`, `_3`;
/// a made-up name never takes one that a column already has.
pub(super) fn unique_names<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let names: Vec<&str> = names.collect();
    let mut taken: HashSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut seen = HashSet::new();
    names
        .into_iter()
        .map(|name| {
            if seen.insert(name) {
                return name.to_owned();
            }
            let mut number = 2_u64;
            loop {
                let candidate = format!("{name}_{number}");
                if taken.insert(candidate.clone()) {
                    return candidate;
                }
                number += 1;
            }
        })
        .collect()
}
