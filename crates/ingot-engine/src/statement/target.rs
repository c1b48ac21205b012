//! The table that a statement writes to: one of the metastore, or the one at a path.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::ObjectName;
use ingot_common::TableName;
use ingot_delta::{DeltaTable, Snapshot};
use url::Url;

use super::cursor::Cursor;
use super::dataset;
use crate::access::{self, MODIFY, Reader, SELECT};
use crate::dml::FilteredTarget;
use crate::{Result, Session, files, resolve};

/// What is done to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Rows are added, or all are taken away, whatever they are.
    Add,
    /// Its rows are looked at to say what becomes of them.
    Change,
}

/// A table as a statement names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Name(TableName),
    /// `delta.`/path``
    Path(Url),
}

impl Target {
    /// Takes the name that comes next.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no name and no path.
    pub fn parse(session: &Session, cursor: &mut Cursor<'_>) -> Result<Self> {
        Self::new(session, &cursor.object_name()?)
    }

    /// Completes a name with the session's namespace.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn new(session: &Session, name: &ObjectName) -> Result<Self> {
        match resolve::delta_path(name)? {
            Some(path) => Ok(Self::Path(files::location(&path)?)),
            None => Ok(Self::Name(session.resolve(name)?)),
        }
    }

    /// Returns what columns may be qualified by where the statement gives no alias; nothing for a path.
    pub fn called(&self) -> &str {
        match self {
            Self::Name(name) => name.table.as_str(),
            Self::Path(_) => "",
        }
    }

    /// Returns what the table is called in expressions, part by part.
    pub fn name_parts(&self) -> Vec<String> {
        match self {
            Self::Name(name) => [&name.catalog, &name.schema, &name.table]
                .map(ToString::to_string)
                .into(),
            Self::Path(_) => vec!["delta".to_owned()],
        }
    }

    /// Opens the table for who may do so to it.
    ///
    /// # Errors
    /// `NotFound` when there is none; `PermissionDenied`; `InvalidArgument` when the name is a view's.
    pub async fn open(&self, session: &Session, act: Act) -> Result<Arc<DeltaTable>> {
        Ok(self.open_newest(session, act).await?.0)
    }

    /// Opens the table for a statement that changes its rows, and says through what they are shown. One that `reads`
    /// the rows must be let do that.
    ///
    /// # Errors
    /// As [`Target::open`].
    pub async fn open_to_change(
        &self,
        session: &Session,
        reads: bool,
    ) -> Result<(Arc<DeltaTable>, Option<FilteredTarget>)> {
        match self {
            Self::Name(name) => {
                let info = access::table(session, name, MODIFY).await?;
                dataset::check_written(&info)?;
                if reads {
                    access::check(session, &info, SELECT).await?;
                }
                let (table, _) = session.open_newest(&info).await?;
                Ok((table, FilteredTarget::of(&info)))
            }
            Self::Path(_) => Ok((self.open(session, Act::Change).await?, None)),
        }
    }

    /// Opens the table, and returns its newest snapshot.
    ///
    /// # Errors
    /// As [`Target::open`].
    pub async fn open_newest(&self, session: &Session, act: Act) -> Result<(Arc<DeltaTable>, Arc<Snapshot>)> {
        match self {
            Self::Name(name) => {
                let info = access::table(session, name, MODIFY).await?;
                dataset::check_written(&info)?;
                if act == Act::Change {
                    access::check(session, &info, SELECT).await?;
                    access::check_unfiltered(&info, "what a statement changes")?;
                }
                session.open_newest(&info).await
            }
            Self::Path(location) => {
                access::check_path(session, &Reader::Session, location.as_str())?;
                access::check_unfiltered_at(session, location).await?;
                Ok(session.engine().tables().open_newest(location).await?)
            }
        }
    }
}
