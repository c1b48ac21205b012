//! A project: `pipeline.toml`, the SQL files beside it, and what they define.

use std::collections::BTreeMap;
use std::path::Path;

use crate::Result;

/// A checked project.
#[derive(Debug, Clone)]
pub struct Project {}

impl Project {
    /// Reads and checks the project in folder `path`. `configuration` overrides `[configuration]` of
    /// `pipeline.toml`; its values replace `${key}` in the SQL.
    ///
    /// # Errors
    /// `InvalidArgument`, with file, line and column, for syntax, unknown names and cycles.
    pub fn load(path: &Path, configuration: &BTreeMap<String, String>) -> Result<Self> {
        let _ = (path, configuration);
        todo!()
    }

    /// Returns the pipeline's name.
    pub fn name(&self) -> &str {
        todo!()
    }

    /// Returns the datasets' full names in the order in which they are updated.
    pub fn datasets(&self) -> Vec<String> {
        todo!()
    }
}
