//! What may be written to which columns, and the values after it: plain values are cast under ANSI ([`cast`]), nested
//! ones part by part.
//!
//! A type that is never stored is refused before the query runs, a value that does not fit when it is met; both errors
//! name the column. Source: Delta, `DeltaInsertCastSupport`, `UpdateExpressionsSupport.castIfNeeded`.
//!
//! [`cast`]: super::cast

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, StructArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, IntervalUnit, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use ingot_common::Kind;

use crate::cast::{CastFailure, binary, cast_values, castable, instant};
use crate::spark::temporal::Zone;
use crate::{Error, Result};

/// How the fields of structs find their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Nested {
    /// The first is the first.
    Position,
    /// By name, in any case.
    Name(MissingFields),
}

/// What becomes of a field that a struct lacks, where fields go by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum MissingFields {
    Refused,
    /// It is null, unless it must not be.
    Null,
}

/// The way from a query's columns to a table's, by position.
#[derive(Debug)]
pub(crate) struct Assignment {
    target: SchemaRef,
    nested: Nested,
    zone: Zone,
}

impl Assignment {
    /// Checks that each column of `source` may be stored in the column of `target` at its place.
    ///
    /// # Errors
    /// `InvalidArgument` naming the column, or both counts of columns.
    pub(crate) fn new(source: &Schema, target: &SchemaRef, nested: Nested, zone: Zone) -> Result<Self> {
        if source.fields().len() != target.fields().len() {
            return Err(arity_error(source.fields().len(), target.fields().len()));
        }
        for (from, to) in source.fields().iter().zip(target.fields()) {
            check_storable(from.data_type(), to, nested)?;
        }
        Ok(Self {
            target: Arc::clone(target),
            nested,
            zone,
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
            let column = assign(array, field.data_type(), self.nested, &self.zone)
                .map_err(|not_stored| not_stored.into_error(field.name(), OVERFLOW_OF_INSERT))?;
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

/// The condition of a value that is too large, in an INSERT. Source: Spark, `checkCastOverflowInTableInsert`.
const OVERFLOW_OF_INSERT: &str = "CAST_OVERFLOW_IN_TABLE_INSERT";

/// The same in UPDATE and MERGE. Source: Delta, `CheckOverflowInTableWrite`.
pub(super) const OVERFLOW_OF_WRITE: &str = "DELTA_CAST_OVERFLOW_IN_TABLE_WRITE";

/// A value that is not stored.
#[derive(Debug)]
pub(crate) struct NotStored {
    /// Where it is below its column, innermost first.
    below: Vec<String>,
    from: DataType,
    to: DataType,
    failure: CastFailure,
}

impl NotStored {
    fn new(from: &DataType, to: &DataType, failure: impl Into<CastFailure>) -> Self {
        Self {
            below: Vec::new(),
            from: from.clone(),
            to: to.clone(),
            failure: failure.into(),
        }
    }

    fn of_part(mut self, name: &str) -> Self {
        self.below.push(name.to_owned());
        self
    }

    /// Tells what went wrong in a column; `overflow` is the condition of a value that is too large.
    pub(super) fn into_error(self, column: &str, overflow: &'static str) -> Error {
        let parts = std::iter::once(column).chain(self.below.iter().rev().map(String::as_str));
        let column = parts.collect::<Vec<_>>().join(".");
        let (from, to) = (sql_type(&self.from), sql_type(&self.to));
        let (condition, sqlstate, message) = match self.failure {
            CastFailure::Malformed { value } => (
                "CAST_INVALID_INPUT",
                "22018",
                format!(
                    "the value '{value}' of the type {from} cannot be cast to {to} for the column `{column}`, because \
                     it is malformed\nhint: try_cast makes it null"
                ),
            ),
            CastFailure::Overflow { value } => (
                overflow,
                "22003",
                format!(
                    "failed to assign the value {value} of the type {from} to the {to} type column `{column}`: \
                     overflow\nhint: try_cast makes it null"
                ),
            ),
            // Arrow names the field of a struct that is not null only in its message.
            CastFailure::Arrow(ArrowError::InvalidArgumentError(message))
                if message.contains("non-nullable") =>
            {
                let inner = message.split('"').nth(1).map(|inner| format!(".{inner}"));
                return Error::Delta(ingot_delta::Error::NullInNotNull {
                    column: format!("{column}{}", inner.unwrap_or_default()),
                });
            }
            CastFailure::Variant(error) => return error.into(),
            CastFailure::Arrow(error) => (
                overflow,
                "22003",
                format!(
                    "failed to assign a value of the type {from} to the {to} type column `{column}`: {error}"
                ),
            ),
        };
        Error::Condition {
            kind: Kind::InvalidArgument,
            condition,
            sqlstate,
            message,
        }
    }
}

fn sql_type(data_type: &DataType) -> String {
    format!("\"{}\"", type_text(data_type).to_uppercase())
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

/// Says if what is of type `from` is safely of type `to`, fields of structs by position: what a default and a
/// generated column may be. Source: Spark, `Cast.canANSIStoreAssign`.
pub(crate) fn assignable(from: &DataType, to: &DataType) -> bool {
    misfit(from, to, Nested::Position, "", safely_assignable).is_none()
}

fn safely_assignable(from: &DataType, to: &DataType) -> bool {
    match to {
        DataType::Utf8 => castable(from, to),
        DataType::Binary => binary(from),
        _ => (from.is_numeric() && to.is_numeric()) || (instant(from) && instant(to)),
    }
}

/// Checks that a column takes values of type `from`.
///
/// # Errors
/// `InvalidArgument` naming the column, or the part of it.
pub(super) fn check_storable(from: &DataType, column: &Field, nested: Nested) -> Result<()> {
    match storable_misfit(from, column.data_type(), nested, column.name()) {
        Some(misfit) => Err(misfit.into()),
        None => Ok(()),
    }
}

/// Returns what keeps values of type `from` out of a column of type `to`, which is at `path`.
pub(super) fn storable_misfit(from: &DataType, to: &DataType, nested: Nested, path: &str) -> Option<Misfit> {
    misfit(from, to, nested, path, castable)
}

/// Why values cannot be stored in a column.
#[derive(Debug)]
pub(super) enum Misfit {
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
                    "cannot safely cast `{path}` {} to {}",
                    sql_type(&from),
                    sql_type(&to)
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

/// Says what keeps values out of a column; `plain` says which plain types fit which.
fn misfit(
    from: &DataType,
    to: &DataType,
    nested: Nested,
    path: &str,
    plain: fn(&DataType, &DataType) -> bool,
) -> Option<Misfit> {
    use DataType::*;
    let unless = |fits: bool| {
        (!fits).then(|| Misfit::Type {
            path: path.to_owned(),
            from: from.clone(),
            to: to.clone(),
        })
    };
    match (from, to) {
        _ if from == to => None,
        (Null, _) => None,
        (Dictionary(_, value), _) => misfit(value, to, nested, path, plain),
        (RunEndEncoded(_, value), _) => misfit(value.data_type(), to, nested, path, plain),
        (Struct(from), Struct(to)) => match nested {
            Nested::Position if from.len() != to.len() => unless(false),
            Nested::Position => from.iter().zip(to).find_map(|(from, to)| {
                let path = below(path, to.name());
                misfit(from.data_type(), to.data_type(), nested, &path, plain)
            }),
            Nested::Name(missing) => misfit_by_name(from, to, missing, path, plain),
        },
        (Map(from, _), Map(to, _)) => match (from.data_type(), to.data_type()) {
            // Entries have a key and a value, whatever their names.
            (Struct(from), Struct(to)) if from.len() == to.len() => from
                .iter()
                .zip(to)
                .zip(["key", "value"])
                .find_map(|((from, to), name)| {
                    misfit(
                        from.data_type(),
                        to.data_type(),
                        nested,
                        &below(path, name),
                        plain,
                    )
                }),
            _ => unless(false),
        },
        (_, List(to)) => match element(from) {
            Some(from) => {
                let path = below(path, "element");
                misfit(from.data_type(), to.data_type(), nested, &path, plain)
            }
            None => unless(false),
        },
        _ => unless(plain(from, to)),
    }
}

fn misfit_by_name(
    from: &Fields,
    to: &Fields,
    missing: MissingFields,
    path: &str,
    plain: fn(&DataType, &DataType) -> bool,
) -> Option<Misfit> {
    let extra = from.iter().find(|field| place(to, field.name()).is_none());
    if let Some(extra) = extra {
        return Some(Misfit::ExtraField {
            path: below(path, extra.name()),
        });
    }
    to.iter().find_map(|field| {
        let path = below(path, field.name());
        match place(from, field.name()) {
            Some(found) => {
                let from = from[found].data_type();
                misfit(from, field.data_type(), Nested::Name(missing), &path, plain)
            }
            None if missing == MissingFields::Null && field.is_nullable() => None,
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
pub(crate) fn assign(
    array: &ArrayRef,
    to: &DataType,
    nested: Nested,
    zone: &Zone,
) -> Result<ArrayRef, NotStored> {
    let from = array.data_type();
    let failed = |error: ArrowError| NotStored::new(from, to, error);
    match (from, to) {
        (from, to) if from == to => Ok(Arc::clone(array)),
        (DataType::Null, _) => Ok(new_null_array(to, array.len())),
        (DataType::Struct(given), DataType::Struct(fields)) => {
            let rows = array.as_struct();
            let mut columns = Vec::with_capacity(fields.len());
            for (position, field) in fields.iter().enumerate() {
                let found = match nested {
                    Nested::Position => Some(position),
                    Nested::Name(_) => place(given, field.name()),
                };
                columns.push(match found {
                    Some(found) => assign(rows.column(found), field.data_type(), nested, zone)
                        .map_err(|not_stored| not_stored.of_part(field.name()))?,
                    None => new_null_array(field.data_type(), rows.len()),
                });
            }
            let (nulls, length) = (rows.nulls().cloned(), rows.len());
            let rows = StructArray::try_new_with_length(fields.clone(), columns, nulls, length);
            Ok(Arc::new(rows.map_err(failed)?))
        }
        (DataType::Map(_, _), DataType::Map(entries, ordered)) => {
            let map = array.as_map();
            let DataType::Struct(pair) = entries.data_type() else {
                return cast(array, to).map_err(failed);
            };
            // Writers call the entries' fields differently.
            let parts = map.entries().columns().iter().zip(pair);
            let parts = parts.map(|(column, field)| {
                assign(column, field.data_type(), nested, zone).map_err(|part| part.of_part(field.name()))
            });
            let parts = parts.collect::<Result<Vec<_>, _>>()?;
            let values = StructArray::try_new_with_length(
                pair.clone(),
                parts,
                map.entries().nulls().cloned(),
                map.entries().len(),
            );
            let map = MapArray::try_new(
                Arc::clone(entries),
                map.offsets().clone(),
                values.map_err(failed)?,
                map.nulls().cloned(),
                *ordered,
            );
            Ok(Arc::new(map.map_err(failed)?))
        }
        (DataType::List(_), DataType::List(field)) => {
            let list = array.as_list::<i32>();
            let elements = assign(list.values(), field.data_type(), nested, zone)
                .map_err(|not_stored| not_stored.of_part("element"))?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            let list = ListArray::try_new(Arc::clone(field), offsets, elements, nulls);
            Ok(Arc::new(list.map_err(failed)?))
        }
        (from, DataType::List(_)) => match element(from) {
            Some(element) => {
                let list = cast(array, &DataType::List(Arc::clone(element))).map_err(failed)?;
                assign(&list, to, nested, zone)
            }
            None => cast(array, to).map_err(failed),
        },
        _ => cast_values(array, to, zone).map_err(|failure| NotStored::new(from, to, failure)),
    }
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
        Duration(TimeUnit::Microsecond) => "interval day to second".to_owned(),
        Interval(IntervalUnit::YearMonth) => "interval year to month".to_owned(),
        Interval(_) => "interval".to_owned(),
        Decimal32(precision, scale)
        | Decimal64(precision, scale)
        | Decimal128(precision, scale)
        | Decimal256(precision, scale) => format!("decimal({precision},{scale})"),
        Dictionary(_, value) => type_text(value),
        Struct(_) if crate::functions::variant::is_variant(data_type) => "variant".to_owned(),
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
    fn expressions_of_columns_are_safely_of_their_types(from: DataType, to: DataType, allowed: bool) {
        assert_eq!(assignable(&from, &to), allowed);
    }

    #[test_case(DataType::Utf8, DataType::Int32, true; "text is read as a number")]
    #[test_case(DataType::Boolean, DataType::Int32, true; "truth becomes a number")]
    #[test_case(DataType::Int32, DataType::Date32, false; "a number is no date")]
    #[test_case(DataType::Date32, DataType::Boolean, false; "a date is no truth")]
    fn values_are_cast_under_ansi(from: DataType, to: DataType, allowed: bool) {
        let list = |data_type: &DataType| DataType::new_list(data_type.clone(), true);
        for (from, to) in [(from.clone(), to.clone()), (list(&from), list(&to))] {
            let checked = Assignment::new(&schema("x", from), &schema("x", to), Nested::Position, Zone::UTC);
            assert_eq!(checked.is_ok(), allowed, "{checked:?}");
        }
    }

    #[test]
    fn a_value_inside_is_named_with_its_column() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["1", "x"]));
        let given: ArrayRef = Arc::new(StructArray::from(vec![(
            Arc::new(Field::new("a", DataType::Utf8, true)),
            texts,
        )]));
        let to = DataType::Struct(vec![Field::new("b", DataType::Int32, true)].into());
        let source = schema("s", given.data_type().clone());
        let assignment =
            Assignment::new(&source, &schema("s", to), Nested::Position, Zone::UTC).expect("assignable");
        let batch = RecordBatch::try_new(source, vec![given]).expect("valid batch");
        let error = assignment.apply(&batch).expect_err("malformed").to_string();
        assert!(error.contains("'x'") && error.contains("`s.b`"), "{error}");
    }

    #[test]
    fn overflow_names_the_column() {
        let source = schema("big", DataType::Int64);
        let target = schema("small", DataType::Int32);
        let values: ArrayRef = Arc::new(Int64Array::from(vec![1_i64 << 40]));
        let batch = RecordBatch::try_new(Arc::clone(&source), vec![values]).expect("valid batch");
        let assignment = Assignment::new(&source, &target, Nested::Position, Zone::UTC).expect("assignable");
        let error = assignment.apply(&batch).expect_err("does not fit");
        assert!(error.to_string().contains("`small`"), "{error}");
    }

    #[test]
    fn null_in_not_null_column_is_refused() {
        let source = schema("x", DataType::Int32);
        let target: SchemaRef = Arc::new(Schema::new(vec![Field::new("x", DataType::Int32, false)]));
        let values: ArrayRef = Arc::new(Int32Array::from(vec![None]));
        let batch = RecordBatch::try_new(Arc::clone(&source), vec![values]).expect("valid batch");
        let assignment = Assignment::new(&source, &target, Nested::Position, Zone::UTC).expect("assignable");
        let error = assignment.apply(&batch).expect_err("null");
        assert!(error.to_string().contains("violated for column: x"), "{error}");
    }

    #[test]
    fn struct_fields_go_by_position() {
        let from: ArrayRef = Arc::new(StructArray::from(vec![(
            Arc::new(Field::new("a", DataType::Int32, true)),
            Arc::new(Int32Array::from(vec![7])) as ArrayRef,
        )]));
        let to = DataType::Struct(vec![Field::new("b", DataType::Utf8, true)].into());
        let assigned = assign(&from, &to, Nested::Position, &Zone::UTC).expect("assignable");
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
        let assigned = assign(
            &from,
            &to(&["a", "b", "c"]),
            Nested::Name(MissingFields::Null),
            &Zone::UTC,
        )
        .expect("assignable");
        let values: Vec<_> = assigned
            .as_struct()
            .columns()
            .iter()
            .map(|column| column.as_primitive::<arrow::datatypes::Int32Type>().iter().next())
            .collect();
        assert_eq!(values, [Some(Some(1)), Some(Some(2)), Some(None)]);
        let by_name = Nested::Name(MissingFields::Null);
        let error = storable_misfit(from.data_type(), &to(&["a"]), by_name, "s").map(Error::from);
        let message = error.expect("an extra field").to_string();
        assert!(message.contains("`s.B`"), "{message}");
    }

    #[test_case(&["b", "A"], &["a", "b"], true, true; "by name, in any case and order")]
    #[test_case(&["a"], &["a", "b"], false, true; "a missing field is null where it may be missing")]
    #[test_case(&["a", "c"], &["a", "b"], false, false; "an unknown field is never dropped")]
    fn fields_of_structs_fit_by_name(given: &[&str], fields: &[&str], refused: bool, null: bool) {
        let of = |names: &[&str]| {
            let fields = names.iter().map(|name| Field::new(*name, DataType::Int32, true));
            DataType::Struct(fields.collect())
        };
        for (missing, fits) in [(MissingFields::Refused, refused), (MissingFields::Null, null)] {
            let misfit = storable_misfit(&of(given), &of(fields), Nested::Name(missing), "s");
            assert_eq!(misfit.is_none(), fits, "{misfit:?}");
        }
    }
}
