//! Where a curve is cut, and who writes what lies between the cuts: pure, over a sample of places.
//!
//! A writer fills whole files from a run of neighbouring pieces. Where all rows fit into memory its run is cut further, so
//! that the rows of a piece are in the processor's cache while they are sorted: picking rows from all over the memory costs
//! several times as much.

/// Rows of a piece, about: some ten megabytes of a table of average width.
const PIECE_ROWS: u64 = 1 << 16;

/// Pieces at most: each of them holds rows that wait to be a batch.
const PIECES_MAX: u64 = 64;

/// Bytes that rows take while they are sorted, for each byte in their files, at most as a rule.
const SORTED_BYTES_PER_BYTE: u64 = 16;

/// The pieces of a curve, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pieces {
    /// Where each piece but the first begins; ascending.
    pub cuts: Vec<u64>,
    /// Who writes each piece; ascending.
    writers: Vec<usize>,
}

impl Pieces {
    /// Cuts a curve of which `places` are a sample, so that the pieces of each writer hold the rows of its share of files.
    /// There are about `count` pieces; fewer where many rows have the same place.
    pub fn new(mut places: Vec<u64>, shares: &[usize], count: usize) -> Self {
        places.sort_unstable();
        let files = shares.iter().sum::<usize>().max(1);
        let mut pieces = Self {
            cuts: Vec::new(),
            writers: vec![0],
        };
        let mut before = 0;
        for (writer, share) in shares.iter().enumerate() {
            let own = (count * share / files).max(1);
            for piece in 0..own {
                let place = (before * own + share * piece) * places.len() / (files * own);
                pieces.begin(places.get(place).copied().unwrap_or_default(), writer);
            }
            before += share;
        }
        pieces
    }

    /// Returns the numbers of the pieces that a writer writes.
    pub fn of_writer(&self, writer: usize) -> impl Iterator<Item = usize> {
        let writers = self.writers.iter().enumerate();
        writers.filter_map(move |(piece, of)| (*of == writer).then_some(piece))
    }

    /// Begins a piece. One that would end where it begins holds no row, and is given up.
    fn begin(&mut self, cut: u64, writer: usize) {
        if cut > self.cuts.last().copied().unwrap_or_default() {
            self.cuts.push(cut);
            self.writers.push(writer);
        } else if let Some(last) = self.writers.last_mut() {
            *last = writer;
        }
    }
}

/// Deals `files` out to at most `writers` writers.
pub(super) fn shares(files: usize, writers: usize) -> Vec<usize> {
    let writers = writers.clamp(1, files.max(1));
    let share = |writer: usize| files * (writer + 1) / writers - files * writer / writers;
    (0..writers).map(share).collect()
}

/// Returns into how many pieces to cut `rows` rows of `bytes` bytes in files, at least one for each writer. Rows that may
/// have to be spilled are cut no further: each piece keeps files of its own open then.
pub(super) fn count(rows: u64, bytes: u64, memory_bytes: u64, writers: usize) -> usize {
    let fit = bytes.saturating_mul(SORTED_BYTES_PER_BYTE) <= memory_bytes;
    let small = if fit {
        (rows / PIECE_ROWS).min(PIECES_MAX)
    } else {
        0
    };
    usize::try_from(small).unwrap_or(usize::MAX).max(writers)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case(1, 4, &[1])]
    #[test_case(5, 2, &[2, 3])]
    #[test_case(6, 4, &[1, 2, 1, 2])]
    fn files_are_dealt_out(files: usize, writers: usize, expected: &[usize]) {
        assert_eq!(shares(files, writers), expected);
    }

    #[test_case(1_000, 1 << 20, 1 << 30, 2; "few rows")]
    #[test_case(1 << 20, 1 << 20, 1 << 30, 16; "rows that fit")]
    #[test_case(1 << 20, 1 << 27, 1 << 30, 2; "rows that may have to be spilled")]
    #[test_case(1 << 40, 1 << 20, 1 << 30, 64; "never very many")]
    fn pieces_are_counted(rows: u64, bytes: u64, memory_bytes: u64, expected: usize) {
        assert_eq!(count(rows, bytes, memory_bytes, 2), expected);
    }

    #[test_case(&[2, 3], 2, &[40], &[0, 1]; "a piece for each writer")]
    #[test_case(&[2, 3], 5, &[20, 40, 60, 80], &[0, 0, 1, 1, 1]; "a piece for each file")]
    #[test_case(&[1], 4, &[25, 50, 75], &[0, 0, 0, 0]; "several pieces for a file")]
    fn pieces_hold_their_share(shares: &[usize], count: usize, cuts: &[u64], writers: &[usize]) {
        let pieces = Pieces::new((0..100).rev().collect(), shares, count);
        assert_eq!(
            (pieces.cuts.as_slice(), pieces.writers.as_slice()),
            (cuts, writers)
        );
        let second: Vec<usize> = pieces.of_writer(1).collect();
        let expected = (0..writers.len()).filter(|piece| writers[*piece] == 1);
        assert_eq!(second, expected.collect::<Vec<_>>());
    }

    #[test]
    fn rows_at_one_place_are_one_piece() {
        let mut places = vec![7; 90];
        places.extend(90..100);
        let pieces = Pieces::new(places, &[1, 1], 20);
        assert_eq!(pieces.cuts, [7, 90, 95]);
        assert_eq!(pieces.writers, [0, 1, 1, 1]);
        assert!(Pieces::new(vec![0; 9], &[1, 1], 8).cuts.is_empty());
        assert_eq!(Pieces::new(Vec::new(), &[1], 8).writers, [0]);
    }
}
