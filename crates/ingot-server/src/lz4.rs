//! LZ4 frames, in which clients of Databricks take Arrow's bytes.

use std::io::Write;

use ingot_common::{Kind, ServiceError};
use lz4_flex::frame::FrameEncoder;

/// Compresses `bytes` to one frame.
///
/// # Errors
/// `Internal` for bytes that cannot be compressed.
pub fn frame(bytes: &[u8]) -> Result<Vec<u8>, ServiceError> {
    let mut frame = FrameEncoder::new(Vec::with_capacity(bytes.len() / 2));
    let written = frame.write_all(bytes).map_err(lz4_flex::frame::Error::IoError);
    written
        .and_then(|()| frame.finish())
        .map_err(|error| ServiceError::new(Kind::Internal, format!("rows cannot be compressed: {error}")))
}
