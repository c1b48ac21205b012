//! A result that waits to be fetched: encoded as it came, in chunks, in a file that nobody else sees.
//!
//! ```text
//! batches ─► encoded (JSON, CSV, Arrow, LZ4) ─► memory, or a file without a name once there is more ─► chunks, in any order
//! ```
//! A file without a name is gone with the process, however it ends. What always holds: results together keep no more bytes
//! than the server's budget.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use ingot_common::{Kind, ServiceError};
use tempfile::SpooledTempFile;

use super::values;
use crate::lz4;

/// Bytes of a result that stay in memory; a larger one is in a file.
const MEMORY_BYTES_MAX: usize = 256 << 10;

/// How rows are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// An array of arrays of texts.
    JsonArray,
    /// Each chunk is an IPC stream.
    ArrowStream {
        /// It is an LZ4 frame.
        lz4: bool,
    },
    Csv,
}

/// How much of a result is kept, and in which form.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub format: Format,
    /// All rows are one chunk.
    pub whole: bool,
    /// Rows that are kept; the result is cut off after them.
    pub rows_max: Option<u64>,
    /// Bytes that are kept; the result is cut off before a row that takes it beyond them.
    pub bytes_max: Option<u64>,
    /// Bytes that a result may have; a larger one is refused.
    pub bytes_allowed: u64,
}

/// Where results are kept, and for how many bytes there is room.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    bytes_max: u64,
    bytes: AtomicU64,
}

impl Shelf {
    /// Makes one that has its files in `folder`.
    pub fn new(folder: PathBuf, bytes_max: u64) -> Arc<Self> {
        Arc::new(Self {
            folder,
            bytes_max,
            bytes: AtomicU64::new(0),
        })
    }
}

/// Room on a shelf that is taken; given back when it is dropped.
#[derive(Debug)]
struct Taken {
    shelf: Arc<Shelf>,
    bytes: u64,
}

impl Taken {
    fn take(&mut self, bytes: u64) -> Result<(), ServiceError> {
        let most = self.shelf.bytes_max;
        let taken = self
            .shelf
            .bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
                taken.checked_add(bytes).filter(|taken| *taken <= most)
            });
        if taken.is_err() {
            return Err(ServiceError::new(
                Kind::ResourceExhausted,
                format!(
                    "results that wait to be fetched take up {most} bytes, all that they may; close statements, or ask for less"
                ),
            ));
        }
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.shelf.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Some rows of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    pub row_offset: u64,
    pub row_count: u64,
    byte_offset: u64,
    pub byte_count: u64,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct StoredResult {
    pub schema: SchemaRef,
    pub format: Format,
    pub chunks: Vec<Chunk>,
    pub rows: u64,
    /// There were more rows than were asked for.
    pub truncated: bool,
    file: Arc<Mutex<SpooledTempFile>>,
    taken: Taken,
}

impl StoredResult {
    /// Returns its size as it is encoded.
    pub fn bytes(&self) -> u64 {
        self.taken.bytes
    }

    /// Reads a chunk.
    ///
    /// # Errors
    /// `Internal` when the file cannot be read.
    pub async fn read(&self, chunk: Chunk) -> Result<Vec<u8>, ServiceError> {
        let file = Arc::clone(&self.file);
        blocking(move || {
            let mut bytes = vec![0; usize::try_from(chunk.byte_count).map_err(io::Error::other)?];
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(chunk.byte_offset))?;
            file.read_exact(&mut bytes)?;
            Ok(bytes)
        })
        .await
    }
}

/// Encodes a result and keeps it.
pub struct Writer {
    result: StoredResult,
    shape: Shape,
    /// The rows of the one chunk of a whole result, so far.
    rows_of_chunk: u64,
}

impl Writer {
    /// Begins a result on `shelf`.
    pub fn new(shelf: &Arc<Shelf>, schema: SchemaRef, shape: Shape) -> Self {
        let result = StoredResult {
            schema,
            format: shape.format,
            chunks: Vec::new(),
            rows: 0,
            truncated: false,
            file: Arc::new(Mutex::new(SpooledTempFile::new_in(
                MEMORY_BYTES_MAX,
                &shelf.folder,
            ))),
            taken: Taken {
                shelf: Arc::clone(shelf),
                bytes: 0,
            },
        };
        Self {
            result,
            shape,
            rows_of_chunk: 0,
        }
    }

