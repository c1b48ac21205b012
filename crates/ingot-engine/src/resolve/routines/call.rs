//! The arguments of a call, by the parameters that they are given to.
//!
//! Source: Spark, `NamedParametersSupport`.

use datafusion::sql::sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments};
use ingot_common::Kind;

use crate::session::Routine;
use crate::{Error, Result};

/// Returns the arguments of a call that has nothing beside them.
///
/// # Errors
/// `INVALID_SQL_SYNTAX.FUNCTION_WITH_UNSUPPORTED_SYNTAX` for DISTINCT, FILTER, OVER and the like.
pub(super) fn plain(routine: &Routine, function: &Function) -> Result<Vec<FunctionArg>> {
    let list = match &function.args {
        FunctionArguments::List(list) => list,
        FunctionArguments::None => return Ok(Vec::new()),
        FunctionArguments::Subquery(_) => {
            return Err(syntax(routine, "a query without parentheses of its own"));
        }
    };
    let beside = [
        (list.duplicate_treatment.is_some(), "DISTINCT or ALL"),
        (!list.clauses.is_empty(), "clauses within its parentheses"),
        (function.filter.is_some(), "FILTER"),
        (function.over.is_some(), "OVER"),
        (function.null_treatment.is_some(), "IGNORE or RESPECT NULLS"),
        (!function.within_group.is_empty(), "WITHIN GROUP"),
    ];
    match beside.into_iter().find(|(there, _)| *there) {
        Some((_, what)) => Err(syntax(routine, what)),
        None => Ok(list.args.clone()),
    }
}

fn syntax(routine: &Routine, what: &str) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "INVALID_SQL_SYNTAX.FUNCTION_WITH_UNSUPPORTED_SYNTAX",
        sqlstate: "42000",
        message: format!("the function `{}` does not take {what}", routine.full_name()),
    }
}

/// Returns what each parameter is given; `None` where it is its default.
///
/// # Errors
/// `WRONG_NUM_ARGS`, `UNEXPECTED_POSITIONAL_ARGUMENT`, `UNRECOGNIZED_PARAMETER_NAME`,
/// `DUPLICATE_ROUTINE_PARAMETER_ASSIGNMENT`, `REQUIRED_PARAMETER_NOT_FOUND`.
pub(super) fn bound(routine: &Routine, arguments: &[FunctionArg]) -> Result<Vec<Option<Expr>>> {
    let parameters = &routine.parameters;
    let count = parameters.len();
    if arguments.len() > count {
        return Err(wrong_count(routine, arguments.len()));
    }
    let mut given: Vec<Option<Expr>> = vec![None; count];
    let mut named = false;
    let mut positional = 0;
    for argument in arguments {
        let (place, value) = match argument {
            FunctionArg::Unnamed(value) => {
                if named {
                    return Err(refused(
                        "UNEXPECTED_POSITIONAL_ARGUMENT",
                        format!(
                            "an argument of `{}` without a name stands after one with a name",
                            routine.full_name()
                        ),
                    ));
                }
                positional += 1;
                (positional - 1, value)
            }
            FunctionArg::Named { name, arg, .. } => {
                named = true;
                (place_of(routine, &name.value)?, arg)
            }
            FunctionArg::ExprNamed { .. } => return Err(syntax(routine, "a name that is an expression")),
        };
        let FunctionArgExpr::Expr(value) = value else {
            return Err(syntax(routine, "`*`"));
        };
        let Some(slot) = given.get_mut(place) else {
            return Err(wrong_count(routine, arguments.len()));
        };
        if slot.is_some() {
            let condition = match place < positional {
                true => "DUPLICATE_ROUTINE_PARAMETER_ASSIGNMENT.BOTH_POSITIONAL_AND_NAMED",
                false => "DUPLICATE_ROUTINE_PARAMETER_ASSIGNMENT.DOUBLE_NAMED_ARGUMENT_REFERENCE",
            };
            let message = format!("a parameter of `{}` is given twice", routine.full_name());
            return Err(refused(condition, message));
        }
        *slot = Some(value.clone());
    }
    let missing = parameters
        .iter()
        .zip(&given)
        .find(|(parameter, value)| value.is_none() && parameter.default.is_none());
    match missing {
        None => Ok(given),
        Some((parameter, _)) if named => Err(refused(
            "REQUIRED_PARAMETER_NOT_FOUND",
            format!(
                "the call of `{}` gives nothing for the parameter `{}`",
                routine.full_name(),
                parameter.name
            ),
        )),
        Some(_) => Err(wrong_count(routine, arguments.len())),
    }
}

fn place_of(routine: &Routine, name: &str) -> Result<usize> {
    let mut parameters = routine.parameters.iter();
    let found = parameters.position(|parameter| parameter.name.eq_ignore_ascii_case(name));
    found.ok_or_else(|| {
        refused(
            "UNRECOGNIZED_PARAMETER_NAME",
            format!("the function `{}` has no parameter `{name}`", routine.full_name()),
        )
    })
}

fn refused(condition: &'static str, message: String) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition,
        sqlstate: "4274K",
        message,
    }
}

fn wrong_count(routine: &Routine, given: usize) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "WRONG_NUM_ARGS.WITHOUT_SUGGESTION",
        sqlstate: "42605",
        message: format!(
            "the function `{}` takes {} arguments, not {given}",
            routine.full_name(),
            routine.parameters.len()
        ),
    }
}
