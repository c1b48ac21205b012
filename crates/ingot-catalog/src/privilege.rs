//! Privileges: what a principal may be allowed to do.
//!
//! Source: Databricks, "Unity Catalog privileges and securable objects".

use std::fmt;
use std::str::FromStr;

use crate::securable::SecurableKind;

/// What a principal may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Privilege {
    /// All that apply to the securable and to what it holds, but for `MANAGE` and `EXTERNAL USE SCHEMA`.
    AllPrivileges,
    ApplyTag,
    /// To see that a securable is there, and what is told of it, without its data.
    Browse,
    CreateCatalog,
    CreateFunction,
    CreateMaterializedView,
    CreateModel,
    CreateSchema,
    CreateTable,
    CreateVolume,
    Execute,
    ExternalUseSchema,
    /// To grant, to drop, to rename, to give to another owner.
    Manage,
    Modify,
    ReadVolume,
    Refresh,
    Select,
    UseCatalog,
    UseSchema,
    WriteVolume,
}

impl Privilege {
    /// In the order of their names.
    pub const ALL: [Self; 20] = [
        Self::AllPrivileges,
        Self::ApplyTag,
        Self::Browse,
        Self::CreateCatalog,
        Self::CreateFunction,
        Self::CreateMaterializedView,
        Self::CreateModel,
        Self::CreateSchema,
        Self::CreateTable,
        Self::CreateVolume,
        Self::Execute,
        Self::ExternalUseSchema,
        Self::Manage,
        Self::Modify,
        Self::ReadVolume,
        Self::Refresh,
        Self::Select,
        Self::UseCatalog,
        Self::UseSchema,
        Self::WriteVolume,
    ];

    /// Returns the name in Unity Catalog's API: `USE_SCHEMA`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllPrivileges => "ALL_PRIVILEGES",
            Self::ApplyTag => "APPLY_TAG",
            Self::Browse => "BROWSE",
            Self::CreateCatalog => "CREATE_CATALOG",
            Self::CreateFunction => "CREATE_FUNCTION",
            Self::CreateMaterializedView => "CREATE_MATERIALIZED_VIEW",
            Self::CreateModel => "CREATE_MODEL",
            Self::CreateSchema => "CREATE_SCHEMA",
            Self::CreateTable => "CREATE_TABLE",
            Self::CreateVolume => "CREATE_VOLUME",
            Self::Execute => "EXECUTE",
            Self::ExternalUseSchema => "EXTERNAL_USE_SCHEMA",
            Self::Manage => "MANAGE",
            Self::Modify => "MODIFY",
            Self::ReadVolume => "READ_VOLUME",
            Self::Refresh => "REFRESH",
            Self::Select => "SELECT",
            Self::UseCatalog => "USE_CATALOG",
            Self::UseSchema => "USE_SCHEMA",
            Self::WriteVolume => "WRITE_VOLUME",
        }
    }

    /// Returns the name in SQL: `USE SCHEMA`.
    pub fn sql(self) -> String {
        self.as_str().replace('_', " ")
    }

    /// Says if the privilege can be granted on a securable of the kind: it is one of it, or of what it holds.
    pub fn applies_to(self, kind: SecurableKind) -> bool {
        let of_tables = matches!(self, Self::Select | Self::Modify | Self::Refresh);
        let of_volumes = matches!(self, Self::ReadVolume | Self::WriteVolume);
        match self {
            Self::AllPrivileges | Self::Manage => kind != SecurableKind::Metastore,
            _ => match kind {
                SecurableKind::Metastore => self == Self::CreateCatalog,
                SecurableKind::Catalog => self != Self::CreateCatalog,
                SecurableKind::Schema => !matches!(
                    self,
                    Self::Browse | Self::CreateCatalog | Self::CreateSchema | Self::UseCatalog
                ),
                SecurableKind::Table => of_tables || self == Self::ApplyTag,
                SecurableKind::Volume => of_volumes || self == Self::ApplyTag,
                SecurableKind::Function => self == Self::Execute,
            },
        }
    }

    /// Says if `ALL PRIVILEGES` has the privilege among them.
    pub(crate) fn in_all(self) -> bool {
        !matches!(self, Self::Manage | Self::ExternalUseSchema)
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sql())
    }
}

/// A text that names no [`Privilege`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no privilege `{0}`")]
pub struct UnknownPrivilege(pub String);

impl FromStr for Privilege {
    type Err = UnknownPrivilege;

    /// Reads a name, with spaces or underscores, in any case.
    fn from_str(text: &str) -> Result<Self, UnknownPrivilege> {
        let words: Vec<&str> = text.split([' ', '_']).filter(|word| !word.is_empty()).collect();
        let name = words.join("_").to_uppercase();
        let found = Self::ALL.into_iter().find(|privilege| privilege.as_str() == name);
        match name.as_str() {
            "ALL" => Ok(Self::AllPrivileges),
            _ => found.ok_or_else(|| UnknownPrivilege(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("select", Privilege::Select)]
    #[test_case("USE_SCHEMA", Privilege::UseSchema)]
    #[test_case("use  schema", Privilege::UseSchema)]
    #[test_case("ALL", Privilege::AllPrivileges)]
    #[test_case("all privileges", Privilege::AllPrivileges)]
    fn a_name_is_read_as_sql_and_the_api_have_it(text: &str, expected: Privilege) {
        assert_eq!(text.parse(), Ok(expected));
    }

    #[test]
    fn every_name_is_read_back() {
        for privilege in Privilege::ALL {
            assert_eq!(privilege.as_str().parse(), Ok(privilege));
            assert_eq!(privilege.sql().parse(), Ok(privilege));
        }
        assert!("SELECTS".parse::<Privilege>().is_err());
    }

    /// What may be granted is an interface: review Databricks' list before a change.
    #[test_case(SecurableKind::Metastore, &["CREATE_CATALOG"])]
    #[test_case(SecurableKind::Table, &["ALL_PRIVILEGES", "APPLY_TAG", "MANAGE", "MODIFY", "REFRESH", "SELECT"])]
    #[test_case(SecurableKind::Function, &["ALL_PRIVILEGES", "EXECUTE", "MANAGE"])]
    #[test_case(
        SecurableKind::Volume,
        &["ALL_PRIVILEGES", "APPLY_TAG", "MANAGE", "READ_VOLUME", "WRITE_VOLUME"]
    )]
    fn a_kind_has_its_privileges(kind: SecurableKind, expected: &[&str]) {
        let applying = Privilege::ALL
            .into_iter()
            .filter(|privilege| privilege.applies_to(kind));
        let names: Vec<&str> = applying.map(Privilege::as_str).collect();
        assert_eq!(names, expected);
    }
}
