//! `hash(…)` and `xxhash64(…)` over values of all types.
//!
//! Each value's hash is the seed of the next; a null leaves the seed as it is. What is nested counts by its parts, in
//! order. Whole numbers, dates and truth values of up to 32 bits are hashed as INT, decimals of up to 18 digits and instants as
//! BIGINT, larger decimals by the bytes of their number. Source: Spark, `HashExpression`.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType,
};
use datafusion::error::{DataFusionError, Result};

use super::{murmur, xx};
use crate::error::condition;
use crate::functions::arguments::over_arrays;
use crate::functions::function::{Function, Returns};

/// What both hashes begin with.
const SEED: u8 = 42;

pub(super) fn functions() -> [Function; 2] {
    [
        Function::pure(
            "hash",
            |types| hashed_types("hash", types),
            Returns::Always(DataType::Int32),
            |arguments| {
                over_arrays(arguments, |arrays| {
                    let hashes: Vec<Murmur> = hashed(arrays, Murmur(u32::from(SEED)))?;
                    let values = hashes.into_iter().map(|hash| hash.0.cast_signed());
                    Ok(Arc::new(Int32Array::from_iter_values(values)))
                })
            },
        ),
        Function::pure(
            "xxhash64",
            |types| hashed_types("xxhash64", types),
            Returns::Always(DataType::Int64),
            |arguments| {
                over_arrays(arguments, |arrays| {
                    let hashes: Vec<Xx> = hashed(arrays, Xx(u64::from(SEED)))?;
                    let values = hashes.into_iter().map(|hash| hash.0.cast_signed());
                    Ok(Arc::new(Int64Array::from_iter_values(values)))
                })
            },
        ),
    ]
}

/// Views of texts are of no use here.
fn hashed_types(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    let hashed_type = |data_type: &DataType| match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => Ok(DataType::Utf8),
        DataType::BinaryView | DataType::LargeBinary => Ok(DataType::Binary),
        DataType::Map(..) => Err(condition(
            "DATATYPE_MISMATCH.HASH_MAP_TYPE",
            "42K09",
            format!("`{function}` cannot hash a MAP: maps that are the same may differ in order"),
        )),
        other => Ok(other.clone()),
    };
    if types.is_empty() {
        return Err(condition(
            "WRONG_NUM_ARGS.WITHOUT_SUGGESTION",
            "42605",
            format!("`{function}` takes one argument or more, not 0"),
        ));
    }
    types.iter().map(hashed_type).collect()
}

/// A hash so far, which the next value goes into.
trait Hash: Copy {
    fn int(self, value: i32) -> Self;
    fn long(self, value: i64) -> Self;
    fn bytes(self, value: &[u8]) -> Self;
}

#[derive(Debug, Clone, Copy)]
struct Murmur(u32);

impl Hash for Murmur {
    fn int(self, value: i32) -> Self {
        Self(murmur::int(value, self.0))
    }

    fn long(self, value: i64) -> Self {
        Self(murmur::long(value, self.0))
    }

    fn bytes(self, value: &[u8]) -> Self {
        Self(murmur::bytes(value, self.0))
    }
}

#[derive(Debug, Clone, Copy)]
struct Xx(u64);

impl Hash for Xx {
    fn int(self, value: i32) -> Self {
        Self(xx::int(value, self.0))
    }

    fn long(self, value: i64) -> Self {
        Self(xx::long(value, self.0))
    }

    fn bytes(self, value: &[u8]) -> Self {
        Self(xx::bytes(value, self.0))
    }
}

fn hashed<H: Hash>(arrays: &[ArrayRef], seed: H) -> Result<Vec<H>> {
    let rows = arrays.first().map_or(1, |array| array.len());
    let mut hashes = vec![seed; rows];
    for array in arrays {
        each(array, &|row| row..row + 1, &mut hashes)?;
    }
    Ok(hashes)
}

