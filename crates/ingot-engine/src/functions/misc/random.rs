//! `rand`, `randn`, `uniform`, `randstr`, `monotonically_increasing_id`: another value in each row of a statement.
//!
//! With a seed, the values are Spark's of a query in one partition: its generator is XORShift over a seed that Murmur3 has
//! spread. Each call of a statement has a generator of its own, made while the statement is planned, which goes on from
//! batch to batch. Source: Spark, `XORShiftRandom`, `randomExpressions`; Java, `Random.nextGaussian`.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    cast,
};

use crate::error::condition;
use crate::functions::arguments::{count, unexpected};
use crate::functions::room::Room;
use crate::spark::coercion::common_type;

/// Characters of a random text, at most: one is in memory for each row.
const TEXT_LENGTH_MAX: usize = 1 << 20;

/// Names of the functions that are planned here.
pub(crate) const NAMES: [&str; 6] = [
    "rand",
    "random",
    "randn",
    "uniform",
    "randstr",
    "monotonically_increasing_id",
];

/// Plans a call.
///
/// # Errors
/// `WRONG_NUM_ARGS`, and `DATATYPE_MISMATCH` for a seed, bound or length that is no constant number.
pub(crate) fn plan(name: &str, arguments: &[Expr], schema: &DFSchema) -> Result<Expr> {
    let types: Vec<DataType> = arguments
        .iter()
        .map(|argument| argument.get_type(schema))
        .collect::<Result<_>>()?;
    match (name, arguments) {
        ("monotonically_increasing_id", _) => {
            count(name, &types, 0, 0)?;
            Ok(call(Kind::Row, Some(0)))
        }
        ("uniform", _) => {
            count(name, &types, 2, 3)?;
            uniform(arguments, &types)
        }
        ("randstr", _) => {
            count(name, &types, 1, 2)?;
            let length = constant(name, 1, arguments.first())?.unwrap_or(0);
            let length = usize::try_from(length)
                .ok()
                .filter(|length| *length <= TEXT_LENGTH_MAX);
            let length = length.ok_or_else(|| {
                let message = format!("the length of `randstr` lies between 0 and {TEXT_LENGTH_MAX}");
                condition("DATATYPE_MISMATCH.VALUE_OUT_OF_RANGE", "42K09", message)
            })?;
            Ok(call(Kind::Text(length), constant(name, 2, arguments.get(1))?))
        }
        _ => {
            count(name, &types, 0, 1)?;
            let kind = if name == "randn" {
                Kind::Normal
            } else {
                Kind::Uniform
            };
            Ok(call(kind, constant(name, 1, arguments.first())?))
        }
    }
}

/// `uniform(least, most[, seed])`, of the type of the bounds.
fn uniform(arguments: &[Expr], types: &[DataType]) -> Result<Expr> {
    let ([least, most, ..], [least_type, most_type, ..]) = (arguments, types) else {
        return Err(DataFusionError::Internal("uniform has bounds".to_owned()));
    };
    let wide = common_type(least_type, most_type)
        .filter(DataType::is_numeric)
        .ok_or_else(|| unexpected("uniform", 1, "NUMERIC", least_type))?;
    let random = call(Kind::Uniform, constant("uniform", 3, arguments.get(2))?);
    let bound = |bound: &Expr| cast(bound.clone(), DataType::Float64);
    let value = bound(least) + (bound(most) - bound(least)) * random;
    Ok(cast(value, wide))
}

/// Returns the whole number that an argument is; `None` when it is not given, or NULL.
fn constant(function: &str, place: usize, argument: Option<&Expr>) -> Result<Option<i64>> {
    let Some(argument) = argument else { return Ok(None) };
    let value = match argument {
        Expr::Literal(value, _) => value.cast_to(&DataType::Int64).ok(),
        _ => None,
    };
    match value {
        Some(ScalarValue::Int64(value)) => Ok(value.or(Some(0))),
        _ => Err(condition(
            "DATATYPE_MISMATCH.NON_FOLDABLE_INPUT",
            "42K09",
            format!("argument {place} of `{function}` has to be a constant number"),
        )),
    }
}

fn call(kind: Kind, seed: Option<i64>) -> Expr {
    let seed = seed.unwrap_or_else(|| ingot_common::clock::random_below(u64::MAX).cast_signed());
    let function = ScalarUDF::from(Random {
        kind,
        seed,
        generator: Mutex::new(Generator::new(seed)),
        signature: Signature::nullary(Volatility::Volatile),
    });
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), Vec::new()))
}

