//! Metric views: dimensions and measures over a source, defined in YAML.
//!
//! ```text
//! YAML ─► MetricView ─┬─ rows: SELECT dimensions, what measures compute from FROM source LEFT JOIN … WHERE filter
//!                     └─ a measure: its aggregate over columns of those rows
//! ```
//! What a measure computes from has names of its own among the rows, which each query makes anew ([`Inputs`]): a dimension
//! may be called as a column of the source is, and whoever asks for measures sees nothing of what they are made of. Source:
//! Databricks, "Metric view YAML syntax reference".

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectNamePart, Query, Select, SelectItem,
    SetExpr, Statement, TableFactor, TableWithJoins, Visit, VisitMut, Visitor, VisitorMut,
};
use ingot_catalog::TableInfo;
use ingot_common::Kind;
use serde::Deserialize;
use serde::de::IgnoredAny;
use uuid::Uuid;

use crate::dialect::{self, quoted};
use crate::{Error, Result, resolve, statement};

/// What columns that measures compute from are called, with a part that is not known before and a number.
const INPUT: &str = "__input";

/// What the definition calls the rows that it is over.
const SOURCE: &str = "source";

/// Versions of the specification that are read.
const VERSIONS: [&str; 2] = ["0.1", "1.1"];

/// A metric view, whose expressions can be parsed.
#[derive(Debug)]
pub(crate) struct MetricView {
    pub comment: Option<String>,
    from: String,
    filter: Option<String>,
    pub dimensions: Vec<MetricColumn>,
    pub measures: Vec<MetricColumn>,
}

/// A dimension or a measure.
#[derive(Debug)]
pub(crate) struct MetricColumn {
    pub name: String,
    pub comment: Option<String>,
    expr: Expr,
}

/// The definition as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: String,
    comment: Option<String>,
    source: String,
    filter: Option<String>,
    #[serde(default)]
    joins: Vec<JoinDocument>,
    #[serde(default, alias = "fields")]
    dimensions: Vec<ColumnDocument>,
    #[serde(default)]
    measures: Vec<ColumnDocument>,
    /// What is kept computed, for speed alone.
    #[serde(rename = "materialization")]
    _materialization: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JoinDocument {
    name: String,
    source: String,
    on: Option<String>,
    using: Option<Vec<String>>,
    joins: Option<IgnoredAny>,
    #[serde(rename = "rely")]
    _rely: Option<IgnoredAny>,
    #[serde(rename = "cardinality")]
    _cardinality: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnDocument {
    name: String,
    expr: String,
    comment: Option<String>,
    window: Option<IgnoredAny>,
    // For those who show it.
    #[serde(rename = "display_name")]
    _display_name: Option<IgnoredAny>,
    #[serde(rename = "format")]
    _format: Option<IgnoredAny>,
    #[serde(rename = "synonyms")]
    _synonyms: Option<IgnoredAny>,
}

/// Says if a column is one that measures compute from: those who ask are not told of it.
pub(crate) fn is_input(column: &str) -> bool {
    column.starts_with(INPUT)
}

/// What the measures of one query are computed from, and what it is called among the rows.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// Nobody can guess it: a query that named an input would read past the measures.
    prefix: String,
    exprs: Vec<Expr>,
}

impl Inputs {
    pub fn new() -> Self {
        Self {
            prefix: format!("{INPUT}_{}", Uuid::new_v4().simple()),
            exprs: Vec::new(),
        }
    }

    fn name(&self, place: usize) -> Ident {
        Ident::with_quote('`', format!("{}_{place}", self.prefix))
    }

    /// Returns the column of an expression, which is made one if it is none yet.
    fn column(&mut self, expr: &Expr) -> Ident {
        let known = self.exprs.iter().position(|input| input == expr);
        let place = known.unwrap_or_else(|| {
            self.exprs.push(expr.clone());
            self.exprs.len() - 1
        });
        self.name(place)
    }
}

