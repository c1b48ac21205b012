//! Which of about a thousand ranges a value is in: ranges of equal numbers of rows, from a sample.
//!
//! Curves are drawn over these numbers rather than over values, so that columns of different types, spreads and
//! skews count alike. A value that many rows have takes up the room of as many ranges as it fills.
//! Nulls are the smallest values, and NaN is the largest.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, make_array};
use arrow::buffer::NullBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use datafusion::error::{DataFusionError, Result};
use ingot_common::clock;

/// Rows of a sample, at most twice as many while it is drawn.
const SAMPLE_ROWS: usize = 100_000;

/// Characters of a string that are compared.
const TEXT_CHARS_MAX: usize = 64;

/// Says if values of a type can be put in order here, and have bounds in the log.
pub(crate) fn orderable(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Float32
            | DataType::Float64
            | DataType::Date32
            | DataType::Timestamp(_, _)
            | DataType::Decimal128(_, _)
            | DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
    )
}

/// A column in one of three forms that compare as its values do.
enum Comparable {
    Whole(Int64Array),
    Decimal(ArrayRef),
    Text(ArrayRef),
}

impl Comparable {
    fn of(array: &ArrayRef) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::Utf8 => Self::Text(Arc::clone(array)),
            DataType::LargeUtf8 | DataType::Utf8View => Self::Text(cast(array, &DataType::Utf8)?),
            DataType::Decimal128(_, _) => Self::Decimal(Arc::clone(array)),
            DataType::Float32 | DataType::Float64 => {
                let floats = cast(array, &DataType::Float64)?;
                let floats = floats.as_primitive::<Float64Type>();
                Self::Whole(floats.unary(|value| {
                    // Total order of IEEE 754, with one NaN above all.
                    let value = if value.is_nan() {
                        f64::NAN.copysign(1.0)
                    } else {
                        value + 0.0
                    };
                    let bits = value.to_bits() as i64;
                    bits ^ (((bits >> 63) as u64) >> 1) as i64
                }))
            }
            data_type if orderable(data_type) => {
                let whole = cast(array, &DataType::Int64)?;
                Self::Whole(whole.as_primitive::<Int64Type>().clone())
            }
            other => {
                return Err(DataFusionError::NotImplemented(format!(
                    "rows cannot be laid out by values of type {other}"
                )));
            }
        })
    }
}

/// Values that were drawn from a column.
#[derive(Debug, Clone)]
enum Drawn {
    Nothing,
    Whole(Vec<Option<i64>>),
    Decimal(Vec<Option<i128>>),
    Text(Vec<Option<Box<str>>>),
}

impl Drawn {
    fn draw(&mut self, array: &ArrayRef, rows: &[usize]) -> Result<()> {
        let column = Comparable::of(array)?;
        if let Self::Nothing = self {
            *self = match &column {
                Comparable::Whole(_) => Self::Whole(Vec::new()),
                Comparable::Decimal(_) => Self::Decimal(Vec::new()),
                Comparable::Text(_) => Self::Text(Vec::new()),
            };
        }
        match (self, &column) {
            (Self::Whole(drawn), Comparable::Whole(array)) => {
                drawn.extend(
                    rows.iter()
                        .map(|row| array.is_valid(*row).then(|| array.value(*row))),
                );
            }
            (Self::Decimal(drawn), Comparable::Decimal(array)) => {
                let array = array.as_primitive::<Decimal128Type>();
                drawn.extend(
                    rows.iter()
                        .map(|row| array.is_valid(*row).then(|| array.value(*row))),
                );
            }
            (Self::Text(drawn), Comparable::Text(array)) => {
                let array = array.as_string::<i32>();
                let text = |row: &usize| {
                    array
                        .is_valid(*row)
                        .then(|| Box::from(beginning(array.value(*row))))
                };
                drawn.extend(rows.iter().map(text));
            }
            _ => return Err(DataFusionError::Internal("a column changed its type".to_owned())),
        }
        Ok(())
    }

