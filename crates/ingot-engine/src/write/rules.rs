//! The rules that Delta keeps with a table, enforced on every row that is written, and the values of columns that a
//! statement leaves out.
//!
//! ```text
//! statement ─► columns given ─► values (`values`): default │ generated │ identity │ null ─► rows
//! rows, in the table's types ─► RowRules::enforce: NOT NULL, lengths, CHECK, invariants, generated columns ─► files
//! ```
//!
//! Always true: whatever writes rows (INSERT, UPDATE, MERGE, streams, COPY INTO) passes staging, and staging passes
//! [`RowRules`]. A rule that evaluates to null is broken, as one that is false. Generated columns are checked whether
//! the statement gave their values or not. Source: Delta protocol, "CHECK Constraints", "Column Invariants",
//! "Generated Columns"; Delta Spark, `CheckDeltaInvariant`.

pub(crate) mod definition;
pub(crate) mod expression;
pub(crate) mod identity;
pub(crate) mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Fields, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::{Column, DFSchema};
use datafusion::dataframe::DataFrame;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, cast};
use datafusion::physical_expr::PhysicalExpr;
use ingot_common::Kind;
use ingot_delta::column::{GENERATION_EXPRESSION, INVARIANTS};

use self::expression::table_expression;
use crate::functions::variant::is_variant;
use crate::types::TextLimit;
use crate::{Error, Result};

/// Properties of this prefix are CHECK constraints, each under its name.
pub(crate) const CONSTRAINT_PREFIX: &str = "delta.constraints.";

/// The rules of one table.
#[derive(Debug)]
pub(crate) struct RowRules {
    /// Paths to fields of structs that are not null, names from the top level down.
    not_null: Vec<Vec<String>>,
    lengths: Vec<Length>,
    checks: Vec<Check>,
}

/// A column of texts that are not longer than its type.
#[derive(Debug)]
struct Length {
    column: String,
    place: usize,
    limit: TextLimit,
}

/// A condition that is true for every row.
#[derive(Debug)]
struct Check {
    name: String,
    text: String,
    condition: Arc<dyn PhysicalExpr>,
    /// The columns that the condition reads, by name.
    columns: Vec<(String, usize)>,
}

impl RowRules {
    /// Reads the rules of a table of `schema` with these properties, to which `rows` are written.
    ///
    /// # Errors
    /// `InvalidArgument` for an expression that cannot be read: nothing can be written then.
    pub(crate) fn new(
        rows: &DataFrame,
        schema: &SchemaRef,
        properties: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let mut rules = Self {
            not_null: Vec::new(),
            lengths: lengths(schema.fields()),
            checks: Vec::new(),
        };
        nested_not_null(schema.fields(), &mut Vec::new(), &mut rules.not_null);
        let constrained = properties.keys().any(|key| key.starts_with(CONSTRAINT_PREFIX));
        if !constrained && !holds_expressions(schema.fields()) {
            return Ok(rules);
        }
        let (state, _) = rows.clone().into_parts();
        rules.add_checks(&state, schema, properties)?;
        Ok(rules)
    }

    fn add_checks(
        &mut self,
        state: &SessionState,
        schema: &SchemaRef,
        properties: &BTreeMap<String, String>,
    ) -> Result<()> {
        for (key, text) in properties {
            if let Some(name) = key.strip_prefix(CONSTRAINT_PREFIX) {
                let condition = table_expression(state, text, schema)?;
                self.checks
                    .push(Check::new(state, schema, name, text, condition)?);
            }
        }
        let mut invariants = Vec::new();
        collect_invariants(schema.fields(), &mut invariants)?;
        for text in invariants {
            let condition = table_expression(state, &text, schema)?;
            let name = format!("EXPRESSION({text})");
            self.checks
                .push(Check::new(state, schema, &name, &text, condition)?);
        }
        for field in schema.fields() {
            if let Some(text) = field.metadata().get(GENERATION_EXPRESSION) {
                let generated = generated(state, text, field, schema)?;
                let condition = Expr::BinaryExpr(BinaryExpr::new(
                    Box::new(Expr::Column(Column::from_name(field.name()))),
                    Operator::IsNotDistinctFrom,
                    Box::new(generated),
                ));
                let text = format!("({} <=> {text})", field.name());
                self.checks
                    .push(Check::new(state, schema, "Generated Column", &text, condition)?);
            }
        }
        Ok(())
    }

    /// Checks rows, in the table's types.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the rule and the values of the first row that breaks it.
    pub(crate) fn enforce(&self, rows: &RecordBatch) -> Result<()> {
        for path in &self.not_null {
            if holds_null(rows, path) {
                return Err(Error::Delta(ingot_delta::Error::NullInNotNull {
                    column: path.join("."),
                }));
            }
        }
        self.lengths.iter().try_for_each(|length| length.enforce(rows))?;
        self.checks.iter().try_for_each(|check| check.enforce(rows))
    }
}

impl Length {
    fn enforce(&self, rows: &RecordBatch) -> Result<()> {
        let Some(texts) = rows.column(self.place).as_string_opt::<i32>() else {
            return Err(Error::internal(format!(
                "column `{}` holds no texts",
                self.column
            )));
        };
        let most = self.limit.length as usize;
        // What is short in bytes is short in characters.
        let long = |text: &&str| text.len() > most && text.chars().nth(most).is_some();
        match texts.iter().flatten().find(long) {
            None => Ok(()),
            Some(text) => Err(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "DELTA_EXCEED_CHAR_VARCHAR_LIMIT",
                sqlstate: "22001",
                message: format!(
                    "value \"{text}\" exceeds char/varchar type length limitation: column `{}` is {}",
                    self.column, self.limit
                ),
            }),
        }
    }
}

