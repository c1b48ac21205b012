//! A Delta table as DataFusion sees it: one snapshot, or some files of it.
//!
//! ```text
//! filters ─► partition-only ─► evaluated on each file's partition values (exact) ─┐
//!         └► the rest ───────► compared with each file's bounds (`pruning`) ──────┴► files ─► limit ─► DeltaScanExec
//! ```
//!
//! Always true: a file that may hold a matching row is read; rows that a deletion vector deletes are not.

mod file_order;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::project_schema;
use datafusion::datasource::source_as_provider;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableScan, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use ingot_delta::{Add, DeletionVector, DeltaTable, FileIndex, RowIdColumns, Snapshot};
use parquet::arrow::RowNumber;

pub(crate) use self::file_order::FileOrder;
use crate::pruning::{self, PartitionColumns};
use crate::scan::{ScanRequest, plan_scan};
use crate::statistics::TableFacts;

/// The column of [`tagged_provider`] with the file's number in the snapshot's index.
pub(crate) const FILE_COLUMN: &str = "__ingot_file";
/// The column of [`tagged_provider`] with the row's position in its file, deleted rows counted.
pub(crate) const ROW_COLUMN: &str = "__ingot_row";

/// Columns of a provider with row ids: the first id of a row's file, and the file's commit version. Null where the file
/// has none. The ids and versions that a row itself has are in the columns that [`RowIdColumns`] names.
pub(crate) const BASE_ROW_ID: &str = "__ingot_base_row_id";
pub(crate) const FILE_COMMIT_VERSION: &str = "__ingot_default_row_commit_version";

/// Rows of files, by the files' numbers in the snapshot's index and the rows' positions in them.
pub(crate) type Positions = BTreeMap<usize, DeletionVector>;

/// Which rows of its files a provider reads.
#[derive(Debug, Clone)]
pub(crate) enum Rows {
    /// Those that are not deleted.
    Live,
    /// Those that are neither deleted nor listed.
    Except(Arc<Positions>),
    /// Those that are listed; of a file that is not, those that are not deleted.
    Listed(Arc<Positions>),
    /// Those that are not deleted; of one file, by its number, from this position on.
    From { file: usize, row: u64 },
}

/// Makes the provider of one snapshot. Also `files`, if given, restricts it to files of the snapshot's
/// index, by number: MERGE reads the files it may touch.
pub fn delta_provider(
    table: Arc<DeltaTable>,
    snapshot: Arc<Snapshot>,
    files: Option<Vec<usize>>,
) -> Arc<dyn TableProvider> {
    Arc::new(DeltaTableProvider {
        files,
        ..DeltaTableProvider::whole(table, snapshot)
    })
}

