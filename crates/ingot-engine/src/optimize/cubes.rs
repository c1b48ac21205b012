//! Which files of a clustered table are clustered anew: pure, over tags and sizes.
//!
//! Files that were clustered together are a ZCube, and carry its id and columns. A cube that has grown large enough is
//! left alone for good; smaller ones are clustered anew together with what came since. So each row is rewritten a few
//! times, however long the table lives. Cubes of other columns, from before ALTER TABLE … CLUSTER BY, are left to
//! OPTIMIZE FULL. Source: Spark, `ClusteringStrategy`, `ZCube`.

use std::collections::BTreeMap;

use ingot_delta::Add;
use uuid::Uuid;

use super::Limits;
use super::metrics::{Count, CubeCounts};
use super::plan::{Bin, Candidate};

/// The tags of a cube's files. Source: Spark, `AddFile.Tags`.
const ZCUBE_ID: &str = "ZCUBE_ID";
const ZCUBE_ZORDER_BY: &str = "ZCUBE_ZORDER_BY";
const ZCUBE_ZORDER_CURVE: &str = "ZCUBE_ZORDER_CURVE";

/// Who clusters. Source: Delta protocol, "Clustered Table".
const PROVIDER: &str = "liquid";

/// A file as far as clustering goes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Clustered {
    pub candidate: Candidate,
    /// Its cube, and the columns of that.
    cube: Option<(String, Vec<String>)>,
    /// Another engine's way of clustering.
    foreign: bool,
}

impl Clustered {
    /// Reads the tags of a file.
    pub fn new(candidate: Candidate, add: &Add) -> Self {
        let tag = |name: &str| add.tags.as_ref()?.get(name)?.as_deref();
        let columns = tag(ZCUBE_ZORDER_BY).and_then(|text| serde_json::from_str(text).ok());
        Self {
            candidate,
            cube: tag(ZCUBE_ID).map(str::to_owned).zip(columns),
            foreign: add
                .clustering_provider
                .as_deref()
                .is_some_and(|name| name != PROVIDER),
        }
    }

    fn cube_of(&self, columns: &[String]) -> Option<&str> {
        let (id, theirs) = self.cube.as_ref()?;
        (theirs == columns).then_some(id)
    }
}

/// Chooses the files to cluster by `columns`, in bins that become a cube each; `full` chooses all. There is nothing to
/// do where all that could be chosen is one cube already.
pub(crate) fn clustering(
    files: &[Clustered],
    columns: &[String],
    limits: &Limits,
    full: bool,
) -> (Vec<Bin>, CubeCounts) {
    let mut counts = CubeCounts::default();
    // Without a cube first, then cube by cube.
    let mut cubes: BTreeMap<Option<&str>, Vec<&Clustered>> = BTreeMap::new();
    for file in files {
        let bytes = i64::try_from(file.candidate.bytes).unwrap_or(i64::MAX);
        let cube = file.cube_of(columns);
        match cube {
            Some(_) => counts.in_cubes.add(bytes),
            None => counts.others.add(bytes),
        }
        let of_others = file.foreign || (file.cube.is_some() && cube.is_none());
        if full || !of_others {
            cubes.entry(cube).or_default().push(file);
        }
    }
    counts.cubes = i64::try_from(cubes.keys().flatten().count()).unwrap_or(i64::MAX);
    if !full {
        cubes.retain(|cube, files| cube.is_none() || bytes(files) < limits.cube_bytes_min);
    }
    let one_cube = cubes.len() == 1 && cubes.keys().all(Option::is_some);
    if one_cube {
        cubes.clear();
    }
    let mut bins: Vec<Vec<Candidate>> = Vec::new();
    let mut filled = u64::MAX;
    for file in cubes.into_values().flatten() {
        filled = filled.saturating_add(file.candidate.bytes);
        if filled > limits.cube_bytes_target {
            bins.push(Vec::new());
            filled = file.candidate.bytes;
        }
        if let Some(bin) = bins.last_mut() {
            bin.push(file.candidate);
        }
        counts
            .merged
            .add(i64::try_from(file.candidate.bytes).unwrap_or(i64::MAX));
    }
    counts.cubes_written = i64::try_from(bins.len()).unwrap_or(i64::MAX);
    (bins.into_iter().map(Bin::of).collect(), counts)
}

