//! Files of deletion vectors in a table's store.
//!
//! ```text
//! file:   1 (version) │ vector │ vector │ …
//! vector: length (4, big-endian) │ magic number and bitmap │ CRC-32 of those (4, big-endian)
//! ```
//! A descriptor's offset is that of a vector's length, its size that of what stands between length and checksum.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use parquet::arrow::async_reader::MetadataFetch;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;
use serde::Deserialize;
use uuid::Uuid;

use super::{DeletionVector, STORED_BY_PATH, STORED_BY_UUID, STORED_INLINE, file_name, file_name_of};
use crate::action::DeletionVectorDescriptor;
use crate::file_index::FileKey;
use crate::{Add, DeltaTable, Error, Result};

/// The first byte of a file.
const FORMAT_VERSION: u8 = 1;

/// Bytes of a length or a checksum.
const WORD: usize = 4;

/// A file is ended after so many bytes: there are readers that read one whole for each vector. Source: Delta,
/// `spark.databricks.delta.deletionVectors.packing.targetSize`.
const FILE_BYTES_TARGET: usize = 2 << 20;

/// Files written, or vectors read, at once.
const REQUESTS_AT_ONCE: usize = 16;

/// A file of vectors in memory.
struct VectorFile {
    id: Uuid,
    bytes: Vec<u8>,
}

impl VectorFile {
    fn new() -> Self {
        Self {
            id: Uuid::new_v4(),
            bytes: vec![FORMAT_VERSION],
        }
    }

    /// Appends a vector and returns how to find it.
    fn append(&mut self, vector: &DeletionVector) -> Result<DeletionVectorDescriptor> {
        let too_long = |_| Error::Internal {
            message: "a deletion vector is longer than 2 GiB".to_owned(),
        };
        let encoded = vector.encode()?;
        let size_in_bytes = i32::try_from(encoded.len()).map_err(too_long)?;
        let offset = i32::try_from(self.bytes.len()).map_err(too_long)?;
        self.bytes.extend(size_in_bytes.to_be_bytes());
        self.bytes.extend(&encoded);
        self.bytes.extend(crc32fast::hash(&encoded).to_be_bytes());
        Ok(DeletionVectorDescriptor {
            storage_type: STORED_BY_UUID.to_owned(),
            path_or_inline_dv: z85::encode(self.id.as_bytes()),
            offset: Some(offset),
            size_in_bytes,
            cardinality: i64::try_from(vector.len()).unwrap_or(i64::MAX),
        })
    }
}

impl DeltaTable {
    /// Writes vectors, many to a file, and returns their descriptors in the same order. They are on disk then, and
    /// belong to no file of the table before a commit says so.
    ///
    /// # Errors
    /// `Unavailable` when the store fails; what was written is deleted then, if the store lets us.
    pub async fn write_deletion_vectors(
        &self,
        vectors: &[DeletionVector],
    ) -> Result<Vec<DeletionVectorDescriptor>> {
        let mut files: Vec<VectorFile> = Vec::new();
        let mut descriptors = Vec::with_capacity(vectors.len());
        for vector in vectors {
            let full = |file: &VectorFile| file.bytes.len() >= FILE_BYTES_TARGET;
            if files.last().is_none_or(full) {
                files.push(VectorFile::new());
            }
            if let Some(file) = files.last_mut() {
                descriptors.push(file.append(vector)?);
            }
        }
        let writes: Vec<Result<()>> = stream::iter(files)
            .map(|file| self.put_vectors(file))
            .buffer_unordered(REQUESTS_AT_ONCE)
            .collect()
            .await;
        match writes.into_iter().find_map(Result::err) {
            None => Ok(descriptors),
            Some(error) => {
                self.discard_deletion_vectors(&descriptors).await;
                Err(error)
            }
        }
    }

