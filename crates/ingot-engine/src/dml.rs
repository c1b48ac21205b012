//! DELETE and UPDATE, and the one way in which statements take rows out of files.
//!
//! ```text
//! predicate ─► planned on the target (`target`) ─► files that may match ─► scan: file and position of each match (`find`)
//!                                                                                       │
//! values ────► rows at those positions, and no others, read again ─► new rows ──┐       ▼ ChangedRows
//!                                                                               └─► `changes`: for each file
//!                  gone │ deletion vector │ written anew ─► removes and adds ─► one commit ◄─┘ (MERGE comes in here)
//! ```
//!
//! Always true: a predicate is evaluated once for a row, on one snapshot; a file without a matching row is neither
//! written nor named by the commit; where nothing matches, nothing is committed. A statement that loses a race is run
//! again on the newest version, its subqueries too. What stays in memory is a bitmap for each touched file.

mod certain;
mod changes;
mod filtered;
mod find;
mod run;
mod target;
mod update;

use std::time::Duration;

use ingot_common::Kind;
use ingot_common::retry::RetryPolicy;
use ingot_delta::{DeltaTable, Snapshot};

pub(crate) use self::changes::{ChangeCounts, ChangedRows, Recorded, RowChanges, StagedChanges};
pub(crate) use self::filtered::FilteredTarget;
pub(crate) use self::find::positions;
pub(crate) use self::run::{Predicate, RowStatement};
pub(crate) use self::target::TargetName;
pub(crate) use self::update::{Assignment, NewValue};
use crate::{Error, Result, Session};

/// How often a statement starts over after losing a race.
const RETRIES: RetryPolicy = RetryPolicy {
    retries_max: 100,
    pause_first: Duration::from_millis(20),
    pause_max: Duration::from_secs(2),
};

/// The setting that decides between a deletion vector and a new file: the share of deleted rows, from 0 to 1, beyond
/// which a file is written anew.
pub(crate) const DELETED_SHARE_SETTING: &str = "ingot.deletionVectors.maxDeletedRowsRatio";

/// Half: a row is copied at most once for each row that is deleted, and a scan decodes at most two rows for each one
/// that it returns. OPTIMIZE, which is run when there is time, cleans up from a twentieth on.
const DELETED_SHARE_MAX: f64 = 0.5;

/// Returns the share of deleted rows beyond which a file is written anew.
fn deleted_share_max(session: &Session) -> f64 {
    let set = session.setting(DELETED_SHARE_SETTING);
    set.and_then(|share| share.parse().ok())
        .unwrap_or(DELETED_SHARE_MAX)
}

/// Refuses a table whose rows may not be changed.
pub(crate) fn check_rows_can_change(table: &DeltaTable, snapshot: &Snapshot) -> Result<()> {
    let append_only = snapshot.properties().get("delta.appendOnly");
    if append_only.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(Error::Condition {
            kind: Kind::FailedPrecondition,
            condition: "DELTA_CANNOT_MODIFY_APPEND_ONLY",
            sqlstate: "42809",
            message: "this table is configured to only allow appends\nhint: ALTER TABLE … SET TBLPROPERTIES \
                      (delta.appendOnly = false) permits updates and deletes"
                .to_owned(),
        });
    }
    Ok(table.check_rows_can_change(snapshot)?)
}
