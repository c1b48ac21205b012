//! The value of a function: in the place of a call where each argument is computed once all the same, otherwise as a
//! function of the arguments.
//!
//! In place, the optimiser sees through the call. But an argument that the body names twice would be computed twice,
//! and a body of bodies would grow with each step; so such a call stays one, and computes its arguments first.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, TableReference};
use datafusion::error::{DataFusionError, Result as PlanResult};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use super::arguments::{Arguments, has_subquery, in_value, subquery_of};
use super::planned::{Parameters, type_of};
use crate::session::Routine;
use crate::{Error, Result};

/// Expressions of a body that is put in the place of a call, at most.
const IN_PLACE_MAX: usize = 200;

/// Expressions that a call stands for with all bodies in bodies, at most.
const WEIGHT_MAX: usize = 100_000;

/// Queries of a body, at most, with those of the bodies in it.
const SUBQUERIES_MAX: usize = 200;

/// A body that is a value.
#[derive(Debug)]
pub(super) struct Value {
    /// What the parameters are called.
    relation: TableReference,
    names: Vec<String>,
    body: Expr,
    /// How often the body names each parameter, outside and within its subqueries.
    uses: HashMap<String, usize>,
    has_subquery: bool,
    small: bool,
    function: Arc<ScalarUDF>,
}

impl Value {
    /// Takes the body of a function over its parameters.
    ///
    /// # Errors
    /// `UNSUPPORTED_FEATURE` for a body that is too large with those that it calls.
    pub fn new(routine: &Routine, parameters: &Parameters, body: Expr) -> Result<Self> {
        let body = crate::spark::without_single_rows(body)?;
        let mut size = Size::default();
        size.add(&body)?;
        if size.weight > WEIGHT_MAX || size.subqueries > SUBQUERIES_MAX {
            return Err(Error::unsupported(format!(
                "the function `{}` stands for more than {WEIGHT_MAX} expressions or {SUBQUERIES_MAX} queries with all \
                 that it calls",
                routine.full_name()
            )));
        }
        let mut uses = HashMap::new();
        count(&body, &parameters.relation(), &mut uses)?;
        let data_type = type_of(&body, parameters)?;
        let function = ScalarUDF::from(Call {
            name: routine.full_name(),
            columns: Arc::new(parameters.columns()?),
            returned: data_type,
            weight: size.weight,
            simplified: false,
            signature: Signature::any(parameters.fields().fields().len(), volatility(&body)?),
            body: Arc::new(body.clone()),
            compiled: OnceLock::new(),
        });
        let names = parameters.fields().fields().iter();
        Ok(Self {
            relation: parameters.relation(),
            names: names.map(|field| field.name().clone()).collect(),
            has_subquery: has_subquery(&body),
            small: size.nodes <= IN_PLACE_MAX,
            uses,
            body,
            function: Arc::new(function),
        })
    }

    pub fn has_subquery(&self) -> bool {
        self.has_subquery
    }

    /// Makes the value of a call for rows of `schema`.
    pub fn of(&self, arguments: Vec<Expr>, schema: &DFSchema) -> PlanResult<Expr> {
        let once = self.names.iter().zip(&arguments).all(|(name, argument)| {
            let uses = self.uses.get(name).copied().unwrap_or_default();
            is_cheap(argument) || uses == 1 || (uses == 0 && !argument.is_volatile())
        });
        if (once && self.small) || self.has_subquery {
            let arguments = Arguments {
                relation: self.relation.clone(),
                values: self.names.iter().cloned().zip(arguments).collect(),
            };
            return in_value(self.body.clone(), &arguments, schema);
        }
        let call = ScalarFunction::new_udf(Arc::clone(&self.function), arguments);
        Ok(Expr::ScalarFunction(call))
    }
}

/// Says if computing a value again costs nothing.
fn is_cheap(value: &Expr) -> bool {
    match value {
        Expr::Alias(alias) => is_cheap(&alias.expr),
        Expr::Cast(cast) => is_cheap(&cast.expr),
        Expr::Column(_) | Expr::Literal(..) | Expr::OuterReferenceColumn(..) => true,
        _ => false,
    }
}

/// How large a body is.
#[derive(Debug, Default)]
struct Size {
    /// Expressions of it.
    nodes: usize,
    /// Those too of the functions that it calls.
    weight: usize,
    subqueries: usize,
}

