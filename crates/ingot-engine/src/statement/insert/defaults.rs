//! The word `DEFAULT` in VALUES: what a column holds that the statement leaves out.
//!
//! A column that says so in every row is left out of the query. Where only some rows do, the column is null there, and
//! a further column tells these rows apart.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, when};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Query, SetExpr, Value, Values};

use crate::write::rules::values::MissingValues;
use crate::{Error, Result};

/// What was taken out of VALUES.
pub(super) struct Defaults {
    /// Names of the columns that are left, in the order of the query's.
    names: Vec<String>,
    /// The places among them of columns with DEFAULT in some rows. Column `names.len() + n` of the query says for the
    /// `n`th of them in which.
    mixed: Vec<usize>,
}

impl Defaults {
    /// Takes DEFAULT out of a query that is a list of VALUES for the columns `names`. `None` when there is none, also
    /// where the list does not fit the columns, which is refused elsewhere.
    pub fn take(query: &mut Query, names: Vec<String>) -> Option<Self> {
        let SetExpr::Values(values) = query.body.as_mut() else {
            return None;
        };
        let rows = values.rows.iter();
        if !rows.clone().all(|row| row.len() == names.len()) {
            return None;
        }
        let default_rows = |place: usize| rows.clone().filter(|row| is_default(&row[place])).count();
        let counts: Vec<usize> = (0..names.len()).map(default_rows).collect();
        if counts.iter().all(|count| *count == 0) {
            return None;
        }
        let total = values.rows.len();
        let mut left: Vec<usize> = (0..names.len()).filter(|place| counts[*place] < total).collect();
        if left.is_empty() {
            // Rows have a column at least.
            left.push(0);
        }
        let mixed: Vec<usize> = (0..left.len()).filter(|place| counts[left[*place]] > 0).collect();
        take_from(values, &left, &mixed);
        Some(Self {
            names: left.iter().map(|place| names[*place].clone()).collect(),
            mixed,
        })
    }

    /// Gives the rows what DEFAULT stands for; returns the names of their columns too.
    pub fn restore(self, rows: DataFrame, table: &Schema) -> Result<(DataFrame, Vec<String>)> {
        let given = rows.schema().columns();
        let (state, _) = rows.clone().into_parts();
        let defaults = MissingValues::new(state, &Arc::new(table.clone()));
        let mut columns = Vec::with_capacity(self.names.len());
        for (place, name) in self.names.iter().enumerate() {
            let column = given.get(place).cloned();
            let column = column.ok_or_else(|| Error::internal("VALUES lost a column".to_owned()))?;
            let marker = self.mixed.iter().position(|mixed| *mixed == place);
            let marker = marker.and_then(|number| given.get(self.names.len() + number));
            let Some(marker) = marker else {
                columns.push(Expr::Column(column));
                continue;
            };
            let mut fields = table.fields().iter();
            let field = fields.find(|field| field.name().eq_ignore_ascii_case(name));
            let field = field.ok_or_else(|| Error::parse(format!("the table has no column `{name}`")))?;
            let mut value = when(Expr::Column(marker.clone()), defaults.default_value(field)?);
            let value = value.otherwise(Expr::Column(column.clone()))?;
            columns.push(value.alias(column.name));
        }
        Ok((rows.select(columns)?, self.names))
    }
}

/// Keeps the columns `left`, with nulls for DEFAULT, and adds columns that say where those of `mixed` had it.
fn take_from(values: &mut Values, left: &[usize], mixed: &[usize]) {
    for row in &mut values.rows {
        let mut kept: Vec<SqlExpr> = left.iter().filter_map(|place| row.get(*place).cloned()).collect();
        let markers: Vec<SqlExpr> = mixed
            .iter()
            .filter_map(|place| kept.get(*place))
            .map(|value| SqlExpr::Value(Value::Boolean(is_default(value)).into()))
            .collect();
        for value in &mut kept {
            if is_default(value) {
                *value = SqlExpr::Value(Value::Null.into());
            }
        }
        kept.extend(markers);
        row.content = kept;
    }
}

fn is_default(value: &SqlExpr) -> bool {
    matches!(value, SqlExpr::Identifier(name) if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("DEFAULT"))
}
