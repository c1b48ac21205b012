//! `MERGE INTO`, parsed; run by [`crate::merge`].

use datafusion::sql::sqlparser::ast::{ObjectName, Statement};
use datafusion::sql::sqlparser::tokenizer::Token;
use futures::future::BoxFuture;
use ingot_common::TableName;

use super::cursor::Cursor;
use super::{Work, counts};
use crate::dialect::quoted;
use crate::merge::{Merge, MergeAction, MergeClause, MergeMatching, merge_planned};
use crate::resolve::{self, Reads};
use crate::{Error, Result, Session};

/// What stands between MERGE and the end of the statement.
struct Definition {
    target: ObjectName,
    target_alias: Option<String>,
    source: Statement,
    source_alias: String,
    on: String,
    clauses: Vec<MergeClause>,
}

/// Parses the statement. It has committed when its work is done.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let definition = definition(session, cursor)?;
    Ok(Work::writes(async move {
        let name = session.resolve(&definition.target)?;
        let (_, table) = session.open_table(&name).await?;
        let plan = || -> BoxFuture<'_, Result<Merge>> {
            Box::pin(async {
                let (source, namespace) = (definition.source.clone(), session.namespace());
                Ok(Merge {
                    target_alias: definition.target_alias.clone().unwrap_or_else(|| full(&name)),
                    source_alias: definition.source_alias.clone(),
                    source: resolve::plan(session, source, &namespace, &Reads::default()).await?,
                    on: definition.on.clone(),
                    clauses: definition.clauses.clone(),
                    app_transactions: Vec::new(),
                    user_metadata: None,
                })
            })
        };
        let metrics = merge_planned(session, &table, &plan).await?;
        counts(&[
            (
                "num_affected_rows",
                metrics.rows_updated + metrics.rows_deleted + metrics.rows_inserted,
            ),
            ("num_updated_rows", metrics.rows_updated),
            ("num_deleted_rows", metrics.rows_deleted),
            ("num_inserted_rows", metrics.rows_inserted),
        ])
    }))
}

fn definition(session: &Session, cursor: &mut Cursor<'_>) -> Result<Definition> {
    if cursor.accept_all(&["WITH", "SCHEMA", "EVOLUTION"]) {
        return Err(Error::unsupported(
            "MERGE WITH SCHEMA EVOLUTION is not supported yet".to_owned(),
        ));
    }
    cursor.expect("INTO")?;
    let target = cursor.object_name()?;
    let target_alias = alias(cursor, &["USING"])?;
    cursor.expect("USING")?;
    let (source, named) = if cursor.accept_token(&Token::LParen) {
        let query = cursor.query()?;
        cursor.expect_token(&Token::RParen)?;
        // Without a name of its own, nothing is called by it.
        (query, String::new())
    } else {
        let text = cursor.object_name_text()?;
        let source = super::parse_query(&format!("SELECT * FROM {text}"))?;
        (source, source_name(session, text)?)
    };
    let source_alias = alias(cursor, &["ON"])?.unwrap_or(named);
    cursor.expect("ON")?;
    let on = cursor.expression_text()?.to_owned();
    let mut clauses = Vec::new();
    while cursor.accept("WHEN") {
        clauses.push(clause(cursor)?);
    }
    cursor.end()?;
    if clauses.is_empty() {
        return Err(Error::parse("MERGE needs at least one WHEN clause".to_owned()));
    }
    check_order(&clauses)?;
    Ok(Definition {
        target,
        target_alias,
        source,
        source_alias,
        on,
        clauses,
    })
}

/// Returns what a source without an alias is called by: the full name of a table.
fn source_name(session: &Session, text: &str) -> Result<String> {
    let name = Cursor::new(text)?.object_name()?;
    if let [part] = resolve::parts(&name)?.as_slice()
        && session.relation(part).is_some()
    {
        return Ok(quoted(part));
    }
    Ok(match session.resolve(&name) {
        Ok(name) => full(&name),
        // A path, as in delta.`/path`.
        Err(_) => String::new(),
    })
}

