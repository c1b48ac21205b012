//! Keys of tables, which say how tables belong together and which nothing enforces.
//!
//! Source: Unity Catalog, `TableConstraint`; Databricks, "CONSTRAINT clause".

use ingot_common::TableName;

use super::TableId;

/// A key of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableConstraint {
    pub table: TableId,
    pub name: String,
    /// In the order of the definition, as the table spells them.
    pub columns: Vec<String>,
    /// Queries may be rewritten as if the key held.
    pub rely: bool,
    pub key: Key,
}

/// What a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    Primary {
        /// The column that is marked as a time.
        timeseries: Option<String>,
    },
    Foreign(ForeignKey),
}

/// What a foreign key refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    pub parent: TableId,
    pub parent_name: TableName,
    /// The name of the parent's primary key.
    pub parent_key: String,
    /// One for each column of the key.
    pub parent_columns: Vec<String>,
}

impl Key {
    /// Returns the name of its kind, as `information_schema` has it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Primary { .. } => PRIMARY_KEY,
            Self::Foreign(_) => FOREIGN_KEY,
        }
    }
}

pub(crate) const PRIMARY_KEY: &str = "PRIMARY KEY";
pub(crate) const FOREIGN_KEY: &str = "FOREIGN KEY";

/// A key to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConstraint {
    /// Made up when `None`.
    pub name: Option<String>,
    pub columns: Vec<String>,
    pub rely: bool,
    pub key: NewKey,
}

/// What a key to make is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewKey {
    Primary {
        timeseries: Option<String>,
    },
    Foreign {
        parent: TableName,
        /// Those of the parent's primary key, in its order, when empty.
        parent_columns: Vec<String>,
    },
}

/// Which key of a table is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConstraintChoice {
    Named(String),
    Primary,
    /// The foreign key of these columns.
    Foreign(Vec<String>),
}

/// What becomes of the keys of a table that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyChange<'a> {
    Keep,
    /// A column has another name.
    Rename {
        from: &'a str,
        to: &'a str,
    },
    /// The table has these keys from now on. Foreign keys of others stay where there still is what they refer to.
    Replace(&'a [NewConstraint]),
}
