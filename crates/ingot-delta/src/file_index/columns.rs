//! Which columns have partition values and statistics, by logical name, and how statistics JSON is read.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};

use super::{COUNT_TYPE, Request};
use crate::column_mapping::physical_name;
use crate::type_widening;

/// The columns of a table as its file index sees them.
#[derive(Debug)]
pub(super) struct Columns {
    partition: HashMap<String, PartitionColumn>,
    data: HashMap<String, DataColumn>,
    /// The shape in which statistics JSON is read, physical names.
    statistics: SchemaRef,
}

/// A column that partitions the table.
#[derive(Debug)]
pub(super) struct PartitionColumn {
    pub physical: String,
    pub data_type: DataType,
}

/// A column, maybe nested, that statistics may cover.
#[derive(Debug)]
pub(super) struct DataColumn {
    /// Physical names from the top level down.
    pub path: Vec<String>,
    pub data_type: DataType,
    /// Whether minima and maxima exist for the type.
    pub bounded: bool,
    /// The column was a `float` once: the bounds of its older files are rounded to one.
    pub was_float: bool,
}

impl Columns {
    pub fn new(schema: &SchemaRef, partition_columns: &[String]) -> Self {
        let mut partition = HashMap::new();
        let mut data_fields: Vec<FieldRef> = Vec::new();
        for field in schema.fields() {
            if partition_columns.contains(field.name()) {
                let column = PartitionColumn {
                    physical: physical_name(field).to_owned(),
                    data_type: field.data_type().clone(),
                };
                partition.insert(field.name().clone(), column);
            } else {
                data_fields.push(Arc::clone(field));
            }
        }
        let mut data = HashMap::new();
        collect_columns(&data_fields, "", &[], &mut data);
        Self {
            partition,
            data,
            statistics: statistics_schema(&data_fields),
        }
    }

    pub fn partition(&self) -> &HashMap<String, PartitionColumn> {
        &self.partition
    }

    pub fn data(&self, column: &str) -> Option<&DataColumn> {
        self.data.get(column)
    }

    pub fn statistics_schema(&self) -> &SchemaRef {
        &self.statistics
    }

    /// Returns the type of the array that answers `request`; `None` where there is no such column.
    pub fn data_type_of(&self, request: &Request) -> Option<DataType> {
        match request {
            Request::Sizes | Request::NumRecords => Some(COUNT_TYPE),
            Request::PartitionValues(name) => Some(self.partition.get(name)?.data_type.clone()),
            Request::MinValues(name) | Request::MaxValues(name) => {
                let column = self.data.get(name).filter(|column| column.bounded)?;
                Some(column.data_type.clone())
            }
            Request::NullCounts(name) => self.data.get(name).map(|_| COUNT_TYPE),
            Request::ExactBounds(name) => self.data.get(name).map(|_| DataType::Boolean),
        }
    }
}

/// Lists leaves by logical name. A top-level column wins over a nested one whose joined name is the same.
fn collect_columns(
    fields: &[FieldRef],
    prefix: &str,
    path: &[String],
    columns: &mut HashMap<String, DataColumn>,
) {
    let place = |field: &Field| {
        let mut path = path.to_vec();
        path.push(physical_name(field).to_owned());
        (format!("{prefix}{}", field.name()), path)
    };
    for field in fields {
        if nested_fields(field).is_none() {
            let (name, path) = place(field);
            columns.entry(name).or_insert_with(|| DataColumn {
                path,
                data_type: field.data_type().clone(),
                bounded: has_bounds(field.data_type()),
                was_float: type_widening::was(field, "float"),
            });
        }
    }
    for field in fields {
        if let Some(nested) = nested_fields(field) {
            let (name, path) = place(field);
            collect_columns(nested, &format!("{name}."), &path, columns);
        }
    }
}

/// Returns the fields of a struct; a VARIANT, which is a struct of two binaries in Arrow, has none.
fn nested_fields(field: &Field) -> Option<&Fields> {
    match field.data_type() {
        DataType::Struct(fields) => {
            let variant =
                fields.len() == 2 && fields.find("metadata").is_some() && fields.find("value").is_some();
            (!variant).then_some(fields)
        }
        _ => None,
    }
}

fn has_bounds(data_type: &DataType) -> bool {
    data_type.is_numeric()
        || matches!(
            data_type,
            DataType::Utf8
                | DataType::LargeUtf8
                | DataType::Boolean
                | DataType::Date32
                | DataType::Timestamp(_, _)
        )
}

fn statistics_schema(fields: &[FieldRef]) -> SchemaRef {
    let mut members = vec![
        Field::new("numRecords", DataType::Int64, true),
        Field::new("tightBounds", DataType::Boolean, true),
    ];
    let bounds = Fields::from(bound_fields(fields));
    let counts = Fields::from(count_fields(fields));
    if !bounds.is_empty() {
        members.push(Field::new("minValues", DataType::Struct(bounds.clone()), true));
        members.push(Field::new("maxValues", DataType::Struct(bounds), true));
    }
    if !counts.is_empty() {
        members.push(Field::new("nullCount", DataType::Struct(counts), true));
    }
    Arc::new(Schema::new(members))
}

fn bound_fields(fields: &[FieldRef]) -> Vec<Field> {
    let leaf = |field: &FieldRef| {
        let data_type = match nested_fields(field) {
            Some(nested) => {
                let nested = bound_fields(nested);
                (!nested.is_empty()).then(|| DataType::Struct(nested.into()))
            }
            None => has_bounds(field.data_type()).then(|| field.data_type().clone()),
        };
        data_type.map(|data_type| Field::new(physical_name(field), data_type, true))
    };
    fields.iter().filter_map(leaf).collect()
}

fn count_fields(fields: &[FieldRef]) -> Vec<Field> {
    let leaf = |field: &FieldRef| {
        let data_type = match nested_fields(field) {
            Some(nested) => {
                let nested = count_fields(nested);
                (!nested.is_empty()).then(|| DataType::Struct(nested.into()))
            }
            None => Some(DataType::Int64),
        };
        data_type.map(|data_type| Field::new(physical_name(field), data_type, true))
    };
    fields.iter().filter_map(leaf).collect()
}
