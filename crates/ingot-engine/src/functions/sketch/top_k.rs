//! The most frequent values: `approx_top_k` of a group at once, or `approx_top_k_accumulate`, `approx_top_k_combine`
//! and `approx_top_k_estimate` of states that can be kept. Source: Spark, `ApproxTopKAggregates`,
//! `ApproxTopKExpressions`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, Int32Type};
use datafusion::common::ScalarValue;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{AggregateUDF, ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use super::aggregate::{Aggregate, Constant, Summary};
use super::item::{Item, Kind, column};
use super::top_k_state::{Counts, ddl_of, item_of_state, parts, state, state_fields, type_of_ddl};
use super::{mismatch, plain};
use crate::error::condition;
use crate::functions::arguments::{count, is_text, over_arrays, unexpected};
use crate::functions::collection::immutable;
use crate::functions::function::Returns;
use crate::write::type_text;

const TOP_K: &str = "approx_top_k";
const ACCUMULATE: &str = "approx_top_k_accumulate";
const COMBINE: &str = "approx_top_k_combine";
const ESTIMATE: &str = "approx_top_k_estimate";

const K_DEFAULT: i32 = 5;
const TRACKED_DEFAULT: i32 = 10_000;
const TRACKED_MAX: i32 = 1_000_000;

pub(super) fn aggregates() -> Vec<Arc<AggregateUDF>> {
    let top_k = Aggregate {
        name: TOP_K,
        arguments: |types| of_items(TOP_K, types, 3),
        returns: |types| list_of_top(&first(types)),
        start: |arguments| {
            let k = whole(TOP_K, arguments, 1, "k")?.unwrap_or(K_DEFAULT);
            let size = check_k(k)?;
            let tracked = whole(TOP_K, arguments, 2, "maxItemsTracked")?.unwrap_or(TRACKED_DEFAULT);
            check_room(tracked, k)?;
            let (kind, item) = items_of(TOP_K, arguments)?;
            Ok(Box::new(TopK {
                counts: Counts::new(kind, check_tracked(tracked)?),
                kind,
                item,
                k: size,
            }))
        },
    };
    let accumulate = Aggregate {
        name: ACCUMULATE,
        arguments: |types| of_items(ACCUMULATE, types, 2),
        returns: |types| DataType::Struct(state_fields(&first(types))),
        start: |arguments| {
            let tracked = whole(ACCUMULATE, arguments, 1, "maxItemsTracked")?.unwrap_or(TRACKED_DEFAULT);
            let (kind, item) = items_of(ACCUMULATE, arguments)?;
            Ok(Box::new(Accumulated {
                counts: Counts::new(kind, check_tracked(tracked)?),
                kind,
                item,
                tracked,
            }))
        },
    };
    let combine = Aggregate {
        name: COMBINE,
        arguments: |types| of_states(COMBINE, types),
        returns: |types| {
            let item = item_of_state(COMBINE, &first(types)).unwrap_or(DataType::Null);
            DataType::Struct(state_fields(&item))
        },
        start: |arguments| {
            let given = whole(COMBINE, arguments, 1, "maxItemsTracked")?;
            let tracked = check_tracked(given.unwrap_or(TRACKED_MAX))?;
            let state = first_type(arguments);
            Ok(Box::new(Combined {
                given,
                room: tracked,
                item: item_of_state(COMBINE, &state)?,
                found: None,
            }))
        },
    };
    vec![top_k.udaf(), accumulate.udaf(), combine.udaf()]
}

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![immutable(
        ESTIMATE,
        |types| of_states(ESTIMATE, types),
        Returns::Of(|types| Ok(list_of_top(&item_of_state(ESTIMATE, &first(types))?))),
        estimate,
    )]
}

fn first(types: &[DataType]) -> DataType {
    types.first().cloned().unwrap_or(DataType::Null)
}

fn first_type(arguments: &AccumulatorArgs<'_>) -> DataType {
    let field = arguments.expr_fields.first();
    field.map_or(DataType::Null, |field| field.data_type().clone())
}

