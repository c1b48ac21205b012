//! The body of a function, planned over its parameters.
//!
//! A body is an item of a SELECT from the relation of the parameters: a value as it is, rows as what EXISTS asks for.
//! So the parameters are columns to an expression, and columns of the outer query to its subqueries and to the rows.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::Result as PlanResult;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr as LogicalExpr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::{
    DataType as SqlType, DictionaryField, Expr, Function, Ident, ObjectName, Query, SelectItem, SetExpr,
    Statement, TableAlias, TableFactor, VisitMut, VisitorMut,
};
use ingot_catalog::{FunctionReturns, ParameterInfo};
use ingot_common::Kind;

use super::FORM;
use super::arguments::{self, Arguments};
use super::value::Value;
use crate::error::{condition, external};
use crate::resolve::{Reads, Scope, TARGET, plan_in};
use crate::session::Routine;
use crate::types::parse_type;
use crate::write::type_text;
use crate::{Error, Result, Session, ast, dialect, resolve};

/// What the items of a planned body are called, with a number.
const ITEM: &str = "__ingot_item_";

/// A function whose body is planned.
#[derive(Debug)]
pub(in crate::resolve) struct Planned {
    pub routine: Arc<Routine>,
    /// The types of the parameters.
    types: Vec<SqlType>,
    defaults: Vec<Option<LogicalExpr>>,
    body: PlannedBody,
}

#[derive(Debug)]
enum PlannedBody {
    Value(Box<Value>),
    /// With the declared names and types of the columns.
    Rows {
        plan: LogicalPlan,
        schema: SchemaRef,
    },
}

impl Planned {
    /// Plans the body of a function that a query of `scope` calls.
    pub async fn of(session: &Session, routine: &Arc<Routine>, scope: &Scope, reads: &Reads) -> Result<Self> {
        let scope = scope.of_routine(routine)?;
        let types = routine
            .parameters
            .iter()
            .map(|parameter| dialect::data_type(&parameter.type_text));
        let types = types.collect::<Result<Vec<_>>>()?;
        let mut items = Vec::new();
        match (&routine.returns, body_of(routine)?) {
            (FunctionReturns::Scalar(type_text), Body::Value(value)) => {
                items.push(ast::cast(*value, dialect::data_type(type_text)?));
            }
            (_, body) => items.push(body.into_item()),
        }
        for (parameter, data_type) in routine.parameters.iter().zip(&types) {
            if let Some(default) = &parameter.default {
                items.push(ast::cast(dialect::expression(default)?, data_type.clone()));
            }
        }
        let parameters = Parameters::of(routine.short_name(), &routine.parameters)?;
        let mut planned = parameters.plan(session, items, scope, reads).await?.into_iter();
        let body = planned
            .next()
            .ok_or_else(|| Error::internal("a body without an item".to_owned()))?;
        let body = match &routine.returns {
            FunctionReturns::Scalar(_) => {
                PlannedBody::Value(Box::new(Value::new(routine, &parameters, body)?))
            }
            FunctionReturns::Table(columns) => rows(routine, columns, body)?,
        };
        let defaults = routine
            .parameters
            .iter()
            .map(|parameter| match &parameter.default {
                Some(_) => planned.next(),
                None => None,
            });
        let defaults = defaults.collect();
        Ok(Self {
            routine: Arc::clone(routine),
            types,
            defaults,
            body,
        })
    }

    /// Returns the columns of the rows that the function returns.
    pub fn schema(&self) -> Option<&SchemaRef> {
        match &self.body {
            PlannedBody::Rows { schema, .. } => Some(schema),
            PlannedBody::Value(_) => None,
        }
    }

    /// Says if the body is a query, or has one.
    pub fn has_subquery(&self) -> bool {
        match &self.body {
            PlannedBody::Value(value) => value.has_subquery(),
            PlannedBody::Rows { .. } => true,
        }
    }

