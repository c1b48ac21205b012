//! Whether the table of a dataset goes with its definition. Pure.

use arrow::datatypes::Schema;
use ingot_catalog::{TableInfo, TableKind};
use ingot_delta::Snapshot;
use ingot_engine::write::type_text;

use crate::definition::Dataset;
use crate::{Error, Result};

/// Checks that a table that was there is the dataset's, with its columns and partitions.
///
/// # Errors
/// `FailedPrecondition`, with what differs by name.
pub(super) fn check_table(
    dataset: &Dataset,
    kind: TableKind,
    info: &TableInfo,
    defined: &Schema,
    stored: &Snapshot,
) -> Result<()> {
    let changed = |message: String| {
        Err(Error::SchemaChanged {
            dataset: dataset.name.to_string(),
            message,
        })
    };
    if info.kind != kind {
        let (is, should_be) = (info.kind.as_str(), kind.as_str());
        return changed(format!("it is a {is}, not a {should_be}"));
    }
    let names = |schema: &Schema| -> Vec<String> {
        let fields = schema.fields().iter();
        fields.map(|field| field.name().to_lowercase()).collect()
    };
    let (defined_names, stored_names) = (names(defined), names(stored.schema()));
    if defined_names != stored_names {
        return changed(format!(
            "the query gives {}, the table has {}",
            defined_names.join(", "),
            stored_names.join(", ")
        ));
    }
    for (defined, stored) in defined.fields().iter().zip(stored.schema().fields()) {
        let (given, has) = (type_text(defined.data_type()), type_text(stored.data_type()));
        if given != has {
            let column = stored.name();
            return changed(format!(
                "column `{column}` is {given} in the query and {has} in the table"
            ));
        }
    }
    let lower =
        |columns: &[String]| -> Vec<String> { columns.iter().map(|column| column.to_lowercase()).collect() };
    let (defined, stored) = (
        lower(&dataset.partition_columns),
        lower(stored.partition_columns()),
    );
    if defined != stored {
        return changed(format!(
            "it is partitioned by ({}), the table by ({})",
            defined.join(", "),
            stored.join(", ")
        ));
    }
    Ok(())
}
