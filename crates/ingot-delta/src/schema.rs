//! Arrow types to Delta types: which can be stored, and as what.
//!
//! Delta knows one type for what Arrow has several of: `string` is Utf8, never a view, a dictionary or a large
//! string; timestamps are microseconds. Source: Delta protocol, "Primitive Types"; the conversion to Delta's
//! JSON is the kernel's.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit,
};
use delta_kernel::engine::arrow_conversion::{TryFromArrow, TryIntoArrow};
use delta_kernel::schema::StructType;
use serde_json::Value;

use crate::{Error, Metadata, Result, column, column_mapping};

/// What no column's name may hold in a table without column mapping. Source: Delta protocol, "Column Mapping";
/// Parquet as Spark reads it.
const FORBIDDEN_IN_NAMES: [char; 10] = [' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '='];

/// Which names columns may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnNames {
    /// Those that can stand in files: without ` ,;{}()\n\t=`.
    InFiles,
    /// Any: columns have other names in files.
    Any,
}

impl ColumnNames {
    /// Returns which names the columns of a table with these properties may have.
    pub fn of(properties: &BTreeMap<String, String>) -> Self {
        match column_mapping::mode(properties) {
            Ok(Some(_)) => Self::Any,
            Ok(None) | Err(_) => Self::InFiles,
        }
    }
}

/// Returns the schema that a Delta table has for rows of `schema`: same names, nullability and comments, types
/// replaced by those that Delta stores.
///
/// # Errors
/// `InvalidArgument`, naming the column, for a type that Delta lacks, for names that hold what `names` forbids, and
/// for names that differ in case only.
pub fn storable_schema(schema: &Schema, names: ColumnNames) -> Result<SchemaRef> {
    let fields = storable_fields(schema.fields(), "", names)?;
    Ok(Arc::new(Schema::new_with_metadata(
        fields,
        schema.metadata().clone(),
    )))
}

/// Returns the type that Delta stores for `data_type`; `None` when there is none.
///
/// Unsigned integers become the next larger signed type, because Delta has no unsigned ones.
pub fn storable_type(data_type: &DataType) -> Option<DataType> {
    storable(data_type, "", ColumnNames::InFiles).ok()
}

/// Writes a schema of storable types as Delta's JSON.
pub(crate) fn schema_string(schema: &Schema) -> Result<String> {
    let fields = StructType::try_from_arrow(schema).map_err(|source| Error::Arrow {
        action: "convert the schema to Delta's",
        source,
    })?;
    let mut schema = serde_json::to_value(&fields).map_err(|error| Error::Internal {
        message: format!("schema does not serialize: {error}"),
    })?;
    column::restore_types(&mut schema);
    Ok(schema.to_string())
}

/// Reads Delta's JSON as the schema that a snapshot has. The error tells what is wrong with the text.
pub(crate) fn parse_schema_string(text: &str) -> Result<Schema, String> {
    let schema: StructType =
        serde_json::from_str(text).map_err(|error| format!("schema is not a Delta schema: {error}"))?;
    (&schema)
        .try_into_arrow()
        .map_err(|error| format!("schema cannot be expressed in Arrow: {error}"))
}

/// Checks the names of a table's new schema.
///
/// # Errors
/// `InvalidArgument`, naming the column.
pub(crate) fn check_schema(metadata: &Metadata) -> Result<()> {
    let schema =
        parse_schema_string(&metadata.schema_string).map_err(|message| Error::InvalidArgument { message })?;
    let names = ColumnNames::of(&metadata.configuration);
    storable_fields(schema.fields(), "", names).map(drop)
}

/// Says if a table has a timestamp without time zone, at any depth.
pub(crate) fn has_timestamp_ntz(metadata: &Metadata) -> bool {
    if !metadata.schema_string.contains("\"timestamp_ntz\"") {
        return false;
    }
    let schema = parse_schema_string(&metadata.schema_string);
    schema.is_ok_and(|schema| {
        let mut fields = schema.fields().iter();
        fields.any(|field| holds_timestamp_ntz(field.data_type()))
    })
}

/// Says if a column is not null, or a field of a struct; what lists and maps hold does not count. Spark takes the
/// first for a use of the feature `invariants`, and refuses a table that does not list it.
pub(crate) fn has_not_null(metadata: &Metadata) -> bool {
    fn any(fields: &Fields) -> bool {
        fields.iter().any(|field| {
            let inner = match field.data_type() {
                DataType::Struct(inner) => any(inner),
                _ => false,
            };
            inner || !field.is_nullable()
        })
    }
    if !metadata.schema_string.contains("\"nullable\":false")
        && !metadata.schema_string.contains("\"nullable\": false")
    {
        return false;
    }
    parse_schema_string(&metadata.schema_string).is_ok_and(|schema| any(schema.fields()))
}