    /// Writes a call as a form.
    pub fn form(&self, name: &str, arguments: Vec<Option<Expr>>) -> Expr {
        let function = DictionaryField {
            key: Ident::new(FORM),
            value: Box::new(ast::text(name)),
        };
        let arguments = arguments.into_iter().zip(&self.types).enumerate();
        let arguments = arguments.filter_map(|(place, (argument, data_type))| {
            Some(DictionaryField {
                key: Ident::new(place.to_string()),
                value: Box::new(ast::cast(argument?, data_type.clone())),
            })
        });
        Expr::Dictionary(std::iter::once(function).chain(arguments).collect())
    }

    /// Makes the value of a call, of arguments by their places, for rows of `schema`.
    pub fn value(&self, given: BTreeMap<usize, LogicalExpr>, schema: &DFSchema) -> PlanResult<LogicalExpr> {
        let arguments = self.arguments(given);
        if self.has_subquery() && arguments.iter().any(of_groups) {
            return Err(external(Error::unsupported(format!(
                "the function `{}` has a query, and takes no aggregate or window function; compute that in a query of \
                 FROM",
                self.routine.full_name()
            ))));
        }
        match &self.body {
            PlannedBody::Value(value) => value.of(arguments, schema),
            PlannedBody::Rows { .. } => Err(not_of_this_kind(&self.routine)),
        }
    }

    /// Makes the rows of a call.
    pub fn relation(&self, given: BTreeMap<usize, LogicalExpr>) -> PlanResult<LogicalPlan> {
        let PlannedBody::Rows { plan, .. } = &self.body else {
            return Err(not_of_this_kind(&self.routine));
        };
        let values = self.arguments(given).into_iter();
        let names = self
            .routine
            .parameters
            .iter()
            .map(|parameter| parameter.name.clone());
        let arguments = Arguments {
            relation: TableReference::bare(self.routine.short_name()),
            values: names.zip(values).collect(),
        };
        arguments::in_plan(plan.clone(), &arguments)
    }

    fn arguments(&self, mut given: BTreeMap<usize, LogicalExpr>) -> Vec<LogicalExpr> {
        let null = || LogicalExpr::Literal(datafusion::scalar::ScalarValue::Null, None);
        let defaults = self.defaults.iter().enumerate();
        let arguments = defaults.map(|(place, default)| {
            let argument = given.remove(&place).or_else(|| default.clone());
            argument.unwrap_or_else(null)
        });
        arguments.collect()
    }
}

/// Says if a value is of groups or windows of rows: it is not known where a query in an expression is planned.
fn of_groups(value: &LogicalExpr) -> bool {
    let found = value.exists(|part| {
        Ok(matches!(
            part,
            LogicalExpr::AggregateFunction(_) | LogicalExpr::WindowFunction(_)
        ))
    });
    found.unwrap_or(false)
}

fn not_of_this_kind(routine: &Routine) -> datafusion::error::DataFusionError {
    condition(
        "UNRESOLVED_ROUTINE",
        "42883",
        format!("`{}` does not stand here", routine.full_name()),
    )
}

/// What stands after RETURN.
pub(crate) enum Body {
    Value(Box<Expr>),
    Rows(Box<Query>),
}

impl Body {
    fn into_item(self) -> Expr {
        match self {
            Self::Value(value) => *value,
            Self::Rows(query) => Expr::Exists {
                subquery: query,
                negated: false,
            },
        }
    }
}

/// Reads the body of a function. A query of a function that returns a value is one in parentheses.
///
/// # Errors
/// `PARSE_SYNTAX_ERROR`; `USER_DEFINED_FUNCTIONS.SQL_TABLE_UDF_BODY_MUST_BE_A_QUERY`.
pub(crate) fn body_of(routine: &Routine) -> Result<Body> {
    let text = &routine.definition;
    let scalar = matches!(routine.returns, FunctionReturns::Scalar(_));
    let value = dialect::expression(text);
    let query = match crate::statement::parse_query(text) {
        Ok(Statement::Query(query)) => Some(query),
        _ => None,
    };
    match (scalar, value, query) {
        (true, Ok(value), _) => Ok(Body::Value(Box::new(value))),
        (true, Err(_), Some(query)) => Ok(Body::Value(Box::new(Expr::Subquery(query)))),
        (true, Err(error), None) => Err(error),
        (false, _, Some(query)) => Ok(Body::Rows(query)),
        (false, ..) => Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "USER_DEFINED_FUNCTIONS.SQL_TABLE_UDF_BODY_MUST_BE_A_QUERY",
            sqlstate: "42601",
            message: format!("the table function `{}` returns a query", routine.full_name()),
        }),
    }
}

