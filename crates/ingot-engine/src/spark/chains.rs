//! Many operands of one operator: a tree of few levels, where the parser makes one of a level for each.
//!
//! `a OR b OR c OR d` is `(a OR b) OR (c OR d)`, with the same order and the same value; `a || b || c` is
//! `concat(a, b, c)`, which is what it means in Spark.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr};

use crate::ast::{call, take};

/// Operands of which trees stay as they are.
const SHORT: usize = 16;

/// Rewrites an expression whose operator is the same as those of its left sides.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::BinaryOp { op, .. } = expr else { return };
    let op = match op {
        BinaryOperator::And | BinaryOperator::Or | BinaryOperator::StringConcat => op.clone(),
        _ => return,
    };
    if op != BinaryOperator::StringConcat && length(expr, &op) <= SHORT {
        return;
    }
    let mut operands = Vec::new();
    let mut rest = take(expr);
    loop {
        match rest {
            Expr::BinaryOp {
                left,
                op: same,
                right,
            } if same == op => {
                operands.push(*right);
                rest = *left;
            }
            first => {
                operands.push(first);
                break;
            }
        }
    }
    operands.reverse();
    *expr = match op {
        BinaryOperator::StringConcat => call("concat", operands),
        op => balanced(operands, &op),
    };
}

fn length(expr: &Expr, op: &BinaryOperator) -> usize {
    let mut operands = 1;
    let mut rest = expr;
    while let Expr::BinaryOp { left, op: same, .. } = rest
        && same == op
    {
        operands += 1;
        rest = left;
    }
    operands
}

/// Joins neighbours until one is left.
fn balanced(mut operands: Vec<Expr>, op: &BinaryOperator) -> Expr {
    while operands.len() > 1 {
        let mut pairs = Vec::with_capacity(operands.len().div_ceil(2));
        let mut rest = operands.into_iter();
        while let Some(left) = rest.next() {
            pairs.push(match rest.next() {
                Some(right) => Expr::BinaryOp {
                    left: Box::new(left),
                    op: op.clone(),
                    right: Box::new(right),
                },
                None => left,
            });
        }
        operands = pairs;
    }
    let mut rest = operands.into_iter();
    rest.next().unwrap_or_else(|| crate::ast::text(""))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;
    use crate::dialect;

    #[test_case("a AND b OR c", "a AND b OR c"; "few")]
    #[test_case(
        "x1 = 1 OR x2 OR x3 OR x4 OR x5 OR x6 OR x7 OR x8 OR x9 OR x10 OR x11 OR x12 OR x13 OR x14 OR x15 OR x16 OR x17",
        "x1 = 1 OR x2 OR x3 OR x4 OR x5 OR x6 OR x7 OR x8 OR x9 OR x10 OR x11 OR x12 OR x13 OR x14 OR x15 OR x16 OR x17"
    )]
    fn the_order_of_operands_stays(text: &str, expected: &str) {
        let mut expr = dialect::expression(text).expect("an expression");
        rewrite(&mut expr);
        assert_eq!(expr.to_string(), expected);
    }

    #[test]
    fn a_thousand_operands_make_ten_levels() {
        let mut expr = dialect::expression(&format!("a{}", " AND a".repeat(1_000))).expect("an expression");
        rewrite(&mut expr);
        let mut levels = 0;
        let mut rest = &expr;
        while let Expr::BinaryOp { left, .. } = rest {
            levels += 1;
            rest = left;
        }
        assert_eq!(levels, 10);
    }
}
