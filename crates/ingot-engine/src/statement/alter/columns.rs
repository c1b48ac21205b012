//! Columns: `ADD COLUMNS`, `ALTER | CHANGE COLUMN`, `COMMENT ON COLUMN`.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::dataframe::DataFrame;
use datafusion::functions_aggregate::expr_fn::{max, min};
use datafusion::logical_expr::Expr;
use datafusion::prelude::Column;
use datafusion::sql::sqlparser::ast::ObjectName;
use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_catalog::{Need, TableKind};
use ingot_common::port::StatementResult;
use ingot_common::{Kind, TableName};
use ingot_delta::column::{
    CHAR_VARCHAR, COMMENT, CURRENT_DEFAULT, GENERATION_EXPRESSION, IDENTITY_START, Identity,
    with_high_water_marks,
};
use ingot_delta::schema_change::{
    ColumnChange, ColumnPosition, NewColumn, add_columns, change_column, column_json, field_json,
};
use ingot_delta::type_widening::widened_column;
use ingot_delta::{Metadata, Operation, Snapshot};
use serde_json::{Value, json};

use super::super::column::clauses;
use super::super::cursor::Cursor;
use super::super::{Work, done, tag};
use super::constraints::check_not_in_primary_key;
use super::{Altered, Change, filters, open, view};
use crate::access::{self, MODIFY};
use crate::dialect::quoted;
use crate::provider::delta_provider;
use crate::resources::reading;
use crate::types::ColumnType;
use crate::write::rules::definition::{check_default, refused};
use crate::write::rules::expression::{find, table_expression};
use crate::write::type_text;
use crate::{Error, Result, Session, resolve};

/// `ADD COLUMN[S] [(] a.b type [COMMENT 'text'] [FIRST | AFTER c], … [)]`.
pub(super) fn add<'a>(session: &'a Session, cursor: &mut Cursor<'_>, name: TableName) -> Result<Work<'a>> {
    if !cursor.accept("COLUMNS") {
        cursor.accept("COLUMN");
    }
    let mut columns = Vec::new();
    if cursor.at_token(&Token::LParen) {
        columns = cursor.in_parentheses(|cursor| new_column(session, cursor))?;
    } else {
        loop {
            columns.push(new_column(session, cursor)?);
            if !cursor.accept_token(&Token::Comma) {
                break;
            }
        }
    }
    cursor.end()?;
    Ok(Work::writes(async move {
        let altered = open(session, &name, MODIFY).await?;
        let metadata = add_columns(altered.snapshot.metadata(), &columns)?;
        let added = columns.iter().map(added_json).collect::<Result<Vec<_>>>()?;
        let operation = Operation::new("ADD COLUMNS").with("columns", Value::from(added).to_string());
        altered.commit(session, Change::new(metadata, operation)).await
    }))
}

fn new_column(session: &Session, cursor: &mut Cursor<'_>) -> Result<NewColumn> {
    let mut path = cursor.column_path()?;
    let name = path.pop().ok_or_else(|| cursor.expected("a column"))?;
    let mut field = clauses(session, cursor, &name)?;
    if !path.is_empty() {
        // Only columns have limits: within structs CHAR and VARCHAR mean STRING.
        field.metadata_mut().remove(CHAR_VARCHAR);
    }
    if field.metadata().contains_key(CURRENT_DEFAULT) {
        return Err(Error::Condition {
            kind: Kind::Unsupported,
            condition: "WRONG_COLUMN_DEFAULTS_FOR_DELTA_ALTER_TABLE_ADD_COLUMN_NOT_SUPPORTED",
            sqlstate: "0AKDC",
            message: format!(
                "column `{name}`: DEFAULT values are not supported when adding columns to a table; add the column, \
                 then run ALTER TABLE … ALTER COLUMN … SET DEFAULT"
            ),
        });
    }
    let generated = [GENERATION_EXPRESSION, IDENTITY_START];
    if generated.iter().any(|key| field.metadata().contains_key(*key)) {
        return Err(Error::unsupported(format!(
            "column `{name}`: a generated column can only be made with its table"
        )));
    }
    let position = position(cursor)?;
    Ok(NewColumn {
        parent: path,
        field,
        position,
    })
}

/// Takes `FIRST`, `AFTER name`, or nothing.
fn position(cursor: &mut Cursor<'_>) -> Result<Option<ColumnPosition>> {
    if cursor.accept("FIRST") {
        return Ok(Some(ColumnPosition::First));
    }
    match cursor.accept("AFTER") {
        true => Ok(Some(ColumnPosition::After(cursor.name()?))),
        false => Ok(None),
    }
}

