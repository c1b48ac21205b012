//! Deletion vectors: which rows of a data file are deleted, and how that is stored.
//!
//! ```text
//! positions ─► DeletionVector ─► bytes (`encode`) ─► one file for many vectors (`files`) ─► descriptor in an `add`
//!                   ▲                                                                             │
//!                   └──────────── cache (`cache`) ◄── range of the file, checked (`decode`) ◄─────┘
//! ```
//! Always true: a vector is on disk before its descriptor is returned, and never changes; what is read back has the
//! checksum and the cardinality that were promised. Vectors are written to files, never into the log: Trino and Presto
//! refuse those that stand there (ADR-0006). Source: Delta protocol, "Deletion Vectors", "Deletion Vector Format".

pub(crate) mod cache;
mod files;

use std::collections::BTreeMap;

use roaring::RoaringTreemap;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::action::DeletionVectorDescriptor;
use crate::{Add, Error, Protocol, Result, Snapshot};

/// Begins the bytes of a vector: a 64-bit Roaring bitmap in the portable format follows.
const MAGIC: u32 = 1_681_511_377;
const MAGIC_BYTES: usize = 4;

/// Characters of a UUID in Z85.
const UUID_CHARACTERS: usize = 20;

/// Where a vector is. Source: Delta protocol, "Deletion Vector Descriptor Schema".
const STORED_BY_UUID: &str = "u";
const STORED_BY_PATH: &str = "p";
const STORED_INLINE: &str = "i";

/// The feature that a table must list before one of its files has a vector.
const FEATURE: &str = "deletionVectors";

/// The property under which writers make vectors rather than new files.
const ENABLED: &str = "delta.enableDeletionVectors";

/// The deleted rows of a data file, by their positions in it from 0. Compact: a Roaring bitmap.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeletionVector {
    rows: RoaringTreemap,
}

impl DeletionVector {
    /// Makes a vector that deletes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Deletes a row; `false` if it was deleted before.
    pub fn insert(&mut self, row: u64) -> bool {
        self.rows.insert(row)
    }

    /// Deletes the rows that `other` deletes, too.
    pub fn merge(&mut self, other: &Self) {
        self.rows |= &other.rows;
    }

    /// Leaves the rows that `other` deletes as they are.
    pub fn subtract(&mut self, other: &Self) {
        self.rows -= &other.rows;
    }

    /// Returns how many rows are deleted.
    pub fn len(&self) -> u64 {
        self.rows.len()
    }

    /// Says if no row is deleted.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Says if this row is deleted.
    pub fn contains(&self, row: u64) -> bool {
        self.rows.contains(row)
    }

    /// Returns the last deleted row.
    pub fn last(&self) -> Option<u64> {
        self.rows.max()
    }

    /// Returns the deleted rows, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.rows.iter()
    }

    /// Returns about how many bytes the vector takes in memory.
    pub fn memory_bytes(&self) -> usize {
        const OVERHEAD_BYTES: usize = 256;
        self.rows.serialized_size() + OVERHEAD_BYTES
    }

    /// Writes the vector as files hold it, magic number included.
    fn encode(&self) -> Result<Vec<u8>> {
        let mut rows = self.rows.clone();
        rows.optimize();
        let mut bytes = Vec::with_capacity(MAGIC_BYTES + rows.serialized_size());
        bytes.extend(MAGIC.to_le_bytes());
        rows.serialize_into(&mut bytes).map_err(|error| Error::Internal {
            message: format!("writing a deletion vector failed: {error}"),
        })?;
        Ok(bytes)
    }

    /// Reads what [`DeletionVector::encode`] writes; bytes after it do not count. `Err` says what is wrong.
    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let (magic, rows) = bytes
            .split_first_chunk::<MAGIC_BYTES>()
            .ok_or("it is shorter than its magic number")?;
        let magic = u32::from_le_bytes(*magic);
        if magic != MAGIC {
            return Err(format!("it begins with {magic}, not with {MAGIC}"));
        }
        let rows = RoaringTreemap::deserialize_from(rows).map_err(|error| error.to_string())?;
        Ok(Self { rows })
    }
}

impl Extend<u64> for DeletionVector {
    fn extend<T: IntoIterator<Item = u64>>(&mut self, rows: T) {
        self.rows.extend(rows);
    }
}

impl FromIterator<u64> for DeletionVector {
    fn from_iter<T: IntoIterator<Item = u64>>(rows: T) -> Self {
        Self {
            rows: rows.into_iter().collect(),
        }
    }
}

impl Add {
    /// Returns this file with other deleted rows: `vector` holds all of them, those that were deleted before too.
    /// `stored_rows` counts the rows of the file, deleted ones included, which the statistics must say from then on;
    /// their bounds are those of rows that may be gone (`tightBounds` is false).
    ///
    /// # Errors
    /// `Internal` when the statistics cannot be written; statistics that cannot be read are left out.
    pub fn with_deletion_vector(&self, vector: DeletionVectorDescriptor, stored_rows: u64) -> Result<Self> {
        // Numbers are kept as they are written: those of decimals do not fit into a double.
        let mut stats: BTreeMap<String, Box<RawValue>> = self
            .stats
            .as_deref()
            .and_then(|stats| serde_json::from_str(stats).ok())
            .unwrap_or_default();
        let unwritable = |error: serde_json::Error| Error::Internal {
            message: format!("writing the statistics of a file failed: {error}"),
        };
        let raw = |text: String| RawValue::from_string(text).map_err(unwritable);
        stats.insert("numRecords".to_owned(), raw(stored_rows.to_string())?);
        stats.insert("tightBounds".to_owned(), raw("false".to_owned())?);
        Ok(Self {
            stats: Some(serde_json::to_string(&stats).map_err(unwritable)?),
            deletion_vector: Some(vector),
            data_change: true,
            ..self.clone()
        })
    }
}

