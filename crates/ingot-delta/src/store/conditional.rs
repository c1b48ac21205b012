//! A bucket that was asked, before the first commit to it, if it puts a file only where there is none.
//!
//! ```text
//! put if absent ─► asked before? ──────────────────► put
//!                   └ no ─► put a probe twice ─► told that it exists ─► put (and remembered)
//!                                              └ both done, or refused ─► NotSupported (and remembered)
//! ```
//! A server that ignores `If-None-Match: *` answers as if all were well, and a commit destroys another: nothing but
//! trying tells. The probe stands beside the file that is to be put, where its writer may write, under a name that
//! comes before all names of a log and that readers leave out; it is deleted at once.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions,
};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// How the answer to a request that a server does not know begins in the texts of `object_store`, which has no
/// variant for it, and the code that Amazon has for it.
const NOT_IMPLEMENTED: [&str; 2] = ["501 Not Implemented", "<Code>NotImplemented</Code>"];

/// A bucket whose puts-if-absent are known to be ones.
#[derive(Debug)]
pub(super) struct ConditionalStore {
    inner: Arc<dyn ObjectStore>,
    /// The same bucket, asked with few retries: what a server does not know it will not learn.
    impatient: Arc<dyn ObjectStore>,
    /// How the bucket is called in messages.
    name: String,
    verdict: OnceCell<Verdict>,
}

/// What a bucket does with a file that is to be put if absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Honoured,
    /// It overwrites what is there.
    Ignored,
    /// It refuses the request.
    Refused,
}

impl ConditionalStore {
    pub fn new(inner: Arc<dyn ObjectStore>, impatient: Arc<dyn ObjectStore>, name: String) -> Self {
        Self {
            inner,
            impatient,
            name,
            verdict: OnceCell::new(),
        }
    }

    /// Makes sure that the bucket can put a file if it is absent, before `location` is put so.
    async fn check(&self, location: &Path) -> object_store::Result<()> {
        let verdict = self.verdict.get_or_try_init(|| self.probe(location)).await?;
        let does = match verdict {
            Verdict::Honoured => return Ok(()),
            Verdict::Ignored => "overwrites a file that was to be put only if absent (`If-None-Match: *`)",
            Verdict::Refused => "does not know how to put a file only if absent (`If-None-Match: *`)",
        };
        Err(object_store::Error::NotSupported {
            source: format!(
                "{} {does}, so that writers could destroy each other's commits; nothing was written\n\
                 use a server that honours it: Amazon S3, Azure, Google, Cloudflare R2, MinIO and Ceph do in their \
                 present versions, and remove `conditional_put` from the bucket's settings if it is there",
                self.name
            )
            .into(),
        })
    }

    async fn probe(&self, location: &Path) -> object_store::Result<Verdict> {
        let name = format!(".probe-{}", Uuid::new_v4());
        let folders = location.parts_count().saturating_sub(1);
        let probe = Path::from_iter(location.parts().take(folders)).join(name);
        let verdict = put_twice(self.impatient.as_ref(), &probe).await;
        match self.inner.delete(&probe).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => tracing::warn!(%probe, %error, "probe of put-if-absent stays"),
        }
        verdict
    }
}

/// Puts one file twice, each time if it is absent. The name is nobody else's: if the first put is told that the file
/// exists, an attempt of it has come through whose answer was lost.
async fn put_twice(store: &dyn ObjectStore, probe: &Path) -> object_store::Result<Verdict> {
    for content in ["first", "second"] {
        let put = store.put_opts(probe, content.into(), PutOptions::from(PutMode::Create));
        match put.await {
            Ok(_) => {}
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                return Ok(Verdict::Honoured);
            }
            Err(error) if not_implemented(&error) => return Ok(Verdict::Refused),
            Err(error) => return Err(error),
        }
    }
    Ok(Verdict::Ignored)
}

fn not_implemented(error: &object_store::Error) -> bool {
    use object_store::Error::{NotImplemented, NotSupported};
    let text = error.to_string();
    matches!(error, NotImplemented { .. } | NotSupported { .. })
        || NOT_IMPLEMENTED.iter().any(|known| text.contains(known))
}