/// Takes items, and whole numbers after them.
fn of_items(function: &str, types: &[DataType], most: usize) -> Result<Vec<DataType>> {
    count(function, types, 1, most)?;
    let places = types.iter().enumerate();
    places
        .map(|(place, found)| match (place, plain(found)) {
            (0, item) if Kind::of(&item).is_some() => Ok(item),
            (0, other) => Err(mismatch(
                function,
                &format!("{} columns are not supported", type_text(&other)),
            )),
            _ => whole_type(function, place, found),
        })
        .collect()
}

/// Takes a state, and a whole number after it.
fn of_states(function: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    count(function, types, 1, 2)?;
    item_of_state(function, &first(types))?;
    let places = types.iter().enumerate();
    places
        .map(|(place, found)| match place {
            0 => Ok(found.clone()),
            _ => whole_type(function, place, found),
        })
        .collect()
}

fn whole_type(function: &str, place: usize, found: &DataType) -> Result<DataType> {
    match found.is_numeric() || found.is_null() || is_text(found) {
        true => Ok(DataType::Int32),
        false => Err(unexpected(function, place + 1, "INT", found)),
    }
}

/// Reads the number at a place, none if it is left out.
fn whole(function: &str, arguments: &AccumulatorArgs<'_>, place: usize, name: &str) -> Result<Option<i32>> {
    match Constant::of(arguments, place) {
        Constant::Absent => Ok(None),
        Constant::Value(ScalarValue::Int32(Some(value))) => Ok(Some(value)),
        Constant::Value(_) => Err(null_argument(name)),
        Constant::Varying => Err(mismatch(function, &format!("`{name}` has to be a constant"))),
    }
}

fn null_argument(name: &str) -> DataFusionError {
    condition("APPROX_TOP_K_NULL_ARG", "22004", format!("`{name}` is NULL"))
}

fn not_positive(name: &str, value: i32) -> DataFusionError {
    let message = format!("`{name}` is at least 1, not {value}");
    condition("APPROX_TOP_K_NON_POSITIVE_ARG", "22023", message)
}

fn check_k(k: i32) -> Result<usize> {
    let size = usize::try_from(k).ok().filter(|size| *size > 0);
    size.ok_or_else(|| not_positive("k", k))
}

fn check_tracked(tracked: i32) -> Result<u32> {
    if tracked > TRACKED_MAX {
        return Err(condition(
            "APPROX_TOP_K_MAX_ITEMS_TRACKED_EXCEEDS_LIMIT",
            "22023",
            format!("`maxItemsTracked` is at most {TRACKED_MAX}, not {tracked}"),
        ));
    }
    let size = u32::try_from(tracked).ok().filter(|size| *size > 0);
    size.ok_or_else(|| not_positive("maxItemsTracked", tracked))
}

/// Refuses to track fewer items than are asked for.
fn check_room(tracked: i32, k: i32) -> Result<()> {
    check_tracked(tracked)?;
    if tracked >= k {
        return Ok(());
    }
    Err(condition(
        "APPROX_TOP_K_MAX_ITEMS_TRACKED_LESS_THAN_K",
        "22023",
        format!("`maxItemsTracked` is {tracked}, and has to be at least `k`, which is {k}"),
    ))
}

/// Spark raises an error without a condition here.
fn malformed(function: &str) -> DataFusionError {
    condition(
        "INVALID_PARAMETER_VALUE",
        "22023",
        format!("`{function}` takes states that `{ACCUMULATE}` makes, and this is none of its type"),
    )
}

fn items_of(function: &str, arguments: &AccumulatorArgs<'_>) -> Result<(Kind, DataType)> {
    let item = first_type(arguments);
    let kind = Kind::of(&item).ok_or_else(|| malformed(function))?;
    Ok((kind, item))
}

fn top_fields(item: &DataType) -> Fields {
    Fields::from(vec![
        Field::new("item", item.clone(), true),
        Field::new("count", DataType::Int64, true),
    ])
}

fn list_of_top(item: &DataType) -> DataType {
    DataType::new_list(DataType::Struct(top_fields(item)), true)
}

fn rows_of_top(items: &[Option<Item>], counts: Vec<i64>, item: &DataType) -> Result<StructArray> {
    let columns: Vec<ArrayRef> = vec![column(items, item)?, Arc::new(Int64Array::from(counts))];
    Ok(StructArray::try_new(top_fields(item), columns, None)?)
}

