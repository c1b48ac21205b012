//! Files all of whose rows a predicate matches, by the bounds in the log: they go without being read.
//!
//! Conservative the other way round than pruning: a bound that is too wide, or missing, only makes a file be read. A
//! null matches nothing, so a file counts only where the log says that it has none; floating-point columns never do,
//! for their bounds pass over NaN.

use std::collections::BTreeSet;

use arrow::array::{Array, ArrayRef, BooleanArray, Scalar};
use arrow::compute::kernels::cmp::{gt, gt_eq, lt, lt_eq};
use arrow::error::ArrowError;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use ingot_delta::FileIndex;

use crate::pruning;

/// Returns those of `files`, whose partition values fulfil `filters` already, of which each row fulfils the others.
pub(super) fn certain_files(
    index: &FileIndex,
    files: &[usize],
    filters: &[Expr],
    partition_columns: &[String],
) -> BTreeSet<usize> {
    let mut certain: BTreeSet<usize> = files.iter().copied().collect();
    let by_rows = filters
        .iter()
        .filter(|filter| !pruning::decided_by_partition(filter, partition_columns));
    for filter in by_rows {
        let Some(true_for) =
            Comparison::of(filter).and_then(|comparison| comparison.true_for_all_rows(index))
        else {
            return BTreeSet::new();
        };
        certain.retain(|file| true_for.is_valid(*file) && true_for.value(*file));
    }
    certain
}

/// `column operator value`.
struct Comparison<'a> {
    column: &'a str,
    operator: Operator,
    value: &'a ScalarValue,
}

impl<'a> Comparison<'a> {
    fn of(filter: &'a Expr) -> Option<Self> {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else {
            return None;
        };
        let (column, operator, value) = match (left.as_ref(), right.as_ref()) {
            (Expr::Column(column), Expr::Literal(value, _)) => (column, *op, value),
            (Expr::Literal(value, _), Expr::Column(column)) => (column, op.swap()?, value),
            _ => return None,
        };
        (!value.is_null() && !value.data_type().is_floating()).then_some(Self {
            column: &column.name,
            operator,
            value,
        })
    }

    /// Says, per file, if the comparison is true for each row; null where the log does not tell.
    fn true_for_all_rows(&self, index: &FileIndex) -> Option<BooleanArray> {
        let (least, greatest) = (index.min_values(self.column)?, index.max_values(self.column)?);
        if *least.data_type() != self.value.data_type() {
            return None;
        }
        let value = self.value.to_scalar().ok()?;
        let held = match self.operator {
            Operator::Lt => lt(&greatest, &value),
            Operator::LtEq => lt_eq(&greatest, &value),
            Operator::Gt => gt(&least, &value),
            Operator::GtEq => gt_eq(&least, &value),
            Operator::Eq => equal(&least, &greatest, &value),
            _ => return None,
        };
        let (held, nulls) = (held.ok()?, index.null_counts(self.column)?);
        let without_nulls = |file: usize| nulls.is_valid(file) && nulls.value(file) == 0;
        let answers =
            (0..held.len()).map(|file| Some(held.is_valid(file) && held.value(file) && without_nulls(file)));
        Some(answers.collect())
    }
}

fn equal(
    least: &ArrayRef,
    greatest: &ArrayRef,
    value: &Scalar<ArrayRef>,
) -> Result<BooleanArray, ArrowError> {
    arrow::compute::and(&gt_eq(least, value)?, &lt_eq(greatest, value)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
    use datafusion::logical_expr::{col, lit};
    use ingot_delta::Add;
    use test_case::test_case;

    use super::*;

    fn add(stats: &str) -> Arc<Add> {
        Arc::new(Add {
            path: "f".to_owned(),
            partition_values: BTreeMap::from([("p".to_owned(), Some("x".to_owned()))]),
            size: 1,
            modification_time: 0,
            data_change: true,
            stats: Some(stats.to_owned()),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        })
    }

    /// File 0 holds 1 to 5, file 1 those and a null, file 2 says nothing, file 3 holds 7 only.
    fn index() -> FileIndex {
        let schema: SchemaRef = Arc::new(Schema::new(vec![
            Field::new("a", DataType::Int64, true),
            Field::new("d", DataType::Float64, true),
            Field::new("p", DataType::Utf8, true),
        ]));
        let stats = |least: i64, greatest: i64, nulls: i64| {
            format!(
                r#"{{"numRecords":9,"minValues":{{"a":{least},"d":{least}}},"maxValues":{{"a":{greatest},"d":{greatest}}},"nullCount":{{"a":{nulls},"d":{nulls}}}}}"#
            )
        };
        let adds = [stats(1, 5, 0), stats(1, 5, 1), "{}".to_owned(), stats(7, 7, 0)];
        let adds = adds.iter().map(|stats| add(stats)).collect();
        FileIndex::from_adds(adds, &schema, &["p".to_owned()])
    }

    #[test_case(vec![col("a").lt(lit(6_i64))], &[0])]
    #[test_case(vec![col("a").lt(lit(5_i64))], &[]; "the greatest row stays")]
    #[test_case(vec![col("a").lt_eq(lit(5_i64))], &[0])]
    #[test_case(vec![col("a").gt(lit(0_i64))], &[0, 3])]
    #[test_case(vec![lit(0_i64).lt(col("a"))], &[0, 3]; "the other way round")]
    #[test_case(vec![col("a").gt_eq(lit(2_i64))], &[3])]
    #[test_case(vec![col("a").eq(lit(7_i64))], &[3])]
    #[test_case(vec![col("a").gt(lit(0_i64)), col("a").lt(lit(6_i64))], &[0]; "both")]
    #[test_case(vec![col("a").gt(lit(0_i64)), col("a").is_not_null()], &[]; "one that bounds do not decide")]
    #[test_case(vec![col("a").not_eq(lit(9_i64))], &[]; "unequal is not decided")]
    #[test_case(vec![col("a").lt(lit(9_i32))], &[]; "another type")]
    #[test_case(vec![col("d").lt(lit(9.0))], &[]; "NaN may be there")]
    #[test_case(vec![col("p").eq(lit("x")), col("a").lt(lit(9_i64))], &[0, 3]; "partitions are decided before")]
    fn files_of_which_all_rows_match(filters: Vec<Expr>, expected: &[usize]) {
        let certain = certain_files(&index(), &[0, 1, 2, 3], &filters, &["p".to_owned()]);
        assert_eq!(certain.into_iter().collect::<Vec<_>>(), expected);
    }
}
