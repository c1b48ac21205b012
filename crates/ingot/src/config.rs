//! The configuration: plain data, from one TOML file, the environment and flags.
//!
//! ```text
//! default.toml ◄─ file of --config ◄─ INGOT__SECTION__KEY ◄─ flags
//! ```
//! `default.toml` is the list of all keys: a key that it lacks is refused with the nearest one that exists, and
//! a value must have the type of its default. The section `stores` alone has sections of its own, whose names and keys
//! are the object stores'. What always holds: a [`Config`] is complete and each value was
//! checked, so nobody who reads it checks again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ingot_delta::StoreSettings;
use serde::Deserialize;
use toml::{Table, Value};

/// Every key with its default and its meaning.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

const ENVIRONMENT_PREFIX: &str = "INGOT__";
/// The section whose sections are named by URLs.
const STORES: &str = "stores";
/// A suggestion below this similarity (0 to 1) confuses more than it helps.
const SIMILARITY_MIN: f64 = 0.6;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("failed to read configuration path=`{path}`")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("configuration of {origin} is not TOML")]
    Syntax {
        origin: String,
        #[source]
        source: Box<toml::de::Error>,
    },
    #[error("unknown key=`{key}` in {origin}{}", suggestion(.nearest.as_deref()))]
    UnknownKey {
        key: String,
        origin: String,
        nearest: Option<String>,
    },
    #[error("key=`{key}` in {origin} is {found}, expected {expected}")]
    WrongType {
        key: String,
        origin: String,
        expected: &'static str,
        found: String,
    },
    #[error("key=`{key}` has value=`{value}`, expected {expected}")]
    WrongValue {
        key: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error("section=`stores` cannot be used")]
    Stores {
        #[source]
        source: ingot_delta::Error,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |key| format!("; did you mean `{key}`?"))
}

/// All settings.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub server: ServerConfig,
    pub api: ApiConfig,
    pub data: DataConfig,
    pub engine: EngineConfig,
    pub delta: DeltaConfig,
    pub stores: BTreeMap<String, BTreeMap<String, String>>,
    pub history: HistoryConfig,
    pub pipelines: PipelinesConfig,
    pub log: LogConfig,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    pub listen: SocketAddr,
    pub development: bool,
    pub tls: bool,
    /// Empty: a development authority signs one.
    pub tls_certificate: PathBuf,
    pub tls_key: PathBuf,
    pub tls_names: Vec<String>,
    pub connections_max: usize,
    pub body_bytes_max: usize,
    pub stall_seconds_max: u64,
    pub drain_seconds_max: u64,
    pub result_bytes_max: u64,
}

/// `[api]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiConfig {
    pub answer_rows_max: usize,
    pub answer_bytes_max: usize,
    pub page_rows_max: usize,
    pub requests_max: usize,
    pub requests_per_minute_max: u32,
}

/// `[data]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    pub directory: PathBuf,
    /// Empty: below the data directory.
    pub tables: String,
    pub purge_interval_seconds: u64,
}

/// `[engine]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineConfig {
    pub memory_bytes_max: usize,
    pub target_partitions: usize,
    /// Empty: below the data directory.
    pub spill_directory: PathBuf,
    pub statements_max: usize,
    pub statements_queued_max: usize,
    pub statement_queue_seconds_max: u64,
    pub statement_seconds_max: u64,
    pub result_cache_bytes_max: usize,
    pub file_cache_bytes_max: u64,
    /// Empty: below the data directory.
    pub file_cache_directory: PathBuf,
}

/// `[delta]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeltaConfig {
    pub checkpoint_interval: u64,
    pub commit_retries_max: u32,
    pub deletion_vectors: bool,
}

/// `[history]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryConfig {
    pub days_max: u32,
    pub bytes_max: u64,
    pub profiles_max: usize,
}

