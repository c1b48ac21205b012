//! The columns that a table is clustered by: metadata of the domain `delta.clustering`.
//!
//! The log names columns as files do, statements as the schema does. Source: Delta protocol, "Clustered Table".

use serde_json::{Value, json};

use crate::{Error, Metadata, Result};

/// The domain.
pub const CLUSTERING_DOMAIN: &str = "delta.clustering";

/// How many columns a table may be clustered by.
const COLUMNS_MAX: usize = 4;

/// What a table is clustered by; by nothing where there are no columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusteringDomain {
    /// Paths of columns, named as the schema does.
    pub columns: Vec<Vec<String>>,
}

impl ClusteringDomain {
    /// Checks columns that a statement names, in any case, against the table of `metadata`.
    ///
    /// # Errors
    /// `InvalidArgument`, in Delta's conditions: too many columns, unknown ones, ones that are named twice, or are of
    /// a type without bounds.
    pub fn new(metadata: &Metadata, columns: &[Vec<String>]) -> Result<Self> {
        if columns.len() > COLUMNS_MAX {
            return Err(Error::refused(
                "DELTA_CLUSTER_BY_INVALID_NUM_COLUMNS",
                "54000",
                format!(
                    "CLUSTER BY supports up to {COLUMNS_MAX} clustering columns, but the table has {}",
                    columns.len()
                ),
            ));
        }
        let schema = parse(metadata)?;
        let mut spelled: Vec<Vec<String>> = Vec::with_capacity(columns.len());
        for path in columns {
            let fields = walk(&schema, path, Names::Logical).ok_or_else(|| {
                Error::refused(
                    "DELTA_COLUMN_NOT_FOUND",
                    "42703",
                    format!("unable to find the column `{}`", path.join(".")),
                )
            })?;
            let names: Vec<String> = fields
                .iter()
                .map(|field| text(field, "name").to_owned())
                .collect();
            if spelled.contains(&names) {
                return Err(Error::refused(
                    "COLUMN_ALREADY_EXISTS",
                    "42711",
                    format!("the clustering column `{}` is named twice", path.join(".")),
                ));
            }
            let data_type = fields.last().map_or(&Value::Null, |field| &field["type"]);
            if !has_bounds(data_type) {
                return Err(Error::refused(
                    "DELTA_CLUSTERING_COLUMNS_DATATYPE_NOT_SUPPORTED",
                    "0A000",
                    format!(
                        "CLUSTER BY is not supported because the column `{}` of type {data_type} doesn't support data \
                         skipping",
                        path.join(".")
                    ),
                ));
            }
            spelled.push(names);
        }
        Ok(Self { columns: spelled })
    }

    /// Reads the domain's configuration in the table of `metadata` at `location`.
    ///
    /// # Errors
    /// `DataLoss` for one that cannot be read, or names what the table does not have.
    pub(crate) fn parse(configuration: &str, location: &str, metadata: &Metadata) -> Result<Self> {
        let corrupt = || Error::CorruptLog {
            location: location.to_owned(),
            message: format!("domain `{CLUSTERING_DOMAIN}` cannot be read: {configuration}"),
        };
        let configuration: Value = serde_json::from_str(configuration).map_err(|_| corrupt())?;
        let schema = parse(metadata)?;
        let columns = configuration["clusteringColumns"]
            .as_array()
            .ok_or_else(corrupt)?;
        let columns = columns.iter().map(|path| {
            let parts: Option<Vec<String>> = path
                .as_array()?
                .iter()
                .map(|part| part.as_str().map(str::to_owned))
                .collect();
            let fields = walk(&schema, &parts?, Names::Physical)?;
            Some(
                fields
                    .iter()
                    .map(|field| text(field, "name").to_owned())
                    .collect(),
            )
        });
        let columns = columns
            .collect::<Option<Vec<Vec<String>>>>()
            .ok_or_else(corrupt)?;
        Ok(Self { columns })
    }

    /// Writes the domain's configuration for the table of `metadata`.
    ///
    /// # Errors
    /// `InvalidArgument` where the table lacks a column.
    pub fn configuration(&self, metadata: &Metadata) -> Result<String> {
        let schema = parse(metadata)?;
        let physical = self.columns.iter().map(|path| {
            let fields = walk(&schema, path, Names::Logical)?;
            Some(
                fields
                    .iter()
                    .map(|field| physical_name(field).to_owned())
                    .collect(),
            )
        });
        let physical = physical.collect::<Option<Vec<Vec<String>>>>();
        let physical = physical.ok_or_else(|| Error::InvalidArgument {
            message: format!("clustering columns are not all in the table: {:?}", self.columns),
        })?;
        Ok(json!({"domainName": CLUSTERING_DOMAIN, "clusteringColumns": physical}).to_string())
    }
}

