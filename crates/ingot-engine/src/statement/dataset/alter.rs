//! `ALTER MATERIALIZED VIEW | STREAMING TABLE`: schedules here, the rest as of any table.

use ingot_catalog::Need;
use ingot_common::{Kind, TableName};

use super::super::cursor::Cursor;
use super::super::{Work, done};
use super::{DatasetKind, schedule};
use crate::{Error, Result, Session, access};

/// How changes begin that are made as those of any table.
const AS_OF_TABLES: [&[&str]; 14] = [
    &["SET", "TAGS"],
    &["UNSET", "TAGS"],
    &["SET", "TBLPROPERTIES"],
    &["UNSET", "TBLPROPERTIES"],
    &["SET", "OWNER"],
    &["OWNER", "TO"],
    &["SET", "ROW", "FILTER"],
    &["DROP", "ROW", "FILTER"],
    &["ADD", "CONSTRAINT"],
    &["ADD", "PRIMARY", "KEY"],
    &["ADD", "FOREIGN", "KEY"],
    &["DROP", "CONSTRAINT"],
    &["DROP", "PRIMARY", "KEY"],
    &["DROP", "FOREIGN", "KEY"],
];

/// Parses what follows the kind.
pub(in crate::statement) fn parse<'a>(
    session: &'a Session,
    cursor: &mut Cursor<'_>,
    kind: DatasetKind,
) -> Result<Work<'a>> {
    let name = cursor.table_name(session)?;
    for word in ["ADD", "ALTER"] {
        let scheduled = cursor.at_all(&[word, "SCHEDULE"]) || cursor.at_all(&[word, "TRIGGER"]);
        if scheduled && cursor.accept(word) {
            let schedule = schedule::accept(cursor)?;
            cursor.end()?;
            return Ok(set_schedule(session, name, kind, schedule));
        }
    }
    if cursor.accept_all(&["DROP", "SCHEDULE"]) || cursor.accept_all(&["DROP", "TRIGGER"]) {
        cursor.end()?;
        return Ok(set_schedule(session, name, kind, None));
    }
    let columns = cursor.at_all(&["ALTER", "COLUMN"]);
    let clusters = cursor.at_all(&["CLUSTER", "BY"]);
    if columns || clusters || AS_OF_TABLES.iter().any(|words| cursor.at_all(words)) {
        return super::super::alter::change(session, cursor, name);
    }
    Err(match kind {
        DatasetKind::MaterializedView => Error::Condition {
            kind: Kind::Unsupported,
            condition: "MATERIALIZED_VIEW_OPERATION_NOT_ALLOWED.INVALID_ALTER",
            sqlstate: "56038",
            message: "to alter the schema of a materialized view, use CREATE OR REPLACE MATERIALIZED VIEW"
                .to_owned(),
        },
        DatasetKind::StreamingTable => cursor.expected("a change of a streaming table"),
    })
}

fn set_schedule(session: &Session, name: TableName, kind: DatasetKind, schedule: Option<String>) -> Work<'_> {
    Work::defines(async move {
        let metastore = session.engine().metastore();
        let info = access::table(session, &name, Need::Manage).await?;
        kind.check(&info)?;
        let principal = session.context().principal.as_str();
        metastore
            .set_refresh_schedule(info.id, schedule.as_deref(), principal)
            .await?;
        done()
    })
}
