//! What cursors of the data API are signed with: made at the first start, the same for all processes on the directory.

use ingot_server::CursorKey;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::data_directory::{DataDirectory, write_secret_once};
use crate::error::{Error, Result};

/// Returns the key of the data directory. Makes it when there is none; of several processes that start at once, one
/// makes it.
pub fn ensure(data: &DataDirectory) -> Result<CursorKey> {
    let path = data.cursor_key();
    if !path.exists() {
        // Two random UUIDs have 244 random bits.
        let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        write_secret_once(&path, &secret)?;
    }
    let text = std::fs::read_to_string(&path).map_err(Error::file("read the key of cursors", &path))?;
    Ok(CursorKey::new(Sha256::digest(text.trim().as_bytes()).into()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_stays_and_is_private() {
        let folder = tempfile::tempdir().expect("tempdir");
        let data = DataDirectory::open(folder.path()).expect("open");
        ensure(&data).expect("made");
        let secret = std::fs::read_to_string(data.cursor_key()).expect("read");
        assert_eq!(secret.len(), 64);
        ensure(&data).expect("kept");
        assert_eq!(std::fs::read_to_string(data.cursor_key()).expect("read"), secret);
        let mode = std::fs::metadata(data.cursor_key())
            .expect("metadata")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