/// `[pipelines]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipelinesConfig {
    pub projects: Vec<PathBuf>,
    pub restart_pause_seconds_max: u64,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    pub level: String,
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// Values from the command line: dotted key, value.
pub type Flags = Vec<(&'static str, Value)>;

impl Config {
    /// Reads the file at `path` (if any) over the defaults, then the process's environment, then `flags`.
    ///
    /// # Errors
    /// A file that cannot be read or parsed, an unknown key, a value of the wrong type or out of range.
    pub fn load(path: Option<&Path>, flags: Flags) -> Result<Self, ConfigError> {
        let file = match path {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
                    path: path.to_owned(),
                    source,
                })?;
                Some((path.display().to_string(), text))
            }
            None => None,
        };
        // Names that are not UTF-8 cannot be ours.
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        });
        Self::from_layers(file, environment, flags)
    }

    /// Merges the layers and checks the outcome. Reads nothing itself.
    fn from_layers(
        file: Option<(String, String)>,
        environment: impl Iterator<Item = (String, String)>,
        flags: Flags,
    ) -> Result<Self, ConfigError> {
        let mut settings = parse("default.toml", DEFAULT_TOML)?;
        if let Some((origin, text)) = file {
            merge_file(&mut settings, &origin, parse(&origin, &text)?)?;
        }
        for (name, text) in environment {
            if let Some(key) = name.strip_prefix(ENVIRONMENT_PREFIX) {
                let key = key.to_lowercase().replace("__", ".");
                merge_text(&mut settings, &name, &key, &text)?;
            }
        }
        for (key, value) in flags {
            set(&mut settings, "flags", key, value)?;
        }
        check_values(&settings)?;
        let config: Self = Value::Table(settings)
            .try_into()
            .map_err(|source| ConfigError::Syntax {
                origin: "all layers".to_owned(),
                source: Box::new(source),
            })?;
        config.store_settings()?;
        Ok(config)
    }

    /// Returns how object stores are reached.
    ///
    /// # Errors
    /// A section that is no store's URL, or a key that its store does not know; a loaded configuration has neither.
    pub fn store_settings(&self) -> Result<StoreSettings, ConfigError> {
        StoreSettings::new(self.stores.clone()).map_err(|source| ConfigError::Stores { source })
    }
}

fn parse(origin: &str, text: &str) -> Result<Table, ConfigError> {
    text.parse::<Table>().map_err(|source| ConfigError::Syntax {
        origin: origin.to_owned(),
        source: Box::new(source),
    })
}

fn merge_file(settings: &mut Table, origin: &str, file: Table) -> Result<(), ConfigError> {
    for (section, values) in file {
        let Value::Table(values) = values else {
            // A key above the first section: name the section it belongs to, if there is one.
            return Err(unknown_key(settings, origin, &section));
        };
        if section == STORES {
            merge_stores(settings, origin, values)?;
            continue;
        }
        for (name, value) in values {
            set(settings, origin, &format!("{section}.{name}"), value)?;
        }
    }
    Ok(())
}

/// Takes the sections of `stores` as they are; values may be written as what they are.
fn merge_stores(settings: &mut Table, origin: &str, stores: Table) -> Result<(), ConfigError> {
    let wrong_type = |key: String, expected, found: &Value| ConfigError::WrongType {
        key,
        origin: origin.to_owned(),
        expected,
        found: type_name(found).to_owned(),
    };
    for (store, values) in stores {
        let Value::Table(values) = values else {
            return Err(wrong_type(format!("{STORES}.{store}"), "a section", &values));
        };
        let mut texts = Table::new();
        for (key, value) in values {
            let text = match value {
                Value::String(text) => text,
                Value::Boolean(flag) => flag.to_string(),
                Value::Integer(number) => number.to_string(),
                other => return Err(wrong_type(format!("{STORES}.{store}.{key}"), "a string", &other)),
            };
            texts.insert(key, Value::String(text));
        }
        if let Some(Value::Table(known)) = settings.get_mut(STORES) {
            known.insert(store, Value::Table(texts));
        }
    }
    Ok(())
}

