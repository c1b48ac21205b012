//! A store that fails on command: before or after it did what was asked, or when its disk is full. It also lets a test
//! act at the very moment before a file is put, as another process might.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// What is asked of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Put,
    Get,
    /// A get of something that was put, or tried to be, since the rule was made.
    GetAfterPut,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done.
    Before,
    /// It is done all the same.
    After,
    /// A put is done, its answer is lost, and the client's own retry finds the file there.
    AfterAsExists,
}

#[derive(Debug)]
struct Rule {
    call: Call,
    suffix: String,
    fault: Fault,
    times: u32,
    put_since: HashSet<Path>,
}

/// One of so many calls fails. Reads fail less often than writes: one operation takes many of them.
#[derive(Debug)]
struct Dice {
    random: StdRng,
    puts: u32,
    gets: u32,
}

/// What another process does right before a file is put.
struct Hook {
    suffix: String,
    act: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook")
            .field("suffix", &self.suffix)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct Plan {
    rules: Vec<Rule>,
    hooks: Vec<Hook>,
    /// Deletions that work before all others fail.
    deletes_left: Option<usize>,
    dice: Option<Dice>,
    bytes_left: Option<usize>,
}

impl Plan {
    fn fault(&mut self, call: Call, path: &Path) -> Option<Fault> {
        let mut fault = None;
        for rule in &mut self.rules {
            let meant = match rule.call {
                Call::GetAfterPut => call == Call::Get && rule.put_since.contains(path),
                other => other == call,
            };
            if fault.is_none() && meant && rule.times > 0 && path.as_ref().ends_with(&rule.suffix) {
                rule.times -= 1;
                fault = Some(rule.fault);
            }
            if call == Call::Put {
                rule.put_since.insert(path.clone());
            }
        }
        fault.or_else(|| {
            let dice = self.dice.as_mut()?;
            let one_in = if call == Call::Put { dice.puts } else { dice.gets };
            let fails = dice.random.random_ratio(1, one_in);
            let faults = [Fault::Before, Fault::After, Fault::AfterAsExists];
            fails.then(|| faults[dice.random.random_range(0..3)])
        })
    }

    fn take_hooks(&mut self, path: &Path) -> Vec<Hook> {
        let meant = |hook: &mut Hook| path.as_ref().ends_with(&hook.suffix);
        self.hooks.extract_if(.., meant).collect()
    }

    fn take_delete(&mut self) -> Result<()> {
        match &mut self.deletes_left {
            Some(0) => Err(unavailable()),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn take_space(&mut self, bytes: usize) -> Result<()> {
        match &mut self.bytes_left {
            Some(left) if *left < bytes => {
                *left = 0;
                Err(no_space())
            }
            Some(left) => {
                *left -= bytes;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// The local file system, failing as told.
#[derive(Debug)]
pub struct FaultyStore {
    inner: LocalFileSystem,
    plan: Arc<Mutex<Plan>>,
}

impl FaultyStore {
    pub fn new() -> Self {
        Self {
            inner: LocalFileSystem::new(),
            plan: Arc::default(),
        }
    }

    /// Makes the next `times` calls about files whose path ends with `suffix` fail.
    pub fn fail(&self, call: Call, suffix: &str, fault: Fault, times: u32) {
        self.plan().rules.push(Rule {
            call,
            suffix: suffix.to_owned(),
            fault,
            times,
            put_since: HashSet::new(),
        });
    }

    /// Does `act` once, right before a file whose path ends with `suffix` is put.
    pub fn before_put(&self, suffix: &str, act: impl FnOnce() + Send + 'static) {
        self.plan().hooks.push(Hook {
            suffix: suffix.to_owned(),
            act: Box::new(act),
        });
    }

    /// Makes all deletions fail after so many.
    pub fn limit_deletes(&self, deletes: usize) {
        self.plan().deletes_left = Some(deletes);
    }

    /// Makes one in `puts` puts and one in `gets` gets fail, by dice that `seed` determines.
    pub fn roll_dice(&self, seed: u64, puts: u32, gets: u32) {
        let random = StdRng::seed_from_u64(seed);
        self.plan().dice = Some(Dice { random, puts, gets });
    }

    /// Leaves room for so many bytes; a put that needs more gets none and takes what is left.
    pub fn limit_space(&self, bytes: usize) {
        self.plan().bytes_left = Some(bytes);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        *self.plan() = Plan::default();
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().expect("no holder panics")
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty{}", self.inner)
    }
}

fn no_space() -> Error {
    const ENOSPC: i32 = 28;
    Error::Generic {
        store: "faulty",
        source: Box::new(io::Error::from_raw_os_error(ENOSPC)),
    }
}

fn unavailable() -> Error {
    Error::Generic {
        store: "faulty",
        source: "503 Slow Down".into(),
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let hooks = self.plan().take_hooks(location);
        hooks.into_iter().for_each(|hook| (hook.act)());
        let fault = self.plan().fault(Call::Put, location);
        if fault == Some(Fault::Before) {
            return Err(unavailable());
        }
        self.plan().take_space(payload.content_length())?;
        let put = self.inner.put_opts(location, payload, opts).await?;
        match fault {
            Some(Fault::After) => Err(unavailable()),
            Some(Fault::AfterAsExists) => Err(Error::AlreadyExists {
                path: location.to_string(),
                source: "there since the first try".into(),
            }),
            _ => Ok(put),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(location, opts).await?;
        let plan = Arc::clone(&self.plan);
        Ok(Box::new(FaultyUpload { inner, plan }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if self.plan().fault(Call::Get, location).is_some() {
            return Err(unavailable());
        }
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let plan = Arc::clone(&self.plan);
        let allowed = locations.map(move |location| {
            plan.lock().expect("no holder panics").take_delete()?;
            location
        });
        self.inner.delete_stream(allowed.boxed())
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

#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    plan: Arc<Mutex<Plan>>,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let space = self
            .plan
            .lock()
            .expect("no holder panics")
            .take_space(data.content_length());
        match space {
            Ok(()) => self.inner.put_part(data),
            Err(full) => Box::pin(async { Err(full) }),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}
