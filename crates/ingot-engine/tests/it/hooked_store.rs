//! A store that lets something else happen right before a file is put: races that happen every time.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use ingot_delta::{DeltaTables, TablesOptions};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use url::Url;

type Event = BoxFuture<'static, ()>;

/// A local folder whose puts can be preceded.
#[derive(Clone)]
pub struct HookedStore {
    inner: Arc<LocalFileSystem>,
    /// What happens before a file whose path ends so is put; each once, in order.
    hooks: Arc<Mutex<Vec<(String, Event)>>>,
    /// Puts that work before one fails.
    puts_before_failure: Arc<Mutex<Option<usize>>>,
}

impl HookedStore {
    /// Opens the store over a folder, and tables that live in it.
    pub fn open(folder: &std::path::Path) -> (Self, DeltaTables) {
        std::fs::create_dir_all(folder).expect("folder");
        let store = Self {
            inner: Arc::new(LocalFileSystem::new_with_prefix(folder).expect("store")),
            hooks: Arc::default(),
            puts_before_failure: Arc::default(),
        };
        let tables = DeltaTables::new(TablesOptions {
            sync: false,
            ..TablesOptions::default()
        });
        let url = Url::from_directory_path(folder).expect("absolute path");
        let tables = tables.with_store(url, Arc::new(store.clone()));
        (store, tables)
    }

    /// Makes `event` happen before commit `version` of a table is next put.
    pub fn before_commit(&self, version: i64, event: impl Future<Output = ()> + Send + 'static) {
        let name = format!("_delta_log/{version:020}.json");
        self.hooks.lock().expect("lock").push((name, Box::pin(event)));
    }

    /// Makes `event` happen before commit `version` of the table in `folder` is next put.
    pub fn before_commit_of(
        &self,
        folder: &str,
        version: i64,
        event: impl Future<Output = ()> + Send + 'static,
    ) {
        let name = format!("{folder}/_delta_log/{version:020}.json");
        self.hooks.lock().expect("lock").push((name, Box::pin(event)));
    }

    /// Says if all that was to happen in the table in `folder` has happened.
    pub fn exhausted_of(&self, folder: &str) -> bool {
        let hooks = self.hooks.lock().expect("lock");
        !hooks
            .iter()
            .any(|(name, _)| name.starts_with(&format!("{folder}/")))
    }

    /// Makes one put fail after `before` that work. Says, when asked again, if it has failed.
    pub fn fail_put(&self, before: Option<usize>) -> bool {
        let mut left = self.puts_before_failure.lock().expect("lock");
        std::mem::replace(&mut *left, before).is_none()
    }

    fn take_put(&self) -> Result<()> {
        let mut left = self.puts_before_failure.lock().expect("lock");
        match *left {
            Some(0) => {
                *left = None;
                Err(object_store::Error::Generic {
                    store: "hooked",
                    source: "503 Slow Down".into(),
                })
            }
            Some(puts) => {
                *left = Some(puts - 1);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Says if all that was to happen has happened.
    pub fn exhausted(&self) -> bool {
        self.hooks.lock().expect("lock").is_empty()
    }

    async fn happen(&self, location: &Path) {
        let event = {
            let mut hooks = self.hooks.lock().expect("lock");
            let found = hooks
                .iter()
                .position(|(name, _)| location.as_ref().ends_with(name.as_str()));
            found.map(|place| hooks.remove(place).1)
        };
        if let Some(event) = event {
            event.await;
        }
    }
}

impl fmt::Debug for HookedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookedStore")
    }
}

impl fmt::Display for HookedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HookedStore")
    }
}

#[async_trait]
impl ObjectStore for HookedStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.happen(location).await;
        self.take_put()?;
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
