//! The tables that a query reads, each where it is named.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ObjectName, ObjectNamePart, Query as SqlQuery, TableFactor, Visit, Visitor,
};
use datafusion::sql::sqlparser::dialect::DatabricksDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Location;
use ingot_common::{Identifier, SchemaName, TableName};

use crate::text::offset_of;

/// What a query reads besides its streams.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TablesRead {
    /// Each table once, with the byte of the query at which it is first named.
    pub tables: Vec<(TableName, usize)>,
    /// Whether it reads files, whose changes nobody announces.
    pub files: bool,
}

/// Something wrong with a query, and the byte of it where that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueryMistake {
    pub message: String,
    pub offset: usize,
}

/// Finds the tables that `query` reads. Names are completed from `namespace`; a name of one part that a WITH clause in
/// scope, or a micro-batch, has is no table.
///
/// # Errors
/// A query that does not parse, and a name of more than three parts.
pub(crate) fn tables_read(query: &str, namespace: &SchemaName) -> Result<TablesRead, QueryMistake> {
    let statements = Parser::parse_sql(&DatabricksDialect {}, query)
        .map_err(|error| parser_mistake(&error.to_string(), query))?;
    let mut visitor = Tables::default();
    for statement in &statements {
        // It never breaks off.
        let _ = statement.visit(&mut visitor);
    }
    let mut read = TablesRead {
        tables: Vec::new(),
        files: visitor.files,
    };
    for (parts, line, column) in visitor.names {
        let offset = offset_of(query, line, column);
        let Some(name) = complete(&parts, namespace) else {
            let message = format!("`{}` is no table's name", parts.join("."));
            return Err(QueryMistake { message, offset });
        };
        if read.tables.iter().all(|(known, _)| *known != name) {
            read.tables.push((name, offset));
        }
    }
    Ok(read)
}

/// Takes the place out of the parser's message: `…, found: x at Line: 1, Column: 5`.
fn parser_mistake(message: &str, query: &str) -> QueryMistake {
    let placed = message.rsplit_once(" at Line: ").and_then(|(message, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        let offset = offset_of(query, line.parse().ok()?, column.trim().parse().ok()?);
        Some((message, offset))
    });
    // Only at the end the parser tells no place.
    let (message, offset) = placed.unwrap_or((message, query.len()));
    QueryMistake {
        message: format!("in this query: {message}"),
        offset,
    }
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

/// Collects names of tables with their lines and columns.
#[derive(Debug, Default)]
struct Tables {
    names: Vec<(Vec<String>, u64, u64)>,
    /// Names of the WITH clauses around the current place.
    in_scope: Vec<String>,
    files: bool,
}

impl Visitor for Tables {
    type Break = ();

    fn pre_visit_query(&mut self, query: &SqlQuery) -> ControlFlow<()> {
        if let Some(with) = &query.with {
            for clause in &with.cte_tables {
                // Its name is not in scope in itself: there it is a table. Visited once more later, which finds
                // nothing new.
                if !with.recursive {
                    clause.visit(self)?;
                }
                self.in_scope.push(clause.alias.name.value.to_lowercase());
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &SqlQuery) -> ControlFlow<()> {
        let left = query.with.iter().map(|with| with.cte_tables.len()).sum();
        self.in_scope.truncate(self.in_scope.len().saturating_sub(left));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table { name, args: None, .. } => self.note(name),
            TableFactor::Table { args: Some(_), .. } | TableFactor::Function { .. } => self.files = true,
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl Tables {
    fn note(&mut self, name: &ObjectName) {
        let parts: Vec<String> = name.0.iter().map(lower_case).collect();
        if let [only] = parts.as_slice()
            && (self.in_scope.contains(only) || only.starts_with("__stream_"))
        {
            return;
        }
        let start = match name.0.first() {
            Some(ObjectNamePart::Identifier(ident)) => ident.span.start,
            _ => Location::empty(),
        };
        self.names.push((parts, start.line, start.column));
    }
}

fn lower_case(part: &ObjectNamePart) -> String {
    match part {
        ObjectNamePart::Identifier(identifier) => identifier.value.to_lowercase(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("SELECT * FROM a, s.b JOIN c.s.d", &["main.default.a@14", "main.s.b@17", "c.s.d@26"]; "names are completed")]
    #[test_case("WITH a AS (SELECT * FROM a WHERE x) SELECT * FROM a", &["main.default.a@25"]; "a clause over the table that it hides")]
    #[test_case("WITH x AS (SELECT 1) SELECT * FROM x, (SELECT * FROM x) y", &[]; "a clause")]
    #[test_case("SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) y, x", &["main.default.x@56"]; "a clause out of scope")]
    #[test_case("WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM x) SELECT * FROM x", &[]; "a recursive clause")]
    #[test_case("SELECT * FROM __stream_0 WHERE a IN (SELECT a FROM A)", &["main.default.a@51"]; "a subquery")]
    fn tables_are_found(query: &str, expected: &[&str]) {
        let part = |text| Identifier::new(text).expect("name");
        let namespace = SchemaName::new(part("main"), part("default"));
        let read = tables_read(query, &namespace).expect("parses");
        let found: Vec<_> = read
            .tables
            .iter()
            .map(|(name, offset)| format!("{name}@{offset}"))
            .collect();
        assert_eq!(found, expected);
        assert!(!read.files);
    }
}
