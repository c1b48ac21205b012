//! What privileges are of, by name and as it is found.

use std::fmt;

use ingot_common::name::NameError;
use ingot_common::{FunctionName, Identifier, SchemaName, TableName, VolumeName};
use uuid::Uuid;

use crate::model::{CatalogInfo, FunctionInfo, SchemaInfo, TableInfo, VolumeInfo};

/// What kinds of things privileges are of. Views are tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecurableKind {
    Metastore,
    Catalog,
    Schema,
    Table,
    Function,
    Volume,
}

impl SecurableKind {
    /// Returns Unity Catalog's name of the kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metastore => "METASTORE",
            Self::Catalog => "CATALOG",
            Self::Schema => "SCHEMA",
            Self::Table => "TABLE",
            Self::Function => "FUNCTION",
            Self::Volume => "VOLUME",
        }
    }
}

impl std::str::FromStr for SecurableKind {
    type Err = UnknownSecurableKind;

    /// Reads Unity Catalog's name of a kind, in any case.
    fn from_str(text: &str) -> Result<Self, UnknownSecurableKind> {
        let kinds = [
            Self::Metastore,
            Self::Catalog,
            Self::Schema,
            Self::Table,
            Self::Function,
            Self::Volume,
        ];
        let found = kinds
            .into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(text));
        found.ok_or_else(|| UnknownSecurableKind(text.to_owned()))
    }
}

/// A text that names no [`SecurableKind`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no kind of securable `{0}`; there are METASTORE, CATALOG, SCHEMA, TABLE, FUNCTION and VOLUME"
)]
pub struct UnknownSecurableKind(pub String);

impl fmt::Display for SecurableKind {
    /// As messages have it: `Schema`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Metastore => "Metastore",
            Self::Catalog => "Catalog",
            Self::Schema => "Schema",
            Self::Table => "Table",
            Self::Function => "Function",
            Self::Volume => "Volume",
        })
    }
}

/// Names something that privileges can be of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecurableName {
    Metastore,
    Catalog(Identifier),
    Schema(SchemaName),
    Table(TableName),
    Function(FunctionName),
    Volume(VolumeName),
}

impl SecurableName {
    /// Reads the full name of a securable of a kind: the parts of its name with dots between them.
    ///
    /// # Errors
    /// Another number of parts than the kind has, and parts that are no names. The metastore goes by any name.
    pub fn parse(kind: SecurableKind, full_name: &str) -> Result<Self, NameError> {
        let parts: Vec<&str> = full_name.split('.').collect();
        let expected = match kind {
            SecurableKind::Metastore => return Ok(Self::Metastore),
            SecurableKind::Catalog => 1,
            SecurableKind::Schema => 2,
            SecurableKind::Table | SecurableKind::Function | SecurableKind::Volume => 3,
        };
        let schema = |catalog, schema| {
            Ok(SchemaName::new(
                Identifier::new(catalog)?,
                Identifier::new(schema)?,
            ))
        };
        match (kind, parts.as_slice()) {
            (SecurableKind::Catalog, [catalog]) => Ok(Self::Catalog(Identifier::new(catalog)?)),
            (SecurableKind::Schema, [catalog, name]) => Ok(Self::Schema(schema(catalog, name)?)),
            (SecurableKind::Table, [..]) if parts.len() == expected => {
                Ok(Self::Table(TableName::parse(full_name)?))
            }
            (SecurableKind::Function, [catalog, name, function]) => Ok(Self::Function(FunctionName::new(
                schema(catalog, name)?,
                Identifier::new(function)?,
            ))),
            (SecurableKind::Volume, [catalog, name, volume]) => Ok(Self::Volume(VolumeName::new(
                schema(catalog, name)?,
                Identifier::new(volume)?,
            ))),
            _ => Err(NameError::Parts {
                name: full_name.to_owned(),
                parts: parts.len(),
                expected,
            }),
        }
    }

    /// Returns the kind of what is named.
    pub fn kind(&self) -> SecurableKind {
        match self {
            Self::Metastore => SecurableKind::Metastore,
            Self::Catalog(_) => SecurableKind::Catalog,
            Self::Schema(_) => SecurableKind::Schema,
            Self::Table(_) => SecurableKind::Table,
            Self::Function(_) => SecurableKind::Function,
            Self::Volume(_) => SecurableKind::Volume,
        }
    }
}

impl fmt::Display for SecurableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metastore => f.write_str("metastore"),
            Self::Catalog(name) => name.fmt(f),
            Self::Schema(name) => name.fmt(f),
            Self::Table(name) => name.fmt(f),
            Self::Function(name) => name.fmt(f),
            Self::Volume(name) => name.fmt(f),
        }
    }
}

/// Something that privileges can be of, as it is in the metastore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Securable {
    pub name: SecurableName,
    /// Nil for the metastore.
    pub id: Uuid,
    /// A principal or a group; none of the metastore.
    pub owner: Option<String>,
}

impl Securable {
    /// Returns the metastore itself.
    pub fn metastore() -> Self {
        Self {
            name: SecurableName::Metastore,
            id: Uuid::nil(),
            owner: None,
        }
    }
}

impl From<&CatalogInfo> for Securable {
    fn from(info: &CatalogInfo) -> Self {
        Self {
            name: SecurableName::Catalog(info.name.clone()),
            id: info.id,
            owner: Some(info.audit.owner.clone()),
        }
    }
}

impl From<&SchemaInfo> for Securable {
    fn from(info: &SchemaInfo) -> Self {
        Self {
            name: SecurableName::Schema(info.name.clone()),
            id: info.id,
            owner: Some(info.audit.owner.clone()),
        }
    }
}

impl From<&TableInfo> for Securable {
    fn from(info: &TableInfo) -> Self {
        Self {
            name: SecurableName::Table(info.name.clone()),
            id: info.id.0,
            owner: Some(info.audit.owner.clone()),
        }
    }
}

impl From<&FunctionInfo> for Securable {
    fn from(info: &FunctionInfo) -> Self {
        Self {
            name: SecurableName::Function(info.name.clone()),
            id: info.id.0,
            owner: Some(info.audit.owner.clone()),
        }
    }
}

impl From<&VolumeInfo> for Securable {
    fn from(info: &VolumeInfo) -> Self {
        Self {
            name: SecurableName::Volume(info.name.clone()),
            id: info.id,
            owner: Some(info.audit.owner.clone()),
        }
    }
}
