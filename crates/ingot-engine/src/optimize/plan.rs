//! Which files are rewritten together: pure, over sizes and counts from the log.
//!
//! Files go, in the order of the log, to the first open bin with room: neighbours stay together, so that columns
//! that grow with time keep tight bounds, and a large file between small ones parts nothing.

use super::Limits;

/// Bins open at once; beyond that the fullest is closed.
const OPEN_BINS_MAX: usize = 64;

/// A file that may be rewritten.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    /// Its number in the snapshot's index.
    pub file: usize,
    /// Bytes that its live rows take, about.
    pub bytes: u64,
    /// The share of its rows that a deletion vector deletes; 1 where the log does not count the rows.
    pub deleted_share: f64,
}

impl Candidate {
    /// Describes a file of `bytes`, of which `deleted` rows are deleted and `live` are not.
    pub fn new(file: usize, bytes: u64, live: Option<u64>, deleted: u64) -> Self {
        let deleted_share = match (deleted, live) {
            (0, _) => 0.0,
            (deleted, Some(live)) => deleted as f64 / (deleted.saturating_add(live)) as f64,
            (_, None) => 1.0,
        };
        let kept = match live {
            Some(_) => bytes as f64 * (1.0 - deleted_share),
            None => bytes as f64,
        };
        Self {
            file,
            bytes: kept as u64,
            deleted_share,
        }
    }

    fn due(&self, limits: &Limits) -> bool {
        self.deleted_share > limits.deleted_share_max
    }
}

/// Files of one partition that are rewritten together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bin {
    /// Numbers of files, ascending.
    pub files: Vec<usize>,
    /// Bytes of their live rows, about.
    pub bytes: u64,
}

impl Bin {
    /// Puts files together.
    pub fn of(mut candidates: Vec<Candidate>) -> Self {
        candidates.sort_by_key(|candidate| candidate.file);
        Self {
            files: candidates.iter().map(|candidate| candidate.file).collect(),
            bytes: candidates.iter().map(|candidate| candidate.bytes).sum(),
        }
    }
}

/// Packs the files of one partition into bins of one file's size each. Left out is what rewriting does not
/// improve: files that are large enough, and small ones without company.
pub(crate) fn compaction(candidates: &[Candidate], limits: &Limits) -> Vec<Bin> {
    let worthwhile =
        |candidate: &&Candidate| candidate.bytes < limits.file_bytes_min || candidate.due(limits);
    let mut open: Vec<(u64, Vec<Candidate>)> = Vec::new();
    let mut full: Vec<Vec<Candidate>> = Vec::new();
    for candidate in candidates.iter().filter(worthwhile) {
        let fits = |bytes: u64| bytes.saturating_add(candidate.bytes) <= limits.file_bytes_target;
        match open.iter_mut().find(|(bytes, _)| fits(*bytes)) {
            Some((bytes, files)) => {
                *bytes += candidate.bytes;
                files.push(*candidate);
            }
            None => open.push((candidate.bytes, vec![*candidate])),
        }
        if open.len() > OPEN_BINS_MAX
            && let Some(fullest) = (0..open.len()).max_by_key(|bin| open[*bin].0)
        {
            full.push(open.remove(fullest).1);
        }
    }
    full.extend(open.into_iter().map(|(_, files)| files));
    full.retain(|files| files.len() > 1 || files.iter().any(|file| file.due(limits)));
    full.into_iter().map(Bin::of).collect()
}

/// Gives each file that has deleted rows a bin of its own, so that it keeps its place in whatever order the files
/// have.
pub(crate) fn purge(candidates: &[Candidate]) -> Vec<Bin> {
    let files = candidates.iter().filter(|file| file.deleted_share > 0.0);
    files.map(|file| Bin::of(vec![*file])).collect()
}

