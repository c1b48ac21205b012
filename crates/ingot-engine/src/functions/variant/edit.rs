//! `variant_insert(v, path, value)`, `try_variant_insert`, `variant_set(v, path, value [, create_if_missing])`,
//! `variant_array_append(v, path, value)`, `variant_delete(v, path, ...)` and `variant_strip_nulls(v [, arrays])`.
//!
//! ```text
//! variant ─► its parts in their order ─► a new variant, with the names that it needs
//!                    │
//!                    └─► the part that the path leads to is another, or is not written
//! ```
//! A null among the arguments gives null; a path of `variant_delete` that is null is passed over. A path that is a
//! constant is read in any case. Source: Spark, `VariantInsert`, `VariantDelete`, `VariantExpressionEvalUtils`;
//! Databricks, "variant_insert function", "variant_set function", "variant_array_append function",
//! "variant_delete function".

mod change;
mod strip;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StructArray};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};
use parquet_variant::Variant;

use self::change::{Change, Encoded, Refusal, changed};
use super::cast::castable_from;
use super::path::{Step, steps};
use super::{Variants, encode, is_variant, variant_at, variant_type};
use crate::error::condition;
use crate::functions::arguments::{count, is_text, over_arrays, unexpected, up_to};
use crate::functions::collection::immutable;
use crate::functions::function::Returns;
use crate::functions::room::Room;
use crate::functions::rows::text_at;
use crate::write::type_text;

const INSERT: Editor = Editor {
    name: "variant_insert",
    action: Action::Insert,
    strict: true,
};
const TRY_INSERT: Editor = Editor {
    name: "try_variant_insert",
    strict: false,
    ..INSERT
};
const SET: Editor = Editor {
    name: "variant_set",
    action: Action::Set,
    strict: true,
};
const APPEND: Editor = Editor {
    name: "variant_array_append",
    action: Action::Append,
    strict: true,
};
const DELETE: &str = "variant_delete";

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        immutable(
            INSERT.name,
            |types| INSERT.arguments(types),
            Returns::Of(|_| Ok(variant_type())),
            |arguments| INSERT.edit(arguments),
        ),
        immutable(
            TRY_INSERT.name,
            |types| TRY_INSERT.arguments(types),
            Returns::Of(|_| Ok(variant_type())),
            |arguments| TRY_INSERT.edit(arguments),
        ),
        immutable(
            SET.name,
            |types| SET.arguments(types),
            Returns::Field(|arguments| {
                check_constant(SET.name, arguments, 3)?;
                Ok(variant_type())
            }),
            |arguments| SET.edit(arguments),
        ),
        immutable(
            APPEND.name,
            |types| APPEND.arguments(types),
            Returns::Of(|_| Ok(variant_type())),
            |arguments| APPEND.edit(arguments),
        ),
        immutable(
            DELETE,
            delete_arguments,
            Returns::Of(|_| Ok(variant_type())),
            delete,
        ),
        strip::function(),
    ]
}

/// A function that changes what one path leads to.
struct Editor {
    name: &'static str,
    action: Action,
    /// Says if a change that cannot be made is an error; else it gives null.
    strict: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Insert,
    Set,
    Append,
}

impl Editor {
    fn arguments(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let most = if self.action == Action::Set { 4 } else { 3 };
        count(self.name, types, 3, most)?;
        let mut wanted = vec![
            variant_argument(self.name, types.first())?,
            DataType::Utf8,
            value_argument(types.get(2))?,
        ];
        wanted.extend(types.get(3).map(constant_argument));
        up_to(self.name, types, 3, &wanted)
    }

    fn edit(&self, arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut paths = Paths::new(self.name, self.action == Action::Append);
        paths.check(&arguments.args, 1..2)?;
        over_arrays(arguments, |arrays| {
            let call = Call::of(arrays)?;
            let rows = call.variants.len();
            let (mut edited, mut room) = (Variants::new(rows), Room::new());
            for row in 0..rows {
                match self.row(&call, row, &mut paths)? {
                    Some(encoded) => append(&encoded, &mut edited, &mut room)?,
                    None => edited.append_null(),
                }
            }
            edited.finish()
        })
    }

