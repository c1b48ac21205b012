//! Files as relations: `read_files('path', format => 'csv', header => true)`.
//!
//! Source: Databricks SQL, `read_files`; CSV, JSON (an object a line), Parquet and text.

mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::dataframe::DataFrame;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::csv::CsvFormat;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::sql::sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, Value};
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use ingot_common::Kind;
use ingot_delta::canonical_location;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use url::Url;

use crate::access::Reader;
use crate::statement::volume;
use crate::{Error, Result, Session, types};

/// The options of `read_files` that are known here.
const OPTIONS: [&str; 9] = [
    "format",
    "header",
    "sep",
    "delimiter",
    "quote",
    "escape",
    "nullValue",
    "schema",
    "inferSchema",
];

/// What a URL means something by, and a name does not.
const NOT_IN_NAMES: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// Files whose first lines are looked at at the same time.
const HEADERS_AT_ONCE: usize = 16;

/// How files are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesOptions {
    pub format: FilesFormat,
    /// Columns; found out from the files when `None`.
    pub schema: Option<SchemaRef>,
}

/// The format of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilesFormat {
    Csv(CsvOptions),
    /// One object a line.
    Json,
    Parquet,
    /// A row for each line.
    Text,
}

/// How CSV is read. Source: Spark, CSV data source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvOptions {
    pub header: bool,
    pub delimiter: u8,
    pub quote: u8,
    pub escape: Option<u8>,
    /// The text that means null, besides the empty one.
    pub null_value: Option<String>,
    /// All columns are strings when `false`.
    pub infer_types: bool,
}

impl FilesOptions {
    /// Reads options by name, in any case. `format` is found out from `path`'s ending when absent.
    ///
    /// # Errors
    /// `InvalidArgument` for unknown options (naming the nearest) and values that do not fit.
    pub fn from_map(path: &str, options: &BTreeMap<String, String>) -> Result<Self> {
        let known = |name: &str| OPTIONS.iter().any(|option| option.eq_ignore_ascii_case(name));
        if let Some(unknown) = options.keys().find(|name| !known(name)) {
            return Err(invalid(format!(
                "read_files has no option `{unknown}`; it knows {}",
                OPTIONS.join(", ")
            )));
        }
        let option = |name: &str| {
            let found = options.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str())
        };
        let flag = |name: &str, default: bool| match option(name) {
            None => Ok(default),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
            Some(value) => Err(invalid(format!(
                "option `{name}` is true or false, not `{value}`"
            ))),
        };
        let byte = |name: &str| match option(name).map(str::as_bytes) {
            None => Ok(None),
            Some([byte]) => Ok(Some(*byte)),
            Some(_) => Err(invalid(format!("option `{name}` is one ASCII character"))),
        };
        let ending = path.rsplit('.').next().unwrap_or_default();
        let format = match option("format").unwrap_or(ending).to_lowercase().as_str() {
            "csv" => FilesFormat::Csv(CsvOptions {
                header: flag("header", false)?,
                delimiter: byte("sep")?.or(byte("delimiter")?).unwrap_or(b','),
                quote: byte("quote")?.unwrap_or(b'"'),
                escape: byte("escape")?,
                null_value: option("nullValue").map(str::to_owned),
                infer_types: flag("inferSchema", true)?,
            }),
            "json" => FilesFormat::Json,
            "parquet" => FilesFormat::Parquet,
            "text" | "txt" => FilesFormat::Text,
            other => {
                return Err(invalid(format!(
                    "read_files reads csv, json, parquet and text, not `{other}`"
                )));
            }
        };
        let schema = match option("schema") {
            None => None,
            Some(text) => Some(Arc::new(Schema::new(types::parse_columns(text)?))),
        };
        Ok(Self { format, schema })
    }
}

/// A file as its store lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile {
    pub url: Url,
    /// Milliseconds since the epoch.
    pub modified_ms: i64,
}

/// Lists the files at `path`: a file, all below a folder, or those that match a glob, in which only `**` stands for
/// more than one folder. Files and folders whose name begins with `_` or `.` are left out, as Spark leaves them out.
///
/// # Errors
/// `Unavailable` when the store does not answer. A path where nothing is gives no files.
pub async fn list_files(session: &Session, path: &Url) -> Result<Vec<ListedFile>> {
    let mut state = session.datafusion().state();
    let execution = &mut state.config_mut().options_mut().execution;
    execution.listing_table_ignore_subdirectory = false;
    let listing = listing(path)?;
    register_store(session, path)?;
    let store = state.runtime_env().object_store(listing.object_store())?;
    let mut found = listing.list_all_files(&state, store.as_ref(), "").await?;
    let mut files = Vec::new();
    while let Some(file) = found.try_next().await? {
        let below: Vec<&str> = match listing.strip_prefix(&file.location) {
            Some(names) => names.collect(),
            None => continue,
        };
        let hidden = below.iter().any(|name| name.starts_with(['_', '.']));
        let pattern = listing.get_glob().as_ref().map(|glob| glob.as_str());
        if hidden || !pattern.is_none_or(|pattern| as_deep(pattern, below.len())) {
            continue;
        }
        let mut url = listing.get_url().clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            let names: Vec<_> = file.location.parts().collect();
            segments.clear().extend(names.iter().map(AsRef::as_ref));
        }
        files.push(ListedFile {
            url,
            modified_ms: file.last_modified.timestamp_millis(),
        });
    }
    Ok(files)
}

