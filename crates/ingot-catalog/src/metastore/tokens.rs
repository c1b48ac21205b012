//! Access tokens, by their hashes, and the principals that hold them.

use ingot_common::clock;
use sqlx::Row;

use super::{Metastore, check_principal, database};
use crate::model::TokenInfo;
use crate::policy::{ACCOUNT_USERS, is_internal};
use crate::{Error, Result};

impl Metastore {
    /// Lets the holder of a token in as `holder`. `hash` is the token's SHA-256 in lower-case hex.
    ///
    /// # Errors
    /// `InvalidArgument` for a name that can be nobody's, or is one of the server's own or of a group.
    pub async fn create_token(&self, hash: &str, holder: &str, principal: &str) -> Result<()> {
        check_principal(holder)?;
        if is_internal(holder) || holder == ACCOUNT_USERS {
            return Err(Error::InvalidArgument {
                message: format!("`{holder}` is no user: the server works under the name, or it is a group"),
            });
        }
        let inserted = sqlx::query(
            "INSERT INTO tokens (hash, principal, created_at, created_by) VALUES ($1, $2, $3, $4)",
        )
        .bind(hash)
        .bind(holder)
        .bind(clock::now_ms())
        .bind(principal)
        .execute(&self.pool)
        .await;
        inserted
            .map(drop)
            .map_err(|source| database("create a token", source))
    }

    /// Returns who holds the token of a hash; `None` when there is none.
    pub async fn token_holder(&self, hash: &str) -> Result<Option<String>> {
        let found = sqlx::query_scalar("SELECT principal FROM tokens WHERE hash = $1")
            .bind(hash)
            .fetch_optional(&self.pool)
            .await;
        found.map_err(|source| database("find a token", source))
    }

    /// Returns the tokens, by who holds them and when they were made.
    pub async fn list_tokens(&self) -> Result<Vec<TokenInfo>> {
        let failed = |source| database("list tokens", source);
        let rows = sqlx::query("SELECT * FROM tokens ORDER BY principal, created_at, hash")
            .fetch_all(&self.pool)
            .await
            .map_err(failed)?;
        let tokens = rows.iter().map(|token| {
            Ok(TokenInfo {
                hash: token.try_get("hash")?,
                principal: token.try_get("principal")?,
                created_at: token.try_get("created_at")?,
                created_by: token.try_get("created_by")?,
            })
        });
        tokens.collect::<Result<_, sqlx::Error>>().map_err(failed)
    }

    /// Lets nobody in by the tokens whose hash begins with `prefix`, from the next request on. Returns how many they
    /// were.
    pub async fn revoke_tokens(&self, prefix: &str) -> Result<u64> {
        let revoked = sqlx::query("DELETE FROM tokens WHERE substr(hash, 1, length($1)) = $2")
            .bind(prefix)
            .bind(prefix)
            .execute(&self.pool)
            .await
            .map_err(|source| database("revoke a token", source))?;
        Ok(revoked.rows_affected())
    }
}
