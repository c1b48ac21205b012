//! Records of a schema: what a record that is malformed gives, and where it is kept.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Fields};
use datafusion::error::Result;

use super::Value;
use super::column::{Column, Outcome, StructColumn};
use super::formats::Formats;
use super::options::{Mode, Options, malformed};

/// Where a record that could not be read is kept. Source: Spark, `columnNameOfCorruptRecord`.
const CORRUPT_RECORD: &str = "_corrupt_record";

/// Reads records into an array of the schema's type.
pub(crate) struct Parser {
    mode: Mode,
    formats: Formats,
    records: Records,
}

enum Records {
    Structs {
        fields: Fields,
        column: StructColumn,
        /// The place of the field for malformed records, and them.
        corrupt: Option<(usize, StringBuilder)>,
    },
    Others(Column),
}

/// A record as its reader found it.
pub(crate) enum Record<'v, 'a> {
    /// There is none in the text.
    Absent,
    Malformed,
    Value(&'v Value<'a>),
    /// Values by their places, and whether there were as many as wanted.
    Cells(&'v [Value<'a>], bool),
}

impl Parser {
    /// # Errors
    /// For options and types that are not known.
    pub fn new(function: &str, schema: &DataType, options: &Options, formats: Formats) -> Result<Self> {
        let records = match schema {
            DataType::Struct(fields) => {
                let name = options.get("columnnameofcorruptrecord").unwrap_or(CORRUPT_RECORD);
                let place = fields.iter().position(|field| field.name() == name);
                let read: Fields = fields
                    .iter()
                    .enumerate()
                    .filter(|(column, _)| Some(*column) != place)
                    .map(|(_, field)| Arc::clone(field))
                    .collect();
                Records::Structs {
                    fields: fields.clone(),
                    column: StructColumn::new(&read)?,
                    corrupt: place.map(|place| (place, StringBuilder::new())),
                }
            }
            other => Records::Others(Column::new(other)?),
        };
        Ok(Self {
            mode: options.mode(function)?,
            formats,
            records,
        })
    }

    /// Returns how many cells a record has.
    pub fn columns(&self) -> usize {
        match &self.records {
            Records::Structs { fields, corrupt, .. } => fields.len() - usize::from(corrupt.is_some()),
            Records::Others(_) => 1,
        }
    }

    /// Adds a null.
    pub fn append_null(&mut self) {
        match &mut self.records {
            Records::Structs { column, corrupt, .. } => {
                column.append_null();
                if let Some((_, corrupt)) = corrupt {
                    corrupt.append_null();
                }
            }
            Records::Others(column) => column.append_null(),
        }
    }

    /// Adds a record, which is written as `text`.
    ///
    /// # Errors
    /// `MALFORMED_RECORD_IN_PARSING` in mode FAILFAST.
    pub fn append(&mut self, record: Record<'_, '_>, text: &str) -> Result<()> {
        let outcome = match &mut self.records {
            Records::Structs { column, corrupt, .. } => {
                let outcome = match record {
                    Record::Value(Value::Object(fields, _)) => column.append(fields, &self.formats),
                    Record::Cells(cells, complete) => match column.append_cells(cells, &self.formats) {
                        Outcome::Whole if !complete => Outcome::Partial,
                        outcome => outcome,
                    },
                    Record::Absent | Record::Value(Value::Null) => {
                        column.append_null();
                        Outcome::Whole
                    }
                    Record::Malformed | Record::Value(_) => {
                        column.append_nulls();
                        Outcome::Failed
                    }
                };
                if let Some((_, corrupt)) = corrupt {
                    corrupt.append_option(Some(text).filter(|_| outcome != Outcome::Whole));
                }
                outcome
            }
            Records::Others(column) => match record {
                Record::Value(value) => append_other(column, value, &self.formats),
                Record::Absent => {
                    column.append_null();
                    Outcome::Whole
                }
                Record::Malformed | Record::Cells(..) => {
                    column.append_null();
                    Outcome::Failed
                }
            },
        };
        match self.mode {
            Mode::FailFast if outcome != Outcome::Whole => Err(malformed(text)),
            _ => Ok(()),
        }
    }

    /// Returns the array.
    ///
    /// # Errors
    /// When its parts do not fit.
    pub fn finish(self) -> Result<ArrayRef> {
        match self.records {
            Records::Others(column) => column.finish(),
            Records::Structs {
                fields,
                column,
                corrupt,
            } => {
                let read = Column::Struct(column).finish()?;
                let Some((place, mut corrupt)) = corrupt else {
                    return Ok(read);
                };
                let read = read.as_struct();
                let mut columns = read.columns().to_vec();
                let corrupt: ArrayRef = Arc::new(corrupt.finish());
                columns.insert(place, cast(&corrupt, fields[place].data_type())?);
                Ok(Arc::new(StructArray::try_new(
                    fields,
                    columns,
                    read.nulls().cloned(),
                )?))
            }
        }
    }
}

/// An object where an array of structs is wanted is an array of one.
fn append_other(column: &mut Column, value: &Value<'_>, formats: &Formats) -> Outcome {
    match (&*column, value) {
        (Column::List(_), Value::Object(_, written)) => {
            column.append(&Value::Array(vec![value.clone()], written.clone()), formats)
        }
        _ => column.append(value, formats),
    }
}

/// Reads the options of a call whose arguments are a text, a schema and perhaps options.
///
/// # Errors
/// As [`Options::of`].
pub(crate) fn options_of(arrays: &[ArrayRef]) -> Result<Options> {
    Options::of(arrays.get(2))
}
