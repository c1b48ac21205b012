//! Whole numbers as packed differences. Source: Parquet, "Delta Encoding (DELTA_BINARY_PACKED = 5)".

use super::bits;

/// Parts of a block that are packed with a width of their own.
const MINIBLOCKS: usize = 4;

/// How numbers are stored, and so how differences wrap around.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Four,
    Eight,
}

impl Width {
    /// Numbers of a miniblock: as many as decoders take at once.
    fn miniblock(self) -> usize {
        match self {
            Self::Four => 32,
            Self::Eight => 64,
        }
    }

    fn difference(self, value: i64, before: i64) -> i64 {
        let difference = value.wrapping_sub(before);
        match self {
            // In 32 bits, as a reader adds it up.
            #[expect(clippy::cast_possible_truncation, reason = "what is cut off wraps around")]
            Self::Four => i64::from(difference as i32),
            Self::Eight => difference,
        }
    }
}

/// Appends numbers; those of [`Width::Four`] fit into four bytes.
pub(super) fn encode(values: &[i64], width: Width, out: &mut Vec<u8>) {
    let miniblock = width.miniblock();
    bits::varint((miniblock * MINIBLOCKS) as u64, out);
    bits::varint(MINIBLOCKS as u64, out);
    bits::varint(values.len() as u64, out);
    bits::zigzag(values.first().copied().unwrap_or_default(), out);
    let mut block = Vec::with_capacity(miniblock * MINIBLOCKS);
    let mut pairs = values.windows(2);
    loop {
        block.clear();
        let pairs = pairs.by_ref().take(miniblock * MINIBLOCKS);
        block.extend(pairs.map(|pair| width.difference(pair[1], pair[0])));
        if block.is_empty() {
            return;
        }
        encode_block(&block, width, out);
    }
}

fn encode_block(differences: &[i64], width: Width, out: &mut Vec<u8>) {
    let least = differences.iter().copied().min().unwrap_or_default();
    bits::zigzag(least, out);
    // At most what the width holds: both are differences in it.
    let above = |difference: i64| match width {
        #[expect(clippy::cast_possible_truncation, reason = "both fit into 32 bits")]
        Width::Four => u64::from((difference as i32).wrapping_sub(least as i32).cast_unsigned()),
        Width::Eight => difference.wrapping_sub(least).cast_unsigned(),
    };
    let widths = out.len();
    out.extend_from_slice(&[0; MINIBLOCKS]);
    for (place, miniblock) in differences.chunks(width.miniblock()).enumerate() {
        let most = miniblock.iter().copied().max().unwrap_or_default();
        let bits = bits::width(above(most));
        out[widths + place] = bits.to_le_bytes()[0];
        let end = out.len() + width.miniblock() * bits as usize / 8;
        bits::pack(miniblock.iter().map(|difference| above(*difference)), bits, out);
        out.resize(end, 0);
    }
}
