//! Murmur3 in 32 bits as Spark computes it: the bytes after the last whole word are mixed in one by one.
//!
//! Source: Spark, `Murmur3_x86_32.hashUnsafeBytes`.

/// Hashes a whole number of 32 bits.
pub(super) fn int(value: i32, seed: u32) -> u32 {
    finished(mixed(seed, scrambled(value.cast_unsigned())), 4)
}

/// Hashes a whole number of 64 bits.
pub(super) fn long(value: i64, seed: u32) -> u32 {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    let low = mixed(seed, scrambled(u32::from_le_bytes([a, b, c, d])));
    finished(mixed(low, scrambled(u32::from_le_bytes([e, f, g, h]))), 8)
}

/// Hashes bytes.
pub(super) fn bytes(value: &[u8], seed: u32) -> u32 {
    let (words, rest) = value.as_chunks::<4>();
    let words = words.iter().map(|word| u32::from_le_bytes(*word));
    // A byte has a sign.
    let rest = rest
        .iter()
        .map(|byte| i32::from(byte.cast_signed()).cast_unsigned());
    let hash = words
        .chain(rest)
        .fold(seed, |hash, word| mixed(hash, scrambled(word)));
    finished(hash, u32::try_from(value.len()).unwrap_or(u32::MAX))
}

fn scrambled(word: u32) -> u32 {
    word.wrapping_mul(0xcc9e_2d51)
        .rotate_left(15)
        .wrapping_mul(0x1b87_3593)
}

fn mixed(hash: u32, word: u32) -> u32 {
    (hash ^ word)
        .rotate_left(13)
        .wrapping_mul(5)
        .wrapping_add(0xe654_6b64)
}

fn finished(hash: u32, length: u32) -> u32 {
    let mut hash = hash ^ length;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}