/// Says if files of a table may have vectors: readers and writers know of them.
pub(crate) fn allowed(protocol: &Protocol) -> bool {
    let lists = |features: &Option<Vec<String>>| features.iter().flatten().any(|feature| feature == FEATURE);
    lists(&protocol.reader_features) && lists(&protocol.writer_features)
}

/// Refuses files with vectors in a table that does not list the feature.
///
/// # Errors
/// `InvalidArgument`, naming the first such file.
pub(crate) fn check_allowed(protocol: &Protocol, adds: &[Add]) -> Result<()> {
    match adds.iter().find(|add| add.deletion_vector.is_some()) {
        Some(add) if !allowed(protocol) => Err(Error::InvalidArgument {
            message: format!(
                "file `{}` has a deletion vector, and the table does not list feature `{FEATURE}`",
                add.path
            ),
        }),
        _ => Ok(()),
    }
}

/// Returns the name of a vector file that has this id, relative to the table's root.
fn file_name(prefix: &str, id: Uuid) -> String {
    match prefix {
        "" => format!("deletion_vector_{id}.bin"),
        folder => format!("{folder}/deletion_vector_{id}.bin"),
    }
}

/// Reads `pathOrInlineDv` of a vector that is stored by its UUID: the file's name, relative to the table's root.
/// `None` for what is none.
fn file_name_of(text: &str) -> Option<String> {
    let prefix = text.len().checked_sub(UUID_CHARACTERS)?;
    let (prefix, id) = text.split_at_checked(prefix)?;
    let id = Uuid::from_slice(&z85::decode(id).ok()?).ok()?;
    Some(file_name(prefix, id))
}

impl Snapshot {
    /// Says if rows are to be deleted by deletion vectors: the table's property says so, and its protocol lets files
    /// have them.
    pub fn deletion_vectors_enabled(&self) -> bool {
        let enabled = self.properties().get(ENABLED);
        enabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) && allowed(self.protocol())
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test]
    fn what_spark_writes_into_the_log_is_read() {
        let inline = "^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L";
        let vector = DeletionVector::decode(&z85::decode(inline).expect("z85")).expect("a vector");
        assert_eq!(vector.iter().collect::<Vec<_>>(), [3, 4, 7, 11, 18, 29]);
    }

    #[test_case(
        "R7QFX3rGXPFLhHGq&7g<",
        Some("deletion_vector_a52eda8c-0a57-4636-814b-9c165388f7ca.bin")
    )]
    #[test_case("ab^-aqEH.-t@S}K{vb[*k^", Some("ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin"); "in a folder")]
    #[test_case("tooshort", None)]
    #[test_case("ééééééééééééééééééééé", None; "not in the alphabet")]
    fn a_name_is_read_as_other_writers_write_it(text: &str, expected: Option<&str>) {
        assert_eq!(file_name_of(text).as_deref(), expected);
    }

    #[test_case(&[]; "nothing")]
    #[test_case(&[0]; "one row")]
    #[test_case(&[7, 1 << 31, (1 << 32) + 5, 1 << 40]; "more than 32 bits")]
    fn what_is_written_is_read(rows: &[u64]) {
        let vector: DeletionVector = rows.iter().copied().collect();
        let read = DeletionVector::decode(&vector.encode().expect("encodes")).expect("decodes");
        assert_eq!(read, vector);
    }

    #[test]
    fn runs_are_written_short() {
        let vector: DeletionVector = (0..1_000_000).collect();
        let bytes = vector.encode().expect("encodes");
        assert!(bytes.len() < 1000, "{} bytes", bytes.len());
        assert_eq!(DeletionVector::decode(&bytes), Ok(vector));
    }

    #[test]
    fn bytes_that_are_no_vector_are_refused() {
        let bytes = DeletionVector::from_iter([1, 2, 3]).encode().expect("encodes");
        assert!(DeletionVector::decode(&bytes[..3]).is_err(), "no magic number");
        assert!(DeletionVector::decode(&bytes[..bytes.len() - 1]).is_err(), "torn");
        let mut other = bytes;
        other[0] ^= 1;
        assert!(DeletionVector::decode(&other).is_err(), "another magic number");
    }

    #[test]
    fn statistics_keep_their_numbers_and_lose_their_tightness() {
        let add = Add {
            path: "f".to_owned(),
            partition_values: BTreeMap::new(),
            size: 1,
            modification_time: 5,
            data_change: false,
            stats: Some(
                r#"{"numRecords":9,"maxValues":{"d":99999999999999999999.99},"tightBounds":true}"#.to_owned(),
            ),
            tags: None,
            deletion_vector: None,
            base_row_id: Some(7),
            default_row_commit_version: None,
            clustering_provider: None,
        };
        let vector = DeletionVectorDescriptor {
            storage_type: "u".to_owned(),
            path_or_inline_dv: "x".to_owned(),
            offset: Some(1),
            size_in_bytes: 34,
            cardinality: 1,
        };
        let changed = add.with_deletion_vector(vector.clone(), 9).expect("changed");
        assert_eq!(
            changed.stats.as_deref(),
            Some(r#"{"maxValues":{"d":99999999999999999999.99},"numRecords":9,"tightBounds":false}"#)
        );
        assert_eq!(changed.base_row_id, Some(7));
        assert!(changed.data_change);
        let bare = Add { stats: None, ..add };
        let changed = bare.with_deletion_vector(vector, 9).expect("changed");
        assert_eq!(
            changed.stats.as_deref(),
            Some(r#"{"numRecords":9,"tightBounds":false}"#)
        );
    }
}
