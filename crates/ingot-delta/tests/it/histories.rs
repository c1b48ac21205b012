//! Random histories: processes that append, delete, update, merge, overwrite, compact, restore and alter one table at
//! once, over a store that fails and loses answers or in a local folder, and that die at any await. Each history is
//! checked against a sequential model, commit by commit in the order of the log:
//!
//! - what was reported as committed is in the log, once, under the version that was reported; what was reported as
//!   conflicted or failed is not; what nobody heard of is there once or not at all;
//! - each commit found the rows that it took away, exactly as it read them, and saw all that its isolation level owes it;
//! - the table's rows are those of the model after every version: none lost, doubled or resurrected;
//! - a stream's batches are all there, once each, however often they were tried.
//!
//! `INGOT_TEST_SEED` repeats a history's choices; threads of the blocking pool may still order it otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use async_trait::async_trait;
use futures::stream::BoxStream;
use ingot_delta::{
    Action, CommitOutcome, DeltaTable, DeltaTables, Error, Snapshot, TablesOptions, TimeTravel,
};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use test_case::test_case;
use tokio::task::{JoinSet, yield_now};
use url::Url;

use crate::operations::{Effect, Layout, Row, Statement, live_rows, spec, stage};
use crate::support::{Folder, PATIENCE, seed};

const PROCESSES: u64 = 5;
const STATEMENTS: usize = 14;
const BATCHES: i64 = 10;
const ATTEMPTS_MAX: usize = 200;

/// Awaits after which a process that is to die does.
const LIFE_MAX: usize = 150;

/// One in so many calls fails.
const PUT_FAULTS: u32 = 12;
const GET_FAULTS: u32 = 60;

/// A store that fails now and then, before or after it did what was asked, and lets others run at each call.
#[derive(Debug)]
struct UnreliableStore {
    inner: Arc<InMemory>,
    dice: Mutex<StdRng>,
}

/// How a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Luck {
    Good,
    /// Nothing is done.
    FailsBefore,
    /// It is done all the same.
    FailsAfter,
    /// A put is done, its answer is lost, and the client's own retry finds the file there.
    Repeated,
}

impl UnreliableStore {
    /// Lets others run, and rolls the dice.
    async fn luck(&self, one_in: u32) -> Luck {
        let (turns, luck) = {
            let mut dice = self.dice.lock().expect("no holder panics");
            let fails = dice.random_ratio(1, one_in);
            let failures = [Luck::FailsBefore, Luck::FailsAfter, Luck::Repeated];
            let failure = failures[dice.random_range(0..failures.len())];
            (dice.random_range(0..3), if fails { failure } else { Luck::Good })
        };
        for _ in 0..turns {
            yield_now().await;
        }
        luck
    }
}

fn unavailable() -> object_store::Error {
    object_store::Error::Generic {
        store: "unreliable",
        source: "503 Slow Down".into(),
    }
}

