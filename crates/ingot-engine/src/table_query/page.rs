//! Pages of a query over one version of a table, each at the cost of its own rows.
//!
//! ```text
//! no order ─► files in the order of their paths, from the row after the last one ─► rows until the page is full
//! order ────► the last row's keys, read where it is ─► rows after it by (keys, file, row) ─► top rows
//! groups ───► all groups, by (order, columns grouped by) ─► those after so many
//! ```
//! What always holds: rows have an order that is total and the same each time (a row's file and place in it tell
//! equal rows apart, and no commit changes those of a version), so that no row is in two pages or in none. Groups are
//! computed by one thread in that order: sums of floating-point numbers are the same each time. Source: ADR 0026.

mod keyset;

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, SortExpr};
use datafusion::scalar::ScalarValue;
use futures::StreamExt;
use ingot_common::Kind;
use ingot_common::port::{OrderBy, Page, PageRequest, RowPosition, StatementResult, TableQuery};
use ingot_delta::DeletionVector;

use self::keyset::Keyset;
use super::conditions::{column, field};
use super::refused;
use super::shape::{filtered, grouped, selected, sort_keys};
use crate::provider::{FILE_COLUMN, FileOrder, Positions, ROW_COLUMN, Rows};
use crate::resolve::TableAt;
use crate::write::type_text;
use crate::{Error, Result, Session};

/// Rows of a batch that are taken at a time: how exactly a page ends at its bytes.
const ROWS_PER_SLICE: usize = 256;

/// The relation's name in plans; no other is there.
const RELATION: &str = "rows";

/// Columns after a row's own that say where it is.
const PLACE_COLUMNS: usize = 2;

/// Reads a page.
///
/// # Errors
/// `InvalidArgument` as for all rows, and for an order by values that have none; `NotFound` when the row after which
/// the page begins is not there, or files are gone.
pub(super) async fn read(
    session: &Session,
    table: &TableAt,
    query: &TableQuery,
    page: &PageRequest,
) -> Result<Page> {
    let order = Arc::new(FileOrder::of(table.snapshot().files().await?));
    let pages = Pages {
        session,
        table,
        order,
        query,
        page,
    };
    match (&query.aggregation, query.order.is_empty()) {
        (Some(_), _) => pages.of_groups().await,
        (None, true) => pages.by_place().await,
        (None, false) => pages.by_order().await,
    }
}

/// How a plan is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Threads {
    /// Rows come in the order of their places.
    One,
    Many,
}

struct Pages<'a> {
    session: &'a Session,
    table: &'a TableAt,
    order: Arc<FileOrder>,
    query: &'a TableQuery,
    page: &'a PageRequest,
}

/// Where a row is: its file's rank, and its position there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    rank: usize,
    row: i64,
}

