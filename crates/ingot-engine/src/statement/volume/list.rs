//! `LIST 'path' [LIMIT n]`: the files and folders right below a folder.
//!
//! Source: Databricks, `LIST`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, TimeUnit};
use ingot_common::port::StatementResult;

use super::super::cursor::Cursor;
use super::super::{Work, rows};
use super::place;
use crate::access::Reader;
use crate::{Error, Result, Session};

/// Parses what follows LIST.
pub(in crate::statement) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let path = cursor.string()?;
    let limit = match cursor.accept("LIMIT") {
        true => Some(cursor.number()?),
        false => None,
    };
    cursor.end()?;
    Ok(Work::reads(list(session, path, limit)))
}

/// What stands right below a folder: its name, bytes and when it changed, in microseconds.
type Entry = (String, i64, Option<i64>);

async fn list(session: &Session, path: String, limit: Option<u64>) -> Result<StatementResult> {
    let url = place(session, &Reader::Session, &path).await?;
    let (store, root) = session.engine().tables().store_for(&url)?;
    let found = store.list_with_delimiter(Some(&root)).await;
    let found = found
        .map_err(|error| Error::from(datafusion::error::DataFusionError::ObjectStore(Box::new(error))))?;
    let name = |path: &object_store::path::Path| path.filename().unwrap_or_default().to_owned();
    let folders = found
        .common_prefixes
        .iter()
        .map(|folder| (format!("{}/", name(folder)), 0, None));
    let files = found.objects.iter().map(|file| {
        let size = i64::try_from(file.size).unwrap_or(i64::MAX);
        (
            name(&file.location),
            size,
            Some(file.last_modified.timestamp_micros()),
        )
    });
    let mut entries: Vec<Entry> = folders.chain(files).collect();
    entries.sort();
    entries.truncate(
        limit
            .and_then(|limit| usize::try_from(limit).ok())
            .unwrap_or(usize::MAX),
    );
    let folder = path.trim_end_matches('/');
    let paths = entries.iter().map(|(name, ..)| Some(format!("{folder}/{name}")));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(paths.collect::<StringArray>()),
        Arc::new(
            entries
                .iter()
                .map(|(name, ..)| Some(name.as_str()))
                .collect::<StringArray>(),
        ),
        Arc::new(
            entries
                .iter()
                .map(|(_, size, _)| Some(*size))
                .collect::<Int64Array>(),
        ),
        Arc::new(
            entries
                .iter()
                .map(|(.., modified)| *modified)
                .collect::<TimestampMicrosecondArray>()
                .with_timezone("UTC"),
        ),
    ];
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let fields = vec![
        Field::new("path", DataType::Utf8, false),
        Field::new("name", DataType::Utf8, false),
        Field::new("size", DataType::Int64, false),
        Field::new("modification_time", instant, true),
    ];
    rows(fields, columns)
}
