//! One write of rows into a table, of any mode: INSERT, COPY INTO and DataFrame writers come here.
//!
//! ```text
//! rows ─► names (`align`) ─► schema evolves? ─► files (`stage`) ─► what goes (`removal`) ─► commit ─► Written
//!   ▲                                                 ▲                   ▲                   │ lost a race
//!   │                                                 │                   └─ same columns ────┤
//!   │                                                 └─ other columns, rules or properties ──┤
//!   └── Conflicted: rows that come from the table itself ─────────────────────────────────────┘
//! ```
//! Always true: one commit holds the new schema, the new rows and the removal of the old ones; what a lost race made
//! wrong is made anew on the newest version, and files that no commit will name are deleted.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::Expr;
use ingot_common::Kind;
use ingot_common::retry::{Backoff, RetryPolicy};
use ingot_delta::column::with_high_water_marks;
use ingot_delta::{
    CommitOutcome, ConflictReason, DeltaTable, Evolution, Operation, OperationMetrics, Snapshot,
    TypeEvolution, WriteTarget,
};

use super::assign::{MissingFields, Nested};
use super::predicate::TablePredicate;
use super::removal::{Removal, Replacing, removal};
use super::rules::values::check_takes_values;
use super::stage::{StageRequest, check, stage};
use super::{
    ColumnMatch, CommitSettings, SchemaEvolution, StagedFiles, WriteMode, WriteOptions, align, compact_after,
    conflict_error, discard, snapshot_read,
};
use crate::dml::StagedChanges;
use crate::{Error, Result, Session};

/// How often a write starts over after losing a race.
const WRITE_RETRIES: RetryPolicy = RetryPolicy {
    retries_max: 20,
    pause_first: Duration::from_millis(10),
    pause_max: Duration::from_secs(1),
};

/// Rows, and what is to be done with them.
#[derive(Debug)]
pub struct WriteRequest {
    pub rows: DataFrame,
    pub columns: ColumnMatch,
    /// Values of columns that the rows do not bring, in the columns' types: `PARTITION (p = 1)`.
    pub constants: Vec<(String, Expr)>,
    /// What partitions the table after a write that overwrites the schema; what does now when `None`.
    pub partition_columns: Option<Vec<String>>,
    pub options: WriteOptions,
    /// How the history tells the commit; Spark's `WRITE` with its parameters when `None`.
    pub operation: Option<Operation>,
    pub fence: Option<Fence>,
    /// The table as the statement found it; what is the newest now when `None`.
    pub read: Option<Arc<Snapshot>>,
}

/// Keeps writers of one kind in order, of whom each goes on from what the one before left. The commit is made only where
/// that is still so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fence {
    /// The application's version is `after`, and becomes `version`. Otherwise the write ends as
    /// [`Written::AlreadyApplied`] of this application, or as [`Written::Conflicted`].
    Application {
        app_id: String,
        after: Option<i64>,
        version: i64,
    },
    /// The configuration of the domain is `before`, and becomes `after`. Otherwise the write ends as
    /// [`Written::Conflicted`].
    Domain {
        domain: &'static str,
        before: Option<String>,
        after: String,
    },
}

impl WriteRequest {
    /// Makes a request for rows whose columns are matched as `columns` says.
    pub fn new(rows: DataFrame, columns: ColumnMatch, options: WriteOptions) -> Self {
        Self {
            rows,
            columns,
            constants: Vec::new(),
            partition_columns: None,
            options,
            operation: None,
            fence: None,
            read: None,
        }
    }
}

/// What became of a write.
#[derive(Debug, Clone)]
pub enum Written {
    /// The commit is on disk; `metrics` are those of the history.
    Committed {
        snapshot: Arc<Snapshot>,
        metrics: OperationMetrics,
    },
    /// The table has this write, or a later one of its application, already; nothing was written.
    AlreadyApplied { app_id: String, version: i64 },
    /// Others changed what the rows come from, or the fence fell; nothing was committed, and to start over is the
    /// caller's.
    Conflicted(ConflictReason),
}

impl Written {
    /// Returns how many rows were written.
    pub fn rows(&self) -> i64 {
        match self {
            Self::Committed { metrics, .. } => metrics.get("numOutputRows"),
            Self::AlreadyApplied { .. } | Self::Conflicted(_) => 0,
        }
    }
}