    /// Keeps the first of every `stride` values.
    fn thin(&mut self, stride: usize) {
        fn keep<T>(values: &mut Vec<T>, stride: usize) {
            let mut place = 0;
            values.retain(|_| {
                place += 1;
                (place - 1) % stride == 0
            });
        }
        match self {
            Self::Nothing => {}
            Self::Whole(values) => keep(values, stride),
            Self::Decimal(values) => keep(values, stride),
            Self::Text(values) => keep(values, stride),
        }
    }

    fn append(&mut self, other: Self) {
        match (self, other) {
            (Self::Whole(values), Self::Whole(mut more)) => values.append(&mut more),
            (Self::Decimal(values), Self::Decimal(mut more)) => values.append(&mut more),
            (Self::Text(values), Self::Text(mut more)) => values.append(&mut more),
            (nothing @ Self::Nothing, more) => *nothing = more,
            _ => {}
        }
    }
}

fn beginning(text: &str) -> &str {
    let end = text.char_indices().nth(TEXT_CHARS_MAX).map(|(end, _)| end);
    &text[..end.unwrap_or(text.len())]
}

/// Rows drawn from a stream of batches: one from each run of rows, at random.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    columns: Vec<Drawn>,
    drawn: usize,
    /// Rows of a run; a power of two.
    stride: usize,
    /// Rows until the next one that is drawn, and until the run ends.
    next: usize,
    left: usize,
    /// Rows that went by.
    pub rows: u64,
}

impl Sample {
    /// Begins a sample of so many columns.
    pub fn new(columns: usize) -> Self {
        Self {
            columns: vec![Drawn::Nothing; columns],
            drawn: 0,
            stride: 1,
            next: 0,
            left: 1,
            rows: 0,
        }
    }

    /// Lets rows go by; `arrays` are the columns, of `rows` values each.
    pub fn draw(&mut self, arrays: &[ArrayRef], rows: usize) -> Result<()> {
        let mut drawn = Vec::new();
        let mut row = 0;
        while row + self.next < rows {
            row += self.next;
            drawn.push(row);
            // To the end of this run, and into the next.
            row += self.left - self.next;
            self.begin_run();
        }
        let gone = rows.saturating_sub(row);
        self.next = self.next.saturating_sub(gone);
        self.left = self.left.saturating_sub(gone);
        if rows < row {
            // The run goes on in the next batch.
            self.next += row - rows;
            self.left += row - rows;
        }
        self.rows += rows as u64;
        self.drawn += drawn.len();
        for (column, array) in self.columns.iter_mut().zip(arrays) {
            column.draw(array, &drawn)?;
        }
        if self.drawn > 2 * SAMPLE_ROWS {
            self.thin(2);
        }
        Ok(())
    }

    fn begin_run(&mut self) {
        self.left = self.stride;
        self.next = usize::try_from(clock::random_below(self.stride as u64)).unwrap_or_default();
    }

    fn thin(&mut self, by: usize) {
        for column in &mut self.columns {
            column.thin(by);
        }
        self.drawn = self.drawn.div_ceil(by);
        self.stride *= by;
    }

    /// Puts samples of parts of the rows together, each row drawn as likely as any other.
    pub fn merge(samples: Vec<Self>) -> Self {
        let stride = samples.iter().map(|sample| sample.stride).max().unwrap_or(1);
        let columns = samples.first().map_or(0, |sample| sample.columns.len());
        let mut merged = Self::new(columns);
        for mut sample in samples {
            sample.thin(stride / sample.stride);
            merged.rows += sample.rows;
            merged.drawn += sample.drawn;
            for (column, more) in merged.columns.iter_mut().zip(sample.columns) {
                column.append(more);
            }
        }
        merged
    }

    /// Finds the ranges of each column: `count` of about as many rows.
    pub fn ranges(&self, count: usize) -> Vec<Ranges> {
        let columns = self.columns.iter();
        columns.map(|column| Ranges::of(column, count)).collect()
    }

    /// Returns the numbers of the ranges of all rows that were drawn, by column.
    pub fn numbers(&self, ranges: &[Ranges]) -> Vec<Vec<u32>> {
        let columns = self.columns.iter().zip(ranges);
        columns.map(|(column, ranges)| ranges.of_drawn(column)).collect()
    }
}