/// The relation of a function's parameters.
pub(super) struct Parameters {
    /// What the relation is called.
    name: String,
    schema: SchemaRef,
}

impl Parameters {
    pub fn of(name: &str, parameters: &[ParameterInfo]) -> Result<Self> {
        let fields = parameters.iter().map(|parameter| {
            let data_type = parse_type(&parameter.type_text)?;
            Ok(Field::new(&parameter.name, data_type, true))
        });
        Ok(Self {
            name: name.to_owned(),
            schema: Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?)),
        })
    }

    pub fn relation(&self) -> TableReference {
        TableReference::bare(self.name.as_str())
    }

    pub fn columns(&self) -> PlanResult<DFSchema> {
        DFSchema::try_from_qualified_schema(self.relation(), &self.schema)
    }

    pub fn fields(&self) -> &SchemaRef {
        &self.schema
    }

    /// Plans expressions over the relation.
    ///
    /// # Errors
    /// `USER_DEFINED_FUNCTIONS.CANNOT_CONTAIN_COMPLEX_FUNCTIONS` for aggregate, window and generator functions.
    async fn plan(
        &self,
        session: &Session,
        mut items: Vec<Expr>,
        scope: Scope,
        reads: &Reads,
    ) -> Result<Vec<LogicalExpr>> {
        {
            let state = session.datafusion().state_ref();
            let state = state.read();
            items.iter_mut().try_for_each(|item| check_simple(item, &state))?;
        }
        let mut query = ast::select_from(self.table()?);
        if let SetExpr::Select(select) = query.body.as_mut() {
            let items = items.into_iter().enumerate();
            let named = items.map(|(place, expr)| SelectItem::ExprWithAlias {
                expr,
                alias: Ident::with_quote('`', format!("{ITEM}{place}")),
            });
            select.projection = named.collect();
        }
        let table = Arc::new(EmptyTable::new(Arc::clone(&self.schema)));
        let statement = Statement::Query(Box::new(query));
        let rows = plan_in(session, statement, scope, reads, Some(table)).await?;
        let planned = items_of(rows.logical_plan())?;
        planned.ok_or_else(complex)
    }

    fn table(&self) -> Result<TableFactor> {
        let name: ObjectName = resolve::object_name(TARGET)?;
        Ok(TableFactor::Table {
            name,
            alias: Some(TableAlias {
                explicit: true,
                name: Ident::with_quote('`', &self.name),
                columns: Vec::new(),
                at: None,
            }),
            args: None,
            with_hints: Vec::new(),
            version: None,
            with_ordinality: false,
            partitions: Vec::new(),
            json_path: None,
            sample: None,
            index_hints: Vec::new(),
        })
    }
}

/// Returns the expressions of a projection of the relation of parameters; `None` where a plan is more than that.
fn items_of(plan: &LogicalPlan) -> PlanResult<Option<Vec<LogicalExpr>>> {
    let LogicalPlan::Projection(projection) = plan else {
        return Ok(None);
    };
    let items = projection.expr.iter().map(|item| item.clone().unalias());
    if is_relation(&projection.input) {
        return Ok(Some(items.collect()));
    }
    let Some(beneath) = items_of(&projection.input)? else {
        return Ok(None);
    };
    let names = projection.input.schema().columns();
    let beneath: HashMap<&Column, LogicalExpr> = names.iter().zip(beneath).collect();
    let replaced = items.map(|item| {
        let item = item.transform_up(|part| match &part {
            LogicalExpr::Column(column) => Ok(match beneath.get(column) {
                Some(value) => Transformed::yes(value.clone()),
                None => Transformed::no(part),
            }),
            _ => Ok(Transformed::no(part)),
        });
        Ok(item?.data)
    });
    replaced.collect::<PlanResult<Vec<_>>>().map(Some)
}