impl MetricView {
    /// Reads the definition of a view of the metastore.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn of(view: &TableInfo) -> Result<Self> {
        Self::parse(view.definition.as_deref().unwrap_or_default())
    }

    /// Reads a definition.
    ///
    /// # Errors
    /// `METRIC_VIEW_INVALID_VIEW_DEFINITION`, naming what is wrong; `Unsupported` for joins within joins and measures of
    /// windows.
    pub fn parse(yaml: &str) -> Result<Self> {
        let document: Document = serde_saphyr::from_str(yaml).map_err(|error| invalid(&error.to_string()))?;
        if !VERSIONS.contains(&document.version.as_str()) {
            return Err(invalid(&format!(
                "version {} is not known; write one of {}",
                document.version,
                VERSIONS.join(", ")
            )));
        }
        let mut from = format!("{} AS {SOURCE}", relation(&document.source)?);
        for join in &document.joins {
            from += &join_text(join)?;
        }
        if let Some(filter) = &document.filter {
            checked("filter", filter)?;
        }
        let columns =
            |documents: Vec<ColumnDocument>| documents.into_iter().map(column).collect::<Result<Vec<_>>>();
        let view = Self {
            comment: document.comment,
            from,
            filter: document.filter,
            dimensions: columns(document.dimensions)?,
            measures: columns(document.measures)?,
        };
        view.check_names()?;
        for measure in &view.measures {
            if holds_query(&measure.expr) {
                return Err(invalid(&format!("measure `{}` holds a query", measure.name)));
            }
            view.expanded(measure, &mut vec![&measure.name])?;
        }
        Ok(view)
    }

    fn check_names(&self) -> Result<()> {
        let mut seen = BTreeSet::new();
        for column in self.dimensions.iter().chain(&self.measures) {
            if !seen.insert(column.name.to_lowercase()) {
                return Err(invalid(&format!("`{}` is defined twice", column.name)));
            }
        }
        match seen.is_empty() {
            true => Err(invalid("it has neither dimensions nor measures")),
            false => Ok(()),
        }
    }

    /// Returns the query of the rows that measures are computed from: dimensions, then `inputs`.
    ///
    /// # Errors
    /// None that [`Self::parse`] did not find.
    pub fn rows(&self, inputs: &Inputs) -> Result<Statement> {
        let dimensions = self.dimensions.iter().map(|column| quoted(&column.name));
        let inputs_named = (0..inputs.exprs.len()).map(|place| inputs.name(place).to_string());
        let columns = dimensions.chain(inputs_named);
        let columns: Vec<String> = columns.map(|name| format!("NULL AS {name}")).collect();
        let columns = match columns.is_empty() {
            true => "1 AS `1`".to_owned(),
            false => columns.join(", "),
        };
        let filter = self.filter.iter().map(|filter| format!(" WHERE ({filter}\n)"));
        let filter: String = filter.collect();
        let query = format!("SELECT {columns} FROM {}{filter}", self.from);
        let mut query = statement::parse_query(&query)?;
        let exprs = self.dimensions.iter().map(|column| &column.expr);
        let exprs: Vec<Expr> = exprs.chain(&inputs.exprs).cloned().collect();
        put_last(&mut query, exprs)?;
        Ok(query)
    }

    /// Returns the query of all columns, measures by all dimensions: what columns there are, and of which types.
    ///
    /// # Errors
    /// None that [`Self::parse`] did not find.
    pub fn all(&self) -> Result<Statement> {
        let mut inputs = Inputs::new();
        let measures = self.measures.iter();
        let measures = measures.map(|measure| self.measure(&measure.name, &mut inputs));
        let measures = measures.collect::<Result<Vec<_>>>()?;
        let dimensions = self.dimensions.iter().map(|column| quoted(&column.name));
        let places = self
            .measures
            .iter()
            .map(|measure| format!("NULL AS {}", quoted(&measure.name)));
        let columns: Vec<String> = dimensions.chain(places).collect();
        let by: Vec<String> = (1..=self.dimensions.len())
            .map(|place| place.to_string())
            .collect();
        let by = match by.is_empty() {
            true => String::new(),
            false => format!("GROUP BY {}", by.join(", ")),
        };
        let query = format!("SELECT {} FROM {SOURCE} {by}", columns.join(", "));
        let mut query = statement::parse_query(&query)?;
        put_last(&mut query, measures)?;
        let (Statement::Query(rows), Some(select)) = (self.rows(&inputs)?, select_of(&mut query)) else {
            return Err(not_made());
        };
        select.from = vec![TableWithJoins {
            relation: TableFactor::Derived {
                lateral: false,
                subquery: rows,
                alias: None,
                sample: None,
            },
            joins: Vec::new(),
        }];
        Ok(query)
    }

    /// Returns a measure as an aggregate over [`Self::rows`] with `inputs`, to which those that it needs are added.
    ///
    /// # Errors
    /// `UNSUPPORTED_METRIC_VIEW_USAGE` for what is no measure.
    pub fn measure(&self, name: &str, inputs: &mut Inputs) -> Result<Expr> {
        let measure = self.find(name).ok_or_else(|| {
            let known: Vec<String> = self.measures.iter().map(|known| quoted(&known.name)).collect();
            Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "UNSUPPORTED_METRIC_VIEW_USAGE.MEASURE_REQUIRES_EXACTLY_ONE_COLUMN",
                sqlstate: "0A000",
                message: format!(
                    "MEASURE() requires exactly one measure column as argument; `{name}` is none of {}",
                    known.join(", ")
                ),
            }
        })?;
        let mut expr = self.expanded(measure, &mut vec![&measure.name])?;
        let mut visitor = Columns {
            inputs,
            parameters: Vec::new(),
        };
        let _ = VisitMut::visit(&mut expr, &mut visitor);
        Ok(expr)
    }

    fn find(&self, name: &str) -> Option<&MetricColumn> {
        self.measures
            .iter()
            .find(|measure| measure.name.eq_ignore_ascii_case(name))
    }

    /// Returns a measure's expression, with those of the measures that it names. `path` leads to it.
    fn expanded<'a>(&'a self, measure: &'a MetricColumn, path: &mut Vec<&'a str>) -> Result<Expr> {
        struct Calls<'v, 'p> {
            view: &'v MetricView,
            path: &'p mut Vec<&'v str>,
        }
        impl VisitorMut for Calls<'_, '_> {
            type Break = Error;

            fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
                let name = match measured(expr) {
                    Ok(Some(name)) => name,
                    Ok(None) => return ControlFlow::Continue(()),
                    Err(error) => return ControlFlow::Break(error),
                };
                let Some(measure) = self.view.find(&name) else {
                    return ControlFlow::Break(invalid(&format!("there is no measure `{name}`")));
                };
                if self.path.contains(&measure.name.as_str()) {
                    return ControlFlow::Break(invalid(&format!("measure `{name}` is defined by itself")));
                }
                self.path.push(&measure.name);
                let expanded = self.view.expanded(measure, self.path);
                self.path.pop();
                match expanded {
                    Ok(expanded) => *expr = Expr::Nested(Box::new(expanded)),
                    Err(error) => return ControlFlow::Break(error),
                }
                ControlFlow::Continue(())
            }
        }
        let mut expr = measure.expr.clone();
        match VisitMut::visit(&mut expr, &mut Calls { view: self, path }) {
            ControlFlow::Break(error) => Err(error),
            ControlFlow::Continue(()) => Ok(expr),
        }
    }
}