/// The bounds between the ranges of one column.
#[derive(Debug, Clone)]
pub(crate) struct Ranges {
    /// Bounds that are null: they come first.
    nulls: u32,
    bounds: Bounds,
}

#[derive(Debug, Clone)]
enum Bounds {
    Whole(Vec<i64>),
    Decimal(Vec<i128>),
    Text(Vec<Box<str>>),
}

impl Ranges {
    fn of(drawn: &Drawn, count: usize) -> Self {
        match drawn {
            Drawn::Nothing => Self {
                nulls: 0,
                bounds: Bounds::Whole(Vec::new()),
            },
            Drawn::Whole(values) => Self::from_bounds(quantiles(values, count), Bounds::Whole),
            Drawn::Decimal(values) => Self::from_bounds(quantiles(values, count), Bounds::Decimal),
            Drawn::Text(values) => Self::from_bounds(quantiles(values, count), Bounds::Text),
        }
    }

    fn from_bounds<T>(quantiles: Vec<Option<T>>, bounds: fn(Vec<T>) -> Bounds) -> Self {
        let nulls = quantiles.iter().filter(|bound| bound.is_none()).count();
        Self {
            nulls: u32::try_from(nulls).unwrap_or(u32::MAX),
            bounds: bounds(quantiles.into_iter().flatten().collect()),
        }
    }

    /// Returns the numbers of the ranges that the values of a column are in.
    pub fn numbers(&self, array: &ArrayRef) -> Result<Vec<u32>> {
        let column = Comparable::of(array)?;
        let numbers = match (&self.bounds, &column) {
            (Bounds::Whole(bounds), Comparable::Whole(array)) => {
                let values = array.iter().map(|value| self.number(bounds, value.as_ref()));
                values.collect()
            }
            (Bounds::Decimal(bounds), Comparable::Decimal(array)) => {
                let values = array.as_primitive::<Decimal128Type>().iter();
                values.map(|value| self.number(bounds, value.as_ref())).collect()
            }
            (Bounds::Text(bounds), Comparable::Text(array)) => {
                let values = array.as_string::<i32>().iter();
                values.map(|value| self.number_of_text(bounds, value)).collect()
            }
            // Nothing was drawn: there is one range.
            _ => vec![0; array.len()],
        };
        Ok(numbers)
    }

    fn of_drawn(&self, drawn: &Drawn) -> Vec<u32> {
        match (&self.bounds, drawn) {
            (Bounds::Whole(bounds), Drawn::Whole(values)) => values
                .iter()
                .map(|value| self.number(bounds, value.as_ref()))
                .collect(),
            (Bounds::Decimal(bounds), Drawn::Decimal(values)) => values
                .iter()
                .map(|value| self.number(bounds, value.as_ref()))
                .collect(),
            (Bounds::Text(bounds), Drawn::Text(values)) => values
                .iter()
                .map(|value| self.number_of_text(bounds, value.as_deref()))
                .collect(),
            _ => Vec::new(),
        }
    }

    fn number<T: Ord>(&self, bounds: &[T], value: Option<&T>) -> u32 {
        match value {
            None => 0,
            Some(value) => self.nulls + bounds.partition_point(|bound| bound < value) as u32,
        }
    }

    fn number_of_text(&self, bounds: &[Box<str>], value: Option<&str>) -> u32 {
        match value {
            None => 0,
            Some(value) => self.nulls + bounds.partition_point(|bound| bound.as_ref() < value) as u32,
        }
    }
}

/// Returns the values that part `values` into `count` runs of the same length.
fn quantiles<T: Ord + Clone>(values: &[Option<T>], count: usize) -> Vec<Option<T>> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let bounds = (1..count).filter_map(|bound| sorted.get(bound * sorted.len() / count).cloned());
    bounds.collect()
}