/// Reads `text` as the type of the key's default.
fn merge_text(settings: &mut Table, origin: &str, key: &str, text: &str) -> Result<(), ConfigError> {
    let wrong_type = |expected| ConfigError::WrongType {
        key: key.to_owned(),
        origin: origin.to_owned(),
        expected,
        found: format!("`{text}`"),
    };
    let Some(default) = lookup(settings, key) else {
        return Err(unknown_key(settings, origin, key));
    };
    let value = match default {
        Value::String(_) => Value::String(text.to_owned()),
        Value::Integer(_) => Value::Integer(text.parse().map_err(|_| wrong_type("an integer"))?),
        Value::Boolean(_) => Value::Boolean(text.parse().map_err(|_| wrong_type("true or false"))?),
        Value::Array(_) => Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Value::String(item.to_owned()))
                .collect(),
        ),
        other => return Err(wrong_type(type_name(other))),
    };
    set(settings, origin, key, value)
}

fn set(settings: &mut Table, origin: &str, key: &str, value: Value) -> Result<(), ConfigError> {
    let Some(default) = lookup(settings, key) else {
        return Err(unknown_key(settings, origin, key));
    };
    if !default.same_type(&value) {
        return Err(ConfigError::WrongType {
            key: key.to_owned(),
            origin: origin.to_owned(),
            expected: type_name(default),
            found: type_name(&value).to_owned(),
        });
    }
    if let Value::Array(items) = &value
        && let Some(item) = items.iter().find(|item| !item.is_str())
    {
        return Err(ConfigError::WrongType {
            key: key.to_owned(),
            origin: origin.to_owned(),
            expected: "an array of strings",
            found: format!("an array with {}", type_name(item)),
        });
    }
    if let Some((section, name)) = key.split_once('.')
        && let Some(Value::Table(values)) = settings.get_mut(section)
    {
        values.insert(name.to_owned(), value);
    }
    Ok(())
}

fn lookup<'a>(settings: &'a Table, key: &str) -> Option<&'a Value> {
    let (section, name) = key.split_once('.')?;
    settings.get(section)?.as_table()?.get(name)
}

fn unknown_key(settings: &Table, origin: &str, key: &str) -> ConfigError {
    let known = settings.iter().flat_map(|(section, values)| {
        let names = values.as_table().into_iter().flat_map(Table::keys);
        names.map(move |name| format!("{section}.{name}"))
    });
    // A key in the wrong section, or in none, is most likely the key of that name elsewhere.
    let bare = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let similarity = |known: &str| {
        let whole = strsim::jaro_winkler(known, key);
        let name = strsim::jaro_winkler(&bare(known), &bare(key));
        whole.max(name * 0.98)
    };
    let nearest = known
        .map(|known| (similarity(&known), known))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known);
    ConfigError::UnknownKey {
        key: key.to_owned(),
        origin: origin.to_owned(),
        nearest,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a float",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "an array of strings",
        Value::Table(_) => "a section",
    }
}

