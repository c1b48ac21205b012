//! `is_account_group_member(group)`, `is_member(group)`: if the session's user is in a group.
//!
//! Source: Databricks, `is_account_group_member`, `is_member`.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::DataType;
use datafusion::common::cast::as_string_array;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The names of the functions.
pub(crate) const NAMES: [&str; 2] = ["is_account_group_member", "is_member"];

/// One of the functions, as it is for one user.
#[derive(Debug, PartialEq, Eq, Hash)]
struct GroupMember {
    name: &'static str,
    groups: BTreeSet<String>,
    signature: Signature,
}

/// Makes the functions for a user who is in these groups. They change with the groups, so they are no pure ones.
pub(crate) fn functions(groups: &BTreeSet<String>) -> impl Iterator<Item = Arc<ScalarUDF>> {
    NAMES.into_iter().map(|name| {
        Arc::new(ScalarUDF::from(GroupMember {
            name,
            groups: groups.clone(),
            signature: Signature::exact(vec![DataType::Utf8], Volatility::Stable),
        }))
    })
}

impl ScalarUDFImpl for GroupMember {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(named) = arrays.first() else {
            return Ok(ColumnarValue::Array(Arc::new(BooleanArray::from(
                vec![false; args.number_rows],
            ))));
        };
        let members = as_string_array(named)?
            .iter()
            .map(|group| group.map(|group| self.groups.contains(group)));
        let members: ArrayRef = Arc::new(members.collect::<BooleanArray>());
        let constant = args
            .args
            .iter()
            .all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        match constant {
            true => Ok(ColumnarValue::Scalar(
                datafusion::common::ScalarValue::try_from_array(&members, 0)?,
            )),
            false => Ok(ColumnarValue::Array(members)),
        }
    }
}
