//! Points of a table's history: `VERSION AS OF`, `TIMESTAMP AS OF`, `t@v1`, `t@20240229120000000`.
//!
//! Source: Delta, "Query an older snapshot of a table", `DeltaTimeTravelSpec`.

use arrow::datatypes::{DataType, TimeUnit};
use chrono::NaiveDateTime;
use datafusion::common::DFSchema;
use datafusion::logical_expr::cast;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::{Expr, ObjectName, ObjectNamePart, TableVersion};
use ingot_delta::TimeTravel;

use crate::{Error, Result, Session, spark};

/// Digits of the instant in `t@20240229120000000`.
const INSTANT_DIGITS: usize = 17;

/// A point of a table's history as the query gives it.
pub(super) enum Version {
    Number(i64),
    Timestamp(Box<Expr>),
    /// Milliseconds since the epoch.
    Instant(i64),
}

impl Version {
    /// Reads what follows the name of a relation.
    ///
    /// # Errors
    /// `PARSE_SYNTAX_ERROR` for what is no time travel.
    pub fn asked(version: &TableVersion) -> Result<Self> {
        match version {
            TableVersion::VersionAsOf(expr) => Ok(Self::Number(number(expr)?)),
            TableVersion::TimestampAsOf(expr) => Ok(Self::Timestamp(Box::new(expr.clone()))),
            other => Err(Error::parse(format!(
                "`{other}` is no time travel; use VERSION or TIMESTAMP AS OF"
            ))),
        }
    }

    /// Finds the point that is meant.
    pub async fn point(self, session: &Session) -> Result<TimeTravel> {
        Ok(match self {
            Self::Number(version) => TimeTravel::Version(version),
            Self::Instant(instant) => TimeTravel::Timestamp(instant),
            Self::Timestamp(expr) => TimeTravel::Timestamp(instant(session, &expr).await?),
        })
    }
}

/// Returns the name of the table of which `name` names a version.
pub(crate) fn without_version(name: &ObjectName) -> Result<ObjectName> {
    Ok(split_suffix(name)?.0)
}

/// Splits `t@v12` into the table and the version, `t@20240229120000000` into the table and the instant: year to
/// millisecond. Source: Delta, `DeltaTimeTravelSpec`.
pub(super) fn split_suffix(name: &ObjectName) -> Result<(ObjectName, Option<Version>)> {
    let mut name = name.clone();
    let Some(ObjectNamePart::Identifier(last)) = name.0.last_mut() else {
        return Ok((name, None));
    };
    let Some((table, suffix)) = last.value.rsplit_once('@') else {
        return Ok((name, None));
    };
    let version = match suffix.strip_prefix(['v', 'V']) {
        Some(number) => number.parse().ok().map(Version::Number),
        None if suffix.len() == INSTANT_DIGITS => {
            let instant = NaiveDateTime::parse_from_str(suffix, "%Y%m%d%H%M%S%3f").ok();
            instant.map(|instant| Version::Instant(instant.and_utc().timestamp_millis()))
        }
        None => None,
    };
    if version.is_some() {
        last.value = table.to_owned();
    }
    Ok((name, version))
}

fn number(expr: &Expr) -> Result<i64> {
    let text = expr.to_string();
    let text = text.trim_matches('\'');
    text.parse().map_err(|_| {
        Error::parse(format!(
            "`{text}` is no version; VERSION AS OF takes a whole number"
        ))
    })
}

/// Evaluates an expression without columns to an instant, milliseconds since the epoch.
pub(crate) async fn instant(session: &Session, expr: &Expr) -> Result<i64> {
    let state = session.datafusion().state();
    let value = spark::plan(&state, expr.clone(), &DFSchema::empty())?;
    let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let instant = cast(value, timestamp);
    let rows = session
        .datafusion()
        .read_empty()?
        .select(vec![instant])?
        .collect()
        .await?;
    let value = match rows.first() {
        Some(batch) if batch.num_rows() == 1 => ScalarValue::try_from_array(batch.column(0), 0)?,
        _ => ScalarValue::Null,
    };
    match value {
        ScalarValue::TimestampMicrosecond(Some(micros), _) => Ok(micros.div_euclid(1000)),
        _ => Err(Error::parse(format!(
            "`{expr}` is no instant for TIMESTAMP AS OF"
        ))),
    }
}
