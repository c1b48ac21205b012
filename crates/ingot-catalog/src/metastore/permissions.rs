//! What principals ask of privileges: to be let do something, to see who has which, to change that.

use std::sync::Arc;

use super::{GrantChange, Metastore};
use crate::policy::{GrantOn, Identity, Need, Policy, is_internal};
use crate::securable::{Securable, SecurableName};
use crate::{Error, Result};

/// What a principal may know of.
#[derive(Debug, Clone)]
pub struct Sight {
    /// None of who may see everything.
    bounds: Option<(Arc<Policy>, Identity)>,
}

impl Sight {
    /// Says if the principal may know of a securable.
    pub fn sees(&self, securable: impl Into<Securable>) -> bool {
        let sees =
            |(policy, who): &(Arc<Policy>, Identity)| policy.allows(who, &securable.into(), Need::Sight);
        self.bounds.as_ref().is_none_or(sees)
    }
}

impl Metastore {
    /// Returns what a principal may know of now.
    pub async fn sight(&self, principal: &str) -> Result<Sight> {
        if self.administers(principal) {
            return Ok(Sight { bounds: None });
        }
        let policy = self.policy().await?;
        let who = policy.identity(principal);
        Ok(Sight {
            bounds: Some((policy, who)),
        })
    }

    /// Says if a principal may do everything, whatever was granted.
    pub fn administers(&self, principal: &str) -> bool {
        is_internal(principal) || self.administrators.contains(principal)
    }

    /// Checks that a principal has what is needed on a securable.
    ///
    /// # Errors
    /// `PermissionDenied`, saying what is missing.
    pub async fn authorize(&self, principal: &str, securable: &Securable, need: Need) -> Result<()> {
        if self.administers(principal) {
            return Ok(());
        }
        let policy = self.policy().await?;
        let checked = policy.check(&policy.identity(principal), securable, need);
        checked.map_err(|denied| Error::Denied(Box::new(denied)))
    }

    /// Returns the grants that hold for a securable, from those on itself outwards: all of them for who may change them,
    /// and those of the principal and its groups for others. Those of `of` only, if given.
    ///
    /// # Errors
    /// `NotFound` when there is none of the name.
    pub async fn permissions(
        &self,
        principal: &str,
        name: &SecurableName,
        of: Option<&str>,
    ) -> Result<Vec<GrantOn>> {
        let securable = self.securable(name).await?;
        let policy = self.policy().await?;
        let who = policy.identity(principal);
        let only = match policy.allows(&who, &securable, Need::Manage) {
            true => None,
            false => Some(&who),
        };
        let mut grants = policy.grants_on(&securable, only);
        grants.retain(|on| of.is_none_or(|of| on.grant.principal == of));
        Ok(grants)
    }

    /// Changes who has which privileges on a securable, as a principal who may.
    ///
    /// # Errors
    /// `PermissionDenied` for who does not manage it, and those of [`Metastore::change_grants`].
    pub async fn update_permissions(
        &self,
        principal: &str,
        name: &SecurableName,
        changes: &[GrantChange],
    ) -> Result<()> {
        let securable = self.securable(name).await?;
        self.authorize(principal, &securable, Need::Manage).await?;
        self.change_grants(&securable, changes, principal).await
    }
}