/// Reads the pattern in a path. DataFusion does so for paths of files only.
fn listing(path: &Url) -> Result<ListingTableUrl> {
    if path.scheme() == "file" {
        return Ok(ListingTableUrl::parse(percent_decoded(path))?);
    }
    let encoded: Vec<&str> = path.path().split('/').collect();
    let decoded: Vec<_> = encoded
        .iter()
        .map(|name| percent_decode_str(name).decode_utf8_lossy())
        .collect();
    let Some(first) = decoded.iter().position(|name| name.contains(['*', '?', '['])) else {
        return Ok(ListingTableUrl::parse(path)?);
    };
    let mut root = path.clone();
    root.set_path(&format!("{}/", encoded[..first].join("/")));
    Ok(ListingTableUrl::try_new(root, None)?.with_glob(&decoded[first..].join("/"))?)
}

/// Says if a pattern means files at this depth: DataFusion's `*` matches across folders.
fn as_deep(pattern: &str, depth: usize) -> bool {
    pattern.contains("**") || pattern.split('/').count() == depth
}

/// Makes a relation of the files at `path`, which are those that [`list_files`] gives now. Their columns are found
/// out now unless `options` has them.
///
/// # Errors
/// `NotFound` when there is no file.
pub async fn files_provider(
    session: &Session,
    path: &Url,
    options: &FilesOptions,
) -> Result<Arc<dyn TableProvider>> {
    let listed = list_files(session, path).await?;
    let urls: Vec<Url> = listed.into_iter().map(|file| file.url).collect();
    provider(session, &urls, path.as_str(), options).await
}

/// Makes a relation of `files`, whose names are taken as they are. Their columns are found out now unless `options`
/// has them.
///
/// # Errors
/// `NotFound` when there are none.
pub async fn listed_files_provider(
    session: &Session,
    files: &[Url],
    options: &FilesOptions,
) -> Result<Arc<dyn TableProvider>> {
    let named = files.first().map_or("", Url::as_str);
    provider(session, files, named, options).await
}

async fn provider(
    session: &Session,
    files: &[Url],
    named: &str,
    options: &FilesOptions,
) -> Result<Arc<dyn TableProvider>> {
    let Some(first) = files.first() else {
        return Err(not_found(named));
    };
    register_store(session, first)?;
    if let FilesFormat::Csv(csv) = &options.format
        && csv.header
        && options.schema.is_none()
        && files.len() > 1
    {
        return with_headers(session, files, named, options).await;
    }
    one_relation(session, files, named, options).await
}

/// Makes a relation of CSV files whose headers may name other columns, or the same in another order: they are put
/// together by name, for the reader goes by position.
async fn with_headers(
    session: &Session,
    files: &[Url],
    named: &str,
    options: &FilesOptions,
) -> Result<Arc<dyn TableProvider>> {
    let mut headers: Vec<BoxFuture<'_, Result<Vec<String>>>> = Vec::with_capacity(files.len());
    for file in files {
        headers.push(Box::pin(header(session, file, named, options)));
    }
    let mut headers = futures::stream::iter(headers).buffered(HEADERS_AT_ONCE);
    let mut groups: Vec<(Vec<String>, Vec<Url>)> = Vec::new();
    for file in files {
        let header: Vec<String> = match headers.try_next().await? {
            Some(header) => header,
            None => break,
        };
        match groups.iter_mut().find(|(known, _)| *known == header) {
            Some((_, files)) => files.push(file.clone()),
            None => groups.push((header, vec![file.clone()])),
        }
    }
    let mut rows: Option<DataFrame> = None;
    for (_, files) in &groups {
        let provider = one_relation(session, files, named, options).await?;
        if groups.len() == 1 {
            return Ok(provider);
        }
        let more = session.datafusion().read_table(provider)?;
        rows = Some(match rows {
            Some(rows) => rows.union_by_name(more)?,
            None => more,
        });
    }
    match rows {
        Some(rows) => Ok(rows.into_view()),
        None => one_relation(session, files, named, options).await,
    }
}

