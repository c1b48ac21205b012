//! Who may do what: pure decisions over facts that were read at once.
//!
//! ```text
//! grants, owners of catalogs and schemas, groups ─► Policy ─┐
//! principal ─► Identity ────────────────────────────────────┼─► check(who, securable, need) ─► Ok, or what is missing
//! row of a table, view, function or volume ─► Securable ────┘
//! ```
//! What always holds: nobody may do what no rule here allows. A privilege of a catalog or a schema is one of all that is
//! in it. An owner has every privilege on what is owned and on all that is in it. Whoever uses what a schema holds needs
//! the use of the schema and of its catalog, an owner too; an owner of the schema needs that of the catalog.
//! Administrators may do everything. Source: Databricks, "Manage privileges in Unity Catalog", "Manage Unity Catalog
//! object ownership".

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use ingot_common::{Identifier, SchemaName};
use uuid::Uuid;

use crate::privilege::Privilege;
use crate::securable::{Securable, SecurableKind, SecurableName};

/// The group of everybody.
pub const ACCOUNT_USERS: &str = "account users";

/// One privilege of one principal or group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub principal: String,
    pub privilege: Privilege,
    pub granted_by: String,
}

/// A grant, and what it is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantOn {
    pub grant: Grant,
    pub on: SecurableName,
    /// It is on what holds what was asked for.
    pub inherited: bool,
}

/// Whom a decision is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    principal: String,
    groups: BTreeSet<String>,
    administrator: bool,
}

impl Identity {
    /// Returns the principal's name.
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// Says if the principal may do everything.
    pub fn administrator(&self) -> bool {
        self.administrator
    }

    /// Says if the principal is in a group.
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.contains(group)
    }

    /// Says if a name is of the principal or of a group that it is in.
    pub fn goes_by(&self, name: &str) -> bool {
        self.principal == name || self.groups.contains(name)
    }
}

/// What somebody needs for what is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// To know of it: any privilege that is of it.
    Sight,
    /// The privilege, and the use of what holds it.
    Privilege(Privilege),
    /// To change it or who may do what with it: `MANAGE`, or to own it or what holds it.
    Manage,
    /// To say what runs with its owner's rights: to be that owner.
    Ownership,
}

/// What somebody lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    pub principal: String,
    pub lacks: Lack,
    pub on: SecurableName,
}

/// See [`Denied`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    Privilege(Privilege),
    AnyPrivilege,
    Ownership,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.on.kind();
        f.write_str("Insufficient privileges: User ")?;
        match self.lacks {
            Lack::Privilege(privilege) => write!(f, "does not have {privilege} on {kind} '{}'.", self.on),
            Lack::AnyPrivilege => write!(f, "does not have any privilege on {kind} '{}'.", self.on),
            Lack::Ownership => write!(f, "is not an owner of {kind} '{}'.", self.on),
        }
    }
}

/// A catalog or a schema, as far as decisions need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub id: Uuid,
    pub owner: String,
}

/// The facts of all decisions, as they were at one time.
#[derive(Debug, Default)]
pub struct Policy {
    pub(crate) version: i64,
    pub(crate) administrators: Arc<BTreeSet<String>>,
    pub(crate) catalogs: HashMap<Identifier, Holder>,
    pub(crate) schemas: HashMap<SchemaName, Holder>,
    pub(crate) grants: HashMap<Uuid, Vec<Grant>>,
}

/// A securable, or what holds it.
struct Level<'a> {
    id: Uuid,
    owner: Option<&'a str>,
    name: SecurableName,
}

impl Policy {
    /// Returns who a principal is.
    pub fn identity(&self, principal: &str) -> Identity {
        Identity {
            principal: principal.to_owned(),
            groups: [ACCOUNT_USERS.to_owned()].into(),
            administrator: is_internal(principal) || self.administrators.contains(principal),
        }
    }

    /// Says if `who` has what is needed on a securable.
    pub fn allows(&self, who: &Identity, securable: &Securable, need: Need) -> bool {
        self.check(who, securable, need).is_ok()
    }

