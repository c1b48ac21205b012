//! What a table's schema becomes when rows with other columns are written to it.
//!
//! ```text
//! snapshot + columns of the rows ─► merge_schema │ overwritten ─► Evolution ─► FileWriter ─► files ─┐
//!                                                                     └── metadata, protocol ───────┴─► one commit
//! ```
//! The schema is changed as the log has it, in JSON: what Delta or another writer keeps with a column (comments,
//! expressions, ids) stays with it. Columns are matched by name, in any case; new ones come last, wherever they are,
//! and hold null in the rows that are there. Source: Delta, `SchemaMergingUtils.mergeSchemas`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use serde_json::Value;

use crate::clustering_domain::ClusteringDomain;
use crate::column_mapping::check_type_unreferenced;
use crate::schema::{ColumnNames, schema_string, storable_schema};
use crate::{
    DeltaTable, Error, Metadata, Protocol, Result, Snapshot, WriteTarget, create, features, schema,
    type_widening,
};

/// The parts of a field that say what the rows' columns mean, and go with a new column into the table.
const KEPT_METADATA: [&str; 1] = ["comment"];

/// What may happen to the type of a column that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TypeEvolution {
    /// Nothing: values are converted to the table's type, or do not fit.
    Keep,
    /// A whole number may become a wider one whose values Parquet stores in the same way: `byte` a `short`, both an
    /// `int`.
    Upcast,
    /// It becomes a wider one of its family; of tables with `delta.enableTypeWidening`.
    Widen,
}

/// A table's next metadata, to be committed together with the files that were written for `target`.
#[derive(Debug, Clone)]
pub struct Evolution {
    pub metadata: Metadata,
    /// Only if the new schema needs features that the table does not list.
    pub protocol: Option<Protocol>,
    /// Where rows of the new schema are written, and how.
    pub target: WriteTarget,
}

impl Evolution {
    /// Returns the new schema.
    pub fn schema(&self) -> &SchemaRef {
        self.target.schema()
    }
}

impl DeltaTable {
    /// Adds to the table the columns that `rows` have and it lacks, nested ones too. `None` when it lacks none.
    ///
    /// # Errors
    /// [`Error::SchemaMerge`], with the column's path, where one side is nested and the other is not in the same way;
    /// `InvalidArgument` for a new column that Delta cannot store, and for one that would get another type although a
    /// constraint or a generated column names it.
    pub fn merged(
        &self,
        snapshot: &Snapshot,
        rows: &Schema,
        types: TypeEvolution,
    ) -> Result<Option<Evolution>> {
        let types = match type_widening::enabled(snapshot.metadata()) {
            true => TypeEvolution::Widen,
            false => types,
        };
        let merged = merge_schema(&snapshot.metadata().schema_string, rows, types)?;
        if let Some(merged) = &merged {
            check_changed_types(snapshot.metadata(), merged)?;
        }
        let partition_columns = snapshot.partition_columns().to_vec();
        merged
            .map(|schema_string| self.evolution(snapshot, schema_string, partition_columns))
            .transpose()
    }

    /// Makes the columns of `rows` those of the table, partitioned by `partition_columns` (by those that it has when
    /// `None`). `None` when that changes nothing. All rows that are there must go in the same commit.
    ///
    /// # Errors
    /// `InvalidArgument` for columns that Delta cannot store, and for partition columns that are not among them or
    /// of a type that cannot partition.
    pub fn overwritten(
        &self,
        snapshot: &Snapshot,
        rows: &Schema,
        partition_columns: Option<&[String]>,
    ) -> Result<Option<Evolution>> {
        let stored = storable_schema(&Schema::new(new_fields(rows.fields())), ColumnNames::Any)?;
        let partition_columns = partition_columns.unwrap_or(snapshot.partition_columns());
        let partition_columns = spelled(&stored, partition_columns);
        create::check_partition_columns(&stored, &partition_columns)?;
        let overwritten = keep_metadata(&snapshot.metadata().schema_string, &schema_string(&stored)?)?;
        let same = same_json(&overwritten, &snapshot.metadata().schema_string)?
            && partition_columns == snapshot.partition_columns();
        if same {
            return Ok(None);
        }
        self.evolution(snapshot, overwritten, partition_columns).map(Some)
    }

