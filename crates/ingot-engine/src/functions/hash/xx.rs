//! XXH64, of which numbers of 32 and 64 bits have forms of their own.
//!
//! Source: Spark, `XXH64`; Yann Collet, "xxHash fast digest algorithm".

const P1: u64 = 0x9E37_79B1_85EB_CA87;
const P2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const P3: u64 = 0x1656_67B1_9E37_79F9;
const P4: u64 = 0x85EB_CA77_C2B2_AE63;
const P5: u64 = 0x27D4_EB2F_1656_67C5;

/// Hashes a whole number of 32 bits.
pub(super) fn int(value: i32, seed: u64) -> u64 {
    let hash = seed.wrapping_add(P5).wrapping_add(4);
    finished(with_word(hash, value.cast_unsigned()))
}

/// Hashes a whole number of 64 bits.
pub(super) fn long(value: i64, seed: u64) -> u64 {
    let hash = seed.wrapping_add(P5).wrapping_add(8);
    finished(with_double_word(hash, value.cast_unsigned()))
}

/// Hashes bytes.
pub(super) fn bytes(value: &[u8], seed: u64) -> u64 {
    let length = u64::try_from(value.len()).unwrap_or(u64::MAX);
    let (blocks, rest) = value.as_chunks::<32>();
    let hash = match blocks.is_empty() {
        true => seed.wrapping_add(P5),
        false => of_blocks(blocks, seed),
    };
    let (doubles, rest) = rest.as_chunks::<8>();
    let hash = doubles.iter().fold(hash.wrapping_add(length), |hash, word| {
        with_double_word(hash, u64::from_le_bytes(*word))
    });
    let (words, rest) = rest.as_chunks::<4>();
    let hash = words
        .iter()
        .fold(hash, |hash, word| with_word(hash, u32::from_le_bytes(*word)));
    let hash = rest.iter().fold(hash, |hash, byte| {
        (hash ^ u64::from(*byte).wrapping_mul(P5))
            .rotate_left(11)
            .wrapping_mul(P1)
    });
    finished(hash)
}

fn of_blocks(blocks: &[[u8; 32]], seed: u64) -> u64 {
    let mut lanes = [
        seed.wrapping_add(P1).wrapping_add(P2),
        seed.wrapping_add(P2),
        seed,
        seed.wrapping_sub(P1),
    ];
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = round(*lane, u64::from_le_bytes(*word));
        }
    }
    let [a, b, c, d] = lanes;
    let hash = a
        .rotate_left(1)
        .wrapping_add(b.rotate_left(7))
        .wrapping_add(c.rotate_left(12))
        .wrapping_add(d.rotate_left(18));
    lanes.iter().fold(hash, |hash, lane| {
        (hash ^ round(0, *lane)).wrapping_mul(P1).wrapping_add(P4)
    })
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(P2))
        .rotate_left(31)
        .wrapping_mul(P1)
}

fn with_double_word(hash: u64, word: u64) -> u64 {
    (hash ^ round(0, word))
        .rotate_left(27)
        .wrapping_mul(P1)
        .wrapping_add(P4)
}

fn with_word(hash: u64, word: u32) -> u64 {
    (hash ^ u64::from(word).wrapping_mul(P1))
        .rotate_left(23)
        .wrapping_mul(P2)
        .wrapping_add(P3)
}

fn finished(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 33)).wrapping_mul(P2);
    let hash = (hash ^ (hash >> 29)).wrapping_mul(P3);
    hash ^ (hash >> 32)
}
