//! The registry: one handle for each table that this process has open. It keeps those that were used last.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use delta_kernel_default_engine::executor::tokio::TokioBackgroundExecutor;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use object_store::path::Path;
use url::Url;

use super::handles::Handles;
use super::{Background, Caches, DeltaTable, Place, TablesOptions};
use crate::store::{FileCache, LocalStore, canonical, local_store, remote_store};
use crate::{Error, Result, Snapshot};

/// All tables that this process has open. Cheap to clone; clones share the handles.
#[derive(Clone)]
pub struct DeltaTables {
    shared: Arc<Shared>,
}

struct Shared {
    options: Arc<TablesOptions>,
    /// The store of local files, once it was needed.
    local: OnceLock<LocalStore>,
    /// The buckets that were needed, by the URL of their root.
    remote: Mutex<HashMap<Url, Arc<dyn ObjectStore>>>,
    /// Where tables live instead, by the URL of the store's root.
    stores: Mutex<Vec<(Url, Arc<dyn ObjectStore>)>>,
    tables: Mutex<Handles>,
    executor: OnceLock<Arc<TokioBackgroundExecutor>>,
    caches: Caches,
    background: Background,
}

impl DeltaTables {
    /// Makes an empty registry over local folders (`file://`) and the buckets of object stores.
    pub fn new(options: TablesOptions) -> Self {
        let caches = Caches {
            vectors: Arc::default(),
            files: options.file_cache.clone().map(FileCache::new),
        };
        Self {
            shared: Arc::new(Shared {
                caches,
                tables: Mutex::new(Handles::new(options.open_tables_max)),
                options: Arc::new(options),
                local: OnceLock::new(),
                remote: Mutex::default(),
                stores: Mutex::default(),
                executor: OnceLock::new(),
                background: Background::default(),
            }),
        }
    }

    /// Makes tables under `url` live in `store` instead: tests inject faults with it. `store` is rooted at `url`.
    pub fn with_store(self, url: Url, store: Arc<dyn ObjectStore>) -> Self {
        let url = normalized(&url);
        self.shared
            .stores
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((url, store));
        self
    }

    /// Makes an empty registry whose local folders live in `store`.
    #[cfg(test)]
    pub(crate) fn with_local_store(options: TablesOptions, store: LocalStore) -> Self {
        let tables = Self::new(options);
        let _ = tables.shared.local.set(store);
        tables
    }

    /// Returns the handle of the table at `location` (a folder's URL, with or without a trailing slash).
    ///
    /// # Errors
    /// `NotFound` when there is no Delta table; `Unsupported` when it needs a reader feature we lack.
    pub async fn open(&self, location: &Url) -> Result<Arc<DeltaTable>> {
        Ok(self.open_newest(location).await?.0)
    }

    /// Does what [`DeltaTables::open`] does, and returns the newest snapshot, which tells that the table is there: who
    /// needs both asks the store once.
    ///
    /// # Errors
    /// As [`DeltaTables::open`].
    pub async fn open_newest(&self, location: &Url) -> Result<(Arc<DeltaTable>, Arc<Snapshot>)> {
        let location = normalized(location);
        let cell = self.tables().cell(&location);
        let mut loaded = false;
        let table = cell.get_or_try_init(|| {
            loaded = true;
            self.open_new(location.clone())
        });
        let outcome = match table.await {
            Ok(table) if loaded => Ok((Arc::clone(table), table.newest())),
            // A handle from before: is the table still there?
            Ok(table) => table.snapshot().await.map(|newest| (Arc::clone(table), newest)),
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            self.tables().forget_cell(&location, &cell);
        }
        outcome
    }

    /// Waits for what commits left behind (checkpoints), at most `patience`: before a process ends. Returns `false`
    /// when some of it still runs; it may be cut off without harm.
    pub async fn settle(&self, patience: Duration) -> bool {
        self.shared.background.settle(patience).await
    }

    /// Forgets the handle; the next `open` reads the log anew.
    pub fn forget(&self, location: &Url) {
        self.tables().forget(&normalized(location));
    }

    /// Deletes the table's folder, log and data. For managed tables whose metastore entry is gone. Safe to
    /// repeat after a failure; a folder that does not exist is no error.
    pub async fn delete(&self, location: &Url) -> Result<()> {
        self.forget(location);
        let place = self.place(location)?;
        // The log first: from then on there is no table, only files that a repetition deletes.
        delete_all(&place.store, &place.log_root()).await?;
        delete_all(&place.store, &place.root).await?;
        if place.location.scheme() == "file"
            && place.store_url.path() == "/"
            && let Ok(folder) = place.location.to_file_path()
        {
            match tokio::fs::remove_dir_all(&folder).await {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(store_error("delete", &place.root, local_error(error))),
            }
        }
        Ok(())
    }

