//! The last argument of `from_json` and the like: `map('mode', 'FAILFAST')`.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};

use crate::error::condition;
use crate::functions::arguments::{count, unexpected};
use crate::functions::collection::{entry_types, map_of};

/// Options, by their names in lower case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    values: HashMap<String, String>,
}

/// What becomes of a record that is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Permissive,
    FailFast,
}

impl Options {
    /// Reads the argument, of which all rows have the same.
    ///
    /// # Errors
    /// When it is no map of texts.
    pub fn of(argument: Option<&ArrayRef>) -> Result<Self> {
        let Some(array) = argument.filter(|array| !array.is_empty()) else {
            return Ok(Self::default());
        };
        if array.data_type().is_null() {
            return Ok(Self::default());
        }
        let entries = array.as_map().value(0);
        let (Some(names), Some(values)) = (
            entries.column(0).as_string_opt::<i32>(),
            entries.column(1).as_string_opt::<i32>(),
        ) else {
            return Err(DataFusionError::Internal("options are texts".to_owned()));
        };
        let pairs = names.iter().zip(values.iter());
        let values = pairs
            .filter_map(|(name, value)| Some((name?.to_lowercase(), value?.to_owned())))
            .collect();
        Ok(Self { values })
    }

    /// Returns an option by its name in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Returns an option that is on or off.
    pub fn flag(&self, name: &str, default: bool) -> bool {
        self.get(name)
            .map_or(default, |value| value.eq_ignore_ascii_case("true"))
    }

    /// Returns an option that is one character.
    pub fn character(&self, name: &str, default: char) -> char {
        let written = self.get(name);
        match written {
            Some("\\t") => '\t',
            written => written.and_then(|text| text.chars().next()).unwrap_or(default),
        }
    }

    /// Returns what is done with malformed records.
    ///
    /// # Errors
    /// `PARSE_MODE_UNSUPPORTED`.
    pub fn mode(&self, function: &str) -> Result<Mode> {
        match self.get("mode").unwrap_or("PERMISSIVE").to_uppercase().as_str() {
            "PERMISSIVE" => Ok(Mode::Permissive),
            "FAILFAST" => Ok(Mode::FailFast),
            other => Err(condition(
                "PARSE_MODE_UNSUPPORTED",
                "42601",
                format!("`{function}` has the modes PERMISSIVE and FAILFAST, not {other}"),
            )),
        }
    }
}

/// Says as what the argument of options is taken.
///
/// # Errors
/// `INVALID_OPTIONS.NON_MAP_FUNCTION`.
pub(crate) fn argument(function: &str, place: usize, data_type: &DataType) -> Result<DataType> {
    match entry_types(data_type) {
        Some(_) => Ok(map_of(DataType::Utf8, DataType::Utf8)),
        None if data_type.is_null() => Ok(map_of(DataType::Utf8, DataType::Utf8)),
        None => Err(unexpected(function, place, "a MAP of options", data_type)),
    }
}

/// Says as what the arguments of a function are taken that has options behind its others, or none.
///
/// # Errors
/// `WRONG_NUM_ARGS`, and those of [`argument`].
pub(crate) fn after(function: &str, types: &[DataType], others: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, others.len(), others.len() + 1)?;
    let place = others.len() + 1;
    let options = types
        .get(others.len())
        .map(|options| argument(function, place, options));
    Ok(others.iter().cloned().chain(options.transpose()?).collect())
}

/// Says as what the arguments of a function are taken that writes a struct with options, or none.
///
/// # Errors
/// Those of [`after`], and `DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE` for what is no struct.
pub(crate) fn after_struct(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types.first() {
        Some(other) if !matches!(other, DataType::Struct(_)) => {
            Err(unexpected(function, 1, "a STRUCT", other))
        }
        written => after(
            function,
            types,
            written.map_or(&[DataType::Null], std::slice::from_ref),
        ),
    }
}

/// Says that a record could not be read.
pub(crate) fn malformed(record: &str) -> DataFusionError {
    condition(
        "MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION",
        "22023",
        format!("the record `{record}` is malformed; the mode PERMISSIVE gives NULL for it"),
    )
}