impl Pages<'_> {
    /// Rows as they stand in the files.
    async fn by_place(&self) -> Result<Page> {
        let (rank, first) = match self.after()? {
            None => (0, None),
            Some(last) => (last.rank, Some(last.row.saturating_add(1))),
        };
        let files = self.order.numbers_from(rank);
        let rows = match (first, files.first()) {
            (Some(first), Some(file)) => Rows::From {
                file: *file,
                row: u64::try_from(first).unwrap_or(0),
            },
            _ => Rows::Live,
        };
        let rows = self.scan(files, rows, Threads::One)?;
        let rows = filtered(rows, &self.query.filters)?;
        let rows = self.with_place(rows)?;
        self.cut(rows.limit(0, Some(self.fetch()))?).await
    }

    /// Rows by the query's order, then as they stand in the files.
    async fn by_order(&self) -> Result<Page> {
        let schema = self.table.snapshot().schema();
        let keys = self.order_fields(schema)?;
        let after = match self.after()? {
            None => None,
            Some(last) => Some((last, self.keys_at(last, &keys).await?)),
        };
        let mut rows = self.scan(self.order.numbers_from(0), Rows::Live, Threads::Many)?;
        rows = filtered(rows, &self.query.filters)?;
        if let Some((last, values)) = after {
            let keyset = Keyset::new(self.session, &self.query.order, &keys, values)?;
            for condition in keyset.after(last) {
                rows = rows.filter(condition)?;
            }
        }
        let mut sort = sort_keys(schema, &self.query.order)?;
        let place = [FILE_COLUMN, ROW_COLUMN].map(|name| SortExpr::new(place_column(name), true, true));
        sort.extend(place);
        let rows = rows.sort(sort)?.limit(0, Some(self.fetch()))?;
        self.cut(self.with_place(rows)?).await
    }

    /// Groups by the query's order, then by the columns that they are grouped by.
    async fn of_groups(&self) -> Result<Page> {
        let before = match &self.page.after {
            None => 0,
            Some(RowPosition::Groups(before)) => *before,
            Some(RowPosition::Row { .. }) => return Err(gone()),
        };
        let rows = self.scan(self.order.numbers_from(0), Rows::Live, Threads::One)?;
        let rows = grouped(self.session, rows, self.query)?;
        let schema = Arc::new(rows.schema().as_arrow().clone());
        let by = self
            .query
            .aggregation
            .iter()
            .flat_map(|grouping| &grouping.group_by);
        let by = by.map(|name| OrderBy {
            column: name.clone(),
            descending: false,
        });
        let order: Vec<OrderBy> = self.query.order.iter().cloned().chain(by).collect();
        let mut rows = rows;
        if !order.is_empty() {
            rows = rows.sort(sort_keys(&schema, &order)?)?;
        }
        let passed_over = usize::try_from(before).unwrap_or(usize::MAX);
        rows = rows.limit(passed_over, Some(self.fetch()))?;
        if !self.query.select.is_empty() {
            rows = rows.select(selected(&schema, &self.query.select)?)?;
        }
        let taken = self.take(rows).await?;
        let given = u64::try_from(taken.rows()).unwrap_or(u64::MAX);
        Ok(Page {
            next: taken
                .more
                .then(|| RowPosition::Groups(before.saturating_add(given))),
            schema: taken.schema,
            batches: taken.batches,
        })
    }

    /// One row more than the page may hold, which tells if there is a next one.
    fn fetch(&self) -> usize {
        self.page.rows_max.saturating_add(1)
    }

    /// Returns where the page before ended.
    fn after(&self) -> Result<Option<Place>> {
        match &self.page.after {
            None => Ok(None),
            Some(RowPosition::Row { file, row }) => {
                let rank = self.order.find(file).ok_or_else(gone)?;
                Ok(Some(Place { rank, row: *row }))
            }
            Some(RowPosition::Groups(_)) => Err(gone()),
        }
    }

    /// Plans a scan of files, with where rows are.
    fn scan(&self, files: Vec<usize>, rows: Rows, threads: Threads) -> Result<DataFrame> {
        let provider = self.table.ordered(&self.order, files, rows);
        let mut state = self.session.datafusion().state();
        let options = state.config_mut().options_mut();
        if threads == Threads::One {
            options.execution.target_partitions = 1;
        }
        // Files are left out by bounds, which know nothing of NaN, while the top rows are still being found.
        options.optimizer.enable_topk_dynamic_filter_pushdown &= !self.orders_by_floats();
        let plan = LogicalPlanBuilder::scan(RELATION, provider_as_source(provider), None)?.build()?;
        Ok(DataFrame::new(state, plan))
    }

    fn orders_by_floats(&self) -> bool {
        let schema = self.table.snapshot().schema();
        let mut order = self.query.order.iter();
        order.any(|order| field(schema, &order.column).is_ok_and(|field| field.data_type().is_floating()))
    }

    fn order_fields(&self, schema: &Schema) -> Result<Vec<Field>> {
        let order = self.query.order.iter();
        order
            .map(|order| {
                let field = field(schema, &order.column)?;
                match field.data_type().is_nested() {
                    false => Ok(field.clone()),
                    true => Err(refused(format!(
                        "pages cannot be in the order of column `{}`, which is {}",
                        field.name(),
                        type_text(field.data_type())
                    ))),
                }
            })
            .collect()
    }

    /// Reads the values that the query orders by of one row.
    async fn keys_at(&self, place: Place, keys: &[Field]) -> Result<Vec<ScalarValue>> {
        let files: Vec<usize> = self.order.numbers_from(place.rank).into_iter().take(1).collect();
        let row: DeletionVector = u64::try_from(place.row).into_iter().collect();
        let positions: Positions = files.iter().map(|file| (*file, row.clone())).collect();
        let row = self.scan(files, Rows::Listed(Arc::new(positions)), Threads::One)?;
        let row = row.select(keys.iter().map(column).collect::<Vec<_>>())?;
        let batches = row.collect().await?;
        let batch = batches
            .iter()
            .find(|batch| batch.num_rows() > 0)
            .ok_or_else(gone)?;
        let values = batch.columns().iter();
        let values = values.map(|values| ScalarValue::try_from_array(values, 0));
        Ok(values.collect::<datafusion::error::Result<_>>()?)
    }

    /// Keeps the query's columns, and after them those that say where a row is.
    fn with_place(&self, rows: DataFrame) -> Result<DataFrame> {
        let schema = self.table.snapshot().schema();
        let mut columns = match self.query.select.is_empty() {
            true => schema.fields().iter().map(|field| column(field)).collect(),
            false => selected(schema, &self.query.select)?,
        };
        columns.extend([FILE_COLUMN, ROW_COLUMN].map(place_column));
        Ok(rows.select(columns)?)
    }

    /// Takes the rows of the page, and says where the last of them is.
    async fn cut(&self, rows: DataFrame) -> Result<Page> {
        let taken = self.take(rows).await?;
        let own = taken.schema.fields().len().saturating_sub(PLACE_COLUMNS);
        let kept: Vec<usize> = (0..own).collect();
        let next = match taken.batches.last() {
            Some(last) if taken.more => Some(self.position(last, own)?),
            _ => None,
        };
        let batches = taken.batches.iter().map(|batch| batch.project(&kept));
        Ok(Page {
            schema: Arc::new(taken.schema.project(&kept).map_err(arrow)?),
            batches: batches.collect::<std::result::Result<_, _>>().map_err(arrow)?,
            next,
        })
    }

    fn position(&self, batch: &RecordBatch, own: usize) -> Result<RowPosition> {
        let last = batch.num_rows().saturating_sub(1);
        let value = |place: usize| {
            let column = batch.columns().get(own + place)?;
            let values = column.as_primitive_opt::<Int64Type>()?;
            (last < values.len()).then(|| values.value(last))
        };
        let file = value(0).and_then(|rank| self.order.path(usize::try_from(rank).ok()?));
        match (file, value(1)) {
            (Some(file), Some(row)) => Ok(RowPosition::Row {
                file: file.to_owned(),
                row,
            }),
            _ => Err(Error::internal("a row of a page has no place".to_owned())),
        }
    }

    /// Runs a plan until the page is full.
    async fn take(&self, rows: DataFrame) -> Result<Taken> {
        let StatementResult { schema, mut batches } = self.session.run(rows).await?;
        let mut taken = Taken {
            schema,
            batches: Vec::new(),
            more: false,
        };
        let (mut rows, mut bytes) = (0, 0);
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(passed_on)?;
            let mut first = 0;
            while first < batch.num_rows() {
                if rows == self.page.rows_max || (rows > 0 && bytes >= self.page.bytes_max) {
                    taken.more = true;
                    return Ok(taken);
                }
                let most = (self.page.rows_max - rows).min(ROWS_PER_SLICE);
                let slice = batch.slice(first, most.min(batch.num_rows() - first));
                first += slice.num_rows();
                rows += slice.num_rows();
                bytes += slice_bytes(&slice);
                taken.batches.push(slice);
            }
        }
        Ok(taken)
    }
}

