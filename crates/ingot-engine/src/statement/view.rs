//! Views: CREATE VIEW; and DROP of views and tables.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_catalog::{ColumnInfo, NewTable, TableKind};
use ingot_common::Kind;

use super::cursor::Cursor;
use super::{Work, done, namespace};
use crate::dialect::quoted;
use crate::resolve::{self, Reads};
use crate::write::type_text;
use crate::{Error, Result, Session};

/// `CREATE [OR REPLACE] VIEW [IF NOT EXISTS] name [(column [COMMENT 'text'], …)] [COMMENT 'text'] AS query`.
pub(super) fn create<'a>(session: &'a Session, cursor: &mut Cursor<'_>, replace: bool) -> Result<Work<'a>> {
    let if_not_exists = cursor.if_not_exists();
    let name = cursor.table_name(session)?;
    let mut named = Vec::new();
    if cursor.at_token(&Token::LParen) {
        named = cursor.in_parentheses(|cursor| {
            let column = cursor.name()?;
            let comment = match cursor.accept("COMMENT") {
                true => Some(cursor.string()?),
                false => None,
            };
            Ok((column, comment))
        })?;
    }
    let mut comment = None;
    let mut properties = BTreeMap::new();
    while !cursor.accept("AS") {
        if cursor.accept("COMMENT") {
            comment = Some(cursor.string()?);
        } else if cursor.accept("TBLPROPERTIES") {
            properties.extend(cursor.properties()?);
        } else {
            return Err(cursor.expected("COMMENT, TBLPROPERTIES or AS"));
        }
    }
    let mut definition = cursor.query_text()?.to_owned();
    cursor.end()?;
    Ok(Work::writes(async move {
        if !named.is_empty() {
            let columns: Vec<String> = named.iter().map(|(column, _)| quoted(column)).collect();
            definition = format!("SELECT * FROM ({definition}\n) AS view({})", columns.join(", "));
        }
        // Planned once, so that a view that cannot work is not made.
        let reads = Reads::default();
        let query = super::parse_query(&definition)?;
        let planned = resolve::plan(session, query, &session.namespace(), &reads).await?;
        if reads.has_view(&name) {
            return Err(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "RECURSIVE_VIEW",
                sqlstate: "42K0H",
                message: format!("view `{name}` would stand on itself"),
            });
        }
        let columns = planned
            .schema()
            .fields()
            .iter()
            .enumerate()
            .map(|(place, field)| ColumnInfo {
                name: field.name().clone(),
                type_text: type_text(field.data_type()),
                nullable: field.is_nullable(),
                comment: named.get(place).and_then(|(_, comment)| comment.clone()),
                partition_index: None,
            });
        let view = NewTable {
            name,
            kind: TableKind::View,
            location: None,
            definition: Some(definition),
            definition_namespace: Some(session.namespace()),
            columns: columns.collect(),
            comment,
            properties,
        };
        let principal = session.context().principal.as_str();
        match session
            .engine()
            .metastore()
            .create_view(&view, replace, principal)
            .await
        {
            Ok(_) => done(),
            Err(ingot_catalog::Error::AlreadyExists { .. }) if if_not_exists => done(),
            Err(error) => Err(error.into()),
        }
    }))
}

/// What a DROP names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    Table,
    View,
}

/// `DROP TABLE | VIEW [IF EXISTS] name`. The files of a managed table go later.
pub(super) fn drop<'a>(session: &'a Session, cursor: &mut Cursor<'_>, dropped: Dropped) -> Result<Work<'a>> {
    let if_exists = cursor.if_exists();
    let name = cursor.table_name(session)?;
    cursor.accept("PURGE");
    cursor.end()?;
    Ok(Work::writes(async move {
        let metastore = session.engine().metastore();
        let info = match metastore.table(&name).await {
            Err(error) => return namespace::missing_is_fine::<()>(Err(error), if_exists),
            Ok(info) => info,
        };
        let wrong = match (dropped, info.kind) {
            (Dropped::Table, TableKind::View) => Some("DROP TABLE cannot drop a view; use DROP VIEW"),
            (Dropped::View, kind) if kind != TableKind::View => {
                Some("DROP VIEW cannot drop a table; use DROP TABLE")
            }
            _ => None,
        };
        if let Some(hint) = wrong {
            return Err(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "WRONG_COMMAND_FOR_OBJECT_TYPE",
                sqlstate: "42809",
                message: format!("`{name}`: {hint}"),
            });
        }
        let principal = session.context().principal.as_str();
        namespace::missing_is_fine(metastore.drop_table(&name, principal).await, if_exists)
    }))
}