fn added_json(column: &NewColumn) -> Result<Value> {
    let mut path = column.parent.clone();
    path.push(column.field.name().clone());
    let mut added = json!({"column": parameter(&path, field_json(&column.field)?)});
    if let Some(position) = &column.position {
        added["position"] = position_text(position).into();
    }
    Ok(added)
}

/// Writes a column as Spark's history does: under its full name, with the name of its type only.
pub(super) fn parameter(path: &[String], mut field: Value) -> Value {
    field["name"] = path.join(".").into();
    if let Some(kind) = field["type"].get("type").and_then(Value::as_str) {
        field["type"] = kind.to_owned().into();
    }
    field
}

fn position_text(position: &ColumnPosition) -> String {
    match position {
        ColumnPosition::First => "FIRST".to_owned(),
        ColumnPosition::After(name) => format!("AFTER {name}"),
    }
}

/// What a statement does with a column.
enum Alteration {
    Change(ColumnChange),
    /// The old form of CHANGE COLUMN says again what the column is.
    Redefine {
        field: Field,
        position: Option<ColumnPosition>,
    },
    Type(ColumnType),
    SyncIdentity,
}

/// `ALTER COLUMN a.b COMMENT | FIRST | AFTER | SET … | DROP … | TYPE | SYNC IDENTITY`, and `CHANGE COLUMN a a type …`.
pub(super) fn change<'a>(session: &'a Session, cursor: &mut Cursor<'_>, name: TableName) -> Result<Work<'a>> {
    let path = cursor.column_path()?;
    let tagged = || tag::Tagged::Column(name.clone(), path.join("."));
    if let Some(work) = tag::accept(session, cursor, tagged)? {
        return Ok(work);
    }
    if let Some(work) = filters::accept_mask(session, cursor, &name, &path)? {
        return Ok(work);
    }
    let alteration = alteration(session, cursor, &path)?;
    cursor.end()?;
    Ok(Work::writes(async move {
        let altered = open(session, &name, MODIFY).await?;
        match alteration {
            Alteration::Change(change) => {
                let metadata = altered.snapshot.metadata().clone();
                change_one(session, altered, metadata, &path, &[change], None).await
            }
            Alteration::Redefine { field, position } => {
                redefine(session, altered, &path, &field, position).await
            }
            Alteration::Type(to) => change_type(session, altered, &path, &to).await,
            Alteration::SyncIdentity => sync_identity(session, altered, &path).await,
        }
    }))
}

fn alteration(session: &Session, cursor: &mut Cursor<'_>, path: &[String]) -> Result<Alteration> {
    if cursor.accept("COMMENT") {
        return Ok(Alteration::Change(ColumnChange::Metadata(
            COMMENT,
            Some(cursor.string()?),
        )));
    }
    if let Some(position) = position(cursor)? {
        return Ok(Alteration::Change(ColumnChange::Position(position)));
    }
    if cursor.accept_all(&["SET", "NOT", "NULL"]) {
        return Ok(Alteration::Change(ColumnChange::Nullable(false)));
    }
    if cursor.accept_all(&["DROP", "NOT", "NULL"]) {
        return Ok(Alteration::Change(ColumnChange::Nullable(true)));
    }
    if cursor.accept_all(&["SET", "DEFAULT"]) {
        let text = cursor.expression_text()?.to_owned();
        return Ok(Alteration::Change(ColumnChange::Metadata(
            CURRENT_DEFAULT,
            Some(text),
        )));
    }
    if cursor.accept_all(&["DROP", "DEFAULT"]) {
        return Ok(Alteration::Change(ColumnChange::Metadata(CURRENT_DEFAULT, None)));
    }
    if cursor.accept_all(&["SYNC", "IDENTITY"]) {
        return Ok(Alteration::SyncIdentity);
    }
    if cursor.accept("TYPE") {
        return Ok(Alteration::Type(ColumnType::parse(&cursor.type_text()?)?));
    }
    let new_name = cursor.name()?;
    if !path
        .last()
        .is_some_and(|name| name.eq_ignore_ascii_case(&new_name))
    {
        return Err(Error::unsupported(format!(
            "CHANGE COLUMN cannot rename `{}` to `{new_name}`; use RENAME COLUMN",
            path.join(".")
        )));
    }
    let field = clauses(session, cursor, &new_name)?;
    let position = position(cursor)?;
    Ok(Alteration::Redefine { field, position })
}