/// Puts names of inputs in the place of columns.
struct Columns<'a> {
    inputs: &'a mut Inputs,
    /// Of the lambdas that the expression is in.
    parameters: Vec<Vec<String>>,
}

impl Columns<'_> {
    fn is_parameter(&self, name: &Ident) -> bool {
        let mut parameters = self.parameters.iter().flatten();
        parameters.any(|parameter| parameter.eq_ignore_ascii_case(&name.value))
    }
}

impl VisitorMut for Columns<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Lambda(lambda) = expr {
            let names = lambda.params.iter().map(|parameter| parameter.name.value.clone());
            self.parameters.push(names.collect());
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let first = match expr {
            Expr::Lambda(_) => {
                self.parameters.pop();
                return ControlFlow::Continue(());
            }
            Expr::Identifier(name) => Some(name),
            Expr::CompoundIdentifier(parts) => parts.first_mut(),
            _ => None,
        };
        if first.is_none_or(|name| self.is_parameter(name)) {
            return ControlFlow::Continue(());
        }
        *expr = Expr::Identifier(self.inputs.column(expr));
        ControlFlow::Continue(())
    }
}

/// Puts expressions in the place of the last columns of a query, under the names that stand there.
fn put_last(query: &mut Statement, exprs: Vec<Expr>) -> Result<()> {
    let select = select_of(query).ok_or_else(not_made)?;
    let before = select.projection.len().saturating_sub(exprs.len());
    for (item, put) in select.projection.iter_mut().skip(before).zip(exprs) {
        let SelectItem::ExprWithAlias { expr, .. } = item else {
            return Err(not_made());
        };
        *expr = put;
    }
    Ok(())
}