/// Writes rows into a table; starts over after a lost race unless the rows come from the table itself.
///
/// # Errors
/// `InvalidArgument` for columns and values that do not fit the table and for rows outside of the predicate;
/// `Unsupported` for a table that cannot be written so; `Conflict` when others changed what the rows come from, or
/// retries are used up. The table is as it was then.
pub async fn write(session: &Session, table: &Arc<DeltaTable>, request: &WriteRequest) -> Result<Written> {
    match try_write(session, table, request).await? {
        Written::Conflicted(reason) => Err(conflict_error(&reason)),
        written => Ok(written),
    }
}

/// Does what [`write`] does, and tells a conflict that it could not mend.
///
/// # Errors
/// As [`write`], but for conflicts.
pub async fn try_write(
    session: &Session,
    table: &Arc<DeltaTable>,
    request: &WriteRequest,
) -> Result<Written> {
    let read = snapshot_read(request.rows.logical_plan(), table.location())?;
    let reads_target = read.is_some();
    let mut snapshot = match read.or_else(|| request.read.clone()) {
        Some(read) => read,
        None => table.snapshot().await?,
    };
    let mut retries = WRITE_RETRIES.attempts();
    loop {
        if let Some(applied) = applied(table, &snapshot, request).await? {
            return Ok(applied);
        }
        let attempt = Attempt::new(session, table, request, Arc::clone(&snapshot))?;
        let staged = attempt.stage().await?;
        match attempt.commit(staged, reads_target, &mut retries).await? {
            Step::Done(written) => {
                if matches!(written, Written::Committed { .. }) {
                    CommitSettings::after_write(session)?;
                }
                return Ok(written);
            }
            Step::Again(newest) => snapshot = newest,
        }
    }
}

/// Does with rows what [`write`] does, but writes none. Returns the table's columns as they would be, and the first
/// `preview` rows.
///
/// # Errors
/// As [`write`], where the rows or their columns are the reason.
pub(crate) async fn validate(
    session: &Session,
    table: &Arc<DeltaTable>,
    request: &WriteRequest,
    preview: usize,
) -> Result<(SchemaRef, Vec<RecordBatch>)> {
    let snapshot = match snapshot_read(request.rows.logical_plan(), table.location())? {
        Some(read) => read,
        None => table.snapshot().await?,
    };
    let attempt = Attempt::new(session, table, request, snapshot)?;
    let rows = check(session, attempt.stage_request(), preview).await?;
    Ok((Arc::clone(attempt.target.schema()), rows))
}

/// Looks the request's application transactions up. What was applied already is on disk when this returns.
async fn applied(table: &DeltaTable, snapshot: &Snapshot, request: &WriteRequest) -> Result<Option<Written>> {
    let found = applied_in(snapshot, request).await?;
    if found.is_some() {
        table.settle_log().await?;
    }
    Ok(found)
}

async fn applied_in(snapshot: &Snapshot, request: &WriteRequest) -> Result<Option<Written>> {
    if let Some((app_id, ours)) = &request.options.app_transaction {
        let theirs = snapshot.app_transaction(app_id).await?;
        if let Some(version) = theirs.filter(|theirs| theirs >= ours) {
            let app_id = app_id.clone();
            return Ok(Some(Written::AlreadyApplied { app_id, version }));
        }
    }
    match &request.fence {
        None => Ok(None),
        Some(Fence::Application { app_id, after, .. }) => {
            let theirs = snapshot.app_transaction(app_id).await?;
            Ok((theirs != *after).then(|| Written::AlreadyApplied {
                app_id: app_id.clone(),
                version: theirs.unwrap_or_default(),
            }))
        }
        Some(Fence::Domain { domain, before, .. }) => {
            let fallen = snapshot.domain_metadata(domain) != before.as_deref();
            Ok(fallen.then(|| {
                Written::Conflicted(ConflictReason::ConcurrentDomainMetadata {
                    version: snapshot.version(),
                    domain: (*domain).to_owned(),
                })
            }))
        }
    }
}

enum Step {
    Done(Written),
    /// The table's columns, rules or properties are others in this snapshot.
    Again(Arc<Snapshot>),
}

/// One try of a write, for the columns and rules of one snapshot.
struct Attempt<'a> {
    session: &'a Session,
    table: &'a Arc<DeltaTable>,
    request: &'a WriteRequest,
    snapshot: Arc<Snapshot>,
    evolution: Option<Evolution>,
    rows: DataFrame,
    target: WriteTarget,
    condition: Option<TablePredicate>,
}

