//! The values of columns that a statement leaves out.
//!
//! ```text
//! column left out ─┬─ default ────────────► its expression
//!                  ├─ identity ───────────► the next value
//!                  ├─ generated ──────────► its expression over the row's other values
//!                  └─ neither ────────────► null, or an error for NOT NULL
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{Field, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::dataframe::DataFrame;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, ExprSchemable, cast, lit};
use datafusion::prelude::Column;
use datafusion::scalar::ScalarValue;
use ingot_common::Kind;
use ingot_delta::column::{CURRENT_DEFAULT, GENERATION_EXPRESSION, IDENTITY_START, Identity};

use super::expression::table_expression;
use super::generated;
use super::identity::{self, Allocation};
use crate::write::{MissingFields, stored};
use crate::{Error, Result};

/// What a statement says of one column of the table.
#[derive(Debug, Clone)]
pub(crate) enum Given {
    /// Nothing.
    Missing,
    /// The value that the row has, unchanged.
    Kept(Expr),
    /// A value.
    Value(Expr),
}

/// Makes the values of columns that one statement leaves out.
#[derive(Debug)]
pub(crate) struct MissingValues {
    state: SessionState,
    table: SchemaRef,
    /// The identity columns that were given values, by name.
    allocations: Mutex<HashMap<String, Arc<Allocation>>>,
}

impl MissingValues {
    /// Prepares for a table of the schema of one snapshot.
    pub(crate) fn new(state: SessionState, table: &SchemaRef) -> Self {
        Self {
            state,
            table: Arc::clone(table),
            allocations: Mutex::default(),
        }
    }

    /// Returns the last values that identity columns were given, by name.
    pub(crate) fn high_water_marks(&self) -> BTreeMap<String, i64> {
        let allocations = self.allocations.lock().unwrap_or_else(PoisonError::into_inner);
        let allocations: Vec<Arc<Allocation>> = allocations.values().cloned().collect();
        identity::high_water_marks(&allocations)
    }

    /// Completes a row: one value for each column of the table, in order. `given` has one entry for each column;
    /// expressions are over `input`. Generated columns are computed from the row as it will be.
    ///
    /// # Errors
    /// `InvalidArgument` for a NOT NULL column without a value, and for a value for an identity column that takes none.
    pub(crate) fn complete(&self, given: Vec<Given>, input: &DFSchema) -> Result<Vec<Expr>> {
        let mut row: HashMap<String, Expr> = HashMap::with_capacity(given.len());
        for (field, given) in self.table.fields().iter().zip(given) {
            let value = match given {
                Given::Missing if field.metadata().contains_key(GENERATION_EXPRESSION) => continue,
                Given::Missing => self.missing_value(field)?,
                Given::Kept(value) => value,
                Given::Value(value) => {
                    check_takes_values(field)?;
                    value
                }
            };
            row.insert(field.name().clone(), value);
        }
        let typed = |name: &str| -> Result<Option<Expr>> {
            let (Some(value), Ok(field)) = (row.get(name), self.table.field_with_name(name)) else {
                return Ok(None);
            };
            let given = value.get_type(input)?;
            stored(value.clone(), &given, field, name, MissingFields::Null).map(Some)
        };
        let mut complete = Vec::with_capacity(self.table.fields().len());
        for field in self.table.fields() {
            complete.push(match row.get(field.name()) {
                Some(value) => value.clone(),
                None => self.generated_value(field, &typed)?,
            });
        }
        Ok(complete)
    }