    /// Returns where data files of buckets are kept, if they are.
    pub fn file_cache(&self) -> Option<&Arc<FileCache>> {
        self.shared.caches.files.as_ref()
    }

    /// Returns the limits and defaults.
    pub(crate) fn options(&self) -> &TablesOptions {
        &self.shared.options
    }

    /// Returns the store that holds `location`, and the path of `location` in it.
    pub fn store_for(&self, location: &Url) -> Result<(Arc<dyn ObjectStore>, Path)> {
        let place = self.place(location)?;
        Ok((place.store, place.root))
    }

    /// Returns the handle of a table that is open.
    pub(crate) fn opened(&self, location: &Url) -> Option<Arc<DeltaTable>> {
        self.tables().opened(&normalized(location))
    }

    /// Opens a table without keeping its handle.
    pub(crate) async fn open_apart(&self, location: &Url) -> Result<Arc<DeltaTable>> {
        self.open_new(normalized(location)).await
    }

    async fn open_new(&self, location: Url) -> Result<Arc<DeltaTable>> {
        let executor = self
            .shared
            .executor
            .get_or_init(|| Arc::new(TokioBackgroundExecutor::new()));
        let place = self.place(&location)?;
        let shared = &self.shared;
        let (options, caches) = (Arc::clone(&shared.options), shared.caches.clone());
        let background = shared.background.clone();
        let table = DeltaTable::open(place, options, Arc::clone(executor), caches, background).await?;
        Ok(Arc::new(table))
    }

    /// Finds the store of a location: the injected one with the longest URL, else the local file system or a bucket.
    pub(crate) fn place(&self, location: &Url) -> Result<Place> {
        let location = normalized(location);
        let injected = {
            let stores = self.shared.stores.lock().unwrap_or_else(PoisonError::into_inner);
            stores
                .iter()
                .filter(|(url, _)| location.as_str().starts_with(url.as_str()))
                .max_by_key(|(url, _)| url.as_str().len())
                .cloned()
        };
        let (store_url, store, staging) = match injected {
            Some((url, store)) => (url, store, None),
            None if location.scheme() == "file" => {
                let (url, local) = self.local_store()?;
                (url, local.objects, local.staging)
            }
            None => {
                let (url, store) = self.bucket(&location)?;
                (url, store, None)
            }
        };
        let inside = location.path().strip_prefix(store_url.path()).unwrap_or_default();
        let root = Path::from_url_path(inside).map_err(|error| Error::InvalidArgument {
            message: format!("location=`{location}` is not a valid path: {error}"),
        })?;
        Ok(Place {
            location,
            store,
            staging,
            root,
            store_url,
        })
    }

    fn local_store(&self) -> Result<(Url, LocalStore)> {
        let url = Url::parse("file:///").map_err(|error| Error::Internal {
            message: error.to_string(),
        })?;
        let store = match self.shared.local.get() {
            Some(store) => store.clone(),
            None => {
                let store = local_store(&url, self.shared.options.sync)?;
                self.shared.local.get_or_init(|| store).clone()
            }
        };
        Ok((url, store))
    }

    /// Returns the bucket that holds `location`, with its URL. Each has one client, which knows what it was asked.
    fn bucket(&self, location: &Url) -> Result<(Url, Arc<dyn ObjectStore>)> {
        let mut url = location.clone();
        url.set_path("/");
        let mut known = self.shared.remote.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = known.get(&url) {
            return Ok((url, Arc::clone(store)));
        }
        let (url, store) = remote_store(location, &self.shared.options.stores)?;
        known.insert(url.clone(), Arc::clone(&store));
        Ok((url, store))
    }

    fn tables(&self) -> std::sync::MutexGuard<'_, Handles> {
        self.shared.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for DeltaTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeltaTables")
            .field("options", &self.shared.options)
            .field("open", &self.tables().len())
            .finish_non_exhaustive()
    }
}

/// Returns the URL of a folder: with a slash at the end, without query and fragment, under one name of its scheme.
fn normalized(location: &Url) -> Url {
    let mut location = canonical(location);
    location.set_query(None);
    location.set_fragment(None);
    let path = format!("{}/", location.path().trim_end_matches('/'));
    location.set_path(&path);
    location
}

async fn delete_all(store: &Arc<dyn ObjectStore>, prefix: &Path) -> Result<()> {
    let files = store.list(Some(prefix)).map_ok(|meta| meta.location).boxed();
    let mut deleted = store.delete_stream(files);
    while let Some(outcome) = deleted.next().await {
        match outcome {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(source) => return Err(store_error("delete", prefix, source)),
        }
    }
    Ok(())
}

fn store_error(action: &'static str, path: &Path, source: object_store::Error) -> Error {
    Error::Store {
        action,
        path: path.to_string(),
        source,
    }
}

fn local_error(error: std::io::Error) -> object_store::Error {
    object_store::Error::Generic {
        store: "LocalFileSystem",
        source: Box::new(error),
    }
}
