//! `VACUUM name [FULL | LITE] [RETAIN n HOURS] [DRY RUN]`.

use datafusion::sql::sqlparser::ast::ObjectName;
use ingot_common::Kind;
use ingot_common::port::StatementResult;
use ingot_delta::{Error as DeltaError, VacuumMode, VacuumOptions};

use super::cursor::Cursor;
use super::describe::open;
use super::{Work, text_rows};
use crate::access::MODIFY;
use crate::{Error, Result, Session};

/// The setting that lets VACUUM keep files shorter than the table says.
pub(super) const RETENTION_CHECK: &str = "spark.databricks.delta.retentionDurationCheck.enabled";

const HOUR_MS: u64 = 60 * 60 * 1000;

/// Parses the statement; its clauses come in any order.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let name = cursor.table_or_path()?;
    let mut mode = None;
    let mut retain_hours = None;
    let mut dry_run = false;
    while !cursor.at_end() {
        if mode.is_none() && cursor.accept("FULL") {
            mode = Some(VacuumMode::Full);
        } else if mode.is_none() && cursor.accept("LITE") {
            mode = Some(VacuumMode::Lite);
        } else if retain_hours.is_none() && cursor.accept("RETAIN") {
            retain_hours = Some(cursor.number()?);
            cursor.expect("HOURS")?;
        } else if !dry_run && cursor.accept_all(&["DRY", "RUN"]) {
            dry_run = true;
        } else {
            return Err(cursor.expected("FULL, LITE, RETAIN n HOURS or DRY RUN, each once"));
        }
    }
    cursor.end()?;
    let retention_ms =
        retain_hours.map(|hours| i64::try_from(hours.saturating_mul(HOUR_MS)).unwrap_or(i64::MAX));
    let options = VacuumOptions {
        retention_ms,
        check_retention: session
            .setting(RETENTION_CHECK)
            .is_none_or(|value| !value.eq_ignore_ascii_case("false")),
        mode: mode.unwrap_or(VacuumMode::Full),
        dry_run,
        author: session.author(),
    };
    Ok(Work::writes(run(session, name, options)))
}

async fn run(session: &Session, name: ObjectName, options: VacuumOptions) -> Result<StatementResult> {
    let (_, table) = open(session, &name, MODIFY).await?;
    let vacuumed = table.vacuum(&options).await.map_err(named)?;
    let paths = match options.dry_run {
        true => vacuumed.paths.iter().map(String::as_str).collect(),
        false => vec![table.location().as_str().trim_end_matches('/')],
    };
    text_rows(&[("path", paths)])
}

/// Gives refusals the names that Delta has for them.
fn named(error: DeltaError) -> Error {
    let (kind, condition, sqlstate) = match &error {
        DeltaError::VacuumRetentionTooShort { .. } => (
            Kind::InvalidArgument,
            "DELTA_VACUUM_RETENTION_PERIOD_TOO_SHORT",
            "22003",
        ),
        DeltaError::VacuumLiteImpossible { .. } => {
            (Kind::FailedPrecondition, "DELTA_CANNOT_VACUUM_LITE", "55000")
        }
        _ => return error.into(),
    };
    Error::Condition {
        kind,
        condition,
        sqlstate,
        message: error.to_string(),
    }
}
