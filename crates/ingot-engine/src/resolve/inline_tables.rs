//! VALUES whose columns have texts in some rows and numbers in others: all become of the common type that they have in
//! Spark. DataFusion would make numbers of all, of the type of the first. Source: Spark, `ResolveInlineTables`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    DataType, ExactNumberInfo, Expr, Query, SetExpr, Statement, UnaryOperator, Value, Values, VisitMut,
    VisitorMut,
};

use crate::ast::{self, take};
use crate::spark::AnsiMode;

/// Rewrites a query and those in it.
pub(super) fn rewrite(query: &mut Statement, mode: AnsiMode) {
    let _ = VisitMut::visit(query, &mut InlineTables(mode));
}

struct InlineTables(AnsiMode);

impl VisitorMut for InlineTables {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        self.body(&mut query.body);
        ControlFlow::Continue(())
    }
}

impl InlineTables {
    fn body(&self, body: &mut SetExpr) {
        match body {
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left);
                self.body(right);
            }
            SetExpr::Values(values) => self.values(values),
            _ => {}
        }
    }

    fn values(&self, values: &mut Values) {
        let width = values.rows.first().map_or(0, |row| row.content.len());
        for column in 0..width {
            let kinds = values
                .rows
                .iter()
                .map(|row| row.content.get(column).map_or(Kind::Other, Kind::of));
            let Some(common) = self.common_type(kinds) else {
                continue;
            };
            let rows = values.rows.iter_mut();
            for value in rows.filter_map(|row| row.content.get_mut(column)) {
                *value = ast::cast(take(value), common.clone());
            }
        }
    }

    /// Returns the type of a column; `None` where it has no text beside numbers, or something else.
    fn common_type(&self, kinds: impl Iterator<Item = Kind>) -> Option<DataType> {
        let (mut text, mut whole, mut fraction) = (false, false, false);
        for kind in kinds {
            match kind {
                Kind::Null => {}
                Kind::Text => text = true,
                Kind::Whole => whole = true,
                Kind::Fraction => fraction = true,
                Kind::Other => return None,
            }
        }
        match (self.0, fraction) {
            _ if !text || !(whole || fraction) => None,
            (AnsiMode::Off, _) => Some(DataType::String(None)),
            (AnsiMode::On, true) => Some(DataType::Double(ExactNumberInfo::None)),
            (AnsiMode::On, false) => Some(DataType::BigInt(None)),
        }
    }
}

/// What a value is, as it is written.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Null,
    Text,
    Whole,
    Fraction,
    Other,
}

impl Kind {
    fn of(value: &Expr) -> Self {
        match value {
            Expr::Value(value) => match &value.value {
                Value::Null => Self::Null,
                Value::SingleQuotedString(_) | Value::DoubleQuotedString(_) => Self::Text,
                Value::Number(digits, _) if digits.bytes().all(|digit| digit.is_ascii_digit()) => Self::Whole,
                Value::Number(digits, _) if digits.parse::<f64>().is_ok() => Self::Fraction,
                _ => Self::Other,
            },
            Expr::UnaryOp {
                op: UnaryOperator::Minus | UnaryOperator::Plus,
                expr,
            } => match Self::of(expr) {
                Self::Text | Self::Null => Self::Other,
                number => number,
            },
            _ => Self::Other,
        }
    }
}
