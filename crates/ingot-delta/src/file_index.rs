//! The data files of one version as columns: what pruning and statistics read.
//!
//! ```text
//! FileIndex (one version)                      Chunk (immutable, shared between versions)
//!   segments: [ chunk + live rows ] ────────►    adds · typed partition values · typed statistics
//!   cache: column name ► one array               (parsed once, when first asked for)
//! ```
//!
//! A commit appends a small chunk for what it adds and flips bits for what it removes; small chunks are
//! merged so that their number stays logarithmic. So a refresh costs what changed, and statistics are parsed
//! once for each file however many versions hold it.
//!
//! Always true: bounds are conservative. A file without usable statistics has nulls, which callers read as
//! "may hold anything". Statistics are keyed by physical names (column mapping); callers use logical ones.
//! Source: Delta protocol, "Per-file Statistics", "Partition Value Serialization".

mod chunk;
mod columns;
mod statistics;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt64Array, new_null_array};
use arrow::compute::{concat, filter};
use arrow::datatypes::{DataType, SchemaRef, UInt64Type};

use self::chunk::{Chunk, Segment};
use self::columns::Columns;
use crate::{Add, Error, Result};

/// The files of one version, numbered from 0. Arrays returned here have one row per file. Cheap to clone.
#[derive(Clone)]
pub struct FileIndex {
    inner: Arc<Inner>,
}

struct Inner {
    columns: Arc<Columns>,
    segments: Vec<Segment>,
    len: usize,
    /// Chunk and row of each file; made when a file is first asked for by number.
    rows: OnceLock<Vec<(u32, u32)>>,
    /// Rows that deletion vectors delete, by file; `None` where no file has one.
    deleted_rows: OnceLock<Option<UInt64Array>>,
    cache: Mutex<HashMap<Request, Option<ArrayRef>>>,
}

/// Tells files apart: the same path with another deletion vector is another logical file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FileKey {
    pub path: String,
    /// The deletion vector's unique id, empty for none. Source: Delta protocol, "Deletion Vectors".
    pub deletion_vector: String,
}

/// One array that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Request {
    Sizes,
    NumRecords,
    PartitionValues(String),
    MinValues(String),
    MaxValues(String),
    NullCounts(String),
    ExactBounds(String),
}

impl FileIndex {
    /// Makes an index of `adds`, in their order, for a table with the logical `schema` (column mapping in its
    /// fields' metadata).
    ///
    /// A partition column with a value that is not of its type is left out, so that no caller prunes by it.
    pub fn from_adds(adds: Vec<Arc<Add>>, schema: &SchemaRef, partition_columns: &[String]) -> Self {
        let columns = Arc::new(Columns::new(schema, partition_columns));
        let chunk = Chunk::new_lenient(adds, &columns);
        Self::from_segments(columns, vec![Segment::whole(Arc::new(chunk))])
    }

    /// Makes an index of a table's files.
    ///
    /// # Errors
    /// `DataLoss` when a partition value is not of its column's type.
    pub(crate) fn try_new(
        adds: Vec<Arc<Add>>,
        schema: &SchemaRef,
        partition_columns: &[String],
    ) -> Result<Self> {
        let columns = Arc::new(Columns::new(schema, partition_columns));
        let chunk = Chunk::try_new(adds, &columns)?;
        Ok(Self::from_segments(
            columns,
            vec![Segment::whole(Arc::new(chunk))],
        ))
    }

    /// Returns the index after a commit that removed `removed` and added `added`. A file that is added again
    /// takes the place of its older action.
    ///
    /// # Errors
    /// `DataLoss` when a partition value is not of its column's type.
    pub(crate) fn apply(&self, removed: &[FileKey], added: Vec<Arc<Add>>) -> Result<Self> {
        let columns = Arc::clone(&self.inner.columns);
        let replaced = added.iter().map(|add| FileKey::of_add(add));
        let gone: Vec<FileKey> = removed.iter().cloned().chain(replaced).collect();
        let mut segments = Vec::with_capacity(self.inner.segments.len() + 1);
        for segment in &self.inner.segments {
            let kept = segment.without(&gone);
            if kept.len() > 0 {
                segments.push(kept);
            }
        }
        if !added.is_empty() {
            let chunk = Chunk::try_new(added, &columns)?;
            segments.push(Segment::whole(Arc::new(chunk)));
        }
        chunk::compact(&mut segments, &columns)?;
        Ok(Self::from_segments(columns, segments))
    }

