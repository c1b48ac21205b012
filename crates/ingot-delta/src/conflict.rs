//! The decision after a lost race: pure, over what both sides did.
//!
//! ```text
//!  what we staged on version r ─┐
//!  winner's commit r+1 ─────────┴─► decide ─► Rebased (try r+2) │ AlreadyApplied │ Conflict(reason)
//! ```
//! Rules, in the order in which they are tried (Spark's `ConflictChecker`, Delta protocol "Writer Requirements"):
//!
//! 0. Any winner conflicts with a commit that drops a feature: it may hold a trace of it.
//! 1. A winner that changed the protocol or the metadata conflicts, but for changes that ask nothing of what was
//!    staged before them (`table_changes`) where we change neither.
//! 2. A winner with one of our application ids has done our work (same or newer version) or is another instance of
//!    us (older version), and conflicts.
//! 3. A domain that both sides configure conflicts: one of the configurations would be lost. That of row ids is not
//!    ours to configure: it is made anew for each attempt.
//! 4. Rows that the winner added conflict if our predicate could have matched them. Under `WriteSerializable`
//!    blind appends do not count: the history in which they came after us is as good. They do count if we change
//!    the metadata: after us, rows of the old schema would be wrong. A write that only moves rows
//!    (`dataChange=false`) reads at snapshot isolation: added rows do not concern it.
//! 5. Files that the winner removed conflict if we read, remove or add them again, as do files that it added again, **whatever its `dataChange`**:
//!    after OPTIMIZE has moved rows to another file, removing the old one would double or resurrect them.
//!
//! A blind append reads nothing and removes nothing, so only rules 1 to 3 concern it. Which statement ends how
//! against which other stands in `tests/it/matrix`.

mod table_changes;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

pub(crate) use self::table_changes::counts_identities_only;
use crate::transaction::Basis;
use crate::{Action, Add, FileIndex, ReadSet, Txn, action};

/// Why a commit cannot go on top of a winner's. Named as Delta's exceptions are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConflictReason {
    #[error("version {version} changed the table's metadata")]
    MetadataChanged { version: i64 },
    #[error("version {version} changed the table's protocol")]
    ProtocolChanged { version: i64 },
    #[error("the log was cleaned up or replaced since version {version} was read")]
    LogReplaced { version: i64 },
    #[error("version {version} added rows to `{path}` that this operation would have read")]
    ConcurrentAppend { version: i64, path: String },
    #[error("version {version} removed file `{path}` that this operation read")]
    ConcurrentDeleteRead { version: i64, path: String },
    #[error("version {version} removed file `{path}` that this operation removes")]
    ConcurrentDeleteDelete { version: i64, path: String },
    #[error("version {version} was written by the same application `{app_id}`")]
    ConcurrentTransaction { version: i64, app_id: String },
    #[error("version {version} was committed while a feature was dropped, and may use it")]
    FeatureDrop { version: i64 },
    #[error("version {version} changed the domain `{domain}` that this operation changes")]
    ConcurrentDomainMetadata { version: i64, domain: String },
}

/// How strictly a commit's place in the history is guarded. Source: Delta, `delta.isolationLevel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IsolationLevel {
    Serializable,
    WriteSerializable,
}

impl IsolationLevel {
    /// Returns Delta's name of the level.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serializable => "Serializable",
            Self::WriteSerializable => "WriteSerializable",
        }
    }
}

/// What a transaction has staged, as far as conflicts go.
#[derive(Debug)]
pub(crate) struct Staged<'a> {
    pub read_set: &'a ReadSet,
    /// Paths of files that are removed, or that were there and are added again.
    pub touched: HashSet<&'a str>,
    pub app_transactions: &'a [Txn],
    /// Domains that are configured or removed.
    pub domains: HashSet<&'a str>,
    /// Some staged file action changes rows, rather than moving them.
    pub data_change: bool,
    /// The table's metadata is staged anew.
    pub metadata_change: bool,
    /// The table's protocol is staged anew.
    pub protocol_change: bool,
    /// The staged protocol lacks a feature that the table has.
    pub feature_drop: bool,
    pub isolation: IsolationLevel,
    /// For the columns of a winner's added files.
    pub schema: &'a SchemaRef,
    pub partition_columns: &'a [String],
}

