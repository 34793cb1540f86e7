//! A table as wide as the terminal; where its columns have no room there, a block of lines a row.

use std::borrow::Cow;

use console::Alignment;
use console::measure_text_width;
use console::pad_str;
use console::style;
use console::truncate_str;

const BETWEEN: &str = " | ";
/// A column of text keeps this width, or what it needs if that is less.
const TEXT_WIDTH_MIN: usize = 8;
/// How long the line is that begins a block.
const BLOCK_WIDTH_MAX: usize = 40;
const NULL: &str = "NULL";

pub(super) struct Table {
    pub(super) names: Vec<String>,
    /// Numbers stand on the right and are never cut.
    pub(super) is_number: Vec<bool>,
    pub(super) rows: Vec<Vec<Option<String>>>,
    /// How many rows come before these.
    pub(super) rows_before: u64,
}

impl Table {
    pub(super) fn lines(&self, width: usize) -> Vec<String> {
        match self.column_widths(width) {
            Some(widths) => self.grid(&widths),
            None => self.blocks(width),
        }
    }

    /// How wide each column is, the widest cut most; `None` if there is too little room.
    fn column_widths(&self, width: usize) -> Option<Vec<usize>> {
        let gaps = BETWEEN.len() * self.names.len().saturating_sub(1);
        let room = width.checked_sub(gaps)?;
        let mut needed = Vec::new();
        let mut least = Vec::new();
        for (position, name) in self.names.iter().enumerate() {
            let cells = self.rows.iter().filter_map(|row| row.get(position));
            let widest = cells.map(shown_width).max().unwrap_or(0);
            let all = widest.max(measure_text_width(&plain(name)));
            needed.push(all);
            least.push(match self.is_number(position) {
                true => widest.max(all.min(TEXT_WIDTH_MIN)),
                false => all.min(TEXT_WIDTH_MIN),
            });
        }
        let cut_to = |most: usize| -> Vec<usize> {
            let columns = needed.iter().zip(&least);
            columns
                .map(|(needed, least)| (*needed).min(most.max(*least)))
                .collect()
        };
        let fits = |most: usize| cut_to(most).iter().sum::<usize>() <= room;
        let most = (0..=room).rev().find(|most| fits(*most))?;
        Some(cut_to(most))
    }

    fn is_number(&self, position: usize) -> bool {
        self.is_number.get(position).copied().unwrap_or(false)
    }

    fn grid(&self, widths: &[usize]) -> Vec<String> {
        let head = widths.iter().zip(&self.names).map(|(width, name)| {
            let name = plain(name);
            let name = truncate_str(&name, *width, "…");
            style(pad_str(&name, *width, Alignment::Left, None))
                .bold()
                .to_string()
        });
        let head = head.collect::<Vec<_>>().join(BETWEEN);
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        let mut lines = vec![head.trim_end().to_owned(), rule.join("-+-")];
        for row in &self.rows {
            let cells = row
                .iter()
                .zip(widths)
                .enumerate()
                .map(|(position, (cell, width))| {
                    let alignment = match self.is_number(position) {
                        true => Alignment::Right,
                        false => Alignment::Left,
                    };
                    let text = cell.as_deref().map_or(Cow::Borrowed(NULL), plain);
                    let text = truncate_str(&text, *width, "…");
                    let text = pad_str(&text, *width, alignment, None);
                    dim_null(cell, &text)
                });
            let line = cells.collect::<Vec<_>>().join(BETWEEN);
            lines.push(line.trim_end().to_owned());
        }
        lines
    }

    fn blocks(&self, width: usize) -> Vec<String> {
        let names: Vec<Cow<str>> = self.names.iter().map(|name| plain(name)).collect();
        let widest = names.iter().map(|name| measure_text_width(name)).max();
        let name_width = widest.unwrap_or(0).min(width / 2);
        let head_width = width.min(BLOCK_WIDTH_MAX);
        let mut lines = Vec::new();
        for (row, number) in self.rows.iter().zip(self.rows_before + 1..) {
            let head = format!("-[ {number} ]");
            lines.push(format!("{head:-<head_width$}"));
            for (name, cell) in names.iter().zip(row) {
                let name = truncate_str(name, name_width, "…");
                let name = style(pad_str(&name, name_width, Alignment::Left, None)).bold();
                let text = cell.as_deref().map_or(Cow::Borrowed(NULL), plain);
                lines.push(format!("{name}{BETWEEN}{}", dim_null(cell, &text)));
            }
        }
        lines
    }
}

fn shown_width(cell: &Option<String>) -> usize {
    cell.as_deref()
        .map_or(NULL.len(), |text| measure_text_width(&plain(text)))
}

fn dim_null(cell: &Option<String>, text: &str) -> String {
    match cell {
        None => style(text).dim().to_string(),
        Some(_) => text.to_owned(),
    }
}

/// A text that cannot move the cursor nor change the terminal: control characters are written out.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    match text.contains(char::is_control) {
        false => Cow::Borrowed(text),
        true => Cow::Owned(text.chars().fold(String::new(), |mut plain, character| {
            match character.is_control() {
                true => plain.extend(character.escape_default()),
                false => plain.push(character),
            }
            plain
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[[Option<&str>; 3]]) -> Table {
        Table {
            names: ["nation", "revenue", "note"].map(str::to_owned).into(),
            is_number: vec![false, true, false],
            rows: rows
                .iter()
                .map(|row| row.iter().map(|cell| cell.map(str::to_owned)).collect())
                .collect(),
            rows_before: 100,
        }
    }

    #[test]
    fn table_fits_every_width_and_cuts_no_number() {
        console::set_colors_enabled(false);
        let table = table(&[
            [
                Some("日本 🙂"),
                Some("1234567.50"),
                Some("a text that is longer than others"),
            ],
            [Some("CHINA"), None, Some("two\nlines\u{1b}[31m")],
        ]);
        let wide = table.lines(200);
        assert_eq!(
            wide,
            [
                "nation  | revenue    | note",
                "--------+------------+----------------------------------",
                "日本 🙂 | 1234567.50 | a text that is longer than others",
                "CHINA   |       NULL | two\\nlines\\u{1b}[31m",
            ]
        );
        for width in 1..200 {
            let lines = table.lines(width);
            let is_grid = lines.iter().any(|line| line.contains("-+-"));
            assert!(lines.iter().any(|line| line.contains("1234567.50")), "{lines:?}");
            assert!(
                !is_grid || lines.iter().all(|line| measure_text_width(line) <= width),
                "{width}: {lines:?}"
            );
        }
        assert_eq!(
            table.lines(20),
            [
                "-[ 101 ]------------",
                "nation  | 日本 🙂",
                "revenue | 1234567.50",
                "note    | a text that is longer than others",
                "-[ 102 ]------------",
                "nation  | CHINA",
                "revenue | NULL",
                "note    | two\\nlines\\u{1b}[31m",
            ]
        );
    }
}