/// Returns the names of the columns of one file.
async fn header(session: &Session, file: &Url, named: &str, options: &FilesOptions) -> Result<Vec<String>> {
    let columns = one_relation(session, std::slice::from_ref(file), named, options)
        .await?
        .schema();
    Ok(columns
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect())
}

async fn one_relation(
    session: &Session,
    files: &[Url],
    named: &str,
    options: &FilesOptions,
) -> Result<Arc<dyn TableProvider>> {
    let format: Arc<dyn FileFormat> = match &options.format {
        FilesFormat::Csv(csv) => Arc::new(csv_format(csv)),
        FilesFormat::Json => Arc::new(JsonFormat::default()),
        FilesFormat::Parquet => Arc::new(ParquetFormat::default().with_force_view_types(false)),
        FilesFormat::Text => {
            let partitions = session.datafusion().state().config().target_partitions();
            return text::provider(files, options.schema.as_ref(), partitions);
        }
    };
    let listings = files
        .iter()
        .map(|file| ListingTableUrl::try_new(file.clone(), None));
    let listings = listings.collect::<Result<_, _>>()?;
    let listing_options = ListingOptions::new(format).with_file_extension("");
    let mut config = ListingTableConfig::new_with_multi_paths(listings).with_listing_options(listing_options);
    config = match &options.schema {
        Some(schema) => config.with_schema(Arc::clone(schema)),
        None => config.infer_schema(&session.datafusion().state()).await?,
    };
    let schema = config.file_schema.as_ref();
    if schema.is_none_or(|schema| schema.fields().is_empty()) {
        return Err(not_found(named));
    }
    Ok(Arc::new(ListingTable::try_new(config)?))
}

/// Lets DataFusion read from the store that tables at `path` are in, which knows how a bucket is reached.
fn register_store(session: &Session, path: &Url) -> Result<()> {
    if path.scheme() == "file" {
        return Ok(());
    }
    let mut root = path.clone();
    root.set_path("/");
    let (store, _) = session.engine().tables().store_for(&root)?;
    session.engine().runtime().register_object_store(&root, store);
    Ok(())
}

/// Makes the error of a place without files to read.
pub(crate) fn not_found(named: &str) -> Error {
    Error::Condition {
        kind: Kind::NotFound,
        condition: "PATH_NOT_FOUND",
        sqlstate: "42K03",
        message: format!("path `{named}` does not exist or has no files"),
    }
}

fn csv_format(options: &CsvOptions) -> CsvFormat {
    let mut format = CsvFormat::default()
        .with_has_header(options.header)
        .with_delimiter(options.delimiter)
        .with_quote(options.quote)
        .with_escape(options.escape)
        .with_newlines_in_values(true);
    if let Some(text) = &options.null_value {
        format = format.with_null_regex(Some(format!("^({})?$", regex_escaped(text))));
    }
    if !options.infer_types {
        format = format.with_schema_infer_max_rec(0);
    }
    format
}

fn regex_escaped(text: &str) -> String {
    let special = |c: char| !c.is_alphanumeric() && c.is_ascii();
    text.chars()
        .flat_map(|c| special(c).then_some('\\').into_iter().chain([c]))
        .collect()
}

/// A call of `read_files` in a query.
#[derive(Debug)]
pub(crate) struct FilesRequest {
    path: String,
    options: FilesOptions,
}

impl FilesRequest {
    /// Reads the arguments: the path, then options by name.
    pub fn from_arguments(arguments: &[FunctionArg]) -> Result<Self> {
        let mut path = None;
        let mut options = BTreeMap::new();
        for argument in arguments {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) if path.is_none() => {
                    path = Some(literal(value)?)
                }
                FunctionArg::Named {
                    name,
                    arg: FunctionArgExpr::Expr(value),
                    ..
                } => {
                    options.insert(name.value.clone(), literal(value)?);
                }
                FunctionArg::ExprNamed {
                    name: Expr::Identifier(name),
                    arg: FunctionArgExpr::Expr(value),
                    ..
                } => {
                    options.insert(name.value.clone(), literal(value)?);
                }
                other => return Err(Error::parse(format!("read_files cannot take `{other}`"))),
            }
        }
        let path = path.ok_or_else(|| Error::parse("read_files needs a path".to_owned()))?;
        Ok(Self {
            options: FilesOptions::from_map(&path, &options)?,
            path,
        })
    }

    /// Makes the relation of the files, which `reader` must be let read.
    pub(crate) async fn provider(
        &self,
        session: &Session,
        reader: &Reader,
    ) -> Result<Arc<dyn TableProvider>> {
        let path = volume::place(session, reader, &self.path).await?;
        files_provider(session, &path, &self.options).await
    }
}

