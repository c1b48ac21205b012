//! Pieces of sqlparser's tree that rewrites make.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, GroupByExpr, Ident, ObjectName, Query, Select, SelectFlavor, SelectItem, SetExpr,
    TableFactor, TableWithJoins, Value, WildcardAdditionalOptions,
};

/// A call of a function.
pub(crate) fn function(name: ObjectName, args: Vec<FunctionArg>) -> Function {
    Function {
        name,
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    }
}

/// A call of a function by its name, with values.
pub(crate) fn call(name: &str, arguments: impl IntoIterator<Item = Expr>) -> Expr {
    let arguments = arguments.into_iter().map(unnamed);
    let name = ObjectName::from(vec![Ident::new(name)]);
    Expr::Function(function(name, arguments.collect()))
}

/// A text as a literal.
pub(crate) fn text(text: impl Into<String>) -> Expr {
    Expr::value(Value::SingleQuotedString(text.into()))
}

/// A value as an argument of a call.
pub(crate) fn unnamed(value: Expr) -> FunctionArg {
    FunctionArg::Unnamed(FunctionArgExpr::Expr(value))
}

/// Takes an expression out of the tree; NULL stays in its place.
pub(crate) fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::value(Value::Null))
}

/// `CAST(expr AS data_type)`.
pub(crate) fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(expr),
        data_type,
        array: false,
        format: None,
    }
}

/// `SELECT *` of nothing yet.
pub(crate) fn select_all() -> Select {
    Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection: vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())],
        exclude: None,
        into: None,
        from: Vec::new(),
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        connect_by: Vec::new(),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    }
}

/// A query that is no more than its body.
pub(crate) fn query(body: SetExpr) -> Query {
    Query {
        with: None,
        body: Box::new(body),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}

/// `SELECT * FROM` a relation.
pub(crate) fn select_from(relation: TableFactor) -> Query {
    let select = Select {
        from: vec![TableWithJoins {
            relation,
            joins: Vec::new(),
        }],
        ..select_all()
    };
    query(SetExpr::Select(Box::new(select)))
}

/// One row without columns.
pub(crate) fn no_relation() -> TableFactor {
    TableFactor::TableFunction {
        expr: Expr::value(Value::Null),
        alias: None,
    }
}

/// Says if a relation is [`no_relation`].
pub(crate) fn is_no_relation(factor: &TableFactor) -> bool {
    matches!(factor, TableFactor::TableFunction { expr: Expr::Value(value), .. } if value.value == Value::Null)
}