    /// Keeps rows: a chunk, unless the result is whole. Returns `false` once it needs no more.
    ///
    /// # Errors
    /// `InvalidArgument` for a result that is larger than it may be, `ResourceExhausted` when there is no room for it.
    pub async fn write(&mut self, batches: &[RecordBatch]) -> Result<bool, ServiceError> {
        let batch = concat_batches(&self.result.schema, batches).map_err(|error| unencodable(&error))?;
        if batch.num_rows() == 0 {
            return Ok(true);
        }
        let left = self
            .shape
            .rows_max
            .map(|most| most.saturating_sub(self.result.rows));
        let rows = left.map_or(batch.num_rows(), |left| {
            usize::try_from(left).unwrap_or(usize::MAX).min(batch.num_rows())
        });
        let (rows, bytes) = self.encode(&batch, rows)?;
        if rows > 0 {
            self.keep(rows as u64, bytes).await?;
        }
        self.result.truncated = rows < batch.num_rows();
        Ok(!self.result.truncated)
    }

    /// Ends the result.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub async fn finish(mut self) -> Result<StoredResult, ServiceError> {
        if self.shape.whole && self.rows_of_chunk > 0 {
            if self.shape.format == Format::JsonArray {
                self.append(b"]".to_vec()).await?;
            }
            self.result.chunks.push(Chunk {
                row_offset: 0,
                row_count: self.rows_of_chunk,
                byte_offset: 0,
                byte_count: self.result.bytes(),
            });
        }
        Ok(self.result)
    }

    /// Encodes the first `rows` rows, or fewer, so that they fit into the bytes that are kept.
    fn encode(&self, batch: &RecordBatch, mut rows: usize) -> Result<(usize, Vec<u8>), ServiceError> {
        let left = self
            .shape
            .bytes_max
            .map(|most| most.saturating_sub(self.result.bytes()));
        while rows > 0 {
            let bytes = self.encoded(&batch.slice(0, rows))?;
            if left.is_none_or(|left| bytes.len() as u64 <= left) {
                return Ok((rows, bytes));
            }
            rows /= 2;
        }
        Ok((0, Vec::new()))
    }

    fn encoded(&self, batch: &RecordBatch) -> Result<Vec<u8>, ServiceError> {
        let first = self.result.rows == 0;
        match self.shape.format {
            Format::Csv => values::csv_rows(batch, first).map_err(|error| unencodable(&error)),
            Format::JsonArray => {
                let begin = if first || !self.shape.whole { "[" } else { "," };
                let mut json = begin.as_bytes().to_vec();
                json.append(&mut values::json_rows(batch).map_err(|error| unencodable(&error))?);
                if !self.shape.whole {
                    json.push(b']');
                }
                Ok(json)
            }
            Format::ArrowStream { lz4 } => {
                let stream = arrow_stream(batch).map_err(|error| unencodable(&error))?;
                if lz4 { lz4::frame(&stream) } else { Ok(stream) }
            }
        }
    }

    async fn keep(&mut self, rows: u64, bytes: Vec<u8>) -> Result<(), ServiceError> {
        let (byte_offset, byte_count) = (self.result.bytes(), bytes.len() as u64);
        self.append(bytes).await?;
        match self.shape.whole {
            true => self.rows_of_chunk += rows,
            false => self.result.chunks.push(Chunk {
                row_offset: self.result.rows,
                row_count: rows,
                byte_offset,
                byte_count,
            }),
        }
        self.result.rows += rows;
        Ok(())
    }

    async fn append(&mut self, bytes: Vec<u8>) -> Result<(), ServiceError> {
        let most = self.shape.bytes_allowed;
        if self.result.bytes() + bytes.len() as u64 > most {
            return Err(ServiceError::new(
                Kind::InvalidArgument,
                format!(
                    "the result is larger than the {most} bytes that one with disposition=INLINE may have; ask for disposition=EXTERNAL_LINKS, or for less"
                ),
            ));
        }
        self.result.taken.take(bytes.len() as u64)?;
        let file = Arc::clone(&self.result.file);
        blocking(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::End(0))?;
            file.write_all(&bytes)
        })
        .await
    }
}

fn arrow_stream(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(batch)?;
    writer.into_inner()
}

/// Runs work on a file where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ServiceError> {
    let done = tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)
        .flatten();
    done.map_err(|error| ServiceError::new(Kind::Internal, format!("the result cannot be kept: {error}")))
}

