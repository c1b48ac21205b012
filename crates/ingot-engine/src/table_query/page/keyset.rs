//! The rows after one, in the order of a query.
//!
//! Nulls are the smallest values, NaN is the largest, and both zeros are one, as Spark orders them and as rows are sorted
//! here.

use std::sync::Arc;

use arrow::datatypes::Field;
use datafusion::logical_expr::{Expr, ScalarUDF, lit};
use datafusion::scalar::ScalarValue;
use ingot_common::port::OrderBy;

use super::super::conditions::column;
use super::{Place, place_column};
use crate::provider::{FILE_COLUMN, ROW_COLUMN};
use crate::{Error, Result, Session};

/// The keys of a row.
pub(super) struct Keyset {
    keys: Vec<Key>,
}

struct Key {
    column: Expr,
    value: ScalarValue,
    descending: bool,
    /// For columns that may hold NaN, which files' bounds leave out: what asks for it keeps files from being left out.
    is_nan: Option<Arc<ScalarUDF>>,
}

impl Keyset {
    /// Takes the values of a row, one for each column of `order`, whose fields are `fields`.
    pub fn new(
        session: &Session,
        order: &[OrderBy],
        fields: &[Field],
        values: Vec<ScalarValue>,
    ) -> Result<Self> {
        let state = session.datafusion().state();
        let is_nan = state.scalar_functions().get("isnan");
        let mut keys = Vec::with_capacity(order.len());
        for ((order, field), value) in order.iter().zip(fields).zip(values) {
            let is_nan = match field.data_type().is_floating() {
                false => None,
                true => Some(Arc::clone(is_nan.ok_or_else(|| {
                    Error::internal("there is no function `isnan`".to_owned())
                })?)),
            };
            keys.push(Key {
                column: column(field),
                value,
                descending: order.descending,
                is_nan,
            });
        }
        Ok(Self { keys })
    }

    /// Returns conditions that hold for the rows after the one at `place` and no others. The first of two, if there are
    /// two, says less in such a way that files can be left out.
    pub fn after(&self, place: Place) -> Vec<Expr> {
        let rank = lit(i64::try_from(place.rank).unwrap_or(i64::MAX));
        let (file, row) = (place_column(FILE_COLUMN), place_column(ROW_COLUMN));
        let in_file = file.clone().eq(rank.clone()).and(row.gt(lit(place.row)));
        let after = file.gt(rank).or(in_file);
        let after = self.keys.iter().rev().fold(after, |later, key| {
            let tied = key.same().and(later);
            match key.past() {
                Some(past) => past.or(tied),
                None => tied,
            }
        });
        let first = self.keys.first().and_then(Key::not_before);
        first.into_iter().chain([after]).collect()
    }
}

impl Key {
    fn nan(&self) -> Option<Expr> {
        let is_nan = self.is_nan.as_ref()?;
        Some(is_nan.call(vec![self.column.clone()]))
    }

    fn value_is_nan(&self) -> bool {
        match &self.value {
            ScalarValue::Float32(Some(value)) => value.is_nan(),
            ScalarValue::Float64(Some(value)) => value.is_nan(),
            ScalarValue::Float16(Some(value)) => value.is_nan(),
            _ => false,
        }
    }

    /// The column has the value.
    fn same(&self) -> Expr {
        match self.nan() {
            _ if self.value.is_null() => self.column.clone().is_null(),
            Some(nan) if self.value_is_nan() => nan,
            _ => self.column.clone().eq(lit(self.value.clone())),
        }
    }

    /// The column has a value that comes after; `None` where none does.
    fn past(&self) -> Option<Expr> {
        let column = || self.column.clone();
        let value = || lit(self.value.clone());
        let null = self.value.is_null();
        Some(match (self.descending, self.nan()) {
            (false, _) if null => column().is_not_null(),
            (true, _) if null => return None,
            (false, Some(_)) if self.value_is_nan() => return None,
            (true, Some(nan)) if self.value_is_nan() => nan.is_not_true(),
            (false, Some(nan)) => column().gt(value()).or(nan),
            (false, None) => column().gt(value()),
            (true, _) => column().lt(value()).or(column().is_null()),
        })
    }

    /// The column has the value or one that comes after; `None` where that leaves no file out.
    fn not_before(&self) -> Option<Expr> {
        if self.value.is_null() || self.is_nan.is_some() {
            return None;
        }
        let value = lit(self.value.clone());
        Some(match self.descending {
            false => self.column.clone().gt_eq(value),
            true => self.column.clone().lt_eq(value).or(self.column.clone().is_null()),
        })
    }
}
