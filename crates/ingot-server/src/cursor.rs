//! Cursors: where the next page begins, in a text that only this server can have made.
//!
//! ```text
//! base64url( HMAC-SHA-256(key, payload) ‖ payload )      payload: JSON; see `Payload`
//! ```
//! A cursor holds no value of any row. It is good for one query of one caller, at one version, under the policy that was
//! in force: each page is checked against them before anything is read. All processes on a data directory share the
//! key. Source: RFC 2104; RFC 4648, 5; ADR 0026.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::digest::{Key, KeyInit};
use hmac::{Hmac, Mac};
use ingot_common::Principal;
use ingot_common::port::{RowPosition, TableState};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// Bytes of a key, and of a signature.
const KEY_BYTES: usize = 32;

/// Characters of a cursor; ours have some hundred, and a file's path.
const CHARACTERS_MAX: usize = 8192;

/// Bytes of a fingerprint.
const FINGERPRINT_BYTES: usize = 16;

/// What cursors are signed with.
#[derive(Clone)]
pub struct CursorKey([u8; KEY_BYTES]);

impl CursorKey {
    /// Takes a secret of 256 bits.
    pub fn new(secret: [u8; KEY_BYTES]) -> Self {
        Self(secret)
    }
}

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey(…)")
    }
}

/// Why a cursor is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is not one of ours, or not all of one.
    Forged,
    OtherCaller,
    OtherQuery,
    /// The table was made anew.
    OtherTable,
    /// The caller may see something else of the table now.
    OtherPolicy,
}

/// For whom and for what a cursor is.
#[derive(Debug, Clone, Copy)]
pub struct Use<'a> {
    pub principal: &'a Principal,
    /// The query as its parameters say it, without those that differ from page to page.
    pub query: &'a str,
}

/// What a cursor says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub version: i64,
    pub after: RowPosition,
    /// Rows that were given in the pages before.
    pub given: usize,
    table: String,
    policy: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    #[serde(rename = "v")]
    version: i64,
    #[serde(rename = "a")]
    after: RowPosition,
    #[serde(rename = "n")]
    given: usize,
    /// Fingerprints.
    #[serde(rename = "t")]
    table: String,
    #[serde(rename = "p")]
    policy: String,
    #[serde(rename = "c")]
    caller: String,
    #[serde(rename = "q")]
    query: String,
}

/// Makes and reads cursors.
#[derive(Debug, Clone)]
pub struct Cursors {
    key: CursorKey,
}

impl Cursors {
    pub fn new(key: CursorKey) -> Self {
        Self { key }
    }

    /// Makes the cursor of the page that follows `after`; `None` for a state that has no version.
    pub fn write(&self, of: Use<'_>, state: &TableState, after: RowPosition, given: usize) -> Option<String> {
        let id = state.id.as_ref()?;
        let payload = Payload {
            version: id.version,
            after,
            given,
            table: self.fingerprint("table", &id.table),
            policy: self.fingerprint("policy", state.policy.as_deref().unwrap_or_default()),
            caller: self.fingerprint("caller", of.principal.as_str()),
            query: self.fingerprint("query", of.query),
        };
        let payload = serde_json::to_vec(&payload).ok()?;
        let mut signed = self.mac("cursor", &payload).finalize().into_bytes().to_vec();
        signed.extend_from_slice(&payload);
        Some(URL_SAFE_NO_PAD.encode(signed))
    }

    /// Reads a cursor that is to be used for `of`.
    ///
    /// # Errors
    /// Why it is not good for that.
    pub fn read(&self, text: &str, of: Use<'_>) -> Result<Cursor, Refusal> {
        if text.len() > CHARACTERS_MAX {
            return Err(Refusal::Forged);
        }
        let signed = URL_SAFE_NO_PAD.decode(text).map_err(|_| Refusal::Forged)?;
        let (signature, payload) = signed.split_at_checked(KEY_BYTES).ok_or(Refusal::Forged)?;
        // In constant time.
        let own = self.mac("cursor", payload).verify_slice(signature);
        own.map_err(|_| Refusal::Forged)?;
        let payload: Payload = serde_json::from_slice(payload).map_err(|_| Refusal::Forged)?;
        if payload.caller != self.fingerprint("caller", of.principal.as_str()) {
            return Err(Refusal::OtherCaller);
        }
        if payload.query != self.fingerprint("query", of.query) {
            return Err(Refusal::OtherQuery);
        }
        Ok(Cursor {
            version: payload.version,
            after: payload.after,
            given: payload.given,
            table: payload.table,
            policy: payload.policy,
        })
    }

