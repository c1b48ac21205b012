//! Commit files: named by version, put if absent, read whole.
//!
//! Where the log is a local folder, a commit may also be written first and named later (`staging`).
//! Source: Delta protocol, "Delta Log Entries".

mod staging;

use std::sync::Arc;

use object_store::client::{HttpError, HttpErrorKind};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use url::Url;

pub(crate) use self::staging::StagedLog;
use crate::store::{LocalStaging, PutReceipt};
use crate::table::Place;
use crate::{Action, Error, Result};

/// What became of a put-if-absent. Either way the store holds what stands there for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PutOutcome {
    /// With what a look at the file would find, where the store says so.
    Created(Option<ObjectMeta>),
    /// The version was taken: by another writer, or by this one if an earlier put of it failed halfway.
    Exists,
}

/// Says if a put that failed may arrive later all the same: it was sent, and nobody knows what became of it. A file
/// that is absent now does not mean that it stays so.
pub(crate) fn may_still_arrive(failure: &Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(failure);
    while let Some(error) = cause {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return !matches!(http.kind(), HttpErrorKind::Connect | HttpErrorKind::Request);
        }
        cause = error.source();
    }
    false
}

/// The commit files of one table. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    store: Arc<dyn ObjectStore>,
    staging: Option<LocalStaging>,
    folder: Path,
    /// The table's, for messages.
    location: Url,
}

impl Log {
    pub fn new(place: &Place) -> Self {
        Self {
            store: Arc::clone(&place.store),
            staging: place.staging.clone(),
            folder: place.log_root(),
            location: place.location.clone(),
        }
    }

    /// Returns the way to write commits first and name them later, where the store has it.
    pub fn staged(&self) -> Option<StagedLog<'_>> {
        let staging = self.staging.as_ref()?;
        Some(StagedLog::new(self, staging))
    }

    /// Returns where the commit of `version` is.
    pub fn commit_path(&self, version: i64) -> Path {
        self.folder.clone().join(format!("{version:020}.json"))
    }

    /// Returns the actions of a commit; `None` when there is no such commit.
    pub async fn read_commit(&self, version: i64) -> Result<Option<Vec<Action>>> {
        let path = self.commit_path(version);
        let bytes = match self.store.get(&path).await {
            Ok(found) => found.bytes().await,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => Err(source),
        };
        let bytes = bytes.map_err(|source| self.error("read", &path, source))?;
        crate::table::parse_actions(&self.location, version, &bytes).map(Some)
    }

    /// Writes a commit if its version is free. The actions are in the order in which they will stand.
    ///
    /// # Errors
    /// `Unavailable` when the store failed: the commit may or may not be there; read it back to know.
    /// [`Error::NoPutIfAbsent`] when the store cannot tell that a version is taken: nothing was written.
    pub async fn put_commit(&self, version: i64, actions: &[Action]) -> Result<PutOutcome> {
        let text = text(actions)?;
        let path = self.commit_path(version);
        let mut options = PutOptions::from(PutMode::Create);
        let receipt = PutReceipt::attach(&mut options);
        match self.store.put_opts(&path, text, options).await {
            Ok(_) => Ok(PutOutcome::Created(receipt.meta())),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(PutOutcome::Exists)
            }
            Err(
                source @ (object_store::Error::NotSupported { .. }
                | object_store::Error::NotImplemented { .. }),
            ) => Err(Error::NoPutIfAbsent {
                location: self.location.to_string(),
                source,
            }),
            Err(source) => Err(self.error("write", &path, source)),
        }
    }

    fn error(&self, action: &'static str, path: &Path, source: object_store::Error) -> Error {
        Error::Store {
            action,
            path: path.to_string(),
            source,
        }
    }
}

/// Returns what stands in the file of a commit.
fn text(actions: &[Action]) -> Result<PutPayload> {
    let mut text = Vec::new();
    for action in actions {
        serde_json::to_writer(&mut text, action).map_err(|error| Error::Internal {
            message: format!("action does not serialize: {error}"),
        })?;
        text.push(b'\n');
    }
    Ok(PutPayload::from(text))
}
