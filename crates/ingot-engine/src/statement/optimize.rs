//! `OPTIMIZE name [FULL] [WHERE condition] [ZORDER BY (columns)]` and `REORG TABLE name [WHERE condition] APPLY (PURGE)`.

use datafusion::sql::sqlparser::ast::ObjectName;
use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_common::port::StatementResult;

use super::Work;
use super::cursor::Cursor;
use super::describe::open;
use crate::access::MODIFY;
use crate::optimize::{Request, Task, optimize};
use crate::{Error, Result, Session, resolve};

/// Parses OPTIMIZE. Its work is committed when it is done, in one commit or several.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let name = cursor.table_or_path()?;
    let full = cursor.accept("FULL");
    let predicate = condition(cursor)?;
    let task = if !full && cursor.accept_all(&["ZORDER", "BY"]) {
        Task::ZOrder(columns(cursor)?)
    } else if full {
        Task::OptimizeFull
    } else {
        Task::Optimize
    };
    cursor.end()?;
    let request = Request {
        task,
        predicate,
        only: None,
        auto: None,
    };
    Ok(Work::writes(run(session, name, request)))
}

/// Parses REORG.
pub(super) fn parse_reorg<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    cursor.expect("TABLE")?;
    let name = cursor.table_or_path()?;
    let predicate = condition(cursor)?;
    cursor.expect("APPLY")?;
    cursor.expect_token(&Token::LParen)?;
    if !cursor.at("PURGE") {
        return Err(Error::unsupported(
            "REORG TABLE applies PURGE and nothing else".to_owned(),
        ));
    }
    cursor.expect("PURGE")?;
    cursor.expect_token(&Token::RParen)?;
    cursor.end()?;
    let request = Request {
        task: Task::Purge,
        predicate,
        only: None,
        auto: None,
    };
    Ok(Work::writes(run(session, name, request)))
}

/// Takes columns, which may be in structs, with or without parentheses.
fn columns(cursor: &mut Cursor<'_>) -> Result<Vec<Vec<String>>> {
    let column = |cursor: &mut Cursor<'_>| resolve::parts(&cursor.object_name()?);
    if cursor.at_token(&Token::LParen) {
        return cursor.in_parentheses(column);
    }
    let mut columns = vec![column(cursor)?];
    while cursor.accept_token(&Token::Comma) {
        columns.push(column(cursor)?);
    }
    Ok(columns)
}

fn condition(cursor: &mut Cursor<'_>) -> Result<Option<String>> {
    match cursor.accept("WHERE") {
        true => Ok(Some(cursor.expression_text()?.to_owned())),
        false => Ok(None),
    }
}

async fn run(session: &Session, name: ObjectName, request: Request) -> Result<StatementResult> {
    let (_, table) = open(session, &name, MODIFY).await?;
    let summary = optimize(session, &table, &request).await?;
    summary.into_row(table.location().as_str().trim_end_matches('/'))
}
