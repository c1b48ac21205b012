//! Names of securables: one part ([`Identifier`]), two ([`SchemaName`]), three ([`TableName`],
//! [`FunctionName`], [`VolumeName`]).
//!
//! Names compare and are stored in lower case, as Unity Catalog does. A part is 1 to 255 characters and
//! holds no `.`, `/`, space or control character, so it can stand in a path and in a three-part name.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest name part, in characters. Source: Unity Catalog, object naming rules.
pub const NAME_CHARS_MAX: usize = 255;

/// A text that cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("name part is empty in name=`{name}`")]
    Empty { name: String },
    #[error("name part is longer than {NAME_CHARS_MAX} characters in name=`{name}`")]
    TooLong { name: String },
    #[error("name=`{name}` holds {character:?}; names hold no `.`, `/`, space or control character")]
    Character { name: String, character: char },
    #[error("name=`{name}` has {parts} parts, expected {expected}")]
    Parts {
        name: String,
        parts: usize,
        expected: usize,
    },
}

impl crate::Classify for NameError {
    fn kind(&self) -> crate::Kind {
        crate::Kind::InvalidArgument
    }

    fn condition(&self) -> Option<&str> {
        match self {
            Self::Parts { .. } => Some("IDENTIFIER_TOO_MANY_NAME_PARTS"),
            _ => Some("INVALID_SCHEMA_OR_RELATION_NAME"),
        }
    }

    fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Parts { .. } => Some("42601"),
            _ => Some("42602"),
        }
    }
}

/// One part of a name, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Identifier(String);

impl Identifier {
    /// Checks `text` and folds it to lower case.
    ///
    /// # Errors
    /// `InvalidArgument` when `text` is empty, too long or holds a character that a name cannot.
    pub fn new(text: impl AsRef<str>) -> Result<Self, NameError> {
        let text = text.as_ref();
        let name = || text.to_owned();
        if text.is_empty() {
            return Err(NameError::Empty { name: name() });
        }
        if text.chars().count() > NAME_CHARS_MAX {
            return Err(NameError::TooLong { name: name() });
        }
        let refused = |c: &char| matches!(c, '.' | '/' | ' ') || c.is_control();
        if let Some(character) = text.chars().find(refused) {
            return Err(NameError::Character {
                name: name(),
                character,
            });
        }
        Ok(Self(text.to_lowercase()))
    }

    /// Returns the name in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Identifier {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl From<Identifier> for String {
    fn from(name: Identifier) -> Self {
        name.0
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `catalog.schema`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SchemaName {
    pub catalog: Identifier,
    pub schema: Identifier,
}

impl SchemaName {
    /// Joins two parts.
    pub fn new(catalog: Identifier, schema: Identifier) -> Self {
        Self { catalog, schema }
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.catalog, self.schema)
    }
}

/// `catalog.schema.table`: the name of a table or view.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableName {
    pub catalog: Identifier,
    pub schema: Identifier,
    pub table: Identifier,
}

impl TableName {
    /// Joins three parts.
    pub fn new(catalog: Identifier, schema: Identifier, table: Identifier) -> Self {
        Self {
            catalog,
            schema,
            table,
        }
    }

    /// Reads `catalog.schema.table`, without quoting.
    ///
    /// # Errors
    /// `InvalidArgument` when there are not three parts or one of them is no name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let parts: Vec<&str> = text.split('.').collect();
        let [catalog, schema, table] = parts.as_slice() else {
            return Err(NameError::Parts {
                name: text.to_owned(),
                parts: parts.len(),
                expected: 3,
            });
        };
        Ok(Self::new(
            Identifier::new(catalog)?,
            Identifier::new(schema)?,
            Identifier::new(table)?,
        ))
    }

    /// Returns the schema that holds this table.
    pub fn schema_name(&self) -> SchemaName {
        SchemaName::new(self.catalog.clone(), self.schema.clone())
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.catalog, self.schema, self.table)
    }
}

/// `catalog.schema.function`: the name of a function that a statement has made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FunctionName {
    pub schema: SchemaName,
    pub function: Identifier,
}

impl FunctionName {
    /// Joins a schema and the name of a function in it.
    pub fn new(schema: SchemaName, function: Identifier) -> Self {
        Self { schema, function }
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.function)
    }
}

/// `catalog.schema.volume`: the name of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VolumeName {
    pub schema: SchemaName,
    pub volume: Identifier,
}

impl VolumeName {
    /// Joins a schema and the name of a volume in it.
    pub fn new(schema: SchemaName, volume: Identifier) -> Self {
        Self { schema, volume }
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.volume)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    #[test]
    fn parse_folds_case() {
        let name = TableName::parse("Main.Gold.Carrier_Delay").expect("valid name");
        assert_eq!(name.to_string(), "main.gold.carrier_delay");
    }

    #[test_case("gold.carrier_delay", "has 2 parts, expected 3")]
    #[test_case("main..t", "is empty")]
    #[test_case("main.go ld.t", "holds ' '")]
    #[test_case("main.gold.a/b", "holds '/'")]
    fn parse_refuses(text: &str, message: &str) {
        let error = TableName::parse(text).expect_err("not a name");
        assert!(error.to_string().contains(message), "{error}");
    }
}