    fn evolution(
        &self,
        snapshot: &Snapshot,
        schema_string: String,
        partition_columns: Vec<String>,
    ) -> Result<Evolution> {
        let metadata = Metadata {
            schema_string,
            partition_columns,
            ..snapshot.metadata().clone()
        };
        schema::check_schema(&metadata)?;
        let (protocol, metadata) = features::upgraded(
            self.location().as_str(),
            snapshot.protocol(),
            Some(snapshot.metadata()),
            metadata,
            [],
        )?;
        let clustering = snapshot.clustering_columns()?.unwrap_or_default();
        // A new schema must keep the columns that the log goes on naming.
        let clustering = ClusteringDomain::new(&metadata, &clustering)?.columns;
        Ok(Evolution {
            protocol: Some(protocol).filter(|protocol| protocol != snapshot.protocol()),
            target: WriteTarget::new(
                self.place().clone(),
                &metadata,
                clustering,
                &self.options().engine_info,
            )?,
            metadata,
        })
    }
}

/// Refuses a schema that gives a column another type which a rule of the table names.
fn check_changed_types(metadata: &Metadata, merged: &str) -> Result<()> {
    let mut changed = Vec::new();
    changed_types(
        &parse(&metadata.schema_string)?,
        &parse(merged)?,
        &mut Vec::new(),
        &mut changed,
    );
    changed
        .iter()
        .try_for_each(|(path, from, to)| check_type_unreferenced(metadata, path, (from, to)))
}

/// Finds the plain types of `old` that are others in `new`, which has all that `old` has.
fn changed_types(
    old: &Value,
    new: &Value,
    path: &mut Vec<String>,
    found: &mut Vec<(Vec<String>, Value, Value)>,
) {
    let mut below = |name: &str, old: Option<&Value>, new: Option<&Value>| {
        if let (Some(old), Some(new)) = (old, new) {
            path.push(name.to_owned());
            changed_types(old, new, path, found);
            path.pop();
        }
    };
    if let Some(fields) = old.get("fields").and_then(Value::as_array) {
        for field in fields {
            let name = field.get("name").and_then(Value::as_str).unwrap_or_default();
            let mut others = new.get("fields").and_then(Value::as_array).into_iter().flatten();
            let other = others.find(|other| other.get("name") == field.get("name"));
            below(name, field.get("type"), other.and_then(|other| other.get("type")));
        }
    } else if old.is_object() {
        for (part, name) in [
            ("elementType", "element"),
            ("keyType", "key"),
            ("valueType", "value"),
        ] {
            below(name, old.get(part), new.get(part));
        }
    } else if old != new {
        found.push((path.clone(), old.clone(), new.clone()));
    }
}

/// Merges the columns of `rows` into a schema as the log has it. `None` when it has them all.
///
/// # Errors
/// As [`DeltaTable::merged`].
pub fn merge_schema(table: &str, rows: &Schema, types: TypeEvolution) -> Result<Option<String>> {
    let mut merged = parse(table)?;
    let changed = merge_fields(&mut merged, rows.fields(), "", types)?;
    Ok(changed.then(|| merged.to_string()))
}

/// Merges the fields of a struct of the rows into the one of the table at `path`; says if that changed it.
fn merge_fields(table: &mut Value, rows: &Fields, path: &str, types: TypeEvolution) -> Result<bool> {
    let fields = table.get_mut("fields").and_then(Value::as_array_mut);
    let fields = fields.ok_or_else(|| not_a_schema(path))?;
    let mut changed = false;
    let mut seen: Vec<String> = Vec::with_capacity(rows.len());
    for field in rows {
        let path = join(path, field.name());
        let lower = field.name().to_lowercase();
        if seen.contains(&lower) {
            return Err(Error::InvalidArgument {
                message: format!("column `{path}` stands twice in the rows"),
            });
        }
        seen.push(lower);
        let present = fields.iter_mut().find(|present| {
            let name = present.get("name").and_then(Value::as_str);
            name.is_some_and(|name| name.eq_ignore_ascii_case(field.name()))
        });
        match present {
            Some(present) => {
                let data_type = present.get_mut("type").ok_or_else(|| not_a_schema(&path))?;
                let mut merge = TypeMerge::new(types);
                changed |= merge.merge(data_type, field.data_type(), &path)?;
                type_widening::record(present, merge.changes);
            }
            None => {
                fields.push(new_field(field, &path)?);
                changed = true;
            }
        }
    }
    Ok(changed)
}

