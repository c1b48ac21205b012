//! What a write is to do, by the names that Spark's writers, `SET` and table properties give it.
//!
//! ```text
//! option of the write ─► else setting of the session ─► else property of the table ─► else the default
//! ```
//! Source: Delta, `DeltaOptions`; Databricks, "Selectively overwrite data", "Idempotent table writes".

use std::collections::BTreeMap;

use ingot_common::Kind;
use ingot_delta::{CompressionCodec, DeltaTable, Snapshot, Transaction};
use strsim::jaro_winkler;

use crate::{Error, Result, Session};

/// What becomes of the rows that are there. Source: Spark, `SaveMode`; Delta, `replaceWhere`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteMode {
    /// They stay.
    Append,
    /// All go.
    Overwrite,
    /// Those that match the predicate go; new ones that do not match are refused.
    ReplaceWhere(String),
    /// Those of the partitions that new rows fall into go. All, if the table has no partitions.
    OverwritePartitions,
    /// Those that have the values of a new row in these columns go; null is no value.
    ReplaceUsing(Vec<String>),
    /// Those that meet a new row under the condition go. An empty alias names nothing.
    ReplaceOn {
        condition: String,
        table_alias: String,
        rows_alias: String,
    },
}

/// What becomes of the table's columns when the rows have others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaEvolution {
    /// The write is refused.
    None,
    /// The table gets those that it lacks. Source: Delta, `mergeSchema`.
    Merge,
    /// The table gets the rows' columns in place of its own. Source: Delta, `overwriteSchema`.
    Overwrite,
}

/// How the columns of rows find the table's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnMatch {
    /// The first is the first; so are fields of structs.
    Position,
    /// By name, in any case; so are fields of structs. Those that the rows lack get the value that is missing.
    Name,
    /// The first is the first of this list, whose names are the table's in any case; fields of structs go by
    /// position.
    Listed(Vec<String>),
}

/// How a write is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteOptions {
    pub mode: WriteMode,
    pub evolution: SchemaEvolution,
    /// Makes the write idempotent: a table that has this version of the application, or a newer one, is left as it is.
    pub app_transaction: Option<(String, i64)>,
    /// The commit's `userMetadata`.
    pub user_metadata: Option<String>,
    /// Compressed bytes of a file; as the table has it when `None`.
    pub file_bytes_target: Option<u64>,
    /// How files are compressed; as the session, or else the table, has it when `None`.
    pub compression: Option<CompressionCodec>,
    /// Gathers the rows of a partition into few files; as the session and the table have it when `None`.
    pub optimize_write: Option<bool>,
    /// `dataChange` of the files: `false` says that the rows are those that are there, differently laid out.
    pub data_change: bool,
}

impl WriteOptions {
    /// Makes the options of a write in `mode` that changes nothing else.
    pub fn new(mode: WriteMode) -> Self {
        Self {
            mode,
            evolution: SchemaEvolution::None,
            app_transaction: None,
            user_metadata: None,
            file_bytes_target: None,
            compression: None,
            optimize_write: None,
            data_change: true,
        }
    }

    /// Makes the options of a write in `mode` as the session's settings have them.
    pub fn of_session(session: &Session, mode: WriteMode) -> Result<Self> {
        let commit = CommitSettings::of_session(session)?;
        let merge = flag_setting(session, "spark.databricks.delta.schema.autoMerge.enabled")?;
        let evolution = match merge {
            Some(true) => SchemaEvolution::Merge,
            _ => SchemaEvolution::None,
        };
        Ok(Self {
            evolution,
            app_transaction: commit.app_transaction,
            user_metadata: commit.user_metadata,
            optimize_write: flag_setting(session, "spark.databricks.delta.optimizeWrite.enabled")?,
            ..Self::new(mode)
        })
    }

    /// Makes the options of a DataFrame's write: of `mode`, which is append or overwrite, by the writer's options,
    /// whose names are compared without case; what they do not say is as the session has it.
    ///
    /// # Errors
    /// `InvalidArgument` for an unknown option, naming the nearest; for a value that does not fit; and for options
    /// that contradict each other or the mode.
    pub fn from_map(session: &Session, mode: WriteMode, options: &BTreeMap<String, String>) -> Result<Self> {
        let given = Given::new(options)?;
        let mode = given.mode(session, mode)?;
        let mut made = Self::of_session(session, mode)?;
        made.evolution = given.evolution(made.evolution)?;
        if made.evolution == SchemaEvolution::Overwrite && made.mode != WriteMode::Overwrite {
            return Err(Error::Condition {
                kind: Kind::InvalidArgument,
                condition: "DELTA_OVERWRITE_SCHEMA_WITH_DYNAMIC_PARTITION_OVERWRITE",
                sqlstate: "42613",
                message: "`overwriteSchema` needs a write that overwrites the whole table: without `replaceWhere` and \
                          not by partition"
                    .to_owned(),
            });
        }
        made.app_transaction = given.app_transaction()?.or(made.app_transaction);
        made.user_metadata = given.text("userMetadata").or(made.user_metadata);
        made.optimize_write = given.flag("optimizeWrite")?.or(made.optimize_write);
        made.file_bytes_target = given.bytes("targetFileSize")?;
        made.compression = given.compression()?;
        made.data_change = given.flag("dataChange")?.unwrap_or(true);
        Ok(made)
    }

