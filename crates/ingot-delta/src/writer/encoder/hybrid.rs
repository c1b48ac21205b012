//! Small numbers as runs of one and as packed bits: keys of dictionaries, and levels. Source: Parquet, "Run Length
//! Encoding / Bit-Packing Hybrid".

use super::bits;

/// Numbers that are packed together.
const GROUP: usize = 8;

/// Appends numbers of at most `width` bits.
pub(super) fn encode(values: &[u32], width: u32, out: &mut Vec<u8>) {
    let (mut packed, mut at) = (0, 0);
    while at < values.len() {
        let rest = &values[at..];
        let run = rest.iter().take_while(|value| **value == rest[0]);
        // Most groups are no run: whether the first one is decides if it is worth following.
        if rest.len() >= GROUP && rest[..GROUP].iter().all(|value| *value == rest[0]) {
            pack(&values[packed..at], width, out);
            let count = run.count();
            repeat(rest[0], count, width, out);
            at += count;
            packed = at;
        } else {
            at += rest.len().min(GROUP);
        }
    }
    pack(&values[packed..], width, out);
}

/// Appends `count` times the same number.
pub(super) fn repeat(value: u32, count: usize, width: u32, out: &mut Vec<u8>) {
    bits::varint((count as u64) << 1, out);
    out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
}

/// Appends whole groups of packed numbers; the last may lack some, which are zero.
fn pack(values: &[u32], width: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(GROUP);
    bits::varint((groups as u64) << 1 | 1, out);
    let end = out.len() + groups * width as usize;
    bits::pack(values.iter().map(|value| u64::from(*value)), width, out);
    out.resize(end, 0);
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(&[], 3, &[]; "nothing")]
    #[test_case(&[5; 8], 3, &[16, 5]; "one run")]
    #[test_case(&[5; 7], 3, &[3, 0b0110_1101, 0b1101_1011, 0b0001_0110]; "too short for a run")]
    #[test_case(&[1, 0, 1], 1, &[3, 0b101]; "a group that lacks some")]
    #[test_case(&[300; 300], 9, &[0xD8, 4, 44, 1]; "values of two bytes")]
    #[test_case(&[0; 9], 0, &[18]; "values of no bits")]
    fn known(values: &[u32], width: u32, bytes: &[u8]) {
        let mut out = Vec::new();
        encode(values, width, &mut out);
        assert_eq!(out, bytes);
    }

    #[test]
    fn runs_begin_and_end_anywhere_between_groups() {
        let values = [[1; 8].as_slice(), &[2; 11], &[3, 1, 2], &[2; 8], &[0; 2]].concat();
        let mut out = Vec::new();
        encode(&values, 2, &mut out);
        // 8 times 1, 11 times 2, a group of 3 1 2 2 2 2 2 2, one of what is left.
        assert_eq!(out, [16, 1, 22, 2, 5, 0b1010_0111, 0b1010_1010, 0b0010_1010, 0]);
    }
}
