//! Queries within statements: `STREAM …` becomes a relation, the other tables are found.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::tables::tables_read;
use crate::definition::{Query, Reference, StreamOrigin, StreamSource};
use crate::text::Pieces;
use crate::{Error, Result};

/// Reads the query that is the rest of a statement.
pub fn parse(cursor: &mut Cursor<'_>) -> Result<Query> {
    let place = cursor.place();
    let start = cursor.peek().map_or(cursor.text().len(), |lexeme| lexeme.start);
    let mut text = String::new();
    let mut pieces = Pieces::default();
    let mut copied = start;
    let mut end = start;
    let mut sources = Vec::new();
    while let Some(lexeme) = cursor.peek() {
        if !begins_stream(cursor) {
            end = lexeme.end;
            cursor.next();
            continue;
        }
        pieces.copied(text.len(), copied);
        text.push_str(&cursor.text()[copied..lexeme.start]);
        pieces.replaced(text.len(), lexeme.start);
        let relation = format!("__stream_{}", sources.len());
        let (origin, alias) = stream(cursor)?;
        text.push_str(&relation);
        // The rest of the query may name the stream's columns by the table's name.
        if let Some(alias) = alias.filter(|_| !alias_follows(cursor)) {
            text.push_str(&format!(" AS {alias}"));
        }
        text.push(' ');
        copied = cursor.peek().map_or(cursor.text().len(), |next| next.start);
        end = copied;
        sources.push(StreamSource { relation, origin });
    }
    pieces.copied(text.len(), copied);
    text.push_str(&cursor.text()[copied..end.max(copied)]);
    // It begins with a token, so only its end changes.
    text.truncate(text.trim_end().len());
    let placed = |offset: usize| cursor.file.text.place(pieces.origin(offset));
    let read = tables_read(&text, cursor.file.namespace).map_err(|mistake| Error::Definition {
        place: placed(mistake.offset),
        message: mistake.message,
    })?;
    let relations = read.tables.into_iter().map(|(name, offset)| Reference {
        name,
        place: placed(offset),
    });
    Ok(Query {
        relations: relations.collect(),
        text,
        sources,
        reads_files: read.files,
        place,
    })
}

/// `STREAM` is a keyword before a name or a parenthesis; it may be a column's name elsewhere.
fn begins_stream(cursor: &Cursor<'_>) -> bool {
    let [first, second, ..] = cursor.rest() else {
        return false;
    };
    first.is("STREAM")
        && match &second.token {
            Token::LParen => true,
            Token::Word(word) => {
                let clause = [
                    "AS", "FROM", "WHERE", "GROUP", "ORDER", "LIMIT", "ON", "AND", "OR", "JOIN",
                ];
                word.quote_style.is_some() || !clause.iter().any(|clause| second.is(clause))
            }
            _ => false,
        }
}

/// Reads `STREAM …`; returns the origin, and the table's own name as an alias.
fn stream(cursor: &mut Cursor<'_>) -> Result<(StreamOrigin, Option<String>)> {
    cursor.expect("STREAM")?;
    let parenthesis = cursor.accept_token(&Token::LParen);
    let read = if cursor.accept("read_kafka") {
        cursor.expect_token(&Token::LParen)?;
        (StreamOrigin::Kafka(kafka_options(cursor)?), None)
    } else if cursor.accept("read_files") {
        cursor.expect_token(&Token::LParen)?;
        let path = cursor.quoted_text()?;
        let options = match cursor.accept_token(&Token::Comma) {
            true => options(cursor)?,
            false => {
                cursor.expect_token(&Token::RParen)?;
                BTreeMap::new()
            }
        };
        (StreamOrigin::Files { path, options }, None)
    } else {
        let mut name = cursor.clone();
        let reference = cursor.table_name()?;
        if cursor.peek().is_some_and(|lexeme| lexeme.token == Token::LParen) {
            let function = name.word("a name")?;
            return Err(Error::Definition {
                place: reference.place,
                message: format!("`{function}` cannot be streamed; read_kafka, read_files and tables can"),
            });
        }
        let alias = reference.name.table.to_string();
        let options = table_options(cursor)?;
        (
            StreamOrigin::Table { reference, options },
            Some(format!("`{alias}`")),
        )
    };
    if parenthesis {
        cursor.expect_token(&Token::RParen)?;
    }
    Ok(read)
}

/// Reads `WITH (name [=] value, …)` after a table's name. Source: Databricks SQL, "Names", options specification.
fn table_options(cursor: &mut Cursor<'_>) -> Result<BTreeMap<String, String>> {
    let mut options = BTreeMap::new();
    if !cursor.accept("WITH") {
        return Ok(options);
    }
    cursor.expect_token(&Token::LParen)?;
    loop {
        let name = option_name(cursor)?;
        cursor.accept_token(&Token::Eq);
        options.insert(name, option_value(cursor)?);
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(options)
}

fn alias_follows(cursor: &Cursor<'_>) -> bool {
    cursor.peek().is_some_and(|lexeme| match &lexeme.token {
        Token::Word(word) => {
            lexeme.is("AS")
                || word.quote_style.is_some()
                || word.keyword == datafusion::sql::sqlparser::keywords::Keyword::NoKeyword
        }
        _ => false,
    })
}

/// Reads `name => value, …)`, with Databricks' names turned into Spark's.
fn kafka_options(cursor: &mut Cursor<'_>) -> Result<BTreeMap<String, String>> {
    let mut options = options(cursor)?;
    let servers = options
        .keys()
        .find(|name| name.eq_ignore_ascii_case("bootstrapServers"))
        .cloned();
    if let Some(value) = servers.and_then(|name| options.remove(&name)) {
        options.insert("kafka.bootstrap.servers".to_owned(), value);
    }
    Ok(options)
}

/// Reads `name => value, …)`.
fn options(cursor: &mut Cursor<'_>) -> Result<BTreeMap<String, String>> {
    let mut options = BTreeMap::new();
    loop {
        let name = option_name(cursor)?;
        cursor.expect_token(&Token::RArrow)?;
        options.insert(name, option_value(cursor)?);
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(options)
}

fn option_name(cursor: &mut Cursor<'_>) -> Result<String> {
    let mut name = match cursor.peek().map(|lexeme| &lexeme.token) {
        Some(Token::SingleQuotedString(_)) => cursor.quoted_text()?,
        _ => cursor.word("an option")?,
    };
    while cursor.accept_token(&Token::Period) {
        name = format!("{name}.{}", cursor.word("an option")?);
    }
    Ok(name)
}

fn option_value(cursor: &mut Cursor<'_>) -> Result<String> {
    match cursor.peek().map(|lexeme| lexeme.token.clone()) {
        Some(Token::Number(number, _)) => {
            cursor.next();
            Ok(number)
        }
        Some(Token::Word(word)) if ["true", "false"].contains(&word.value.to_lowercase().as_str()) => {
            cursor.next();
            Ok(word.value.to_lowercase())
        }
        _ => cursor.quoted_text(),
    }
}
