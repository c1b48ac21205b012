//! `SET` and `RESET`: settings of Spark's that clients send.
//!
//! A setting that statements here act on is taken with any value that can be read. One that would change results is
//! taken only with the value under which results are what they are here; one that only tunes is kept and shown; an
//! unknown one is refused, so that nobody relies on what is not done.

use ingot_common::Kind;
use ingot_common::port::StatementResult;
use ingot_delta::CompressionCodec;

use super::cursor::Cursor;
use super::{Work, done, query_tags, text_rows, vacuum};
use crate::resources::STATEMENT_SECONDS_MAX;
use crate::session::{FILE_CACHE, STATEMENT_TIMEOUT, USE_CACHED_RESULT};
use crate::spark::{self, temporal::Zone};
use crate::{Error, Result, Session, dml, optimize, write};

/// Settings that change results, each with the values that say what is done here. Compared without case.
const FIXED: [(&str, &[&str]); 10] = [
    ("legacy_time_parser_policy", &["corrected", "exception"]),
    ("spark.sql.caseSensitive", &["false"]),
    ("spark.sql.crossJoin.enabled", &["true"]),
    ("spark.sql.legacy.timeParserPolicy", &["corrected", "exception"]),
    ("spark.sql.mapKeyDedupPolicy", &["exception"]),
    ("spark.sql.optimizer.collapseProjectAlwaysInline", &["false"]),
    ("spark.sql.parser.escapedStringLiterals", &["false"]),
    ("spark.sql.sources.default", &["delta"]),
    ("spark.sql.storeAssignmentPolicy", &["ansi"]),
    ("spark.sql.timestampType", &["timestamp_ltz"]),
];

/// The session's time zone, and what Databricks calls it.
pub(crate) const TIME_ZONE: &str = "spark.sql.session.timeZone";
const TIME_ZONE_ALIAS: &str = "timezone";

/// What becomes of values that do not fit, and what Databricks calls it.
pub(crate) const ANSI_MODE: &str = "spark.sql.ansi.enabled";
const ANSI_MODE_ALIAS: &str = "ansi_mode";

/// Whether joins are ordered by their estimated cost, rather than as a query names them.
pub(crate) const JOIN_REORDER: &str = "spark.sql.cbo.joinReorder.enabled";

/// The zone of a session that has set none, and `LOCAL`.
const DEFAULT_TIME_ZONE: &str = "UTC";

/// Settings that change no result: how work is spread, cached and shown, and what clients say of their statements.
const HARMLESS: [&str; 10] = [
    "enable_photon",
    "max_file_partition_bytes",
    "query_tags",
    "spark.app.name",
    "spark.databricks.optimizer.",
    "spark.job.description",
    "spark.sql.adaptive.",
    "spark.sql.autoBroadcastJoinThreshold",
    "spark.sql.files.",
    "spark.sql.shuffle.partitions",
];

const BOOLEAN: &str = "`true` or `false`";
const SHARE: &str = "a share from 0 to 1";

/// A setting that statements act on, how its value is read, and what it is expected to be.
type Known = (&'static str, fn(&str) -> bool, &'static str);

/// Settings that change what writes do.
const WRITES: [Known; 8] = [
    (
        "spark.databricks.delta.commitInfo.userMetadata",
        |_| true,
        "a text",
    ),
    (
        "spark.databricks.delta.optimizeWrite.enabled",
        is_boolean,
        BOOLEAN,
    ),
    (
        "spark.databricks.delta.schema.autoMerge.enabled",
        is_boolean,
        BOOLEAN,
    ),
    (
        "spark.databricks.delta.write.txnAppId",
        |value| !value.is_empty(),
        "a text that is not empty",
    ),
    (
        "spark.databricks.delta.write.txnVersion",
        |value| value.parse::<i64>().is_ok_and(|version| version >= 0),
        "a whole number from 0",
    ),
    (
        "spark.databricks.delta.write.txnVersion.autoReset.enabled",
        is_boolean,
        BOOLEAN,
    ),
    (
        "spark.sql.sources.partitionOverwriteMode",
        |value| {
            ["static", "dynamic"]
                .iter()
                .any(|mode| mode.eq_ignore_ascii_case(value))
        },
        "`static` or `dynamic`",
    ),
    (
        write::COMPRESSION_SETTING,
        |value| CompressionCodec::parse(value).is_some(),
        CompressionCodec::EXPECTED,
    ),
];

fn is_boolean(value: &str) -> bool {
    value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
}

