//! What a commit file says, made anew for each attempt: time, row ids, and who did what.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Basis, ReadSet, Transaction};
use crate::features;
use crate::{Action, CommitInfo, Error, Metadata, Result, commit_time, conflict, row_tracking};

impl Transaction {
    /// Returns the actions as they will stand in the file on top of `basis`: commit info first, as in-commit
    /// timestamps demand. The time of the commit is `now_ms`, or right after the version before if that is later and
    /// commits carry their time.
    /// With the same time they are the same on any basis that they do not depend on.
    ///
    /// # Errors
    /// `DataLoss` when no time is left after the version before; `Unsupported` when a winner switched on a feature
    /// that cannot be honoured, or a file lacks what its row ids need.
    pub(super) fn actions(&self, transaction_id: &str, basis: &Basis, now_ms: i64) -> Result<Vec<Action>> {
        let version = basis.version + 1;
        let carries_time = features::in_commit_timestamps(self.metadata.as_ref().unwrap_or(&basis.metadata));
        let timestamp = match carries_time {
            true => now_ms.max(self.after(basis)?),
            false => now_ms,
        };
        let mut staged = self.metadata.clone();
        if let Some(metadata) = staged
            .as_mut()
            .filter(|staged| commit_time::begins(&basis.metadata, staged))
        {
            commit_time::set_since(metadata, version, timestamp);
        }
        let metadata = staged.as_ref().unwrap_or(&basis.metadata);
        let protocol = self.protocol.as_ref().unwrap_or(&basis.protocol);
        if basis.version > self.read.version() {
            features::check_writable(
                self.table.location().as_str(),
                protocol,
                metadata,
                self.write_operation(),
            )?;
        }
        let mut adds = self.adds.clone();
        let row_ids = match row_tracking::assigns_ids(protocol, metadata) {
            true => row_tracking::assign(&mut adds, basis.row_id_high_watermark, version)?,
            false => None,
        };
        let info = self.commit_info(transaction_id, metadata, timestamp);
        let mut actions = vec![Action::CommitInfo(info)];
        actions.extend(self.protocol.clone().map(Action::Protocol));
        actions.extend(staged.map(Action::Metadata));
        actions.extend(self.app_transactions.iter().cloned().map(Action::Txn));
        actions.extend(
            self.domains
                .values()
                .cloned()
                .chain(row_ids)
                .map(Action::DomainMetadata),
        );
        actions.extend(self.removes.iter().cloned().map(Action::Remove));
        actions.extend(adds.into_iter().map(Action::Add));
        actions.extend(self.change_files.iter().cloned().map(Action::Cdc));
        Ok(actions)
    }

    /// Returns the first time that a commit on top of `basis` may have.
    fn after(&self, basis: &Basis) -> Result<i64> {
        let earliest = basis.timestamp_ms.checked_add(1);
        earliest.ok_or_else(|| Error::CorruptLog {
            location: self.table.location().to_string(),
            message: format!("no time is left after inCommitTimestamp {}", basis.timestamp_ms),
        })
    }

    fn commit_info(&self, transaction_id: &str, metadata: &Metadata, timestamp: i64) -> CommitInfo {
        let blind = matches!(self.read_set, ReadSet::Nothing) && self.removes.is_empty();
        let metrics = self.metrics.0.iter();
        let parameters = self.operation.parameters.iter();
        let tags = self.tags(metadata);
        let other = (!tags.is_empty()).then(|| ("tags".to_owned(), json!(tags)));
        CommitInfo {
            in_commit_timestamp: features::in_commit_timestamps(metadata).then_some(timestamp),
            timestamp: Some(timestamp),
            user_name: self.author.user_name.clone(),
            operation: Some(self.operation.name.to_owned()),
            operation_parameters: Some(parameters.map(|(k, v)| (k.clone(), v.as_str().into())).collect()),
            read_version: Some(self.read.version()),
            isolation_level: Some(self.isolation().as_str().to_owned()),
            is_blind_append: Some(blind),
            operation_metrics: Some(metrics.map(|(k, v)| (k.clone(), v.to_string().into())).collect()),
            user_metadata: self.author.user_metadata.clone(),
            engine_info: Some(self.table.options().engine_info.clone()),
            txn_id: Some(transaction_id.to_owned()),
            other: other.into_iter().collect(),
            ..CommitInfo::default()
        }
    }

    /// Tags tell other writers what a commit is about. Source: Spark's `DeltaCommitTag`.
    fn tags(&self, metadata: &Metadata) -> BTreeMap<&'static str, String> {
        let mut tags = BTreeMap::new();
        if row_tracking::keeps_ids(metadata) {
            let kept = row_tracking::keeps_ids(self.read.metadata());
            tags.insert("delta.rowTracking.preserved", kept.to_string());
        }
        let staged = self.metadata.as_ref();
        if staged.is_some_and(|staged| conflict::counts_identities_only(self.read.metadata(), staged)) {
            tags.insert("delta.identity.schemaUpdate", "true".to_owned());
        }
        tags
    }
}