/// What to do about one winner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Our commit is as right after the winner's as it was before.
    Rebased,
    /// The winner holds what we were about to write.
    AlreadyApplied { app_id: String, version: i64 },
    /// Our commit would be wrong; the operation may start over.
    Conflict(ConflictReason),
}

/// Decides about the commit that another writer put on top of `basis`, after `ours` was staged.
pub(crate) fn decide(ours: &Staged<'_>, basis: &Basis, winner: &[Action]) -> Decision {
    let version = basis.version + 1;
    if ours.feature_drop {
        return Decision::Conflict(ConflictReason::FeatureDrop { version });
    }
    if let Some(reason) = table_changed(ours, basis, winner) {
        return Decision::Conflict(reason);
    }
    if let Some(decision) = same_application(ours, version, winner) {
        return decision;
    }
    let reason = same_domain(ours, version, winner)
        .or_else(|| rows_added(ours, version, winner))
        .or_else(|| files_removed(ours, version, winner));
    reason.map_or(Decision::Rebased, Decision::Conflict)
}

fn table_changed(ours: &Staged<'_>, basis: &Basis, winner: &[Action]) -> Option<ConflictReason> {
    let version = basis.version + 1;
    let mut protocol = basis.protocol.as_ref();
    for action in winner {
        if let Action::Protocol(theirs) = action {
            if ours.protocol_change || !table_changes::protocol_is_followed(protocol, theirs) {
                return Some(ConflictReason::ProtocolChanged { version });
            }
            protocol = theirs;
        }
    }
    winner.iter().find_map(|action| match action {
        Action::Metadata(theirs)
            if ours.metadata_change
                || !table_changes::metadata_is_followed(&basis.metadata, theirs, protocol) =>
        {
            Some(ConflictReason::MetadataChanged { version })
        }
        _ => None,
    })
}

fn same_application(ours: &Staged<'_>, version: i64, winner: &[Action]) -> Option<Decision> {
    let theirs = winner.iter().filter_map(|action| match action {
        Action::Txn(txn) => Some(txn),
        _ => None,
    });
    let mut fenced = None;
    for theirs in theirs {
        let Some(ours) = ours
            .app_transactions
            .iter()
            .find(|ours| ours.app_id == theirs.app_id)
        else {
            continue;
        };
        let app_id = theirs.app_id.clone();
        if theirs.version >= ours.version {
            return Some(Decision::AlreadyApplied {
                app_id,
                version: theirs.version,
            });
        }
        fenced = Some(Decision::Conflict(ConflictReason::ConcurrentTransaction {
            version,
            app_id,
        }));
    }
    fenced
}

fn same_domain(ours: &Staged<'_>, version: i64, winner: &[Action]) -> Option<ConflictReason> {
    winner.iter().find_map(|action| match action {
        Action::DomainMetadata(theirs) if ours.domains.contains(theirs.domain.as_str()) => {
            let domain = theirs.domain.clone();
            Some(ConflictReason::ConcurrentDomainMetadata { version, domain })
        }
        _ => None,
    })
}

