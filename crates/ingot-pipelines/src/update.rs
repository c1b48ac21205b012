//! An update: brings every dataset of a project up to date.
//!
//! ```text
//! prepare: schemas, tables, sources checked ─► triggered:  each dataset in order, to its end
//!                                           └► continuous: all streams at once, views at intervals, until stopped
//! ```

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use datafusion::datasource::empty::EmptyTable;
use futures::future::try_join_all;
use ingot_catalog::{TableInfo, TableKind};
use ingot_common::{Classify, Kind, Principal, RequestContext, TableName};
use ingot_delta::DeltaTable;
use ingot_engine::write::{TableSpec, create_table};
use ingot_engine::{Engine, Session};
use ingot_streaming::{
    BatchSink, DeltaSource, KafkaSource, QueryHandle, QueryOptions, Source, SourceRelation, StreamingQuery,
    Trigger,
};
use tokio_util::sync::CancellationToken;

use crate::definition::{CdcFlow, Dataset, DatasetKind, Query, StreamOrigin};
use crate::event::{EventLog, PipelineEvent, UpdateHandle, event_log_name, open_event_log};
use crate::flow::cdc::{self, CHANGES, CdcSink};
use crate::flow::streaming::StreamingTableSink;
use crate::flow::view::{Files, MaterializedView};
use crate::graph::Node;
use crate::{Error, Project, Result};

