//! An update: brings every dataset of a project up to date.
//!
//! ```text
//! prepare: schemas, tables, sources checked ─► triggered:  each dataset in order, to its end
//!                                           └► continuous: all streams at once, views at intervals, until stopped
//! ```

mod check;
mod continuous;

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::datasource::empty::EmptyTable;
use ingot_catalog::{TableFilters, TableInfo, TableKind};
use ingot_common::retry::RetryPolicy;
use ingot_common::{Classify, Kind, Principal, RequestContext, TableName};
use ingot_delta::DeltaTable;
use ingot_engine::write::{TableSpec, create_table};
use ingot_engine::{Engine, Session};
use ingot_streaming::{
    BatchSink, DeltaSource, FileSource, KafkaSource, QueryHandle, QueryOptions, Source, SourceRelation,
    StreamingQuery, Trigger, source_folder,
};
use tokio_util::sync::CancellationToken;

use crate::definition::{CdcFlow, DatasetKind, Query, Reference, StreamOrigin};
use crate::event::{
    BatchKey, EventLog, FollowedDataset, PipelineEvent, UpdateHandle, Which, event_log_name, open_event_log,
};
use crate::flow::cdc::{self, CHANGES, CdcSink};
use crate::flow::streaming::StreamingTableSink;
use crate::flow::view::{Files, MaterializedView};
use crate::graph::Node;
use crate::{Error, Project, Result};
use check::check_table;

/// How long an update waits for a name that is reserved: longer than the minute after which a reservation ends whose
/// holder was killed. Each try of the engine's takes some seconds.
const RESERVED: RetryPolicy = RetryPolicy {
    retries_max: 12,
    pause_first: Duration::from_secs(1),
    pause_max: Duration::from_secs(5),
};

/// How an update ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// When all that was there at its start is processed.
    Triggered,
    /// When it is stopped.
    Continuous,
}

/// Runs an update. State (checkpoints) is kept below `state`, so that the next update goes on from there; one
/// update at a time may use it. Ends well, at a safe point, when `token` is cancelled.
///
/// A dataset of a continuous update that fails is tried again a few times, while the others go on.
///
/// # Errors
/// The first dataset's that fails for good; what was committed stays. A triggered update ends with it, a continuous
/// one when it is stopped, or when no stream is left.
pub async fn run_update(
    engine: &Engine,
    project: &Project,
    state: &Path,
    mode: Mode,
    handle: &UpdateHandle,
    token: CancellationToken,
) -> Result<()> {
    let update = Update::new(engine, project, state, handle, &token)?;
    let session = update.session()?;
    let log_name = event_log_name(project.namespace(), project.name())?;
    let prepared = update.prepare(&session).await?;
    let log = open_event_log(&session, log_name).await?;
    for dataset in &prepared {
        update.events.follow(FollowedDataset {
            query_id: dataset.info.id.0,
            name: dataset.node.dataset.name.to_string(),
            table: Arc::clone(&dataset.table),
        });
    }
    update.catch_up(&log).await;
    let outcome = match mode {
        Mode::Triggered => update.triggered(&prepared, &log).await,
        Mode::Continuous => update.continuous(&prepared, &log).await,
    };
    // The events of the end, also of one that failed, and also when the token is cancelled.
    let last = engine.session(&RequestContext::new(update.principal.clone()))?;
    update.catch_up(&log).await;
    update.log_events(&last, &log, Which::All).await;
    outcome
}

