//! Values as a person reads them, and how wide they are on a terminal.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::Result;

/// What stands for null.
pub(super) const NULL: &str = "NULL";

/// Names of columns, and rows of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cells {
    pub names: Vec<String>,
    /// Numbers stand to the right.
    pub numeric: Vec<bool>,
    pub rows: Vec<Vec<String>>,
}

impl Cells {
    /// Reads batches of one schema.
    pub fn of(schema: &Schema, batches: &[RecordBatch]) -> Result<Self> {
        let fields = schema.fields();
        let mut cells = Self {
            names: fields.iter().map(|field| one_line(field.name())).collect(),
            numeric: fields
                .iter()
                .map(|field| field.data_type().is_numeric())
                .collect(),
            rows: Vec::new(),
        };
        let options = FormatOptions::default().with_null(NULL);
        for batch in batches {
            let columns = batch.columns().iter();
            let columns = columns
                .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
                .collect::<Result<Vec<_>, _>>()?;
            for row in 0..batch.num_rows() {
                let values = columns
                    .iter()
                    .map(|column| one_line(&column.value(row).to_string()));
                cells.rows.push(values.collect());
            }
        }
        Ok(cells)
    }
}

/// Writes a text so that it takes one line of a terminal and does nothing else to it.
pub(super) fn one_line(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    let shown = text.chars().map(|character| match character {
        '\n' => '⏎',
        '\t' => ' ',
        control if control.is_control() => '\u{fffd}',
        other => other,
    });
    shown.collect()
}

/// Returns how many places of a terminal a text takes.
pub(super) fn width(text: &str) -> usize {
    console::measure_text_width(text)
}

/// Cuts a text to a width, and says so.
pub(super) fn cut(text: &str, places: usize) -> String {
    console::truncate_str(text, places, "…").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_does_nothing_to_the_terminal() {
        assert_eq!(one_line("a\nb\tc\u{1b}[2Jd"), "a⏎b c\u{fffd}[2Jd");
        assert_eq!(one_line("Straße"), "Straße");
    }
}
