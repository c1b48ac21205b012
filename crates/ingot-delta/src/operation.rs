//! What a commit says it did, in Spark's words, for `DESCRIBE HISTORY`.

use std::collections::BTreeMap;

/// The name and parameters of an operation as Spark writes them into `commitInfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// `WRITE`, `STREAMING UPDATE`, `MERGE`, `DELETE`, `CREATE TABLE AS SELECT`, …
    pub name: &'static str,
    /// Values are JSON texts, as Spark writes them (`"Append"`, `[]`, `["carrier"]`).
    pub parameters: BTreeMap<String, String>,
}

impl Operation {
    /// Makes an operation without parameters.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            parameters: BTreeMap::new(),
        }
    }

    /// Adds a parameter.
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.parameters.insert(key.to_owned(), value.into());
        self
    }
}

/// Who makes commits, and what they remark.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Author {
    /// `userName`.
    pub user_name: Option<String>,
    /// `userMetadata`.
    pub user_metadata: Option<String>,
}

impl Author {
    /// Makes an author without a remark.
    pub fn named(user_name: impl Into<String>) -> Self {
        Self {
            user_name: Some(user_name.into()),
            user_metadata: None,
        }
    }
}

/// Spark's operation metrics by name (`numFiles`, `numOutputRows`, `numOutputBytes`, `numTargetRowsUpdated`, …).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperationMetrics(pub BTreeMap<String, i64>);

impl OperationMetrics {
    /// Adds `value` to the metric `name`.
    pub fn increase(&mut self, name: &str, value: i64) {
        *self.0.entry(name.to_owned()).or_default() += value;
    }

    /// Returns the metric, 0 when absent.
    pub fn get(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or_default()
    }
}