    /// Deletes the files of vectors that no commit names, nor ever will. One that cannot be deleted stays for VACUUM.
    pub async fn discard_deletion_vectors(&self, vectors: &[DeletionVectorDescriptor]) {
        let files = vectors.iter().filter_map(|vector| self.vector_path(vector).ok()?);
        let files: BTreeSet<Path> = files.collect();
        for path in files {
            match self.place().store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => tracing::warn!(%path, %error, "unreferenced file stays until VACUUM"),
            }
        }
    }

    /// Reads the rows of a data file that its deletion vector deletes.
    ///
    /// # Errors
    /// `DataLoss` for what is no vector, or another than the log says; `NotFound` when its file is gone.
    pub async fn deletion_vector(&self, vector: &DeletionVectorDescriptor) -> Result<Arc<DeletionVector>> {
        let Some(path) = self.vector_path(vector)? else {
            return Ok(Arc::new(self.inline_vector(vector)?));
        };
        let key = FileKey::new(self.location().as_str(), Some(vector));
        let key = format!("{} {}", key.path, key.deletion_vector);
        if let Some(known) = self.vectors().get(&key) {
            return Ok(known);
        }
        let read = Arc::new(self.read_vector(vector, &path).await?);
        self.vectors().insert(key, &read);
        Ok(read)
    }

    /// Reads several vectors at once, in order.
    ///
    /// # Errors
    /// As [`DeltaTable::deletion_vector`], for the first that fails.
    pub async fn deletion_vectors(
        &self,
        vectors: &[&DeletionVectorDescriptor],
    ) -> Result<Vec<Arc<DeletionVector>>> {
        let reads: Vec<_> = vectors
            .iter()
            .map(|vector| self.deletion_vector(vector))
            .collect();
        stream::iter(reads).buffered(REQUESTS_AT_ONCE).try_collect().await
    }

    /// Returns how many rows a data file holds, deleted ones included: as its statistics say, or as the file itself
    /// does where they do not.
    pub async fn stored_rows(&self, add: &Add) -> Result<u64> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Counted {
            num_records: u64,
        }
        let counted = add
            .stats
            .as_deref()
            .and_then(|stats| serde_json::from_str(stats).ok());
        if let Some(Counted { num_records }) = counted {
            return Ok(num_records);
        }
        let path = self.file_path(&add.path)?;
        let unreadable = |source: ParquetError| Error::Parquet {
            action: "read the footer of",
            path: path.to_string(),
            source,
        };
        let store = Arc::clone(&self.place().store);
        let size = u64::try_from(add.size).unwrap_or_default();
        let bytes = FileBytes { store, path: &path };
        let metadata = ParquetMetaDataReader::new().load_and_finish(bytes, size).await;
        let rows = metadata.map_err(unreadable)?.file_metadata().num_rows();
        u64::try_from(rows).map_err(|_| unreadable(ParquetError::General(format!("{rows} rows"))))
    }

    async fn put_vectors(&self, file: VectorFile) -> Result<()> {
        let path = self.file_path(&file_name("", file.id))?;
        let written = self.place().store.put(&path, PutPayload::from(file.bytes)).await;
        written
            .map(drop)
            .map_err(|source| store_error("write", &path, source))
    }

    /// Returns where a vector's file is; `None` for one that stands in the log.
    pub(crate) fn vector_path(&self, vector: &DeletionVectorDescriptor) -> Result<Option<Path>> {
        let text = vector.path_or_inline_dv.as_str();
        let path = match vector.storage_type.as_str() {
            STORED_INLINE => return Ok(None),
            STORED_BY_PATH => self.file_path(text)?,
            STORED_BY_UUID => match file_name_of(text) {
                Some(name) => self.file_path(&name)?,
                None => return Err(self.bad_vector(vector, "its name holds no UUID")),
            },
            other => return Err(self.bad_vector(vector, &format!("its storage type is `{other}`"))),
        };
        Ok(Some(path))
    }

    fn inline_vector(&self, vector: &DeletionVectorDescriptor) -> Result<DeletionVector> {
        let bytes = z85::decode(&vector.path_or_inline_dv);
        let bytes = bytes.map_err(|error| self.bad_vector(vector, &error.to_string()))?;
        self.decode_vector(vector, &bytes)
    }

    async fn read_vector(&self, vector: &DeletionVectorDescriptor, path: &Path) -> Result<DeletionVector> {
        let bad = |reason: &str| self.bad_vector(vector, reason);
        let size = usize::try_from(vector.size_in_bytes).map_err(|_| bad("its size is negative"))?;
        let start = u64::try_from(vector.offset.unwrap_or(1)).map_err(|_| bad("its offset is negative"))?;
        let end = start + (WORD + size + WORD) as u64;
        let parts = self.place().store.get_ranges(path, &[0..1, start..end]).await;
        let parts = parts.map_err(|source| store_error("read", path, source))?;
        let [version, framed] = parts.as_slice() else {
            return Err(bad("its file is too short"));
        };
        if version.first() != Some(&FORMAT_VERSION) {
            return Err(bad("its file is of another version"));
        }
        let encoded = unframed(framed, size).map_err(bad)?;
        self.decode_vector(vector, encoded)
    }

    fn decode_vector(&self, vector: &DeletionVectorDescriptor, bytes: &[u8]) -> Result<DeletionVector> {
        let decoded = DeletionVector::decode(bytes).map_err(|reason| self.bad_vector(vector, &reason))?;
        if i64::try_from(decoded.len()) != Ok(vector.cardinality) {
            let reason = format!(
                "it deletes {} rows, and the log says {}",
                decoded.len(),
                vector.cardinality
            );
            return Err(self.bad_vector(vector, &reason));
        }
        Ok(decoded)
    }

    fn bad_vector(&self, vector: &DeletionVectorDescriptor, reason: &str) -> Error {
        Error::CorruptLog {
            location: self.location().to_string(),
            message: format!(
                "deletion vector `{}` cannot be read: {reason}",
                vector.path_or_inline_dv
            ),
        }
    }
}

/// A file of the store, for the reader of its footer.
struct FileBytes<'a> {
    store: Arc<dyn ObjectStore>,
    path: &'a Path,
}

impl MetadataFetch for FileBytes<'_> {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        let bytes = self.store.get_range(self.path, range);
        bytes
            .map(|read| read.map_err(|error| ParquetError::External(Box::new(error))))
            .boxed()
    }
}

/// Takes a vector of `size` bytes out of its length and its checksum.
fn unframed(framed: &Bytes, size: usize) -> Result<&[u8], &'static str> {
    let (length, rest) = framed
        .split_first_chunk::<WORD>()
        .ok_or("its file is too short")?;
    if usize::try_from(u32::from_be_bytes(*length)) != Ok(size) {
        return Err("its file says another size than the log");
    }
    let encoded = rest.get(..size).ok_or("its file is too short")?;
    let checksum = rest[size..]
        .first_chunk::<WORD>()
        .ok_or("its file is too short")?;
    match crc32fast::hash(encoded) == u32::from_be_bytes(*checksum) {
        true => Ok(encoded),
        false => Err("its checksum is wrong"),
    }
}

fn store_error(action: &'static str, path: &Path, source: object_store::Error) -> Error {
    Error::Store {
        action,
        path: path.to_string(),
        source,
    }
}