/// Returns a column of `parents`, or the field of a struct in it; a field of a null is null.
pub(crate) fn field(column: &ArrayRef, path: &[String]) -> Result<ArrayRef> {
    let mut array = Arc::clone(column);
    for name in path {
        let Some(parent) = array.as_struct_opt() else {
            return Err(DataFusionError::Internal(format!(
                "`{name}` is no field of a struct"
            )));
        };
        let Some(child) = parent.column_by_name(name) else {
            return Err(DataFusionError::Internal(format!("there is no field `{name}`")));
        };
        let nulls = NullBuffer::union(parent.nulls(), child.nulls());
        let data = child.to_data().into_builder().nulls(nulls).build()?;
        array = make_array(data);
    }
    Ok(array)
}

#[cfg(test)]
mod tests {
    use arrow::array::{BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, StringArray};

    use super::*;

    fn numbers(array: ArrayRef, count: usize) -> Vec<u32> {
        let mut sample = Sample::new(1);
        sample.draw(&[Arc::clone(&array)], array.len()).expect("drawn");
        let ranges = sample.ranges(count);
        let numbers = ranges[0].numbers(&array).expect("numbers");
        assert_eq!(sample.numbers(&ranges)[0], numbers);
        numbers
    }

    #[test]
    fn ranges_hold_as_many_rows_each() {
        let values = numbers(
            Arc::new(Int32Array::from_iter_values((0..1000).map(|n| n * n))),
            10,
        );
        for range in 0..10_u32 {
            let rows = values.iter().filter(|number| **number == range).count();
            assert!((99..=101).contains(&rows), "range {range} has {rows} rows");
        }
        assert!(values.is_sorted());
    }

    #[test]
    fn a_frequent_value_takes_the_room_of_its_rows() {
        let values = (0..100).map(|n| if n < 50 { 7 } else { n });
        let found = numbers(Arc::new(Int32Array::from_iter_values(values)), 10);
        assert_eq!((found[0], found[49]), (0, 0));
        assert!(found[50] >= 4, "{found:?}");
    }

    #[test]
    fn values_of_all_types_are_in_their_order() {
        let ascending: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from(vec![None, Some(-5), Some(0), Some(9)])),
            Arc::new(Float64Array::from(vec![
                None,
                Some(-1.5),
                Some(0.0),
                Some(f64::NAN),
            ])),
            Arc::new(Float64Array::from(vec![
                f64::NEG_INFINITY,
                -2.0,
                1e-300,
                f64::INFINITY,
            ])),
            Arc::new(Date32Array::from(vec![None, Some(-1), Some(1), Some(2)])),
            Arc::new(StringArray::from(vec![None, Some(""), Some("a"), Some("ä")])),
            Arc::new(BooleanArray::from(vec![
                None,
                Some(false),
                Some(true),
                Some(true),
            ])),
            Arc::new(
                Decimal128Array::from(vec![None, Some(-10), Some(5), Some(7)])
                    .with_precision_and_scale(38, 2)
                    .expect("decimal"),
            ),
        ];
        for array in ascending {
            let found = numbers(Arc::clone(&array), 4);
            assert!(
                found.is_sorted() && found[0] < found[2],
                "{:?}: {found:?}",
                array.data_type()
            );
        }
        assert!(!orderable(&DataType::Binary));
    }

    #[test]
    fn samples_stay_bounded_and_fair() {
        let mut parts = Vec::new();
        for (part, rows) in [(0, 2_000_000), (1, 500_000)] {
            let mut sample = Sample::new(1);
            for batch in 0..rows / 10_000 {
                let values = (0..10_000).map(|n| part * 10_000_000 + batch * 10_000 + n);
                let array: ArrayRef = Arc::new(Int32Array::from_iter_values(values));
                sample.draw(&[array], 10_000).expect("drawn");
            }
            assert!(sample.drawn <= 2 * SAMPLE_ROWS, "{}", sample.drawn);
            parts.push(sample);
        }
        let sample = Sample::merge(parts);
        assert_eq!(sample.rows, 2_500_000);
        let ranges = sample.ranges(4);
        let second: ArrayRef = Arc::new(Int32Array::from(vec![10_000_000]));
        // A fifth of the rows are of the second part, so all of them are in the last quarter.
        assert_eq!(ranges[0].numbers(&second).expect("numbers"), [3]);
    }
}
