//! Materialized views: computed anew when what they read has other versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::dataframe::DataFrame;
use ingot_delta::{Operation, Snapshot};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{DOMAIN, Extent, same_columns};
use crate::filtered::reads_filtered;
use crate::resolve::{self, Reads};
use crate::resources::inputs;
use crate::write::{ColumnMatch, Fence, SchemaEvolution, WriteMode, WriteOptions, WriteRequest};
use crate::{Error, Result, Session};

/// What the rows of a view were computed from: the configuration of [`DOMAIN`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Computed {
    /// Of the query as it was planned, with the views and functions that it names.
    plan: String,
    /// The versions of the tables, by their ids; `None` where more than their versions says what the rows are.
    inputs: Option<BTreeMap<String, i64>>,
    /// The statement that made the view named its columns, which stay as they are.
    named: bool,
}

impl Computed {
    /// Reads the configuration of the domain; `None` where there is none that is known.
    fn of(snapshot: &Snapshot) -> Option<Self> {
        serde_json::from_str(snapshot.domain_metadata(DOMAIN)?).ok()
    }

    pub fn configuration(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::internal(error.to_string()))
    }
}

/// Plans the query of a view, in its own session.
///
/// # Errors
/// What is wrong with the query.
pub(super) async fn plan(session: &Session, query: &str, named: bool) -> Result<(DataFrame, Computed)> {
    let parsed = super::super::parse_query(query)?;
    let rows = resolve::plan(session, parsed, &session.namespace(), &Reads::default()).await?;
    let plan = rows.logical_plan();
    if reads_filtered(plan)? {
        return Err(Error::unsupported(
            "the query reads a table that has a row filter or column masks; a materialized view would show everybody \
             what who refreshed it may see"
                .to_owned(),
        ));
    }
    let computed = Computed {
        plan: format!("{:x}", Sha256::digest(plan.display_indent().to_string())),
        inputs: inputs(plan),
        named,
    };
    Ok((rows, computed))
}

/// Makes what a refresh writes; `None` when the view is up to date.
///
/// # Errors
/// As [`plan`].
pub(super) async fn request(
    session: &Session,
    query: &str,
    snapshot: &Arc<Snapshot>,
    extent: Extent,
) -> Result<Option<WriteRequest>> {
    let before = Computed::of(snapshot);
    let named = before.as_ref().is_some_and(|before| before.named);
    let (rows, computed) = plan(session, query, named).await?;
    let known = computed.inputs.is_some() && before.as_ref() == Some(&computed);
    if known && extent == Extent::New {
        return Ok(None);
    }
    let mut options = WriteOptions::new(WriteMode::Overwrite);
    if !named && !same_columns(&rows, snapshot.schema()) {
        options.evolution = SchemaEvolution::Overwrite;
    }
    let mut request = WriteRequest::new(rows, ColumnMatch::Position, options);
    request.operation = Some(Operation::new("REFRESH").with("mode", "COMPLETE"));
    request.read = Some(Arc::clone(snapshot));
    request.fence = Some(Fence::Domain {
        domain: DOMAIN,
        before: snapshot.domain_metadata(DOMAIN).map(str::to_owned),
        after: computed.configuration()?,
    });
    Ok(Some(request))
}
