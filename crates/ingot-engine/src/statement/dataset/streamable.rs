//! Whether a query may be run batch by batch: the rows of all batches together must be those of the query over all rows.
//!
//! So a stream goes through filters, expressions, unions, and joins that keep each of its rows whatever comes later. What
//! needs all rows at once (aggregates, DISTINCT, windows, LIMIT, two streams that are joined) is refused. Source:
//! Spark, `UnsupportedOperationChecker`.

use datafusion::common::JoinType;
use datafusion::logical_expr::{Join, LogicalPlan};
use ingot_common::Kind;

use crate::provider::with_delta;
use crate::{Error, Result};

/// Checks a plan.
///
/// # Errors
/// `STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION`, naming what needs all rows.
pub(super) fn check_streamable(plan: &LogicalPlan) -> Result<()> {
    streams(plan).map(drop)
}

/// Says if rows of a stream come out of a node.
fn streams(plan: &LogicalPlan) -> Result<bool> {
    if let LogicalPlan::TableScan(scan) = plan {
        return Ok(with_delta(scan, |table| table.streamed()).unwrap_or(false));
    }
    check_subqueries(plan)?;
    if let LogicalPlan::Join(join) = plan {
        return streams_of_join(join);
    }
    let mut any = false;
    for input in plan.inputs() {
        any |= streams(input)?;
    }
    if !any {
        return Ok(false);
    }
    match plan {
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::Repartition(_)
        // The order of rows in a table is nobody's.
        | LogicalPlan::Sort(_) => Ok(true),
        LogicalPlan::Aggregate(_) => Err(refused("aggregates")),
        LogicalPlan::Distinct(_) => Err(refused("DISTINCT")),
        LogicalPlan::Window(_) => Err(refused("window functions")),
        LogicalPlan::Limit(_) => Err(refused("LIMIT")),
        LogicalPlan::RecursiveQuery(_) => Err(refused("recursive queries")),
        _ => Err(refused("operators that read all rows at once")),
    }
}

fn streams_of_join(join: &Join) -> Result<bool> {
    let (left, right) = (streams(&join.left)?, streams(&join.right)?);
    match (left, right, join.join_type) {
        (false, false, _)
        | (
            true,
            false,
            JoinType::Inner | JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark,
        )
        | (
            false,
            true,
            JoinType::Inner
            | JoinType::Right
            | JoinType::RightSemi
            | JoinType::RightAnti
            | JoinType::RightMark,
        ) => Ok(left || right),
        (true, true, _) => Err(refused("joins of two streams")),
        _ => Err(refused("outer joins that wait for the stream's rows")),
    }
}

/// A subquery in an expression is computed whole.
fn check_subqueries(plan: &LogicalPlan) -> Result<()> {
    let mut found = Ok(());
    let walked = plan.apply_subqueries(|subquery| {
        let inner = subquery
            .inputs()
            .into_iter()
            .try_fold(false, |any, input| streams(input).map(|one| any | one));
        match inner {
            Ok(false) => Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue),
            Ok(true) => {
                found = Err(refused("subqueries in expressions over a stream"));
                Ok(datafusion::common::tree_node::TreeNodeRecursion::Stop)
            }
            Err(error) => {
                found = Err(error);
                Ok(datafusion::common::tree_node::TreeNodeRecursion::Stop)
            }
        }
    });
    walked?;
    found
}

fn refused(operation: &str) -> Error {
    Error::Condition {
        kind: Kind::Unsupported,
        condition: "STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION",
        sqlstate: "42KDE",
        message: format!(
            "{operation} need all rows of a stream, which come batch by batch; put them into a materialized view over \
             the streaming table"
        ),
    }
}
