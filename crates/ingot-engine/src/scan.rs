//! The plan node that reads data files of one version of a Delta table.
//!
//! ```text
//! DeltaScanExec (table, version, counts of files) ─ delegates to ─► DataSourceExec ─► ParquetSource ─► the table's store
//! ```
//!
//! The node carries what the log decided; reading, repartitioning, filter and sort pushdown are DataFusion's.
//! Always true: bytes come from the store of the table's handle, whatever the session's registry held before.

pub(crate) mod files;
mod mapped;
mod small_files;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::config::ConfigOptions;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sort_pushdown::SortOrderPushdownResult;
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use ingot_delta::ColumnMapping;
use object_store::ObjectStore;
use sha2::{Digest, Sha256};
use url::Url;

pub(crate) use files::{FileCacheUse, ScanRequest, plan_scan, reader_factory};

/// What a scan reads, and from where.
#[derive(Debug, Clone)]
pub(crate) struct ScanTarget {
    pub location: Url,
    pub version: i64,
    pub store: Arc<dyn ObjectStore>,
    /// How columns stand in files; `None` where they have their own names there.
    pub mapping: Option<ColumnMapping>,
    /// Files that are read.
    pub files: usize,
    /// Files of the version that are not, because no row of theirs can be wanted.
    pub files_pruned: usize,
}

impl ScanTarget {
    /// Returns the URL under which the store is registered for scans: one per table, because two tables of
    /// one host may have different stores.
    pub(crate) fn store_url(location: &Url) -> Result<ObjectStoreUrl> {
        let digest = Sha256::digest(location.as_str().as_bytes());
        let name: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        ObjectStoreUrl::parse(format!("delta-table://{name}"))
    }
}

/// Reads data files of a Delta table. See the module's documentation.
#[derive(Debug, Clone)]
pub struct DeltaScanExec {
    target: Arc<ScanTarget>,
    source: Arc<DataSourceExec>,
}

impl DeltaScanExec {
    /// Puts the node around the plan that reads its files.
    pub(crate) fn new(target: Arc<ScanTarget>, source: Arc<DataSourceExec>) -> Self {
        Self { target, source }
    }

    /// Returns the table's root.
    pub fn location(&self) -> &Url {
        &self.target.location
    }

    /// Returns the version that is read.
    pub fn version(&self) -> i64 {
        self.target.version
    }

    /// Returns how many files are read.
    pub fn files(&self) -> usize {
        self.target.files
    }

    /// Returns how many files of the version are left out.
    pub fn files_pruned(&self) -> usize {
        self.target.files_pruned
    }

    pub(crate) fn mapping(&self) -> Option<&ColumnMapping> {
        self.target.mapping.as_ref()
    }

    pub(crate) fn source(&self) -> &Arc<DataSourceExec> {
        &self.source
    }

    /// Puts this node around what became of its source.
    fn around(&self, plan: &Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let source = plan
            .downcast_ref::<DataSourceExec>()
            .ok_or_else(|| DataFusionError::Internal(format!("{} is no file scan", plan.name())))?;
        Ok(Arc::new(Self {
            target: Arc::clone(&self.target),
            source: Arc::new(source.clone()),
        }))
    }
}

impl DisplayAs for DeltaScanExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => write!(
                f,
                "DeltaScanExec: location={}, version={}, files={}, files_pruned={}, ",
                self.target.location, self.target.version, self.target.files, self.target.files_pruned
            )?,
            DisplayFormatType::TreeRender => {
                writeln!(f, "version={}", self.target.version)?;
                writeln!(f, "files_pruned={}", self.target.files_pruned)?;
            }
        }
        self.source.data_source().fmt_as(format, f)
    }
}

impl ExecutionPlan for DeltaScanExec {
    fn name(&self) -> &'static str {
        "DeltaScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.source.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() {
            Ok(self)
        } else {
            Err(DataFusionError::Internal(
                "a Delta scan has no children".to_owned(),
            ))
        }
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.source.apply_expressions(f)
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        let source = Arc::clone(&self.source).reset_state()?;
        self.around(&source)
    }

    fn repartitioned(
        &self,
        target_partitions: usize,
        config: &ConfigOptions,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        self.source
            .repartitioned(target_partitions, config)?
            .map(|plan| self.around(&plan))
            .transpose()
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let url = ScanTarget::store_url(&self.target.location)?;
        context
            .runtime_env()
            .register_object_store(url.as_ref(), Arc::clone(&self.target.store));
        self.source.execute(partition, context)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let mut metrics = self.source.metrics()?;
        let own = ExecutionPlanMetricsSet::new();
        let counts = [
            ("files_read", self.target.files),
            ("files_pruned", self.target.files_pruned),
        ];
        for (name, count) in counts {
            MetricBuilder::new(&own).global_counter(name).add(count);
        }
        for metric in own.clone_inner().iter() {
            metrics.push(Arc::clone(metric));
        }
        Some(metrics)
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let statistics = self.source.statistics_from_inputs(inputs, args)?;
        let Some(fetch) = self.source.fetch() else {
            return Ok(statistics);
        };
        // The source's statistics are those of whole files.
        let statistics = Arc::unwrap_or_clone(statistics);
        Ok(Arc::new(statistics.with_fetch(Some(fetch), 0, 1)?))
    }

    fn supports_limit_pushdown(&self) -> bool {
        self.source.supports_limit_pushdown()
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        let plan = self.source.with_fetch(limit)?;
        self.around(&plan).ok()
    }

    fn fetch(&self) -> Option<usize> {
        self.source.fetch()
    }

    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExec,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        self.source
            .try_swapping_with_projection(projection)?
            .map(|plan| self.around(&plan))
            .transpose()
    }

    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        child_pushdown_result: ChildPushdownResult,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let result = self
            .source
            .handle_child_pushdown_result(phase, child_pushdown_result, config)?;
        let updated_node = result.updated_node.map(|plan| self.around(&plan)).transpose()?;
        Ok(FilterPushdownPropagation {
            filters: result.filters,
            updated_node,
        })
    }

    fn with_new_state(&self, state: Arc<dyn Any + Send + Sync>) -> Option<Arc<dyn ExecutionPlan>> {
        let plan = self.source.with_new_state(state)?;
        self.around(&plan).ok()
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
    ) -> Result<SortOrderPushdownResult<Arc<dyn ExecutionPlan>>> {
        self.source
            .try_pushdown_sort(order)?
            .try_map(|plan| self.around(&plan))
    }

    fn with_preserve_order(&self, preserve_order: bool) -> Option<Arc<dyn ExecutionPlan>> {
        let plan = self.source.with_preserve_order(preserve_order)?;
        self.around(&plan).ok()
    }
}
