//! The records of a chunk as a table of fields, a block of rows at a time.
//! A block is small enough to stay in the cache while one column after another is looked at.

use crate::imports::fields::Dialect;
use crate::imports::fields::Field;
use crate::imports::fields::Then;
use crate::imports::fields::step;

/// About how many fields a block has.
const BLOCK_FIELDS: usize = 8_192;
const BLOCK_ROWS_MAX: usize = 1_024;

/// A record that cannot be read, by its place in the chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bad {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) why: Why,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Why {
    /// It has so many fields.
    Width(usize),
    /// Text follows the closing quote of this field.
    Spoilt(usize, Field),
    /// The value does not fit the type that the caller wants.
    Value(usize, Field),
}

/// Where a record begins and ends, with its line end.
pub(super) type Place = (usize, usize);

pub(super) struct Table {
    dialect: Dialect,
    width: usize,
    rows_max: usize,
    places: Vec<Place>,
    fields: Vec<Field>,
}

impl Table {
    pub(super) fn new(dialect: Dialect, width: usize) -> Self {
        Self {
            dialect,
            width,
            rows_max: (BLOCK_FIELDS / width.max(1)).clamp(1, BLOCK_ROWS_MAX),
            places: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// Takes the records from `at` on until the block is full, and says where it stopped.
    pub(super) fn fill(&mut self, bytes: &[u8], mut at: usize, bad: &mut Vec<Bad>) -> usize {
        self.places.clear();
        self.fields.clear();
        while at < bytes.len() && self.places.len() < self.rows_max {
            let start = at;
            let first = self.fields.len();
            let mut count = 0;
            let mut spoilt = None;
            loop {
                let step = step(bytes, at, self.dialect);
                if step.spoilt && spoilt.is_none() {
                    spoilt = Some(Why::Spoilt(count, step.field));
                }
                // No record takes more room than it should have fields.
                if count < self.width {
                    self.fields.push(step.field);
                }
                count += 1;
                at = step.next;
                if step.then != Then::Field {
                    break;
                }
            }
            if count == self.width && spoilt.is_none() {
                self.places.push((start, at));
                continue;
            }
            let blank = count == 1 && self.width > 1 && is_blank(&self.fields[first]);
            self.fields.truncate(first);
            if !blank {
                let why = spoilt.unwrap_or(Why::Width(count));
                bad.push(Bad { start, end: at, why });
            }
        }
        at
    }

    pub(super) fn rows(&self) -> usize {
        self.places.len()
    }

    /// The fields of a column, from the first row to the last.
    #[inline(always)]
    pub(super) fn column(&self, column: usize) -> impl Iterator<Item = &Field> {
        self.fields.iter().skip(column).step_by(self.width)
    }

    /// Leaves out the rows for which `fault` finds something.
    pub(super) fn sift(&mut self, bad: &mut Vec<Bad>, fault: impl Fn(&[Field]) -> Option<Why>) {
        let mut kept = 0;
        for row in 0..self.places.len() {
            let range = row * self.width..(row + 1) * self.width;
            let (start, end) = self.places[row];
            match fault(&self.fields[range.clone()]) {
                Some(why) => bad.push(Bad { start, end, why }),
                None => {
                    self.places[kept] = self.places[row];
                    self.fields.copy_within(range, kept * self.width);
                    kept += 1;
                }
            }
        }
        self.places.truncate(kept);
        self.fields.truncate(kept * self.width);
    }
}

pub(super) fn is_blank(field: &Field) -> bool {
    field.is_empty() && !field.quoted
}
