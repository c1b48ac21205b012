//! Spark's store assignment under ANSI: which types may be written to which columns, and the values after it.
//!
//! A type that cannot be stored is refused before the query runs, a value that does not fit when it is met;
//! both errors name the column. Source: Spark, `Cast.canANSIStoreAssign`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, StructArray, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::util::display::FormatOptions;
use ingot_common::Kind;

use crate::{Error, Result};

/// How Spark writes a timestamp into a string column.
const TIMESTAMP_FORMAT: &str = "%Y-%m-%d %H:%M:%S%.f";

/// How the fields of structs find their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nested {
    /// The first is the first.
    Position,
    /// By name, in any case; what a struct of the query lacks is null.
    Name,
}

/// The way from a query's columns to a table's, by position.
#[derive(Debug)]
pub(crate) struct Assignment {
    target: SchemaRef,
    nested: Nested,
}

impl Assignment {
    /// Checks that each column of `source` may be stored in the column of `target` at its place.
    ///
    /// # Errors
    /// `InvalidArgument` naming the column, or both counts of columns.
    pub(crate) fn new(source: &Schema, target: &SchemaRef, nested: Nested) -> Result<Self> {
        if source.fields().len() != target.fields().len() {
            return Err(arity_error(source.fields().len(), target.fields().len()));
        }
        for (from, to) in source.fields().iter().zip(target.fields()) {
            if let Some(problem) = misfit(from.data_type(), to.data_type(), nested, to.name()) {
                return Err(problem.into());
            }
        }
        Ok(Self {
            target: Arc::clone(target),
            nested,
        })
    }

    /// Converts the columns of a batch.
    ///
    /// # Errors
    /// `InvalidArgument` naming the column for a value that does not fit and for a null in a NOT NULL column.
    pub(crate) fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (array, field) in batch.columns().iter().zip(self.target.fields()) {
            if !field.is_nullable() && array.logical_null_count() > 0 {
                return Err(Error::Delta(ingot_delta::Error::NullInNotNull {
                    column: field.name().clone(),
                }));
            }
            let column = assign(array, field.data_type(), self.nested)
                .map_err(|error| assignment_error(array.data_type(), field, &error))?;
            columns.push(column);
        }
        RecordBatch::try_new(Arc::clone(&self.target), columns).map_err(|source| {
            Error::Delta(ingot_delta::Error::Arrow {
                action: "assemble rows for the table",
                source,
            })
        })
    }
}

/// Tells what went wrong when values of type `given` were converted to those of a column.
fn assignment_error(given: &DataType, field: &Field, error: &ArrowError) -> Error {
    // Arrow names the field of a struct that is not null only in its message.
    if let ArrowError::InvalidArgumentError(message) = error
        && message.contains("non-nullable")
    {
        let inner = message.split('"').nth(1).map(|inner| format!(".{inner}"));
        return Error::Delta(ingot_delta::Error::NullInNotNull {
            column: format!("{}{}", field.name(), inner.unwrap_or_default()),
        });
    }
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "CAST_OVERFLOW_IN_TABLE_INSERT",
        sqlstate: "22003",
        message: format!(
            "failed to assign a value of \"{}\" type to the \"{}\" type column `{}`: {error}",
            type_text(given).to_uppercase(),
            type_text(field.data_type()).to_uppercase(),
            field.name()
        ),
    }
}

pub(super) fn arity_error(given: usize, expected: usize) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: if given > expected {
            "INSERT_COLUMN_ARITY_MISMATCH.TOO_MANY_DATA_COLUMNS"
        } else {
            "INSERT_COLUMN_ARITY_MISMATCH.NOT_ENOUGH_DATA_COLUMNS"
        },
        sqlstate: "21S01",
        message: format!("cannot write {given} columns to a table with {expected}"),
    }
}

/// Says if values of type `from` may be stored in a column of type `to`, fields of structs by position.
pub(crate) fn assignable(from: &DataType, to: &DataType) -> bool {
    misfit(from, to, Nested::Position, "").is_none()
}

/// Why values cannot be stored in a column.
#[derive(Debug)]
enum Misfit {
    Type {
        path: String,
        from: DataType,
        to: DataType,
    },
    ExtraField {
        path: String,
    },
    NoField {
        path: String,
    },
}