fn select_of(query: &mut Statement) -> Option<&mut Select> {
    match query {
        Statement::Query(query) => match query.body.as_mut() {
            SetExpr::Select(select) => Some(select),
            _ => None,
        },
        _ => None,
    }
}

fn not_made() -> Error {
    Error::internal("the query of a metric view has another form".to_owned())
}

fn holds_query(expr: &Expr) -> bool {
    struct Queries;
    impl Visitor for Queries {
        type Break = ();

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    Visit::visit(expr, &mut Queries).is_break()
}

/// Returns the measure that a call of MEASURE names; `None` for any other expression.
///
/// # Errors
/// `UNSUPPORTED_METRIC_VIEW_USAGE` for a call of MEASURE with anything else.
pub(crate) fn measured(expr: &Expr) -> Result<Option<String>> {
    let Expr::Function(call) = expr else {
        return Ok(None);
    };
    match call.name.0.as_slice() {
        [ObjectNamePart::Identifier(name)] if name.value.eq_ignore_ascii_case("measure") => {}
        _ => return Ok(None),
    }
    let plain = call.filter.is_none() && call.over.is_none() && call.within_group.is_empty();
    let column = match &call.args {
        FunctionArguments::List(list) if list.clauses.is_empty() && list.duplicate_treatment.is_none() => {
            match list.args.as_slice() {
                [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(name)))] => Some(name),
                [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::CompoundIdentifier(parts)))] => {
                    parts.last()
                }
                _ => None,
            }
        }
        _ => None,
    };
    match column {
        Some(name) if plain => Ok(Some(name.value.clone())),
        _ => Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "UNSUPPORTED_METRIC_VIEW_USAGE.MEASURE_REQUIRES_EXACTLY_ONE_COLUMN",
            sqlstate: "0A000",
            message: format!(
                "MEASURE() requires exactly one measure column as argument, and nothing else: `{expr}`"
            ),
        }),
    }
}

fn column(document: ColumnDocument) -> Result<MetricColumn> {
    if document.window.is_some() {
        return Err(Error::unsupported(format!(
            "`{}` of a metric view: measures of windows are not supported",
            document.name
        )));
    }
    Ok(MetricColumn {
        expr: checked(&document.name, &document.expr)?,
        name: document.name,
        comment: document.comment,
    })
}

/// Parses an expression, so that its text can stand in a query.
fn checked(of: &str, text: &str) -> Result<Expr> {
    dialect::expression(text).map_err(|error| invalid(&format!("`{of}`: {error}")))
}

fn join_text(join: &JoinDocument) -> Result<String> {
    if join.joins.is_some() {
        return Err(Error::unsupported(format!(
            "join `{}` of a metric view: joins within joins are not supported; write them as a query in `source`",
            join.name
        )));
    }
    let condition = match (&join.on, &join.using) {
        (Some(on), None) => {
            checked(&join.name, on)?;
            format!("ON ({on}\n)")
        }
        (None, Some(columns)) => {
            let columns: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
            format!("USING ({})", columns.join(", "))
        }
        _ => {
            return Err(invalid(&format!(
                "join `{}` needs either `on` or `using`",
                join.name
            )));
        }
    };
    let (source, name) = (relation(&join.source)?, quoted(&join.name));
    Ok(format!(" LEFT JOIN {source} AS {name} {condition}"))
}

