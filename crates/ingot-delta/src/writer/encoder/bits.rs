//! Numbers as bits and as bytes of varying count. Source: Parquet, "Encodings".

/// Appends numbers of `width` bits each, the lowest bits first, and zeros up to a whole byte. `width` is at most 64, and
/// no number has more bits.
pub(super) fn pack(values: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    let (mut word, mut filled) = (0_u64, 0_u32);
    for value in values {
        word |= value << filled;
        filled += width;
        if filled >= u64::BITS {
            out.extend_from_slice(&word.to_le_bytes());
            filled -= u64::BITS;
            // What did not fit. A shift by all 64 bits would be none.
            word = if filled == 0 { 0 } else { value >> (width - filled) };
        }
    }
    out.extend_from_slice(&word.to_le_bytes()[..filled.div_ceil(8) as usize]);
}

/// Returns how many bits a number has.
pub(super) fn width(value: u64) -> u32 {
    u64::BITS - value.leading_zeros()
}

/// Appends a number, seven bits a byte.
pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends a number with a sign; small ones of either sign are short.
pub(super) fn zigzag(value: i64, out: &mut Vec<u8>) {
    varint(((value << 1) ^ (value >> 63)).cast_unsigned(), out);
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn unpack(bytes: &[u8], width: u32, count: usize) -> Vec<u64> {
        let bit = |place: usize| u64::from(bytes[place / 8] >> (place % 8) & 1);
        let one = |at: usize| {
            (0..width as usize)
                .map(|n| bit(at * width as usize + n) << n)
                .sum()
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn any_width_holds_its_numbers() {
        for width in 0..=64 {
            let most = u64::MAX.checked_shr(64 - width).unwrap_or(0);
            for count in [0_u64, 1, 7, 8, 9, 31, 64, 65, 130] {
                let values: Vec<u64> = (0..count)
                    .map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) & most)
                    .collect();
                let mut bytes = Vec::new();
                pack(values.iter().copied(), width, &mut bytes);
                assert_eq!(bytes.len(), (values.len() * width as usize).div_ceil(8));
                assert_eq!(unpack(&bytes, width, values.len()), values, "{width} bits");
            }
        }
    }

    #[test_case(0, &[0])]
    #[test_case(127, &[0x7F])]
    #[test_case(128, &[0x80, 1])]
    #[test_case(u64::MAX, &[255, 255, 255, 255, 255, 255, 255, 255, 255, 1])]
    fn varints(value: u64, bytes: &[u8]) {
        let mut out = Vec::new();
        varint(value, &mut out);
        assert_eq!(out, bytes);
    }

    #[test_case(0, 0)]
    #[test_case(-1, 1)]
    #[test_case(1, 2)]
    #[test_case(i64::MIN, u64::MAX)]
    fn signs_are_the_lowest_bit(value: i64, as_written: u64) {
        let (mut out, mut expected) = (Vec::new(), Vec::new());
        zigzag(value, &mut out);
        varint(as_written, &mut expected);
        assert_eq!(out, expected);
    }
}
