//! A project: `pipeline.toml`, the SQL files beside it, and what they define.
//!
//! SQL is read from `*.sql` in the folder and in its subfolders, in the order of their paths. `${key}` in it is
//! replaced by the configuration's value; `${project}` is the folder's absolute path.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ingot_common::{Identifier, SchemaName};
use serde::Deserialize;

use crate::definition::Definition;
use crate::graph::{Node, order};
use crate::text::{FilledText, place_of};
use crate::{Error, Result, dialect};

const SETTINGS_FILE: &str = "pipeline.toml";
/// Key of the project's folder in `${…}`.
const PROJECT_KEY: &str = "project";

/// A checked project.
#[derive(Debug, Clone)]
pub struct Project {
    name: String,
    namespace: SchemaName,
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    name: String,
    #[serde(default = "main")]
    catalog: String,
    #[serde(default = "default_schema")]
    schema: String,
    #[serde(default)]
    configuration: BTreeMap<String, String>,
}

fn main() -> String {
    "main".to_owned()
}

fn default_schema() -> String {
    "default".to_owned()
}

impl Project {
    /// Reads and checks the project in folder `path`. `configuration` overrides `[configuration]` of
    /// `pipeline.toml`; its values replace `${key}` in the SQL.
    ///
    /// # Errors
    /// `InvalidArgument`, with file, line and column, for syntax, unknown names and cycles; `NotFound` for a
    /// folder without `pipeline.toml`.
    pub fn load(path: &Path, configuration: &BTreeMap<String, String>) -> Result<Self> {
        let root = path.canonicalize().map_err(Error::project("find", path))?;
        let settings = settings(&root)?;
        let namespace = SchemaName::new(name(&settings.catalog)?, name(&settings.schema)?);
        let mut values = settings.configuration;
        values.extend(configuration.clone());
        values.insert(PROJECT_KEY.to_owned(), root.display().to_string());
        let (mut datasets, mut flows) = (Vec::new(), Vec::new());
        for file in sql_files(&root)? {
            let text = std::fs::read_to_string(&file).map_err(Error::project("read", &file))?;
            let shown = file.strip_prefix(&root).unwrap_or(&file).display().to_string();
            let text = FilledText::new(&shown, &text, &values)?;
            for definition in dialect::parse(&text, &namespace)? {
                match definition {
                    Definition::Dataset(dataset) => datasets.push(dataset),
                    Definition::Cdc(flow) => flows.push(flow),
                }
            }
        }
        Ok(Self {
            name: name(&settings.name)?.to_string(),
            namespace,
            nodes: order(datasets, flows)?,
        })
    }

    /// Returns the pipeline's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the datasets' full names in the order in which they are updated.
    pub fn datasets(&self) -> Vec<String> {
        self.nodes
            .iter()
            .map(|node| node.dataset.name.to_string())
            .collect()
    }

    /// Returns where short names are looked up.
    pub(crate) fn namespace(&self) -> &SchemaName {
        &self.namespace
    }

    /// Returns the datasets in the order in which they are updated.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }
}

fn settings(root: &Path) -> Result<Settings> {
    let path = root.join(SETTINGS_FILE);
    let text = std::fs::read_to_string(&path).map_err(Error::project("read", &path))?;
    toml::from_str(&text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        Error::Definition {
            place: place_of(SETTINGS_FILE, &text, offset),
            message: error.message().to_owned(),
        }
    })
}

fn name(text: &str) -> Result<Identifier> {
    Identifier::new(text).map_err(|error| Error::Definition {
        place: place_of(SETTINGS_FILE, "", 0),
        message: error.to_string(),
    })
}

/// Returns the SQL files below `root`, by path.
fn sql_files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).map_err(Error::project("list", &folder))?;
        for entry in entries {
            let path = entry.map_err(Error::project("list", &folder))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "sql") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn load(files: &[(&str, &str)]) -> Result<Project> {
        let folder = tempfile::tempdir().expect("tempdir");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            fs::write(path, text).expect("file");
        }
        let configuration = BTreeMap::from([("topic".to_owned(), "overridden".to_owned())]);
        Project::load(folder.path(), &configuration)
    }

    #[test]
    fn files_are_read_in_order_and_filled_in() {
        let project = load(&[
            (
                "pipeline.toml",
                "name = \"p\"\nschema = \"bronze\"\n[configuration]\ntopic = \"t\"",
            ),
            (
                "sql/b.sql",
                "CREATE OR REFRESH MATERIALIZED VIEW b AS SELECT * FROM a",
            ),
            (
                "sql/a.sql",
                "CREATE OR REFRESH MATERIALIZED VIEW a AS SELECT '${topic}' AS topic",
            ),
        ])
        .expect("loads");
        assert_eq!(project.name(), "p");
        assert_eq!(project.datasets(), ["main.bronze.a", "main.bronze.b"]);
        let query = project.nodes()[0].dataset.query.clone().expect("query");
        assert_eq!(query.text, "SELECT 'overridden' AS topic");
    }

    #[test]
    fn mistakes_are_placed() {
        let error = load(&[("pipeline.toml", "name = \"p\"\ncolour = 1")]).expect_err("unknown key");
        assert!(
            error
                .to_string()
                .starts_with("pipeline.toml:2:1: unknown field `colour`"),
            "{error}"
        );
        let sql = "CREATE OR REFRESH MATERIALIZED VIEW a AS\nSELECT '${x}'";
        let error = load(&[("pipeline.toml", "name = \"p\""), ("a.sql", sql)]).expect_err("unknown value");
        assert!(
            error
                .to_string()
                .starts_with("a.sql:2:9: `${x}` is not configured"),
            "{error}"
        );
        load(&[]).expect_err("no settings");
    }
}