    /// Returns the mode of an overwrite that says nothing else: by partition if the session says so.
    pub fn overwrite(session: &Session) -> Result<WriteMode> {
        match session.setting("spark.sql.sources.partitionOverwriteMode") {
            Some(mode) => overwrite_mode(&mode),
            None => Ok(WriteMode::Overwrite),
        }
    }

    pub(super) fn optimizes(&self, snapshot: &Snapshot) -> bool {
        let property = snapshot.properties().get("delta.autoOptimize.optimizeWrite");
        let property = || property.is_some_and(|value| value.eq_ignore_ascii_case("true"));
        self.optimize_write.unwrap_or_else(property)
    }
}

/// What a session says about every commit that it makes. Source: Databricks, "Idempotent table writes", "Enrich
/// tables with custom metadata".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommitSettings {
    pub app_transaction: Option<(String, i64)>,
    pub user_metadata: Option<String>,
}

impl CommitSettings {
    /// Reads `spark.databricks.delta.write.txnAppId` and `txnVersion`, and
    /// `spark.databricks.delta.commitInfo.userMetadata`.
    ///
    /// # Errors
    /// `InvalidArgument` where only one of the former two is set, or the version is no number.
    pub fn of_session(session: &Session) -> Result<Self> {
        let app_id = session.setting(TXN_APP_ID);
        let version = session.setting(TXN_VERSION);
        Ok(Self {
            app_transaction: app_transaction(app_id, version)?,
            user_metadata: session.author().user_metadata,
        })
    }

    /// Says if the table has the application's version, or a newer one; it is on disk then.
    pub async fn applied_to(&self, table: &DeltaTable, snapshot: &Snapshot) -> Result<bool> {
        let Some((app_id, ours)) = &self.app_transaction else {
            return Ok(false);
        };
        let theirs = snapshot.app_transaction(app_id).await?;
        let applied = theirs.is_some_and(|theirs| theirs >= *ours);
        if applied {
            table.settle_log().await?;
        }
        Ok(applied)
    }

    /// Puts them into a commit.
    pub fn apply(&self, transaction: &mut Transaction) {
        if let Some((app_id, version)) = &self.app_transaction {
            transaction.set_app_transaction(app_id.clone(), *version);
        }
        if let Some(text) = &self.user_metadata {
            transaction.set_user_metadata(text.clone());
        }
    }

    /// Forgets the session's version after a write that used it, where the session says so.
    pub fn after_write(session: &Session) -> Result<()> {
        if flag_setting(session, TXN_VERSION_RESET)? == Some(true) {
            let mut settings = session.settings();
            settings.retain(|key, _| !key.eq_ignore_ascii_case(TXN_VERSION));
        }
        Ok(())
    }
}

const TXN_APP_ID: &str = "spark.databricks.delta.write.txnAppId";
const TXN_VERSION: &str = "spark.databricks.delta.write.txnVersion";
const TXN_VERSION_RESET: &str = "spark.databricks.delta.write.txnVersion.autoReset.enabled";

/// The options of a DataFrame's writer.
const OPTIONS: [&str; 11] = [
    "compression",
    "dataChange",
    "mergeSchema",
    "optimizeWrite",
    "overwriteSchema",
    "partitionOverwriteMode",
    "replaceWhere",
    "targetFileSize",
    "txnAppId",
    "txnVersion",
    "userMetadata",
];

/// Options that are known by name.
struct Given<'a>(&'a BTreeMap<String, String>);

