//! `TABLESAMPLE (n PERCENT | n ROWS | BUCKET x OUT OF y)`.
//!
//! A share takes each row with that chance, another one each time; a number of rows takes the first that come.
//! Source: Spark, `sampleMethod`.

use datafusion::error::{DataFusionError, Result};
use datafusion::functions::math::expr_fn::random;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, lit};
use datafusion::sql::sqlparser::ast::{
    Expr, TableAlias, TableFactor, TableSample, TableSampleKind, TableSampleUnit, Value,
};

use crate::Error;
use crate::error::external;
use crate::spark;

/// What a sample takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sample {
    Share(f64),
    Rows(usize),
}

/// Takes the sample off a relation.
pub(super) fn taken(mut factor: TableFactor) -> Result<(TableFactor, Option<Sample>)> {
    let sample = match &mut factor {
        TableFactor::Table { sample, .. } | TableFactor::Derived { sample, .. } => sample.take(),
        _ => None,
    };
    let sample = match sample {
        Some(TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) => {
            Some(read(&sample)?)
        }
        None => None,
    };
    Ok((factor, sample))
}

/// Takes the alias off a relation.
pub(super) fn without_alias(mut factor: TableFactor) -> (TableFactor, Option<TableAlias>) {
    let alias = match &mut factor {
        // A table goes on to be called by its name.
        TableFactor::Table { alias, .. } | TableFactor::Derived { alias, .. } => alias.take(),
        _ => None,
    };
    (factor, alias)
}

/// Plans a sample of `input`.
pub(super) fn plan(input: LogicalPlan, sample: &Sample) -> Result<LogicalPlan> {
    let input = LogicalPlanBuilder::from(input);
    match *sample {
        Sample::Rows(rows) => input.limit(0, Some(rows))?.build(),
        Sample::Share(share) if share >= 1.0 => input.build(),
        Sample::Share(share) => input.filter(random().lt(lit(share)))?.build(),
    }
}

fn read(sample: &TableSample) -> Result<Sample> {
    if sample.seed.is_some() {
        return Err(external(Error::unsupported(
            "TABLESAMPLE … REPEATABLE is not supported".to_owned(),
        )));
    }
    if let Some(bucket) = &sample.bucket {
        if bucket.on.is_some() {
            return Err(external(Error::unsupported(
                "TABLESAMPLE (BUCKET … ON …) is not supported".to_owned(),
            )));
        }
        return share(value(&bucket.bucket.value)?, value(&bucket.total.value)?);
    }
    let Some(quantity) = &sample.quantity else {
        return Err(wrong());
    };
    let number = amount(&quantity.value)?;
    match quantity.unit {
        Some(TableSampleUnit::Percent) => share(number, 100.0),
        Some(TableSampleUnit::Rows) if number >= 0.0 && number.fract() == 0.0 => {
            format!("{number}").parse().map(Sample::Rows).map_err(|_| wrong())
        }
        _ => Err(wrong()),
    }
}

fn share(part: f64, whole: f64) -> Result<Sample> {
    let share = part / whole;
    match (0.0..=1.0).contains(&share) {
        true => Ok(Sample::Share(share)),
        false => Err(wrong()),
    }
}

fn amount(expr: &Expr) -> Result<f64> {
    match expr {
        Expr::Value(number) => value(&number.value),
        other => spark::number_of(other)
            .and_then(|text| text.parse().ok())
            .ok_or_else(wrong),
    }
}

fn value(value: &Value) -> Result<f64> {
    match value {
        Value::Number(text, _) => text.parse().map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

fn wrong() -> DataFusionError {
    external(Error::parse(
        "TABLESAMPLE takes (n PERCENT), n from 0 to 100, (n ROWS) or (BUCKET x OUT OF y)".to_owned(),
    ))
}