impl fmt::Display for ConditionalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Conditional({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for ConditionalStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> object_store::Result<PutResult> {
        if opts.mode == PutMode::Create {
            self.check(location).await?;
        }
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> object_store::Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::TryStreamExt;
    use object_store::memory::InMemory;
    use test_case::test_case;

    use super::*;

    /// What a server of these tests does with the condition.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Server {
        Honours,
        /// Answers the first put with a failure although it was done.
        HonoursAndLosesAnAnswer,
        Ignores,
        Answers501,
        IsAway,
    }

    #[derive(Debug)]
    struct Bucket {
        server: Server,
        memory: InMemory,
        puts: AtomicUsize,
    }

    impl fmt::Display for Bucket {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "Bucket")
        }
    }

    fn generic(text: &'static str) -> object_store::Error {
        object_store::Error::Generic {
            store: "S3",
            source: text.into(),
        }
    }

    #[async_trait]
    impl ObjectStore for Bucket {
        async fn put_opts(
            &self,
            location: &Path,
            payload: PutPayload,
            mut opts: PutOptions,
        ) -> object_store::Result<PutResult> {
            let puts = self.puts.fetch_add(1, Ordering::SeqCst);
            match self.server {
                Server::Honours => {}
                Server::HonoursAndLosesAnAnswer if puts == 0 => {
                    self.memory
                        .put_opts(location, payload.clone(), opts.clone())
                        .await?;
                }
                Server::HonoursAndLosesAnAnswer => {}
                Server::Ignores => opts.mode = PutMode::Overwrite,
                Server::Answers501 => {
                    return Err(generic(
                        "Server returned non-2xx status code: 501 Not Implemented: ",
                    ));
                }
                Server::IsAway => return Err(generic("connection refused")),
            }
            self.memory.put_opts(location, payload, opts).await
        }

        async fn put_multipart_opts(
            &self,
            location: &Path,
            opts: PutMultipartOptions,
        ) -> object_store::Result<Box<dyn MultipartUpload>> {
            self.memory.put_multipart_opts(location, opts).await
        }

        async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
            self.memory.get_opts(location, options).await
        }

        fn delete_stream(
            &self,
            locations: BoxStream<'static, object_store::Result<Path>>,
        ) -> BoxStream<'static, object_store::Result<Path>> {
            self.memory.delete_stream(locations)
        }

        fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
            self.memory.list(prefix)
        }

        async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
            self.memory.list_with_delimiter(prefix).await
        }

        async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
            self.memory.copy_opts(from, to, options).await
        }
    }

    fn bucket(server: Server) -> (Arc<Bucket>, ConditionalStore) {
        let bucket = Arc::new(Bucket {
            server,
            memory: InMemory::new(),
            puts: AtomicUsize::new(0),
        });
        let store = ConditionalStore::new(
            Arc::clone(&bucket) as _,
            Arc::clone(&bucket) as _,
            "bucket `s3://b/`".to_owned(),
        );
        (bucket, store)
    }

    async fn put(store: &ConditionalStore, path: &str) -> object_store::Result<PutResult> {
        let create = PutOptions::from(PutMode::Create);
        store.put_opts(&Path::from(path), "x".into(), create).await
    }

    async fn files(bucket: &Bucket) -> Vec<String> {
        let listed = bucket.memory.list(None).map_ok(|meta| meta.location.to_string());
        listed.try_collect().await.expect("listed")
    }

    #[test_case(Server::Honours, 2)]
    #[test_case(Server::HonoursAndLosesAnAnswer, 1)]
    #[tokio::test]
    async fn a_bucket_that_honours_the_condition_is_asked_once(server: Server, probes: usize) {
        let (bucket, store) = bucket(server);
        put(&store, "t/_delta_log/0.json").await.expect("put");
        put(&store, "t/_delta_log/1.json").await.expect("put");
        let again = put(&store, "t/_delta_log/1.json").await;
        assert!(
            matches!(again, Err(object_store::Error::AlreadyExists { .. })),
            "{again:?}"
        );
        assert_eq!(bucket.puts.load(Ordering::SeqCst), probes + 3);
        assert_eq!(
            files(&bucket).await,
            ["t/_delta_log/0.json", "t/_delta_log/1.json"]
        );
    }

    #[test_case(Server::Ignores, "bucket `s3://b/` overwrites a file", 2; "ignored silently")]
    #[test_case(Server::Answers501, "bucket `s3://b/` does not know how", 1; "answered with 501")]
    #[tokio::test]
    async fn a_bucket_without_the_condition_is_refused_and_nothing_put(
        server: Server,
        message: &str,
        probes: usize,
    ) {
        let (bucket, store) = bucket(server);
        for _ in 0..2 {
            let error = put(&store, "t/_delta_log/0.json").await.expect_err("refused");
            assert!(
                matches!(error, object_store::Error::NotSupported { .. }),
                "{error}"
            );
            assert!(error.to_string().contains(message), "{error}");
        }
        assert_eq!(bucket.puts.load(Ordering::SeqCst), probes);
        assert!(files(&bucket).await.is_empty());
        // What needs no condition is put all the same.
        store.put(&Path::from("data.parquet"), "x".into()).await.ok();
        assert_eq!(bucket.puts.load(Ordering::SeqCst), probes + 1);
    }

    #[tokio::test]
    async fn a_bucket_that_is_away_is_asked_again() {
        let (bucket, store) = bucket(Server::IsAway);
        for attempt in 1..=2 {
            let error = put(&store, "0.json").await.expect_err("away");
            assert!(matches!(error, object_store::Error::Generic { .. }), "{error}");
            assert_eq!(bucket.puts.load(Ordering::SeqCst), attempt);
        }
    }
}
