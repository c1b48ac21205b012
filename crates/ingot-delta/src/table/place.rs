//! Where a table is: its location, and the store that holds it. A place may be empty.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::log::Log;
use crate::store::{LocalStaging, canonical};
use crate::{Error, Result};

/// Where a table is, or is to be. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The table's root, with a trailing slash.
    pub location: Url,
    pub store: Arc<dyn ObjectStore>,
    /// The other way to put files that `store` has, if it is a local folder.
    pub staging: Option<LocalStaging>,
    /// The table's root in `store`.
    pub root: Path,
    /// The URL that `store` is rooted at.
    pub store_url: Url,
}

impl Place {
    /// Returns the path, in the store, of a file by the `path` of its action (percent-decoded).
    ///
    /// # Errors
    /// `InvalidArgument` for a path that is not UTF-8, leaves the table with `..`, or lies in another store.
    pub fn file_path(&self, action_path: &str) -> Result<Path> {
        let invalid = |reason: String| Error::InvalidArgument {
            message: format!("path of a data file is invalid: path=`{action_path}`: {reason}"),
        };
        if let Ok(url) = Url::parse(action_path) {
            let url = canonical(&url);
            let inside =
                url.scheme() == self.store_url.scheme() && url.authority() == self.store_url.authority();
            let path = url.path().strip_prefix(self.store_url.path());
            let path = path
                .filter(|_| inside)
                .ok_or_else(|| invalid("it is in another store".to_owned()))?;
            return Path::from_url_path(path).map_err(|error| invalid(error.to_string()));
        }
        let decoded = percent_decode_str(action_path)
            .decode_utf8()
            .map_err(|error| invalid(error.to_string()))?;
        let path = match decoded.strip_prefix('/') {
            Some(absolute) => absolute.to_owned(),
            None if self.root.as_ref().is_empty() => decoded.into_owned(),
            None => format!("{}/{decoded}", self.root),
        };
        Path::parse(path).map_err(|error| invalid(error.to_string()))
    }

    /// Returns the URL of a file in the store.
    pub fn url_of(&self, path: &Path) -> Url {
        let mut url = self.store_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            let parts: Vec<_> = path.parts().collect();
            segments.pop_if_empty().extend(parts.iter().map(AsRef::as_ref));
        }
        url
    }

    /// Returns the path of the log's folder in the store.
    pub fn log_root(&self) -> Path {
        self.root.clone().join("_delta_log")
    }

    /// Returns the commits that are, or will be, at this place.
    pub fn log(&self) -> Log {
        Log::new(self)
    }
}