fn update(counts: &mut Counts, columns: &[ArrayRef]) -> Result<()> {
    columns.first().map_or(Ok(()), |values| counts.add(values))
}

fn merge(function: &str, counts: &mut Counts, kind: Kind, state: &[u8]) -> Result<()> {
    let other = Counts::from_bytes(state, kind).ok_or_else(|| malformed(function))?;
    counts.merge(&other);
    Ok(())
}

#[derive(Debug)]
struct TopK {
    counts: Counts,
    kind: Kind,
    item: DataType,
    k: usize,
}

impl Summary for TopK {
    fn update(&mut self, columns: &[ArrayRef]) -> Result<()> {
        update(&mut self.counts, columns)
    }

    fn merge(&mut self, state: &[u8]) -> Result<()> {
        merge(TOP_K, &mut self.counts, self.kind, state)
    }

    fn state(&mut self) -> Result<Vec<u8>> {
        Ok(self.counts.to_bytes())
    }

    fn result(&mut self) -> Result<ScalarValue> {
        let (items, counts) = self.counts.top(self.k);
        let rows = rows_of_top(&items, counts, &self.item)?;
        Ok(SingleRowListArrayBuilder::new(Arc::new(rows)).build_list_scalar())
    }

    fn bytes(&self) -> usize {
        self.counts.bytes()
    }
}

#[derive(Debug)]
struct Accumulated {
    counts: Counts,
    kind: Kind,
    item: DataType,
    tracked: i32,
}

impl Summary for Accumulated {
    fn update(&mut self, columns: &[ArrayRef]) -> Result<()> {
        update(&mut self.counts, columns)
    }

    fn merge(&mut self, state: &[u8]) -> Result<()> {
        merge(ACCUMULATE, &mut self.counts, self.kind, state)
    }

    fn state(&mut self) -> Result<Vec<u8>> {
        Ok(self.counts.to_bytes())
    }

    fn result(&mut self) -> Result<ScalarValue> {
        let state = state(&self.counts, self.tracked, &ddl_of(&self.item), &self.item)?;
        Ok(ScalarValue::Struct(Arc::new(state)))
    }

    fn bytes(&self) -> usize {
        self.counts.bytes()
    }
}

#[derive(Debug)]
struct Combined {
    /// How many items to track, if the call says it; then the states may differ in it.
    given: Option<i32>,
    room: u32,
    /// As the struct has it; the states say it themselves, and may say something else.
    item: DataType,
    /// None before the first state.
    found: Option<Found>,
}

/// What the states of a group have in common.
#[derive(Debug)]
struct Found {
    counts: Counts,
    item: DataType,
    tracked: i32,
}

impl Combined {
    fn add(&mut self, sketch: &[u8], tracked: i32, ddl: &str) -> Result<()> {
        let item = type_of_ddl(ddl).ok_or_else(|| malformed(COMBINE))?;
        let kind = Kind::of(&item).ok_or_else(|| malformed(COMBINE))?;
        let room = self.room;
        let found = self.found.get_or_insert_with(|| Found {
            counts: Counts::new(kind, room),
            item: item.clone(),
            tracked,
        });
        if self.given.is_none() && found.tracked != tracked {
            let message = format!("states track {} and {tracked} items", found.tracked);
            return Err(condition("APPROX_TOP_K_SKETCH_SIZE_NOT_MATCH", "42846", message));
        }
        if found.item != item {
            let types = [&found.item, &item].map(|item| type_text(item).to_uppercase());
            let message = format!("states are of items of type {}", types.join(" and "));
            return Err(condition("APPROX_TOP_K_SKETCH_TYPE_NOT_MATCH", "42846", message));
        }
        merge(COMBINE, &mut found.counts, kind, sketch)
    }
}