/// Checks that every table that `project` reads is defined by it or stands in the catalog.
///
/// # Errors
/// `InvalidArgument`, with file, line and column of the first name that is unknown.
pub async fn check_names(engine: &Engine, project: &Project) -> Result<()> {
    let nodes = project.nodes();
    for reference in nodes.iter().flat_map(Node::inputs) {
        if nodes.iter().any(|node| node.dataset.name == reference.name) {
            continue;
        }
        match engine.metastore().table(&reference.name).await {
            Ok(_) => {}
            Err(error) if error.kind() == Kind::NotFound => {
                return Err(Error::Definition {
                    place: reference.place.clone(),
                    message: format!(
                        "`{}` is neither defined by the project nor in the catalog{}",
                        reference.name,
                        defined_beside(project, reference)
                    ),
                });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Names what the project defines in the schema of `reference`: what its author may have meant.
fn defined_beside(project: &Project, reference: &Reference) -> String {
    let schema = reference.name.schema_name();
    let names = project.nodes().iter().map(|node| &node.dataset.name);
    let beside: Vec<_> = names
        .filter(|name| name.schema_name() == schema)
        .map(ToString::to_string)
        .collect();
    match beside.is_empty() {
        true => String::new(),
        false => format!("; of its schema the project defines {}", beside.join(", ")),
    }
}

/// A dataset with its table.
struct Prepared<'a> {
    node: &'a Node,
    info: TableInfo,
    table: Arc<DeltaTable>,
}

struct Update<'a> {
    engine: &'a Engine,
    project: &'a Project,
    state: PathBuf,
    principal: Principal,
    events: EventLog,
    token: CancellationToken,
}

impl<'a> Update<'a> {
    fn new(
        engine: &'a Engine,
        project: &'a Project,
        state: &Path,
        handle: &UpdateHandle,
        token: &CancellationToken,
    ) -> Result<Self> {
        for folder in ["checkpoints", "views"] {
            let folder = state.join(folder);
            std::fs::create_dir_all(&folder).map_err(Error::project("create", &folder))?;
        }
        Ok(Self {
            engine,
            project,
            state: state.to_owned(),
            principal: Principal::new(format!("pipeline:{}", project.name())),
            events: EventLog::new(handle.clone()),
            token: token.clone(),
        })
    }

    fn session(&self) -> Result<Session> {
        let mut context = RequestContext::new(self.principal.clone());
        context.cancellation = self.token.child_token();
        Ok(self.engine.session(&context)?)
    }

    /// Makes the schemas and tables that are missing, in order.
    async fn prepare(&self, session: &Session) -> Result<Vec<Prepared<'a>>> {
        let metastore = self.engine.metastore();
        let nodes = self.project.nodes();
        let schemas = nodes.iter().map(|node| node.dataset.name.schema_name());
        for schema in schemas.chain([self.project.namespace().clone()]) {
            match metastore
                .create_schema(&schema, None, self.principal.as_str())
                .await
            {
                Err(error) if error.kind() != Kind::AlreadyExists => return Err(error.into()),
                _ => {}
            }
        }
        session.use_namespace(self.project.namespace()).await?;
        // Before anything is made: a name that is wrong leaves nothing behind.
        check_names(self.engine, self.project).await?;
        let mut prepared = Vec::with_capacity(nodes.len());
        for node in nodes {
            let (info, table) = self.open_or_create(session, node).await?;
            prepared.push(Prepared { node, info, table });
        }
        Ok(prepared)
    }

    async fn open_or_create(&self, session: &Session, node: &Node) -> Result<(TableInfo, Arc<DeltaTable>)> {
        let dataset = &node.dataset;
        let schema = self.dataset_schema(session, node).await?;
        let spec = TableSpec {
            name: dataset.name.clone(),
            kind: match dataset.kind {
                DatasetKind::StreamingTable => TableKind::StreamingTable,
                DatasetKind::MaterializedView => TableKind::MaterializedView,
            },
            schema: schema.clone(),
            partition_columns: dataset.partition_columns.clone(),
            location: None,
            definition: dataset.query.as_ref().map(|query| query.text.clone()),
            comment: dataset.comment.clone(),
            properties: dataset.properties.clone(),
            clustering_columns: None,
            constraints: Vec::new(),
            dataset: None,
            filters: TableFilters::default(),
        };
        let kind = spec.kind;
        let mut retries = RESERVED.attempts();
        let (info, table) = loop {
            match create_table(session, spec.clone(), true).await {
                Err(error) if error.kind() == Kind::AlreadyExists && !self.token.is_cancelled() => {
                    tracing::warn!(table = %spec.name, "name is reserved by whoever is making the table, or was killed over it");
                    if !retries.pause().await {
                        return Err(error.into());
                    }
                }
                made => break made?,
            }
        };
        let snapshot = table.snapshot().await?;
        check_table(dataset, kind, &info, &schema, &snapshot)?;
        Ok((info, table))
    }

    /// Returns the columns that a dataset has by its definition.
    async fn dataset_schema(&self, session: &Session, node: &Node) -> Result<SchemaRef> {
        if let Some(flow) = &node.cdc {
            let (_, source) = session.open_table(&flow.source.name).await?;
            return cdc::target_schema(flow, source.snapshot().await?.schema());
        }
        let Some(query) = &node.dataset.query else {
            return Ok(Arc::new(Schema::empty()));
        };
        let planning = self.session()?;
        planning.use_namespace(self.project.namespace()).await?;
        for source in &query.sources {
            // Only the columns are asked for, so nothing is written to this checkpoint.
            let checkpoint = self.state.join("checkpoints");
            let schema = self
                .source(session, &source.origin, &checkpoint, 0)
                .await?
                .schema();
            planning.register_relation(&source.relation, Arc::new(EmptyTable::new(schema)))?;
        }
        let rows = planning
            .query(&query.text)
            .await
            .map_err(|source| Error::Planning {
                place: query.place.clone(),
                dataset: node.dataset.name.to_string(),
                source: Box::new(source),
            })?;
        let nullable = rows.schema().fields().iter().map(|field| {
            let mut field = field.as_ref().clone();
            field.set_nullable(true);
            field
        });
        Ok(Arc::new(Schema::new(nullable.collect::<Vec<_>>())))
    }

    /// Makes source number `number` of the query whose checkpoint is at `checkpoint`.
    async fn source(
        &self,
        session: &Session,
        origin: &StreamOrigin,
        checkpoint: &Path,
        number: usize,
    ) -> Result<Arc<dyn Source>> {
        Ok(match origin {
            StreamOrigin::Kafka(options) => Arc::new(KafkaSource::new(options)?),
            StreamOrigin::Files { path, options } => {
                let log = source_folder(checkpoint, number);
                Arc::new(FileSource::new(self.session()?, path, options, log).await?)
            }
            StreamOrigin::Table { reference, options } => {
                let (_, table) = session.open_table(&reference.name).await?;
                Arc::new(DeltaSource::new(table, options).await?)
            }
        })
    }

    /// Notes for the log what datasets have committed and it lacks.
    async fn catch_up(&self, log: &Arc<DeltaTable>) {
        if let Err(error) = self.events.catch_up(log).await {
            let error = ingot_common::error::chain(&error);
            tracing::warn!(
                pipeline = self.project.name(),
                error,
                "event log lacks batches for now"
            );
        }
    }

    /// Writes events. One that cannot be written now is written later, by the next update at the latest: batches are
    /// told by their own commits.
    async fn log_events(&self, session: &Session, log: &Arc<DeltaTable>, which: Which) {
        if let Err(error) = self.events.write(session, log, which).await {
            let error = ingot_common::error::chain(&error);
            tracing::warn!(
                pipeline = self.project.name(),
                error,
                "event log cannot be written for now"
            );
        }
    }

    async fn triggered(&self, prepared: &[Prepared<'a>], log: &Arc<DeltaTable>) -> Result<()> {
        for dataset in prepared {
            if self.token.is_cancelled() {
                return Ok(());
            }
            let work = async {
                match dataset.node.dataset.kind {
                    DatasetKind::StreamingTable => {
                        self.stream(dataset, prepared, Trigger::AvailableNow).await
                    }
                    DatasetKind::MaterializedView => self.refresh(dataset, Files::Changed).await,
                }
            };
            self.noted(dataset, work).await?;
            if !self.token.is_cancelled() {
                let dataset = dataset.node.dataset.name.to_string();
                self.events.note(PipelineEvent::FlowCompleted { dataset });
                self.log_events(&self.session()?, log, Which::Complete).await;
            }
        }
        Ok(())
    }

    /// Notes a failure of `work`; one that comes of the stop is none.
    async fn noted(
        &self,
        dataset: &Prepared<'a>,
        work: impl Future<Output = Result<()>> + Send,
    ) -> Result<()> {
        match work.await {
            Ok(()) => Ok(()),
            Err(_) if self.token.is_cancelled() => Ok(()),
            Err(error) => {
                self.events.note(PipelineEvent::FlowFailed {
                    dataset: dataset.node.dataset.name.to_string(),
                    message: ingot_common::error::chain(&error),
                });
                Err(error)
            }
        }
    }

    async fn refresh(&self, prepared: &Prepared<'a>, files: Files) -> Result<()> {
        let dataset = &prepared.node.dataset;
        let Some(query) = &dataset.query else {
            return Ok(());
        };
        let view = MaterializedView {
            dataset,
            query,
            namespace: self.project.namespace(),
            table_id: prepared.info.id.0,
            table: Arc::clone(&prepared.table),
            mark: self
                .state
                .join("views")
                .join(format!("{}.json", prepared.info.id)),
            events: self.events.clone(),
        };
        view.refresh(&self.session()?, files).await
    }

    async fn stream(&self, prepared: &Prepared<'a>, all: &[Prepared<'a>], trigger: Trigger) -> Result<()> {
        let dataset = &prepared.node.dataset;
        match (&dataset.query, &prepared.node.cdc) {
            (Some(query), _) => self.append(prepared, query, trigger).await,
            (None, Some(flow)) => self.apply_changes(prepared, flow, all, trigger).await,
            (None, None) => Ok(()),
        }
    }

    async fn append(&self, prepared: &Prepared<'a>, query: &Query, trigger: Trigger) -> Result<()> {
        let session = self.session()?;
        let mut sources = Vec::with_capacity(query.sources.len());
        let checkpoint = self.checkpoint(prepared);
        for (number, source) in query.sources.iter().enumerate() {
            sources.push(SourceRelation {
                relation: source.relation.clone(),
                source: self.source(&session, &source.origin, &checkpoint, number).await?,
            });
        }
        let namespace = self.project.namespace();
        let dataset = &prepared.node.dataset;
        let table = Arc::clone(&prepared.table);
        let sink = Arc::new(StreamingTableSink::new(
            dataset,
            &query.text,
            namespace,
            table,
            self.events.clone(),
        ));
        let outcome = self.run_query(prepared, sources, sink.clone(), trigger).await;
        outcome.map_err(|error| sink.violation().unwrap_or(error))
    }

    async fn apply_changes(
        &self,
        prepared: &Prepared<'a>,
        flow: &CdcFlow,
        all: &[Prepared<'a>],
        trigger: Trigger,
    ) -> Result<()> {
        let ours: HashMap<&TableName, &Prepared<'a>> = all
            .iter()
            .map(|dataset| (&dataset.node.dataset.name, dataset))
            .collect();
        let source = match ours.get(&flow.source.name) {
            Some(dataset) => Arc::clone(&dataset.table),
            None => self.session()?.open_table(&flow.source.name).await?.1,
        };
        let snapshot = source.snapshot().await?;
        let namespace = self.project.namespace();
        let table = Arc::clone(&prepared.table);
        let sink = CdcSink::new(flow, snapshot.schema(), namespace, table, self.events.clone());
        let sources = vec![SourceRelation {
            relation: CHANGES.to_owned(),
            source: Arc::new(DeltaSource::new(source, &std::collections::BTreeMap::new()).await?),
        }];
        self.run_query(prepared, sources, Arc::new(sink), trigger).await
    }

    /// Named by the table's id: a table that was dropped starts over.
    fn checkpoint(&self, prepared: &Prepared<'a>) -> PathBuf {
        self.state.join("checkpoints").join(prepared.info.id.to_string())
    }

    async fn run_query(
        &self,
        prepared: &Prepared<'a>,
        sources: Vec<SourceRelation>,
        sink: Arc<dyn BatchSink>,
        trigger: Trigger,
    ) -> Result<()> {
        let query = StreamingQuery {
            options: QueryOptions {
                name: Some(prepared.node.dataset.name.to_string()),
                checkpoint: self.checkpoint(prepared),
                query_id: Some(prepared.info.id.0),
                trigger,
                principal: self.principal.clone(),
            },
            sources,
            sink,
        };
        let events = self.events.clone();
        let handle = QueryHandle::with_listener(Arc::new(move |progress| {
            let batch = BatchKey {
                query_id: progress.id,
                batch_id: progress.batch_id,
            };
            events.attach_progress(batch, serde_json::json!(progress));
        }));
        query.run(self.engine, &handle, self.token.clone()).await?;
        Ok(())
    }
}