impl From<Misfit> for Error {
    fn from(misfit: Misfit) -> Self {
        let (condition, message) = match misfit {
            Misfit::Type { path, from, to } => (
                "INCOMPATIBLE_DATA_FOR_TABLE.CANNOT_SAFELY_CAST",
                format!(
                    "cannot safely cast `{path}` \"{}\" to \"{}\"",
                    type_text(&from).to_uppercase(),
                    type_text(&to).to_uppercase()
                ),
            ),
            Misfit::ExtraField { path } => (
                "INCOMPATIBLE_DATA_FOR_TABLE.EXTRA_STRUCT_FIELDS",
                format!("cannot write the field `{path}`: the table has no such field"),
            ),
            Misfit::NoField { path } => (
                "INCOMPATIBLE_DATA_FOR_TABLE.CANNOT_FIND_DATA",
                format!("cannot find data for the field `{path}`, which is not null"),
            ),
        };
        Self::Condition {
            kind: Kind::InvalidArgument,
            condition,
            sqlstate: "KD000",
            message,
        }
    }
}

/// Returns what keeps values of type `from` out of a column of type `to`, which is at `path`.
fn misfit(from: &DataType, to: &DataType, nested: Nested, path: &str) -> Option<Misfit> {
    use DataType::*;
    let no = || {
        Some(Misfit::Type {
            path: path.to_owned(),
            from: from.clone(),
            to: to.clone(),
        })
    };
    let unless = |fits: bool| if fits { None } else { no() };
    match (from, to) {
        _ if from == to => None,
        (Null, _) => None,
        (Dictionary(_, value), _) => misfit(value, to, nested, path),
        (RunEndEncoded(_, value), _) => misfit(value.data_type(), to, nested, path),
        (_, Utf8) => {
            unless(text(from) || from.is_numeric() || *from == Boolean || binary(from) || instant(from))
        }
        (_, Binary) => unless(binary(from)),
        (Struct(from), Struct(to)) => match nested {
            Nested::Position if from.len() != to.len() => no(),
            Nested::Position => from.iter().zip(to).find_map(|(from, to)| {
                misfit(from.data_type(), to.data_type(), nested, &below(path, to.name()))
            }),
            Nested::Name => misfit_by_name(from, to, path),
        },
        (Map(from, _), Map(to, _)) => match (from.data_type(), to.data_type()) {
            // Entries have a key and a value, whatever their names.
            (Struct(from), Struct(to)) if from.len() == to.len() => from
                .iter()
                .zip(to)
                .zip(["key", "value"])
                .find_map(|((from, to), name)| {
                    misfit(from.data_type(), to.data_type(), nested, &below(path, name))
                }),
            _ => no(),
        },
        (_, List(to)) => match element(from) {
            Some(from) => misfit(from.data_type(), to.data_type(), nested, &below(path, "element")),
            None => no(),
        },
        _ => unless((from.is_numeric() && to.is_numeric()) || (instant(from) && instant(to))),
    }
}

fn misfit_by_name(from: &Fields, to: &Fields, path: &str) -> Option<Misfit> {
    let extra = from.iter().find(|field| place(to, field.name()).is_none());
    if let Some(extra) = extra {
        return Some(Misfit::ExtraField {
            path: below(path, extra.name()),
        });
    }
    to.iter().find_map(|field| {
        let path = below(path, field.name());
        match place(from, field.name()) {
            Some(found) => misfit(from[found].data_type(), field.data_type(), Nested::Name, &path),
            None if field.is_nullable() => None,
            None => Some(Misfit::NoField { path }),
        }
    })
}

fn place(fields: &Fields, name: &str) -> Option<usize> {
    fields
        .iter()
        .position(|field| field.name().eq_ignore_ascii_case(name))
}

fn below(path: &str, name: &str) -> String {
    format!("{path}.{name}")
}

fn text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

fn binary(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
    )
}

fn instant(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _)
    )
}

/// Returns the elements of a list, of whatever kind it is.
pub(crate) fn element(list: &DataType) -> Option<&FieldRef> {
    match list {
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::FixedSizeList(element, _) => Some(element),
        _ => None,
    }
}

