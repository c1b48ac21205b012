//! Positions in a table's history, as Delta's `DeltaSourceOffset` JSON.

use serde::{Deserialize, Serialize};

use crate::{Error, Offset, Result};

/// The format of offsets. Source: Delta, `DeltaSourceOffset.VERSION_1`.
const SOURCE_VERSION: u32 = 1;

/// The index before the first file of a version.
pub const BASE_INDEX: i64 = -1;

/// A position: everything up to file `index` of version `reservoir_version` is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    pub source_version: u32,
    /// The table's id.
    pub reservoir_id: String,
    pub reservoir_version: i64,
    pub index: i64,
    /// The files are those of the snapshot at the version, not those that the commit added.
    pub is_starting_version: bool,
}

impl Position {
    /// Makes the position before the first file of `version`.
    pub fn new(table_id: &str, version: i64, is_starting_version: bool) -> Self {
        Self {
            source_version: SOURCE_VERSION,
            reservoir_id: table_id.to_owned(),
            reservoir_version: version,
            index: BASE_INDEX,
            is_starting_version,
        }
    }

    /// Reads an offset.
    pub fn from_offset(offset: &Offset) -> Result<Self> {
        let position: Self =
            serde_json::from_value(offset.0.clone()).map_err(|error| Error::InvalidOffset {
                origin: "delta",
                message: error.to_string(),
            })?;
        if position.source_version != SOURCE_VERSION {
            return Err(Error::InvalidOffset {
                origin: "delta",
                message: format!("its format {} is unknown", position.source_version),
            });
        }
        Ok(position)
    }

    /// Writes the offset.
    pub fn to_offset(&self) -> Result<Offset> {
        let value = serde_json::to_value(self).map_err(|error| Error::Internal {
            message: format!("offset cannot be written as JSON: {error}"),
        })?;
        Ok(Offset(value))
    }

    /// Returns the position after file `index` of the same version.
    pub fn at_index(&self, index: i64) -> Self {
        Self {
            index,
            ..self.clone()
        }
    }

    /// Returns the position before the first file that commit `version` added.
    pub fn at_version(&self, version: i64) -> Self {
        Self {
            reservoir_version: version,
            index: BASE_INDEX,
            is_starting_version: false,
            ..self.clone()
        }
    }

    /// Returns the position before the first file that the next commit added.
    pub fn next_version(&self) -> Self {
        self.at_version(self.reservoir_version + 1)
    }

    /// Says if some of a commit has been read, and not all of it.
    pub fn is_within_commit(&self) -> bool {
        !self.is_starting_version && self.index > BASE_INDEX
    }

    /// Says if less has been read here than at `other`.
    pub fn is_before(&self, other: &Self) -> bool {
        (self.reservoir_version, self.index) < (other.reservoir_version, other.index)
    }
}
