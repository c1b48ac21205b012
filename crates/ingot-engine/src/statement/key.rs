//! PRIMARY KEY and FOREIGN KEY, as CREATE TABLE and ALTER TABLE … ADD have them. Nothing enforces them.
//!
//! Source: Databricks, "CONSTRAINT clause".

use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_catalog::{Key, NewConstraint, NewKey, TableConstraint};
use ingot_common::{Kind, TableName};

use super::cursor::Cursor;
use crate::dialect::quoted;
use crate::{Error, Result, Session};

/// Says if a key comes next, with or without a name.
pub(super) fn at_key(cursor: &Cursor<'_>) -> bool {
    cursor.at("CONSTRAINT") || cursor.at_all(&["PRIMARY", "KEY"]) || cursor.at_all(&["FOREIGN", "KEY"])
}

/// Takes `[CONSTRAINT name] PRIMARY KEY (…) | FOREIGN KEY (…) REFERENCES …`.
pub(super) fn table_key(session: &Session, cursor: &mut Cursor<'_>) -> Result<NewConstraint> {
    let name = name(cursor)?;
    named_key(session, cursor, name)
}

/// Takes what stands after the name of a key: `PRIMARY KEY (…) | FOREIGN KEY (…) REFERENCES …`.
pub(super) fn named_key(
    session: &Session,
    cursor: &mut Cursor<'_>,
    name: Option<String>,
) -> Result<NewConstraint> {
    if cursor.accept_all(&["PRIMARY", "KEY"]) {
        let columns = cursor.in_parentheses(|cursor| {
            let column = cursor.name()?;
            Ok((column, cursor.accept("TIMESERIES")))
        })?;
        let mut times = columns.iter().filter(|(_, time)| *time);
        let timeseries = times.next().map(|(column, _)| column.clone());
        if times.next().is_some() {
            return Err(Error::parse(
                "a primary key has one TIMESERIES column at most".to_owned(),
            ));
        }
        return Ok(NewConstraint {
            name,
            columns: columns.into_iter().map(|(column, _)| column).collect(),
            rely: characteristics(cursor, false)?,
            key: NewKey::Primary { timeseries },
        });
    }
    if cursor.accept_all(&["FOREIGN", "KEY"]) {
        let columns = cursor.names_in_parentheses()?;
        return references(session, cursor, name, columns);
    }
    refuse_others(cursor)?;
    Err(cursor.expected("PRIMARY KEY or FOREIGN KEY"))
}

/// Takes the key of one column, which stands in its definition, if one comes next:
/// `[CONSTRAINT name] PRIMARY KEY | [FOREIGN KEY] REFERENCES …`.
pub(super) fn column_key(
    session: &Session,
    cursor: &mut Cursor<'_>,
    column: &str,
) -> Result<Option<NewConstraint>> {
    let named = cursor.at("CONSTRAINT");
    let name = name(cursor)?;
    let columns = vec![column.to_owned()];
    if cursor.accept_all(&["PRIMARY", "KEY"]) {
        let timeseries = cursor.accept("TIMESERIES").then(|| column.to_owned());
        return Ok(Some(NewConstraint {
            name,
            columns,
            rely: characteristics(cursor, false)?,
            key: NewKey::Primary { timeseries },
        }));
    }
    if cursor.accept_all(&["FOREIGN", "KEY"]) || cursor.at("REFERENCES") {
        return references(session, cursor, name, columns).map(Some);
    }
    refuse_others(cursor)?;
    match named {
        true => Err(cursor.expected("PRIMARY KEY, FOREIGN KEY or REFERENCES")),
        false => Ok(None),
    }
}

fn name(cursor: &mut Cursor<'_>) -> Result<Option<String>> {
    match cursor.accept("CONSTRAINT") {
        true => cursor.name().map(Some),
        false => Ok(None),
    }
}

