//! Queries within statements: `STREAM …` becomes a relation, the other tables are found.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ObjectName, ObjectNamePart, Query as SqlQuery, TableFactor, Visit, Visitor,
};
use datafusion::sql::sqlparser::dialect::DatabricksDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_common::{Identifier, SchemaName, TableName};

use super::cursor::Cursor;
use crate::definition::{Place, Query, Reference, StreamOrigin, StreamSource};
use crate::{Error, Result};

/// Reads the query that is the rest of a statement.
pub fn parse(cursor: &mut Cursor<'_>) -> Result<Query> {
    let place = cursor.place();
    let start = cursor
        .peek()
        .map_or(cursor.file.text.len(), |lexeme| lexeme.start);
    let mut text = String::new();
    let mut copied = start;
    let mut end = start;
    let mut sources = Vec::new();
    while let Some(lexeme) = cursor.peek() {
        if !begins_stream(cursor) {
            end = lexeme.end;
            cursor.next();
            continue;
        }
        text.push_str(&cursor.file.text[copied..lexeme.start]);
        let relation = format!("__stream_{}", sources.len());
        let (origin, alias) = stream(cursor)?;
        text.push_str(&relation);
        // The rest of the query may name the stream's columns by the table's name.
        if let Some(alias) = alias.filter(|_| !alias_follows(cursor)) {
            text.push_str(&format!(" AS {alias}"));
        }
        text.push(' ');
        copied = cursor.peek().map_or(cursor.file.text.len(), |next| next.start);
        end = copied;
        sources.push(StreamSource { relation, origin });
    }
    text.push_str(&cursor.file.text[copied..end.max(copied)]);
    let text = text.trim().to_owned();
    let (relations, reads_files) = relations(&text, &place, cursor.file.namespace)?;
    Ok(Query {
        text,
        sources,
        relations,
        reads_files,
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
        (StreamOrigin::Kafka(kafka_options(cursor)?), None)
    } else {
        let mut name = cursor.clone();
        let reference = cursor.table_name()?;
        if cursor.peek().is_some_and(|lexeme| lexeme.token == Token::LParen) {
            let function = name.word("a name")?;
            return Err(Error::Definition {
                place: reference.place,
                message: format!(
                    "`{function}` cannot be streamed, read_kafka and tables can; read files in a materialized view"
                ),
            });
        }
        let alias = reference.name.table.to_string();
        (StreamOrigin::Table(reference), Some(format!("`{alias}`")))
    };
    if parenthesis {
        cursor.expect_token(&Token::RParen)?;
    }
    Ok(read)
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

/// Reads `(name => value, …)`, with Databricks' names turned into Spark's.
fn kafka_options(cursor: &mut Cursor<'_>) -> Result<BTreeMap<String, String>> {
    cursor.expect_token(&Token::LParen)?;
    let mut options = BTreeMap::new();
    loop {
        let mut name = match cursor.peek().map(|lexeme| &lexeme.token) {
            Some(Token::SingleQuotedString(_)) => cursor.text()?,
            _ => cursor.word("an option")?,
        };
        while cursor.accept_token(&Token::Period) {
            name = format!("{name}.{}", cursor.word("an option")?);
        }
        cursor.expect_token(&Token::RArrow)?;
        if name.eq_ignore_ascii_case("bootstrapServers") {
            "kafka.bootstrap.servers".clone_into(&mut name);
        }
        options.insert(name, option_value(cursor)?);
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(options)
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
        _ => cursor.text(),
    }
}

/// Finds the tables that a query reads, and whether it reads files.
fn relations(text: &str, place: &Place, namespace: &SchemaName) -> Result<(Vec<Reference>, bool)> {
    let wrong = |message: String| Error::Definition {
        place: place.clone(),
        message,
    };
    let statements = Parser::parse_sql(&DatabricksDialect {}, text)
        .map_err(|error| wrong(format!("in this query: {error}")))?;
    let mut found = Relations::default();
    for statement in &statements {
        let ControlFlow::Continue(()) = statement.visit(&mut found) else {
            continue;
        };
    }
    let mut references: Vec<Reference> = Vec::new();
    for parts in found.names {
        let own = parts.len() == 1 && (found.local.contains(&parts[0]) || parts[0].starts_with("__stream_"));
        if own {
            continue;
        }
        let name = complete(&parts, namespace)
            .ok_or_else(|| wrong(format!("`{}` is no table's name", parts.join("."))))?;
        if references.iter().all(|reference| reference.name != name) {
            references.push(Reference {
                name,
                place: place.clone(),
            });
        }
    }
    Ok((references, found.reads_files))
}

fn complete(parts: &[String], namespace: &SchemaName) -> Option<TableName> {
    let part = |text: &String| Identifier::new(text).ok();
    let SchemaName { catalog, schema } = namespace.clone();
    match parts {
        [table] => Some(TableName::new(catalog, schema, part(table)?)),
        [schema, table] => Some(TableName::new(catalog, part(schema)?, part(table)?)),
        [catalog, schema, table] => Some(TableName::new(part(catalog)?, part(schema)?, part(table)?)),
        _ => None,
    }
}

/// Collects the names of relations.
#[derive(Debug, Default)]
struct Relations {
    names: Vec<Vec<String>>,
    /// Names of WITH clauses.
    local: HashSet<String>,
    reads_files: bool,
}

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_query(&mut self, query: &SqlQuery) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.local
            .extend(tables.map(|table| table.alias.name.value.to_lowercase()));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, args: None, .. } => self.names.push(lower_case(name)),
            TableFactor::Table { args: Some(_), .. } | TableFactor::Function { .. } => {
                self.reads_files = true
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn lower_case(name: &ObjectName) -> Vec<String> {
    let part = |part: &ObjectNamePart| match part {
        ObjectNamePart::Identifier(identifier) => identifier.value.to_lowercase(),
        other => other.to_string(),
    };
    name.0.iter().map(part).collect()
}