/// Makes the provider of `files`, by number, whose rows are written again as they are: text and bytes come as views of
/// what was read, where the writer takes them as such.
pub(crate) fn copied_files_provider(
    table: Arc<DeltaTable>,
    snapshot: Arc<Snapshot>,
    files: Vec<usize>,
) -> Arc<dyn TableProvider> {
    let partition_columns = snapshot.partition_columns();
    let fields = snapshot.schema().fields().iter().map(|field| {
        let view = match field.data_type() {
            DataType::Utf8 => DataType::Utf8View,
            DataType::Binary => DataType::BinaryView,
            _ => return Arc::clone(field),
        };
        match partition_columns.contains(field.name()) {
            true => Arc::clone(field),
            false => Arc::new(field.as_ref().clone().with_data_type(view)),
        }
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    Arc::new(DeltaTableProvider {
        files: Some(files),
        schema,
        ..DeltaTableProvider::whole(table, snapshot)
    })
}

/// Makes the provider of a past version that a query asks for by number or time: it reads the same rows whatever
/// is committed meanwhile.
pub(crate) fn past_provider(table: Arc<DeltaTable>, snapshot: Arc<Snapshot>) -> Arc<dyn TableProvider> {
    Arc::new(DeltaTableProvider {
        past: true,
        ..DeltaTableProvider::whole(table, snapshot)
    })
}

/// Makes the provider of the files of `adds`, whether or not `snapshot` still has them, read with its schema:
/// streaming reads what commits added.
pub fn added_files_provider(
    table: Arc<DeltaTable>,
    snapshot: Arc<Snapshot>,
    adds: Vec<Arc<Add>>,
) -> Arc<dyn TableProvider> {
    Arc::new(DeltaTableProvider {
        index: Some(snapshot.index_of(adds)),
        ..DeltaTableProvider::whole(table, snapshot)
    })
}

/// Makes the provider of what a stream has not read yet of a table: the files of `adds`, or all of `snapshot`.
pub(crate) fn streamed_provider(
    table: Arc<DeltaTable>,
    snapshot: Arc<Snapshot>,
    adds: Option<Vec<Arc<Add>>>,
) -> Arc<dyn TableProvider> {
    Arc::new(DeltaTableProvider {
        index: adds.map(|adds| snapshot.index_of(adds)),
        streamed: true,
        ..DeltaTableProvider::whole(table, snapshot)
    })
}

/// Makes the provider of some rows of `files`, by number.
pub(crate) fn rows_provider(
    table: Arc<DeltaTable>,
    snapshot: Arc<Snapshot>,
    files: Vec<usize>,
    rows: Rows,
) -> Arc<dyn TableProvider> {
    Arc::new(DeltaTableProvider {
        files: Some(files),
        rows,
        ..DeltaTableProvider::whole(table, snapshot)
    })
}

/// Makes such a provider whose rows also have what their ids are made of: see [`crate::row_ids`].
pub(crate) fn tracked_provider(
    table: Arc<DeltaTable>,
    snapshot: Arc<Snapshot>,
    files: Vec<usize>,
    rows: Rows,
    ids: &RowIdColumns,
) -> Arc<dyn TableProvider> {
    Arc::new(DeltaTableProvider {
        files: Some(files),
        rows,
        ..DeltaTableProvider::with_hidden(table, snapshot, false, Some(ids))
    })
}

/// Makes the provider of the files of `adds` as [`added_files_provider`] does, with what row ids are made of.
pub(crate) fn tracked_files_provider(
    table: Arc<DeltaTable>,
    snapshot: Arc<Snapshot>,
    adds: Vec<Arc<Add>>,
    ids: &RowIdColumns,
) -> Arc<dyn TableProvider> {
    Arc::new(DeltaTableProvider {
        index: Some(snapshot.index_of(adds)),
        ..DeltaTableProvider::with_hidden(table, snapshot, false, Some(ids))
    })
}

/// Makes a provider whose rows also say where they are, in columns [`FILE_COLUMN`] and [`ROW_COLUMN`] after
/// the table's own.
pub(crate) fn tagged_provider(
    table: Arc<DeltaTable>,
    snapshot: Arc<Snapshot>,
    files: Option<Vec<usize>>,
) -> Arc<dyn TableProvider> {
    tagged_rows_provider(table, snapshot, files, Rows::Live, None)
}

/// Makes such a provider of some rows only, with what row ids are made of where `ids` are given.
pub(crate) fn tagged_rows_provider(
    table: Arc<DeltaTable>,
    snapshot: Arc<Snapshot>,
    files: Option<Vec<usize>>,
    rows: Rows,
    ids: Option<&RowIdColumns>,
) -> Arc<dyn TableProvider> {
    Arc::new(DeltaTableProvider {
        files,
        rows,
        ..DeltaTableProvider::with_hidden(table, snapshot, true, ids)
    })
}

/// Makes such a provider whose [`FILE_COLUMN`] is the file's rank in `order`. A plan of one partition gives the rows by
/// rank and position.
pub(crate) fn ordered_provider(
    table: Arc<DeltaTable>,
    snapshot: Arc<Snapshot>,
    order: Arc<FileOrder>,
    files: Vec<usize>,
    rows: Rows,
) -> Arc<dyn TableProvider> {
    Arc::new(DeltaTableProvider {
        files: Some(files),
        rows,
        order: Some(order),
        ..DeltaTableProvider::with_hidden(table, snapshot, true, None)
    })
}

/// Which columns a provider has after the table's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Hidden {
    /// Where rows are: [`FILE_COLUMN`] and [`ROW_COLUMN`].
    positions: bool,
    /// What their ids are made of, [`ROW_COLUMN`] included.
    row_ids: bool,
}

impl Hidden {
    fn any(self) -> bool {
        self.positions || self.row_ids
    }

    fn schema(self, snapshot: &Snapshot, ids: Option<&RowIdColumns>) -> SchemaRef {
        let mut fields = snapshot.schema().fields().to_vec();
        let mut add = |name: &str, nullable| {
            fields.push(Arc::new(Field::new(name, DataType::Int64, nullable)));
        };
        if self.positions {
            add(FILE_COLUMN, false);
        }
        if let Some(ids) = ids {
            let own = [ids.row_id.as_str(), ids.row_commit_version.as_str()];
            for name in own.into_iter().chain([BASE_ROW_ID, FILE_COMMIT_VERSION]) {
                add(name, true);
            }
        }
        if self.any() {
            fields.push(Arc::new(
                Field::new(ROW_COLUMN, DataType::Int64, false).with_extension_type(RowNumber),
            ));
        }
        Arc::new(Schema::new(fields))
    }
}

/// One snapshot of a table, to be scanned.
#[derive(Debug)]
pub struct DeltaTableProvider {
    table: Arc<DeltaTable>,
    snapshot: Arc<Snapshot>,
    /// The files to choose from; the snapshot's when `None`.
    index: Option<FileIndex>,
    /// File numbers, ascending or in `order`; all when `None`.
    files: Option<Vec<usize>>,
    /// In which order files are read; in any when `None`.
    order: Option<Arc<FileOrder>>,
    schema: SchemaRef,
    hidden: Hidden,
    rows: Rows,
    /// The query asks for this version, not for the table as it is.
    past: bool,
    /// The query asks for what comes to the table, batch after batch.
    streamed: bool,
    facts: OnceLock<Arc<TableFacts>>,
}

/// Calls `of` with what a scan reads, if that is a Delta table.
pub(crate) fn with_delta<T>(scan: &TableScan, of: impl FnOnce(&DeltaTableProvider) -> T) -> Option<T> {
    let provider = source_as_provider(&scan.source).ok()?;
    provider.downcast_ref::<DeltaTableProvider>().map(of)
}

impl DeltaTableProvider {
    /// All live rows of a snapshot, in the table's columns.
    fn whole(table: Arc<DeltaTable>, snapshot: Arc<Snapshot>) -> Self {
        let schema = Arc::clone(snapshot.schema());
        Self {
            table,
            snapshot,
            index: None,
            files: None,
            order: None,
            schema,
            hidden: Hidden::default(),
            rows: Rows::Live,
            past: false,
            streamed: false,
            facts: OnceLock::new(),
        }
    }

    /// The same with hidden columns: where rows are, if `positions`, and what their ids are made of, if `ids` are given.
    fn with_hidden(
        table: Arc<DeltaTable>,
        snapshot: Arc<Snapshot>,
        positions: bool,
        ids: Option<&RowIdColumns>,
    ) -> Self {
        let hidden = Hidden {
            positions,
            row_ids: ids.is_some(),
        };
        Self {
            schema: hidden.schema(&snapshot, ids),
            hidden,
            ..Self::whole(table, snapshot)
        }
    }

    /// Returns the table.
    pub fn table(&self) -> &Arc<DeltaTable> {
        &self.table
    }

    /// Returns the version that scans read.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Says if the version was asked for by number or time.
    pub(crate) fn past(&self) -> bool {
        self.past
    }

    /// Says if the query asks for what comes to the table, batch after batch.
    pub(crate) fn streamed(&self) -> bool {
        self.streamed
    }

    /// Returns the snapshot, if this is all of the table as it is, in its own columns.
    pub(crate) fn newest(&self) -> Option<&Arc<Snapshot>> {
        let whole = self.index.is_none() && self.files.is_none() && !self.target();
        let own = Arc::ptr_eq(&self.schema, self.snapshot.schema());
        (whole && own && !self.past && !self.streamed).then_some(&self.snapshot)
    }

    /// Says if this is what a statement changes, rather than a table that it reads.
    pub(crate) fn target(&self) -> bool {
        self.hidden.any() || !matches!(self.rows, Rows::Live)
    }

    /// Returns what the log knows of the table's rows; `None` before its statistics are parsed.
    pub(crate) fn facts(&self) -> Option<Arc<TableFacts>> {
        let index = self.index.as_ref().or_else(|| self.snapshot.parsed_files())?;
        let facts = self
            .facts
            .get_or_init(|| Arc::new(TableFacts::new(index.clone())));
        Some(Arc::clone(facts))
    }

    /// Returns the numbers of the files, ascending, that may hold a row which `filters` let through.
    pub(crate) async fn files_for(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<usize>> {
        let index = self.index().await?;
        let (partition_filters, data_filters) = self.split_filters(filters);
        self.select_files(state, index, &partition_filters, &data_filters)
    }

    async fn index(&self) -> Result<&FileIndex> {
        match &self.index {
            Some(index) => Ok(index),
            None => self.snapshot.files().await.map_err(external),
        }
    }

    /// Separates the filters that a file's partition values decide from the others.
    fn split_filters(&self, filters: &[Expr]) -> (Vec<Expr>, Vec<Expr>) {
        let partition_columns = self.snapshot.partition_columns();
        filters
            .iter()
            .cloned()
            .partition(|filter| pruning::decided_by_partition(filter, partition_columns))
    }

    /// Returns the numbers of the files to read for rows that `filters` may let through.
    fn select_files(
        &self,
        state: &dyn Session,
        index: &FileIndex,
        partition_filters: &[Expr],
        data_filters: &[Expr],
    ) -> Result<Vec<usize>> {
        let candidates = match &self.files {
            Some(files) => files.clone(),
            None => (0..index.len()).collect(),
        };
        let partitions = PartitionColumns::new(&self.snapshot, index);
        let candidates = partitions.retain_matching(state, candidates, partition_filters)?;
        pruning::retain_possible(state, &self.snapshot, index, candidates, data_filters)
    }
}

#[async_trait]
impl TableProvider for DeltaTableProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let partition_columns = self.snapshot.partition_columns();
        Ok(filters
            .iter()
            .map(|filter| {
                if pruning::decided_by_partition(filter, partition_columns) {
                    TableProviderFilterPushDown::Exact
                } else {
                    TableProviderFilterPushDown::Inexact
                }
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let index = self.index().await?;
        let (partition_filters, data_filters) = self.split_filters(filters);
        let mut files = self.select_files(state, index, &partition_filters, &data_filters)?;
        // Rows that the rest of the filters drop cannot count towards the limit.
        let passed_over = match self.rows {
            Rows::Live => Some(0),
            Rows::From { row, .. } => usize::try_from(row).ok(),
            Rows::Except(_) | Rows::Listed(_) => None,
        };
        let limit = limit.filter(|_| data_filters.is_empty() && passed_over.is_some());
        if let (Some(limit), Some(passed_over)) = (limit, passed_over) {
            pruning::stop_at_rows(index, &mut files, limit.saturating_add(passed_over));
        }
        if files.is_empty() {
            let schema = project_schema(&self.schema, projection)?;
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let request = ScanRequest {
            table: &self.table,
            snapshot: &self.snapshot,
            index,
            schema: &self.schema,
            partition_columns: self.snapshot.partition_columns(),
            tagged: self.hidden.any(),
            rows: &self.rows,
            order: self.order.as_deref(),
            projection: projection.map(Vec::as_slice),
            filters: &data_filters,
            limit,
            files,
        };
        Ok(Arc::new(plan_scan(state, &request).await?))
    }
}

/// Wraps an error of the table for DataFusion; its kind stays readable through the source.
pub(crate) fn external(error: ingot_delta::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