fn is_share(value: &str) -> bool {
    let share = value.parse::<f64>();
    share.is_ok_and(|share| (0.0..=1.0).contains(&share))
}

/// Settings of how queries are planned.
const PLANS: [Known; 2] = [
    (ANSI_MODE, is_boolean, BOOLEAN),
    (JOIN_REORDER, is_boolean, BOOLEAN),
];

/// Settings of tables, of row-level changes and of maintenance.
const TABLES: [Known; 5] = [
    (write::DELETION_VECTORS_SETTING, is_boolean, BOOLEAN),
    (dml::DELETED_SHARE_SETTING, is_share, SHARE),
    (optimize::DELETED_SHARE, is_share, SHARE),
    (optimize::ZORDER_CHECK, is_boolean, BOOLEAN),
    (vacuum::RETENTION_CHECK, is_boolean, BOOLEAN),
];

/// Settings of any statement.
const STATEMENTS: [Known; 3] = [
    (
        STATEMENT_TIMEOUT,
        |text| {
            text.parse::<u64>()
                .is_ok_and(|seconds| seconds <= STATEMENT_SECONDS_MAX)
        },
        "seconds, from 0 to 172800",
    ),
    (FILE_CACHE, is_boolean, BOOLEAN),
    (USE_CACHED_RESULT, is_boolean, BOOLEAN),
];

/// Returns all settings that statements act on.
fn honoured() -> impl Iterator<Item = Known> {
    let size = |name| -> Known { (name, |text| text.parse::<u64>().is_ok(), "a number of bytes") };
    let sizes = optimize::SIZES.into_iter().map(size);
    let tables = TABLES.into_iter().chain(write::AUTO_COMPACT_SETTINGS);
    WRITES
        .into_iter()
        .chain(PLANS)
        .chain(tables)
        .chain(sizes)
        .chain(STATEMENTS)
}

/// What a statement changes of the settings of its session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingChange {
    Set {
        key: String,
        value: String,
    },
    /// Back to what a setting is without any SET; all of them without a key.
    Reset(Option<String>),
}

/// Returns what a statement, once it has run, has changed of the settings of its session: `None` for any that changes
/// none, as `SET VAR`, `SET TAG` and `SET key`.
///
/// A client of a service that remembers nothing between statements keeps the settings by it.
pub fn setting_change(statement: &str) -> Option<SettingChange> {
    let mut cursor = Cursor::new(statement).ok()?;
    if cursor.accept("RESET") {
        return reset_key(&mut cursor).ok().map(SettingChange::Reset);
    }
    if !cursor.accept("SET") {
        return None;
    }
    let other = [&["VAR"][..], &["VARIABLE"], &["TAG", "ON"]];
    if other.iter().any(|words| cursor.at_all(words)) {
        return None;
    }
    match Set::read(&mut cursor).ok()? {
        Set::Value { key, value } => Some(SettingChange::Set {
            key: named(&key).to_owned(),
            value,
        }),
        Set::Shown(_) => None,
    }
}

/// What stands after SET.
enum Set {
    Value {
        key: String,
        value: String,
    },
    /// A key, `-v`, or nothing.
    Shown(String),
}

impl Set {
    /// Takes what follows SET.
    fn read(cursor: &mut Cursor<'_>) -> Result<Self> {
        if cursor.accept_all(&["TIME", "ZONE"]) {
            let value = time_zone(cursor)?;
            let key = TIME_ZONE.to_owned();
            return Ok(Self::Value { key, value });
        }
        let text = cursor.statement_until(|_| false)?;
        cursor.end()?;
        Ok(match text.split_once('=') {
            Some((key, value)) => Self::Value {
                key: key.trim().trim_matches('`').to_owned(),
                value: unquoted(value.trim()).to_owned(),
            },
            None => Self::Shown(text.to_owned()),
        })
    }
}

/// Takes what follows RESET.
fn reset_key(cursor: &mut Cursor<'_>) -> Result<Option<String>> {
    let text = cursor.statement_until(|_| false)?;
    cursor.end()?;
    let key = named(text.trim_matches('`'));
    Ok((!key.is_empty()).then(|| key.to_owned()))
}

/// `SET`, `SET key`, `SET key = value`, `SET TIME ZONE zone`, `SET QUERY_TAGS`.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    if let Some(work) = query_tags::parse(session, cursor)? {
        return Ok(work);
    }
    let set = Set::read(cursor)?;
    Ok(Work::reads(async move {
        match set {
            Set::Value { key, value } => {
                set_setting(session, &key, &value)?;
                shown(&key, &value)
            }
            Set::Shown(asked) => show(session, &asked),
        }
    }))
}

