//! `CREATE FUNCTION`, `DROP FUNCTION`: functions whose body is an expression or a query.
//!
//! Source: Databricks, `CREATE FUNCTION (SQL)`, `DROP FUNCTION`; Spark, `CreateSQLFunctionCommand`.

use std::collections::{BTreeSet, HashSet};

use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_catalog::{DataAccess, FunctionReturns, Need, NewFunction, ParameterInfo, Privilege, Replace};
use ingot_common::{FunctionName, Kind, SchemaName};

use super::cursor::Cursor;
use super::{Work, done};
use crate::resolve::{self, Reads, routines};
use crate::session::{Routine, identifier};
use crate::types::parse_type;
use crate::write::type_text;
use crate::{Error, Result, Session, access};

/// What the words before FUNCTION ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mode {
    pub replace: bool,
    pub temporary: bool,
}

/// A function as the statement has it.
struct Text {
    routine: Routine,
    /// The statement says what is returned.
    typed: bool,
    deterministic: Option<bool>,
    data_access: Option<DataAccess>,
}

/// Parses what follows `FUNCTION`.
pub(super) fn create<'a>(session: &'a Session, cursor: &mut Cursor<'_>, mode: Mode) -> Result<Work<'a>> {
    let if_not_exists = cursor.if_not_exists();
    if if_not_exists && mode.replace {
        return Err(syntax(
            "INVALID_SQL_SYNTAX.CREATE_ROUTINE_WITH_IF_NOT_EXISTS_AND_REPLACE",
            "a function is made OR REPLACE or IF NOT EXISTS, not both",
        ));
    }
    if if_not_exists && mode.temporary {
        return Err(syntax(
            "INVALID_SQL_SYNTAX.CREATE_TEMP_FUNC_WITH_IF_NOT_EXISTS",
            "a temporary function cannot be made IF NOT EXISTS",
        ));
    }
    let name = name(session, cursor, mode.temporary)?;
    let text = parse_text(session, cursor, name)?;
    cursor.end()?;
    match mode.temporary {
        true => Ok(Work::defines(make_temporary(session, text, mode.replace))),
        false => Ok(Work::defines(async move {
            let made = make(session, text, mode.replace).await;
            match made {
                Err(Error::Catalog(ingot_catalog::Error::AlreadyExists { .. })) if if_not_exists => done(),
                Err(error) => Err(error),
                Ok(()) => done(),
            }
        })),
    }
}

fn syntax(condition: &'static str, message: &str) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition,
        sqlstate: "42000",
        message: message.to_owned(),
    }
}

/// Takes the name of a function: three parts of one of the metastore, one of one of the session.
fn name(session: &Session, cursor: &mut Cursor<'_>, temporary: bool) -> Result<Vec<String>> {
    let parts = lower(resolve::parts(&cursor.object_name()?)?);
    if !temporary {
        let name = function_name(session, &parts)?;
        let schema = name.schema;
        let parts = [schema.catalog, schema.schema, name.function];
        return Ok(parts.map(|part| part.as_str().to_owned()).to_vec());
    }
    let words: Vec<&str> = parts.iter().map(String::as_str).collect();
    match words.as_slice() {
        [name] | ["session", name] | ["system", "session", name] => {
            // One that could be taken for a name of several parts is none.
            Ok(vec![identifier(name)?.as_str().to_owned()])
        }
        _ => Err(syntax(
            "INVALID_SQL_SYNTAX.CREATE_TEMP_FUNC_WITH_DATABASE",
            "a temporary function is in no schema of the metastore",
        )),
    }
}

fn lower(parts: Vec<String>) -> Vec<String> {
    parts.into_iter().map(|part| part.to_lowercase()).collect()
}

