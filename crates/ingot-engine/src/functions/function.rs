//! A scalar function as data: most functions are a name, types and a computation.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use super::refused;

/// A function of Spark's. One file has one of them, or some that differ in a word.
#[derive(Debug)]
pub(crate) struct Function {
    /// In lower case, as Spark's `SHOW FUNCTIONS` has it.
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub volatility: Volatility,
    /// Says which types the arguments are converted to, given those of the call. Asked again about the types that it
    /// said, it says the same.
    ///
    /// # Errors
    /// `WRONG_NUM_ARGS`, `DATATYPE_MISMATCH`: see [`super::arguments`].
    pub arguments: fn(&[DataType]) -> Result<Vec<DataType>>,
    /// Says the type of the result, given the arguments' after conversion.
    pub returns: Returns,
    /// Computes the values of a batch, whose arguments have the types that `arguments` said.
    pub invoke: fn(&ScalarFunctionArgs) -> Result<ColumnarValue>,
}

/// The type of a result.
#[derive(Debug)]
pub(crate) enum Returns {
    Always(DataType),
    /// Of the arguments' types.
    Of(fn(&[DataType]) -> Result<DataType>),
    /// Of values too, those that are constant.
    Field(fn(&ReturnFieldArgs<'_>) -> Result<DataType>),
}

impl Function {
    /// Makes a function whose result follows from its arguments alone.
    pub fn pure(
        name: &'static str,
        arguments: fn(&[DataType]) -> Result<Vec<DataType>>,
        returns: Returns,
        invoke: fn(&ScalarFunctionArgs) -> Result<ColumnarValue>,
    ) -> Self {
        Self {
            name,
            aliases: &[],
            volatility: Volatility::Immutable,
            arguments,
            returns,
            invoke,
        }
    }

    /// Gives it other names too.
    pub fn also(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    /// Says that its result is another in each statement, or in each row.
    pub fn changing(self, volatility: Volatility) -> Self {
        Self { volatility, ..self }
    }

    /// Makes what DataFusion calls.
    pub fn udf(self) -> Arc<ScalarUDF> {
        let aliases = self.aliases.iter().map(|alias| (*alias).to_owned()).collect();
        Arc::new(ScalarUDF::from(Udf {
            signature: Signature::user_defined(self.volatility),
            aliases,
            function: self,
        }))
    }
}

#[derive(Debug)]
struct Udf {
    function: Function,
    aliases: Vec<String>,
    signature: Signature,
}

/// There is one function of a name.
impl PartialEq for Udf {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name
    }
}

impl Eq for Udf {}

impl Hash for Udf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl ScalarUDFImpl for Udf {
    fn name(&self) -> &str {
        self.function.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Leaves arguments that are refused as they are: DataFusion would make its own error of ours, so that
    /// `return_field_from_args` says it.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok((self.function.arguments)(types).unwrap_or_else(|_| types.to_vec()))
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match &self.function.returns {
            Returns::Always(data_type) => Ok(data_type.clone()),
            Returns::Of(of) => of(types),
            Returns::Field(_) => Ok(DataType::Null),
        }
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let fields = arguments.arg_fields.iter();
        let types: Vec<DataType> = fields.map(|field| field.data_type().clone()).collect();
        let types = (self.function.arguments)(&types)?;
        let data_type = match &self.function.returns {
            Returns::Field(of) => of(&arguments)?,
            _ => self.return_type(&types)?,
        };
        Ok(Arc::new(Field::new(self.name(), data_type, true)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        refused::computed(self.function.invoke, &arguments)
    }
}
