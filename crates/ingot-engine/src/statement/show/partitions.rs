//! `SHOW PARTITIONS name`: the values of the partition columns, one combination a row.

use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::Column;
use datafusion::logical_expr::col;
use datafusion::sql::sqlparser::ast::ObjectName;
use ingot_common::Kind;
use ingot_common::port::StatementResult;

use super::super::describe::open;
use super::super::text_rows;
use crate::access::{self, SELECT};
use crate::{Error, Result, Session, resolve};

/// Shows the partitions.
pub(super) async fn show(session: &Session, name: ObjectName) -> Result<StatementResult> {
    let (info, table) = open(session, &name, SELECT).await?;
    if let Some(info) = &info {
        access::check_unfiltered(info, "its partitions")?;
    }
    let snapshot = table.snapshot().await?;
    let columns = snapshot.partition_columns();
    if columns.is_empty() {
        return Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "INVALID_PARTITION_OPERATION.PARTITION_SCHEMA_IS_EMPTY",
            sqlstate: "42601",
            message: format!("the table `{name}` is not partitioned"),
        });
    }
    let keys: Vec<_> = columns
        .iter()
        .map(|column| col(Column::from_name(column)))
        .collect();
    let sorted = keys.iter().map(|key| key.clone().sort(true, true)).collect();
    let rows = resolve::relation(session, &name).await?;
    let batches = rows.select(keys)?.distinct()?.sort(sorted)?.collect().await?;
    let options = FormatOptions::new().with_null("null");
    let internal = |error: arrow::error::ArrowError| Error::internal(error.to_string());
    let mut partitions = Vec::new();
    for batch in &batches {
        let values = batch.columns().iter();
        let values = values.map(|values| ArrayFormatter::try_new(values, &options));
        let values = values
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(internal)?;
        for row in 0..batch.num_rows() {
            let parts = columns.iter().zip(&values);
            let parts: Vec<String> = parts
                .map(|(column, values)| format!("{column}={}", values.value(row)))
                .collect();
            partitions.push(parts.join("/"));
        }
    }
    text_rows(&[("partition", partitions.iter().map(String::as_str).collect())])
}