fn is_relation(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => is_relation(&alias.input),
        LogicalPlan::TableScan(_) => true,
        _ => false,
    }
}

fn complex() -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "USER_DEFINED_FUNCTIONS.CANNOT_CONTAIN_COMPLEX_FUNCTIONS",
        sqlstate: "42601",
        message: "aggregate, window and generator functions stand in queries of a function's body, not in its value"
            .to_owned(),
    }
}

/// Refuses aggregate and window functions that are in no subquery.
fn check_simple(item: &mut Expr, state: &SessionState) -> Result<()> {
    struct Functions<'a> {
        state: &'a SessionState,
        depth: usize,
    }
    impl Functions<'_> {
        fn refuses(&self, function: &Function) -> bool {
            let name = function.name.to_string().to_lowercase();
            function.over.is_some()
                || self.state.aggregate_functions().contains_key(&name)
                || resolve::GENERATORS.contains(&name.as_str())
        }
    }
    impl VisitorMut for Functions<'_> {
        type Break = ();

        fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            match expr {
                Expr::Function(function) if self.depth == 0 && self.refuses(function) => {
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    match VisitMut::visit(item, &mut Functions { state, depth: 0 }) {
        ControlFlow::Break(()) => Err(complex()),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Gives the rows of a body the declared names and types of the columns.
///
/// # Errors
/// `USER_DEFINED_FUNCTIONS.RETURN_COLUMN_COUNT_MISMATCH`.
fn rows(routine: &Routine, columns: &[ParameterInfo], body: LogicalExpr) -> Result<PlannedBody> {
    let plan = plan_of(body)?;
    let given = plan.schema().columns();
    if given.len() != columns.len() {
        return Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "USER_DEFINED_FUNCTIONS.RETURN_COLUMN_COUNT_MISMATCH",
            sqlstate: "42601",
            message: format!(
                "the query of `{}` gives {} columns, and {} are declared",
                routine.full_name(),
                given.len(),
                columns.len()
            ),
        });
    }
    let mut projected = Vec::with_capacity(columns.len());
    let mut fields = Vec::with_capacity(columns.len());
    for (column, declared) in given.into_iter().zip(columns) {
        let data_type = parse_type(&declared.type_text)?;
        let value = datafusion::logical_expr::cast(LogicalExpr::Column(column), data_type.clone());
        projected.push(value.alias(&declared.name));
        fields.push(Field::new(&declared.name, data_type, true));
    }
    let plan = LogicalPlanBuilder::from(plan).project(projected)?.build()?;
    Ok(PlannedBody::Rows {
        plan,
        schema: Arc::new(Schema::new(fields)),
    })
}

fn plan_of(body: LogicalExpr) -> Result<LogicalPlan> {
    let mut found = None;
    body.apply(|part| {
        if let LogicalExpr::Exists(exists) = part {
            found = Some(LogicalPlan::clone(&exists.subquery.subquery));
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    found.ok_or_else(|| Error::internal("a table function without a query".to_owned()))
}

/// What planning a function says of it that its statement does not.
pub(crate) struct Described {
    pub returns: FunctionReturns,
    pub deterministic: bool,
    pub reads: Reads,
}

/// Plans a function that is to be made. `typed` says that the statement gives what it returns.
///
/// # Errors
/// What is wrong with the body or a default.
pub(crate) async fn describe(session: &Session, routine: &Routine, typed: bool) -> Result<Described> {
    let reads = Reads::default();
    let parameters = Parameters::of(routine.short_name(), &routine.parameters)?;
    for parameter in &routine.parameters {
        check_default(session, routine, parameter, &reads).await?;
    }
    let scope = Scope::of(&session.namespace()).of_routine_made(routine)?;
    let body = body_of(routine)?;
    let item = body.into_item();
    let defaults = routine
        .parameters
        .iter()
        .filter_map(|parameter| parameter.default.as_deref());
    let defaults = defaults.map(dialect::expression).collect::<Result<Vec<_>>>()?;
    if resolve::has_parameters(&item) || resolve::has_parameters(&defaults) {
        return Err(Error::parameter_marker("CREATE FUNCTION"));
    }
    let item = match (&routine.returns, typed) {
        (FunctionReturns::Scalar(type_text), true) => ast::cast(item, dialect::data_type(type_text)?),
        _ => item,
    };
    let planned = parameters.plan(session, vec![item], scope, &reads).await?;
    let value = planned.into_iter().next();
    let value = value.ok_or_else(|| Error::internal("a body without an item".to_owned()))?;
    let deterministic = !value.is_volatile();
    let returns = match (&routine.returns, typed) {
        (FunctionReturns::Scalar(_), false) => {
            FunctionReturns::Scalar(type_text(&value.get_type(&parameters.columns()?)?))
        }
        (FunctionReturns::Scalar(type_text), true) => {
            // Also checks that the value is no larger than a plan may be.
            Value::new(routine, &parameters, value)?;
            FunctionReturns::Scalar(type_text.clone())
        }
        (FunctionReturns::Table(columns), true) => {
            rows(routine, columns, value)?;
            FunctionReturns::Table(columns.clone())
        }
        (FunctionReturns::Table(_), false) => {
            let plan = plan_of(value)?;
            let fields = plan.schema().fields().iter();
            FunctionReturns::Table(fields.map(|field| column(field)).collect())
        }
    };
    Ok(Described {
        returns,
        deterministic,
        reads,
    })
}

fn column(field: &Field) -> ParameterInfo {
    ParameterInfo {
        name: crate::spark::shown_name(field.name()).to_owned(),
        type_text: type_text(field.data_type()),
        default: None,
        comment: None,
    }
}

/// Checks that a default is a value of its own.
///
/// # Errors
/// `USER_DEFINED_FUNCTIONS.NOT_A_VALID_DEFAULT_EXPRESSION` for subqueries; `UNRESOLVED_COLUMN` for other parameters.
async fn check_default(
    session: &Session,
    routine: &Routine,
    parameter: &ParameterInfo,
    reads: &Reads,
) -> Result<()> {
    let Some(default) = &parameter.default else {
        return Ok(());
    };
    let value = ast::cast(
        dialect::expression(default)?,
        dialect::data_type(&parameter.type_text)?,
    );
    let scope = Scope::of(&session.namespace()).of_routine_made(routine)?;
    let nothing = Parameters::of(routine.short_name(), &[])?;
    let planned = match nothing.plan(session, vec![value], scope, reads).await {
        Err(Error::Condition {
            condition: "USER_DEFINED_FUNCTIONS.CANNOT_CONTAIN_COMPLEX_FUNCTIONS",
            ..
        }) => return Err(bad_default(routine, parameter)),
        planned => planned?,
    };
    match planned.iter().any(arguments::has_subquery) {
        true => Err(bad_default(routine, parameter)),
        false => Ok(()),
    }
}

fn bad_default(routine: &Routine, parameter: &ParameterInfo) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "USER_DEFINED_FUNCTIONS.NOT_A_VALID_DEFAULT_EXPRESSION",
        sqlstate: "42601",
        message: format!(
            "the default of the parameter `{}` of `{}` has a query or an aggregate function",
            parameter.name,
            routine.full_name()
        ),
    }
}

/// Returns the type of a value of the parameters.
pub(super) fn type_of(value: &LogicalExpr, parameters: &Parameters) -> PlanResult<DataType> {
    value.get_type(&parameters.columns()?)
}