    fn row(&self, call: &Call<'_>, row: usize, paths: &mut Paths) -> Result<Option<Encoded>> {
        let (Some((path, create)), Some(variant)) = (call.options(row), variant_at(call.variants, row)?)
        else {
            return Ok(None);
        };
        let steps = paths.steps(path)?;
        let (metadata, value) = encode::of_row(call.values, row)?;
        let value = Variant::try_new(&metadata, &value)?;
        let change = match self.action {
            Action::Insert => Change::Insert(value),
            Action::Set => Change::Set { value, create },
            Action::Append => Change::Append(value),
        };
        match changed(&variant, steps, &change) {
            Ok(encoded) => Ok(Some(encoded)),
            Err(refusal) if !self.strict && refusal.avoidable() => Ok(None),
            Err(refusal) => Err(refusal.error(self.name, path, steps)),
        }
    }
}

/// The arguments of a call for a batch.
struct Call<'a> {
    variants: &'a StructArray,
    paths: &'a StringArray,
    values: &'a ArrayRef,
    create: Option<&'a ArrayRef>,
}

impl<'a> Call<'a> {
    fn of(arrays: &'a [ArrayRef]) -> Result<Self> {
        let paths = text_at(arrays, 1)?;
        match arrays {
            [variants, _, values, rest @ ..] => Ok(Self {
                variants: variants.as_struct(),
                paths,
                values,
                create: rest.first(),
            }),
            _ => Err(DataFusionError::Internal(format!(
                "three arguments are wanted, not {}",
                arrays.len()
            ))),
        }
    }

    /// Returns the path of a row, and if what is missing on it is made; `None` where one of them or the value is null.
    fn options(&self, row: usize) -> Option<(&'a str, bool)> {
        let create = match self.create {
            Some(create) => truth(create, row)?,
            None => true,
        };
        let valid = !self.values.data_type().is_null() && self.values.is_valid(row);
        (valid && self.paths.is_valid(row)).then(|| (self.paths.value(row), create))
    }
}

/// Returns a truth value; `None` for a null, which may be one without a type.
fn truth(truths: &ArrayRef, row: usize) -> Option<bool> {
    let truths = truths.as_boolean_opt()?;
    truths.is_valid(row).then(|| truths.value(row))
}

fn append((metadata, value): &Encoded, into: &mut Variants, room: &mut Room) -> Result<()> {
    room.take(1, metadata.len() + value.len())?;
    into.append(metadata, value);
    Ok(())
}

/// Returns the type of an argument that has to be a variant.
fn variant_argument(function: &str, found: Option<&DataType>) -> Result<DataType> {
    match found {
        None | Some(DataType::Null) => Ok(variant_type()),
        Some(variant) if is_variant(variant) => Ok(variant.clone()),
        Some(other) => Err(unexpected(function, 1, "a VARIANT", other)),
    }
}

/// Returns the type of an argument that becomes a variant; structs and maps do not unasked.
fn value_argument(found: Option<&DataType>) -> Result<DataType> {
    match found {
        None => Ok(DataType::Null),
        Some(text) if is_text(text) => Ok(DataType::Utf8),
        Some(value) if castable_from(value) => Ok(value.clone()),
        Some(other) => Err(condition(
            "DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
            "42K09",
            format!("cannot cast {} to VARIANT", type_text(other).to_uppercase()),
        )),
    }
}

/// Returns the type of an argument that is a constant truth value. A null stays as it is: it would not be a constant
/// once it is converted.
fn constant_argument(found: &DataType) -> DataType {
    match found {
        DataType::Null => DataType::Null,
        _ => DataType::Boolean,
    }
}

/// Checks that the argument at `place`, from 0, is a constant where it is given.
fn check_constant(function: &str, arguments: &ReturnFieldArgs<'_>, place: usize) -> Result<()> {
    match arguments.scalar_arguments.get(place) {
        Some(None) => Err(condition(
            "DATATYPE_MISMATCH.NON_FOLDABLE_INPUT",
            "42K09",
            format!("argument {} of `{function}` has to be a constant", place + 1),
        )),
        _ => Ok(()),
    }
}

fn delete_arguments(types: &[DataType]) -> Result<Vec<DataType>> {
    count(DELETE, types, 2, usize::MAX)?;
    let mut wanted = vec![DataType::Utf8; types.len()];
    if let Some(variant) = wanted.first_mut() {
        *variant = variant_argument(DELETE, types.first())?;
    }
    up_to(DELETE, types, 2, &wanted)
}