fn files_removed(ours: &Staged<'_>, version: i64, winner: &[Action]) -> Option<ConflictReason> {
    let read: HashSet<&str> = match ours.read_set {
        ReadSet::Matching { paths, .. } => paths.iter().map(String::as_str).collect(),
        ReadSet::Nothing | ReadSet::WholeTable => HashSet::new(),
    };
    let whole_table = matches!(ours.read_set, ReadSet::WholeTable);
    let removed = || {
        winner.iter().filter_map(|action| match action {
            Action::Remove(remove) => Some(remove.path.as_str()),
            _ => None,
        })
    };
    if let Some(path) = removed().find(|path| whole_table || read.contains(path)) {
        let path = path.to_owned();
        return Some(ConflictReason::ConcurrentDeleteRead { version, path });
    }
    // A file that was there may be added again, too: another wrote down something else about it.
    let named = winner.iter().filter_map(|action| match action {
        Action::Remove(remove) => Some(remove.path.as_str()),
        Action::Add(add) => Some(add.path.as_str()),
        _ => None,
    });
    let path = named
        .into_iter()
        .find(|path| ours.touched.contains(path))?
        .to_owned();
    Some(ConflictReason::ConcurrentDeleteDelete { version, path })
}

fn rows_added(ours: &Staged<'_>, version: i64, winner: &[Action]) -> Option<ConflictReason> {
    let moves_rows_only = !ours.data_change
        && !ours.touched.is_empty()
        && !ours.metadata_change
        && !ours.protocol_change
        && ours.app_transactions.is_empty();
    if moves_rows_only || matches!(ours.read_set, ReadSet::Nothing) {
        return None;
    }
    let blind_appends_count = ours.isolation == IsolationLevel::Serializable || ours.metadata_change;
    if !blind_appends_count && blind_append(winner) {
        return None;
    }
    let added = winner.iter().filter_map(|action| match action {
        Action::Add(add) if add.data_change => Some(Arc::new(add.clone())),
        _ => None,
    });
    let added: Vec<Arc<Add>> = added.collect();
    if added.is_empty() {
        return None;
    }
    let matched = match ours.read_set {
        ReadSet::Nothing => None,
        ReadSet::WholeTable => Some(0),
        ReadSet::Matching { predicate, .. } => {
            let files = FileIndex::from_adds(added.clone(), ours.schema, ours.partition_columns);
            predicate.may_match(&files).iter().position(|matches| *matches)
        }
    };
    matched
        .and_then(|file| added.get(file))
        .map(|add| ConflictReason::ConcurrentAppend {
            version,
            path: add.path.clone(),
        })
}

