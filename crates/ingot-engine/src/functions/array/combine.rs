//! `concat` and `reverse`, of arrays, texts and bytes.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};

use crate::functions::arguments::{count, over_arrays};
use crate::functions::collection::{Gathered, immutable, item_type, items_at, list_of, sized};
use crate::functions::common_type::common_type;
use crate::functions::function::Returns;
use crate::functions::rows::{bytes, texts};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        immutable(
            "concat",
            concat_types,
            Returns::Of(|types| Ok(types.first().cloned().unwrap_or(DataType::Utf8))),
            concat,
        ),
        immutable(
            "reverse",
            |types| {
                count("reverse", types, 1, 1)?;
                Ok(vec![match &types[0] {
                    list if list.is_nested() && item_type(list).is_some() => {
                        list_of(item_type(list).unwrap_or(DataType::Null))
                    }
                    _ => DataType::Utf8,
                }])
            },
            Returns::Of(|types| Ok(types.first().cloned().unwrap_or(DataType::Utf8))),
            reverse,
        ),
    ]
}

/// Arrays stay arrays and bytes bytes; all else is written as text.
fn concat_types(types: &[DataType]) -> Result<Vec<DataType>> {
    let is_list = |data_type: &DataType| data_type.is_nested() && item_type(data_type).is_some();
    let is_bytes = |data_type: &DataType| {
        matches!(
            data_type,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView
        )
    };
    let common = if types.iter().any(is_list) {
        common_type("concat", types)?
    } else if !types.is_empty() && types.iter().all(is_bytes) {
        DataType::Binary
    } else {
        DataType::Utf8
    };
    let common = match item_type(&common) {
        Some(item) if common.is_nested() => list_of(item),
        _ => common,
    };
    Ok(vec![common; types.len()])
}

/// A null among them gives null.
fn concat(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    let rows = arguments.number_rows;
    over_arrays(arguments, |arrays| {
        match arrays.first().map(|first| first.data_type()) {
            None => Ok(Arc::new(StringArray::from(vec![""; rows])) as ArrayRef),
            Some(DataType::List(_)) => concat_lists(arrays),
            Some(DataType::Binary) => {
                let parts: Vec<_> = arrays.iter().map(|array| array.as_binary::<i32>()).collect();
                bytes(arrays, |row, out| {
                    parts
                        .iter()
                        .for_each(|part| out.extend_from_slice(part.value(row)));
                    Ok(true)
                })
            }
            Some(_) => {
                let parts: Vec<_> = arrays.iter().map(|array| array.as_string::<i32>()).collect();
                texts(arrays, |row, out| {
                    Ok(parts.iter().all(|part| out.write_str(part.value(row)).is_ok()))
                })
            }
        }
    })
}

fn concat_lists(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let lists: Vec<&ListArray> = arrays.iter().map(|array| array.as_list()).collect();
    let rows = arrays.first().map_or(0, |first| first.len());
    let mut result = Gathered::new(rows);
    for row in 0..rows {
        if lists.iter().any(|list| list.is_null(row)) {
            result.null()?;
            continue;
        }
        for (source, list) in lists.iter().enumerate() {
            result.extend(source, items_at(list, row).unwrap_or_default());
        }
        result.end()?;
    }
    let sources: Vec<ArrayRef> = lists.iter().map(|list| Arc::clone(list.values())).collect();
    let item = sources
        .first()
        .map_or(DataType::Null, |first| first.data_type().clone());
    result.finish(&item, &sources)
}

fn reverse(arguments: &ScalarFunctionArgs) -> Result<ColumnarValue> {
    over_arrays(arguments, |arrays| {
        let [reversed] = sized(arrays)?;
        if let Some(list) = reversed.as_list_opt::<i32>() {
            let mut result = Gathered::new(list.len());
            for row in 0..list.len() {
                match items_at(list, row) {
                    Some(items) => {
                        result.extend(0, items.rev());
                        result.end()?;
                    }
                    None => result.null()?,
                }
            }
            return result.finish(list.values().data_type(), &[Arc::clone(list.values())]);
        }
        let texts = reversed.as_string::<i32>().iter();
        let texts: StringArray = texts
            .map(|text| text.map(|text| text.chars().rev().collect::<String>()))
            .collect();
        Ok(Arc::new(texts))
    })
}
