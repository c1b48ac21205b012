//! Identity columns: values that no two rows share, given while rows are staged.
//!
//! ```text
//! mark in the snapshot ─► Allocation (one per statement and column) ─► values, batch by batch, on all cores
//!                                   └─ last value given ─► new mark, in the commit of the rows
//! ```
//!
//! Always true: a commit that gives values moves the mark of the snapshot that they were counted from; another commit
//! that moved it first is a change of metadata, so that this one conflicts and its rows are staged again with new
//! values. Writers of one process take turns ([`DeltaTable::identity_turn`]) instead of losing races. Values that a
//! statement took and did not commit are given again. Source: Delta protocol, "Identity Columns".

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use ingot_common::Kind;
use ingot_delta::column::Identity;
use ingot_delta::{DeltaTable, Snapshot};
use tokio::sync::OwnedMutexGuard;

use crate::{Error, Result};

/// The values that one statement gives to a column.
#[derive(Debug)]
pub(crate) struct Allocation {
    column: String,
    identity: Identity,
    /// How many values were given.
    given: AtomicU64,
}

impl Allocation {
    pub(crate) fn new(column: &str, identity: Identity) -> Self {
        Self {
            column: column.to_owned(),
            identity,
            given: AtomicU64::new(0),
        }
    }

    /// Gives `count` values.
    fn take(&self, count: usize) -> Result<ArrayRef> {
        let count = count as u64;
        let first = self.given.fetch_add(count, Ordering::Relaxed);
        let values = (first..first + count).map(|place| self.value(place));
        let values = values
            .collect::<Option<Vec<i64>>>()
            .ok_or_else(|| Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "ARITHMETIC_OVERFLOW",
                sqlstate: "22003",
                message: format!("no value is left for the identity column `{}`", self.column),
            })?;
        Ok(Arc::new(Int64Array::from(values)))
    }

    /// Returns the value at a place, counted from the first that this statement gives.
    fn value(&self, place: u64) -> Option<i64> {
        let steps = i64::try_from(place).ok()?.checked_mul(self.identity.step)?;
        self.identity.next()?.checked_add(steps)
    }

    /// Returns the last value that was given.
    fn last(&self) -> Option<i64> {
        let given = self.given.load(Ordering::Relaxed);
        self.value(given.checked_sub(1)?)
    }
}

/// Waits until no other writer of this process gives values to identity columns of the table, if it has any.
pub(crate) async fn turn(table: &DeltaTable) -> Result<Option<OwnedMutexGuard<()>>> {
    turn_at(table, &*table.snapshot().await?).await
}

/// Does what [`turn`] does, by a snapshot that is new. Whoever waited reads the table again.
pub(crate) async fn turn_at(table: &DeltaTable, newest: &Snapshot) -> Result<Option<OwnedMutexGuard<()>>> {
    for field in newest.schema().fields() {
        if Identity::of(field)?.is_some() {
            return Ok(Some(table.identity_turn().await));
        }
    }
    Ok(None)
}

/// Makes an expression that gives each row the next value.
pub(crate) fn values(allocation: &Arc<Allocation>) -> Expr {
    let function = ScalarUDF::from(IdentityValues {
        allocation: Arc::clone(allocation),
        signature: Signature::nullary(Volatility::Volatile),
    });
    function.call(Vec::new())
}

/// Returns the marks of the columns, by name, to which a plan has given values.
pub(crate) fn high_water_marks(allocations: &[Arc<Allocation>]) -> BTreeMap<String, i64> {
    let marks = allocations.iter().filter_map(|allocation| {
        let last = allocation.last()?;
        Some((allocation.column.clone(), last))
    });
    marks.collect()
}

/// Finds the allocations that the expressions of a plan draw from.
pub(crate) fn allocations(plan: &LogicalPlan) -> Result<Vec<Arc<Allocation>>> {
    let mut found: Vec<Arc<Allocation>> = Vec::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                if let Expr::ScalarFunction(call) = part
                    && let Some(values) = call.func.inner().downcast_ref::<IdentityValues>()
                    && !found.iter().any(|other| Arc::ptr_eq(other, &values.allocation))
                {
                    found.push(Arc::clone(&values.allocation));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

/// A function without arguments that gives the next values.
#[derive(Debug)]
struct IdentityValues {
    allocation: Arc<Allocation>,
    signature: Signature,
}

impl PartialEq for IdentityValues {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.allocation, &other.allocation)
    }
}

impl Eq for IdentityValues {}

impl Hash for IdentityValues {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.allocation).hash(state);
    }
}

impl ScalarUDFImpl for IdentityValues {
    fn name(&self) -> &'static str {
        "__ingot_identity"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> PlanResult<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let values = self.allocation.take(arguments.number_rows);
        let values = values.map_err(|error| DataFusionError::External(Box::new(error)))?;
        Ok(ColumnarValue::Array(values))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;

    use super::*;

    fn allocation(start: i64, step: i64, high_water_mark: Option<i64>) -> Allocation {
        let identity = Identity {
            start,
            step,
            high_water_mark,
            allow_explicit_insert: false,
        };
        Allocation::new("id", identity)
    }

    #[test]
    fn values_follow_the_mark() {
        let allocation = allocation(10, -5, Some(0));
        assert_eq!(allocation.last(), None);
        let values = allocation.take(3).expect("values");
        assert_eq!(values.as_primitive::<Int64Type>().values(), &[-5, -10, -15]);
        assert_eq!(allocation.last(), Some(-15));
    }

    #[test]
    fn the_last_value_is_given_and_none_after_it() {
        let allocation = allocation(i64::MAX - 1, 1, None);
        assert!(allocation.take(2).is_ok());
        let error = allocation.take(1).expect_err("none left");
        assert!(error.to_string().contains("`id`"), "{error}");
    }
}
