//! The file source: each file that appears below a path is read once.
//!
//! ```text
//! next_offset ─► list the path ─► files that the log lacks, oldest first ─► log entry N (synced) ─► {"logOffset":N}
//! batch(M, N) ─► files of the log entries M+1 … N ─► relation
//! ```
//! Always true: a file is in one log entry, on disk before an offset names it, so a batch that runs again reads the
//! same files. A file is taken as it is when it is first seen: it must appear whole (written elsewhere and renamed),
//! and one that changes later is not read again.
//!
//! Source: Spark, `FileStreamSource`; Databricks, `read_files` and Auto Loader options.

mod log;
mod options;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use ingot_engine::Session;
use ingot_engine::files::{FilesOptions, ListedFile, list_files, listed_files_provider, location};
use serde::{Deserialize, Serialize};
use url::Url;

use super::counted::CountedTable;
use super::{Offset, ReadLimit, RowCount, Source, SourceBatch};
use crate::{Error, Result};
use log::FileLog;
use options::FileSourceOptions;

/// Files that columns are found out from. Source: `cloudFiles.schemaInference.sampleSize.numFiles`.
const SAMPLE_FILES_MAX: usize = 1000;

/// A position: everything in the log up to entry `log_offset` is read. Source: Spark, `FileStreamSourceOffset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Position {
    log_offset: u64,
}

/// Reads the files below a path.
#[derive(Debug)]
pub struct FileSource {
    session: Session,
    path: Url,
    options: FileSourceOptions,
    schema: SchemaRef,
    log_folder: PathBuf,
    /// Read from disk when first needed, which is while the checkpoint is held.
    log: Arc<Mutex<Option<FileLog>>>,
}

impl FileSource {
    /// Makes a source of the files at `path`: a folder, a glob or one file. `options` are those of `read_files`, and
    /// `maxFilesPerTrigger` and `includeExistingFiles`. Columns are found out from the oldest files there are unless
    /// `schema` gives them. `log_folder` is the source's folder in the checkpoint; it is made when first needed.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown option or a wrong value; `NotFound` when columns are not given and there is
    /// no file to find them out from.
    pub async fn new(
        session: Session,
        path: &str,
        options: &BTreeMap<String, String>,
        log_folder: PathBuf,
    ) -> Result<Self> {
        let options = FileSourceOptions::parse(path, options)?;
        let path = location(path)?;
        let schema = match &options.files.schema {
            Some(schema) => Arc::clone(schema),
            None => infer(&session, &path, &options.files).await?,
        };
        Ok(Self {
            session,
            path,
            options,
            schema,
            log_folder,
            log: Arc::default(),
        })
    }

    /// Works with the log, off the runtime.
    async fn with_log<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut FileLog) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (log, folder) = (Arc::clone(&self.log), self.log_folder.clone());
        let done = tokio::task::spawn_blocking(move || {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            let mut opened = match log.take() {
                Some(opened) => opened,
                None => FileLog::open(folder)?,
            };
            let done = work(&mut opened);
            // After a failed write nobody knows what the log holds: it is read again.
            *log = done.is_ok().then_some(opened);
            done
        });
        done.await.map_err(|error| Error::Internal {
            message: format!("file log task failed: {error}"),
        })?
    }

    /// Puts the files that the log lacks into it; returns its last entry.
    async fn discover(&self, entry_files_max: usize) -> Result<u64> {
        let mut listed = list_files(&self.session, &self.path).await?;
        sort_oldest_first(&mut listed);
        self.with_log(move |log| log.append_unseen(listed, entry_files_max))
            .await
    }
}

#[async_trait]
impl Source for FileSource {
    fn description(&self) -> String {
        format!("FileStreamSource[{}]", self.path)
    }

    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    async fn initial_offset(&self) -> Result<Offset> {
        let log_offset = match self.options.existing_files {
            true => 0,
            false => self.discover(usize::MAX).await?,
        };
        to_offset(log_offset)
    }

    async fn next_offset(&self, start: &Offset, limit: ReadLimit, until: Option<&Offset>) -> Result<Offset> {
        let from = from_offset(start)?;
        let last = match until {
            Some(until) => from_offset(until)?,
            None => {
                let recorded = self.with_log(|log| Ok(log.last())).await?;
                // What is in the log already goes first; `All` wants whatever there is.
                if recorded > from && limit == ReadLimit::Options {
                    recorded
                } else {
                    self.discover(self.options.files_max).await?
                }
            }
        };
        let next = match limit {
            ReadLimit::Options => last.min(from + 1),
            ReadLimit::All => last,
        };
        to_offset(next.max(from))
    }

    async fn batch(&self, start: &Offset, end: &Offset) -> Result<SourceBatch> {
        let (from, until) = (from_offset(start)?, from_offset(end)?);
        let urls = self.with_log(move |log| log.files(from, until)).await?;
        let rows = RowCount::unread();
        let relation: Arc<dyn TableProvider> = if urls.is_empty() {
            Arc::new(EmptyTable::new(self.schema()))
        } else {
            let mut options = self.options.files.clone();
            options.schema = Some(self.schema());
            let files = listed_files_provider(&self.session, &urls, &options).await?;
            Arc::new(CountedTable::new(files, rows.clone()))
        };
        Ok(SourceBatch { relation, rows })
    }

    async fn commit(&self, _end: &Offset) -> Result<()> {
        self.with_log(|log| log.compact()).await
    }

    async fn latest_offset(&self) -> Option<Offset> {
        let last = self.with_log(|log| Ok(log.last())).await.ok()?;
        to_offset(last).ok()
    }

    async fn metrics(&self, end: &Offset) -> Vec<(String, String)> {
        let Ok(end) = from_offset(end) else {
            return Vec::new();
        };
        let outstanding = self
            .with_log(move |log| Ok(log.files(end, log.last())?.len()))
            .await;
        match outstanding {
            Ok(files) => vec![("numFilesOutstanding".to_owned(), files.to_string())],
            Err(_) => Vec::new(),
        }
    }
}

async fn infer(session: &Session, path: &Url, options: &FilesOptions) -> Result<SchemaRef> {
    let mut listed = list_files(session, path).await?;
    sort_oldest_first(&mut listed);
    listed.truncate(SAMPLE_FILES_MAX);
    let urls: Vec<Url> = listed.into_iter().map(|file| file.url).collect();
    if urls.is_empty() {
        return Err(Error::NoFiles {
            path: path.to_string(),
        });
    }
    Ok(listed_files_provider(session, &urls, options).await?.schema())
}

fn sort_oldest_first(files: &mut [ListedFile]) {
    files.sort_by(|a, b| (a.modified_ms, a.url.as_str()).cmp(&(b.modified_ms, b.url.as_str())));
}

fn from_offset(offset: &Offset) -> Result<u64> {
    match serde_json::from_value(offset.0.clone()) {
        Ok(Position { log_offset }) => Ok(log_offset),
        Err(error) => Err(Error::InvalidOffset {
            origin: "files",
            message: error.to_string(),
        }),
    }
}

fn to_offset(log_offset: u64) -> Result<Offset> {
    match serde_json::to_value(Position { log_offset }) {
        Ok(value) => Ok(Offset(value)),
        Err(error) => Err(Error::Internal {
            message: format!("offset cannot be written as JSON: {error}"),
        }),
    }
}