/// Checks what a type alone does not say.
fn check_values(settings: &Table) -> Result<(), ConfigError> {
    let wrong = |key: &'static str, expected: &'static str| ConfigError::WrongValue {
        key,
        value: lookup(settings, key).map_or_else(String::new, |value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }),
        expected,
    };
    let text = |key: &str| lookup(settings, key).and_then(Value::as_str).unwrap_or_default();
    let Ok(listen) = text("server.listen").parse::<SocketAddr>() else {
        return Err(wrong("server.listen", "HOST:PORT with a numeric host"));
    };
    let development = lookup(settings, "server.development").and_then(Value::as_bool) == Some(true);
    if development && !listen.ip().is_loopback() {
        return Err(wrong(
            "server.listen",
            "a loopback address, because server.development is on",
        ));
    }
    let tls = lookup(settings, "server.tls").and_then(Value::as_bool) == Some(true);
    let (certificate, key) = (text("server.tls_certificate"), text("server.tls_key"));
    if certificate.is_empty() != key.is_empty() {
        let missing = match key.is_empty() {
            true => "server.tls_key",
            false => "server.tls_certificate",
        };
        return Err(wrong(
            missing,
            "a PEM file, because the other half of the pair is given",
        ));
    }
    if !certificate.is_empty() && !tls {
        return Err(wrong(
            "server.tls",
            "true, because server.tls_certificate is given",
        ));
    }
    if text("data.directory").is_empty() {
        return Err(wrong("data.directory", "a path"));
    }
    let tables = text("data.tables");
    if !tables.is_empty() && !url::Url::parse(tables).is_ok_and(|url| !url.cannot_be_a_base()) {
        return Err(wrong("data.tables", "a URL such as `s3://bucket/tables/`"));
    }
    if !matches!(text("log.format"), "text" | "json") {
        return Err(wrong("log.format", "`text` or `json`"));
    }
    if text("log.level")
        .parse::<tracing_subscriber::EnvFilter>()
        .is_err()
    {
        return Err(wrong("log.level", "a level or directives of levels"));
    }
    let ranges: [(&'static str, i64, i64, &'static str); 25] = [
        ("server.connections_max", 1, 1_000_000, "1 to 1000000"),
        ("api.answer_rows_max", 0, i64::MAX, "at least 0"),
        ("api.answer_bytes_max", 0, i64::MAX, "at least 0"),
        ("api.page_rows_max", 1, 1_000_000, "1 to 1000000"),
        ("api.requests_max", 0, 1_000_000, "0 to 1000000"),
        ("api.requests_per_minute_max", 0, 60_000_000, "0 to 60000000"),
        ("engine.statements_max", 0, 100_000, "0 to 100000"),
        ("engine.statements_queued_max", 0, 1_000_000, "0 to 1000000"),
        ("engine.statement_queue_seconds_max", 0, 86_400, "0 to 86400"),
        ("engine.statement_seconds_max", 0, 172_800, "0 to 172800"),
        ("engine.result_cache_bytes_max", 0, i64::MAX, "at least 0"),
        ("engine.file_cache_bytes_max", 0, i64::MAX, "at least 0"),
        ("server.body_bytes_max", 1, i64::MAX, "at least 1"),
        ("server.stall_seconds_max", 1, 86_400, "1 to 86400"),
        ("server.drain_seconds_max", 0, 86_400, "0 to 86400"),
        ("server.result_bytes_max", 0, i64::MAX, "at least 0"),
        ("data.purge_interval_seconds", 1, i64::MAX, "at least 1"),
        (
            "engine.memory_bytes_max",
            1 << 26,
            i64::MAX,
            "at least 67108864 (64 MiB)",
        ),
        ("engine.target_partitions", 0, 4096, "0 to 4096"),
        ("delta.checkpoint_interval", 1, i64::MAX, "at least 1"),
        ("delta.commit_retries_max", 0, 10_000, "0 to 10000"),
        ("history.days_max", 1, 36_500, "1 to 36500"),
        ("history.bytes_max", 1 << 20, i64::MAX, "at least 1048576 (1 MiB)"),
        ("history.profiles_max", 0, 100_000, "0 to 100000"),
        ("pipelines.restart_pause_seconds_max", 1, 86_400, "1 to 86400"),
    ];
    for (key, least, most, expected) in ranges {
        let value = lookup(settings, key).and_then(Value::as_integer).unwrap_or(least);
        if !(least..=most).contains(&value) {
            return Err(wrong(key, expected));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    fn load(file: &str, environment: &[(&str, &str)], flags: Flags) -> Result<Config, ConfigError> {
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::from_layers(
            Some(("test.toml".to_owned(), file.to_owned())),
            environment,
            flags,
        )
    }

    #[test]
    fn defaults_are_complete() {
        let config = load("", &[], vec![]).expect("defaults are valid");
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.delta.checkpoint_interval, 10);
        assert_eq!(config.log.format, LogFormat::Text);
    }

    #[test]
    fn later_layers_win() {
        let file =
            "[server]\nlisten = \"127.0.0.1:1\"\n[delta]\ncheckpoint_interval = 3\n[log]\nlevel = \"warn\"";
        let environment = [
            ("INGOT__SERVER__LISTEN", "127.0.0.1:2"),
            ("INGOT__LOG__LEVEL", "debug"),
            ("INGOT__PIPELINES__PROJECTS", "a, b"),
            ("PATH", "/bin"),
        ];
        let flags = vec![("server.listen", Value::String("127.0.0.1:3".to_owned()))];
        let config = load(file, &environment, flags).expect("valid");
        assert_eq!(config.server.listen.port(), 3);
        assert_eq!(config.log.level, "debug");
        assert_eq!(config.delta.checkpoint_interval, 3);
        assert_eq!(
            config.pipelines.projects,
            [PathBuf::from("a"), PathBuf::from("b")]
        );
    }

    #[test_case(
        "[server]\nlistn = \"x\"",
        "unknown key=`server.listn` in test.toml; did you mean `server.listen`?"
    )]
    #[test_case(
        "[data]\nlisten = \"x\"",
        "unknown key=`data.listen` in test.toml; did you mean `server.listen`?"
    )]
    #[test_case(
        "directory = \"x\"",
        "unknown key=`directory` in test.toml; did you mean `data.directory`?"
    )]
    #[test_case("[sever]\nlisten = \"x\"", "did you mean `server.listen`?")]
    #[test_case("[xyz]\nqqq = 1", "unknown key=`xyz.qqq` in test.toml")]
    #[test_case(
        "[delta]\ncheckpoint_interval = \"10\"",
        "key=`delta.checkpoint_interval` in test.toml is a string, expected an integer"
    )]
    #[test_case(
        "[pipelines]\nprojects = [1]",
        "is an array with an integer, expected an array of strings"
    )]
    #[test_case(
        "[delta]\ncheckpoint_interval = 0",
        "key=`delta.checkpoint_interval` has value=`0`, expected at least 1"
    )]
    #[test_case(
        "[server]\nlisten = \"localhost\"",
        "key=`server.listen` has value=`localhost`, expected HOST:PORT"
    )]
    #[test_case(
        "[server]\nlisten = \"0.0.0.0:80\"\ndevelopment = true",
        "expected a loopback address"
    )]
    #[test_case(
        "[log]\nformat = \"xml\"",
        "key=`log.format` has value=`xml`, expected `text` or `json`"
    )]
    #[test_case(
        "[stores.\"s3://b\"]\nendpoint = [\"x\"]",
        "key=`stores.s3://b.endpoint` in test.toml is an array of strings, expected a string"
    )]
    #[test_case(
        "[stores]\nregion = \"x\"",
        "key=`stores.region` in test.toml is a string, expected a section"
    )]
    #[test_case("[stores.\"s4://\"]\nregion = \"x\"", "section=`stores` cannot be used")]
    #[test_case(
        "[data]\ntables = \"bucket/tables\"",
        "key=`data.tables` has value=`bucket/tables`, expected a URL"
    )]
    #[test_case("[server", "configuration of test.toml is not TOML")]
    fn wrong_files_are_named(file: &str, message: &str) {
        let error = load(file, &[], vec![]).expect_err("wrong configuration");
        assert!(error.to_string().contains(message), "{error}");
    }

    #[test]
    fn stores_have_sections_of_their_own() {
        let file = "[data]\ntables = \"s3://b/tables\"\n[stores.\"s3://\"]\nregion = \"eu-west-1\"\npath_style = true\n\
                    [stores.\"s3://b\"]\nendpoint = \"http://127.0.0.1:9000\"";
        let config = load(file, &[], vec![]).expect("valid");
        assert_eq!(config.stores["s3://"]["path_style"], "true");
        assert_eq!(config.stores["s3://b"]["endpoint"], "http://127.0.0.1:9000");
        assert_eq!(config.data.tables, "s3://b/tables");
    }

    #[test_case(
        "INGOT__DELTA__CHECKPOINT_INTERVAL",
        "ten",
        "key=`delta.checkpoint_interval` in INGOT__DELTA__CHECKPOINT_INTERVAL is `ten`, expected an integer"
    )]
    #[test_case("INGOT__SERVER__DEVELOPMENT", "yes", "expected true or false")]
    #[test_case("INGOT__SERVER__LISTN", "x", "did you mean `server.listen`?")]
    fn wrong_environment_is_named(name: &str, value: &str, message: &str) {
        let error = load("", &[(name, value)], vec![]).expect_err("wrong environment");
        assert!(error.to_string().contains(message), "{error}");
    }

    #[test]
    fn every_key_is_explained() {
        let mut explained = false;
        for line in DEFAULT_TOML.lines() {
            if line.contains(" = ") && !line.starts_with('#') {
                assert!(explained, "key without a sentence above it: {line}");
            }
            explained = line.starts_with('#');
        }
    }
}
