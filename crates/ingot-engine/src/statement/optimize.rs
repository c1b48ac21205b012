//! `OPTIMIZE name [FULL] [WHERE condition] [ZORDER BY (columns)]` and `REORG TABLE name [WHERE condition] APPLY (PURGE)`.

use datafusion::sql::sqlparser::ast::ObjectName;
use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_common::port::StatementResult;

use super::Work;
use super::cursor::Cursor;
use super::describe::open;
use crate::optimize::{Layout, Request, optimize};
use crate::{Error, Result, Session};

/// Parses OPTIMIZE. Its work is committed when it is done, in one commit or several.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let name = cursor.table_or_path()?;
    if cursor.at("FULL") || cursor.at("ZORDER") {
        return Err(Error::unsupported(
            "OPTIMIZE … FULL and ZORDER BY are not supported yet".to_owned(),
        ));
    }
    let predicate = condition(cursor)?;
    if cursor.at("ZORDER") {
        return Err(Error::unsupported(
            "OPTIMIZE … ZORDER BY is not supported yet".to_owned(),
        ));
    }
    cursor.end()?;
    let request = Request {
        layout: Layout::Compact,
        predicate,
        only: None,
        auto: false,
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
        layout: Layout::Purge,
        predicate,
        only: None,
        auto: false,
    };
    Ok(Work::writes(run(session, name, request)))
}

fn condition(cursor: &mut Cursor<'_>) -> Result<Option<String>> {
    match cursor.accept("WHERE") {
        true => Ok(Some(cursor.expression_text()?.to_owned())),
        false => Ok(None),
    }
}

async fn run(session: &Session, name: ObjectName, request: Request) -> Result<StatementResult> {
    let (_, table) = open(session, &name).await?;
    let summary = optimize(session, &table, &request).await?;
    summary.into_row(table.location().as_str().trim_end_matches('/'))
}
