//! What must hold of whatever somebody sends, as `fuzz/` calls it; no part of the product.
//! The tests feed it the seeds and finds of `fuzz/seeds`.

pub use crate::http::fuzzing::ranges;
pub use crate::imports::fuzzing::csv;
pub use crate::query::fuzzing::template;
pub use crate::query::fuzzing::values;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// Every seed of a target, and each that is a find, which its name tells.
    fn replay(target: &str, run: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/seeds")
            .join(target);
        let mut count = 0;
        for entry in fs::read_dir(folder).unwrap() {
            run(&fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count >= 5, "{target} has {count} seeds");
    }

    #[test]
    fn seeds_and_finds_of_templates() {
        replay("template", super::template);
    }

    #[test]
    fn seeds_and_finds_of_values() {
        replay("values", super::values);
    }

    #[test]
    fn seeds_and_finds_of_ranges() {
        replay("ranges", super::ranges);
    }

    #[test]
    fn seeds_and_finds_of_csv() {
        replay("csv", super::csv);
    }
}
