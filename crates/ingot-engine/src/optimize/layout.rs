//! How a table's rows are to be laid out: what the request and the table say together.
//!
//! A clustered table is always clustered by its own columns; a z-order, a choice of partitions and compaction are for
//! the others. Source: Spark, `OptimizeTableCommand`.

use arrow::datatypes::{DataType, Fields};
use ingot_common::Kind;
use ingot_delta::Snapshot;
use ingot_delta::writer::has_statistics;

use super::cluster::Order;
use super::curve::Shape;
use super::limits::{Limits, ZORDER_CHECK};
use super::{Request, Task, ranges};
use crate::{Error, Result, Session};

/// How rows are laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Small files are packed together.
    Compact,
    /// Each file stays, without its deleted rows.
    Purge,
    /// Along Morton's curve, partition by partition.
    ZOrder(Order),
    /// In ZCubes, along Hilbert's curve.
    Cluster {
        order: Order,
        /// The names of the columns.
        columns: Vec<String>,
        /// Also what is clustered already.
        full: bool,
    },
}

impl Layout {
    /// Decides the layout of a table.
    ///
    /// # Errors
    /// `InvalidArgument` and `Unsupported`, in Delta's conditions, for what the table is not made for.
    pub fn of(session: &Session, snapshot: &Snapshot, request: &Request, limits: &Limits) -> Result<Self> {
        if request.task == Task::Purge {
            return Ok(Self::Purge);
        }
        if request.auto.is_some() {
            // What a commit left is packed; clustering it is left to OPTIMIZE.
            return Ok(Self::Compact);
        }
        let columns = clustering_columns(snapshot)?;
        if let Some(columns) = &columns {
            check_clustered(request, columns)?;
        }
        let columns = columns.filter(|columns| !columns.is_empty());
        let full = request.task == Task::OptimizeFull;
        let order = |columns: Vec<Vec<String>>, shape| Order {
            columns,
            shape,
            file_bytes_target: limits.file_bytes_target,
        };
        match (&request.task, columns) {
            (_, Some(columns)) => {
                let order = order(columns, Shape::Hilbert);
                Ok(Self::Cluster {
                    columns: order.names(),
                    order,
                    full,
                })
            }
            (Task::OptimizeFull, None) => Err(refused(
                Kind::InvalidArgument,
                "DELTA_OPTIMIZE_FULL_NOT_SUPPORTED",
                "42601",
                "OPTIMIZE FULL is only supported for clustered tables with non-empty clustering columns"
                    .to_owned(),
            )),
            (Task::ZOrder(named), None) => {
                let columns = named.iter().map(|path| zorder_column(session, snapshot, path));
                Ok(Self::ZOrder(order(
                    columns.collect::<Result<_>>()?,
                    Shape::Morton,
                )))
            }
            (Task::Optimize | Task::Purge, None) => Ok(Self::Compact),
        }
    }
}

/// Returns the columns that a table is clustered by; `None` for one that is not clustered.
fn clustering_columns(snapshot: &Snapshot) -> Result<Option<Vec<Vec<String>>>> {
    let features = snapshot.protocol().writer_features.iter().flatten();
    if !features.into_iter().any(|feature| feature == "clustering") {
        return Ok(None);
    }
    Ok(Some(snapshot.clustering_columns()?.unwrap_or_default()))
}

fn check_clustered(request: &Request, columns: &[Vec<String>]) -> Result<()> {
    if let Some(predicate) = &request.predicate {
        return Err(refused(
            Kind::Unsupported,
            "DELTA_CLUSTERING_WITH_PARTITION_PREDICATE",
            "0A000",
            format!("OPTIMIZE of a clustered table takes no partition predicate; remove `{predicate}`"),
        ));
    }
    if let Task::ZOrder(_) = &request.task {
        let names: Vec<String> = columns.iter().map(|path| path.join(".")).collect();
        return Err(refused(
            Kind::InvalidArgument,
            "DELTA_CLUSTERING_WITH_ZORDER_BY",
            "42613",
            format!(
                "the table is clustered by ({}) and takes no ZORDER BY; ALTER TABLE … CLUSTER BY changes its columns",
                names.join(", ")
            ),
        ));
    }
    Ok(())
}

/// Finds a column to order by, and spells it as the schema does.
fn zorder_column(session: &Session, snapshot: &Snapshot, path: &[String]) -> Result<Vec<String>> {
    let name = path.join(".");
    let Some((spelled, data_type)) = find(snapshot.schema().fields(), path) else {
        return Err(refused(
            Kind::InvalidArgument,
            "DELTA_ZORDERING_COLUMN_DOES_NOT_EXIST",
            "42703",
            format!("z-ordering column `{name}` does not exist in the table"),
        ));
    };
    let first = spelled.first().map(String::as_str).unwrap_or_default();
    if snapshot.partition_columns().iter().any(|column| column == first) {
        return Err(refused(
            Kind::InvalidArgument,
            "DELTA_ZORDERING_ON_PARTITION_COLUMN",
            "42P10",
            format!("`{name}` is a partition column; z-ordering is by data columns only"),
        ));
    }
    let checked = session.setting(ZORDER_CHECK);
    let checked = checked.is_none_or(|value| !value.eq_ignore_ascii_case("false"));
    if !ranges::orderable(&data_type) || (checked && !has_statistics(snapshot, &spelled)?) {
        return Err(refused(
            Kind::InvalidArgument,
            "DELTA_ZORDERING_ON_COLUMN_WITHOUT_STATS",
            "KD00D",
            format!(
                "z-ordering on `{name}` would be ineffective: files have no statistics of it. Set table property \
                 `delta.dataSkippingStatsColumns`, or `{ZORDER_CHECK}` to false"
            ),
        ));
    }
    Ok(spelled)
}

/// Walks a path through structs; names compare without case.
fn find(fields: &Fields, path: &[String]) -> Option<(Vec<String>, DataType)> {
    let (name, rest) = path.split_first()?;
    let field = fields
        .iter()
        .find(|field| field.name().eq_ignore_ascii_case(name))?;
    match (rest, field.data_type()) {
        ([], data_type) => Some((vec![field.name().clone()], data_type.clone())),
        (rest, DataType::Struct(children)) => {
            let (mut below, data_type) = find(children, rest)?;
            below.insert(0, field.name().clone());
            Some((below, data_type))
        }
        _ => None,
    }
}

fn refused(kind: Kind, condition: &'static str, sqlstate: &'static str, message: String) -> Error {
    Error::Condition {
        kind,
        condition,
        sqlstate,
        message,
    }
}