    /// Checks that a table is still the one that a cursor was made for.
    ///
    /// # Errors
    /// What differs.
    pub fn check(&self, cursor: &Cursor, state: &TableState) -> Result<(), Refusal> {
        let table = state.id.as_ref().map(|id| id.table.as_str());
        if cursor.table != self.fingerprint("table", table.unwrap_or_default()) {
            return Err(Refusal::OtherTable);
        }
        if cursor.policy != self.fingerprint("policy", state.policy.as_deref().unwrap_or_default()) {
            return Err(Refusal::OtherPolicy);
        }
        Ok(())
    }

    fn mac(&self, purpose: &str, message: &[u8]) -> Hmac<Sha256> {
        // A key shorter than a block is filled up with zeros: RFC 2104, 2.
        let mut block = Key::<Hmac<Sha256>>::default();
        block
            .iter_mut()
            .zip(self.key.0)
            .for_each(|(byte, own)| *byte = own);
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&block);
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(message);
        mac
    }

    /// A short text that stands for `text` and tells nothing of it.
    fn fingerprint(&self, purpose: &str, text: &str) -> String {
        let bytes = self.mac(purpose, text.as_bytes()).finalize().into_bytes();
        let kept = bytes.iter().take(FINGERPRINT_BYTES).copied().collect::<Vec<u8>>();
        URL_SAFE_NO_PAD.encode(kept)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Schema;
    use ingot_common::clock;
    use ingot_common::port::StateId;
    use test_case::test_case;

    use super::*;

    fn state(table: &str, policy: &str) -> TableState {
        TableState {
            schema: Arc::new(Schema::empty()),
            id: Some(StateId {
                table: table.to_owned(),
                version: 7,
                committed_at_ms: 0,
            }),
            policy: Some(policy.to_owned()),
        }
    }

    fn cursors() -> Cursors {
        Cursors::new(CursorKey::new([7; KEY_BYTES]))
    }

    fn made(principal: &Principal) -> String {
        let of = Use {
            principal,
            query: "q",
        };
        let after = RowPosition::Row {
            file: "part-0.parquet".to_owned(),
            row: 41,
        };
        cursors()
            .write(of, &state("t", "p"), after, 42)
            .expect("a cursor")
    }

    #[test]
    fn a_cursor_is_read_back() {
        let ann = Principal::new("ann");
        let of = Use {
            principal: &ann,
            query: "q",
        };
        let cursor = cursors().read(&made(&ann), of).expect("ours");
        assert_eq!((cursor.version, cursor.given), (7, 42));
        assert_eq!(cursors().check(&cursor, &state("t", "p")), Ok(()));
        assert_eq!(
            cursors().check(&cursor, &state("u", "p")),
            Err(Refusal::OtherTable)
        );
        assert_eq!(
            cursors().check(&cursor, &state("t", "r")),
            Err(Refusal::OtherPolicy)
        );
    }

    #[test_case("ben", "q", Refusal::OtherCaller)]
    #[test_case("ann", "r", Refusal::OtherQuery)]
    fn a_cursor_is_good_for_its_own_use(principal: &str, query: &str, expected: Refusal) {
        let principal = Principal::new(principal);
        let of = Use {
            principal: &principal,
            query,
        };
        assert_eq!(cursors().read(&made(&Principal::new("ann")), of), Err(expected));
    }

    #[test]
    fn no_other_text_is_a_cursor() {
        let ann = Principal::new("ann");
        let of = Use {
            principal: &ann,
            query: "q",
        };
        let good = made(&ann);
        let refused = |text: &str| assert_eq!(cursors().read(text, of), Err(Refusal::Forged), "{text}");
        for length in 0..good.len() {
            refused(&good[..length]);
        }
        refused(&format!("{good}A"));
        refused(&"A".repeat(CHARACTERS_MAX + 1));
        let other = Cursors::new(CursorKey::new([8; KEY_BYTES]));
        assert_eq!(other.read(&good, of), Err(Refusal::Forged));
        let bytes = URL_SAFE_NO_PAD.decode(&good).expect("base64");
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            let flip = u8::try_from(clock::random_below(255)).expect("a byte") + 1;
            changed[place] ^= flip;
            refused(&URL_SAFE_NO_PAD.encode(changed));
        }
    }

    /// RFC 4231, test case 2, through the same type.
    #[test]
    fn signatures_are_those_of_the_standard() {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"Jefe").expect("key");
        mac.update(b"what do ya want for nothing?");
        let hex: String = mac
            .finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            hex,
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
