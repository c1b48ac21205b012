//! `[WITH …] MERGE [WITH SCHEMA EVOLUTION] INTO`, parsed; run by [`crate::merge`].

use super::cursor::Cursor;
use super::target::Target;
use super::{Work, counts};
use crate::dialect::quoted;
use crate::merge::{Merge, MergeAction, MergeClause, MergeMatching, PlannedMerge, add_with, merge_planned};
use crate::resolve::{self, Reads};
use crate::write::CommitSettings;
use crate::{Error, Result, Session};
use datafusion::sql::sqlparser::ast::{ObjectName, ObjectNamePart, Statement, TableFactor, With};
use datafusion::sql::sqlparser::tokenizer::Token;
use futures::future::BoxFuture;

/// The setting under which every merge evolves the table's schema.
const AUTO_MERGE: &str = "spark.databricks.delta.schema.autoMerge.enabled";

/// What stands between MERGE and the end of the statement.
struct Definition {
    with: Option<With>,
    schema_evolution: bool,
    target: Target,
    /// What the target is called, a name in SQL.
    target_alias: String,
    source: Statement,
    source_alias: String,
    on: String,
    clauses: Vec<MergeClause>,
}

/// Parses the statement, which the common table expressions `with` precede. It has committed when its work is done.
pub(super) fn parse<'a>(
    session: &'a Session,
    cursor: &mut Cursor<'_>,
    with: Option<With>,
) -> Result<Work<'a>> {
    let definition = definition(session, cursor, with)?;
    Ok(Work::writes(async move {
        let (table, filtered) = definition.target.open_to_change(session, true).await?;
        let schema_evolution = definition.schema_evolution || auto_merge(session);
        let settings = CommitSettings::of_session(session)?;
        let plan = || -> BoxFuture<'_, Result<PlannedMerge>> {
            Box::pin(async {
                let (source, namespace) = (definition.source.clone(), session.namespace());
                let reads = Reads::default();
                let merge = Merge {
                    target_alias: definition.target_alias.clone(),
                    source_alias: definition.source_alias.clone(),
                    source: resolve::plan(session, source, &namespace, &reads).await?,
                    on: definition.on.clone(),
                    clauses: definition.clauses.clone(),
                    schema_evolution,
                    app_transactions: settings.app_transaction.clone().into_iter().collect(),
                    user_metadata: settings.user_metadata.clone(),
                };
                Ok(PlannedMerge {
                    merge,
                    reads,
                    with: definition.with.clone(),
                })
            })
        };
        let metrics = merge_planned(session, &table, filtered.as_ref(), &plan).await?;
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

fn auto_merge(session: &Session) -> bool {
    let settings = session.settings();
    let mut set = settings
        .iter()
        .filter(|(key, _)| key.eq_ignore_ascii_case(AUTO_MERGE));
    set.any(|(_, value)| value.eq_ignore_ascii_case("true"))
}

fn definition(session: &Session, cursor: &mut Cursor<'_>, with: Option<With>) -> Result<Definition> {
    let schema_evolution = cursor.accept_all(&["WITH", "SCHEMA", "EVOLUTION"]);
    cursor.expect("INTO")?;
    let target = Target::parse(session, cursor)?;
    let target_alias = alias(cursor, &["USING"])?.unwrap_or_else(|| sql_name(&target.name_parts()));
    cursor.expect("USING")?;
    let (source, source_alias) = source(session, cursor, with.as_ref())?;
    cursor.expect("ON")?;
    let on = cursor.expression_text()?.to_owned();
    let mut clauses = Vec::new();
    while cursor.accept("WHEN") {
        clauses.push(clause(cursor)?);
    }
    cursor.end()?;
    if clauses.is_empty() {
        return Err(Error::Condition {
            kind: ingot_common::Kind::InvalidArgument,
            condition: "MERGE_WITHOUT_WHEN",
            sqlstate: "42601",
            message: "MERGE needs at least one WHEN clause".to_owned(),
        });
    }
    check_order(&clauses)?;
    Ok(Definition {
        with,
        schema_evolution,
        target,
        target_alias,
        source,
        source_alias,
        on,
        clauses,
    })
}

/// Takes what stands after USING: a table or view, also in the past, a query, or VALUES, with an alias and names for
/// its columns. Returns it as a query, and what it is called by.
fn source(session: &Session, cursor: &mut Cursor<'_>, with: Option<&With>) -> Result<(Statement, String)> {
    let (factor, text) = cursor.table_factor()?;
    let mut query = super::parse_query(&format!("SELECT * FROM {text}"))?;
    if let (Statement::Query(query), Some(with)) = (&mut query, with) {
        add_with(query, with);
    }
    let (alias, name) = match &factor {
        TableFactor::Table { name, alias, .. } => (alias, Some(name)),
        TableFactor::Derived { alias, .. }
        | TableFactor::TableFunction { alias, .. }
        | TableFactor::Function { alias, .. } => (alias, None),
        other => return Err(Error::parse(format!("`{other}` cannot be the source of MERGE"))),
    };
    let alias = match (alias, name) {
        (Some(alias), _) => quoted(&alias.name.value),
        (None, Some(name)) => source_name(session, name, with)?,
        // Without a name of its own, nothing is called by it.
        (None, None) => String::new(),
    };
    Ok((query, alias))
}

/// Returns what a source without an alias is called by: the full name of a table.
fn source_name(session: &Session, name: &ObjectName, with: Option<&With>) -> Result<String> {
    if let [ObjectNamePart::Identifier(part)] = name.0.as_slice() {
        let ctes = with.into_iter().flat_map(|with| &with.cte_tables);
        let mut names = ctes.map(|cte| &cte.alias.name.value);
        let own = |name: &String| {
            session.relation(name).is_some() || session.temporary_view(std::slice::from_ref(name)).is_some()
        };
        if names.any(|name| name.eq_ignore_ascii_case(&part.value)) || own(&part.value) {
            return Ok(quoted(&part.value));
        }
    }
    // A version of a table is called by the table's name.
    let name = resolve::without_version(name)?;
    Ok(sql_name(&Target::new(session, &name)?.name_parts()))
}

/// Writes the parts of a name as SQL.
fn sql_name(parts: &[String]) -> String {
    let parts: Vec<String> = parts.iter().map(|part| quoted(part)).collect();
    parts.join(".")
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
            true => MergeAction::UpdateAll {
                except: except(cursor)?,
            },
            false => MergeAction::Update(assignments(cursor)?),
        }
    } else if cursor.accept("INSERT") {
        match cursor.accept_token(&Token::Mul) {
            true => MergeAction::InsertAll {
                except: except(cursor)?,
            },
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

/// Takes `[EXCEPT (a, t.b)]`.
fn except(cursor: &mut Cursor<'_>) -> Result<Vec<String>> {
    match cursor.accept("EXCEPT") {
        true => cursor.in_parentheses(|cursor| Ok(cursor.object_name_text()?.to_owned())),
        false => Ok(Vec::new()),
    }
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