/// Returns `metadata` with a schema whose fields, at any depth, lack the keys of their metadata that `dropped` names.
pub(crate) fn without_field_metadata(
    metadata: &Metadata,
    dropped: &dyn Fn(&str) -> bool,
) -> Result<Metadata> {
    let parsed = serde_json::from_str(&metadata.schema_string);
    let mut schema: Value = parsed.map_err(|error| Error::Internal {
        message: format!("schema is no JSON: {error}"),
    })?;
    strip_field_metadata(&mut schema, dropped);
    Ok(Metadata {
        schema_string: schema.to_string(),
        ..metadata.clone()
    })
}

/// Takes keys out of the metadata of the fields of a schema in JSON, at any depth.
pub(crate) fn strip_field_metadata(schema: &mut Value, dropped: &dyn Fn(&str) -> bool) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(metadata)) = members.get_mut("metadata") {
                metadata.retain(|key, _| !dropped(key));
            }
            members
                .iter_mut()
                .filter(|(key, _)| *key != "metadata")
                .for_each(|(_, value)| strip_field_metadata(value, dropped));
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| strip_field_metadata(item, dropped)),
        _ => {}
    }
}

fn holds_timestamp_ntz(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, None) => true,
        DataType::Struct(fields) => fields.iter().any(|field| holds_timestamp_ntz(field.data_type())),
        DataType::List(field) | DataType::Map(field, _) => holds_timestamp_ntz(field.data_type()),
        _ => false,
    }
}

fn storable_fields(fields: &Fields, parent: &str, names: ColumnNames) -> Result<Fields> {
    let mut seen = HashSet::new();
    let mut storable = Vec::with_capacity(fields.len());
    for field in fields {
        let path = if parent.is_empty() {
            field.name().clone()
        } else {
            format!("{parent}.{}", field.name())
        };
        let forbidden = names == ColumnNames::InFiles && field.name().contains(FORBIDDEN_IN_NAMES);
        if field.name().is_empty() || forbidden {
            return Err(Error::refused(
                "DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES",
                "42K05",
                format!(
                    "column name `{path}` is empty or holds one of ` ,;{{}}()\\n\\t=`, which Delta forbids; give it an \
                 alias, or map columns with table property `delta.columnMapping.mode`"
                ),
            ));
        }
        if !seen.insert(field.name().to_lowercase()) {
            return Err(Error::refused(
                "DELTA_DUPLICATE_COLUMNS_FOUND",
                "42711",
                format!("column `{path}` stands twice in the schema; names differ by more than case"),
            ));
        }
        storable.push(storable_field(field, &path, names)?);
    }
    Ok(storable.into())
}

fn storable_field(field: &Field, path: &str, names: ColumnNames) -> Result<FieldRef> {
    let data_type = storable(field.data_type(), path, names)?;
    let stored = Field::new(field.name(), data_type, field.is_nullable());
    Ok(Arc::new(stored.with_metadata(field.metadata().clone())))
}

fn storable(data_type: &DataType, path: &str, names: ColumnNames) -> Result<DataType> {
    let list = |item: &FieldRef| Ok(DataType::List(storable_field(item, path, names)?));
    match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Date32
        | DataType::Utf8
        | DataType::Binary => Ok(data_type.clone()),
        DataType::UInt8 => Ok(DataType::Int16),
        DataType::UInt16 => Ok(DataType::Int32),
        DataType::UInt32 => Ok(DataType::Int64),
        DataType::UInt64 => Ok(DataType::Decimal128(20, 0)),
        DataType::Float16 => Ok(DataType::Float32),
        DataType::Date64 => Ok(DataType::Date32),
        DataType::LargeUtf8 | DataType::Utf8View => Ok(DataType::Utf8),
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => Ok(DataType::Binary),
        DataType::Dictionary(_, value) => storable(value, path, names),
        DataType::RunEndEncoded(_, values) => storable(values.data_type(), path, names),
        DataType::Timestamp(_, None) => Ok(DataType::Timestamp(TimeUnit::Microsecond, None)),
        DataType::Timestamp(_, Some(_)) => Ok(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale)
            if *precision <= DECIMAL128_MAX_PRECISION && *scale >= 0 =>
        {
            Ok(DataType::Decimal128(*precision, *scale))
        }
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => list(item),
        DataType::Struct(fields) => Ok(DataType::Struct(storable_fields(fields, path, names)?)),
        DataType::Map(entries, _) => {
            let DataType::Struct(pair) = entries.data_type() else {
                return Err(no_type(data_type, path));
            };
            let pair = pair
                .iter()
                .map(|field| storable_field(field, path, names))
                .collect::<Result<Vec<_>>>()?;
            let entries = Field::new(entries.name(), DataType::Struct(pair.into()), false);
            Ok(DataType::Map(Arc::new(entries), false))
        }
        _ => Err(no_type(data_type, path)),
    }
}