/// The merge of the type of one field of a struct.
struct TypeMerge {
    types: TypeEvolution,
    /// Where in the field's type it is: `element`, `key` and `value`.
    inside: Vec<&'static str>,
    /// What is to be recorded on the field.
    changes: Vec<Value>,
}

impl TypeMerge {
    fn new(types: TypeEvolution) -> Self {
        Self {
            types,
            inside: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Merges the type of a column of the rows into the table's; says if that changed it.
    fn merge(&mut self, table: &mut Value, rows: &DataType, path: &str) -> Result<bool> {
        let kind = table.get("type").and_then(Value::as_str).map(str::to_owned);
        match (kind.as_deref(), rows) {
            (_, DataType::Null) => Ok(false),
            (_, DataType::Dictionary(_, values)) => self.merge(table, values, path),
            (_, DataType::RunEndEncoded(_, values)) => self.merge(table, values.data_type(), path),
            (Some("struct"), DataType::Struct(fields)) => merge_fields(table, fields, path, self.types),
            (
                Some("array"),
                DataType::List(element)
                | DataType::LargeList(element)
                | DataType::ListView(element)
                | DataType::LargeListView(element)
                | DataType::FixedSizeList(element, _),
            ) => self.merge_part(table, ("elementType", "element"), element, path),
            (Some("map"), DataType::Map(entries, _)) => {
                let DataType::Struct(pair) = entries.data_type() else {
                    return Err(does_not_fit(table, rows, path));
                };
                let mut changed = false;
                for (part, field) in [("keyType", "key"), ("valueType", "value")].into_iter().zip(pair) {
                    changed |= self.merge_part(table, part, field, path)?;
                }
                Ok(changed)
            }
            (Some(_), _) => Err(does_not_fit(table, rows, path)),
            (None, nested) if nested.is_nested() => Err(does_not_fit(table, rows, path)),
            (None, plain) => Ok(match self.types {
                TypeEvolution::Keep => false,
                TypeEvolution::Upcast => upcast(table, plain),
                TypeEvolution::Widen => {
                    let change = type_widening::widen_automatically(table, &self.inside.join("."), plain);
                    let widened = change.is_some();
                    self.changes.extend(change);
                    widened
                }
            }),
        }
    }

    fn merge_part(
        &mut self,
        table: &mut Value,
        (part, name): (&str, &'static str),
        rows: &FieldRef,
        path: &str,
    ) -> Result<bool> {
        let path = join(path, name);
        let part = table.get_mut(part).ok_or_else(|| not_a_schema(&path))?;
        self.inside.push(name);
        let merged = self.merge(part, rows.data_type(), &path);
        self.inside.pop();
        merged
    }
}

/// Makes a whole number wider if the rows' is.
fn upcast(table: &mut Value, rows: &DataType) -> bool {
    let wider = match (table.as_str(), rows) {
        (Some("byte"), DataType::Int16 | DataType::UInt8) => "short",
        (Some("byte" | "short"), DataType::Int32 | DataType::UInt16) => "integer",
        _ => return false,
    };
    *table = Value::from(wider);
    true
}

/// Returns a new column as the log has it.
fn new_field(field: &FieldRef, path: &str) -> Result<Value> {
    if field.data_type().is_null() {
        return Err(Error::InvalidArgument {
            message: format!("the new column `{path}` has no type, for all of its values are null; cast it"),
        });
    }
    let stored = storable_schema(
        &Schema::new(new_fields(&vec![Arc::clone(field)].into())),
        ColumnNames::Any,
    )?;
    let mut written = parse(&schema_string(&stored)?)?;
    let field = written
        .get_mut("fields")
        .and_then(Value::as_array_mut)
        .and_then(Vec::pop);
    field.ok_or_else(|| not_a_schema(path))
}

/// Makes fields that may be null, at any depth, and keep of their metadata what a table is to have.
fn new_fields(fields: &Fields) -> Fields {
    fields.iter().map(|field| new(field, true)).collect()
}

fn new(field: &FieldRef, nullable: bool) -> FieldRef {
    let metadata = field.metadata().iter();
    let metadata = metadata.filter(|(key, _)| KEPT_METADATA.contains(&key.as_str()));
    let metadata = metadata
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(new_fields(fields)),
        DataType::List(element) => DataType::List(new(element, true)),
        DataType::LargeList(element) => DataType::LargeList(new(element, true)),
        DataType::Map(entries, sorted) => DataType::Map(new_entries(entries), *sorted),
        other => other.clone(),
    };
    Arc::new(Field::new(field.name(), data_type, nullable).with_metadata(metadata))
}

/// Keys are never null.
fn new_entries(entries: &FieldRef) -> FieldRef {
    let data_type = match entries.data_type() {
        DataType::Struct(pair) => {
            let parts = pair.iter().enumerate();
            DataType::Struct(parts.map(|(place, part)| new(part, place > 0)).collect())
        }
        other => other.clone(),
    };
    Arc::new(Field::new(entries.name(), data_type, false))
}

/// Gives the top columns of `new` the metadata that columns of the same name and type have in `old`.
fn keep_metadata(old: &str, new: &str) -> Result<String> {
    let (old, mut new) = (parse(old)?, parse(new)?);
    let old = old.get("fields").and_then(Value::as_array);
    let fields = new.get_mut("fields").and_then(Value::as_array_mut);
    for field in fields.into_iter().flatten() {
        let same = old.into_iter().flatten().find(|old| {
            let name = |field: &Value| field.get("name").and_then(Value::as_str).map(str::to_lowercase);
            name(old) == name(field) && old.get("type") == field.get("type")
        });
        if let Some(old) = same {
            *field = old.clone();
        }
    }
    Ok(new.to_string())
}

/// Returns the names of `columns` as `schema` spells them.
fn spelled(schema: &Schema, columns: &[String]) -> Vec<String> {
    let spelling = |name: &String| {
        let mut fields = schema.fields().iter();
        let field = fields.find(|field| field.name().eq_ignore_ascii_case(name));
        field.map_or_else(|| name.clone(), |field| field.name().clone())
    };
    columns.iter().map(spelling).collect()
}

fn same_json(left: &str, right: &str) -> Result<bool> {
    Ok(parse(left)? == parse(right)?)
}

fn parse(schema_string: &str) -> Result<Value> {
    serde_json::from_str(schema_string).map_err(|error| Error::Internal {
        message: format!("schema is no JSON: {error}"),
    })
}

fn join(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

fn not_a_schema(path: &str) -> Error {
    Error::Internal {
        message: format!("the schema in the log is not one of Delta's at `{path}`"),
    }
}

fn does_not_fit(table: &Value, rows: &DataType, path: &str) -> Error {
    let table = match table {
        Value::String(name) => name.clone(),
        nested => {
            let kind = nested.get("type").and_then(Value::as_str);
            kind.unwrap_or("unknown").to_owned()
        }
    };
    Error::SchemaMerge {
        path: path.to_owned(),
        table,
        rows: rows.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    const TABLE: &str = r#"{"type":"struct","fields":[
        {"name":"Id","type":"byte","nullable":false,"metadata":{"delta.columnMapping.id":7,"comment":"key"}},
        {"name":"s","type":{"type":"struct","fields":[{"name":"a","type":"integer","nullable":true,"metadata":{}}]},
         "nullable":true,"metadata":{}},
        {"name":"l","type":{"type":"array","elementType":{"type":"struct","fields":
            [{"name":"a","type":"short","nullable":true,"metadata":{}}]},"containsNull":true},
         "nullable":true,"metadata":{}},
        {"name":"m","type":{"type":"map","keyType":"string","valueType":{"type":"struct","fields":
            [{"name":"a","type":"integer","nullable":true,"metadata":{}}]},"valueContainsNull":true},
         "nullable":true,"metadata":{}}]}"#;

    fn pair(fields: &[(&str, DataType)]) -> Fields {
        fields
            .iter()
            .map(|(name, data_type)| Field::new(*name, data_type.clone(), false))
            .collect()
    }

    fn list(fields: &[(&str, DataType)]) -> DataType {
        DataType::List(Arc::new(Field::new(
            "item",
            DataType::Struct(pair(fields)),
            false,
        )))
    }

    fn map(value: DataType) -> DataType {
        let entries = pair(&[("k", DataType::Utf8), ("v", value)]);
        DataType::Map(
            Arc::new(Field::new("entries", DataType::Struct(entries), false)),
            false,
        )
    }

    fn merged(rows: &[(&str, DataType)], types: TypeEvolution) -> Result<Option<Value>> {
        let merged = merge_schema(TABLE, &Schema::new(pair(rows)), types)?;
        merged.map(|text| parse(&text)).transpose()
    }

    #[test]
    fn columns_that_are_there_change_nothing() {
        let rows = [
            ("ID", DataType::Int64),
            ("S", DataType::Struct(pair(&[("A", DataType::Int64)]))),
            ("l", DataType::Null),
        ];
        assert_eq!(merged(&rows, TypeEvolution::Keep).expect("merges"), None);
    }

    #[test]
    fn new_columns_come_last_at_every_depth_and_may_be_null() {
        let b = ("b", DataType::UInt32);
        let rows = [
            ("first", DataType::Utf8View),
            ("s", DataType::Struct(pair(&[b.clone(), ("a", DataType::Int32)]))),
            ("l", list(std::slice::from_ref(&b))),
            ("m", map(DataType::Struct(pair(&[b])))),
        ];
        let merged = merged(&rows, TypeEvolution::Keep)
            .expect("merges")
            .expect("changed");
        let added = serde_json::json!({"name": "b", "type": "long", "nullable": true, "metadata": {}});
        assert_eq!(merged["fields"][0]["metadata"]["delta.columnMapping.id"], 7);
        assert_eq!(merged["fields"][1]["type"]["fields"][1], added);
        assert_eq!(merged["fields"][2]["type"]["elementType"]["fields"][1], added);
        assert_eq!(merged["fields"][3]["type"]["valueType"]["fields"][1], added);
        assert_eq!(merged["fields"][4]["name"], "first");
        assert_eq!(merged["fields"][4]["type"], "string");
        assert_eq!(merged["fields"][4]["nullable"], true);
    }

    #[test]
    fn whole_numbers_widen_as_far_as_parquet_stores_them_alike() {
        let rows = [("id", DataType::Int32), ("l", list(&[("a", DataType::Int64)]))];
        assert_eq!(merged(&rows, TypeEvolution::Keep).expect("merges"), None);
        let merged = merged(&rows, TypeEvolution::Upcast)
            .expect("merges")
            .expect("changed");
        assert_eq!(merged["fields"][0]["type"], "integer");
        assert_eq!(
            merged["fields"][2]["type"]["elementType"]["fields"][0]["type"],
            "short"
        );
    }

    #[test_case(&[("s", DataType::Int32)], "`s`"; "a number for a struct")]
    #[test_case(&[("id", DataType::Struct(pair(&[("a", DataType::Int32)])))], "`id`"; "a struct for a number")]
    #[test_case(&[("l", list(&[("a", list(&[]))]))], "`l.element.a`"; "nested deeper")]
    #[test_case(&[("m", map(DataType::Utf8))], "`m.value`"; "the value of a map")]
    #[test_case(&[("new", DataType::Null)], "`new`"; "a new column without a type")]
    #[test_case(&[("x", DataType::Utf8), ("X", DataType::Utf8)], "`X`"; "twice the same name")]
    fn what_does_not_fit_is_refused_with_its_path(rows: &[(&str, DataType)], path: &str) {
        let error = merged(rows, TypeEvolution::Upcast).expect_err("does not fit");
        assert!(error.to_string().contains(path), "{error}");
    }

    #[test]
    fn what_stays_in_an_overwrite_keeps_what_it_has() {
        let new = schema_string(&Schema::new(pair(&[
            ("id", DataType::Int8),
            ("n", DataType::Int8),
        ])));
        let kept = keep_metadata(TABLE, &new.expect("written")).expect("kept");
        let kept = parse(&kept).expect("json");
        assert_eq!(kept["fields"][0]["metadata"]["comment"], "key");
        assert_eq!(kept["fields"][1]["metadata"], serde_json::json!({}));
    }
}