fn delete(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let mut paths = Paths::new(DELETE, false);
    paths.check(&arguments.args, 1..arguments.args.len())?;
    over_arrays(arguments, |arrays| {
        let columns = (1..arrays.len()).map(|place| text_at(arrays, place));
        let columns: Vec<&StringArray> = columns.collect::<Result<_>>()?;
        let Some(variants) = arrays.first().and_then(|variants| variants.as_struct_opt()) else {
            return Err(DataFusionError::Internal("a variant is wanted".to_owned()));
        };
        let (mut edited, mut room) = (Variants::new(variants.len()), Room::new());
        for row in 0..variants.len() {
            let Some(variant) = variant_at(variants, row)? else {
                edited.append_null();
                continue;
            };
            let mut encoded = encode::of_part(variant);
            for column in columns.iter().filter(|column| column.is_valid(row)) {
                encoded = deleted(&encoded, column.value(row), &mut paths)?;
            }
            append(&encoded, &mut edited, &mut room)?;
        }
        edited.finish()
    })
}

fn deleted((metadata, value): &Encoded, path: &str, paths: &mut Paths) -> Result<Encoded> {
    let steps = paths.steps(path)?;
    let variant = Variant::try_new(metadata, value)?;
    changed(&variant, steps, &Change::Delete).map_err(|refusal| refusal.error(DELETE, path, steps))
}

/// The paths of a call, of which one after the other is often the same.
struct Paths {
    function: &'static str,
    /// Says if a path may lead to the whole.
    whole: bool,
    known: Option<(String, Vec<Step>)>,
}

impl Paths {
    fn new(function: &'static str, whole: bool) -> Self {
        Self {
            function,
            whole,
            known: None,
        }
    }

    /// Reads the paths that are constants, among the arguments at these places.
    ///
    /// # Errors
    /// `INVALID_VARIANT_PATH`.
    fn check(&mut self, arguments: &[ColumnarValue], places: Range<usize>) -> Result<()> {
        for argument in arguments.get(places).unwrap_or_default() {
            if let ColumnarValue::Scalar(ScalarValue::Utf8(Some(path))) = argument {
                self.steps(path)?;
            }
        }
        Ok(())
    }

    /// Returns the steps of a path.
    ///
    /// # Errors
    /// `INVALID_VARIANT_PATH`.
    fn steps(&mut self, path: &str) -> Result<&[Step]> {
        if self.known.as_ref().is_none_or(|(known, _)| known != path) {
            self.known = Some((path.to_owned(), self.read(path)?));
        }
        let known = self.known.as_ref();
        Ok(known.map(|(_, steps)| steps.as_slice()).unwrap_or_default())
    }

    fn read(&self, path: &str) -> Result<Vec<Step>> {
        let counted = |step: &Step| match step {
            Step::Index(index) => i32::try_from(*index).is_ok(),
            Step::Name(_) => true,
        };
        steps(path)
            .filter(|steps| (self.whole || !steps.is_empty()) && steps.iter().all(counted))
            .ok_or_else(|| {
                condition(
                    "INVALID_VARIANT_PATH",
                    "22023",
                    format!("`{path}` is no path for `{}`, as `$.a[0]['b']` is", self.function),
                )
            })
    }
}

impl Refusal {
    /// Says if a `try_` function gives null instead.
    fn avoidable(&self) -> bool {
        matches!(self, Self::Duplicate(_) | Self::Mismatch { .. })
    }

    fn error(self, function: &str, path: &str, steps: &[Step]) -> DataFusionError {
        match self {
            Self::Duplicate(name) => condition(
                "VARIANT_DUPLICATE_KEY",
                "22023",
                format!("the object has the key `{name}` already"),
            ),
            Self::Mismatch { taken } => condition(
                "VARIANT_PATH_TYPE_MISMATCH",
                "22023",
                format!(
                    "`{function}` cannot follow the path `{path}`: what is at `{}` is of another type",
                    written(steps.get(..taken).unwrap_or(steps))
                ),
            ),
            Self::TooLarge => condition(
                "VARIANT_SIZE_LIMIT",
                "22023",
                format!(
                    "`{function}` makes no variant of more than {} bytes",
                    change::BYTES_MAX
                ),
            ),
            Self::TooDeep => condition(
                "VARIANT_SIZE_LIMIT",
                "22023",
                format!(
                    "`{function}` makes no variant of more than {} levels",
                    change::LEVELS_MAX
                ),
            ),
            Self::Failed(error) => error,
        }
    }
}