fn lengths(fields: &Fields) -> Vec<Length> {
    let limited = fields.iter().enumerate().filter_map(|(place, field)| {
        Some(Length {
            column: field.name().clone(),
            place,
            limit: TextLimit::of(field)?,
        })
    });
    limited.collect()
}

impl Check {
    fn new(
        state: &SessionState,
        schema: &SchemaRef,
        name: &str,
        text: &str,
        condition: Expr,
    ) -> Result<Self> {
        let mut columns = condition
            .column_refs()
            .into_iter()
            .map(|column| Ok((column.name.clone(), schema.index_of(&column.name)?)))
            .collect::<Result<Vec<_>, arrow::error::ArrowError>>()
            .map_err(datafusion::error::DataFusionError::from)?;
        columns.sort();
        let row = DFSchema::try_from(Arc::clone(schema))?;
        Ok(Self {
            name: name.to_owned(),
            text: text.to_owned(),
            condition: state.create_physical_expr(condition, &row)?,
            columns,
        })
    }

    fn enforce(&self, rows: &RecordBatch) -> Result<()> {
        let held = self.condition.evaluate(rows)?.into_array(rows.num_rows())?;
        match first_not_true(&held) {
            Some(row) => Err(self.violation(rows, row)),
            None => Ok(()),
        }
    }

    fn violation(&self, rows: &RecordBatch, row: usize) -> Error {
        let options = FormatOptions::new().with_null("null").with_display_error(true);
        let value = |place: usize| {
            let formatter = ArrayFormatter::try_new(rows.column(place).as_ref(), &options);
            formatter.map(|formatter| formatter.value(row).to_string())
        };
        let columns = self.columns.iter();
        Error::RuleBroken {
            rule: format!("{} {}", self.name, self.text),
            values: columns
                .map(|(name, place)| (name.clone(), value(*place).unwrap_or_default()))
                .collect(),
        }
    }
}

/// Returns the first row that is false or null.
fn first_not_true(held: &ArrayRef) -> Option<usize> {
    let Some(held) = held.as_boolean_opt() else {
        // A null literal: nothing holds.
        return (!held.is_empty()).then_some(0);
    };
    if held.null_count() == 0 && held.false_count() == 0 {
        return None;
    }
    let holds = |held: &BooleanArray, row: usize| held.is_valid(row) && held.value(row);
    (0..held.len()).find(|row| !holds(held, *row))
}

/// Returns the expression of a generated column, in the column's type.
pub(crate) fn generated(state: &SessionState, text: &str, field: &Field, schema: &SchemaRef) -> Result<Expr> {
    let expression = table_expression(state, text, schema)?;
    let given = expression.get_type(&DFSchema::try_from(Arc::clone(schema))?)?;
    Ok(match given == *field.data_type() {
        true => expression,
        false => cast(expression, field.data_type().clone()),
    })
}

/// Finds fields inside of structs that are not null. Those inside of lists and maps are not enforced, as in Delta;
/// columns themselves are checked when rows are assigned to them.
fn nested_not_null(fields: &Fields, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    for field in fields {
        path.push(field.name().clone());
        if path.len() > 1 && !field.is_nullable() {
            found.push(path.clone());
        }
        match field.data_type() {
            // What a variant is made of is no field of it.
            variant if is_variant(variant) => {}
            DataType::Struct(inner) => nested_not_null(inner, path, found),
            _ => {}
        }
        path.pop();
    }
}

/// Says if a field is null in a row, or a struct that it is in.
fn holds_null(rows: &RecordBatch, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else {
        return false;
    };
    let Some(mut array) = rows.column_by_name(first) else {
        return false;
    };
    if array.null_count() > 0 {
        return true;
    }
    for name in rest {
        let Some(inner) = array
            .as_struct_opt()
            .and_then(|parent| parent.column_by_name(name))
        else {
            return false;
        };
        if inner.null_count() > 0 {
            return true;
        }
        array = inner;
    }
    false
}

/// Says if a field is generated or has an invariant.
fn holds_expressions(fields: &Fields) -> bool {
    fields.iter().any(|field| {
        let metadata = field.metadata();
        let inner = match field.data_type() {
            DataType::Struct(inner) => holds_expressions(inner),
            _ => false,
        };
        inner || metadata.contains_key(GENERATION_EXPRESSION) || metadata.contains_key(INVARIANTS)
    })
}

/// Collects the expressions of `delta.invariants`: JSON in a text.
fn collect_invariants(fields: &Fields, found: &mut Vec<String>) -> Result<()> {
    for field in fields {
        if let Some(json) = field.metadata().get(INVARIANTS) {
            let parsed: Option<serde_json::Value> = serde_json::from_str(json).ok();
            let text = parsed
                .as_ref()
                .and_then(|json| json.pointer("/expression/expression")?.as_str());
            let text = text.ok_or_else(|| {
                Error::unsupported(format!(
                    "the invariant of column `{}` cannot be read: {json}",
                    field.name()
                ))
            })?;
            found.push(text.to_owned());
        }
        if let DataType::Struct(inner) = field.data_type() {
            collect_invariants(inner, found)?;
        }
    }
    Ok(())
}