/// `COMMENT ON COLUMN t.c IS 'text' | NULL`.
pub(super) fn comment_on_column<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let mut parts = cursor.object_name()?;
    let column = ObjectName(parts.0.pop().into_iter().collect());
    let path = resolve::parts(&column)?;
    let name = session.resolve(&parts)?;
    cursor.expect("IS")?;
    let comment = match cursor.accept("NULL") {
        true => None,
        false => Some(cursor.string()?),
    };
    cursor.end()?;
    Ok(Work::writes(async move {
        if access::table(session, &name, Need::Sight).await?.kind == TableKind::View {
            return view::set_column_comment(session, &name, &path, comment).await;
        }
        let altered = open(session, &name, MODIFY).await?;
        let change = ColumnChange::Metadata(COMMENT, comment);
        let metadata = altered.snapshot.metadata().clone();
        change_one(session, altered, metadata, &path, &[change], None).await
    }))
}

/// Makes `changes` of a column on top of `metadata`.
async fn change_one(
    session: &Session,
    altered: Altered,
    mut metadata: Metadata,
    path: &[String],
    changes: &[ColumnChange],
    position: Option<ColumnPosition>,
) -> Result<StatementResult> {
    let mut reads_rows = false;
    let mut moved = position;
    for change in changes {
        metadata = change_column(&metadata, path, change)?;
        match change {
            ColumnChange::Nullable(false) => {
                check_not_null(session, &altered, path).await?;
                reads_rows = true;
            }
            ColumnChange::Nullable(true) => {
                if let [column] = path {
                    check_not_in_primary_key(session, &altered.info, column).await?;
                }
            }
            ColumnChange::Metadata(key, Some(text)) if *key == CURRENT_DEFAULT => {
                let field = column(&altered.snapshot, path)?;
                check_may_have_default(field)?;
                check_default(&session.datafusion().state(), text, field)?;
            }
            ColumnChange::Position(position) => moved = Some(position.clone()),
            _ => {}
        }
    }
    let changed = column_json(&metadata, path)?;
    let mut operation = Operation::new("CHANGE COLUMN").with("column", parameter(path, changed).to_string());
    if let Some(position) = &moved {
        operation = operation.with("position", position_text(position));
    }
    let mut change = Change::new(metadata, operation);
    change.reads_rows = reads_rows;
    altered.commit(session, change).await
}

fn check_may_have_default(field: &Field) -> Result<()> {
    let generated = [GENERATION_EXPRESSION, IDENTITY_START];
    if generated.iter().any(|key| field.metadata().contains_key(*key)) {
        return Err(refused(
            "GENERATED_COLUMN_WITH_DEFAULT_VALUE",
            "42623",
            format!(
                "column `{}` is generated and cannot have a default value",
                field.name()
            ),
        ));
    }
    Ok(())
}

/// Takes a column's definition in full, of which type, comment and place may be new.
async fn redefine(
    session: &Session,
    altered: Altered,
    path: &[String],
    field: &Field,
    position: Option<ColumnPosition>,
) -> Result<StatementResult> {
    let present = column(&altered.snapshot, path)?;
    let metadata = retyped(&altered.snapshot, path, &ColumnType::of(field))?;
    let mut changes = Vec::new();
    if let Some(comment) = field.metadata().get(COMMENT) {
        changes.push(ColumnChange::Metadata(COMMENT, Some(comment.clone())));
    }
    if let Some(default) = field.metadata().get(CURRENT_DEFAULT) {
        changes.push(ColumnChange::Metadata(CURRENT_DEFAULT, Some(default.clone())));
    }
    if !field.is_nullable() && present.is_nullable() {
        changes.push(ColumnChange::Nullable(false));
    }
    changes.extend(position.clone().map(ColumnChange::Position));
    change_one(session, altered, metadata, path, &changes, position).await
}

/// Widens the type of a column; its files stay as they are. One that has the type already stays as it is.
fn retyped(snapshot: &Snapshot, path: &[String], to: &ColumnType) -> Result<Metadata> {
    let present = column(snapshot, path).ok();
    let same = |field: &&Field| type_text(field.data_type()) == type_text(&to.data_type);
    let Some(present) = present.filter(same) else {
        return Ok(widened_column(snapshot.metadata(), path, &to.data_type)?);
    };
    let from = ColumnType::of(present);
    if from.limit == to.limit {
        return Ok(snapshot.metadata().clone());
    }
    if !from.limit.is_some_and(|limit| limit.fits(to.limit)) {
        return Err(refused(
            "DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP",
            "0AKDC",
            format!(
                "ALTER TABLE CHANGE COLUMN is not supported for changing column `{}` from {from} to {to}: its texts may \
                 be longer",
                path.join(".")
            ),
        ));
    }
    let limit = to.limit.map(|limit| limit.to_string());
    Ok(change_column(
        snapshot.metadata(),
        path,
        &ColumnChange::Metadata(CHAR_VARCHAR, limit),
    )?)
}