/// `RESET`, `RESET key`: back to what is so without any `SET`.
pub(super) fn reset<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let key = reset_key(cursor)?;
    Ok(Work::reads(async move {
        let mut settings = session.settings();
        match key {
            None => settings.clear(),
            Some(key) => settings.retain(|known, _| !known.eq_ignore_ascii_case(&key)),
        }
        drop(settings);
        session.settings_changed()?;
        done()
    }))
}

/// Takes a setting for the session.
///
/// # Errors
/// `CONFIG_NOT_AVAILABLE` for a key that is unknown, or a value that cannot be.
pub(crate) fn set_setting(session: &Session, key: &str, value: &str) -> Result<()> {
    let key = named(key);
    if key == TIME_ZONE {
        return set_time_zone(session, value);
    }
    check(key, value)?;
    keep(session, key, value)
}

/// Says if a name without dots is that of a setting which is taken.
pub(crate) fn is_setting(key: &str) -> bool {
    let called = |name: &str| name.eq_ignore_ascii_case(key);
    named(key) != key
        || FIXED.iter().any(|(name, _)| called(name))
        || is_harmless(key)
        || honoured().any(|(name, ..)| called(name))
}

/// Returns the name of a setting, of those that have several.
fn named(key: &str) -> &str {
    const NAMES: [(&str, &str); 2] = [(TIME_ZONE, TIME_ZONE_ALIAS), (ANSI_MODE, ANSI_MODE_ALIAS)];
    let called = |name: &str| name.eq_ignore_ascii_case(key);
    let found = NAMES.iter().find(|(name, alias)| called(name) || called(alias));
    found.map_or(key, |(name, _)| *name)
}

fn keep(session: &Session, key: &str, value: &str) -> Result<()> {
    let mut settings = session.settings();
    settings.retain(|other, _| !other.eq_ignore_ascii_case(key));
    settings.insert(key.to_owned(), value.to_owned());
    drop(settings);
    session.settings_changed()
}

/// Reads what follows `TIME ZONE`: a name, `LOCAL`, or an interval that is the offset.
fn time_zone(cursor: &mut Cursor<'_>) -> Result<String> {
    if cursor.at_string() {
        let zone = cursor.string()?;
        cursor.end()?;
        return Ok(zone);
    }
    if cursor.accept("LOCAL") {
        cursor.end()?;
        return Ok(DEFAULT_TIME_ZONE.to_owned());
    }
    let (expression, text) = cursor.expression()?;
    cursor.end()?;
    spark::offset_of_interval(&expression).ok_or_else(|| {
        Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "INVALID_INTERVAL_FORMAT.TIMEZONE_INTERVAL_OUT_OF_RANGE",
            sqlstate: "22006",
            message: format!(
                "`{text}` is no time zone; it is a name in quotes, LOCAL, or an interval of hours, minutes and seconds \
                 within 18 hours"
            ),
        }
    })
}

/// Takes a zone for the session.
fn set_time_zone(session: &Session, zone: &str) -> Result<()> {
    if Zone::parse(zone).is_none() {
        return Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "INVALID_CONF_VALUE.TIME_ZONE",
            sqlstate: "22022",
            message: format!(
                "`{TIME_ZONE}` cannot be `{zone}`; it is a region, as `Europe/Berlin`, or an offset, as `+01:00`"
            ),
        });
    }
    keep(session, TIME_ZONE, zone)
}

fn shown(key: &str, value: &str) -> Result<StatementResult> {
    text_rows(&[("key", vec![key]), ("value", vec![value])])
}

/// Shows a setting, all that are set, or with `-v` all that may be.
fn show(session: &Session, rest: &str) -> Result<StatementResult> {
    let settings = session.settings();
    if rest.eq_ignore_ascii_case("-v") {
        return described(&settings);
    }
    if rest.is_empty() {
        let keys = settings.keys().map(String::as_str);
        let values = settings.values().map(String::as_str);
        return text_rows(&[("key", keys.collect()), ("value", values.collect())]);
    }
    let key = rest.trim_matches('`');
    let key_of_value = named(key);
    let value = settings.get(key_of_value).map(String::as_str);
    shown(key, value.unwrap_or_else(|| unset(key_of_value)))
}