impl Summary for Combined {
    fn update(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let Some(states) = columns.first().map(|states| states.as_struct()) else {
            return Ok(());
        };
        let (sketches, tracked, ddls) = parts(states)?;
        let (sketches, ddls) = (sketches.as_binary::<i32>().iter(), ddls.as_string::<i32>().iter());
        let rows = sketches.zip(tracked.as_primitive::<Int32Type>()).zip(ddls);
        for (row, state) in rows.enumerate() {
            // Spark fails at a NULL without a condition.
            if states.is_null(row) {
                continue;
            }
            let ((Some(sketch), Some(tracked)), Some(ddl)) = state else {
                return Err(malformed(COMBINE));
            };
            self.add(sketch, tracked, ddl)?;
        }
        Ok(())
    }

    /// Reads the size, the length of the type's text, the text, and the counts.
    fn merge(&mut self, state: &[u8]) -> Result<()> {
        let parts = state.split_first_chunk().and_then(|(tracked, rest)| {
            let (length, rest) = rest.split_first_chunk()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (ddl, sketch) = rest.split_at_checked(length)?;
            Some((
                i32::from_be_bytes(*tracked),
                std::str::from_utf8(ddl).ok()?,
                sketch,
            ))
        });
        let (tracked, ddl, sketch) = parts.ok_or_else(|| malformed(COMBINE))?;
        self.add(sketch, tracked, ddl)
    }

    fn state(&mut self) -> Result<Vec<u8>> {
        let Some(found) = &self.found else {
            return Ok(Vec::new());
        };
        let ddl = ddl_of(&found.item);
        let mut state = found.tracked.to_be_bytes().to_vec();
        state.extend(u32::try_from(ddl.len()).unwrap_or_default().to_be_bytes());
        state.extend(ddl.as_bytes());
        state.extend(found.counts.to_bytes());
        Ok(state)
    }

    fn result(&mut self) -> Result<ScalarValue> {
        let state = match &self.found {
            Some(found) => {
                let tracked = self.given.unwrap_or(found.tracked);
                state(&found.counts, tracked, &ddl_of(&found.item), &self.item)?
            }
            None => {
                let kind = Kind::of(&self.item).ok_or_else(|| malformed(COMBINE))?;
                let tracked = self.given.unwrap_or(TRACKED_DEFAULT);
                state(
                    &Counts::new(kind, self.room),
                    tracked,
                    &ddl_of(&self.item),
                    &self.item,
                )?
            }
        };
        Ok(ScalarValue::Struct(Arc::new(state)))
    }

    fn bytes(&self) -> usize {
        self.found.as_ref().map_or(0, |found| found.counts.bytes())
    }
}

fn estimate(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [states, sizes @ ..] = arrays else {
            return Err(DataFusionError::Internal("a state is needed".to_owned()));
        };
        let item = item_of_state(ESTIMATE, states.data_type())?;
        let kind = Kind::of(&item).ok_or_else(|| malformed(ESTIMATE))?;
        let states = states.as_struct();
        let (sketches, tracked, _) = parts(states)?;
        let (sketches, tracked) = (sketches.as_binary::<i32>(), tracked.as_primitive::<Int32Type>());
        let sizes = sizes.first().map(|sizes| sizes.as_primitive::<Int32Type>());
        let (mut items, mut counts, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..states.len() {
            let k = match sizes {
                Some(sizes) if sizes.is_null(row) => return Err(null_argument("k")),
                Some(sizes) => sizes.value(row),
                None => K_DEFAULT,
            };
            let size = check_k(k)?;
            // Spark fails at a NULL without a condition.
            if states.is_null(row) {
                lengths.push(0);
                continue;
            }
            check_room(tracked.value(row), k)?;
            let found = Counts::from_bytes(sketches.value(row), kind).ok_or_else(|| malformed(ESTIMATE))?;
            let (top, frequencies) = found.top(size);
            lengths.push(top.len());
            items.extend(top);
            counts.extend(frequencies);
        }
        let rows = rows_of_top(&items, counts, &item)?;
        let field = Arc::new(Field::new_list_field(DataType::Struct(top_fields(&item)), true));
        let nulls: Option<NullBuffer> = states.nulls().cloned();
        let offsets = OffsetBuffer::from_lengths(lengths);
        Ok(Arc::new(ListArray::try_new(
            field,
            offsets,
            Arc::new(rows),
            nulls,
        )?))
    })
}