/// Rows that were taken of a plan.
struct Taken {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// There are more.
    more: bool,
}

impl Taken {
    fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

fn place_column(name: &str) -> Expr {
    column(&Field::new(name, DataType::Int64, false))
}

/// Returns about how many bytes the rows of a slice take.
fn slice_bytes(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter();
    let sizes = columns.map(|column| {
        let data = column.to_data();
        data.get_slice_memory_size()
            .unwrap_or_else(|_| column.get_array_memory_size())
    });
    sizes.sum()
}

/// Makes an error of what left the engine's edge already.
fn passed_on(error: ingot_common::ServiceError) -> Error {
    Error::Raised {
        kind: error.kind,
        condition: error.condition.unwrap_or_else(|| "INTERNAL_ERROR".to_owned()),
        sqlstate: error.sqlstate.unwrap_or_else(|| "XX000".to_owned()),
        message: error.message,
    }
}

fn arrow(error: arrow::error::ArrowError) -> Error {
    Error::from(datafusion::error::DataFusionError::from(error))
}

fn gone() -> Error {
    Error::Condition {
        kind: Kind::NotFound,
        condition: "FAILED_READ_FILE.FILE_NOT_EXIST",
        sqlstate: "KD001",
        message: "the row after which the page begins is not there; begin with the first page".to_owned(),
    }
}