    /// Completes rows by name: `given` holds, for each column of the table, the column of `rows` that it is filled
    /// from, or `None`.
    ///
    /// # Errors
    /// As [`MissingValues::complete`].
    pub(crate) fn complete_rows(&self, rows: DataFrame, given: &[Option<Column>]) -> Result<DataFrame> {
        let fields = self.table.fields();
        let generated = |place: usize| {
            given[place].is_none() && fields[place].metadata().contains_key(GENERATION_EXPRESSION)
        };
        let mut columns = Vec::with_capacity(fields.len());
        for (place, field) in fields.iter().enumerate() {
            let value = match &given[place] {
                Some(column) => {
                    check_takes_values(field)?;
                    Expr::Column(column.clone())
                }
                None if generated(place) => continue,
                None => self.missing_value(field)?,
            };
            columns.push(value.alias(field.name()));
        }
        let rows = rows.select(columns)?;
        if !(0..fields.len()).any(generated) {
            return Ok(rows);
        }
        // In a second step, so that what is computed from a value sees that value, whatever made it.
        let given = fields
            .iter()
            .enumerate()
            .map(|(place, field)| match generated(place) {
                true => Given::Missing,
                false => Given::Kept(Expr::Column(Column::from_name(field.name()))),
            });
        let complete = self.complete(given.collect(), rows.schema())?;
        let named = complete
            .into_iter()
            .zip(fields)
            .map(|(value, field)| value.alias(field.name()));
        Ok(rows.select(named.collect::<Vec<_>>())?)
    }

    /// Returns what the keyword DEFAULT stands for in a row beside others that have values.
    ///
    /// # Errors
    /// `Unsupported` for a generated and for an identity column.
    pub(crate) fn default_value(&self, field: &Field) -> Result<Expr> {
        let generated = field.metadata().contains_key(GENERATION_EXPRESSION);
        if generated || Identity::of(field)?.is_some() {
            return Err(Error::unsupported(format!(
                "DEFAULT for column `{}` cannot stand beside other values: the column is generated",
                field.name()
            )));
        }
        self.missing_value(field)
    }

    /// Returns the value of a column that a statement leaves out, for all but generated columns.
    ///
    /// # Errors
    /// `InvalidArgument` for a NOT NULL column without a value.
    pub(crate) fn missing_value(&self, field: &Field) -> Result<Expr> {
        if let Some(identity) = Identity::of(field)? {
            let mut allocations = self.allocations.lock().unwrap_or_else(PoisonError::into_inner);
            let allocation = allocations
                .entry(field.name().clone())
                .or_insert_with(|| Arc::new(Allocation::new(field.name(), identity)));
            return Ok(identity::values(allocation));
        }
        if let Some(text) = field.metadata().get(CURRENT_DEFAULT) {
            let value = table_expression(&self.state, text, &arrow::datatypes::Schema::empty())?;
            return Ok(cast(value, field.data_type().clone()));
        }
        if field.is_nullable() {
            return Ok(lit(ScalarValue::try_from(field.data_type())?));
        }
        Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "INCOMPATIBLE_DATA_FOR_TABLE.CANNOT_FIND_DATA",
            sqlstate: "KD000",
            message: format!(
                "cannot find data for the column `{}`, which is not null",
                field.name()
            ),
        })
    }

    fn generated_value(&self, field: &Field, row: &impl Fn(&str) -> Result<Option<Expr>>) -> Result<Expr> {
        let Some(text) = field.metadata().get(GENERATION_EXPRESSION) else {
            return self.missing_value(field);
        };
        let expression = generated(&self.state, text, field, &self.table)?;
        let substituted = expression.transform(|part| match &part {
            Expr::Column(column) => match row(&column.name) {
                Ok(Some(value)) => Ok(Transformed::yes(value)),
                Ok(None) => Ok(Transformed::no(part)),
                Err(error) => Err(datafusion::error::DataFusionError::External(Box::new(error))),
            },
            _ => Ok(Transformed::no(part)),
        })?;
        Ok(substituted.data)
    }
}

/// Says if a column that a statement leaves out has a value other than null.
pub(crate) fn has_own_value(field: &Field) -> bool {
    let keys = [CURRENT_DEFAULT, GENERATION_EXPRESSION, IDENTITY_START];
    keys.iter().any(|key| field.metadata().contains_key(*key))
}

/// Refuses a value for an identity column that is always generated.
///
/// # Errors
/// `InvalidArgument`, naming the column.
pub(crate) fn check_takes_values(field: &Field) -> Result<()> {
    match Identity::of(field)? {
        Some(identity) if !identity.allow_explicit_insert => Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "DELTA_IDENTITY_COLUMNS_EXPLICIT_INSERT_NOT_SUPPORTED",
            sqlstate: "42808",
            message: format!(
                "providing values for GENERATED ALWAYS AS IDENTITY column `{}` is not supported",
                field.name()
            ),
        }),
        _ => Ok(()),
    }
}
