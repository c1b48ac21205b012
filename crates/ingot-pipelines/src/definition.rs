//! What the SQL of a project defines, as data.

use std::collections::BTreeMap;
use std::fmt;

use ingot_common::TableName;

/// Where something stands in the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    /// From 1.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Definition {
    Dataset(Dataset),
    Cdc(CdcFlow),
}

/// `CREATE OR REFRESH STREAMING TABLE` or `MATERIALIZED VIEW`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    pub name: TableName,
    pub kind: DatasetKind,
    /// None for a streaming table that a CDC flow fills.
    pub query: Option<Query>,
    pub expectations: Vec<Expectation>,
    pub partition_columns: Vec<String>,
    pub comment: Option<String>,
    pub properties: BTreeMap<String, String>,
    pub place: Place,
}

/// How a dataset is kept up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatasetKind {
    /// Takes each row of its sources once.
    StreamingTable,
    /// Is what its query says.
    MaterializedView,
}

/// The query of a dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The text, in which each `STREAM …` is replaced by the name of its relation.
    pub text: String,
    pub sources: Vec<StreamSource>,
    /// Tables and views that it reads as they are.
    pub relations: Vec<Reference>,
    /// Whether it reads files, whose changes nobody announces.
    pub reads_files: bool,
    pub place: Place,
}

/// A `STREAM …` in a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSource {
    /// Name under which the micro-batch's rows are visible.
    pub relation: String,
    pub origin: StreamOrigin,
}

/// Where a stream comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamOrigin {
    /// A table, `WITH (…)` options of the Delta source.
    Table {
        reference: Reference,
        options: BTreeMap<String, String>,
    },
    /// `read_kafka(…)`: options in Spark's names.
    Kafka(BTreeMap<String, String>),
    /// `read_files(path, …)`: options in Databricks' names.
    Files {
        path: String,
        options: BTreeMap<String, String>,
    },
}

/// A table's name where it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub name: TableName,
    pub place: Place,
}

/// `CONSTRAINT name EXPECT (condition) [ON VIOLATION …]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    pub name: String,
    /// A row passes when this is true, and fails when it is false or null.
    pub condition: String,
    pub on_violation: OnViolation,
}

/// What becomes of a row that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnViolation {
    /// It is counted.
    Keep,
    DropRow,
    FailUpdate,
}

/// `CREATE FLOW … AS AUTO CDC INTO …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CdcFlow {
    pub name: String,
    pub target: Reference,
    pub source: Reference,
    pub keys: Vec<String>,
    /// Column that orders the changes of a key.
    pub sequence_by: String,
    /// Condition of rows that say that their key is gone.
    pub delete_when: Option<String>,
    /// Columns of the source that the target has.
    pub columns: Columns,
    pub stored_as: ScdType,
    pub place: Place,
}

/// A choice of columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Columns {
    All,
    Only(Vec<String>),
    Except(Vec<String>),
}

impl Columns {
    /// Says if the choice holds the column.
    pub fn holds(&self, column: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|name| name.eq_ignore_ascii_case(column));
        match self {
            Self::All => true,
            Self::Only(names) => named(names),
            Self::Except(names) => !named(names),
        }
    }
}

/// Type of slowly changing dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScdType {
    /// The newest row of each key.
    One,
    /// A row for each time that a tracked column changed.
    Two { track: Columns },
}

impl Dataset {
    /// Returns the tables that the dataset's query reads.
    pub fn inputs(&self) -> impl Iterator<Item = &Reference> {
        let streams = self.query.iter().flat_map(|query| &query.sources);
        let tables = streams.filter_map(|source| match &source.origin {
            StreamOrigin::Table { reference, .. } => Some(reference),
            StreamOrigin::Kafka(_) | StreamOrigin::Files { .. } => None,
        });
        tables.chain(self.query.iter().flat_map(|query| &query.relations))
    }
}
