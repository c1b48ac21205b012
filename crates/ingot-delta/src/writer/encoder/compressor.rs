//! Pages in fewer bytes.

use parquet::basic::Compression;
use parquet::errors::{ParquetError, Result};

/// A codec and what it works in; one serves all columns of a file.
pub(super) enum Compressor {
    None,
    Snappy(Box<snap::raw::Encoder>),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Compressor {
    /// Says if a codec is known here; columns of others are left to the library.
    pub fn knows(compression: Compression) -> bool {
        use Compression::{SNAPPY, UNCOMPRESSED, ZSTD};
        matches!(compression, UNCOMPRESSED | SNAPPY | ZSTD(_))
    }

    /// Returns that of a codec that is known here.
    ///
    /// # Errors
    /// For another codec, and when this one cannot begin.
    pub fn new(compression: Compression) -> Result<Self> {
        match compression {
            Compression::UNCOMPRESSED => Ok(Self::None),
            Compression::SNAPPY => Ok(Self::Snappy(Box::new(snap::raw::Encoder::new()))),
            Compression::ZSTD(level) => Ok(Self::Zstd(zstd::bulk::Compressor::new(
                level.compression_level(),
            )?)),
            other => Err(ParquetError::General(format!("{other} is not known here"))),
        }
    }

    /// Returns a page's bytes as the file has them.
    ///
    /// # Errors
    /// When the codec fails: for a page that it holds to be too large, say.
    pub fn compress(&mut self, plain: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::None => Ok(plain.to_vec()),
            Self::Snappy(encoder) => {
                let compressed = encoder.compress_vec(plain);
                compressed.map_err(|error| ParquetError::External(Box::new(error)))
            }
            Self::Zstd(compressor) => Ok(compressor.compress(plain)?),
        }
    }
}