/// Writes steps as a path that is read as them again.
fn written(steps: &[Step]) -> String {
    let mut path = "$".to_owned();
    for step in steps {
        path += &match step {
            Step::Index(index) => format!("[{index}]"),
            Step::Name(name) if !name.is_empty() && !name.contains(['.', '[']) => format!(".{name}"),
            Step::Name(name) if name.contains('\'') => format!("[\"{name}\"]"),
            Step::Name(name) => format!("['{name}']"),
        };
    }
    path
}

#[cfg(test)]
mod tests {
    use arrow::array::BinaryArray;
    use arrow::datatypes::{Field, FieldRef};
    use datafusion::config::ConfigOptions;

    use super::*;

    /// Calls a function with a variant of these bytes, which may be malformed, and texts.
    fn called(name: &str, metadata: &[u8], value: &[u8], texts: &[&str]) -> Result<ColumnarValue> {
        let DataType::Struct(fields) = variant_type() else {
            panic!("a variant is a struct");
        };
        let bytes: Vec<ArrayRef> = vec![
            Arc::new(BinaryArray::from(vec![metadata])),
            Arc::new(BinaryArray::from(vec![value])),
        ];
        let variant: ArrayRef = Arc::new(StructArray::new(fields, bytes, None));
        let mut args = vec![ColumnarValue::Array(variant)];
        args.extend(
            texts
                .iter()
                .map(|text| ColumnarValue::Scalar(ScalarValue::from(*text))),
        );
        let arg_fields: Vec<FieldRef> = args
            .iter()
            .map(|value| Arc::new(Field::new("argument", value.data_type(), true)))
            .collect();
        let made = functions();
        let function = made.iter().find(|function| function.name() == name);
        function
            .expect("a function")
            .invoke_with_args(ScalarFunctionArgs {
                args,
                arg_fields,
                number_rows: 1,
                return_field: Arc::new(Field::new(name, variant_type(), true)),
                config_options: Arc::new(ConfigOptions::default()),
            })
    }

    /// Bytes that are no variant: nothing, counts and offsets of what is not there, a text that is no UTF-8.
    const MALFORMED: [(&[u8], &[u8]); 7] = [
        (&[], &[0]),
        (&[1, 0, 0], &[]),
        (&[1, 255, 255], &[0]),
        (&[2, 0, 0], &[0]),
        (&[1, 0, 0], &[0b0000_0010, 255, 0, 0]),
        (&[1, 0, 0], &[0b0001_0011, 255, 255, 255, 255, 0]),
        (&[1, 0, 0], &[0b0000_0101, 0xff]),
    ];

    #[test]
    fn what_is_malformed_is_refused() {
        for (metadata, value) in MALFORMED {
            let calls = [
                called("variant_insert", metadata, value, &["$.a", "b"]),
                called("try_variant_insert", metadata, value, &["$.a", "b"]),
                called("variant_set", metadata, value, &["$[0]", "b"]),
                called("variant_array_append", metadata, value, &["$", "b"]),
                called("variant_delete", metadata, value, &["$.a"]),
                called("variant_strip_nulls", metadata, value, &[]),
            ];
            for call in calls {
                let error = call.expect_err("malformed").to_string();
                assert!(error.contains("the variant is malformed"), "{error}");
            }
        }
    }

    #[test]
    fn steps_are_written_as_they_are_read() {
        for path in ["$", "$.a[0]", "$['a.b'][12].c", "$['']", "$[\"it's.\"]"] {
            let read = steps(path).expect("a path");
            assert_eq!(steps(&written(&read)), Some(read), "{path}");
        }
    }

    #[test]
    fn what_would_be_too_large_or_too_deep_is_refused() {
        let deep = format!("${}", ".a".repeat(change::LEVELS_MAX + 1));
        for path in ["$[2147483647]", "$[1][33554432]", &deep] {
            let refused = called(
                "variant_set",
                encode::NO_NAMES,
                &[0b0000_0011, 0, 0],
                &[path, "b"],
            );
            assert!(refused.is_err(), "{path}");
        }
    }
}
