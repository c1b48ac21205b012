//! `SET QUERY_TAGS['key'] = 'value' | NULL | UNSET, …` and `SET QUERY_TAGS`: tags of the session's statements.
//!
//! They are kept as the setting `query_tags`, which clients give a session as it opens. Source: Databricks SQL, `SET
//! QUERY_TAGS`.

use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::{DataType, Field};
use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_common::Kind;
use ingot_common::port::StatementResult;

use super::cursor::Cursor;
use super::{Work, done, rows, set_setting};
use crate::history::{QUERY_TAGS, read_tags, write_tags};
use crate::{Error, Result, Session};

/// Bytes of a key, and of a value, at most. Source: Databricks, "Query tags".
const BYTES_MAX: usize = 128;

/// Tags of a session, at most. Source: the same.
const TAGS_MAX: usize = 20;

/// What becomes of a tag.
enum Change {
    /// With no value, the key is all there is.
    Set(Option<String>),
    Unset,
}

/// Parses what follows SET, if it is of tags: `SET QUERY_TAGS = '…'` is of the setting.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Option<Work<'a>>> {
    if !cursor.at("QUERY_TAGS") {
        return Ok(None);
    }
    if cursor.is_next(&Token::EOF) || cursor.is_next(&Token::SemiColon) {
        return Ok(Some(Work::reads(async move { show(session) })));
    }
    if !cursor.is_next(&Token::LBracket) {
        return Ok(None);
    }
    let mut changes = vec![change(cursor)?];
    while cursor.accept_token(&Token::Comma) {
        changes.push(change(cursor)?);
    }
    cursor.end()?;
    Ok(Some(Work::reads(async move { apply(session, changes) })))
}

fn change(cursor: &mut Cursor<'_>) -> Result<(String, Change)> {
    cursor.expect("QUERY_TAGS")?;
    cursor.expect_token(&Token::LBracket)?;
    let key = part(&cursor.string()?)?;
    cursor.expect_token(&Token::RBracket)?;
    cursor.expect_token(&Token::Eq)?;
    if key.is_empty() {
        return Err(refused("a tag's key is not empty"));
    }
    if cursor.accept("UNSET") {
        return Ok((key, Change::Unset));
    }
    let value = match cursor.accept("NULL") {
        true => None,
        false => Some(part(&cursor.string()?)?).filter(|value| !value.is_empty()),
    };
    Ok((key, Change::Set(value)))
}

fn part(text: &str) -> Result<String> {
    let text = text.trim();
    match text.len() <= BYTES_MAX {
        true => Ok(text.to_owned()),
        false => Err(refused(&format!(
            "a tag's key and its value have {BYTES_MAX} bytes at most"
        ))),
    }
}

fn apply(session: &Session, changes: Vec<(String, Change)>) -> Result<StatementResult> {
    let mut tags = read_tags(&session.setting(QUERY_TAGS).unwrap_or_default());
    for (key, change) in changes {
        match change {
            Change::Set(value) => drop(tags.insert(key, value)),
            Change::Unset => drop(tags.remove(&key)),
        }
    }
    if tags.len() > TAGS_MAX {
        return Err(refused(&format!("a session has {TAGS_MAX} tags at most")));
    }
    set_setting(session, QUERY_TAGS, &write_tags(&tags))?;
    done()
}

fn show(session: &Session) -> Result<StatementResult> {
    let tags = read_tags(&session.setting(QUERY_TAGS).unwrap_or_default());
    let field = |name| Field::new(name, DataType::Utf8, true);
    let keys = tags.keys().map(Some).collect::<StringArray>();
    let values = tags.values().cloned().collect::<StringArray>();
    rows(
        vec![field("key"), field("value")],
        vec![Arc::new(keys), Arc::new(values)],
    )
}

fn refused(message: &str) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "INVALID_QUERY_TAG",
        sqlstate: "22023",
        message: format!("SET QUERY_TAGS: {message}"),
    }
}