fn literal(value: &Expr) -> Result<String> {
    match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => Ok(text.clone()),
            Value::Number(number, _) => Ok(number.to_string()),
            Value::Boolean(flag) => Ok(flag.to_string()),
            other => Err(Error::parse(format!("`{other}` is no option's value"))),
        },
        other => Err(Error::parse(format!("`{other}` is no literal"))),
    }
}

/// Reads a path or URL; a path is made absolute.
///
/// # Errors
/// `InvalidArgument` for what is neither.
pub fn location(text: &str) -> Result<Url> {
    if text.contains("://") {
        // The place of a file has neither a query nor a fragment: these are of its name, or of a pattern.
        let plain = text.replace('?', "%3F").replace('#', "%23");
        let url = Url::parse(&plain).map_err(|error| invalid(format!("`{text}` is no URL: {error}")))?;
        return Ok(canonical_location(&url));
    }
    let text = text.strip_prefix("file:").unwrap_or(text);
    let absolute =
        std::path::absolute(text).map_err(|error| invalid(format!("`{text}` is no path: {error}")))?;
    let url = if text.ends_with('/') {
        Url::from_directory_path(absolute)
    } else {
        Url::from_file_path(absolute)
    };
    url.map_err(|()| invalid(format!("`{text}` is no path")))
}

/// Makes the place of `path` below a folder. Its parts are names, whatever a URL would mean by them.
///
/// # Errors
/// `InvalidArgument` for a path that leads out of the folder.
pub(crate) fn below(folder: &Url, path: &str) -> Result<Url> {
    if path.split('/').any(|part| part == "..") {
        return Err(invalid(format!("`{path}` leads out of `{folder}`")));
    }
    let names = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    let names: Vec<String> = names
        .map(|name| utf8_percent_encode(name, NOT_IN_NAMES).to_string())
        .collect();
    let end = match path.ends_with('/') && !names.is_empty() {
        true => "/",
        false => "",
    };
    let mut place = folder.clone();
    let root = folder.path().trim_end_matches('/');
    place.set_path(&format!("{root}/{}{end}", names.join("/")));
    Ok(place)
}

/// Globs are written plainly; a URL has encoded them.
fn percent_decoded(url: &Url) -> String {
    match url.to_file_path() {
        Ok(path) if url.path().ends_with('/') => {
            format!("{}/", path.display().to_string().trim_end_matches('/'))
        }
        Ok(path) => path.display().to_string(),
        Err(()) => url.to_string(),
    }
}

/// Makes the error of an option or a path that cannot be.
pub(crate) fn invalid(message: String) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "INVALID_PARAMETER_VALUE",
        sqlstate: "22023",
        message,
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("a/b.csv", "s3://bucket/v/a/b.csv")]
    #[test_case("", "s3://bucket/v/"; "the folder")]
    #[test_case("a/", "s3://bucket/v/a/"; "a folder below")]
    #[test_case("a//./b", "s3://bucket/v/a/b"; "parts that say nothing")]
    #[test_case("%2e%2e/secret", "s3://bucket/v/%252e%252e/secret"; "what a URL takes for the folder above")]
    #[test_case("what?.csv", "s3://bucket/v/what%3F.csv"; "what a URL takes for a query")]
    #[test_case("no#1.csv", "s3://bucket/v/no%231.csv"; "what a URL takes for a fragment")]
    #[test_case(".\t./secret", "s3://bucket/v/.%09./secret"; "what a URL leaves out")]
    #[test_case("a\\..\\b", "s3://bucket/v/a%5C..%5Cb"; "what a URL takes for a slash")]
    #[test_case("a*[b]", "s3://bucket/v/a*[b]"; "a pattern")]
    fn a_path_stays_below_its_folder(path: &str, expected: &str) {
        let folder = Url::parse("s3://bucket/v/").expect("URL");
        assert_eq!(below(&folder, path).expect("place").as_str(), expected);
    }

    #[test_case("../secret")]
    #[test_case("a/../../secret")]
    fn a_path_does_not_leave_its_folder(path: &str) {
        let folder = Url::parse("s3://bucket/v/").expect("URL");
        below(&folder, path).expect_err("out of the folder");
    }

    #[test_case("s3://bucket/a?.csv", "a1.csv", true)]
    #[test_case("s3://bucket/a?.csv", "a12.csv", false)]
    #[test_case("s3://bucket/a#b*", "a#bc", true)]
    #[test_case("s3://bucket/a b*", "a bc", true)]
    fn a_pattern_is_that_of_the_names(path: &str, name: &str, expected: bool) {
        let listing = listing(&location(path).expect("URL")).expect("listing");
        assert_eq!(listing.get_url().as_str(), "s3://bucket/");
        let glob = listing.get_glob().as_ref().expect("a pattern");
        assert_eq!(glob.matches(name), expected);
    }
}
