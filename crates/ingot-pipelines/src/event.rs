//! What happens in an update: for whoever follows it, and for the event log, a Delta table.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use ingot_catalog::TableKind;
use ingot_common::{SchemaName, TableName, clock};
use ingot_delta::{DeltaTable, Operation};
use ingot_engine::Session;
use ingot_engine::write::{TableSpec, commit_append, create_table, stage_files};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use uuid::Uuid;

use crate::Result;

/// What happened, for progress bars and the event log.
#[derive(Debug, Clone, PartialEq)]
pub enum PipelineEvent {
    /// A dataset took rows.
    FlowProgress {
        dataset: String,
        /// Rows that the dataset's query gave.
        rows_in: u64,
        /// Rows that were written.
        rows_out: u64,
        /// Name, passed, failed.
        expectations: Vec<(String, u64, u64)>,
    },
    /// A dataset is up to date.
    FlowCompleted { dataset: String },
    /// A dataset failed.
    FlowFailed { dataset: String, message: String },
}

/// Follows an update. Cheap to clone.
#[derive(Debug, Clone)]
pub struct UpdateHandle {
    events: UnboundedSender<PipelineEvent>,
}

impl UpdateHandle {
    /// Makes a handle and the receiver of its events. There are a few events a second at most; a receiver that
    /// is closed gets none.
    pub fn new() -> (Self, UnboundedReceiver<PipelineEvent>) {
        let (events, receiver) = unbounded_channel();
        (Self { events }, receiver)
    }
}

/// Collects the events of one update. Cheap to clone; clones share the events.
#[derive(Debug, Clone)]
pub(crate) struct EventLog {
    handle: UpdateHandle,
    update_id: Uuid,
    unwritten: Arc<Mutex<Vec<(i64, PipelineEvent)>>>,
}

impl EventLog {
    /// Begins the log of an update.
    pub fn new(handle: UpdateHandle) -> Self {
        Self {
            handle,
            update_id: Uuid::now_v7(),
            unwritten: Arc::default(),
        }
    }

    /// Notes an event.
    pub fn note(&self, event: PipelineEvent) {
        let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
        unwritten.push((clock::now_ms(), event.clone()));
        // Nobody may be listening.
        let _ = self.handle.events.send(event);
    }

    /// Appends what was noted since the last call to the table.
    pub async fn write(&self, session: &Session, table: &Arc<DeltaTable>) -> Result<()> {
        let events = {
            let mut unwritten = self.unwritten.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *unwritten)
        };
        if events.is_empty() {
            return Ok(());
        }
        let rows = session
            .datafusion()
            .read_batch(self.rows(&events)?)
            .map_err(ingot_engine::Error::from)?;
        let snapshot = table.snapshot().await?;
        let staged = stage_files(session, table, &snapshot, rows).await?;
        let operation = Operation::new("WRITE")
            .with("mode", "Append")
            .with("partitionBy", "[]");
        commit_append(session, table, &snapshot, staged, operation).await?;
        Ok(())
    }

    fn rows(&self, events: &[(i64, PipelineEvent)]) -> Result<RecordBatch> {
        let texts = |text: &dyn Fn(&PipelineEvent) -> String| -> ArrayRef {
            let texts = events.iter().map(|(_, event)| Some(text(event)));
            Arc::new(texts.collect::<StringArray>())
        };
        let times = events.iter().map(|(at_ms, _)| at_ms * 1000);
        let columns: Vec<ArrayRef> = vec![
            texts(&|_| Uuid::now_v7().to_string()),
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
            texts(&|_| self.update_id.to_string()),
            texts(&|event| event.dataset().to_owned()),
            texts(&|event| event.event_type().to_owned()),
            texts(&|event| event.level().to_owned()),
            texts(&|event| event.details().to_string()),
        ];
        RecordBatch::try_new(event_schema(), columns).map_err(|error| {
            ingot_engine::Error::from(datafusion::error::DataFusionError::from(error)).into()
        })
    }
}

impl PipelineEvent {
    fn dataset(&self) -> &str {
        match self {
            Self::FlowProgress { dataset, .. }
            | Self::FlowCompleted { dataset }
            | Self::FlowFailed { dataset, .. } => dataset,
        }
    }

    fn event_type(&self) -> &'static str {
        match self {
            Self::FlowProgress { .. } => "flow_progress",
            Self::FlowCompleted { .. } => "flow_completed",
            Self::FlowFailed { .. } => "flow_failed",
        }
    }

    fn level(&self) -> &'static str {
        match self {
            Self::FlowProgress { .. } => "METRICS",
            Self::FlowCompleted { .. } => "INFO",
            Self::FlowFailed { .. } => "ERROR",
        }
    }

    fn details(&self) -> serde_json::Value {
        match self {
            Self::FlowProgress {
                rows_in,
                rows_out,
                expectations,
                ..
            } => {
                let expectations: Vec<_> = expectations
                    .iter()
                    .map(|(name, passed, failed)| {
                        serde_json::json!({"name": name, "passed_records": passed, "failed_records": failed})
                    })
                    .collect();
                serde_json::json!({"rows_in": rows_in, "rows_out": rows_out, "expectations": expectations})
            }
            Self::FlowCompleted { .. } => serde_json::json!({}),
            Self::FlowFailed { message, .. } => serde_json::json!({ "error": message }),
        }
    }
}

/// Returns the name of a pipeline's event log.
pub(crate) fn event_log_name(namespace: &SchemaName, pipeline: &str) -> Result<TableName> {
    let table =
        ingot_common::Identifier::new(format!("event_log_{pipeline}")).map_err(ingot_engine::Error::from)?;
    Ok(TableName::new(
        namespace.catalog.clone(),
        namespace.schema.clone(),
        table,
    ))
}

/// Opens the event log, creating it at the first update.
pub(crate) async fn open_event_log(session: &Session, name: TableName) -> Result<Arc<DeltaTable>> {
    let spec = TableSpec {
        name,
        kind: TableKind::Managed,
        schema: event_schema(),
        partition_columns: Vec::new(),
        location: None,
        definition: None,
        comment: Some("Events of a pipeline's updates".to_owned()),
        properties: std::collections::BTreeMap::new(),
    };
    let (_, table) = create_table(session, spec, true).await?;
    Ok(table)
}

fn event_schema() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, true);
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        text("id"),
        Field::new("timestamp", instant, true),
        text("update_id"),
        text("dataset"),
        text("event_type"),
        text("level"),
        text("details"),
    ]))
}