/// Completes the name of a function of the metastore.
pub(super) fn function_name(session: &Session, parts: &[String]) -> Result<FunctionName> {
    let namespace = session.namespace();
    let (schema, function) = match parts {
        [function] => (namespace, function),
        [schema, function] => (SchemaName::new(namespace.catalog, identifier(schema)?), function),
        [catalog, schema, function] => (
            SchemaName::new(identifier(catalog)?, identifier(schema)?),
            function,
        ),
        _ => {
            return Err(Error::parse(format!(
                "`{}` has {} parts; a function has up to three",
                parts.join("."),
                parts.len()
            )));
        }
    };
    Ok(FunctionName::new(schema, identifier(function)?))
}

/// `([parameter, …]) [RETURNS type | RETURNS TABLE [(column, …)]] [characteristic …] RETURN body`.
fn parse_text(session: &Session, cursor: &mut Cursor<'_>, name: Vec<String>) -> Result<Text> {
    let mut parameters = Vec::new();
    match cursor.accept_empty_parentheses() {
        true => {}
        false => parameters = cursor.in_parentheses(parameter)?,
    }
    check_names(&name, &parameters)?;
    let (returns, typed) = parse_returns(cursor, &name)?;
    let mut text = Text {
        routine: Routine {
            name,
            parameters,
            returns,
            definition: String::new(),
            namespace: session.namespace(),
            temporary: BTreeSet::new(),
            deterministic: true,
            data_access: DataAccess::ContainsSql,
            comment: None,
            id: None,
            audit: None,
        },
        typed,
        deterministic: None,
        data_access: None,
    };
    while !cursor.accept("RETURN") {
        characteristic(cursor, &mut text)?;
    }
    text.routine.definition = cursor.rest().to_owned();
    routines::body_of(&text.routine)?;
    Ok(text)
}

fn characteristic(cursor: &mut Cursor<'_>, text: &mut Text) -> Result<()> {
    if cursor.accept("LANGUAGE") {
        let language = cursor.name()?;
        if !language.eq_ignore_ascii_case("SQL") {
            return Err(Error::unsupported(format!(
                "functions in {} are not supported; write the function in SQL",
                language.to_uppercase()
            )));
        }
    } else if cursor.accept_all(&["NOT", "DETERMINISTIC"]) {
        text.deterministic = Some(false);
    } else if cursor.accept("DETERMINISTIC") {
        text.deterministic = Some(true);
    } else if cursor.accept("COMMENT") {
        text.routine.comment = Some(cursor.string()?);
    } else if cursor.accept_all(&["CONTAINS", "SQL"]) {
        text.data_access = Some(DataAccess::ContainsSql);
    } else if cursor.accept_all(&["READS", "SQL", "DATA"]) {
        text.data_access = Some(DataAccess::ReadsSqlData);
    } else if cursor.accept_all(&["DEFAULT", "COLLATION"]) {
        super::view::collation(&cursor.name()?)?;
    } else if !cursor.accept_all(&["SQL", "SECURITY", "DEFINER"])
        && !cursor.accept_all(&["CALLED", "ON", "NULL", "INPUT"])
    {
        return Err(
            cursor.expected("RETURN, or LANGUAGE, DETERMINISTIC, COMMENT, CONTAINS SQL, READS SQL DATA")
        );
    }
    Ok(())
}

/// Takes `name type [DEFAULT expression] [COMMENT 'text']`.
fn parameter(cursor: &mut Cursor<'_>) -> Result<ParameterInfo> {
    let mut column = column(cursor)?;
    loop {
        if cursor.accept("DEFAULT") {
            column.default = Some(cursor.expression_text()?.to_owned());
        } else if cursor.accept("COMMENT") {
            column.comment = Some(cursor.string()?);
        } else if cursor.at("GENERATED") {
            return Err(syntax(
                "INVALID_SQL_SYNTAX.CREATE_FUNC_WITH_GENERATED_COLUMNS_AS_PARAMETERS",
                "a parameter of a function is given, not generated",
            ));
        } else {
            return Ok(column);
        }
    }
}