/// Puts values into hashes: of each hash, those in its range.
fn each<H: Hash>(array: &ArrayRef, range: &dyn Fn(usize) -> Range<usize>, hashes: &mut [H]) -> Result<()> {
    let array = array.as_ref();
    let mut fold = |put: &dyn Fn(H, usize) -> H| {
        for (row, hash) in hashes.iter_mut().enumerate() {
            for item in range(row) {
                if array.is_valid(item) {
                    *hash = put(*hash, item);
                }
            }
        }
    };
    match array.data_type() {
        DataType::Null => {}
        DataType::Boolean => {
            let values = array.as_boolean();
            fold(&|hash, item| hash.int(i32::from(values.value(item))));
        }
        DataType::Int8 => {
            let values = array.as_primitive::<Int8Type>();
            fold(&|hash, item| hash.int(i32::from(values.value(item))));
        }
        DataType::Int16 => {
            let values = array.as_primitive::<Int16Type>();
            fold(&|hash, item| hash.int(i32::from(values.value(item))));
        }
        DataType::Int32 => {
            let values = array.as_primitive::<Int32Type>();
            fold(&|hash, item| hash.int(values.value(item)));
        }
        DataType::Date32 => {
            let values = array.as_primitive::<Date32Type>();
            fold(&|hash, item| hash.int(values.value(item)));
        }
        DataType::Int64 => {
            let values = array.as_primitive::<Int64Type>();
            fold(&|hash, item| hash.long(values.value(item)));
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let values = array.as_primitive::<TimestampMicrosecondType>();
            fold(&|hash, item| hash.long(values.value(item)));
        }
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>();
            fold(&|hash, item| hash.int(float_bits(values.value(item))));
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>();
            fold(&|hash, item| hash.long(double_bits(values.value(item))));
        }
        DataType::Decimal128(precision, _) => {
            let values = array.as_primitive::<Decimal128Type>();
            let long = |item: usize| {
                i64::try_from(values.value(item))
                    .ok()
                    .filter(|_| *precision <= 18)
            };
            fold(&|hash, item| match long(item) {
                Some(value) => hash.long(value),
                None => hash.bytes(number_bytes(&values.value(item).to_be_bytes())),
            });
        }
        DataType::Utf8 => {
            let values = array.as_string::<i32>();
            fold(&|hash, item| hash.bytes(values.value(item).as_bytes()));
        }
        DataType::Binary => {
            let values = array.as_binary::<i32>();
            fold(&|hash, item| hash.bytes(values.value(item)));
        }
        DataType::Struct(_) | DataType::List(_) => return nested(array, range, hashes),
        other => {
            return Err(DataFusionError::NotImplemented(format!("a hash of {other}")));
        }
    }
    Ok(())
}

/// Nested values row by row, since their parts follow each other.
fn nested<H: Hash>(array: &dyn Array, range: &dyn Fn(usize) -> Range<usize>, hashes: &mut [H]) -> Result<()> {
    for (row, hash) in hashes.iter_mut().enumerate() {
        for item in range(row).filter(|item| array.is_valid(*item)) {
            let hash = std::slice::from_mut(hash);
            match (array.as_struct_opt(), array.as_list_opt::<i32>()) {
                (Some(fields), _) => {
                    for field in fields.columns() {
                        each(field, &|_| item..item + 1, hash)?;
                    }
                }
                (_, Some(lists)) => {
                    let items = lists.value(item);
                    each(&items, &|_| 0..items.len(), hash)?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// One NaN, one zero.
fn float_bits(value: f32) -> i32 {
    match value {
        value if value.is_nan() => 0x7fc0_0000,
        0.0 => 0,
        value => value.to_bits().cast_signed(),
    }
}

fn double_bits(value: f64) -> i64 {
    match value {
        value if value.is_nan() => 0x7ff8_0000_0000_0000,
        0.0 => 0,
        value => value.to_bits().cast_signed(),
    }
}

/// Takes off the leading bytes that say nothing but the sign, as Java's `BigInteger.toByteArray` does.
fn number_bytes(bytes: &[u8]) -> &[u8] {
    let mut bytes = bytes;
    while let [first, rest @ ..] = bytes {
        let negative = rest.first().is_some_and(|next| next & 0x80 != 0);
        match (first, negative, rest.is_empty()) {
            (0, false, false) | (0xff, true, false) => bytes = rest,
            _ => break,
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(0, &[0])]
    #[test_case(127, &[0x7f])]
    #[test_case(128, &[0, 0x80])]
    #[test_case(-1, &[0xff])]
    #[test_case(-129, &[0xff, 0x7f])]
    fn numbers_have_no_more_bytes_than_they_need(value: i128, expected: &[u8]) {
        assert_eq!(number_bytes(&value.to_be_bytes()), expected);
    }
}