    /// Checks that `who` has what is needed on a securable.
    ///
    /// # Errors
    /// What is missing; of several things the outermost.
    pub fn check(&self, who: &Identity, securable: &Securable, need: Need) -> Result<(), Denied> {
        if who.administrator {
            return Ok(());
        }
        let denied = |lacks, on: &SecurableName| Denied {
            principal: who.principal.clone(),
            lacks,
            on: on.clone(),
        };
        let levels = self.levels(securable);
        if need == Need::Sight {
            return match self.sees(who, securable.name.kind(), &levels) {
                true => Ok(()),
                false => Err(denied(Lack::AnyPrivilege, &securable.name)),
            };
        }
        if let Some((privilege, on)) = self.unused(who, &levels) {
            return Err(denied(Lack::Privilege(privilege), on));
        }
        match need {
            Need::Ownership => match securable.owner.as_deref().is_some_and(|owner| who.goes_by(owner)) {
                true => Ok(()),
                false => Err(denied(Lack::Ownership, &securable.name)),
            },
            Need::Privilege(privilege) if !self.holds(who, &levels, privilege) => {
                Err(denied(Lack::Privilege(privilege), &securable.name))
            }
            Need::Manage if !self.holds(who, &levels, Privilege::Manage) => {
                Err(denied(Lack::Privilege(Privilege::Manage), &securable.name))
            }
            _ => Ok(()),
        }
    }

    /// Returns the grants that hold for a securable, from those on itself outwards: those of `of`, or all.
    pub fn grants_on(&self, securable: &Securable, of: Option<&Identity>) -> Vec<GrantOn> {
        let kind = securable.name.kind();
        let mut found = Vec::new();
        for (place, level) in self.levels(securable).into_iter().enumerate() {
            let grants = self.grants.get(&level.id).into_iter().flatten();
            let grants = grants.filter(|grant| of.is_none_or(|who| who.goes_by(&grant.principal)));
            let grants = grants.filter(|grant| grant.privilege.applies_to(kind));
            found.extend(grants.map(|grant| GrantOn {
                grant: grant.clone(),
                on: level.name.clone(),
                inherited: place > 0,
            }));
        }
        found
    }