    /// Returns the same files for a changed schema; their statistics are parsed anew.
    pub(crate) fn with_schema(&self, schema: &SchemaRef, partition_columns: &[String]) -> Result<Self> {
        Self::try_new(self.adds().collect(), schema, partition_columns)
    }

    /// Returns the columns that statistics have for a table with the logical `schema`, by physical names.
    pub(crate) fn statistics_schema(schema: &SchemaRef, partition_columns: &[String]) -> SchemaRef {
        Arc::clone(Columns::new(schema, partition_columns).statistics_schema())
    }

    /// Says if the table holds the rows of `add`: the same file with the same deletion vector.
    pub fn holds(&self, add: &Add) -> bool {
        self.contains(&FileKey::of_add(add))
    }

    /// Says if the table holds this very file.
    pub(crate) fn contains(&self, key: &FileKey) -> bool {
        self.inner.segments.iter().any(|segment| segment.contains(key))
    }

    /// Returns the actions of all files, in order.
    pub(crate) fn adds(&self) -> impl Iterator<Item = Arc<Add>> + '_ {
        self.inner
            .segments
            .iter()
            .flat_map(|segment| segment.live_rows().map(|row| segment.add(row)))
    }

    /// Says if asking for statistics now would parse many of them.
    pub(crate) fn statistics_are_cold(&self) -> bool {
        const FILES_PARSED_AT_ONCE_MAX: usize = 64;
        let cold = self.inner.segments.iter().map(Segment::unparsed_files);
        cold.sum::<usize>() > FILES_PARSED_AT_ONCE_MAX
    }

    /// Parses the statistics that are not parsed yet. Blocks.
    pub(crate) fn warm_statistics(&self) {
        for segment in &self.inner.segments {
            segment.statistics(&self.inner.columns);
        }
    }

    /// Returns the number of files.
    pub fn len(&self) -> usize {
        self.inner.len
    }

    /// Says if there are no files.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the `add` action of file `file`, as it stands in the log.
    ///
    /// # Panics
    /// When `file` is not below [`FileIndex::len`].
    pub fn add(&self, file: usize) -> Arc<Add> {
        let rows = self.inner.rows.get_or_init(|| self.inner.number_rows());
        let (segment, row) = rows[file];
        self.inner.segments[segment as usize].add(row as usize)
    }

    /// Returns file sizes in bytes.
    pub fn sizes(&self) -> UInt64Array {
        self.unsigned(Request::Sizes)
            .unwrap_or_else(|| UInt64Array::new_null(self.len()))
    }

    /// Returns rows per file, those of deletion vectors taken off; null where the log does not say.
    pub fn num_records(&self) -> UInt64Array {
        self.unsigned(Request::NumRecords)
            .unwrap_or_else(|| UInt64Array::new_null(self.len()))
    }

    /// Returns how many rows of each file its deletion vector deletes; `None` when no file has a vector.
    pub fn deleted_rows(&self) -> Option<&UInt64Array> {
        let deleted = self.inner.deleted_rows.get_or_init(|| {
            let cardinality = |add: &Add| {
                let vector = add.deletion_vector.as_ref();
                vector.map_or(0, |vector| u64::try_from(vector.cardinality).unwrap_or(0))
            };
            let segments = self.inner.segments.iter();
            let deleted: Vec<u64> = segments
                .flat_map(|segment| segment.live_rows().map(|row| cardinality(segment.add_ref(row))))
                .collect();
            let any = deleted.iter().any(|rows| *rows > 0);
            any.then(|| UInt64Array::from(deleted))
        });
        deleted.as_ref()
    }

    /// Returns the typed values of a partition column; `None` for a column that does not partition.
    pub fn partition_values(&self, column: &str) -> Option<ArrayRef> {
        self.array(Request::PartitionValues(column.to_owned()))
    }

    /// Returns lower bounds in the column's type; null where unknown, `None` where no file has one.
    /// `column` is a logical top-level column, or a nested one joined with `.`.
    pub fn min_values(&self, column: &str) -> Option<ArrayRef> {
        self.array(Request::MinValues(column.to_owned()))
    }

    /// Returns upper bounds; a string's may be longer than any value (truncated and rounded up), a
    /// timestamp's up to a millisecond later than any value.
    pub fn max_values(&self, column: &str) -> Option<ArrayRef> {
        self.array(Request::MaxValues(column.to_owned()))
    }

    /// Returns counts of nulls among the rows that [`FileIndex::num_records`] counts; null where unknown.
    pub fn null_counts(&self, column: &str) -> Option<UInt64Array> {
        self.unsigned(Request::NullCounts(column.to_owned()))
    }

    /// Says, per file, if `min_values` and `max_values` are values that live rows hold (`tightBounds`), so
    /// that MIN and MAX may be answered from them. Long strings are truncated and so never exact; nor are
    /// timestamps (truncated to milliseconds) and floating point numbers (NaN may be left out).
    pub fn exact_bounds(&self, column: &str) -> Option<BooleanArray> {
        let array = self.array(Request::ExactBounds(column.to_owned()))?;
        array.as_boolean_opt().cloned()
    }

    fn from_segments(columns: Arc<Columns>, segments: Vec<Segment>) -> Self {
        let len = segments.iter().map(Segment::len).sum();
        Self {
            inner: Arc::new(Inner {
                columns,
                segments,
                len,
                rows: OnceLock::new(),
                deleted_rows: OnceLock::new(),
                cache: Mutex::default(),
            }),
        }
    }

    fn unsigned(&self, request: Request) -> Option<UInt64Array> {
        let array = self.array(request)?;
        array.as_primitive_opt::<UInt64Type>().cloned()
    }

    fn array(&self, request: Request) -> Option<ArrayRef> {
        let cached = self.inner.cache().get(&request).cloned();
        if let Some(array) = cached {
            return array;
        }
        let array = self.inner.gather(&request).unwrap_or_else(|error| {
            // Arrays of one column have one type, so this cannot happen; "unknown" is always safe.
            tracing::error!(%error, ?request, "statistics of files do not fit together");
            None
        });
        self.inner.cache().insert(request, array.clone());
        array
    }
}

