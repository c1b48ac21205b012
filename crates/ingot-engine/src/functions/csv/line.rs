//! One line of CSV as cells. Source: Spark, `CSVOptions`; univocity, `CsvParserSettings`.

use std::borrow::Cow;

use crate::functions::record::Value;
use crate::functions::record::options::Options;

/// How lines are written.
#[derive(Debug)]
pub(crate) struct Layout {
    pub separator: String,
    pub quote: char,
    pub escape: char,
    pub null_value: String,
    pub empty_value: String,
    comment: Option<char>,
    trim_start: bool,
    trim_end: bool,
}

impl Layout {
    /// Takes the layout of options; `empty_value` is what an empty text is written as.
    pub fn new(options: &Options, empty_value: &str) -> Self {
        Self {
            separator: match options
                .get("sep")
                .or_else(|| options.get("delimiter"))
                .unwrap_or(",")
            {
                "\\t" => "\t".to_owned(),
                separator => separator.to_owned(),
            },
            quote: options.character("quote", '"'),
            escape: options.character("escape", '\\'),
            null_value: options.get("nullvalue").unwrap_or_default().to_owned(),
            empty_value: options.get("emptyvalue").unwrap_or(empty_value).to_owned(),
            comment: options.get("comment").and_then(|text| text.chars().next()),
            trim_start: options.flag("ignoreleadingwhitespace", false),
            trim_end: options.flag("ignoretrailingwhitespace", false),
        }
    }

    /// Cuts a line into cells; `None` for an empty line and for a comment.
    pub fn cells<'a>(&self, line: &'a str) -> Option<Vec<Value<'a>>> {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() || line.chars().next() == self.comment {
            return None;
        }
        let mut cells = Vec::new();
        let mut rest = line;
        loop {
            let (cell, after) = self.cell(rest);
            cells.push(cell);
            match after {
                Some(after) => rest = after,
                None => return Some(cells),
            }
        }
    }

    /// Reads a cell, and returns what is behind the separator.
    fn cell<'a>(&self, text: &'a str) -> (Value<'a>, Option<&'a str>) {
        let start = match self.trim_start {
            true => text.trim_start_matches([' ', '\t']),
            false => text,
        };
        if let Some(quoted) = start.strip_prefix(self.quote) {
            let (cell, rest) = self.quoted(quoted);
            let after = rest.find(self.separator.as_str());
            return (
                Value::Text(Cow::Owned(cell)),
                after.map(|at| &rest[at + self.separator.len()..]),
            );
        }
        let (cell, after) = match start.split_once(self.separator.as_str()) {
            Some((cell, after)) => (cell, Some(after)),
            None => (start, None),
        };
        let cell = match self.trim_end {
            true => cell.trim_end_matches([' ', '\t']),
            false => cell,
        };
        match cell == self.null_value {
            true => (Value::Null, after),
            false => (Value::Text(Cow::Borrowed(cell)), after),
        }
    }

    /// Reads up to the quote that ends a cell, and returns what is behind it.
    fn quoted<'a>(&self, text: &'a str) -> (String, &'a str) {
        let mut cell = String::new();
        let mut characters = text.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            let next = characters.peek().map(|(_, next)| *next);
            if character == self.escape && next == Some(self.quote) {
                cell.push(self.quote);
                characters.next();
            } else if character == self.escape && next == Some(self.escape) && self.escape != self.quote {
                cell.push(self.escape);
                characters.next();
            } else if character == self.quote {
                return (cell, &text[at + character.len_utf8()..]);
            } else {
                cell.push(character);
            }
        }
        (cell, "")
    }

    /// Writes a cell, quoted where it has to be.
    pub fn write(&self, cell: &str, into: &mut String) {
        let special =
            |text: &str| text.contains(self.separator.as_str()) || text.contains([self.quote, '\n', '\r']);
        if cell.is_empty() {
            into.push_str(&self.empty_value);
        } else if special(cell) {
            into.push(self.quote);
            for character in cell.chars() {
                if character == self.quote || character == self.escape {
                    into.push(self.escape);
                }
                into.push(character);
            }
            into.push(self.quote);
        } else {
            into.push_str(cell);
        }
    }
}