fn references(
    session: &Session,
    cursor: &mut Cursor<'_>,
    name: Option<String>,
    columns: Vec<String>,
) -> Result<NewConstraint> {
    cursor.expect("REFERENCES")?;
    let parent = cursor.table_name(session)?;
    let parent_columns = match cursor.at_token(&Token::LParen) {
        true => cursor.names_in_parentheses()?,
        false => Vec::new(),
    };
    Ok(NewConstraint {
        name,
        columns,
        rely: characteristics(cursor, true)?,
        key: NewKey::Foreign {
            parent,
            parent_columns,
        },
    })
}

/// Takes what is said of a key. Returns whether queries may rely on it.
fn characteristics(cursor: &mut Cursor<'_>, foreign: bool) -> Result<bool> {
    const NOTHING_NEW: [&[&str]; 4] = [
        &["NOT", "ENFORCED"],
        &["DEFERRABLE"],
        &["INITIALLY", "DEFERRED"],
        &["ENABLE", "NOVALIDATE"],
    ];
    const OF_FOREIGN_KEYS: [&[&str]; 3] = [
        &["MATCH", "FULL"],
        &["ON", "UPDATE", "NO", "ACTION"],
        &["ON", "DELETE", "NO", "ACTION"],
    ];
    let mut rely = None;
    loop {
        let said = cursor.accept("RELY");
        if said || cursor.accept("NORELY") {
            if rely.is_some_and(|rely| rely != said) {
                return Err(refused(
                    "INVALID_CONSTRAINT_CHARACTERISTICS",
                    "42613",
                    "a key is either RELY or NORELY",
                ));
            }
            rely = Some(said);
            continue;
        }
        if cursor.accept("ENFORCED") {
            return Err(refused(
                "UNSUPPORTED_CONSTRAINT_CHARACTERISTIC",
                "0A000",
                "PRIMARY KEY and FOREIGN KEY are informational; ENFORCED is not supported, say NOT ENFORCED",
            ));
        }
        let of_any = NOTHING_NEW.iter().any(|words| cursor.accept_all(words));
        let of_foreign = foreign && OF_FOREIGN_KEYS.iter().any(|words| cursor.accept_all(words));
        if !of_any && !of_foreign {
            return Ok(rely.unwrap_or(false));
        }
    }
}

/// Refuses constraints that there are elsewhere.
fn refuse_others(cursor: &Cursor<'_>) -> Result<()> {
    if cursor.at("CHECK") {
        return Err(Error::unsupported(
            "a CHECK constraint is added with ALTER TABLE … ADD CONSTRAINT after the table was made"
                .to_owned(),
        ));
    }
    if cursor.at("UNIQUE") {
        return Err(refused(
            "UNSUPPORTED_CONSTRAINT_TYPE",
            "0A000",
            "unsupported constraint type: only PRIMARY KEY, FOREIGN KEY and CHECK are supported",
        ));
    }
    Ok(())
}

/// Writes a key as a table's definition has it, but for its name.
pub(super) fn text(constraint: &TableConstraint) -> String {
    let names = |columns: &[String]| {
        let names: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
        names.join(", ")
    };
    let rely = if constraint.rely { " RELY" } else { "" };
    match &constraint.key {
        Key::Primary { timeseries } => {
            let columns = constraint.columns.iter().map(|column| {
                let marked = timeseries.as_ref() == Some(column);
                format!("{}{}", quoted(column), if marked { " TIMESERIES" } else { "" })
            });
            format!("PRIMARY KEY ({}){rely}", columns.collect::<Vec<_>>().join(", "))
        }
        Key::Foreign(foreign) => {
            let TableName {
                catalog,
                schema,
                table,
            } = &foreign.parent_name;
            let parent = [catalog, schema, table].map(|part| quoted(part.as_str()));
            format!(
                "FOREIGN KEY ({}) REFERENCES {} ({}){rely}",
                names(&constraint.columns),
                parent.join("."),
                names(&foreign.parent_columns)
            )
        }
    }
}

fn refused(condition: &'static str, sqlstate: &'static str, message: &str) -> Error {
    Error::Condition {
        kind: Kind::Unsupported,
        condition,
        sqlstate,
        message: message.to_owned(),
    }
}
