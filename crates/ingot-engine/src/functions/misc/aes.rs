//! AES in the modes of Spark: GCM with a tag behind, CBC and ECB with padding as PKCS #7 has it.
//!
//! GCM and CBC write the initialisation vector before what they encrypt, and read it from there.

use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockDecrypt, BlockEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{AesGcm, Nonce};

const BLOCK: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mode {
    Gcm,
    Cbc,
    Ecb,
}

impl Mode {
    /// Returns how long an initialisation vector is.
    pub fn vector_length(self) -> usize {
        match self {
            Self::Gcm => 12,
            Self::Cbc => BLOCK,
            Self::Ecb => 0,
        }
    }
}

/// A key of 16, 24 or 32 bytes.
pub(super) enum Key {
    Bits128(Aes128),
    Bits192(Aes192),
    Bits256(Aes256),
}

impl Key {
    /// Makes a key; `None` when it is of another length.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        match bytes.len() {
            16 => Aes128::new_from_slice(bytes).ok().map(Self::Bits128),
            24 => Aes192::new_from_slice(bytes).ok().map(Self::Bits192),
            32 => Aes256::new_from_slice(bytes).ok().map(Self::Bits256),
            _ => None,
        }
    }

    fn encrypt_block(&self, block: &mut [u8]) {
        let block = GenericArray::from_mut_slice(block);
        match self {
            Self::Bits128(key) => key.encrypt_block(block),
            Self::Bits192(key) => key.encrypt_block(block),
            Self::Bits256(key) => key.encrypt_block(block),
        }
    }

    fn decrypt_block(&self, block: &mut [u8]) {
        let block = GenericArray::from_mut_slice(block);
        match self {
            Self::Bits128(key) => key.decrypt_block(block),
            Self::Bits192(key) => key.decrypt_block(block),
            Self::Bits256(key) => key.decrypt_block(block),
        }
    }
}

/// Encrypts. `vector` is of the length that the mode has; `known` is what GCM checks besides.
pub(super) fn encrypt(mode: Mode, key: Key, vector: &[u8], known: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let mut out = vector.to_vec();
    if mode == Mode::Gcm {
        let payload = Payload {
            msg: plain,
            aad: known,
        };
        out.extend(gcm(key, vector, Way::Encrypt, payload)?);
        return Some(out);
    }
    let padding = BLOCK - plain.len() % BLOCK;
    let mut padded = plain.to_vec();
    padded.resize(plain.len() + padding, u8::try_from(padding).ok()?);
    let mut before: Vec<u8> = vector.to_vec();
    for block in padded.chunks_exact_mut(BLOCK) {
        xor(block, &before);
        key.encrypt_block(block);
        if mode == Mode::Cbc {
            before = block.to_vec();
        }
    }
    out.extend(padded);
    Some(out)
}

/// Decrypts; `None` for what the key did not encrypt.
pub(super) fn decrypt(mode: Mode, key: Key, known: &[u8], encrypted: &[u8]) -> Option<Vec<u8>> {
    let (vector, rest) = encrypted.split_at_checked(mode.vector_length())?;
    if mode == Mode::Gcm {
        let payload = Payload {
            msg: rest,
            aad: known,
        };
        return gcm(key, vector, Way::Decrypt, payload);
    }
    if rest.is_empty() || !rest.len().is_multiple_of(BLOCK) {
        return None;
    }
    let mut plain = rest.to_vec();
    let mut before = vector;
    for (block, encrypted) in plain.chunks_exact_mut(BLOCK).zip(rest.chunks_exact(BLOCK)) {
        key.decrypt_block(block);
        xor(block, before);
        if mode == Mode::Cbc {
            before = encrypted;
        }
    }
    let padding = usize::from(*plain.last()?);
    let (kept, filling) = plain.split_at_checked(plain.len().checked_sub(padding)?)?;
    let filled = (1..=BLOCK).contains(&padding) && filling.iter().all(|byte| usize::from(*byte) == padding);
    filled.then(|| kept.to_vec())
}

fn xor(block: &mut [u8], other: &[u8]) {
    block
        .iter_mut()
        .zip(other)
        .for_each(|(byte, other)| *byte ^= other);
}

/// Which way GCM goes.
#[derive(Clone, Copy)]
enum Way {
    Encrypt,
    Decrypt,
}

fn gcm(key: Key, vector: &[u8], way: Way, payload: Payload<'_, '_>) -> Option<Vec<u8>> {
    let nonce: &Nonce<U12> = Nonce::from_slice(vector);
    let run = |cipher: &dyn Cipher| cipher.run(nonce, way, payload);
    match key {
        Key::Bits128(key) => run(&AesGcm::<Aes128, U12>::from(key)),
        Key::Bits192(key) => run(&AesGcm::<Aes192, U12>::from(key)),
        Key::Bits256(key) => run(&AesGcm::<Aes256, U12>::from(key)),
    }
}

/// GCM with a key of any length.
trait Cipher {
    fn run(&self, nonce: &Nonce<U12>, way: Way, payload: Payload<'_, '_>) -> Option<Vec<u8>>;
}

impl<T: Aead<NonceSize = U12>> Cipher for T {
    fn run(&self, nonce: &Nonce<U12>, way: Way, payload: Payload<'_, '_>) -> Option<Vec<u8>> {
        match way {
            Way::Encrypt => self.encrypt(nonce, payload).ok(),
            Way::Decrypt => self.decrypt(nonce, payload).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(Mode::Gcm, 16, b"Spark")]
    #[test_case(Mode::Cbc, 24, b"")]
    #[test_case(Mode::Ecb, 32, b"exactly 16 bytes")]
    fn what_is_encrypted_can_be_decrypted(mode: Mode, length: usize, plain: &[u8]) {
        let key = || Key::new(&[b'k'; 32][..length]).expect("a key");
        let vector = vec![7; mode.vector_length()];
        let encrypted = encrypt(mode, key(), &vector, b"", plain).expect("encrypted");
        assert_eq!(decrypt(mode, key(), b"", &encrypted).as_deref(), Some(plain));
        let mut broken = encrypted;
        broken.pop();
        assert_eq!(decrypt(mode, key(), b"", &broken), None);
    }

    #[test]
    fn keys_have_three_lengths() {
        assert!(Key::new(&[0; 15]).is_none() && Key::new(b"").is_none());
    }
}