fn unencodable(error: &ArrowError) -> ServiceError {
    ServiceError::new(Kind::InvalidArgument, format!("rows cannot be encoded: {error}"))
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use arrow::ipc::reader::StreamReader;
    use lz4_flex::frame::FrameDecoder;
    use tempfile::TempDir;

    use super::*;

    fn batch(rows: std::ops::Range<i64>) -> RecordBatch {
        let numbers = Int64Array::from_iter_values(rows);
        RecordBatch::try_from_iter([("n", Arc::new(numbers) as _)]).expect("batch")
    }

    fn shape(format: Format) -> Shape {
        Shape {
            format,
            whole: false,
            rows_max: None,
            bytes_max: None,
            bytes_allowed: u64::MAX,
        }
    }

    fn shelf(bytes_max: u64) -> (TempDir, Arc<Shelf>) {
        let folder = tempfile::tempdir().expect("tempdir");
        let shelf = Shelf::new(folder.path().to_owned(), bytes_max);
        (folder, shelf)
    }

    async fn stored(
        shelf: &Arc<Shelf>,
        shape: Shape,
        batches: &[RecordBatch],
    ) -> Result<StoredResult, ServiceError> {
        let mut writer = Writer::new(shelf, batch(0..0).schema(), shape);
        for batch in batches {
            if !writer.write(std::slice::from_ref(batch)).await? {
                break;
            }
        }
        writer.finish().await
    }

    async fn texts(result: &StoredResult) -> Vec<String> {
        let mut texts = Vec::new();
        for chunk in &result.chunks {
            let bytes = result.read(*chunk).await.expect("a chunk");
            texts.push(String::from_utf8(bytes).expect("UTF-8"));
        }
        texts
    }

    #[tokio::test]
    async fn chunks_are_read_in_any_order() {
        let (_folder, shelf) = shelf(u64::MAX);
        let lz4 = Format::ArrowStream { lz4: true };
        let batches = [
            batch(0..100_000),
            batch(100_000..100_000),
            batch(100_000..200_000),
        ];
        let result = stored(&shelf, shape(lz4), &batches).await.expect("stored");
        assert_eq!((result.rows, result.chunks.len()), (200_000, 2));
        for chunk in result.chunks.iter().rev() {
            let bytes = result.read(*chunk).await.expect("a chunk");
            let stream = StreamReader::try_new(FrameDecoder::new(bytes.as_slice()), None).expect("stream");
            let mut next = i64::try_from(chunk.row_offset).expect("small");
            for batch in stream {
                for number in batch
                    .expect("batch")
                    .column(0)
                    .as_primitive::<Int64Type>()
                    .values()
                {
                    assert_eq!(*number, next);
                    next += 1;
                }
            }
            assert_eq!(next as u64, chunk.row_offset + chunk.row_count);
        }
    }

    #[tokio::test]
    async fn a_whole_result_is_one_chunk() {
        let (_folder, shelf) = shelf(u64::MAX);
        let whole = Shape {
            whole: true,
            ..shape(Format::JsonArray)
        };
        let result = stored(&shelf, whole, &[batch(0..2), batch(2..3)])
            .await
            .expect("stored");
        assert_eq!(texts(&result).await, [r#"[["0"],["1"],["2"]]"#]);
        let nothing = stored(&shelf, whole, &[batch(0..0)]).await.expect("stored");
        assert!(nothing.chunks.is_empty());
    }

    #[tokio::test]
    async fn the_first_chunk_of_csv_has_the_names() {
        let (_folder, shelf) = shelf(u64::MAX);
        let result = stored(&shelf, shape(Format::Csv), &[batch(0..2), batch(2..3)]).await;
        assert_eq!(texts(&result.expect("stored")).await, ["n\n0\n1\n", "2\n"]);
    }

    #[tokio::test]
    async fn a_result_is_cut_off_by_rows_or_bytes() {
        let (_folder, shelf) = shelf(u64::MAX);
        let batches = [batch(0..10), batch(10..20)];
        for (rows_max, bytes_max, rows, truncated) in [
            (Some(15), None, 15, true),
            (Some(10), None, 10, true),
            (Some(20), None, 20, false),
            (None, Some(31), 5, true),
            (None, Some(1000), 20, false),
            (Some(0), None, 0, true),
        ] {
            let cut = Shape {
                rows_max,
                bytes_max,
                ..shape(Format::JsonArray)
            };
            let result = stored(&shelf, cut, &batches).await.expect("stored");
            assert_eq!(
                (result.rows, result.truncated),
                (rows, truncated),
                "{rows_max:?} {bytes_max:?}"
            );
            assert!(result.bytes() <= bytes_max.unwrap_or(u64::MAX));
        }
    }

    #[tokio::test]
    async fn a_result_that_is_too_large_leaves_no_bytes_behind() {
        let (_folder, shelf) = shelf(200);
        let small = Shape {
            bytes_allowed: 40,
            ..shape(Format::JsonArray)
        };
        let refused = stored(&shelf, small, &[batch(0..5), batch(5..10)])
            .await
            .expect_err("too large");
        assert_eq!(refused.kind, Kind::InvalidArgument);
        let kept = stored(&shelf, shape(Format::JsonArray), &[batch(0..20)])
            .await
            .expect("stored");
        let refused = stored(&shelf, shape(Format::JsonArray), &[batch(0..20)])
            .await
            .expect_err("no room");
        assert_eq!(refused.kind, Kind::ResourceExhausted);
        assert_eq!(shelf.bytes.load(Ordering::Acquire), kept.bytes());
        drop(kept);
        assert_eq!(shelf.bytes.load(Ordering::Acquire), 0);
    }
}
