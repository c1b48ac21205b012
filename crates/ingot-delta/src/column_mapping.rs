//! Column mapping: the names that people see, and those that stand in files.
//!
//! ```text
//! schema in the log (names, physical names, ids) ─┬─► logical schema: what everybody else sees
//!                                                 └─► ColumnMapping: what writers, statistics and scans translate with
//! new metadata + the old one ─► assign ─► every field has its id and physical name
//! ```
//!
//! Always true: a column keeps its id and its physical name for life, and neither is given to another. Whoever changes
//! a schema need not know of them: a field that comes without them keeps those that the field of the same path had.
//! Source: Delta protocol, "Column Mapping"; Delta Spark, `DeltaColumnMapping`.

mod assign;
mod change;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

pub(crate) use self::assign::assign;
pub(crate) use self::change::{check_type_unreferenced, check_unreferenced, split_list};
pub use self::change::{dropped_columns, renamed_column};
use crate::schema::parse_schema_string;
use crate::type_widening::TYPE_CHANGES;
use crate::{Error, Metadata, Result, row_tracking, schema};

/// The property that says how names in the schema and in files relate: `none`, `name` or `id`.
pub(crate) const MODE: &str = "delta.columnMapping.mode";

/// The property with the largest id that was ever given to a column of the table.
pub(crate) const MAX_COLUMN_ID: &str = "delta.columnMapping.maxColumnId";

/// What a field's metadata says of it.
const ID: &str = "delta.columnMapping.id";
const PHYSICAL_NAME: &str = "delta.columnMapping.physicalName";

/// The key under which Arrow keeps the id of a field in Parquet.
const PARQUET_FIELD_ID: &str = "PARQUET:field_id";

/// Beginnings of keys of a field's metadata that map it.
const MAPPING_KEYS: [&str; 3] = [MAPPING_PREFIX, "parquet.field.", PARQUET_FIELD_ID];

const MAPPING_PREFIX: &str = "delta.columnMapping.";

/// By what a column is found in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ColumnMappingMode {
    /// By its physical name.
    Name,
    /// By its id, which the file has as the field's id.
    Id,
}

/// How the columns of one version of a table stand in its files. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Definition", into = "Definition")]
pub struct ColumnMapping {
    mode: ColumnMappingMode,
    schema_string: Arc<str>,
    schema: SchemaRef,
    /// Columns of files that the schema does not have, under their own names.
    hidden: Arc<[String]>,
}

/// A mapping as it goes to another process.
#[derive(Debug, Serialize, Deserialize)]
struct Definition {
    mode: ColumnMappingMode,
    schema_string: String,
    #[serde(default)]
    hidden: Vec<String>,
}

impl From<ColumnMapping> for Definition {
    fn from(mapping: ColumnMapping) -> Self {
        Self {
            mode: mapping.mode,
            schema_string: mapping.schema_string.to_string(),
            hidden: mapping.hidden.to_vec(),
        }
    }
}

impl TryFrom<Definition> for ColumnMapping {
    type Error = String;

    fn try_from(definition: Definition) -> Result<Self, String> {
        let schema = parse_schema_string(&definition.schema_string)?;
        check_mapped(schema.fields(), "")?;
        Ok(Self {
            mode: definition.mode,
            schema_string: definition.schema_string.into(),
            schema: Arc::new(schema),
            hidden: definition.hidden.into(),
        })
    }
}

impl ColumnMapping {
    /// Returns the mapping of a table; `None` where names in files are those in the schema. `schema` is that of
    /// `metadata`.
    ///
    /// # Errors
    /// The message tells of a mode that is none, or of a field without id or physical name.
    pub(crate) fn new(metadata: &Metadata, schema: &SchemaRef) -> Result<Option<Self>, String> {
        let Some(mode) = mode(&metadata.configuration)? else {
            return Ok(None);
        };
        check_mapped(schema.fields(), "")?;
        Ok(Some(Self {
            mode,
            schema_string: metadata.schema_string.as_str().into(),
            schema: Arc::clone(schema),
            hidden: row_tracking::hidden_columns(&metadata.configuration).into(),
        }))
    }

    /// Returns by what columns are found in files.
    pub fn mode(&self) -> ColumnMappingMode {
        self.mode
    }

    /// Returns the columns that files may hold besides the table's, under these names: those of row ids.
    pub fn hidden_columns(&self) -> &[String] {
        &self.hidden
    }

    /// Returns the fields of the table by their logical names; [`physical_name`] and [`field_id`] tell how each of
    /// them, at any depth, stands in files.
    pub fn fields(&self) -> &Fields {
        self.schema.fields()
    }
}

/// Returns the name of a field of [`ColumnMapping::fields`] in files.
pub fn physical_name(field: &Field) -> &str {
    field
        .metadata()
        .get(PHYSICAL_NAME)
        .map_or_else(|| field.name().as_str(), String::as_str)
}

/// Returns the id of a field of [`ColumnMapping::fields`] in files; `None` for items of lists and entries of maps.
pub fn field_id(field: &Field) -> Option<i32> {
    field.metadata().get(ID)?.parse().ok()
}

/// Returns the physical names on the way to a column, from the top down; `None` when there is no such column.
/// Names are matched in any case.
pub(crate) fn physical_path(fields: &Fields, path: &[&str]) -> Option<Vec<String>> {
    let (name, rest) = path.split_first()?;
    let field = fields
        .iter()
        .find(|field| field.name().eq_ignore_ascii_case(name))?;
    let mut physical = vec![physical_name(field).to_owned()];
    if !rest.is_empty() {
        let DataType::Struct(children) = field.data_type() else {
            return None;
        };
        physical.extend(physical_path(children, rest)?);
    }
    Some(physical)
}

