//! Which files of a table's folder are the table's: pure, over their paths.
//!
//! Source: Spark, `DeltaTableUtils.isHiddenDirectory`.

use object_store::path::Path;

use crate::{Action, partition};

/// Where change data is, below the table's root. Source: Delta protocol, "Change Data Files".
const CHANGE_DATA: &str = "_change_data";

/// A table's folder.
pub(super) struct Folder<'a> {
    root: &'a Path,
    /// How folders of a partition column that begins with `_` or `.` begin.
    partitions: Vec<String>,
}

impl<'a> Folder<'a> {
    pub fn new(root: &'a Path, partition_columns: &[String]) -> Self {
        let hidden = partition_columns.iter().filter(|column| is_hidden(column));
        Self {
            root,
            partitions: hidden
                .map(|column| format!("{}=", partition::hive_escaped(column)))
                .collect(),
        }
    }

    /// Says if a file is not the table's to delete: its log, and what others keep in folders (or under names) that
    /// begin with `_` or `.`.
    pub fn hides(&self, path: &Path) -> bool {
        let Some(parts) = path.prefix_match(self.root) else {
            return true;
        };
        for (depth, part) in parts.enumerate() {
            let name = part.as_ref();
            let change_data = depth == 0 && name == CHANGE_DATA;
            let partition = self
                .partitions
                .iter()
                .any(|begin| name.starts_with(begin.as_str()));
            if is_hidden(name) && !change_data && !partition {
                return true;
            }
        }
        false
    }
}

/// Says if a file lies where change data does.
pub(super) fn is_change_data(root: &Path, path: &Path) -> bool {
    let first = path.prefix_match(root).and_then(|mut parts| parts.next());
    first.is_some_and(|name| name.as_ref() == CHANGE_DATA)
}

/// Returns the path of the file of change data that an action names.
pub(super) fn change_data_path(action: &Action) -> Option<&str> {
    match action {
        Action::Cdc(file) => Some(&file.path),
        _ => None,
    }
}

/// Returns the folder that a file is in.
pub(super) fn parent(path: &Path) -> Option<Path> {
    let (folder, _) = path.as_ref().rsplit_once('/')?;
    Path::parse(folder).ok()
}

fn is_hidden(name: &str) -> bool {
    name.starts_with(['_', '.'])
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("t/part-0.parquet", false)]
    #[test_case("t/day=2024-01-01/part-0.parquet", false)]
    #[test_case("t/deletion_vector_1.bin", false)]
    #[test_case("t/_change_data/cdc-0.parquet", false)]
    #[test_case("t/_id=7/part-0.parquet", false; "a partition column that begins so")]
    #[test_case("t/_delta_log/00000000000000000000.json", true)]
    #[test_case("t/_delta_log/_sidecars/a.parquet", true)]
    #[test_case("t/_checkpoints/offsets/0", true; "a stream's checkpoint")]
    #[test_case("t/.part-0.parquet.crc", true)]
    #[test_case("t/day=1/_temporary/0/part-0.parquet", true)]
    #[test_case("t/day=1/_change_data/x", true; "change data is at the root only")]
    #[test_case("elsewhere/part-0.parquet", true; "not in the folder")]
    fn only_the_tables_own_files_are_seen(path: &str, hidden: bool) {
        let root = Path::from("t");
        let folder = Folder::new(&root, &["day".to_owned(), "_id".to_owned()]);
        assert_eq!(folder.hides(&Path::from(path)), hidden);
    }
}