/// Returns what a setting is that nobody has set.
fn unset(key: &str) -> &'static str {
    match key {
        TIME_ZONE => DEFAULT_TIME_ZONE,
        ANSI_MODE => "true",
        _ => "<undefined>",
    }
}

/// `SET -v`: what may be set, with what it is set to and what it may be.
fn described(settings: &std::collections::BTreeMap<String, String>) -> Result<StatementResult> {
    let fixed = FIXED
        .iter()
        .map(|(name, values)| (*name, format!("only {}", values.join(" or "))));
    let honoured = honoured().map(|(name, _, expected)| (name, expected.to_owned()));
    let harmless = HARMLESS
        .iter()
        .map(|name| (*name, "changes no result".to_owned()));
    let mut known: Vec<(&str, String)> = fixed.chain(honoured).chain(harmless).collect();
    known.push((TIME_ZONE, "a time zone".to_owned()));
    known.sort();
    let value = |name: &str| settings.get(name).map_or_else(|| unset(name), String::as_str);
    text_rows(&[
        ("key", known.iter().map(|(name, _)| *name).collect()),
        ("value", known.iter().map(|(name, _)| value(name)).collect()),
        (
            "meaning",
            known.iter().map(|(_, meaning)| meaning.as_str()).collect(),
        ),
        ("Since version", vec![""; known.len()]),
    ])
}

fn unquoted(value: &str) -> &str {
    let quoted = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    quoted('\'').or_else(|| quoted('"')).unwrap_or(value)
}

/// Says if a setting changes no result.
pub(crate) fn is_harmless(key: &str) -> bool {
    HARMLESS.iter().any(|known| {
        let start = match known.ends_with('.') {
            true => key.get(..known.len()),
            false => Some(key),
        };
        start.is_some_and(|start| start.eq_ignore_ascii_case(known))
    })
}

/// Refuses a setting that would have to change what statements do.
fn check(key: &str, value: &str) -> Result<()> {
    let fixed = FIXED.iter().find(|(known, _)| known.eq_ignore_ascii_case(key));
    if let Some((known, values)) = fixed {
        if values.iter().any(|taken| taken.eq_ignore_ascii_case(value)) {
            return Ok(());
        }
        return Err(refused(
            Kind::Unsupported,
            format!(
                "`{known}` = `{value}` is not supported; it is {} here",
                values.first().copied().unwrap_or_default()
            ),
        ));
    }
    if let Some((known, takes, expected)) = honoured().find(|(known, ..)| known.eq_ignore_ascii_case(key)) {
        return match takes(value) {
            true => Ok(()),
            false => Err(refused(
                Kind::InvalidArgument,
                format!("`{known}` cannot be `{value}`; expected {expected}"),
            )),
        };
    }
    match is_harmless(key) {
        true => Ok(()),
        false => Err(refused(
            Kind::InvalidArgument,
            format!("configuration `{key}` is not available"),
        )),
    }
}

fn refused(kind: Kind, message: String) -> Error {
    Error::Condition {
        kind,
        condition: "CONFIG_NOT_AVAILABLE",
        sqlstate: "42K0I",
        message,
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("ANSI_mode", true)]
    #[test_case("timezone", true)]
    #[test_case("enable_photon", true)]
    #[test_case("x", false)]
    fn some_settings_have_plain_names(key: &str, expected: bool) {
        assert_eq!(is_setting(key), expected);
    }

    #[test_case("spark.sql.sources.partitionOverwriteMode", "STATIC", true)]
    #[test_case("spark.sql.sources.partitionOverwriteMode", "dynamic", true)]
    #[test_case("spark.sql.sources.partitionOverwriteMode", "sometimes", false)]
    #[test_case("spark.databricks.delta.write.txnVersion", "-1", false)]
    #[test_case("SPARK.SQL.ANSI.ENABLED", "FALSE", true)]
    #[test_case("spark.sql.ansi.enabled", "off", false)]
    #[test_case("spark.sql.storeAssignmentPolicy", "legacy", false)]
    #[test_case("spark.sql.adaptive.coalescePartitions.enabled", "true", true)]
    #[test_case("spark.sql.adaptive", "true", false; "only what is below a prefix")]
    #[test_case("spark.databricks.delta.optimize.maxFileSize", "1048576", true)]
    #[test_case("spark.databricks.delta.optimize.maxDeletedRowsRatio", "1.5", false)]
    #[test_case("no.such.setting", "1", false)]
    fn a_setting_is_taken_or_refused(key: &str, value: &str, taken: bool) {
        assert_eq!(check(key, value).is_ok(), taken);
    }
}
