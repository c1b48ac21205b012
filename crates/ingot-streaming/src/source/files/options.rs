//! Options of the file source.

use std::collections::BTreeMap;

use ingot_engine::files::FilesOptions;

use crate::Result;
use crate::source::options::Options;

/// Files of a batch when `maxFilesPerTrigger` is not given. Source: `cloudFiles.maxFilesPerTrigger`.
const FILES_MAX_DEFAULT: u64 = 1000;

/// Checked options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSourceOptions {
    /// How files are read.
    pub files: FilesOptions,
    /// Files of a batch, > 0.
    pub files_max: usize,
    /// Whether a new stream reads the files that are there.
    pub existing_files: bool,
}

impl FileSourceOptions {
    /// Reads options in Databricks' names; those that are not the stream's are `read_files`'.
    pub fn parse(path: &str, given: &BTreeMap<String, String>) -> Result<Self> {
        let mut options = Options::new("files", given);
        let files_max = options.positive("maxFilesPerTrigger")?;
        let existing_files = options.parse("includeExistingFiles")?;
        let files = FilesOptions::from_map(path, &options.rest())?;
        Ok(Self {
            files,
            files_max: usize::try_from(files_max.unwrap_or(FILES_MAX_DEFAULT)).unwrap_or(usize::MAX),
            existing_files: existing_files.unwrap_or(true),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(given: &[(&str, &str)]) -> Result<FileSourceOptions> {
        let given = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        FileSourceOptions::parse("/landing", &given.collect())
    }

    #[test]
    fn options_of_the_stream_and_of_the_format_are_told_apart() {
        let options = parse(&[("format", "json"), ("maxfilespertrigger", "7")]).expect("options");
        assert_eq!((options.files_max, options.existing_files), (7, true));
        let error = parse(&[("format", "json"), ("maxFiles", "7")]).expect_err("unknown");
        assert!(error.to_string().contains("no option `maxFiles`"), "{error}");
        let error = parse(&[("format", "json"), ("maxFilesPerTrigger", "0")]).expect_err("zero");
        assert!(error.to_string().contains("above 0"), "{error}");
    }
}