impl<'a> Attempt<'a> {
    fn new(
        session: &'a Session,
        table: &'a Arc<DeltaTable>,
        request: &'a WriteRequest,
        snapshot: Arc<Snapshot>,
    ) -> Result<Self> {
        let options = &request.options;
        if options.evolution == SchemaEvolution::Overwrite && options.mode != WriteMode::Overwrite {
            return Err(Error::unsupported(
                "the schema is overwritten only by a write that overwrites the whole table".to_owned(),
            ));
        }
        let named = align::named(
            request.rows.clone(),
            snapshot.schema(),
            &request.columns,
            &request.constants,
            options.evolution,
        )?;
        let nested = nested(&request.columns);
        let incoming = align::incoming(&named, snapshot.schema(), nested);
        let evolution = match options.evolution {
            SchemaEvolution::None => None,
            SchemaEvolution::Merge => table.merged(&snapshot, &incoming, types(&request.columns))?,
            SchemaEvolution::Overwrite => {
                table.overwritten(&snapshot, &incoming, request.partition_columns.as_deref())?
            }
        };
        let target = match &evolution {
            Some(evolution) => evolution.target.clone(),
            None => WriteTarget::of_table(table, &snapshot)?,
        };
        let rows = match (&request.columns, &evolution) {
            (ColumnMatch::Position, None)
                if request.constants.is_empty()
                    && named.schema().fields().len() == target.schema().fields().len() =>
            {
                let mut fields = target.schema().fields().iter();
                fields.try_for_each(|field| check_takes_values(field))?;
                named
            }
            _ => align::by_name(named, target.schema())?,
        };
        let condition = match &options.mode {
            WriteMode::ReplaceWhere(text) => Some(TablePredicate::parse(session, target.schema(), text)?),
            _ => None,
        };
        Ok(Self {
            session,
            table,
            request,
            snapshot,
            evolution,
            rows,
            target,
            condition,
        })
    }

    async fn stage(&self) -> Result<StagedFiles> {
        stage(self.session, self.stage_request()).await
    }

    fn stage_request(&self) -> StageRequest {
        let options = &self.request.options;
        StageRequest {
            nested: nested(&self.request.columns),
            condition: self.condition.clone(),
            optimize: options.optimizes(&self.snapshot),
            file_bytes_target: options.file_bytes_target,
            compression: options.compression,
            data_change: options.data_change,
            ..StageRequest::new(self.target.clone(), self.rows.clone())
        }
    }

    /// Commits; what is to go is found anew after each lost race.
    async fn commit(&self, staged: StagedFiles, reads_target: bool, retries: &mut Backoff) -> Result<Step> {
        let mut read = Arc::clone(&self.snapshot);
        loop {
            let removal = match removal(&self.replacing(&read, &staged, reads_target)).await {
                Ok(removal) => removal,
                Err(error) => {
                    discard(self.table, &staged.files).await;
                    return Err(error);
                }
            };
            let (written, changes) = self.commit_once(&read, &staged, removal).await?;
            let Written::Conflicted(reason) = &written else {
                if let Written::Committed { snapshot, .. } = &written {
                    compact_after(self.session, self.table, snapshot, &staged.files);
                } else {
                    discard(self.table, &staged.files).await;
                    self.discard(changes).await;
                }
                return Ok(Step::Done(written));
            };
            self.discard(changes).await;
            let hopeless = matches!(
                reason,
                ConflictReason::ConcurrentTransaction { .. }
                    | ConflictReason::ConcurrentDomainMetadata { .. }
                    | ConflictReason::LogReplaced { .. }
            );
            if hopeless || reads_target || !retries.pause().await {
                discard(self.table, &staged.files).await;
                return Ok(Step::Done(written));
            }
            let newest = match self.table.snapshot().await {
                Ok(newest) => newest,
                Err(error) => {
                    discard(self.table, &staged.files).await;
                    return Err(error.into());
                }
            };
            if newest.metadata() != self.snapshot.metadata() || newest.protocol() != self.snapshot.protocol()
            {
                discard(self.table, &staged.files).await;
                return Ok(Step::Again(newest));
            }
            if let Some(applied) = applied(self.table, &newest, self.request).await? {
                discard(self.table, &staged.files).await;
                return Ok(Step::Done(applied));
            }
            tracing::info!(table = %self.table.location(), %reason, "a write is committed anew");
            read = newest;
        }
    }

    async fn discard(&self, changes: Option<StagedChanges>) {
        if let Some(changes) = changes {
            changes.discard(self.table).await;
        }
    }