/// Says if the commit read nothing, by its own account. One that does not say is taken to have read.
fn blind_append(winner: &[Action]) -> bool {
    action::commit_info(winner).is_some_and(|info| info.is_blind_append == Some(true))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::datatypes::{DataType, Field, Schema};
    use test_case::test_case;

    use super::*;
    use crate::{CommitInfo, Metadata, Protocol, ReadPredicate};

    /// Matches files by a prefix of their path, in place of a real predicate.
    #[derive(Debug)]
    struct Prefix(&'static str);

    impl ReadPredicate for Prefix {
        fn may_match(&self, files: &FileIndex) -> Vec<bool> {
            (0..files.len())
                .map(|file| files.add(file).path.starts_with(self.0))
                .collect()
        }
    }

    fn add(path: &str, data_change: bool) -> Add {
        Add {
            path: path.to_owned(),
            partition_values: BTreeMap::new(),
            size: 1,
            modification_time: 0,
            data_change,
            stats: None,
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        }
    }

    fn info(blind: bool) -> Action {
        Action::CommitInfo(CommitInfo {
            is_blind_append: Some(blind),
            ..CommitInfo::default()
        })
    }

    fn txn(app_id: &str, version: i64) -> Txn {
        Txn {
            app_id: app_id.to_owned(),
            version,
            last_updated: None,
        }
    }

    fn basis() -> Basis {
        Basis {
            version: 4,
            timestamp_ms: 0,
            protocol: Arc::new(Protocol {
                min_reader_version: 3,
                min_writer_version: 7,
                reader_features: None,
                writer_features: None,
            }),
            metadata: Arc::new(Metadata {
                id: String::new(),
                name: None,
                description: None,
                format: action::Format::default(),
                schema_string: "{}".to_owned(),
                partition_columns: Vec::new(),
                created_time: None,
                configuration: BTreeMap::new(),
            }),
            row_id_high_watermark: None,
        }
    }

    /// The commits that may win, on a table that held files `a1` and `b1`.
    fn winner(kind: &str) -> Vec<Action> {
        let removed = |path: &str, data_change| Action::Remove(add(path, true).to_remove(0, data_change));
        match kind {
            "blind append to a" => vec![info(true), Action::Add(add("a2", true))],
            "append to a after reading" => vec![info(false), Action::Add(add("a2", true))],
            "append without a word" => vec![Action::Add(add("a2", true))],
            "delete from a" => vec![info(false), removed("a1", true), Action::Add(add("a2", true))],
            "delete from b" => vec![info(false), removed("b1", true), Action::Add(add("b2", true))],
            "optimize a" => vec![info(false), removed("a1", false), Action::Add(add("a2", false))],
            "alter" => vec![
                info(false),
                Action::Metadata(Metadata {
                    id: String::new(),
                    name: None,
                    description: None,
                    format: action::Format::default(),
                    schema_string: "[]".to_owned(),
                    partition_columns: Vec::new(),
                    created_time: None,
                    configuration: BTreeMap::new(),
                }),
            ],
            "upgrade" => vec![
                info(false),
                Action::Protocol(Protocol {
                    min_reader_version: 3,
                    min_writer_version: 7,
                    reader_features: None,
                    writer_features: Some(vec!["checkConstraints".to_owned()]),
                }),
            ],
            "stream batch 7" => vec![
                info(true),
                Action::Txn(txn("stream", 7)),
                Action::Add(add("a2", true)),
            ],
            other => panic!("no winner called {other}"),
        }
    }

    fn decision(loser: &str, winning: &str, isolation: IsolationLevel) -> &'static str {
        let whole = ReadSet::WholeTable;
        let nothing = ReadSet::Nothing;
        let matching = ReadSet::Matching {
            predicate: Arc::new(Prefix("a")),
            paths: vec!["a1".to_owned()],
        };
        let app = [txn("stream", if loser == "stream batch 8" { 8 } else { 7 })];
        let (read_set, removed, app_transactions, data_change): (_, &[&str], &[Txn], _) = match loser {
            "blind append" => (&nothing, &[], &[], true),
            "stream batch 7" | "stream batch 8" => (&nothing, &[], &app, true),
            "update of a" => (&matching, &["a1"], &[], true),
            "insert-only merge on a" => (&matching, &[], &[], true),
            "overwrite" | "overwrite with another schema" => (&whole, &["a1", "b1"], &[], true),
            "optimize a" => (&matching, &["a1"], &[], false),
            other => panic!("no loser called {other}"),
        };
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
        let ours = Staged {
            read_set,
            touched: removed.iter().copied().collect(),
            app_transactions,
            domains: HashSet::new(),
            data_change,
            metadata_change: loser == "overwrite with another schema",
            protocol_change: false,
            feature_drop: false,
            isolation,
            schema: &schema,
            partition_columns: &[],
        };
        match decide(&ours, &basis(), &winner(winning)) {
            Decision::Rebased => "rebased",
            Decision::AlreadyApplied { .. } => "already applied",
            Decision::Conflict(reason) => match reason {
                ConflictReason::MetadataChanged { .. } => "metadata",
                ConflictReason::ProtocolChanged { .. } => "protocol",
                ConflictReason::ConcurrentAppend { .. } => "append",
                ConflictReason::ConcurrentDeleteRead { .. } => "delete-read",
                ConflictReason::ConcurrentDeleteDelete { .. } => "delete-delete",
                ConflictReason::ConcurrentTransaction { .. } => "transaction",
                ConflictReason::ConcurrentDomainMetadata { .. } => "domain",
                ConflictReason::FeatureDrop { .. } => "feature drop",
                ConflictReason::LogReplaced { .. } => unreachable!("no decision about a winner"),
            },
        }
    }

    #[test_case("blind append", ["rebased", "rebased", "rebased", "rebased", "rebased", "rebased", "metadata", "protocol", "rebased"])]
    #[test_case("stream batch 7", ["rebased", "rebased", "rebased", "rebased", "rebased", "rebased", "metadata", "protocol", "already applied"])]
    #[test_case("stream batch 8", ["rebased", "rebased", "rebased", "rebased", "rebased", "rebased", "metadata", "protocol", "transaction"])]
    #[test_case("update of a", ["rebased", "append", "append", "append", "rebased", "delete-read", "metadata", "protocol", "rebased"])]
    #[test_case("insert-only merge on a", ["rebased", "append", "append", "append", "rebased", "delete-read", "metadata", "protocol", "rebased"])]
    #[test_case("overwrite", ["rebased", "append", "append", "append", "append", "delete-read", "metadata", "protocol", "rebased"])]
    #[test_case("overwrite with another schema", ["append", "append", "append", "append", "append", "delete-read", "metadata", "protocol", "append"])]
    #[test_case("optimize a", ["rebased", "rebased", "rebased", "delete-read", "rebased", "delete-read", "metadata", "protocol", "rebased"])]
    fn loser_against_every_winner(loser: &str, expected: [&str; 9]) {
        let winners = [
            "blind append to a",
            "append to a after reading",
            "append without a word",
            "delete from a",
            "delete from b",
            "optimize a",
            "alter",
            "upgrade",
            "stream batch 7",
        ];
        for (winning, expected) in winners.into_iter().zip(expected) {
            let got = decision(loser, winning, IsolationLevel::WriteSerializable);
            assert_eq!(got, expected, "{winning} won, {loser} lost");
        }
    }

    #[test]
    fn a_file_that_is_added_again_must_not_have_been_added_again_by_another() {
        let schema: SchemaRef = Arc::new(Schema::empty());
        let ours = |path| Staged {
            read_set: &ReadSet::Nothing,
            touched: HashSet::from([path]),
            app_transactions: &[],
            domains: HashSet::new(),
            data_change: false,
            metadata_change: false,
            protocol_change: false,
            feature_drop: false,
            isolation: IsolationLevel::WriteSerializable,
            schema: &schema,
            partition_columns: &[],
        };
        let winner = [Action::Add(add("a/1", false))];
        let decision = decide(&ours("a/1"), &basis(), &winner);
        assert!(
            matches!(
                decision,
                Decision::Conflict(ConflictReason::ConcurrentDeleteDelete { .. })
            ),
            "{decision:?}"
        );
        assert_eq!(decide(&ours("a/2"), &basis(), &winner), Decision::Rebased);
    }

    #[test]
    fn nothing_comes_between_the_last_look_and_the_drop_of_a_feature() {
        let schema: SchemaRef = Arc::new(Schema::empty());
        let ours = Staged {
            read_set: &ReadSet::Nothing,
            touched: HashSet::new(),
            app_transactions: &[],
            domains: HashSet::new(),
            data_change: false,
            metadata_change: false,
            protocol_change: true,
            feature_drop: true,
            isolation: IsolationLevel::WriteSerializable,
            schema: &schema,
            partition_columns: &[],
        };
        let decision = decide(&ours, &basis(), &winner("blind append to a"));
        assert!(
            matches!(decision, Decision::Conflict(ConflictReason::FeatureDrop { .. })),
            "{decision:?}"
        );
    }

    #[test]
    fn serializable_counts_blind_appends_too() {
        let got = decision("update of a", "blind append to a", IsolationLevel::Serializable);
        assert_eq!(got, "append");
        let got = decision("overwrite", "stream batch 7", IsolationLevel::Serializable);
        assert_eq!(got, "append");
    }
}
