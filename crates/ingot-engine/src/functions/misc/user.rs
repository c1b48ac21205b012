//! `current_user()`, `user()`, `session_user()`: whose session it is.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// The function, which each session has of its own.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct CurrentUser {
    user: String,
    aliases: Vec<String>,
    signature: Signature,
}

impl CurrentUser {
    pub fn new(user: &str) -> Self {
        Self {
            user: user.to_owned(),
            aliases: ["user", "session_user"].map(str::to_owned).to_vec(),
            signature: Signature::nullary(Volatility::Stable),
        }
    }
}

impl ScalarUDFImpl for CurrentUser {
    fn name(&self) -> &str {
        "current_user"
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(ScalarValue::Utf8(Some(self.user.clone()))))
    }
}