/// Returns the logical names on the way to a column, from the top down; `None` when no column is called so in files.
pub(crate) fn logical_path(fields: &Fields, path: &[String]) -> Option<Vec<String>> {
    let (name, rest) = path.split_first()?;
    let field = fields.iter().find(|field| physical_name(field) == name)?;
    let mut logical = vec![field.name().clone()];
    if !rest.is_empty() {
        let DataType::Struct(children) = field.data_type() else {
            return None;
        };
        logical.extend(logical_path(children, rest)?);
    }
    Some(logical)
}

/// Returns `metadata` of a table that maps no columns: what its fields say of files is gone, and the properties.
///
/// # Errors
/// `InvalidArgument` with Delta's condition for names that cannot stand in files.
pub(crate) fn unmapped_metadata(metadata: &Metadata) -> Result<Metadata> {
    let mut unmapped = schema::without_field_metadata(metadata, &maps)?;
    unmapped.configuration.remove(MODE);
    unmapped.configuration.remove(MAX_COLUMN_ID);
    schema::check_schema(&unmapped).map_err(|error| {
        Error::refused(
            "DELTA_INVALID_COLUMN_NAMES_WHEN_REMOVING_COLUMN_MAPPING",
            "42K05",
            format!("{error}; column mapping cannot be removed before such columns are renamed"),
        )
    })?;
    Ok(unmapped)
}

/// Says if the table maps columns, or its schema still says how.
pub(crate) fn used(metadata: &Metadata) -> bool {
    !matches!(mode(&metadata.configuration), Ok(None)) || metadata.schema_string.contains(MAPPING_PREFIX)
}

/// Reads the mode from a table's properties. The error says what it is instead.
pub(crate) fn mode(properties: &BTreeMap<String, String>) -> Result<Option<ColumnMappingMode>, String> {
    match properties
        .get(MODE)
        .map(|mode| mode.to_ascii_lowercase())
        .as_deref()
    {
        None | Some("none") => Ok(None),
        Some("name") => Ok(Some(ColumnMappingMode::Name)),
        Some("id") => Ok(Some(ColumnMappingMode::Id)),
        Some(other) => Err(format!(
            "table property `{MODE}` is `{other}`, which is no mode of column mapping"
        )),
    }
}

/// Returns `schema` without what concerns files only.
pub(crate) fn logical(schema: &Schema) -> Schema {
    without(schema, |key| maps(key) || key == TYPE_CHANGES)
}

/// Returns `schema` without what maps its columns.
pub(crate) fn unmapped(schema: &Schema) -> Schema {
    without(schema, maps)
}

fn maps(key: &str) -> bool {
    MAPPING_KEYS.iter().any(|prefix| key.starts_with(prefix))
}

/// Returns `schema` without the keys of its fields' metadata, at any depth, that `dropped` names.
fn without(schema: &Schema, dropped: fn(&str) -> bool) -> Schema {
    let fields = schema.fields().iter();
    let fields: Fields = fields.map(|field| field_without(field, dropped)).collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

fn field_without(field: &FieldRef, dropped: fn(&str) -> bool) -> FieldRef {
    let metadata: HashMap<String, String> = field
        .metadata()
        .iter()
        .filter(|(key, _)| !dropped(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let data_type = with_inner(field.data_type(), &|inner| field_without(inner, dropped));
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()).with_metadata(metadata))
}

/// Returns the schema of files: physical names, and ids for Parquet.
pub(crate) fn physical(schema: &Schema) -> Schema {
    Schema::new(schema.fields().iter().map(physical_field).collect::<Fields>())
}

fn physical_field(field: &FieldRef) -> FieldRef {
    let id = field_id(field).map(|id| (PARQUET_FIELD_ID.to_owned(), id.to_string()));
    let data_type = with_inner(field.data_type(), &physical_field);
    let physical = Field::new(physical_name(field), data_type, field.is_nullable());
    Arc::new(physical.with_metadata(id.into_iter().collect()))
}

/// Returns the type with `change` made to the fields inside.
fn with_inner(data_type: &DataType, change: &impl Fn(&FieldRef) -> FieldRef) -> DataType {
    match data_type {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(change).collect()),
        DataType::List(item) => DataType::List(change(item)),
        DataType::Map(entries, sorted) => DataType::Map(change(entries), *sorted),
        other => other.clone(),
    }
}

/// Says what is wrong with a schema that should be mapped.
fn check_mapped(fields: &Fields, parent: &str) -> Result<(), String> {
    for field in fields {
        let path = match parent {
            "" => field.name().clone(),
            parent => format!("{parent}.{}", field.name()),
        };
        if !field.metadata().contains_key(PHYSICAL_NAME) || field_id(field).is_none() {
            return Err(format!(
                "column `{path}` has no physical name or no id, though columns are mapped"
            ));
        }
        check_mapped_inside(field.data_type(), &path)?;
    }
    Ok(())
}

fn check_mapped_inside(data_type: &DataType, path: &str) -> Result<(), String> {
    match data_type {
        // A VARIANT is a struct in Arrow only.
        DataType::Struct(fields) if is_variant(fields) => Ok(()),
        DataType::Struct(fields) => check_mapped(fields, path),
        DataType::List(item) => check_mapped_inside(item.data_type(), path),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) => pair
                .iter()
                .try_for_each(|part| check_mapped_inside(part.data_type(), path)),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn is_variant(fields: &Fields) -> bool {
    fields.len() == 2
        && fields.find("metadata").is_some()
        && fields.find("value").is_some()
        && fields.iter().all(|field| !field.metadata().contains_key(ID))
}
