//! `MERGE INTO`, parsed; run by [`crate::merge`].

use datafusion::sql::sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::{Work, counts};
use crate::merge::{Merge, MergeAction, MergeClause, MergeMatching, merge_with_retry};
use crate::{Error, Result, Session, resolve};

/// Parses the statement. It has committed when its work is done.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
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
        (query.to_string(), None)
    } else {
        let name = cursor.object_name()?;
        let last = resolve::parts(&name)?.pop();
        (format!("SELECT * FROM {name}"), last)
    };
    let source_alias = alias(cursor, &["ON"])?
        .or(named)
        .unwrap_or_else(|| "source".to_owned());
    cursor.expect("ON")?;
    let on = cursor.expr()?.to_string();
    let mut clauses = Vec::new();
    while cursor.accept("WHEN") {
        clauses.push(clause(cursor)?);
    }
    cursor.end()?;
    if clauses.is_empty() {
        return Err(Error::parse("MERGE needs at least one WHEN clause".to_owned()));
    }
    Ok(Box::pin(async move {
        let name = session.resolve(&target)?;
        let (_, table) = session.open_table(&name).await?;
        let merge = Merge {
            target_alias: target_alias.unwrap_or_else(|| name.table.to_string()),
            source_alias,
            source: session.query(&source).await?,
            on,
            clauses,
            app_transactions: Vec::new(),
            user_metadata: None,
        };
        let (_, metrics) = merge_with_retry(session, &table, &merge).await?;
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

/// Takes `[AS] name`, unless one of `ends` comes.
fn alias(cursor: &mut Cursor<'_>, ends: &[&str]) -> Result<Option<String>> {
    if cursor.accept("AS") || !ends.iter().any(|end| cursor.at(end)) {
        return cursor.name().map(Some);
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
        true => Some(cursor.expr()?.to_string()),
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
        let column = resolve::parts(&cursor.object_name()?)?.pop().unwrap_or_default();
        cursor.expect_token(&Token::Eq)?;
        assignments.push((column, cursor.expr()?.to_string()));
        if !cursor.accept_token(&Token::Comma) {
            return Ok(assignments);
        }
    }
}

/// Takes `(a, b) VALUES (expr, expr)`.
fn insertion(cursor: &mut Cursor<'_>) -> Result<Vec<(String, String)>> {
    let columns = cursor.names_in_parentheses()?;
    cursor.expect("VALUES")?;
    cursor.expect_token(&Token::LParen)?;
    let mut values = Vec::new();
    loop {
        values.push(cursor.expr()?.to_string());
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    if columns.len() != values.len() {
        return Err(Error::parse(format!(
            "INSERT lists {} columns and {} values",
            columns.len(),
            values.len()
        )));
    }
    Ok(columns.into_iter().zip(values).collect())
}
