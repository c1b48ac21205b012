//! The admin token: made at the first start, shown once, kept in a file that only its owner may read.

use ingot_server::Authentication;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::data_directory::{DataDirectory, write_secret_once};
use crate::error::{Error, Result};
use crate::instance::ADMIN;
use crate::terminal;

/// Returns the admin token of the data directory. Makes it when there is none, and shows it on standard error.
/// Of several processes that start at once, one makes it.
pub fn ensure(data: &DataDirectory) -> Result<String> {
    let path = data.admin_token();
    if !path.exists() {
        let token = generate();
        if write_secret_once(&path, &token)? {
            terminal::note(format_args!(
                "admin token (shown once, kept in {}): {token}",
                path.display()
            ));
        }
    }
    let text = std::fs::read_to_string(&path).map_err(Error::file("read the admin token", &path))?;
    Ok(text.trim().to_owned())
}

/// Makes a token that nobody can guess.
pub fn generate() -> String {
    format!("ingot_{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// Returns what is kept of a token: its SHA-256 in lower-case hex.
pub fn hash(token: &str) -> String {
    let hash = Sha256::digest(token.as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lets the holder of `token` in as the administrator.
pub fn authentication(token: &str) -> Authentication {
    Authentication::Tokens(vec![(hash(token), ADMIN.to_owned())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_stays_the_same() {
        let folder = tempfile::tempdir().expect("tempdir");
        let data = DataDirectory::open(folder.path()).expect("open");
        let token = ensure(&data).expect("made");
        assert!(token.len() > 64);
        assert_eq!(ensure(&data).expect("kept"), token);
    }
}
