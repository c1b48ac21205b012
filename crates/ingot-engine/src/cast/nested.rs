//! Arrays, maps and structs, cast part by part; the fields of structs go by place. Variants, which know their types.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray, new_null_array};
use arrow::datatypes::DataType;

use super::{CastFailure, CastMode};
use crate::functions::variant::{cast as variant, is_variant};
use crate::spark::temporal::Zone;

/// Casts values, whose parts become what a mode says.
///
/// # Errors
/// [`CastFailure`], with the first part that does not fit.
pub(super) fn cast(
    values: &ArrayRef,
    to: &DataType,
    zone: &Zone,
    mode: CastMode,
) -> Result<ArrayRef, CastFailure> {
    match (values.data_type(), to) {
        (from, to) if from == to => Ok(Arc::clone(values)),
        (from, to) if is_variant(from) => {
            variant::of_variants(values, to, zone, mode).map_err(CastFailure::Variant)
        }
        (_, to) if is_variant(to) => variant::to_variants(values).map_err(CastFailure::Variant),
        (DataType::Null, _) => Ok(new_null_array(to, values.len())),
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let rows = values.as_struct();
            let columns = rows.columns().iter().zip(fields);
            let columns = columns.map(|(column, field)| cast(column, field.data_type(), zone, mode));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            let nulls = rows.nulls().cloned();
            let rows = StructArray::try_new_with_length(fields.clone(), columns, nulls, rows.len())?;
            Ok(Arc::new(rows))
        }
        (DataType::Map(..), DataType::Map(entries, sorted)) => {
            let map = values.as_map();
            let pairs: ArrayRef = Arc::new(map.entries().clone());
            let pairs = cast(&pairs, entries.data_type(), zone, mode)?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            let pairs = pairs.as_struct().clone();
            let map = MapArray::try_new(Arc::clone(entries), offsets, pairs, nulls, *sorted)?;
            Ok(Arc::new(map))
        }
        (DataType::List(_), DataType::List(field)) => {
            let list = values.as_list::<i32>();
            let items = cast(list.values(), field.data_type(), zone, mode)?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(
                Arc::clone(field),
                offsets,
                items,
                nulls,
            )?))
        }
        (_, DataType::List(_)) if values.data_type().is_nested() => {
            let lists = arrow::compute::cast(values, to)?;
            Ok(lists)
        }
        _ => mode.cast_plain(values, to, zone),
    }
}