fn full(name: &TableName) -> String {
    let parts = [&name.catalog, &name.schema, &name.table];
    parts.map(|part| quoted(part.as_str())).join(".")
}

/// Refuses a clause without a condition that others of its kind follow: they could never be reached.
fn check_order(clauses: &[MergeClause]) -> Result<()> {
    let kinds = [
        (MergeMatching::Matched, "NON_LAST_MATCHED_CLAUSE_OMIT_CONDITION"),
        (
            MergeMatching::NotMatchedByTarget,
            "NON_LAST_NOT_MATCHED_BY_TARGET_CLAUSE_OMIT_CONDITION",
        ),
        (
            MergeMatching::NotMatchedBySource,
            "NON_LAST_NOT_MATCHED_BY_SOURCE_CLAUSE_OMIT_CONDITION",
        ),
    ];
    for (matching, condition) in kinds {
        let mut kind = clauses.iter().filter(|clause| clause.matching == matching).rev();
        let _last = kind.next();
        if kind.any(|clause| clause.condition.is_none()) {
            return Err(Error::Condition {
                kind: ingot_common::Kind::InvalidArgument,
                condition,
                sqlstate: "42613",
                message: "of several WHEN clauses of a kind, only the last can omit its condition".to_owned(),
            });
        }
    }
    Ok(())
}

/// Takes `[AS] name`, unless one of `ends` comes.
fn alias(cursor: &mut Cursor<'_>, ends: &[&str]) -> Result<Option<String>> {
    if cursor.accept("AS") || !ends.iter().any(|end| cursor.at(end)) {
        return Ok(Some(quoted(&cursor.name()?)));
    }
    Ok(None)
}

fn clause(cursor: &mut Cursor<'_>) -> Result<MergeClause> {
    let matching = if cursor.accept("MATCHED") {
        MergeMatching::Matched
    } else {
        cursor.expect("NOT")?;
        cursor.expect("MATCHED")?;
        if cursor.accept_all(&["BY", "SOURCE"]) {
            MergeMatching::NotMatchedBySource
        } else {
            cursor.accept_all(&["BY", "TARGET"]);
            MergeMatching::NotMatchedByTarget
        }
    };
    let condition = match cursor.accept("AND") {
        true => Some(cursor.expression_text()?.to_owned()),
        false => None,
    };
    cursor.expect("THEN")?;
    let action = if cursor.accept("DELETE") {
        MergeAction::Delete
    } else if cursor.accept_all(&["UPDATE", "SET"]) {
        match cursor.accept_token(&Token::Mul) {
            true => MergeAction::UpdateAll,
            false => MergeAction::Update(assignments(cursor)?),
        }
    } else if cursor.accept("INSERT") {
        match cursor.accept_token(&Token::Mul) {
            true => MergeAction::InsertAll,
            false => MergeAction::Insert(insertion(cursor)?),
        }
    } else {
        return Err(cursor.expected("UPDATE SET, DELETE or INSERT"));
    };
    Ok(MergeClause {
        matching,
        condition,
        action,
    })
}

/// Takes `a = expr, t.b = expr`.
fn assignments(cursor: &mut Cursor<'_>) -> Result<Vec<(String, String)>> {
    let mut assignments = Vec::new();
    loop {
        let column = cursor.object_name_text()?.to_owned();
        cursor.expect_token(&Token::Eq)?;
        assignments.push((column, cursor.expression_text()?.to_owned()));
        if !cursor.accept_token(&Token::Comma) {
            return Ok(assignments);
        }
    }
}

/// Takes `(a, b) VALUES (expr, expr)`.
fn insertion(cursor: &mut Cursor<'_>) -> Result<Vec<(String, String)>> {
    let columns = cursor.in_parentheses(|cursor| Ok(cursor.object_name_text()?.to_owned()))?;
    cursor.expect("VALUES")?;
    let values = cursor.in_parentheses(|cursor| Ok(cursor.expression_text()?.to_owned()))?;
    if columns.len() != values.len() {
        return Err(Error::parse(format!(
            "INSERT lists {} columns and {} values",
            columns.len(),
            values.len()
        )));
    }
    Ok(columns.into_iter().zip(values).collect())
}
