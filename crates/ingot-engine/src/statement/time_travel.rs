//! `VERSION AS OF n`, `TIMESTAMP AS OF expression`: a point in a table's history, in commands.

use datafusion::sql::sqlparser::ast::Expr;
use ingot_delta::TimeTravel;

use super::cursor::Cursor;
use crate::{Result, Session, dialect, resolve};

/// A point as it is asked for.
#[derive(Debug)]
pub(super) enum Point {
    Version(i64),
    Timestamp { expression: Box<Expr>, text: String },
}

impl Point {
    /// Takes a point, if one comes next.
    pub fn accept(cursor: &mut Cursor<'_>) -> Result<Option<Self>> {
        if cursor.accept_all(&["VERSION", "AS", "OF"]) {
            let version = match cursor.at_string() {
                true => cursor.string()?.trim().parse().ok(),
                false => i64::try_from(cursor.number()?).ok(),
            };
            let version = version.ok_or_else(|| cursor.expected("the number of a version"))?;
            return Ok(Some(Self::Version(version)));
        }
        if cursor.accept_all(&["TIMESTAMP", "AS", "OF"]) {
            let text = cursor.expression_text()?.to_owned();
            let expression = Box::new(dialect::expression(&text)?);
            return Ok(Some(Self::Timestamp { expression, text }));
        }
        Ok(None)
    }

    /// Takes a point.
    pub fn expect(cursor: &mut Cursor<'_>) -> Result<Self> {
        match Self::accept(cursor)? {
            Some(point) => Ok(point),
            None => Err(cursor.expected("VERSION AS OF or TIMESTAMP AS OF")),
        }
    }

    /// Evaluates an instant.
    pub async fn resolve(&self, session: &Session) -> Result<TimeTravel> {
        Ok(match self {
            Self::Version(version) => TimeTravel::Version(*version),
            Self::Timestamp { expression, .. } => {
                TimeTravel::Timestamp(resolve::instant(session, expression).await?)
            }
        })
    }
}
