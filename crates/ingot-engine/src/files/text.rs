//! Text files: a row for each line, in one column.
//!
//! Lines end with `\n`, `\r\n` or `\r`; a last line needs no end. An empty line is an empty text, not null.
//! Source: Spark, text data source.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::StreamExt;
use futures::stream::BoxStream;
use ingot_common::Kind;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

use crate::Error;

/// The column, unless a schema calls it otherwise.
const COLUMN: &str = "value";

/// Bytes of a line, at most: it is kept whole.
const LINE_BYTES_MAX: usize = 256 << 20;

/// Rows and bytes after which a batch is full.
const BATCH_ROWS: usize = 8192;
const BATCH_BYTES: usize = 4 << 20;

/// Makes a relation of `files`, read in so many partitions at most.
///
/// # Errors
/// `InvalidArgument` for a schema that is not one column of text.
pub(super) fn provider(
    files: &[Url],
    schema: Option<&SchemaRef>,
    partitions: usize,
) -> crate::Result<Arc<dyn TableProvider>> {
    let schema = match schema {
        None => Arc::new(Schema::new(vec![Field::new(COLUMN, DataType::Utf8, true)])),
        Some(given) => match given.fields().as_ref() {
            [only] if *only.data_type() == DataType::Utf8 => Arc::clone(given),
            _ => {
                return Err(super::invalid(
                    "text files have one column, which is a STRING".to_owned(),
                ));
            }
        },
    };
    let share = files.len().div_ceil(partitions.max(1)).max(1);
    let parts = files.chunks(share).map(|files| {
        let files = files.iter().map(|file| {
            let listing = ListingTableUrl::try_new(file.clone(), None)?;
            Ok((listing.object_store(), listing.prefix().clone()))
        });
        let part: Arc<dyn PartitionStream> = Arc::new(TextFiles {
            schema: Arc::clone(&schema),
            files: files.collect::<Result<_>>()?,
        });
        Ok(part)
    });
    let parts = parts.collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(StreamingTable::try_new(Arc::clone(&schema), parts)?))
}

/// Files that are read one after the other.
struct TextFiles {
    schema: SchemaRef,
    files: VecDeque<(ObjectStoreUrl, Path)>,
}

impl fmt::Debug for TextFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TextFiles")
            .field("files", &self.files.len())
            .finish_non_exhaustive()
    }
}

impl PartitionStream for TextFiles {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let reader = Reader {
            schema: Arc::clone(&self.schema),
            context,
            files: self.files.clone(),
            open: None,
            lines: Lines::default(),
        };
        let batches = futures::stream::try_unfold(reader, |mut reader| async move {
            let batch = reader.next().await?;
            Ok(batch.map(|batch| (batch, reader)))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

struct Reader {
    schema: SchemaRef,
    context: Arc<TaskContext>,
    files: VecDeque<(ObjectStoreUrl, Path)>,
    open: Option<(Path, BoxStream<'static, object_store::Result<Bytes>>)>,
    lines: Lines,
}

impl Reader {
    /// Reads on until a batch is full, or the files end.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while !self.lines.full() {
            let Some((path, chunks)) = &mut self.open else {
                let Some((store, path)) = self.files.pop_front() else {
                    break;
                };
                let store: Arc<dyn ObjectStore> = self.context.runtime_env().object_store(&store)?;
                let file = store.get(&path).await?;
                self.open = Some((path, file.into_stream()));
                continue;
            };
            let read = match chunks.next().await.transpose()? {
                Some(chunk) => self.lines.push(&chunk),
                None => self.lines.end(),
            };
            match read {
                Ok(true) => self.open = None,
                Ok(false) => {}
                Err(wrong) => return Err(unreadable(path, wrong)),
            }
        }
        let Some(lines) = self.lines.take() else {
            return Ok(None);
        };
        Ok(Some(RecordBatch::try_new(Arc::clone(&self.schema), vec![lines])?))
    }
}

fn unreadable(path: &Path, wrong: &str) -> DataFusionError {
    DataFusionError::External(Box::new(Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "FAILED_READ_FILE.NO_HINT",
        sqlstate: "KD001",
        message: format!("the text file `{path}` cannot be read: {wrong}"),
    }))
}

/// Cuts bytes into lines.
#[derive(Default)]
struct Lines {
    /// The beginning of a line that has not ended.
    begun: Vec<u8>,
    /// The last byte was `\r`: a `\n` that follows belongs to it.
    after_return: bool,
    ready: StringBuilder,
    rows: usize,
}

impl Lines {
    /// Takes the next bytes of a file, which is not at its end.
    fn push(&mut self, chunk: &[u8]) -> std::result::Result<bool, &'static str> {
        let mut rest = match chunk {
            [b'\n', rest @ ..] if self.after_return => rest,
            chunk => chunk,
        };
        self.after_return = chunk.is_empty() && self.after_return;
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.begun.extend_from_slice(&rest[..end]);
            self.line()?;
            rest = match &rest[end..] {
                [b'\r', b'\n', after @ ..] => after,
                [b'\r'] => {
                    self.after_return = true;
                    &[]
                }
                ended => &ended[1..],
            };
        }
        self.begun.extend_from_slice(rest);
        match self.begun.len() > LINE_BYTES_MAX {
            true => Err("a line has more than 256 MiB"),
            false => Ok(false),
        }
    }

    /// Ends the file.
    fn end(&mut self) -> std::result::Result<bool, &'static str> {
        self.after_return = false;
        if !self.begun.is_empty() {
            self.line()?;
        }
        Ok(true)
    }

    fn line(&mut self) -> std::result::Result<(), &'static str> {
        let line = std::str::from_utf8(&self.begun).map_err(|_| "it is not UTF-8")?;
        self.ready.append_value(line);
        self.rows += 1;
        self.begun.clear();
        Ok(())
    }

    fn full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.ready.values_slice().len() >= BATCH_BYTES
    }

    /// Takes the lines that are ready; `None` if there are none.
    fn take(&mut self) -> Option<ArrayRef> {
        if std::mem::take(&mut self.rows) == 0 {
            return None;
        }
        Some(Arc::new(self.ready.finish()))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use test_case::test_case;

    use super::*;

    #[test_case("a\nb\n", &["a", "b"])]
    #[test_case("a\r\nb\rc", &["a", "b", "c"]; "all ends")]
    #[test_case("\n\nü\r\n\r\n", &["", "", "ü", ""]; "empty lines")]
    #[test_case("", &[]; "nothing")]
    fn lines_are_the_same_however_the_bytes_come(text: &str, expected: &[&str]) {
        for size in 1..=text.len().max(1) {
            let mut lines = Lines::default();
            for chunk in text.as_bytes().chunks(size) {
                assert_eq!(lines.push(chunk), Ok(false));
            }
            assert_eq!(lines.end(), Ok(true));
            let found = lines.take();
            let found: Vec<&str> = match &found {
                Some(found) => found.as_string::<i32>().iter().flatten().collect(),
                None => Vec::new(),
            };
            assert_eq!(found, expected, "in chunks of {size}");
        }
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let mut lines = Lines::default();
        assert!(lines.push(b"\xff\n").is_err());
    }
}