/// Parts bins into commits of about `batch_bytes` of input.
pub(crate) fn batches(bins: Vec<Bin>, batch_bytes: u64) -> Vec<Vec<Bin>> {
    let mut batches: Vec<Vec<Bin>> = Vec::new();
    let mut bytes = 0_u64;
    for bin in bins {
        let fits = bytes.saturating_add(bin.bytes) <= batch_bytes;
        match batches.last_mut().filter(|_| fits) {
            Some(batch) => batch.push(bin.clone()),
            None => {
                batches.push(vec![bin.clone()]);
                bytes = 0;
            }
        }
        bytes = bytes.saturating_add(bin.bytes);
    }
    batches
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    const LIMITS: Limits = Limits {
        file_bytes_target: 100,
        file_bytes_min: 100,
        deleted_share_max: 0.05,
        batch_bytes: 1000,
        cube_bytes_min: 1000,
        cube_bytes_target: 1500,
    };

    fn packed(sizes: &[u64]) -> Vec<Vec<usize>> {
        let candidates: Vec<Candidate> = (0..)
            .zip(sizes)
            .map(|(file, bytes)| Candidate::new(file, *bytes, Some(100), 0))
            .collect();
        let bins = compaction(&candidates, &LIMITS);
        bins.into_iter().map(|bin| bin.files).collect()
    }

    #[test_case(&[], &[]; "nothing")]
    #[test_case(&[10], &[]; "one small file has no company")]
    #[test_case(&[100, 500], &[]; "large enough")]
    #[test_case(&[40, 40, 40, 40], &[&[0, 1], &[2, 3]]; "neighbours stay together")]
    #[test_case(&[40, 500, 40], &[&[0, 2]]; "a large file parts nothing")]
    #[test_case(&[60, 50, 40, 50], &[&[0, 2], &[1, 3]]; "bins are filled by size")]
    #[test_case(&[99, 99], &[]; "nothing fits together")]
    fn files_are_packed(sizes: &[u64], bins: &[&[usize]]) {
        assert_eq!(packed(sizes), bins);
    }

    #[test]
    fn a_deleted_share_makes_a_file_due() {
        let candidates = [
            Candidate::new(0, 500, Some(94), 6),
            Candidate::new(1, 500, Some(96), 4),
            Candidate::new(2, 500, None, 1),
        ];
        let bins = compaction(&candidates, &LIMITS);
        assert_eq!(bins.iter().map(|bin| bin.files[0]).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn a_file_counts_for_what_is_left_of_it() {
        // 1,000 bytes of which a tenth is alive: fits beside a small one.
        let candidates = [
            Candidate::new(0, 800, Some(10), 90),
            Candidate::new(1, 20, Some(10), 0),
        ];
        assert_eq!(compaction(&candidates, &LIMITS)[0].files, [0, 1]);
    }

    #[test]
    fn many_bins_stay_bounded_and_lose_no_file() {
        let sizes: Vec<u64> = (0..5_000).map(|file| 1 + (file * 7919) % 99).collect();
        let mut files: Vec<usize> = packed(&sizes).concat();
        files.sort_unstable();
        files.dedup();
        let left_out = sizes.len() - files.len();
        assert!(left_out <= OPEN_BINS_MAX + 1, "{left_out} files were left out");
        for bin in packed(&sizes) {
            assert!(bin.iter().map(|file| sizes[*file]).sum::<u64>() <= LIMITS.file_bytes_target);
        }
    }

    #[test]
    fn batches_are_of_about_their_size() {
        let bin = |bytes| Bin {
            files: vec![0],
            bytes,
        };
        let sizes = |batches: Vec<Vec<Bin>>| -> Vec<usize> { batches.iter().map(Vec::len).collect() };
        assert_eq!(sizes(batches(vec![bin(600), bin(400), bin(1)], 1000)), [2, 1]);
        assert_eq!(sizes(batches(vec![bin(5000), bin(5000)], 1000)), [1, 1]);
        assert_eq!(batches(Vec::new(), 1000).len(), 0);
    }
}
