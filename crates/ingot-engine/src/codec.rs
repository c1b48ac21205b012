//! The physical codec: a Delta scan as bytes, so that a plan can run in another process.
//!
//! ```text
//! u32 length of header (little endian) │ header, JSON │ DataFusion's encoding of the file scan
//! ```
//!
//! The receiver reads the same files from its own store: the location is sent, no credentials are.
//!
//! What lets a statement of this process be stopped is left out: [`PairsExec`] and [`UntilOver`] arrive as their inputs.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::datasource::physical_plan::parquet::{ParquetFileReaderFactory, ParquetRowSelection};
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfig, FileScanConfigBuilder, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr_common::physical_expr::proto_decode::PhysicalExprDecodeCtx;
use datafusion::physical_expr_common::physical_expr::proto_encode::PhysicalExprEncodeCtx;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{
    AsExecutionPlan, PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf::PhysicalPlanNode;
use ingot_delta::{ColumnMapping, DeltaTables};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::provider::external;
use crate::resources::{PairsExec, UntilOver};
use crate::scan::{DeltaScanExec, ScanTarget, reader_factory};

/// Encodes and decodes [`DeltaScanExec`].
#[derive(Debug)]
pub struct DeltaCodec {
    tables: DeltaTables,
}

impl DeltaCodec {
    /// Makes a codec whose decoded scans read through `tables`.
    pub fn new(tables: DeltaTables) -> Self {
        Self { tables }
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    location: Url,
    version: i64,
    files: usize,
    files_pruned: usize,
    column_mapping: Option<ColumnMapping>,
    /// By path in the store: the live rows of files with deletion vectors.
    selections: BTreeMap<String, Vec<Run>>,
}

/// A run of rows.
#[derive(Serialize, Deserialize)]
struct Run {
    rows: usize,
    live: bool,
}

impl PhysicalExtensionCodec for DeltaCodec {
    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        buffer: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        if node.is::<PairsExec>() {
            return Ok(());
        }
        let Some(scan) = node.downcast_ref::<DeltaScanExec>() else {
            return Err(DataFusionError::NotImplemented(format!(
                "{} cannot be sent to another process",
                node.name()
            )));
        };
        let (config, source) = parts(scan.source())?;
        if !source_schema_is_plain(source) {
            return Err(DataFusionError::NotImplemented(
                "a scan that numbers rows cannot be sent to another process".to_owned(),
            ));
        }
        let header = Header {
            location: scan.location().clone(),
            version: scan.version(),
            files: scan.files(),
            files_pruned: scan.files_pruned(),
            column_mapping: scan.mapping().cloned(),
            selections: selections(config),
        };
        let header =
            serde_json::to_vec(&header).map_err(|error| DataFusionError::External(Box::new(error)))?;
        let length = u32::try_from(header.len()).map_err(|_| invalid("header is too long"))?;
        buffer.extend_from_slice(&length.to_le_bytes());
        buffer.extend_from_slice(&header);
        let plan: Arc<dyn ExecutionPlan> = Arc::clone(scan.source()) as _;
        converter.execution_plan_to_proto(&plan, self)?.try_encode(buffer)
    }

    fn try_decode(
        &self,
        buffer: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if let ([], [input]) = (buffer, inputs) {
            return Ok(Arc::clone(input));
        }
        let (header, plan) = split(buffer)?;
        let (store, _) = self.tables.store_for(&header.location).map_err(external)?;
        let url = ScanTarget::store_url(&header.location)?;
        context
            .runtime_env()
            .register_object_store(url.as_ref(), Arc::clone(&store));
        let decoding = PhysicalPlanDecodeContext::new(context, self);
        let plan = converter.proto_to_execution_plan(&PhysicalPlanNode::try_decode(plan)?, &decoding)?;
        let source = plan
            .downcast_ref::<DataSourceExec>()
            .ok_or_else(|| invalid("it holds no file scan"))?;
        let source = with_selections(source, &header.selections)?;
        let readers = reader_factory(
            &context.runtime_env(),
            &store,
            header.column_mapping.as_ref(),
            None,
        );
        let source = with_readers(&source, readers)?;
        let target = ScanTarget {
            location: header.location,
            version: header.version,
            store,
            mapping: header.column_mapping,
            files: header.files,
            files_pruned: header.files_pruned,
        };
        Ok(Arc::new(DeltaScanExec::new(Arc::new(target), Arc::new(source))))
    }

    fn try_encode_expr(
        &self,
        node: &Arc<dyn PhysicalExpr>,
        _buffer: &mut Vec<u8>,
        _context: &PhysicalExprEncodeCtx<'_>,
    ) -> Result<()> {
        match node.is::<UntilOver>() {
            true => Ok(()),
            false => Err(DataFusionError::NotImplemented(format!(
                "`{node}` cannot be sent to another process"
            ))),
        }
    }

    fn try_decode_expr(
        &self,
        _buffer: &[u8],
        inputs: &[Arc<dyn PhysicalExpr>],
        _context: &PhysicalExprDecodeCtx<'_>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let input = inputs.first().map(Arc::clone);
        input.ok_or_else(|| invalid("it holds no condition"))
    }
}

fn parts(source: &DataSourceExec) -> Result<(&FileScanConfig, &ParquetSource)> {
    source
        .downcast_to_file_source::<ParquetSource>()
        .ok_or_else(|| DataFusionError::Internal("a Delta scan reads Parquet files".to_owned()))
}

fn source_schema_is_plain(source: &ParquetSource) -> bool {
    use datafusion::datasource::physical_plan::FileSource;
    source.table_schema().virtual_columns().is_empty()
}

fn split(buffer: &[u8]) -> Result<(Header, &[u8])> {
    let (length, rest) = buffer
        .split_first_chunk::<4>()
        .ok_or_else(|| invalid("it is cut short"))?;
    let length = u32::from_le_bytes(*length) as usize;
    if rest.len() < length {
        return Err(invalid("it is cut short"));
    }
    let (header, plan) = rest.split_at(length);
    let header =
        serde_json::from_slice(header).map_err(|error| DataFusionError::External(Box::new(error)))?;
    Ok((header, plan))
}

fn selections(config: &FileScanConfig) -> BTreeMap<String, Vec<Run>> {
    config
        .file_groups
        .iter()
        .flat_map(FileGroup::iter)
        .filter_map(|file| {
            let selection = file.extension::<ParquetRowSelection>()?;
            let runs = selection
                .selection()
                .iter()
                .map(|selector| Run {
                    rows: selector.row_count,
                    live: !selector.skip,
                })
                .collect();
            Some((file.path().to_string(), runs))
        })
        .collect()
}

fn with_selections(
    source: &DataSourceExec,
    selections: &BTreeMap<String, Vec<Run>>,
) -> Result<DataSourceExec> {
    let (config, _) = parts(source)?;
    if selections.is_empty() {
        return Ok(source.clone());
    }
    let groups = config
        .file_groups
        .iter()
        .map(|group| {
            let files = group
                .iter()
                .map(|file| match selections.get(file.path().as_ref()) {
                    Some(runs) => file.clone().with_extension(row_selection(runs)),
                    None => file.clone(),
                });
            FileGroup::new(files.collect())
        })
        .collect();
    let config = FileScanConfigBuilder::from(config.clone())
        .with_file_groups(groups)
        .build();
    Ok(DataSourceExec::new(Arc::new(config)))
}

fn with_readers(
    source: &DataSourceExec,
    readers: Arc<dyn ParquetFileReaderFactory>,
) -> Result<DataSourceExec> {
    let (config, files) = parts(source)?;
    let files = files.clone().with_parquet_file_reader_factory(readers);
    let config = FileScanConfigBuilder::from(config.clone())
        .with_source(Arc::new(files))
        .build();
    Ok(DataSourceExec::new(Arc::new(config)))
}

fn row_selection(runs: &[Run]) -> ParquetRowSelection {
    let selectors: Vec<RowSelector> = runs
        .iter()
        .map(|run| match run.live {
            true => RowSelector::select(run.rows),
            false => RowSelector::skip(run.rows),
        })
        .collect();
    ParquetRowSelection::new(RowSelection::from(selectors))
}

fn invalid(reason: &str) -> DataFusionError {
    DataFusionError::Execution(format!("encoded Delta scan is invalid: {reason}"))
}
