//! A line for each value: for rows that are too wide for a table.

use std::fmt::Write;

use super::cells::{Cells, width};

/// Places of the line above a record, at most.
const RULE_MAX: usize = 60;

/// Writes records; lines above them are as wide as the terminal, `places`, at most.
pub(super) fn records(cells: &Cells, places: usize) -> String {
    let name_width = cells
        .names
        .iter()
        .map(|name| width(name))
        .max()
        .unwrap_or_default();
    let mut text = String::new();
    for (number, row) in (1..).zip(&cells.rows) {
        let title = format!("-[ {number} ]");
        let rule = places.min(RULE_MAX).saturating_sub(title.len());
        let _ = writeln!(text, "{title}{}", "-".repeat(rule));
        for (name, value) in cells.names.iter().zip(row) {
            let space = " ".repeat(name_width - width(name));
            let _ = writeln!(text, "{name}{space} | {value}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_above_each_other() {
        let cells = Cells {
            names: vec!["id".to_owned(), "name".to_owned()],
            numeric: vec![true, false],
            rows: vec![
                vec!["1".to_owned(), "a".to_owned()],
                vec!["2".to_owned(), "NULL".to_owned()],
            ],
        };
        let expected = "\
-[ 1 ]----
id   | 1
name | a
-[ 2 ]----
id   | 2
name | NULL
";
        assert_eq!(records(&cells, 10), expected);
    }
}