/// Takes a name and a type.
fn column(cursor: &mut Cursor<'_>) -> Result<ParameterInfo> {
    let name = cursor.name()?;
    let data_type = parse_type(&cursor.type_text()?)?;
    if cursor.at("NOT") {
        return Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "USER_DEFINED_FUNCTIONS.NOT_NULL_ON_FUNCTION_PARAMETERS",
            sqlstate: "42601",
            message: format!("`{name}` cannot be NOT NULL: parameters and columns of a function take nulls"),
        });
    }
    Ok(ParameterInfo {
        name,
        type_text: type_text(&data_type),
        default: None,
        comment: None,
    })
}

/// Takes what is returned, and says if the statement gives it whole.
fn parse_returns(cursor: &mut Cursor<'_>, name: &[String]) -> Result<(FunctionReturns, bool)> {
    if !cursor.accept("RETURNS") {
        return Ok((FunctionReturns::Scalar(String::new()), false));
    }
    if !cursor.accept("TABLE") {
        let data_type = parse_type(&cursor.type_before(&RETURNS_END)?)?;
        return Ok((FunctionReturns::Scalar(type_text(&data_type)), true));
    }
    if !cursor.at_token(&Token::LParen) {
        return Ok((FunctionReturns::Table(Vec::new()), false));
    }
    let columns = cursor.in_parentheses(|cursor| {
        let mut column = column(cursor)?;
        if cursor.accept("COMMENT") {
            column.comment = Some(cursor.string()?);
        }
        Ok(column)
    })?;
    if let Some(twice) = repeated(&columns) {
        return Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "DUPLICATE_ROUTINE_RETURNS_COLUMNS",
            sqlstate: "42711",
            message: format!("the function `{}` returns two columns `{twice}`", name.join(".")),
        });
    }
    Ok((FunctionReturns::Table(columns), true))
}

/// The words that may follow the type that a function returns.
const RETURNS_END: [&str; 10] = [
    "RETURN",
    "LANGUAGE",
    "NOT",
    "DETERMINISTIC",
    "COMMENT",
    "CONTAINS",
    "READS",
    "SQL",
    "DEFAULT",
    "CALLED",
];

fn repeated(columns: &[ParameterInfo]) -> Option<String> {
    let mut seen = HashSet::new();
    let lower = columns.iter().map(|column| column.name.to_lowercase());
    lower.into_iter().find(|name| !seen.insert(name.clone()))
}

/// Checks that no name stands for two parameters, and that those with a default come last.
fn check_names(name: &[String], parameters: &[ParameterInfo]) -> Result<()> {
    let function = name.join(".");
    if let Some(twice) = repeated(parameters) {
        return Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "DUPLICATE_ROUTINE_PARAMETER_NAMES",
            sqlstate: "42734",
            message: format!("the function `{function}` has two parameters `{twice}`"),
        });
    }
    let pairs = parameters.iter().zip(parameters.iter().skip(1));
    let mut pairs = pairs.filter(|(first, second)| first.default.is_some() && second.default.is_none());
    match pairs.next() {
        None => Ok(()),
        Some((first, second)) => Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "USER_DEFINED_FUNCTIONS.NOT_A_VALID_DEFAULT_PARAMETER_POSITION",
            sqlstate: "42601",
            message: format!(
                "the parameter `{}` of `{function}` has a default and stands before `{}`, which has none",
                first.name, second.name
            ),
        }),
    }
}

/// Plans the body once, so that a function that cannot work is not made, and completes what the statement leaves open.
async fn completed(session: &Session, text: Text) -> Result<(Routine, Reads)> {
    let mut routine = text.routine;
    let described = routines::describe(session, &routine, text.typed).await?;
    let reads = match described.reads.has_tables() {
        true => DataAccess::ReadsSqlData,
        false => DataAccess::ContainsSql,
    };
    if text.data_access == Some(DataAccess::ContainsSql) && reads == DataAccess::ReadsSqlData {
        return Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "INVALID_SQL_FUNCTION_DATA_ACCESS",
            sqlstate: "42K0E",
            message: format!(
                "the function `{}` CONTAINS SQL and reads a table or a view; say READS SQL DATA",
                routine.full_name()
            ),
        });
    }
    routine.data_access = text.data_access.unwrap_or(reads);
    routine.deterministic = text.deterministic.unwrap_or(described.deterministic);
    routine.returns = described.returns;
    Ok((routine, described.reads))
}

