//! `ingot token`: access tokens of users beside the administrator's.
//!
//! Tokens are rows of the metastore, so a server knows of a new or a revoked one with the next request. What is kept of
//! a token is its hash.

use clap::Subcommand;

use crate::cli::GlobalArgs;
use crate::error::Result;
use crate::instance::{ADMIN, open_metastore};
use crate::{admin_token, terminal};

/// Digits of a hash that stand for a token where it is listed.
const SHOWN_DIGITS: usize = 12;

#[derive(Debug, Clone, Subcommand)]
pub enum TokenCommand {
    /// Make a token for a user and print it, once.
    Create {
        /// Who holds it: the name that GRANT and `current_user()` have for the user.
        principal: String,
    },
    /// List tokens: the begin of the hash, the user, when it was made (milliseconds since the epoch).
    List,
    /// Let nobody in by a token any more.
    Revoke {
        /// The begin of its hash, as `list` shows it: 12 digits at least.
        #[arg(value_parser = hash_prefix)]
        hash: String,
    },
}

/// Runs the command.
pub async fn run(global: &GlobalArgs, command: TokenCommand) -> Result<()> {
    let config = global.load(vec![])?;
    let (metastore, _) = open_metastore(&config).await?;
    match command {
        TokenCommand::Create { principal } => {
            let token = admin_token::generate();
            metastore
                .create_token(&admin_token::hash(&token), &principal, ADMIN)
                .await?;
            terminal::print(token)
        }
        TokenCommand::List => {
            for token in metastore.list_tokens().await? {
                let hash = token.hash.get(..SHOWN_DIGITS).unwrap_or(&token.hash);
                terminal::print(format_args!("{hash}  {}  {}", token.principal, token.created_at))?;
            }
            Ok(())
        }
        TokenCommand::Revoke { hash } => {
            let revoked = metastore.revoke_tokens(&hash).await?;
            terminal::print(format_args!("{revoked} revoked"))
        }
    }
}

/// Reads the begin of a hash that is long enough to be of one token.
fn hash_prefix(text: &str) -> std::result::Result<String, String> {
    let digits = text.chars().all(|digit| digit.is_ascii_hexdigit());
    match digits && text.len() >= SHOWN_DIGITS {
        true => Ok(text.to_lowercase()),
        false => Err(format!("expected {SHOWN_DIGITS} hexadecimal digits or more")),
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("0123456789AB", true; "as it is listed")]
    #[test_case("0123", false; "of many tokens")]
    #[test_case("", false; "of all tokens")]
    #[test_case("0123456789a%", false; "no hash")]
    fn a_hash_is_named_by_its_begin(text: &str, expected: bool) {
        assert_eq!(hash_prefix(text).is_ok(), expected);
    }
}