fn no_type(data_type: &DataType, path: &str) -> Error {
    Error::refused(
        "DELTA_UNSUPPORTED_DATA_TYPES",
        "0AKDC",
        format!("column `{path}` has type {data_type}, which Delta cannot store; cast it"),
    )
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(DataType::Utf8View, DataType::Utf8)]
    #[test_case(DataType::UInt32, DataType::Int64)]
    #[test_case(
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8View)),
        DataType::Utf8
    )]
    #[test_case(
        DataType::Timestamp(TimeUnit::Nanosecond, Some("+01:00".into())),
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
    )]
    fn storable_type_of(arrow: DataType, delta: DataType) {
        assert_eq!(storable_type(&arrow), Some(delta));
    }

    #[test]
    fn types_delta_lacks_are_refused_by_column_and_type() {
        let inner = Field::new(
            "d",
            DataType::Interval(arrow::datatypes::IntervalUnit::DayTime),
            true,
        );
        let schema = Schema::new(vec![Field::new("s", DataType::Struct(vec![inner].into()), true)]);
        let error = storable_schema(&schema, ColumnNames::InFiles).expect_err("no interval in Delta");
        assert!(
            error.to_string().contains("column `s.d` has type Interval"),
            "{error}"
        );
    }

    #[test_case("count(*)")]
    #[test_case("a b")]
    #[test_case("a=b")]
    #[test_case("a\tb")]
    #[test_case("")]
    fn names_that_delta_forbids_are_refused(name: &str) {
        let inner = Field::new(name, DataType::Int64, true);
        for field in [
            inner.clone(),
            Field::new("s", DataType::Struct(vec![inner].into()), true),
        ] {
            let error =
                storable_schema(&Schema::new(vec![field]), ColumnNames::InFiles).expect_err("forbidden");
            assert!(error.to_string().contains(&format!("{name}`")), "{error}");
        }
    }

    #[test]
    fn names_that_differ_in_case_only_are_refused() {
        let schema = Schema::new(vec![
            Field::new("Id", DataType::Int64, true),
            Field::new("id", DataType::Int64, true),
        ]);
        let error = storable_schema(&schema, ColumnNames::InFiles).expect_err("twice the same");
        assert!(error.to_string().contains("`id` stands twice"), "{error}");
    }

    #[test]
    fn metadata_of_columns_survives_the_way_through_arrow() {
        let text = r#"{"type":"struct","fields":[{"name":"s","type":{"type":"struct","fields":[{"name":"id",
            "type":"long","nullable":true,"metadata":{"delta.identity.start":1,"delta.identity.step":-2,
            "delta.identity.allowExplicitInsert":false,"delta.columnMapping.id":7,"a.b":"1"}}]},"nullable":true,
            "metadata":{"delta.generationExpression":"x + 1"}}]}"#;
        let schema = parse_schema_string(text).expect("a schema");
        let written = schema_string(&schema).expect("converts");
        let written: Value = serde_json::from_str(&written).expect("json");
        let expected: Value = serde_json::from_str(text).expect("json");
        assert_eq!(written, expected);
    }

    #[test]
    fn schema_string_keeps_comments_and_nullability() {
        let field = Field::new("id", DataType::Int64, false)
            .with_metadata([("comment".to_owned(), "the key".to_owned())].into());
        let text = schema_string(&Schema::new(vec![field])).expect("converts");
        let json: Value = serde_json::from_str(&text).expect("json");
        assert_eq!(json["fields"][0]["type"], "long");
        assert_eq!(json["fields"][0]["nullable"], false);
        assert_eq!(json["fields"][0]["metadata"]["comment"], "the key");
    }
}