/// Converts values to `to`; struct fields take the target's names.
fn assign(array: &ArrayRef, to: &DataType, nested: Nested) -> Result<ArrayRef, ArrowError> {
    match (array.data_type(), to) {
        (from, to) if from == to => Ok(Arc::clone(array)),
        (DataType::Null, _) => Ok(new_null_array(to, array.len())),
        (DataType::Struct(given), DataType::Struct(fields)) => {
            let from = array.as_struct();
            let mut columns = Vec::with_capacity(fields.len());
            for (position, field) in fields.iter().enumerate() {
                let found = match nested {
                    Nested::Position => Some(position),
                    Nested::Name => place(given, field.name()),
                };
                columns.push(match found {
                    Some(found) => assign(from.column(found), field.data_type(), nested)?,
                    None => new_null_array(field.data_type(), from.len()),
                });
            }
            Ok(Arc::new(StructArray::try_new_with_length(
                fields.clone(),
                columns,
                from.nulls().cloned(),
                from.len(),
            )?))
        }
        (DataType::Map(_, _), DataType::Map(entries, ordered)) => {
            let from = array.as_map();
            let DataType::Struct(pair) = entries.data_type() else {
                return convert(array, to);
            };
            let parts = from.entries().columns().iter().zip(pair);
            let parts = parts
                .map(|(column, field)| assign(column, field.data_type(), nested))
                .collect::<Result<Vec<_>, _>>()?;
            let values = StructArray::try_new_with_length(
                pair.clone(),
                parts,
                from.entries().nulls().cloned(),
                from.entries().len(),
            )?;
            Ok(Arc::new(MapArray::try_new(
                Arc::clone(entries),
                from.offsets().clone(),
                values,
                from.nulls().cloned(),
                *ordered,
            )?))
        }
        (DataType::List(_), DataType::List(field)) => {
            let from = array.as_list::<i32>();
            Ok(Arc::new(ListArray::try_new(
                Arc::clone(field),
                from.offsets().clone(),
                assign(from.values(), field.data_type(), nested)?,
                from.nulls().cloned(),
            )?))
        }
        (from, DataType::List(_)) => match element(from) {
            Some(from) => {
                let list = convert(array, &DataType::List(Arc::clone(from)))?;
                assign(&list, to, nested)
            }
            None => convert(array, to),
        },
        _ => convert(array, to),
    }
}

/// Converts plain values; one that does not fit is an error.
pub(crate) fn convert(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    let options = CastOptions {
        safe: false,
        format_options: FormatOptions::new()
            .with_timestamp_format(Some(TIMESTAMP_FORMAT))
            .with_timestamp_tz_format(Some(TIMESTAMP_FORMAT)),
    };
    cast_with_options(array, to, &options)
}

