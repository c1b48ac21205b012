//! The definition of a column, as CREATE TABLE and ALTER TABLE have it.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field};
use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_catalog::NewConstraint;
use ingot_common::Kind;
use ingot_delta::column::{
    CHAR_VARCHAR, COMMENT, CURRENT_DEFAULT, GENERATION_EXPRESSION, IDENTITY_ALLOW_EXPLICIT_INSERT,
    IDENTITY_START, IDENTITY_STEP,
};

use super::cursor::Cursor;
use super::key;
use super::row_filter::FunctionClause;
use crate::types::ColumnType;
use crate::{Error, Result, Session};

/// A column as a table is made with it.
#[derive(Debug)]
pub(super) struct ColumnDefinition {
    pub field: Field,
    pub keys: Vec<NewConstraint>,
    pub mask: Option<FunctionClause>,
}

/// Takes `name type clauses…`.
pub(super) fn column(session: &Session, cursor: &mut Cursor<'_>) -> Result<ColumnDefinition> {
    let name = cursor.name()?;
    definition(session, cursor, &name)
}

/// Takes `name [type] clauses…`; a column without a type has [`DataType::Null`].
pub(super) fn bare_column(session: &Session, cursor: &mut Cursor<'_>) -> Result<ColumnDefinition> {
    let name = cursor.name()?;
    let clauses = [
        "NOT",
        "COMMENT",
        "CONSTRAINT",
        "PRIMARY",
        "FOREIGN",
        "REFERENCES",
        "MASK",
    ];
    let typeless = cursor.at_token(&Token::Comma)
        || cursor.at_token(&Token::RParen)
        || clauses.iter().any(|word| cursor.at(word));
    match typeless {
        true => definition_as(session, cursor, &name, DataType::Null),
        false => definition(session, cursor, &name),
    }
}

/// Takes what stands after the name of a column that is there, or is added: its type, and what is said of it, but for
/// keys and a mask.
pub(super) fn clauses(session: &Session, cursor: &mut Cursor<'_>, name: &str) -> Result<Field> {
    let column = definition(session, cursor, name)?;
    if !column.keys.is_empty() {
        return Err(Error::unsupported(format!(
            "column `{name}`: a key is added with ALTER TABLE … ADD CONSTRAINT"
        )));
    }
    match column.mask {
        None => Ok(column.field),
        Some(_) => Err(Error::unsupported(format!(
            "column `{name}` gets a mask by CREATE TABLE, or by ALTER TABLE … ALTER COLUMN … SET MASK"
        ))),
    }
}

/// Takes what stands after the name of a column.
pub(super) fn definition(session: &Session, cursor: &mut Cursor<'_>, name: &str) -> Result<ColumnDefinition> {
    let column_type = ColumnType::parse(&cursor.type_text()?)?;
    let mut column = definition_as(session, cursor, name, column_type.data_type)?;
    if let Some(limit) = column_type.limit {
        let metadata = column.field.metadata_mut();
        metadata.insert(CHAR_VARCHAR.to_owned(), limit.to_string());
    }
    Ok(column)
}

/// Takes what stands after the type of a column.
fn definition_as(
    session: &Session,
    cursor: &mut Cursor<'_>,
    name: &str,
    data_type: DataType,
) -> Result<ColumnDefinition> {
    let mut keys = Vec::new();
    let mut mask = None;
    let mut nullable = true;
    let mut metadata = HashMap::new();
    loop {
        if cursor.accept_all(&["NOT", "NULL"]) {
            nullable = false;
        } else if cursor.accept("NULL") {
        } else if cursor.accept("COMMENT") {
            metadata.insert(COMMENT.to_owned(), cursor.string()?);
        } else if cursor.accept("DEFAULT") {
            metadata.insert(CURRENT_DEFAULT.to_owned(), cursor.expression_text()?.to_owned());
        } else if cursor.accept("MASK") {
            mask = Some(FunctionClause::mask(cursor)?);
        } else if cursor.accept("GENERATED") {
            generated(cursor, &mut metadata)?;
        } else if let Some(key) = key::column_key(session, cursor, name)? {
            keys.push(key);
        } else {
            break;
        }
    }
    let identity = metadata.contains_key(IDENTITY_START);
    if identity && metadata.contains_key(GENERATION_EXPRESSION) {
        return Err(refused(
            "DELTA_IDENTITY_COLUMNS_WITH_GENERATED_EXPRESSION",
            "42613",
            "IDENTITY column cannot be specified with a generated column expression".to_owned(),
        ));
    }
    if metadata.contains_key(CURRENT_DEFAULT) && (identity || metadata.contains_key(GENERATION_EXPRESSION)) {
        return Err(refused(
            "GENERATED_COLUMN_WITH_DEFAULT_VALUE",
            "42623",
            format!("column `{name}` cannot have both a default value and a generation expression"),
        ));
    }
    Ok(ColumnDefinition {
        field: Field::new(name, data_type, nullable).with_metadata(metadata),
        keys,
        mask,
    })
}

/// Takes what stands after GENERATED.
fn generated(cursor: &mut Cursor<'_>, metadata: &mut HashMap<String, String>) -> Result<()> {
    let always = cursor.accept("ALWAYS");
    if !always {
        cursor.expect("BY")?;
        cursor.expect("DEFAULT")?;
    }
    cursor.expect("AS")?;
    if cursor.accept("IDENTITY") {
        let (start, step) = identity(cursor)?;
        metadata.insert(IDENTITY_START.to_owned(), start.to_string());
        metadata.insert(IDENTITY_STEP.to_owned(), step.to_string());
        metadata.insert(IDENTITY_ALLOW_EXPLICIT_INSERT.to_owned(), (!always).to_string());
        return Ok(());
    }
    if !always {
        return Err(cursor.expected("IDENTITY"));
    }
    cursor.expect_token(&Token::LParen)?;
    let text = cursor.expression_text()?.to_owned();
    cursor.expect_token(&Token::RParen)?;
    metadata.insert(GENERATION_EXPRESSION.to_owned(), text);
    Ok(())
}

/// Takes `(START WITH n INCREMENT BY n)`, or nothing.
fn identity(cursor: &mut Cursor<'_>) -> Result<(i64, i64)> {
    let (mut start, mut step) = (1, 1);
    if !cursor.accept_token(&Token::LParen) {
        return Ok((start, step));
    }
    loop {
        if cursor.accept_all(&["START", "WITH"]) {
            start = cursor.signed_number()?;
        } else if cursor.accept_all(&["INCREMENT", "BY"]) {
            step = cursor.signed_number()?;
        } else {
            cursor.expect_token(&Token::RParen)?;
            break;
        }
    }
    if step == 0 {
        return Err(refused(
            "DELTA_IDENTITY_COLUMNS_ILLEGAL_STEP",
            "42611",
            "IDENTITY column step cannot be 0".to_owned(),
        ));
    }
    Ok((start, step))
}

fn refused(condition: &'static str, sqlstate: &'static str, message: String) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition,
        sqlstate,
        message,
    }
}