async fn make_temporary(
    session: &Session,
    text: Text,
    replace: bool,
) -> Result<ingot_common::port::StatementResult> {
    let (routine, reads) = completed(session, text).await?;
    if let Some(gone) = reads.script_variable() {
        let lasting = format!("the function `{}`", routine.full_name());
        return Err(Error::temporary_reference(&lasting, &gone));
    }
    let routine = Routine {
        temporary: reads.temporary(),
        ..routine
    };
    session.temporary_functions().add(routine, replace)?;
    done()
}

async fn make(session: &Session, text: Text, replace: bool) -> Result<()> {
    let (routine, reads) = completed(session, text).await?;
    if let Some(named) = reads.of_session() {
        let lasting = format!("the function `{}`", routine.full_name());
        return Err(Error::temporary_reference(&lasting, &named));
    }
    let function = NewFunction {
        name: function_name(session, &routine.name)?,
        parameters: routine.parameters,
        returns: routine.returns,
        definition: routine.definition,
        definition_namespace: routine.namespace,
        deterministic: routine.deterministic,
        data_access: routine.data_access,
        comment: routine.comment,
    };
    let principal = session.context().principal.as_str();
    let metastore = session.engine().metastore();
    access::check_create(session, &function.name.schema, Privilege::CreateFunction).await?;
    let owner = match access::function(session, &function.name, Need::Ownership).await {
        Ok(existing) => existing.audit.owner,
        Err(ingot_catalog::Error::Denied(denied)) if replace => {
            return Err(ingot_catalog::Error::Denied(denied).into());
        }
        Err(_) => principal.to_owned(),
    };
    let replace = match replace {
        true => Replace::OfOwner(&owner),
        false => Replace::No,
    };
    metastore.create_function(&function, replace, principal).await?;
    Ok(())
}

/// `DROP [TEMPORARY] FUNCTION [IF EXISTS] name`.
pub(super) fn drop<'a>(session: &'a Session, cursor: &mut Cursor<'_>, temporary: bool) -> Result<Work<'a>> {
    let if_exists = cursor.if_exists();
    if temporary {
        let parts = name(session, cursor, true)?;
        cursor.end()?;
        return Ok(Work::defines(async move {
            let name = parts.join(".");
            match session.temporary_functions().remove(&name) || if_exists {
                true => done(),
                false => Err(not_found(&name)),
            }
        }));
    }
    let parts = lower(resolve::parts(&cursor.object_name()?)?);
    cursor.end()?;
    Ok(Work::defines(async move {
        if let [name] = parts.as_slice()
            && routines::is_builtin(&session.datafusion().state(), name)
        {
            return Err(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "FORBIDDEN_OPERATION",
                sqlstate: "42809",
                message: format!("`{name}` is a function of the engine, and cannot be dropped"),
            });
        }
        let name = function_name(session, &parts)?;
        let dropped = match access::function(session, &name, Need::Manage).await {
            Ok(_) => session.engine().metastore().drop_function(&name).await,
            Err(error) => Err(error),
        };
        match dropped {
            Ok(()) => done(),
            Err(ingot_catalog::Error::NotFound { .. }) if if_exists => done(),
            Err(error) => Err(error.into()),
        }
    }))
}

/// Makes the error that there is no function of a name.
pub(super) fn not_found(name: &str) -> Error {
    Error::Condition {
        kind: Kind::NotFound,
        condition: "ROUTINE_NOT_FOUND",
        sqlstate: "42883",
        message: format!("there is no function `{name}`"),
    }
}