/// Pause between micro-batches of a continuous update: batches of a useful size at a latency of a second or two.
const BATCH_INTERVAL: Duration = Duration::from_millis(500);
/// Pause between two looks at the inputs of materialized views in a continuous update.
const VIEW_INTERVAL: Duration = Duration::from_secs(2);

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
/// # Errors
/// The first dataset's that fails, after the others were stopped; what they committed stays.
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
    let outcome = match mode {
        Mode::Triggered => update.triggered(&prepared, &log).await,
        Mode::Continuous => update.continuous(&prepared, &log).await,
    };
    // The events of the end, also of one that failed, and also when the token is cancelled.
    let last = engine.session(&RequestContext::new(update.principal.clone()))?;
    let logged = update.events.write(&last, &log).await;
    outcome.and(logged)
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
        let mut prepared = Vec::with_capacity(nodes.len());
        for node in nodes {
            for reference in node.inputs() {
                self.check_exists(reference).await?;
            }
            let (info, table) = self.open_or_create(session, node).await?;
            prepared.push(Prepared { node, info, table });
        }
        Ok(prepared)
    }

    async fn check_exists(&self, reference: &crate::definition::Reference) -> Result<()> {
        match self.engine.metastore().table(&reference.name).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == Kind::NotFound => Err(Error::Definition {
                place: reference.place.clone(),
                message: format!(
                    "`{}` is neither defined by the project nor in the catalog",
                    reference.name
                ),
            }),
            Err(error) => Err(error.into()),
        }
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
        };
        let kind = spec.kind;
        let (info, table) = create_table(session, spec, true).await?;
        let snapshot = table.snapshot().await?;
        check_columns(dataset, kind, &info, &schema, snapshot.schema())?;
        Ok((info, table))
    }

    /// Returns the columns that a dataset has by its definition.
    async fn dataset_schema(&self, session: &Session, node: &Node) -> Result<arrow::datatypes::SchemaRef> {
        if let Some(flow) = &node.cdc {
            let (_, source) = session.open_table(&flow.source.name).await?;
            return cdc::target_schema(flow, source.snapshot().await?.schema());
        }
        let Some(query) = &node.dataset.query else {
            return Ok(Arc::new(arrow::datatypes::Schema::empty()));
        };
        let planning = self.session()?;
        planning.use_namespace(self.project.namespace()).await?;
        for source in &query.sources {
            let schema = self.source(session, &source.origin).await?.schema();
            planning.register_relation(&source.relation, Arc::new(EmptyTable::new(schema)))?;
        }
        let rows = planning.query(&query.text).await?;
        let nullable = rows.schema().fields().iter().map(|field| {
            let mut field = field.as_ref().clone();
            field.set_nullable(true);
            field
        });
        Ok(Arc::new(arrow::datatypes::Schema::new(
            nullable.collect::<Vec<_>>(),
        )))
    }

    async fn source(&self, session: &Session, origin: &StreamOrigin) -> Result<Arc<dyn Source>> {
        Ok(match origin {
            StreamOrigin::Kafka(options) => Arc::new(KafkaSource::new(options)?),
            StreamOrigin::Table(reference) => {
                let (_, table) = session.open_table(&reference.name).await?;
                Arc::new(DeltaSource::new(table, &std::collections::BTreeMap::new()).await?)
            }
        })
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
                self.events.write(&self.session()?, log).await?;
            }
        }
        Ok(())
    }

    async fn continuous(&self, prepared: &[Prepared<'a>], log: &Arc<DeltaTable>) -> Result<()> {
        let mut flows: Vec<Pin<Box<dyn Future<Output = Result<()>> + Send + '_>>> = Vec::new();
        for dataset in prepared {
            if dataset.node.dataset.kind == DatasetKind::StreamingTable {
                let trigger = Trigger::ProcessingTime(BATCH_INTERVAL);
                flows.push(Box::pin(
                    self.noted(dataset, self.stream(dataset, prepared, trigger)),
                ));
            }
        }
        flows.push(Box::pin(self.refresh_at_intervals(prepared, log)));
        // Dropping a query is safe at any point, so the first failure simply ends the others.
        try_join_all(flows).await.map(drop)
    }

    async fn refresh_at_intervals(&self, prepared: &[Prepared<'a>], log: &Arc<DeltaTable>) -> Result<()> {
        let mut files = Files::Changed;
        while !self.token.is_cancelled() {
            for dataset in prepared {
                if dataset.node.dataset.kind == DatasetKind::MaterializedView && !self.token.is_cancelled() {
                    self.noted(dataset, self.refresh(dataset, files)).await?;
                }
            }
            files = Files::Unchanged;
            if !self.token.is_cancelled() {
                self.events.write(&self.session()?, log).await?;
            }
            tokio::select! {
                () = tokio::time::sleep(VIEW_INTERVAL) => {}
                () = self.token.cancelled() => {}
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
        for source in &query.sources {
            sources.push(SourceRelation {
                relation: source.relation.clone(),
                source: self.source(&session, &source.origin).await?,
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
                // Named by the table's id: a table that was dropped starts over.
                checkpoint: self.state.join("checkpoints").join(prepared.info.id.to_string()),
                trigger,
                principal: self.principal.clone(),
            },
            sources,
            sink,
        };
        query
            .run(self.engine, &QueryHandle::new(), self.token.clone())
            .await?;
        Ok(())
    }
}

/// A table that was there must be the dataset's, with its columns.
fn check_columns(
    dataset: &Dataset,
    kind: TableKind,
    info: &TableInfo,
    defined: &arrow::datatypes::Schema,
    stored: &arrow::datatypes::Schema,
) -> Result<()> {
    let changed = |message: String| Error::SchemaChanged {
        dataset: dataset.name.to_string(),
        message,
    };
    if info.kind != kind {
        return Err(changed(format!(
            "it is a {}, not a {}",
            info.kind.as_str(),
            kind.as_str()
        )));
    }
    let names = |schema: &arrow::datatypes::Schema| -> Vec<String> {
        schema
            .fields()
            .iter()
            .map(|field| field.name().to_lowercase())
            .collect()
    };
    let (defined, stored) = (names(defined), names(stored));
    if defined != stored {
        let message = format!(
            "the query gives {}, the table has {}",
            defined.join(", "),
            stored.join(", ")
        );
        return Err(changed(message));
    }
    Ok(())
}
