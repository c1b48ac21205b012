//! Tables for people: whole where they fit, cut where they nearly do, a line for each value where they do not.

use std::fmt::Write;

use super::cells::{Cells, cut, width};
use super::vertical;

/// Places that a column keeps, at least.
const COLUMN_MIN: usize = 8;
/// Places of a line and two spaces beside each column, and of the line at the end.
const AROUND_COLUMN: usize = 3;

/// Writes a table of `places` places at most.
pub(super) fn fitting(cells: &Cells, places: usize) -> String {
    match fitted(&natural(cells), places) {
        Some(widths) => framed(cells, &widths),
        None => vertical::records(cells, places),
    }
}

/// Writes a table as Markdown has it.
pub(super) fn markdown(cells: &Cells) -> String {
    let escaped = |text: &String| text.replace('\\', "\\\\").replace('|', "\\|");
    let cells = Cells {
        names: cells.names.iter().map(escaped).collect(),
        numeric: cells.numeric.clone(),
        rows: cells
            .rows
            .iter()
            .map(|row| row.iter().map(escaped).collect())
            .collect(),
    };
    // Three dashes make a column.
    let widths: Vec<usize> = natural(&cells).into_iter().map(|width| width.max(3)).collect();
    let mut text = String::new();
    line(&mut text, &cells.names, &widths, &cells.numeric);
    for (width, numeric) in widths.iter().zip(&cells.numeric) {
        let end = if *numeric { ":" } else { "-" };
        let _ = write!(text, "|{}{end}", "-".repeat(width + 1));
    }
    text.push_str("|\n");
    for row in &cells.rows {
        line(&mut text, row, &widths, &cells.numeric);
    }
    text
}

/// Returns how wide the columns are where there is place enough.
fn natural(cells: &Cells) -> Vec<usize> {
    let mut widths: Vec<usize> = cells.names.iter().map(|name| width(name)).collect();
    for row in &cells.rows {
        for (widest, value) in widths.iter_mut().zip(row) {
            *widest = width(value).max(*widest);
        }
    }
    widths
}

/// Makes the widest columns narrower until all fit; `None` where that takes them below [`COLUMN_MIN`].
fn fitted(natural: &[usize], places: usize) -> Option<Vec<usize>> {
    let around = natural.len() * AROUND_COLUMN + 1;
    let room = places.checked_sub(around)?;
    if natural.iter().sum::<usize>() <= room {
        return Some(natural.to_vec());
    }
    // The largest bound under which all columns fit: those that are narrower leave room for the others.
    let mut sorted = natural.to_vec();
    sorted.sort_unstable();
    let mut left = room;
    let mut bound = 0;
    for (place, width) in sorted.iter().enumerate() {
        let share = left / (sorted.len() - place);
        if *width > share {
            bound = share;
            break;
        }
        left -= width;
    }
    (bound >= COLUMN_MIN).then(|| natural.iter().map(|width| (*width).min(bound)).collect())
}

fn framed(cells: &Cells, widths: &[usize]) -> String {
    let mut text = String::new();
    rule(&mut text, widths);
    line(&mut text, &cells.names, widths, &vec![false; widths.len()]);
    rule(&mut text, widths);
    for row in &cells.rows {
        line(&mut text, row, widths, &cells.numeric);
    }
    rule(&mut text, widths);
    text
}

fn rule(text: &mut String, widths: &[usize]) {
    for width in widths {
        let _ = write!(text, "+{}", "-".repeat(width + 2));
    }
    text.push_str("+\n");
}

fn line(text: &mut String, values: &[String], widths: &[usize], right: &[bool]) {
    for ((value, places), right) in values.iter().zip(widths).zip(right) {
        let shown = match width(value) <= *places {
            true => value.clone(),
            false => cut(value, *places),
        };
        let space = " ".repeat(places.saturating_sub(width(&shown)));
        let _ = match right {
            true => write!(text, "| {space}{shown} "),
            false => write!(text, "| {shown}{space} "),
        };
    }
    text.push_str("|\n");
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn cells() -> Cells {
        Cells {
            names: vec!["id".to_owned(), "name|".to_owned()],
            numeric: vec![true, false],
            rows: vec![
                vec!["1".to_owned(), "a rather long name".to_owned()],
                vec!["200".to_owned(), "日本".to_owned()],
            ],
        }
    }

    #[test_case(&[3, 18], 80, Some(vec![3, 18]); "all fit")]
    #[test_case(&[3, 18], 22, Some(vec![3, 12]); "the widest is cut")]
    #[test_case(&[30, 20, 4], 40, Some(vec![13, 13, 4]); "the wide ones share")]
    #[test_case(&[30, 30], 20, None; "too narrow")]
    #[test_case(&[1; 100], 80, None; "too many")]
    #[test_case(&[], 80, Some(vec![]); "no column")]
    fn columns_are_fitted(natural: &[usize], places: usize, expected: Option<Vec<usize>>) {
        let widths = fitted(natural, places);
        assert_eq!(widths, expected);
        if let Some(widths) = widths {
            assert!(widths.iter().sum::<usize>() + widths.len() * AROUND_COLUMN < places + 1);
        }
    }

    #[test]
    fn a_table_is_as_wide_as_it_may_be() {
        let expected = "\
+-----+--------------+
| id  | name|        |
+-----+--------------+
|   1 | a rather lo… |
| 200 | 日本         |
+-----+--------------+
";
        assert_eq!(fitting(&cells(), 22), expected);
    }

    #[test]
    fn markdown_escapes_its_lines() {
        let expected = "\
|  id | name\\|             |
|----:|--------------------|
|   1 | a rather long name |
| 200 | 日本               |
";
        assert_eq!(markdown(&cells()), expected);
    }

    #[test]
    fn what_does_not_fit_stands_in_lines() {
        assert!(fitting(&cells(), 12).starts_with("-[ 1 ]"));
    }
}