async fn change_type(
    session: &Session,
    altered: Altered,
    path: &[String],
    to: &ColumnType,
) -> Result<StatementResult> {
    let metadata = retyped(&altered.snapshot, path, to)?;
    if metadata.schema_string == altered.snapshot.metadata().schema_string {
        return done();
    }
    // What a list or a map holds is a column too, and no field.
    let changed = match column_json(&metadata, path) {
        Ok(changed) => changed,
        Err(_) => field_json(&Field::new("c", to.data_type.clone(), true))?,
    };
    let operation = Operation::new("CHANGE COLUMN").with("column", parameter(path, changed).to_string());
    altered.commit(session, Change::new(metadata, operation)).await
}

/// Moves the mark of an identity column past what stands in the column: values that statements gave count too.
async fn sync_identity(session: &Session, altered: Altered, path: &[String]) -> Result<StatementResult> {
    let field = column(&altered.snapshot, path)?;
    let Some(identity) = Identity::of(field)? else {
        return Err(refused(
            "DELTA_IDENTITY_COLUMNS_ALTER_NON_IDENTITY_COLUMN",
            "429BQ",
            format!(
                "ALTER TABLE ALTER COLUMN SYNC IDENTITY cannot be called on column `{}`",
                field.name()
            ),
        ));
    };
    let column = Expr::Column(Column::from_name(field.name()));
    let function = match identity.step > 0 {
        true => max(column),
        false => min(column),
    };
    let rows = rows_of(session, &altered)?.aggregate(Vec::new(), vec![function])?;
    let batches = reading(async { Ok(rows.collect().await?) }).await?;
    let furthest = batches.iter().find_map(|batch| {
        let values = batch.column(0).as_primitive_opt::<Int64Type>()?;
        values.iter().flatten().next()
    });
    let Some(mark) = furthest.and_then(|value| identity.mark_after(value)) else {
        return done();
    };
    let marks = [(field.name().clone(), mark)].into();
    let metadata = with_high_water_marks(altered.snapshot.metadata(), &marks)?;
    let changed = column_json(&metadata, path)?;
    let operation = Operation::new("SYNC IDENTITY").with("column", parameter(path, changed).to_string());
    let mut change = Change::new(metadata, operation);
    change.reads_rows = true;
    altered.commit(session, change).await
}

/// Checks that no row holds null in a column.
async fn check_not_null(session: &Session, altered: &Altered, path: &[String]) -> Result<()> {
    let name: Vec<String> = path.iter().map(|part| quoted(part)).collect();
    let (state, _) = rows_of(session, altered)?.into_parts();
    let column = table_expression(&state, &name.join("."), altered.snapshot.schema())?;
    let nulls = rows_of(session, altered)?.filter(column.is_null())?;
    let nulls = reading(async { Ok(nulls.count().await?) }).await?;
    if nulls == 0 {
        return Ok(());
    }
    Err(refused(
        "DELTA_NEW_NOT_NULL_VIOLATION",
        "23512",
        format!(
            "{nulls} rows in {} violate the new NOT NULL constraint on {}",
            altered.info.name,
            path.join(".")
        ),
    ))
}

/// Returns the rows of the table as they are before the change.
pub(super) fn rows_of(session: &Session, altered: &Altered) -> Result<DataFrame> {
    let provider = delta_provider(Arc::clone(&altered.table), Arc::clone(&altered.snapshot), None);
    Ok(session.datafusion().read_table(provider)?)
}

/// Finds a column by its path, through structs.
fn column<'a>(snapshot: &'a Snapshot, path: &[String]) -> Result<&'a Field> {
    let mut fields = Some(snapshot.schema().fields());
    let mut found = None;
    for part in path {
        let field = fields.and_then(|fields| find(fields, part)).ok_or_else(|| {
            refused(
                "DELTA_COLUMN_NOT_FOUND_IN_SCHEMA",
                "42703",
                format!("cannot find column `{}` in the table's schema", path.join(".")),
            )
        })?;
        found = Some(field.as_ref());
        fields = match field.data_type() {
            DataType::Struct(inner) => Some(inner),
            _ => None,
        };
    }
    found.ok_or_else(|| Error::internal("a column without a name".to_owned()))
}