    fn replacing<'r>(
        &'r self,
        snapshot: &'r Arc<Snapshot>,
        staged: &'r StagedFiles,
        reads_target: bool,
    ) -> Replacing<'r> {
        Replacing {
            session: self.session,
            table: self.table,
            snapshot,
            mode: &self.request.options.mode,
            evolution: self.evolution.as_ref(),
            query_columns: &self.request.rows,
            staged,
            reads_target,
            data_change: self.request.options.data_change,
        }
    }

    /// Tries to commit on top of `read`; also returns what was written to take rows out.
    async fn commit_once(
        &self,
        read: &Arc<Snapshot>,
        staged: &StagedFiles,
        removal: Removal,
    ) -> Result<(Written, Option<StagedChanges>)> {
        let request = self.request;
        let mut transaction = self.table.transaction(Arc::clone(read), self.operation());
        transaction.set_read_set(removal.read_set);
        let evolved = self.evolution.as_ref().map(|evolution| &evolution.metadata);
        if !staged.high_water_marks.is_empty() {
            let metadata = evolved.unwrap_or(read.metadata());
            transaction.set_metadata(with_high_water_marks(metadata, &staged.high_water_marks)?);
        } else if let Some(metadata) = evolved {
            transaction.set_metadata(metadata.clone());
        }
        if let Some(protocol) = self
            .evolution
            .as_ref()
            .and_then(|evolution| evolution.protocol.clone())
        {
            transaction.set_protocol(protocol);
        }
        transaction.remove_files(removal.removes);
        transaction.add_files(staged.files.iter().cloned());
        if request.options.data_change {
            // The rows that go end, and those that stay keep their ids; the new ones are others.
            transaction.set_row_ids_kept();
        }
        if let Some(changes) = &removal.changes {
            changes.put_into(&mut transaction);
        }
        let mut metrics = staged.metrics.clone();
        for (name, value) in &removal.metrics.0 {
            metrics.increase(name, *value);
        }
        transaction.set_metrics(metrics.clone());
        transaction.set_user_name(self.session.context().principal.as_str());
        if let Some((app_id, version)) = &request.options.app_transaction {
            transaction.set_app_transaction(app_id.clone(), *version);
        }
        match &request.fence {
            None => {}
            Some(Fence::Application { app_id, version, .. }) => {
                transaction.set_lasting_app_transaction(app_id.clone(), *version);
            }
            Some(Fence::Domain { domain, after, .. }) => {
                transaction.set_domain_metadata(*domain, after.clone());
            }
        }
        if let Some(text) = &request.options.user_metadata {
            transaction.set_user_metadata(text.clone());
        }
        let written = match transaction.commit().await? {
            CommitOutcome::Committed { snapshot, .. } => Written::Committed { snapshot, metrics },
            CommitOutcome::AlreadyApplied { app_id, version } => Written::AlreadyApplied { app_id, version },
            CommitOutcome::Conflicted(reason) => Written::Conflicted(reason),
        };
        Ok((written, removal.changes))
    }

    /// Describes the write for the history, as Spark does.
    fn operation(&self) -> Operation {
        if let Some(operation) = &self.request.operation {
            return operation.clone();
        }
        let partition_by = serde_json::Value::from(self.target.partition_columns().to_vec()).to_string();
        let mode = match self.request.options.mode {
            WriteMode::Append => "Append",
            _ => "Overwrite",
        };
        let operation = Operation::new("WRITE")
            .with("mode", mode)
            .with("partitionBy", partition_by);
        match &self.request.options.mode {
            WriteMode::ReplaceWhere(predicate) => operation.with("predicate", predicate.clone()),
            WriteMode::ReplaceUsing(columns) => operation.with(
                "replaceUsing",
                serde_json::Value::from(columns.clone()).to_string(),
            ),
            WriteMode::ReplaceOn { condition, .. } => operation.with("replaceOn", condition.clone()),
            WriteMode::OverwritePartitions => operation.with("isDynamicPartitionOverwrite", "true"),
            WriteMode::Append | WriteMode::Overwrite => operation,
        }
    }
}

fn nested(columns: &ColumnMatch) -> Nested {
    match columns {
        ColumnMatch::Name => Nested::Name(MissingFields::Null),
        ColumnMatch::Position | ColumnMatch::Listed(_) => Nested::Position,
    }
}

/// A statement's values are converted to the table's types; a DataFrame that is matched by name may widen them.
fn types(columns: &ColumnMatch) -> TypeEvolution {
    match columns {
        ColumnMatch::Name => TypeEvolution::Upcast,
        ColumnMatch::Position | ColumnMatch::Listed(_) => TypeEvolution::Keep,
    }
}

/// Refuses a table that is there, or says that nothing is to be done. Source: Spark, `SaveMode`.
pub fn table_exists(name: &ingot_common::TableName) -> Error {
    Error::Condition {
        kind: Kind::AlreadyExists,
        condition: "TABLE_OR_VIEW_ALREADY_EXISTS",
        sqlstate: "42P07",
        message: format!("cannot create table or view `{name}` because it already exists"),
    }
}