/// Which names a path is made of.
#[derive(Debug, Clone, Copy)]
enum Names {
    Logical,
    Physical,
}

/// Finds the fields along a path through structs.
fn walk<'a>(schema: &'a Value, path: &[String], names: Names) -> Option<Vec<&'a Value>> {
    let mut found = Vec::with_capacity(path.len());
    let mut inside = schema;
    for part in path {
        let mut fields = inside.get("fields")?.as_array()?.iter();
        let field = fields.find(|field| match names {
            Names::Logical => text(field, "name").to_lowercase() == part.to_lowercase(),
            Names::Physical => physical_name(field) == part,
        })?;
        inside = &field["type"];
        found.push(field);
    }
    (!found.is_empty()).then_some(found)
}

fn text<'a>(field: &'a Value, key: &str) -> &'a str {
    field.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn physical_name(field: &Value) -> &str {
    let physical = field["metadata"]["delta.columnMapping.physicalName"].as_str();
    physical.unwrap_or_else(|| text(field, "name"))
}

/// Says if values of a type have a smallest and a largest in statistics.
fn has_bounds(data_type: &Value) -> bool {
    data_type
        .as_str()
        .is_some_and(|name| !["boolean", "binary", "variant"].contains(&name))
}

fn parse(metadata: &Metadata) -> Result<Value> {
    serde_json::from_str(&metadata.schema_string).map_err(|error| Error::Internal {
        message: format!("schema is not JSON: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use test_case::test_case;

    use super::*;
    use crate::action::Format;

    fn metadata(properties: &[(&str, &str)]) -> Metadata {
        let schema = json!({"type": "struct", "fields": [
            {"name": "Id", "type": "long", "nullable": true, "metadata": {"delta.columnMapping.physicalName": "col-1"}},
            {"name": "s", "nullable": true, "metadata": {}, "type": {"type": "struct", "fields": [
                {"name": "at", "type": "timestamp", "nullable": true, "metadata": {}},
            ]}},
            {"name": "flag", "type": "boolean", "nullable": true, "metadata": {}},
            {"name": "list", "nullable": true, "metadata": {},
             "type": {"type": "array", "elementType": "long", "containsNull": true}},
        ]});
        let properties = properties
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Metadata {
            id: "id".to_owned(),
            name: None,
            description: None,
            format: Format::default(),
            schema_string: schema.to_string(),
            partition_columns: Vec::new(),
            created_time: None,
            configuration: properties.collect::<BTreeMap<_, _>>(),
        }
    }

    fn paths(columns: &[&str]) -> Vec<Vec<String>> {
        let path = |text: &&str| text.split('.').map(str::to_owned).collect();
        columns.iter().map(path).collect()
    }

    #[test]
    fn the_log_names_columns_as_files_do() {
        let metadata = metadata(&[]);
        let domain = ClusteringDomain::new(&metadata, &paths(&["ID", "s.AT"])).expect("columns");
        assert_eq!(domain.columns, paths(&["Id", "s.at"]));
        let written = domain.configuration(&metadata).expect("written");
        let json: Value = serde_json::from_str(&written).expect("json");
        assert_eq!(json["clusteringColumns"], json!([["col-1"], ["s", "at"]]));
        assert_eq!(
            ClusteringDomain::parse(&written, "file:///t/", &metadata).expect("read"),
            domain
        );
        let error = ClusteringDomain::parse("{}", "file:///t/", &metadata).expect_err("no columns");
        assert!(
            matches!(&error, Error::CorruptLog { location, .. } if location == "file:///t/"),
            "{error:?}"
        );
    }

    #[test_case(&["x"], &[], "DELTA_COLUMN_NOT_FOUND")]
    #[test_case(&["id", "Id"], &[], "COLUMN_ALREADY_EXISTS")]
    #[test_case(&["flag"], &[], "DELTA_CLUSTERING_COLUMNS_DATATYPE_NOT_SUPPORTED")]
    #[test_case(&["list"], &[], "DELTA_CLUSTERING_COLUMNS_DATATYPE_NOT_SUPPORTED")]
    #[test_case(&["s"], &[], "DELTA_CLUSTERING_COLUMNS_DATATYPE_NOT_SUPPORTED")]
    #[test_case(&["a", "b", "c", "d", "e"], &[], "DELTA_CLUSTER_BY_INVALID_NUM_COLUMNS")]
    fn columns_that_cannot_cluster(columns: &[&str], properties: &[(&str, &str)], refused: &str) {
        let error = ClusteringDomain::new(&metadata(properties), &paths(columns)).expect_err("refused");
        assert!(
            matches!(&error, Error::Refused { condition, .. } if *condition == refused),
            "{error:?}"
        );
    }
}