/// Returns Spark's spelling of a type, in lower case: `bigint`, `decimal(10,2)`, `struct<a:int>`.
pub fn type_text(data_type: &DataType) -> String {
    use DataType::*;
    match data_type {
        Null => "void".to_owned(),
        Boolean => "boolean".to_owned(),
        Int8 => "tinyint".to_owned(),
        Int16 | UInt8 => "smallint".to_owned(),
        Int32 | UInt16 => "int".to_owned(),
        Int64 | UInt32 => "bigint".to_owned(),
        UInt64 => "decimal(20,0)".to_owned(),
        Float16 | Float32 => "float".to_owned(),
        Float64 => "double".to_owned(),
        Utf8 | LargeUtf8 | Utf8View => "string".to_owned(),
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => "binary".to_owned(),
        Date32 | Date64 => "date".to_owned(),
        Timestamp(_, Some(_)) => "timestamp".to_owned(),
        Timestamp(_, None) => "timestamp_ntz".to_owned(),
        Decimal32(precision, scale)
        | Decimal64(precision, scale)
        | Decimal128(precision, scale)
        | Decimal256(precision, scale) => format!("decimal({precision},{scale})"),
        Dictionary(_, value) => type_text(value),
        Struct(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|field| format!("{}:{}", field.name(), type_text(field.data_type())))
                .collect();
            format!("struct<{}>", fields.join(","))
        }
        Map(entries, _) => match entries.data_type() {
            Struct(fields) if fields.len() == 2 => format!(
                "map<{},{}>",
                type_text(fields[0].data_type()),
                type_text(fields[1].data_type())
            ),
            _ => "map".to_owned(),
        },
        other => match element(other) {
            Some(element) => format!("array<{}>", type_text(element.data_type())),
            None => other.to_string().to_lowercase(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int32Array, Int64Array, StringArray};
    use arrow::datatypes::TimeUnit;
    use test_case::test_case;

    fn schema(name: &str, data_type: DataType) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new(name, data_type, true)]))
    }

    #[test_case(DataType::Int64, DataType::Int32, true; "numbers narrow")]
    #[test_case(DataType::Float64, DataType::Int32, true; "doubles become integers")]
    #[test_case(DataType::Int32, DataType::Utf8, true; "numbers become text")]
    #[test_case(DataType::Null, DataType::Date32, true; "null fits everywhere")]
    #[test_case(DataType::Date32, DataType::Timestamp(TimeUnit::Microsecond, None), true; "dates become instants")]
    #[test_case(DataType::Utf8, DataType::Int32, false; "text is no number")]
    #[test_case(DataType::Boolean, DataType::Int32, false; "truth is no number")]
    #[test_case(DataType::Int32, DataType::Boolean, false; "numbers are no truth")]
    #[test_case(DataType::Utf8, DataType::Date32, false; "text is no date")]
    fn assignment_follows_ansi(from: DataType, to: DataType, allowed: bool) {
        let checked = Assignment::new(&schema("x", from), &schema("x", to), Nested::Position);
        assert_eq!(checked.is_ok(), allowed, "{checked:?}");
    }

    #[test]
    fn overflow_names_the_column() {
        let source = schema("big", DataType::Int64);
        let target = schema("small", DataType::Int32);
        let values: ArrayRef = Arc::new(Int64Array::from(vec![1_i64 << 40]));
        let batch = RecordBatch::try_new(Arc::clone(&source), vec![values]).expect("valid batch");
        let assignment = Assignment::new(&source, &target, Nested::Position).expect("assignable");
        let error = assignment.apply(&batch).expect_err("does not fit");
        assert!(error.to_string().contains("`small`"), "{error}");
    }

    #[test]
    fn null_in_not_null_column_is_refused() {
        let source = schema("x", DataType::Int32);
        let target: SchemaRef = Arc::new(Schema::new(vec![Field::new("x", DataType::Int32, false)]));
        let values: ArrayRef = Arc::new(Int32Array::from(vec![None]));
        let batch = RecordBatch::try_new(Arc::clone(&source), vec![values]).expect("valid batch");
        let assignment = Assignment::new(&source, &target, Nested::Position).expect("assignable");
        let error = assignment.apply(&batch).expect_err("null");
        assert!(error.to_string().contains("`x` cannot be null"), "{error}");
    }

    #[test]
    fn struct_fields_go_by_position() {
        let from: ArrayRef = Arc::new(StructArray::from(vec![(
            Arc::new(Field::new("a", DataType::Int32, true)),
            Arc::new(Int32Array::from(vec![7])) as ArrayRef,
        )]));
        let to = DataType::Struct(vec![Field::new("b", DataType::Utf8, true)].into());
        let assigned = assign(&from, &to, Nested::Position).expect("assignable");
        let expected = StringArray::from(vec!["7"]);
        assert_eq!(assigned.as_struct().column(0).as_string::<i32>(), &expected);
        assert_eq!(assigned.data_type(), &to);
    }

    #[test]
    fn struct_fields_go_by_name_where_columns_do() {
        let given = |name: &str| Arc::new(Field::new(name, DataType::Int32, true));
        let from: ArrayRef = Arc::new(StructArray::from(vec![
            (given("B"), Arc::new(Int32Array::from(vec![2])) as ArrayRef),
            (given("a"), Arc::new(Int32Array::from(vec![1])) as ArrayRef),
        ]));
        let to = |names: &[&str]| DataType::Struct(names.iter().map(|name| given(name)).collect());
        let assigned = assign(&from, &to(&["a", "b", "c"]), Nested::Name).expect("assignable");
        let values: Vec<_> = assigned
            .as_struct()
            .columns()
            .iter()
            .map(|column| column.as_primitive::<arrow::datatypes::Int32Type>().iter().next())
            .collect();
        assert_eq!(values, [Some(Some(1)), Some(Some(2)), Some(None)]);
        let error = misfit(from.data_type(), &to(&["a"]), Nested::Name, "s").map(Error::from);
        let message = error.expect("an extra field").to_string();
        assert!(message.contains("`s.B`"), "{message}");
    }
}