/// Counts a z-order, which takes all files, whatever they were.
pub(crate) fn zorder(candidates: &[Vec<Candidate>]) -> CubeCounts {
    let mut merged = Count::default();
    for candidate in candidates.iter().flatten() {
        merged.add(i64::try_from(candidate.bytes).unwrap_or(i64::MAX));
    }
    CubeCounts {
        others: merged,
        merged,
        cubes_written: i64::try_from(candidates.len()).unwrap_or(i64::MAX),
        ..CubeCounts::default()
    }
}

/// Marks files as a cube of their own, clustered by `columns`.
pub(crate) fn tag(added: &mut [Add], columns: &[String]) {
    let curve = if columns.len() > 1 { "hilbert" } else { "zorder" };
    let tags = [
        (ZCUBE_ID, Uuid::new_v4().to_string()),
        (ZCUBE_ZORDER_BY, serde_json::json!(columns).to_string()),
        (ZCUBE_ZORDER_CURVE, curve.to_owned()),
    ];
    for add in added {
        let own = add.tags.get_or_insert_default();
        own.extend(
            tags.iter()
                .map(|(name, value)| ((*name).to_owned(), Some(value.clone()))),
        );
        add.clustering_provider = Some(PROVIDER.to_owned());
    }
}

fn bytes(files: &[&Clustered]) -> u64 {
    files.iter().map(|file| file.candidate.bytes).sum()
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    const LIMITS: Limits = Limits {
        file_bytes_target: 10,
        file_bytes_min: 10,
        deleted_share_max: 0.05,
        batch_bytes: 1000,
        cube_bytes_min: 100,
        cube_bytes_target: 150,
    };

    /// Describes files by size, and cube and its column if they have one.
    fn files(described: &[(u64, &str)]) -> Vec<Clustered> {
        let files = described.iter().enumerate().map(|(file, (bytes, cube))| {
            let (id, column) = cube.split_once(' ').unwrap_or((cube, "a"));
            Clustered {
                candidate: Candidate::new(file, *bytes, Some(1), 0),
                cube: (!cube.is_empty() && *cube != "foreign")
                    .then(|| (id.to_owned(), vec![column.to_owned()])),
                foreign: *cube == "foreign",
            }
        });
        files.collect()
    }

    #[test_case(&[], &[]; "nothing")]
    #[test_case(&[(10, ""), (20, "")], &[&[0, 1]]; "what was never clustered")]
    #[test_case(&[(60, "x"), (60, "x"), (10, "")], &[&[2]]; "a large cube stays")]
    #[test_case(&[(30, "x"), (30, "x"), (10, "")], &[&[0, 1, 2]]; "a small cube takes in what is new")]
    #[test_case(&[(30, "x"), (30, "x")], &[]; "one cube and nothing new")]
    #[test_case(&[(30, "x"), (40, "y")], &[&[0, 1]]; "small cubes are joined")]
    #[test_case(&[(30, "x b"), (10, "foreign")], &[]; "others' cubes stay")]
    #[test_case(&[(30, "x b"), (10, "")], &[&[1]]; "cubes of other columns stay")]
    #[test_case(&[(90, ""), (90, ""), (90, "")], &[&[0], &[1], &[2]]; "cubes are filled to their target")]
    fn files_are_chosen(described: &[(u64, &str)], expected: &[&[usize]]) {
        let (bins, _) = clustering(&files(described), &["a".to_owned()], &LIMITS, false);
        let chosen: Vec<&[usize]> = bins.iter().map(|bin| bin.files.as_slice()).collect();
        assert_eq!(chosen, expected);
    }

    #[test_case(&[(60, "x"), (60, "x"), (10, "")], &[0, 1, 2]; "large cubes too")]
    #[test_case(&[(30, "x b"), (10, "foreign")], &[0, 1]; "others' cubes too")]
    #[test_case(&[(600, "x"), (30, "x")], &[]; "one cube is done")]
    fn full_chooses_all(described: &[(u64, &str)], expected: &[usize]) {
        let (bins, _) = clustering(&files(described), &["a".to_owned()], &LIMITS, true);
        let mut chosen: Vec<usize> = bins.iter().flat_map(|bin| bin.files.clone()).collect();
        chosen.sort_unstable();
        assert_eq!(chosen, expected);
    }
}
