//! The type that the arguments of a call have in common.

use arrow::datatypes::DataType;
use datafusion::error::Result;

use crate::error::condition;
use crate::spark::coercion;
use crate::write::type_text;

/// Returns the type that all have in common; VOID of nothing.
///
/// # Errors
/// `DATATYPE_MISMATCH.DATA_DIFF_TYPES`.
pub(crate) fn common_type<'a>(
    function: &str,
    types: impl IntoIterator<Item = &'a DataType>,
) -> Result<DataType> {
    let types: Vec<&DataType> = types.into_iter().collect();
    if types.is_empty() {
        return Ok(DataType::Null);
    }
    coercion::common_type_of(types.iter().copied()).ok_or_else(|| {
        let types: Vec<String> = types
            .iter()
            .map(|data_type| type_text(data_type).to_uppercase())
            .collect();
        condition(
            "DATATYPE_MISMATCH.DATA_DIFF_TYPES",
            "42K09",
            format!(
                "the arguments of `{function}` have to be of one type, and are {}",
                types.join(", ")
            ),
        )
    })
}
