//! Names of relations, as queries and statements write them.

use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectNamePart, TableAlias};
use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_common::{SchemaName, TableName};

use super::INTERNAL;
use crate::session::identifier;
use crate::{Error, Result, dialect};

/// Completes a name of one to three parts.
///
/// # Errors
/// `InvalidArgument` for more parts, and for parts that are no names.
pub(crate) fn table_name(name: &ObjectName, namespace: &SchemaName) -> Result<TableName> {
    let parts = parts(name)?;
    match parts.as_slice() {
        [table] => Ok(TableName::new(
            namespace.catalog.clone(),
            namespace.schema.clone(),
            identifier(table)?,
        )),
        [schema, table] => Ok(TableName::new(
            namespace.catalog.clone(),
            identifier(schema)?,
            identifier(table)?,
        )),
        [catalog, schema, table] => Ok(TableName::new(
            identifier(catalog)?,
            identifier(schema)?,
            identifier(table)?,
        )),
        _ => Err(Error::parse(format!(
            "`{name}` has {} parts; a table has up to three",
            parts.len()
        ))),
    }
}

/// Returns the parts of a name without their quotes.
pub(crate) fn parts(name: &ObjectName) -> Result<Vec<String>> {
    name.0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(ident) => Ok(ident.value.clone()),
            other => Err(Error::parse(format!("`{other}` cannot stand in a name"))),
        })
        .collect()
}

/// Has a relation of FROM read what the planner knows by an internal name. A query goes on calling it as `called`, in
/// lower case, unless it has an alias for it.
pub(super) fn name_internally(
    name: &mut ObjectName,
    alias: &mut Option<TableAlias>,
    called: &str,
    internal: &str,
) {
    alias.get_or_insert_with(|| TableAlias {
        explicit: true,
        name: Ident::with_quote('`', called.to_lowercase()),
        columns: Vec::new(),
        at: None,
    });
    let part = |text| ObjectNamePart::Identifier(Ident::with_quote('`', text));
    *name = ObjectName([INTERNAL, INTERNAL, internal].map(part).into());
}

/// Returns the last part of a name, without its quotes.
pub(super) fn last_part(name: &ObjectName) -> &str {
    let ident = name.0.last().and_then(ObjectNamePart::as_ident);
    ident.map(|ident| ident.value.as_str()).unwrap_or_default()
}

/// Returns the path of the table that `delta.`/path`` names; `None` for the name of one.
pub(crate) fn delta_path(name: &ObjectName) -> Result<Option<String>> {
    match parts(name)?.as_mut_slice() {
        [format, path] if format.eq_ignore_ascii_case("delta") && path.contains('/') => {
            Ok(Some(std::mem::take(path)))
        }
        _ => Ok(None),
    }
}

/// Reads a name of one part or several.
///
/// # Errors
/// `PARSE_SYNTAX_ERROR`.
pub(crate) fn object_name(text: &str) -> Result<ObjectName> {
    let mut parser = dialect::parser(text)?;
    let name = parser.parse_object_name(true)?;
    match parser.peek_token().token {
        Token::EOF => Ok(name),
        other => Err(Error::parse(format!(
            "`{other}` stands where the name `{text}` ends"
        ))),
    }
}
