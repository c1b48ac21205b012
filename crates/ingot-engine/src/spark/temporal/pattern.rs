//! Patterns of dates and times: `yyyy-MM-dd HH:mm:ss.SSS`.
//!
//! The letters are Java's, as far as Spark takes them: those of weeks and of narrow texts are refused, as are letters
//! that can be written and not read. Texts are English. Source: Spark SQL, "Datetime patterns";
//! `DateTimeFormatterHelper`; java.time, `DateTimeFormatterBuilder`.

mod format;
mod parse;

pub(crate) use self::parse::Parsed;

use datafusion::error::{DataFusionError, Result};

use crate::error::condition;

/// What a pattern is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Write,
    Read,
}

/// A pattern that is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
    has_era: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A letter and how often it stands there.
    Field(Field, usize),
    /// Read if it is there, and always written.
    Optional(Vec<Part>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Era,
    Year,
    Month,
    Day,
    DayOfYear,
    Quarter,
    DayName,
    /// Of those seven days of the month that it is in, the day's place.
    AlignedDay,
    HalfDay,
    Hour,
    HourFromOne,
    HalfDayHour,
    HalfDayHourFromOne,
    Minute,
    Second,
    Fraction,
    ZoneId,
    ZoneName,
    /// `GMT+8`.
    LocalizedOffset,
    /// `Z` for none.
    OffsetOrZ,
    OffsetNumber,
    /// `+0000`, with other forms for more letters.
    Offset,
}

/// What an optional part may hold, at most: a hostile text ends in an error, not in an overflow of the stack.
const DEPTH_MAX: usize = 16;

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// `INVALID_DATETIME_PATTERN`.
    pub fn new(text: &str, used: Use) -> Result<Self> {
        let characters: Vec<char> = text.chars().collect();
        let mut reader = Reader {
            text,
            characters: &characters,
            place: 0,
            used,
        };
        let parts = reader.parts(0)?;
        if reader.place < characters.len() {
            return Err(reader.illegal(']'));
        }
        let has_era = contains(&parts, Field::Era);
        Ok(Self { parts, has_era })
    }
}

fn contains(parts: &[Part], wanted: Field) -> bool {
    parts.iter().any(|part| match part {
        Part::Field(field, _) => *field == wanted,
        Part::Optional(parts) => contains(parts, wanted),
        Part::Text(_) => false,
    })
}

struct Reader<'a> {
    text: &'a str,
    characters: &'a [char],
    place: usize,
    used: Use,
}

impl Reader<'_> {
    /// Reads up to the end, or to the `]` of an optional part.
    fn parts(&mut self, depth: usize) -> Result<Vec<Part>> {
        let mut parts: Vec<Part> = Vec::new();
        while let Some(character) = self.characters.get(self.place).copied() {
            match character {
                ']' if depth > 0 => break,
                '[' if depth < DEPTH_MAX => {
                    self.place += 1;
                    let optional = self.parts(depth + 1)?;
                    parts.push(Part::Optional(optional));
                    // One that does not end goes on to the end.
                    if self.place < self.characters.len() {
                        self.place += 1;
                    }
                }
                '\'' => {
                    let text = self.quoted()?;
                    push_text(&mut parts, &text);
                }
                '[' | ']' | '{' | '}' | '#' => return Err(self.illegal(character)),
                letter if letter.is_ascii_alphabetic() => {
                    let count = self.characters[self.place..]
                        .iter()
                        .take_while(|other| **other == letter)
                        .count();
                    parts.push(self.field(letter, count)?);
                    self.place += count;
                }
                other => {
                    push_text(&mut parts, &other.to_string());
                    self.place += 1;
                }
            }
        }
        Ok(parts)
    }

    fn quoted(&mut self) -> Result<String> {
        let mut text = String::new();
        self.place += 1;
        while let Some(character) = self.characters.get(self.place) {
            self.place += 1;
            if *character != '\'' {
                text.push(*character);
            } else if self.characters.get(self.place) == Some(&'\'') {
                text.push('\'');
                self.place += 1;
            } else {
                // Two quotes are one.
                return Ok(if text.is_empty() { "'".to_owned() } else { text });
            }
        }
        Err(self.illegal('\''))
    }

    fn field(&self, letter: char, count: usize) -> Result<Part> {
        let (field, most) = match letter {
            'G' => (Field::Era, 4),
            'y' => (Field::Year, 6),
            'M' | 'L' => (Field::Month, 4),
            'd' => (Field::Day, 2),
            'D' => (Field::DayOfYear, 3),
            'Q' | 'q' if self.used == Use::Write => (Field::Quarter, 4),
            'E' if self.used == Use::Write => (Field::DayName, 4),
            'F' if self.used == Use::Write => (Field::AlignedDay, 1),
            'a' => (Field::HalfDay, 1),
            'H' => (Field::Hour, 2),
            'k' => (Field::HourFromOne, 2),
            'K' => (Field::HalfDayHour, 2),
            'h' => (Field::HalfDayHourFromOne, 2),
            'm' => (Field::Minute, 2),
            's' => (Field::Second, 2),
            'S' => (Field::Fraction, 9),
            'V' => (Field::ZoneId, 2),
            'z' => (Field::ZoneName, 4),
            'O' => (Field::LocalizedOffset, 4),
            'X' => (Field::OffsetOrZ, 5),
            'x' => (Field::OffsetNumber, 5),
            'Z' => (Field::Offset, 5),
            other => return Err(self.illegal(other)),
        };
        let exact = match field {
            Field::ZoneId => count == 2,
            Field::LocalizedOffset => count == 1 || count == 4,
            _ => count <= most,
        };
        match exact {
            true => Ok(Part::Field(field, count)),
            false => Err(condition(
                "INVALID_DATETIME_PATTERN.LENGTH",
                "22007",
                format!(
                    "the pattern `{}` has too many letters in a row: {letter}",
                    self.text
                ),
            )),
        }
    }

    fn illegal(&self, character: char) -> DataFusionError {
        condition(
            "INVALID_DATETIME_PATTERN.ILLEGAL_CHARACTER",
            "22007",
            format!(
                "the pattern `{}` has the illegal character `{character}`",
                self.text
            ),
        )
    }
}

fn push_text(parts: &mut Vec<Part>, more: &str) {
    match parts.last_mut() {
        Some(Part::Text(text)) => text.push_str(more),
        _ => parts.push(Part::Text(more.to_owned())),
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// Returns a name, or its first three letters.
fn name(names: &'static [&'static str], place: usize, short: bool) -> &'static str {
    let name = names.get(place).copied().unwrap_or_default();
    if short { &name[..name.len().min(3)] } else { name }
}