impl<'a> Given<'a> {
    fn new(options: &'a BTreeMap<String, String>) -> Result<Self> {
        let known = |name: &str| OPTIONS.iter().any(|option| option.eq_ignore_ascii_case(name));
        match options.keys().find(|name| !known(name)) {
            None => Ok(Self(options)),
            Some(unknown) => Err(invalid(format!(
                "a write has no option `{unknown}`; the nearest known is `{}`",
                nearest(unknown, &OPTIONS)
            ))),
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        let mut options = self.0.iter();
        let found = options.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    }

    fn flag(&self, name: &str) -> Result<Option<bool>> {
        self.text(name).map(|value| boolean(name, &value)).transpose()
    }

    fn bytes(&self, name: &str) -> Result<Option<u64>> {
        let text = self.text(name);
        text.map(|text| {
            ingot_delta::parse_bytes(&text).ok_or_else(|| {
                invalid(format!(
                    "option `{name}` is bytes above 0, or a number with `k`, `m` or `g`, not `{text}`"
                ))
            })
        })
        .transpose()
    }

    fn compression(&self) -> Result<Option<CompressionCodec>> {
        let text = self.text("compression");
        text.map(|text| {
            CompressionCodec::parse(&text).ok_or_else(|| {
                let expected = CompressionCodec::EXPECTED;
                invalid(format!("option `compression` is {expected}, not `{text}`"))
            })
        })
        .transpose()
    }

    fn mode(&self, session: &Session, mode: WriteMode) -> Result<WriteMode> {
        let predicate = self.text("replaceWhere");
        let by_partition = self.text("partitionOverwriteMode");
        match (mode, predicate, by_partition) {
            (WriteMode::Overwrite, Some(predicate), Some(by_partition))
                if overwrite_mode(&by_partition)? == WriteMode::OverwritePartitions =>
            {
                Err(Error::Condition {
                    kind: Kind::InvalidArgument,
                    condition: "DELTA_REPLACE_WHERE_WITH_DYNAMIC_PARTITION_OVERWRITE",
                    sqlstate: "42613",
                    message: format!(
                        "a write replaces where `{predicate}`, or by partition (`partitionOverwriteMode`), not both"
                    ),
                })
            }
            (WriteMode::Overwrite, Some(predicate), _) => Ok(WriteMode::ReplaceWhere(predicate)),
            (WriteMode::Overwrite, None, Some(by_partition)) => overwrite_mode(&by_partition),
            // Spark lets `overwriteSchema` mean the whole table whatever the session says.
            (WriteMode::Overwrite, None, None) if self.flag("overwriteSchema")? == Some(true) => {
                Ok(WriteMode::Overwrite)
            }
            (WriteMode::Overwrite, None, None) => WriteOptions::overwrite(session),
            (mode, None, _) => Ok(mode),
            (_, Some(_), _) => Err(invalid(
                "option `replaceWhere` needs a write that overwrites".to_owned(),
            )),
        }
    }

    fn evolution(&self, session: SchemaEvolution) -> Result<SchemaEvolution> {
        Ok(match (self.flag("overwriteSchema")?, self.flag("mergeSchema")?) {
            (Some(true), Some(true)) => {
                return Err(invalid(
                    "a write merges the schema or overwrites it, not both".to_owned(),
                ));
            }
            (Some(true), _) => SchemaEvolution::Overwrite,
            (_, Some(true)) => SchemaEvolution::Merge,
            (_, Some(false)) => SchemaEvolution::None,
            (_, None) => session,
        })
    }

    fn app_transaction(&self) -> Result<Option<(String, i64)>> {
        app_transaction(self.text("txnAppId"), self.text("txnVersion"))
    }
}

fn app_transaction(app_id: Option<String>, version: Option<String>) -> Result<Option<(String, i64)>> {
    match (app_id, version) {
        (None, None) => Ok(None),
        (Some(app_id), Some(version)) => match version.trim().parse::<i64>() {
            Ok(number) if number >= 0 => Ok(Some((app_id, number))),
            _ => Err(invalid(format!(
                "`txnVersion` is a whole number from 0, not `{version}`"
            ))),
        },
        _ => Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "DELTA_INVALID_IDEMPOTENT_WRITES_OPTIONS",
            sqlstate: "42616",
            message: "`txnAppId` and `txnVersion` are given together: the write is once for both".to_owned(),
        }),
    }
}

fn overwrite_mode(text: &str) -> Result<WriteMode> {
    if text.eq_ignore_ascii_case("static") {
        return Ok(WriteMode::Overwrite);
    }
    if text.eq_ignore_ascii_case("dynamic") {
        return Ok(WriteMode::OverwritePartitions);
    }
    Err(invalid(format!(
        "`partitionOverwriteMode` is `static` or `dynamic`, not `{text}`"
    )))
}

/// The setting that says how files are compressed that the session writes.
pub(crate) const COMPRESSION_SETTING: &str = "spark.sql.parquet.compression.codec";

/// Returns how the session wants files to be compressed, if it says so.
pub(crate) fn compression_setting(session: &Session) -> Option<CompressionCodec> {
    let set = session.setting(COMPRESSION_SETTING);
    set.and_then(|text| CompressionCodec::parse(&text))
}

fn flag_setting(session: &Session, name: &str) -> Result<Option<bool>> {
    let value = session.setting(name);
    value.map(|value| boolean(name, &value)).transpose()
}

fn boolean(name: &str, value: &str) -> Result<bool> {
    match value {
        value if value.eq_ignore_ascii_case("true") => Ok(true),
        value if value.eq_ignore_ascii_case("false") => Ok(false),
        value => Err(invalid(format!("`{name}` is true or false, not `{value}`"))),
    }
}

/// Returns the one of `known` that is most like `name`.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> &'a str {
    let name = name.to_lowercase();
    let score = |known: &str| jaro_winkler(&known.to_lowercase(), &name);
    let best = known.iter().copied().max_by(|a, b| score(a).total_cmp(&score(b)));
    best.unwrap_or_default()
}

fn invalid(message: String) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "DELTA_ILLEGAL_OPTION",
        sqlstate: "42616",
        message,
    }
}