    /// Returns a securable and what holds it, from the inside out.
    fn levels<'a>(&'a self, securable: &'a Securable) -> Vec<Level<'a>> {
        let mut levels = vec![Level {
            id: securable.id,
            owner: securable.owner.as_deref(),
            name: securable.name.clone(),
        }];
        let table_schema;
        let (schema, catalog) = match &securable.name {
            SecurableName::Metastore | SecurableName::Catalog(_) => return levels,
            SecurableName::Schema(name) => (None, &name.catalog),
            SecurableName::Table(name) => {
                table_schema = name.schema_name();
                (Some(&table_schema), &name.catalog)
            }
            SecurableName::Function(name) => (Some(&name.schema), &name.schema.catalog),
            SecurableName::Volume(name) => (Some(&name.schema), &name.schema.catalog),
        };
        // One that is not known was made since: nobody has been given anything on it.
        let level = |holder: Option<&'a Holder>, name| Level {
            id: holder.map_or(Uuid::max(), |holder| holder.id),
            owner: holder.map(|holder| holder.owner.as_str()),
            name,
        };
        if let Some(schema) = schema {
            levels.push(level(
                self.schemas.get(schema),
                SecurableName::Schema(schema.clone()),
            ));
        }
        levels.push(level(
            self.catalogs.get(catalog),
            SecurableName::Catalog(catalog.clone()),
        ));
        levels
    }

    /// Returns the use that `who` lacks of what holds a securable: the catalog's, or the schema's.
    fn unused<'a>(&self, who: &Identity, levels: &'a [Level<'_>]) -> Option<(Privilege, &'a SecurableName)> {
        for place in (1..levels.len()).rev() {
            let around = levels.get(place..).unwrap_or_default();
            let held = around.first()?;
            let privilege = match held.name.kind() {
                SecurableKind::Catalog => Privilege::UseCatalog,
                _ => Privilege::UseSchema,
            };
            if !self.holds(who, around, privilege) {
                return Some((privilege, &held.name));
            }
        }
        None
    }

    /// Says if `who` has a privilege on the first of `levels`: it owns one of them, or was granted it on one.
    fn holds(&self, who: &Identity, levels: &[Level<'_>], privilege: Privilege) -> bool {
        levels.iter().any(|level| {
            level.owner.is_some_and(|owner| who.goes_by(owner))
                || self.granted(who, level.id, |granted| {
                    granted == privilege || granted == Privilege::AllPrivileges && privilege.in_all()
                })
        })
    }

    fn sees(&self, who: &Identity, kind: SecurableKind, levels: &[Level<'_>]) -> bool {
        let owns = |level: &Level<'_>| level.owner.is_some_and(|owner| who.goes_by(owner));
        let any = levels.iter().any(|level| {
            owns(level)
                || self.granted(who, level.id, |granted| {
                    granted.applies_to(kind) && granted != Privilege::Browse
                })
        });
        let browses = || self.holds(who, levels, Privilege::Browse);
        any && self.unused(who, levels).is_none() || browses()
    }

    fn granted(&self, who: &Identity, id: Uuid, wanted: impl Fn(Privilege) -> bool) -> bool {
        let grants = self.grants.get(&id).into_iter().flatten();
        grants
            .filter(|grant| wanted(grant.privilege))
            .any(|grant| who.goes_by(&grant.principal))
    }
}

/// Says if a name is one that the server itself works under. Nobody else is let in by such a name.
pub fn is_internal(principal: &str) -> bool {
    principal == "system" || principal.starts_with("pipeline:")
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn identifier(name: &str) -> Identifier {
        Identifier::new(name).expect("a name")
    }

    const CATALOG: Uuid = Uuid::from_u128(1);
    const SCHEMA: Uuid = Uuid::from_u128(2);
    const TABLE: Uuid = Uuid::from_u128(3);

    /// Catalog `c` of `cathy`, schema `c.s` of `sue`; grants to `ann` on the ids.
    fn policy(grants: &[(Uuid, &str)]) -> Policy {
        let mut policy = Policy {
            administrators: Arc::new(["admin".to_owned()].into()),
            ..Policy::default()
        };
        let holder = |id, owner: &str| Holder {
            id,
            owner: owner.to_owned(),
        };
        policy.catalogs.insert(identifier("c"), holder(CATALOG, "cathy"));
        let schema = SchemaName::new(identifier("c"), identifier("s"));
        policy.schemas.insert(schema, holder(SCHEMA, "sue"));
        for (id, privilege) in grants {
            policy.grants.entry(*id).or_default().push(Grant {
                principal: "ann".to_owned(),
                privilege: privilege.parse().expect("a privilege"),
                granted_by: "cathy".to_owned(),
            });
        }
        policy
    }

    fn table() -> Securable {
        let name = SecurableName::parse(SecurableKind::Table, "c.s.t").expect("a name");
        Securable {
            name,
            id: TABLE,
            owner: Some("tom".to_owned()),
        }
    }

    const SELECT: Need = Need::Privilege(Privilege::Select);
    const USES: [(Uuid, &str); 2] = [(CATALOG, "USE CATALOG"), (SCHEMA, "USE SCHEMA")];

    #[test_case(&[(TABLE, "SELECT")], "does not have USE CATALOG on Catalog 'c'."; "no use of the catalog")]
    #[test_case(&[(TABLE, "SELECT"), (CATALOG, "USE CATALOG")], "does not have USE SCHEMA on Schema 'c.s'."; "no use of the schema")]
    #[test_case(&[(CATALOG, "USE CATALOG"), (CATALOG, "USE SCHEMA")], "does not have SELECT on Table 'c.s.t'."; "no privilege of its own")]
    #[test_case(&[(CATALOG, "USE CATALOG"), (SCHEMA, "USE SCHEMA"), (TABLE, "MODIFY")], "does not have SELECT on Table 'c.s.t'."; "another privilege")]
    #[test_case(&[(CATALOG, "MANAGE")], "does not have USE CATALOG on Catalog 'c'."; "to manage is not to use")]
    fn what_is_missing_is_said(grants: &[(Uuid, &str)], expected: &str) {
        let policy = policy(grants);
        let denied = policy
            .check(&policy.identity("ann"), &table(), SELECT)
            .expect_err("denied");
        assert_eq!(
            denied.to_string(),
            format!("Insufficient privileges: User {expected}")
        );
    }

    #[test_case(&[(TABLE, "SELECT")]; "on the table")]
    #[test_case(&[(SCHEMA, "SELECT")]; "on the schema")]
    #[test_case(&[(CATALOG, "SELECT")]; "on the catalog")]
    #[test_case(&[(CATALOG, "ALL PRIVILEGES")]; "with all others")]
    fn a_privilege_is_one_of_what_is_inside(granted: &[(Uuid, &str)]) {
        let policy = policy(&[granted, &USES].concat());
        assert!(policy.allows(&policy.identity("ann"), &table(), SELECT));
        assert!(!policy.allows(&policy.identity("bob"), &table(), SELECT));
    }

    #[test_case("admin", &[], true; "the administrator")]
    #[test_case("pipeline:flights", &[], true; "a pipeline")]
    #[test_case("cathy", &[], true; "who owns the catalog")]
    #[test_case("sue", &[], false; "who owns the schema and cannot use the catalog")]
    #[test_case("tom", &[], false; "who owns the table and cannot use its schema")]
    #[test_case("account users", &[], false; "a group by name")]
    fn owners_need_the_use_of_what_is_around(principal: &str, grants: &[(Uuid, &str)], expected: bool) {
        let policy = policy(grants);
        let who = policy.identity(principal);
        assert_eq!(policy.allows(&who, &table(), SELECT), expected);
        assert_eq!(policy.allows(&who, &table(), Need::Manage), expected);
    }

    #[test]
    fn everybody_has_what_the_group_of_everybody_has() {
        let mut policy = policy(&[]);
        for (id, privilege) in [
            (CATALOG, "USE CATALOG"),
            (CATALOG, "USE SCHEMA"),
            (TABLE, "SELECT"),
        ] {
            policy.grants.entry(id).or_default().push(Grant {
                principal: ACCOUNT_USERS.to_owned(),
                privilege: privilege.parse().expect("a privilege"),
                granted_by: "cathy".to_owned(),
            });
        }
        assert!(policy.allows(&policy.identity("anybody"), &table(), SELECT));
    }

    #[test_case(&[(TABLE, "ALL PRIVILEGES")], Need::Manage, false; "all privileges without manage")]
    #[test_case(&[(TABLE, "MANAGE")], Need::Manage, true; "manage")]
    #[test_case(&[(TABLE, "MANAGE")], SELECT, false; "manage is not to read")]
    #[test_case(&[(TABLE, "MANAGE")], Need::Ownership, false; "manage is not to own")]
    #[test_case(&[(TABLE, "MODIFY")], Need::Sight, true; "any privilege shows it")]
    #[test_case(&[], Need::Sight, false; "the use of a schema shows nothing in it")]
    fn needs_differ(grants: &[(Uuid, &str)], need: Need, expected: bool) {
        let policy = policy(&[grants, &USES].concat());
        assert_eq!(policy.allows(&policy.identity("ann"), &table(), need), expected);
    }

    #[test]
    fn who_browses_a_catalog_sees_what_is_in_it_and_no_more() {
        let policy = policy(&[(CATALOG, "BROWSE")]);
        let ann = policy.identity("ann");
        assert!(policy.allows(&ann, &table(), Need::Sight));
        assert!(!policy.allows(&ann, &table(), SELECT));
    }

    #[test]
    fn an_owner_may_say_what_runs_as_the_owner_and_who_owns_the_schema_may_not() {
        let policy = policy(&[]);
        let schema = SchemaName::new(identifier("c"), identifier("s"));
        let mut owned = policy;
        owned.catalogs.insert(
            identifier("c"),
            Holder {
                id: CATALOG,
                owner: ACCOUNT_USERS.to_owned(),
            },
        );
        owned.schemas.get_mut(&schema).expect("there").owner = "sue".to_owned();
        assert!(owned.allows(&owned.identity("tom"), &table(), Need::Ownership));
        assert!(!owned.allows(&owned.identity("sue"), &table(), Need::Ownership));
    }

    #[test]
    fn grants_are_told_from_the_inside_out() {
        let policy = policy(&[(CATALOG, "USE CATALOG"), (CATALOG, "SELECT"), (TABLE, "MODIFY")]);
        let table = table();
        let told: Vec<_> = policy
            .grants_on(&table, None)
            .into_iter()
            .map(|on| (on.grant.privilege.sql(), on.on.to_string(), on.inherited))
            .collect();
        let expected = [
            ("MODIFY".to_owned(), "c.s.t".to_owned(), false),
            ("SELECT".to_owned(), "c".to_owned(), true),
        ];
        assert_eq!(told, expected);
        assert!(policy.grants_on(&table, Some(&policy.identity("bob"))).is_empty());
    }
}