impl Inner {
    fn cache(&self) -> std::sync::MutexGuard<'_, HashMap<Request, Option<ArrayRef>>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number_rows(&self) -> Vec<(u32, u32)> {
        let mut rows = Vec::with_capacity(self.len);
        for (number, segment) in self.segments.iter().enumerate() {
            rows.extend(segment.live_rows().map(|row| (number as u32, row as u32)));
        }
        rows
    }

    /// Puts one array together from those of the chunks.
    fn gather(&self, request: &Request) -> Result<Option<ArrayRef>> {
        let Some(data_type) = self.columns.data_type_of(request) else {
            return Ok(None);
        };
        let mut parts: Vec<ArrayRef> = Vec::with_capacity(self.segments.len());
        for segment in &self.segments {
            let Some(array) = segment.array(request, &self.columns) else {
                if matches!(request, Request::PartitionValues(_)) {
                    return Ok(None);
                }
                parts.push(new_null_array(&data_type, segment.len()));
                continue;
            };
            parts.push(match segment.live() {
                Some(live) => filter(&array, live).map_err(arrow_error("filter file statistics"))?,
                None => array,
            });
        }
        let array = match parts.as_slice() {
            [] => new_null_array(&data_type, 0),
            [only] => Arc::clone(only),
            _ => {
                let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
                concat(&parts).map_err(arrow_error("join file statistics"))?
            }
        };
        let bound = matches!(request, Request::MinValues(_) | Request::MaxValues(_));
        let unknown = bound && array.null_count() == array.len();
        Ok((!unknown).then_some(array))
    }
}

impl fmt::Debug for FileIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileIndex")
            .field("files", &self.inner.len)
            .field("segments", &self.inner.segments.len())
            .finish_non_exhaustive()
    }
}

impl FileKey {
    pub fn of_add(add: &Add) -> Self {
        Self::new(&add.path, add.deletion_vector.as_ref())
    }

    pub fn new(path: &str, vector: Option<&crate::action::DeletionVectorDescriptor>) -> Self {
        let deletion_vector = vector.map_or_else(String::new, |vector| {
            let offset = vector.offset.map(|offset| format!("@{offset}"));
            format!(
                "{}{}{}",
                vector.storage_type,
                vector.path_or_inline_dv,
                offset.unwrap_or_default()
            )
        });
        Self {
            path: path.to_owned(),
            deletion_vector,
        }
    }
}

fn arrow_error(action: &'static str) -> impl FnOnce(arrow::error::ArrowError) -> Error {
    move |source| Error::Arrow { action, source }
}

/// The type of arrays that count or measure.
const COUNT_TYPE: DataType = DataType::UInt64;

#[cfg(test)]
mod tests;