impl Size {
    fn add(&mut self, value: &Expr) -> PlanResult<()> {
        value.apply(|part| {
            self.nodes += 1;
            self.weight += match part {
                Expr::ScalarFunction(call) => match call.func.inner().downcast_ref::<Call>() {
                    Some(called) => called.weight,
                    None => 1,
                },
                _ => 1,
            };
            if let Some(subquery) = subquery_of(part) {
                self.subqueries += 1;
                self.add_plan(&subquery.subquery)?;
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(())
    }

    fn add_plan(&mut self, plan: &LogicalPlan) -> PlanResult<()> {
        plan.apply(|node| {
            node.apply_expressions(|expression| {
                self.add(expression)?;
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(())
    }
}

/// Counts how often parameters are named.
fn count(value: &Expr, relation: &TableReference, uses: &mut HashMap<String, usize>) -> PlanResult<()> {
    value.apply(|part| {
        match part {
            Expr::Column(column) | Expr::OuterReferenceColumn(_, column)
                if column.relation.as_ref() == Some(relation) =>
            {
                *uses.entry(column.name.clone()).or_default() += 1;
            }
            part => {
                if let Some(subquery) = subquery_of(part) {
                    subquery.subquery.apply(|node| {
                        node.apply_expressions(|expression| {
                            count(expression, relation, uses)?;
                            Ok(TreeNodeRecursion::Continue)
                        })
                    })?;
                }
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn volatility(body: &Expr) -> PlanResult<Volatility> {
    if body.is_volatile() {
        return Ok(Volatility::Volatile);
    }
    let stable = body.exists(|part| {
        Ok(match part {
            Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Stable,
            _ => false,
        })
    })?;
    Ok(match stable {
        true => Volatility::Stable,
        false => Volatility::Immutable,
    })
}

/// A call that computes its arguments before its body.
#[derive(Debug)]
struct Call {
    name: String,
    /// The parameters.
    columns: Arc<DFSchema>,
    returned: DataType,
    body: Arc<Expr>,
    weight: usize,
    /// What the statement says of the instant and the session is in the body.
    simplified: bool,
    signature: Signature,
    compiled: OnceLock<Arc<dyn PhysicalExpr>>,
}

impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.simplified == other.simplified && self.body == other.body
    }
}

impl Eq for Call {}

impl Hash for Call {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl Call {
    fn compile(&self, arguments: &ScalarFunctionArgs) -> PlanResult<Arc<dyn PhysicalExpr>> {
        if let Some(compiled) = self.compiled.get() {
            return Ok(Arc::clone(compiled));
        }
        let mut properties = ExecutionProps::new();
        properties.config_options = Some(Arc::clone(&arguments.config_options));
        let compiled = create_physical_expr(&self.body, &self.columns, &properties, &Default::default())?;
        Ok(Arc::clone(self.compiled.get_or_init(|| compiled)))
    }
}

impl ScalarUDFImpl for Call {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> PlanResult<DataType> {
        Ok(self.returned.clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> PlanResult<FieldRef> {
        Ok(Arc::new(Field::new(&self.name, self.returned.clone(), true)))
    }

    fn simplify(&self, arguments: Vec<Expr>, context: &SimplifyContext) -> PlanResult<ExprSimplifyResult> {
        if self.simplified {
            return Ok(ExprSimplifyResult::Original(arguments));
        }
        let context = SimplifyContext::builder()
            .with_schema(Arc::clone(&self.columns))
            .with_config_options(Arc::clone(context.config_options()))
            .with_query_execution_start_time(context.query_execution_start_time())
            .build();
        let simplifier = ExprSimplifier::new(context);
        let body = simplifier.coerce(Expr::clone(&self.body), &self.columns)?;
        let body = simplifier.simplify(body)?;
        let function = ScalarUDF::from(Self {
            name: self.name.clone(),
            columns: Arc::clone(&self.columns),
            returned: self.returned.clone(),
            body: Arc::new(body),
            weight: self.weight,
            simplified: true,
            signature: self.signature.clone(),
            compiled: OnceLock::new(),
        });
        let call = ScalarFunction::new_udf(Arc::new(function), arguments);
        Ok(ExprSimplifyResult::Simplified(Expr::ScalarFunction(call)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let compiled = self.compile(&arguments)?;
        let rows = arguments.number_rows;
        let fields = self.columns.as_arrow().fields().iter().zip(&arguments.args);
        let fields = fields.map(|(field, argument)| {
            // A type may differ in how it calls the parts of a list.
            Field::new(field.name(), argument.data_type(), true)
        });
        let schema = Arc::new(arrow::datatypes::Schema::new(fields.collect::<Vec<_>>()));
        let columns = arguments
            .args
            .into_iter()
            .map(|argument| argument.into_array(rows));
        let columns = columns.collect::<PlanResult<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema, columns, &options)?;
        let value = compiled.evaluate(&batch)?.into_array(rows)?;
        if *value.data_type() == self.returned {
            return Ok(ColumnarValue::Array(value));
        }
        Err(DataFusionError::Internal(format!(
            "`{}` gives {}, not {}",
            self.name,
            value.data_type(),
            self.returned
        )))
    }
}
