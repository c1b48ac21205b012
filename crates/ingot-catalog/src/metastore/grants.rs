//! Privileges that principals have on securables.

use ingot_common::clock;
use sqlx::{Sqlite, Transaction};
use uuid::Uuid;

use super::{Metastore, commit, database, policy};
use crate::privilege::Privilege;
use crate::securable::{Securable, SecurableKind, SecurableName};
use crate::{Error, Result};

/// Grants on one securable, at most: all of them are held in memory.
const GRANTS_OF_SECURABLE_MAX: i64 = 10_000;

/// Characters of a principal's name, at most.
const PRINCIPAL_CHARS_MAX: usize = 255;

/// What becomes of the privileges of a principal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrantChange {
    /// A user, a service or a group; it need not be known yet.
    pub principal: String,
    pub add: Vec<Privilege>,
    /// Those that it has not are no error.
    pub remove: Vec<Privilege>,
}

impl Metastore {
    /// Changes who has which privileges on a securable: all changes, or none.
    ///
    /// # Errors
    /// `InvalidArgument` for a privilege that is none of such a securable, and for a name that can be nobody's;
    /// `NotFound` when the securable is gone; `ResourceExhausted` when it would have too many grants.
    pub async fn change_grants(
        &self,
        securable: &Securable,
        changes: &[GrantChange],
        principal: &str,
    ) -> Result<()> {
        const ACTION: &str = "change privileges";
        for change in changes {
            check_principal(&change.principal)?;
            check_applicable(securable, change.add.iter().chain(&change.remove))?;
        }
        let mut transaction = self.write(ACTION).await?;
        check_exists(&mut transaction, securable).await?;
        for change in changes {
            for privilege in &change.remove {
                revoke(&mut transaction, securable.id, &change.principal, *privilege).await?;
            }
            for privilege in &change.add {
                grant(
                    &mut transaction,
                    securable.id,
                    &change.principal,
                    *privilege,
                    principal,
                )
                .await?;
            }
        }
        check_count(&mut transaction, securable).await?;
        policy::changed(&mut transaction).await?;
        commit(transaction, ACTION).await
    }

    /// Finds what privileges can be of.
    ///
    /// # Errors
    /// `NotFound` when there is none of the name.
    pub async fn securable(&self, name: &SecurableName) -> Result<Securable> {
        Ok(match name {
            SecurableName::Metastore => Securable::metastore(),
            SecurableName::Catalog(name) => Securable::from(&self.catalog(name).await?),
            SecurableName::Schema(name) => Securable::from(&self.schema(name).await?),
            SecurableName::Table(name) => Securable::from(&self.table(name).await?),
            SecurableName::Function(name) => Securable::from(&self.function(name).await?),
            SecurableName::Volume(name) => Securable::from(&self.volume(name).await?),
        })
    }
}

/// Checks that a text can be the name of a principal or a group.
///
/// # Errors
/// `InvalidArgument`.
pub fn check_principal(name: &str) -> Result<()> {
    let wrong = if name.trim().is_empty() {
        "is empty"
    } else if name.chars().count() > PRINCIPAL_CHARS_MAX {
        "is longer than 255 characters"
    } else if name.trim() != name || name.chars().any(char::is_control) {
        "begins or ends with a space, or holds a control character"
    } else {
        return Ok(());
    };
    Err(Error::InvalidArgument {
        message: format!("the principal's name {name:?} {wrong}"),
    })
}

fn check_applicable<'a>(
    securable: &Securable,
    mut privileges: impl Iterator<Item = &'a Privilege>,
) -> Result<()> {
    let kind = securable.name.kind();
    match privileges.find(|privilege| !privilege.applies_to(kind)) {
        None => Ok(()),
        Some(privilege) => Err(Error::PrivilegeNotApplicable {
            privilege: *privilege,
            kind,
            name: securable.name.to_string(),
        }),
    }
}

/// Checks that the securable is there still; one that was made anew under the name is another.
async fn check_exists(transaction: &mut Transaction<'static, Sqlite>, securable: &Securable) -> Result<()> {
    let (query, kind) = match securable.name.kind() {
        SecurableKind::Metastore => return Ok(()),
        SecurableKind::Catalog => ("SELECT 1 FROM catalogs WHERE id = $1", "catalog"),
        SecurableKind::Schema => ("SELECT 1 FROM schemas WHERE id = $1", "schema"),
        SecurableKind::Table => ("SELECT 1 FROM tables WHERE id = $1 AND state = 'ACTIVE'", "table"),
        SecurableKind::Function => ("SELECT 1 FROM functions WHERE id = $1", "function"),
        SecurableKind::Volume => ("SELECT 1 FROM volumes WHERE id = $1", "volume"),
    };
    let found = sqlx::query(query)
        .bind(securable.id.to_string())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(|source| database("find a securable", source))?;
    found.map(drop).ok_or_else(|| Error::NotFound {
        securable: kind,
        name: securable.name.to_string(),
    })
}

async fn check_count(transaction: &mut Transaction<'static, Sqlite>, securable: &Securable) -> Result<()> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM grants WHERE securable_id = $1")
        .bind(securable.id.to_string())
        .fetch_one(&mut **transaction)
        .await
        .map_err(|source| database("count privileges", source))?;
    match count > GRANTS_OF_SECURABLE_MAX {
        false => Ok(()),
        true => Err(Error::TooManyGrants {
            name: securable.name.to_string(),
            max: GRANTS_OF_SECURABLE_MAX,
        }),
    }
}

async fn grant(
    transaction: &mut Transaction<'static, Sqlite>,
    securable: Uuid,
    to: &str,
    privilege: Privilege,
    principal: &str,
) -> Result<()> {
    let granted = sqlx::query(
        "INSERT INTO grants (securable_id, principal, privilege, granted_at, granted_by) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (securable_id, principal, privilege) DO NOTHING",
    )
    .bind(securable.to_string())
    .bind(to)
    .bind(privilege.as_str())
    .bind(clock::now_ms())
    .bind(principal)
    .execute(&mut **transaction)
    .await;
    granted
        .map(drop)
        .map_err(|source| database("grant a privilege", source))
}

async fn revoke(
    transaction: &mut Transaction<'static, Sqlite>,
    securable: Uuid,
    from: &str,
    privilege: Privilege,
) -> Result<()> {
    let revoked =
        sqlx::query("DELETE FROM grants WHERE securable_id = $1 AND principal = $2 AND privilege = $3")
            .bind(securable.to_string())
            .bind(from)
            .bind(privilege.as_str())
            .execute(&mut **transaction)
            .await;
    revoked
        .map(drop)
        .map_err(|source| database("revoke a privilege", source))
}