/// What a call gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// From 0, below 1.
    Uniform,
    Normal,
    /// So many letters and digits.
    Text(usize),
    /// The number of the row, from 0.
    Row,
}

/// One call of a statement.
#[derive(Debug)]
struct Random {
    kind: Kind,
    seed: i64,
    generator: Mutex<Generator>,
    signature: Signature,
}

impl PartialEq for Random {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.seed == other.seed
    }
}

impl Eq for Random {}

impl Hash for Random {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.kind, self.seed).hash(state);
    }
}

impl ScalarUDFImpl for Random {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Uniform => "rand",
            Kind::Normal => "randn",
            Kind::Text(_) => "randstr",
            Kind::Row => "monotonically_increasing_id",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Kind::Uniform | Kind::Normal => DataType::Float64,
            Kind::Text(_) => DataType::Utf8,
            Kind::Row => DataType::Int64,
        })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut generator = self.generator.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = 0..arguments.number_rows;
        let values: ArrayRef = match self.kind {
            Kind::Uniform => Arc::new(Float64Array::from_iter_values(rows.map(|_| generator.double()))),
            Kind::Normal => Arc::new(Float64Array::from_iter_values(rows.map(|_| generator.normal()))),
            Kind::Text(length) => {
                Room::new().take(arguments.number_rows, length)?;
                Arc::new(StringArray::from_iter_values(
                    rows.map(|_| generator.text(length)),
                ))
            }
            Kind::Row => Arc::new(Int64Array::from_iter_values(rows.map(|_| generator.row()))),
        };
        Ok(ColumnarValue::Array(values))
    }
}

/// Spark's generator.
#[derive(Debug)]
pub(crate) struct Generator {
    state: u64,
    /// The second of two normal values, which come in pairs.
    normal: Option<f64>,
    row: i64,
}

impl Generator {
    pub fn new(seed: i64) -> Self {
        /// Scala's, for arrays.
        const ARRAY: u32 = 0x3c07_4a61;
        let bytes = seed.to_be_bytes();
        let low = spread(bytes, ARRAY);
        let high = spread(bytes, low);
        Self {
            state: u64::from(high) << 32 | u64::from(low),
            normal: None,
            row: 0,
        }
    }

    fn next(&mut self, bits: u32) -> u64 {
        let mut state = self.state ^ (self.state << 21);
        state ^= state >> 35;
        state ^= state << 4;
        self.state = state;
        state & ((1 << bits) - 1)
    }

    fn double(&mut self) -> f64 {
        let (high, low) = (self.next(26), self.next(27));
        // 53 bits are exact in a double.
        ((high << 27) + low) as f64 * 2_f64.powi(-53)
    }

    /// Returns a number below `most`, or `most`.
    pub fn up_to(&mut self, most: usize) -> usize {
        let numbers = most as u64 + 1;
        usize::try_from(self.next(32) % numbers).unwrap_or(0)
    }

    fn normal(&mut self) -> f64 {
        if let Some(normal) = self.normal.take() {
            return normal;
        }
        loop {
            let (x, y) = (2.0 * self.double() - 1.0, 2.0 * self.double() - 1.0);
            let square = x * x + y * y;
            if square < 1.0 && square != 0.0 {
                let factor = (-2.0 * square.ln() / square).sqrt();
                self.normal = Some(y * factor);
                return x * factor;
            }
        }
    }

    fn text(&mut self, length: usize) -> String {
        const LETTERS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let mut letter = || {
            // Java's `int`: the remainder has its sign, which is taken off.
            let number = (self.next(32) as u32).cast_signed();
            char::from(LETTERS[(number % 62).unsigned_abs() as usize])
        };
        (0..length).map(|_| letter()).collect()
    }

    fn row(&mut self) -> i64 {
        self.row += 1;
        self.row - 1
    }
}

/// Murmur3 of eight bytes.
fn spread(bytes: [u8; 8], seed: u32) -> u32 {
    crate::functions::hash::murmur_of_long(i64::from_le_bytes(bytes), seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_seed_are_those_of_spark() {
        assert_eq!(Generator::new(0).double(), 0.760_495_375_828_591_5);
        assert_eq!(Generator::new(0).normal(), 1.603_499_160_927_843_3);
        assert_eq!(Generator::new(0).text(5), "ceV0P");
    }
}