/// Writes a table's name or a query as a relation of FROM.
fn relation(text: &str) -> Result<String> {
    if resolve::object_name(text).is_ok() {
        return Ok(text.to_owned());
    }
    match statement::parse_query(text) {
        Ok(_) => Ok(format!("({text}\n)")),
        Err(error) => Err(invalid(&format!(
            "source `{text}` is neither a name nor a query: {error}"
        ))),
    }
}

fn invalid(reason: &str) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "METRIC_VIEW_INVALID_VIEW_DEFINITION",
        sqlstate: "42000",
        message: format!("the definition of the metric view is invalid: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use ingot_common::Classify;
    use test_case::test_case;

    use super::*;

    const SALES: &str = "
version: 1.1
source: main.default.sales
filter: amount > 0
joins:
  - name: shops
    source: main.default.shops
    on: source.shop = shops.id
dimensions:
  - name: day
    expr: date_trunc('DAY', sold)
measures:
  - name: revenue
    expr: sum(amount)
  - name: Big Ones
    expr: count(*) FILTER (WHERE amount > 10)
  - name: mean
    expr: MEASURE(revenue) / count(amount)
";

    #[test]
    fn measures_are_aggregates_over_inputs() {
        let view = MetricView::parse(SALES).expect("a view");
        let mut inputs = Inputs {
            prefix: "in".to_owned(),
            exprs: Vec::new(),
        };
        let mean = view.measure("MEAN", &mut inputs).expect("a measure");
        assert_eq!(mean.to_string(), "(sum(`in_0`)) / count(`in_0`)");
        let big = view.measure("big ones", &mut inputs).expect("a measure");
        assert_eq!(big.to_string(), "count(*) FILTER (WHERE `in_0` > 10)");
        assert_eq!(
            view.rows(&inputs).expect("a query").to_string(),
            "SELECT date_trunc('DAY', sold) AS `day`, amount AS `in_0` FROM main.default.sales AS source \
             LEFT JOIN main.default.shops AS `shops` ON (source.shop = shops.id) WHERE (amount > 0)"
        );
    }

    #[test_case("source: t\nmeasures: []"; "no version")]
    #[test_case("version: 9\nsource: t\nmeasures: [{name: n, expr: count(1)}]"; "another version")]
    #[test_case("version: 1.1\nsource: t"; "no columns")]
    #[test_case("version: 1.1\nsource: t\nmeasure: []"; "a key that is none")]
    #[test_case("version: 1.1\nsource: t\nmeasures: [{name: n, expr: '1) FROM x --'}]"; "more than an expression")]
    #[test_case("version: 1.1\nsource: 't; DROP TABLE t'\nmeasures: [{name: n, expr: count(1)}]"; "more than a source")]
    #[test_case("version: 1.1\nsource: t\nmeasures: [{name: n, expr: MEASURE(n)}]"; "a circle")]
    #[test_case("version: 1.1\nsource: t\nmeasures: [{name: n, expr: '(SELECT max(a) FROM u)'}]"; "a query")]
    #[test_case("version: 1.1\nsource: t\ndimensions: [{name: N, expr: a}]\nmeasures: [{name: n, expr: count(1)}]"; "a name twice")]
    #[test_case("version: 1.1\nsource: t\njoins: [{name: u, source: u}]\nmeasures: [{name: n, expr: count(1)}]"; "a join without a condition")]
    #[test_case("- a\n- b"; "another shape")]
    fn what_is_wrong_is_refused(yaml: &str) {
        let error = MetricView::parse(yaml).expect_err("refused");
        assert_eq!(
            error.condition(),
            Some("METRIC_VIEW_INVALID_VIEW_DEFINITION"),
            "{error}"
        );
    }
}