impl fmt::Display for UnreliableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unreliable{}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for UnreliableStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> object_store::Result<PutResult> {
        let luck = self.luck(PUT_FAULTS).await;
        if luck == Luck::FailsBefore {
            return Err(unavailable());
        }
        let put = self.inner.put_opts(location, payload, opts).await?;
        // A process may die here: the file is there, and it never hears of it.
        yield_now().await;
        match luck {
            Luck::FailsAfter => Err(unavailable()),
            Luck::Repeated => Err(object_store::Error::AlreadyExists {
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
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        match self.luck(PUT_FAULTS).await {
            Luck::Good => self.inner.put_multipart_opts(location, opts).await,
            _ => Err(unavailable()),
        }
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        match self.luck(GET_FAULTS).await {
            Luck::Good => self.inner.get_opts(location, options).await,
            _ => Err(unavailable()),
        }
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

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// What a process heard of its commit.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// Nothing: it died, or the store did not tell.
    Unknown,
    Committed(i64),
    Conflicted,
    /// The application's batch is in the table already.
    AlreadyApplied,
    /// An error that says that nothing was committed.
    Failed(String),
}

/// One attempt of one statement.
#[derive(Debug, Clone)]
struct Attempt {
    statement: Statement,
    effect: Effect,
    read_version: i64,
    fate: Fate,
}

/// Where the table is.
enum Ground {
    /// A bucket: as it is, and as the processes find it.
    Bucket(Arc<InMemory>, Arc<UnreliableStore>),
    /// A local folder, and a process in which several write at once.
    Folder(Folder, DeltaTables),
}

/// What all processes share: the store, and the test's own notes, which no process reads.
struct World {
    ground: Ground,
    next_id: AtomicI64,
    attempts: Mutex<Vec<Attempt>>,
}

impl World {
    fn new(ground: Ground) -> Self {
        Self {
            ground,
            next_id: AtomicI64::new(100),
            attempts: Mutex::default(),
        }
    }

    fn bucket(seed: u64) -> Self {
        let inner = Arc::new(InMemory::new());
        let store = UnreliableStore {
            inner: Arc::clone(&inner),
            dice: Mutex::new(StdRng::seed_from_u64(seed)),
        };
        Self::new(Ground::Bucket(inner, Arc::new(store)))
    }

    fn folder(_: u64) -> Self {
        Self::new(Ground::Folder(Folder::new(), DeltaTables::new(options())))
    }

    fn location(&self) -> Url {
        match &self.ground {
            Ground::Bucket(..) => Url::parse("mem://lake/t/").expect("url"),
            Ground::Folder(folder, _) => folder.location(),
        }
    }

    /// Returns a process. In a folder, those with an even number are sessions of one, which lives on when they die.
    fn process(&self, number: u64) -> DeltaTables {
        match &self.ground {
            Ground::Bucket(_, store) => registry(Arc::clone(store) as _),
            Ground::Folder(_, shared) if number.is_multiple_of(2) => shared.clone(),
            Ground::Folder(..) => DeltaTables::new(options()),
        }
    }

    /// A process that sees the store as it is.
    fn observer(&self) -> DeltaTables {
        match &self.ground {
            Ground::Bucket(inner, _) => registry(Arc::clone(inner) as _),
            Ground::Folder(..) => DeltaTables::new(options()),
        }
    }

    fn new_rows(&self, count: i64, p: &str) -> Vec<Row> {
        let first = self.next_id.fetch_add(count, Ordering::SeqCst);
        (first..first + count).map(|id| Row::new(id, p, 0)).collect()
    }

    fn begin(&self, statement: &Statement, effect: Effect, read_version: i64) -> usize {
        let mut attempts = self.attempts.lock().expect("no holder panics");
        attempts.push(Attempt {
            statement: statement.clone(),
            effect,
            read_version,
            fate: Fate::Unknown,
        });
        attempts.len() - 1
    }

    fn end(&self, number: usize, fate: &Fate) {
        self.attempts.lock().expect("no holder panics")[number].fate = fate.clone();
    }

    /// Runs a statement once. `None` when it did not come to its commit.
    async fn attempt(
        &self,
        registry: &DeltaTables,
        choose: impl AsyncFnOnce(&Arc<DeltaTable>, &Arc<Snapshot>) -> Result<Statement, Error>,
    ) -> Option<Fate> {
        let table = registry.open(&self.location()).await.ok()?;
        let snapshot = table.snapshot().await.ok()?;
        let statement = choose(&table, &snapshot).await.ok()?;
        let (mut transaction, effect) = stage(&table, &snapshot, &statement).await.ok()?;
        let number = self.begin(&statement, effect, snapshot.version());
        transaction.set_user_metadata(number.to_string());
        let fate = match transaction.commit().await {
            Ok(CommitOutcome::Committed { version, .. }) => Fate::Committed(version),
            Ok(CommitOutcome::Conflicted(_)) => Fate::Conflicted,
            Ok(CommitOutcome::AlreadyApplied { .. }) => Fate::AlreadyApplied,
            Err(Error::CommittedUnread { version, .. }) => Fate::Committed(version),
            Err(Error::CommitOutcomeUnknown { .. }) => Fate::Unknown,
            Err(error) => Fate::Failed(error.to_string()),
        };
        self.end(number, &fate);
        Some(fate)
    }

    async fn choose(
        &self,
        random: &mut StdRng,
        table: &Arc<DeltaTable>,
        snapshot: &Arc<Snapshot>,
    ) -> Result<Statement, Error> {
        let p = ["a", "b"][random.random_range(0..2)].to_owned();
        let live = live_rows(table, snapshot).await?;
        let here: Vec<i64> = live.iter().filter(|row| row.p == p).map(|row| row.id).collect();
        let ids: Vec<i64> = here.choose_multiple(random, 2).copied().collect();
        Ok(match random.random_range(0..100) {
            0..25 => Statement::Append([self.new_rows(2, "a"), self.new_rows(1, "b")].concat()),
            25..40 => Statement::Delete { p, ids },
            40..55 => Statement::Update { p, ids },
            55..70 => {
                let new = self.new_rows(1, &p).into_iter().map(|row| row.id);
                let ids = ids.into_iter().chain(new).collect();
                Statement::Merge { p, ids }
            }
            70..82 => {
                let kind = [Layout::BinPack, Layout::ZOrder, Layout::Clustered];
                let kind = kind[random.random_range(0..3)];
                Statement::Optimize { p, kind }
            }
            82..86 => {
                let rows = self.new_rows(2, &p);
                Statement::ReplaceWhere { p, rows }
            }
            86..88 => Statement::Overwrite(self.new_rows(4, &p)),
            88..91 => Statement::Restore(random.random_range(1..=snapshot.version().max(1))),
            91..94 => Statement::AddColumn(format!("c{}", self.next_id.fetch_add(1, Ordering::SeqCst))),
            94..97 => Statement::SetProperty(format!("p{}", self.next_id.fetch_add(1, Ordering::SeqCst))),
            _ => Statement::Vacuum,
        })
    }
}

fn options() -> TablesOptions {
    TablesOptions {
        checkpoint_interval: 5,
        ..TablesOptions::default()
    }
}

fn registry(store: Arc<dyn ObjectStore>) -> DeltaTables {
    let url = Url::parse("mem://lake/").expect("url");
    DeltaTables::new(options()).with_store(url, store)
}

/// Runs `work` until it ends, or dies after so many polls: what it held is dropped where it stands.
async fn mortal<T>(work: impl Future<Output = T>, life: Option<usize>) -> Option<T> {
    let mut work = pin!(work);
    let mut polls = 0;
    std::future::poll_fn(|context| {
        if life.is_some_and(|life| polls >= life) {
            return Poll::Ready(None);
        }
        polls += 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

/// How long a process lives, in polls; most outlive their statement.
fn life(random: &mut StdRng) -> Option<usize> {
    random
        .random_ratio(1, 5)
        .then(|| random.random_range(1..LIFE_MAX))
}

async fn work_of_a_process(world: Arc<World>, number: u64, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut registry = world.process(number);
    for _ in 0..STATEMENTS {
        let life = life(&mut random);
        let attempt = world.attempt(
            &registry,
            async |table: &Arc<DeltaTable>, snapshot: &Arc<Snapshot>| {
                world.choose(&mut random, table, snapshot).await
            },
        );
        if mortal(attempt, life).await.is_none() {
            registry = world.process(number);
        }
    }
}

/// A query that tries each batch until it hears that it is in the table.
async fn work_of_a_stream(world: Arc<World>, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut registry = world.process(PROCESSES);
    for batch in 0..BATCHES {
        let rows = world.new_rows(1, "a");
        let statement = Statement::StreamingAppend { batch, rows };
        for tried in 0.. {
            assert!(tried < ATTEMPTS_MAX, "batch {batch} was tried {tried} times");
            let life = life(&mut random);
            let attempt = world.attempt(&registry, async |_: &Arc<DeltaTable>, _: &Arc<Snapshot>| {
                Ok(statement.clone())
            });
            match mortal(attempt, life).await {
                None => registry = world.process(PROCESSES),
                Some(Some(Fate::Committed(_) | Fate::AlreadyApplied)) => break,
                Some(_) => {}
            }
        }
    }
}

#[test_case("WriteSerializable", World::bucket)]
#[test_case("Serializable", World::bucket)]
#[test_case("WriteSerializable", World::folder; "WriteSerializable in a folder")]
#[test_case("Serializable", World::folder; "Serializable in a folder")]
#[tokio::test]
async fn histories_are_those_of_one_after_the_other(isolation: &str, world: fn(u64) -> World) {
    const HISTORIES: u64 = 6;
    let first = seed();
    let mut committed = 0;
    for history in 0..HISTORIES {
        let seed = first.wrapping_add(history);
        let world = Arc::new(world(seed));
        let created = world
            .observer()
            .create(&world.location(), spec(&[("delta.isolationLevel", isolation)]))
            .await;
        created.expect("created");
        let mut processes = JoinSet::new();
        for process in 0..PROCESSES {
            let seed = seed.wrapping_mul(31).wrapping_add(process);
            processes.spawn(work_of_a_process(Arc::clone(&world), process, seed));
        }
        processes.spawn(work_of_a_stream(Arc::clone(&world), seed.wrapping_mul(37)));
        while let Some(ended) = processes.join_next().await {
            ended.unwrap_or_else(|panic| panic!("history of INGOT_TEST_SEED={seed}: {panic}"));
        }
        committed += check(&world, isolation, seed).await;
    }
    assert!(
        committed > 20 * HISTORIES as usize,
        "too few commits to mean anything: {committed}"
    );
}

/// Checks a history against the model and returns how many commits it has.
async fn check(world: &World, isolation: &str, seed: u64) -> usize {
    let attempts = world.attempts.lock().expect("no holder panics").clone();
    let registry = world.observer();
    let table = registry.open(&world.location()).await.expect("opens");
    let newest = table.snapshot().await.expect("snapshot").version();
    let mut model: Vec<Row> = Vec::new();
    let mut found: BTreeMap<usize, i64> = BTreeMap::new();
    // Rows that blind appends added, by version.
    let mut blind: BTreeMap<i64, Vec<Row>> = BTreeMap::new();
    for version in 1..=newest {
        let number = number_of(&table, version).await;
        let attempt = &attempts[number];
        let context =
            format!("INGOT_TEST_SEED={seed}: version {version} is {attempt:?}, the model {model:?}");
        assert!(
            found.insert(number, version).is_none(),
            "committed twice; {}",
            context
        );
        let mut seen = model.clone();
        if isolation == "WriteSerializable" {
            for (_, rows) in blind.range(attempt.read_version + 1..version) {
                rows.iter().for_each(|row| _ = take(&mut seen, row));
            }
        }
        let expected = expected(&table, &attempt.statement, &seen).await;
        assert_eq!(
            sorted(attempt.effect.clone()),
            sorted(expected),
            "saw what was not there; {}",
            context
        );
        for row in &attempt.effect.removed {
            assert!(take(&mut model, row), "row {row:?} is gone already; {}", context);
        }
        model.extend(attempt.effect.added.iter().cloned());
        if let Statement::Append(rows) | Statement::StreamingAppend { rows, .. } = &attempt.statement {
            blind.insert(version, rows.clone());
        }
        model.sort();
        let snapshot = table
            .snapshot_at(TimeTravel::Version(version))
            .await
            .expect("version");
        let rows = live_rows(&table, &snapshot).await.expect("rows");
        assert_eq!(rows, model, "{}", context);
    }
    check_fates(&attempts, &found, seed);
    assert!(registry.settle(PATIENCE).await);
    found.len()
}

/// Checks what the processes heard.
fn check_fates(attempts: &[Attempt], found: &BTreeMap<usize, i64>, seed: u64) {
    let mut batches = BTreeSet::new();
    for (number, attempt) in attempts.iter().enumerate() {
        let version = found.get(&number).copied();
        let heard_right = match attempt.fate {
            Fate::Unknown => true,
            Fate::Committed(reported) => version == Some(reported),
            Fate::Conflicted | Fate::AlreadyApplied | Fate::Failed(_) => version.is_none(),
        };
        assert!(
            heard_right,
            "INGOT_TEST_SEED={seed}: {attempt:?} is in the log as {version:?}"
        );
        if let (Statement::StreamingAppend { batch, .. }, Some(_)) = (&attempt.statement, version) {
            assert!(
                batches.insert(*batch),
                "INGOT_TEST_SEED={seed}: batch {batch} is there twice"
            );
        }
    }
    assert_eq!(
        batches.len() as i64,
        BATCHES,
        "INGOT_TEST_SEED={seed}: batches were lost"
    );
}

/// Returns which attempt made a commit.
async fn number_of(table: &DeltaTable, version: i64) -> usize {
    let commit = table
        .commit_actions(version)
        .await
        .expect("commit")
        .expect("commit");
    let number = commit.iter().find_map(|action| match action {
        Action::CommitInfo(info) => info.user_metadata.as_ref()?.parse().ok(),
        _ => None,
    });
    number.expect("the attempt's number")
}

/// What the statement does to `rows`, by itself.
async fn expected(table: &Arc<DeltaTable>, statement: &Statement, rows: &[Row]) -> Effect {
    let matching = |p: &str, ids: &[i64]| -> Vec<Row> {
        let matched = rows.iter().filter(|row| row.p == p && ids.contains(&row.id));
        matched.cloned().collect()
    };
    let counted_up = |rows: &[Row]| -> Vec<Row> {
        let up = rows.iter().map(|row| Row::new(row.id, &row.p, row.v + 1));
        up.collect()
    };
    match statement {
        Statement::Append(added) | Statement::StreamingAppend { rows: added, .. } => Effect {
            removed: Vec::new(),
            added: added.clone(),
        },
        Statement::Overwrite(added) => Effect {
            removed: rows.to_vec(),
            added: added.clone(),
        },
        Statement::ReplaceWhere { p, rows: added } | Statement::DynamicOverwrite { p, rows: added } => {
            Effect {
                removed: rows.iter().filter(|row| row.p == *p).cloned().collect(),
                added: added.clone(),
            }
        }
        Statement::Delete { p, ids } => Effect {
            removed: matching(p, ids),
            added: Vec::new(),
        },
        Statement::Update { p, ids } => {
            let removed = matching(p, ids);
            let added = counted_up(&removed);
            Effect { removed, added }
        }
        Statement::Merge { p, ids } => {
            let removed = matching(p, ids);
            let mut added = counted_up(&removed);
            let new = ids.iter().filter(|id| !removed.iter().any(|row| row.id == **id));
            added.extend(new.map(|id| Row::new(*id, p, 0)));
            Effect { removed, added }
        }
        Statement::Restore(version) => {
            let past = table.snapshot_at(TimeTravel::Version(*version)).await;
            let past = past.expect("the version that was restored");
            Effect {
                removed: rows.to_vec(),
                added: live_rows(table, &past).await.expect("rows"),
            }
        }
        Statement::Optimize { .. }
        | Statement::Vacuum
        | Statement::AddColumn(_)
        | Statement::SetProperty(_) => Effect::default(),
    }
}

fn sorted(mut effect: Effect) -> Effect {
    effect.removed.sort();
    effect.added.sort();
    effect
}

/// Takes one row out; `false` if it is not there.
fn take(rows: &mut Vec<Row>, row: &Row) -> bool {
    let place = rows.iter().position(|there| there == row);
    place.map(|place| rows.swap_remove(place)).is_some()
}
