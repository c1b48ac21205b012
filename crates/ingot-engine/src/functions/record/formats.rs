//! How dates, timestamps and special values are written in records.

use datafusion::error::Result;
use datafusion::logical_expr::ScalarFunctionArgs;

use super::options::Options;
use crate::functions::arguments::session_zone;
use crate::spark::temporal::{
    Pattern, Use, Zone, parse_date, parse_timestamp, parse_timestamp_ntz, write_date, write_local,
};

const TIMESTAMP: &str = "yyyy-MM-dd'T'HH:mm:ss[.SSS][XXX]";
const TIMESTAMP_NTZ: &str = "yyyy-MM-dd'T'HH:mm:ss[.SSS]";

/// The formats of one call.
#[derive(Debug)]
pub(crate) struct Formats {
    zone: Zone,
    zone_name: String,
    timestamp: Option<Pattern>,
    timestamp_ntz: Option<Pattern>,
    date: Option<Pattern>,
    /// Texts are read as values of other types: in CSV and XML there is nothing else.
    pub texts_are_values: bool,
    pub non_numeric_numbers: bool,
    /// Values are elements of XML: one without text is null, if it is no text, and one alone is an array of one.
    pub elements: bool,
}

impl Formats {
    /// Takes the formats of options, for reading or for writing.
    ///
    /// # Errors
    /// `INVALID_DATETIME_PATTERN`.
    pub fn new(arguments: &ScalarFunctionArgs, options: &Options, used: Use) -> Result<Self> {
        let zone_name = options
            .get("timezone")
            .unwrap_or_else(|| session_zone(arguments))
            .to_owned();
        let pattern = |name: &str, default: &str| match (options.get(name), used) {
            (Some(pattern), _) => Pattern::new(pattern, used).map(Some),
            (None, Use::Write) => Pattern::new(default, used).map(Some),
            (None, Use::Read) => Ok(None),
        };
        Ok(Self {
            zone: Zone::parse(&zone_name).unwrap_or(Zone::UTC),
            timestamp: pattern("timestampformat", TIMESTAMP)?,
            timestamp_ntz: pattern("timestampntzformat", TIMESTAMP_NTZ)?,
            date: match options.get("dateformat") {
                Some(pattern) => Some(Pattern::new(pattern, used)?),
                None => None,
            },
            zone_name,
            texts_are_values: false,
            elements: false,
            non_numeric_numbers: options.flag("allownonnumericnumbers", true),
        })
    }

    /// The formats of variants, which have no options.
    pub fn of_zone(zone: Zone) -> Self {
        Self {
            zone,
            zone_name: String::new(),
            timestamp: None,
            timestamp_ntz: None,
            date: None,
            texts_are_values: false,
            elements: false,
            non_numeric_numbers: true,
        }
    }

    /// Says that texts hold all values.
    pub fn of_texts(self) -> Self {
        Self {
            texts_are_values: true,
            ..self
        }
    }

    /// Says that values are elements of XML.
    pub fn of_elements(self) -> Self {
        Self {
            elements: true,
            ..self.of_texts()
        }
    }

    pub fn read_timestamp(&self, text: &str) -> Option<i64> {
        match &self.timestamp {
            Some(pattern) => pattern.read(text)?.instant(&self.zone),
            None => parse_timestamp(text, &self.zone),
        }
    }

    pub fn read_timestamp_ntz(&self, text: &str) -> Option<i64> {
        match &self.timestamp_ntz {
            Some(pattern) => Some(pattern.read(text)?.local),
            None => parse_timestamp_ntz(text),
        }
    }

    pub fn read_date(&self, text: &str) -> Option<i32> {
        match &self.date {
            Some(pattern) => {
                let days = pattern
                    .read(text)?
                    .local
                    .div_euclid(crate::spark::temporal::DAY_MICROS);
                i32::try_from(days).ok()
            }
            None => parse_date(text),
        }
    }

    pub fn write_timestamp(&self, instant: i64, into: &mut String) {
        if let Some(pattern) = &self.timestamp {
            pattern.write(instant, &self.zone, &self.zone_name, into);
        }
    }

    /// Writes an instant as a variant is written: with a space, and the zone's offset.
    pub fn write_plain_timestamp(&self, instant: i64, into: &mut String) {
        write_local(self.zone.local(instant), into);
        let offset = self.zone.offset_seconds(instant);
        let (sign, seconds) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
        into.push_str(&format!("{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60));
    }

    pub fn write_timestamp_ntz(&self, local: i64, into: &mut String) {
        if let Some(pattern) = &self.timestamp_ntz {
            pattern.write(local, &Zone::UTC, "UTC", into);
        }
    }

    pub fn write_date(&self, days: i32, into: &mut String) {
        match &self.date {
            Some(pattern) => {
                let local = i64::from(days) * crate::spark::temporal::DAY_MICROS;
                pattern.write(local, &Zone::UTC, "UTC", into);
            }
            None => write_date(days, into),
        }
    }
}
