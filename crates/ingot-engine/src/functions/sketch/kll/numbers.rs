//! The numbers that there are KLL sketches of, and what the functions over each are called.

use std::fmt::Debug;

use arrow::datatypes::{ArrowPrimitiveType, DataType, Float32Type, Float64Type, Int64Type};
use datasketches::kll::{KllFloat, KllValue};

/// The functions over sketches of one type.
#[derive(Debug)]
pub(in super::super) struct Names {
    pub sketch: &'static str,
    pub merge_of_group: &'static str,
    pub count: &'static str,
    pub quantile: &'static str,
    pub rank: &'static str,
    pub merge: &'static str,
    pub text: &'static str,
    /// As the class of the sketch is called in Java.
    pub class: &'static str,
}

/// A type of numbers.
pub(in super::super) trait Numbers: Debug + Send + Sync + 'static {
    type Arrow: ArrowPrimitiveType;
    /// As a sketch keeps it.
    type Item: KllValue + Ord + Debug + Send + Sync;

    const NAMES: Names;
    /// The types that a sketch is made of.
    const TAKEN: &'static [DataType];

    /// Returns a number to keep; none for what is no number, which sketches ignore.
    fn item(value: <Self::Arrow as ArrowPrimitiveType>::Native) -> Option<Self::Item>;

    fn value(item: &Self::Item) -> <Self::Arrow as ArrowPrimitiveType>::Native;

    /// Writes a number as Java does, up to the exponents of very large and small ones.
    fn text(item: &Self::Item) -> String;
}

#[derive(Debug)]
pub(in super::super) struct Bigints;

#[derive(Debug)]
pub(in super::super) struct Doubles;

#[derive(Debug)]
pub(in super::super) struct Floats;

impl Numbers for Bigints {
    type Arrow = Int64Type;
    type Item = i64;

    const NAMES: Names = Names {
        sketch: "kll_sketch_agg_bigint",
        merge_of_group: "kll_merge_agg_bigint",
        count: "kll_sketch_get_n_bigint",
        quantile: "kll_sketch_get_quantile_bigint",
        rank: "kll_sketch_get_rank_bigint",
        merge: "kll_sketch_merge_bigint",
        text: "kll_sketch_to_string_bigint",
        class: "KllLongsSketch",
    };
    const TAKEN: &'static [DataType] = &[DataType::Int64, DataType::Int32, DataType::Int16, DataType::Int8];

    fn item(value: i64) -> Option<i64> {
        Some(value)
    }

    fn value(item: &i64) -> i64 {
        *item
    }

    fn text(item: &i64) -> String {
        item.to_string()
    }
}

impl Numbers for Doubles {
    type Arrow = Float64Type;
    type Item = KllFloat<f64>;

    const NAMES: Names = Names {
        sketch: "kll_sketch_agg_double",
        merge_of_group: "kll_merge_agg_double",
        count: "kll_sketch_get_n_double",
        quantile: "kll_sketch_get_quantile_double",
        rank: "kll_sketch_get_rank_double",
        merge: "kll_sketch_merge_double",
        text: "kll_sketch_to_string_double",
        class: "KllDoublesSketch",
    };
    const TAKEN: &'static [DataType] = &[DataType::Float64, DataType::Float32];

    fn item(value: f64) -> Option<KllFloat<f64>> {
        KllFloat::<f64>::new(value).ok()
    }

    fn value(item: &KllFloat<f64>) -> f64 {
        **item
    }

    fn text(item: &KllFloat<f64>) -> String {
        format!("{:?}", **item)
    }
}

impl Numbers for Floats {
    type Arrow = Float32Type;
    type Item = KllFloat<f32>;

    const NAMES: Names = Names {
        sketch: "kll_sketch_agg_float",
        merge_of_group: "kll_merge_agg_float",
        count: "kll_sketch_get_n_float",
        quantile: "kll_sketch_get_quantile_float",
        rank: "kll_sketch_get_rank_float",
        merge: "kll_sketch_merge_float",
        text: "kll_sketch_to_string_float",
        class: "KllFloatsSketch",
    };
    const TAKEN: &'static [DataType] = &[DataType::Float32];

    fn item(value: f32) -> Option<KllFloat<f32>> {
        KllFloat::<f32>::new(value).ok()
    }

    fn value(item: &KllFloat<f32>) -> f32 {
        **item
    }

    fn text(item: &KllFloat<f32>) -> String {
        format!("{:?}", **item)
    }
}
