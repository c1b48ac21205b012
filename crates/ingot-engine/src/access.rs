//! Who may do what: asked where statements name things, and before they change them.
//!
//! ```text
//! statement ─► name ─► row of the metastore ─► may the reader? ─► what the statement does, to that row by its id
//!                                                  ▲
//!                       session's principal, or the owner of the view or function that names it
//! ```
//! What always holds: what a statement reads or changes was looked up with a [`Need`], by one of the functions here, and
//! an administrator alone reads files by their paths. The metastore decides; its facts are read once for a query
//! ([`Reads`]). Who may not use a schema is not told what is in it. Source: Databricks, "Unity Catalog privileges and
//! securable objects".

use std::sync::Arc;

use ingot_catalog::{
    CatalogInfo, FunctionInfo, Need, NewConstraint, NewKey, Privilege, SchemaInfo, Securable, SecurableName,
    Sight, TableInfo, VolumeInfo,
};
use ingot_common::{FunctionName, Identifier, Kind, SchemaName, TableName, VolumeName};
use url::Url;

use crate::resolve::Reads;
use crate::{Error, Result, Session};

/// The result of looking something up; `NotFound` and `Denied` are told apart.
type Found<T> = ingot_catalog::Result<T>;

/// To read a table or a view.
pub(crate) const SELECT: Need = Need::Privilege(Privilege::Select);

/// To write to a table.
pub(crate) const MODIFY: Need = Need::Privilege(Privilege::Modify);

/// With whose rights a query reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reader {
    /// The session's principal.
    Session,
    /// The owner of the view or function whose query it is.
    Owner(Arc<str>),
    /// Nobody's: what is read has been let through by other means.
    Anybody,
}

impl Reader {
    /// Returns a reader with the rights of an owner.
    pub fn owner(name: &str) -> Self {
        Self::Owner(Arc::from(name))
    }

    fn principal<'a>(&'a self, session: &'a Session) -> Option<&'a str> {
        match self {
            Self::Session => Some(session.context().principal.as_str()),
            Self::Owner(name) => Some(name),
            Self::Anybody => None,
        }
    }
}

/// Checks that a query may read a table or a view, or call a function.
///
/// # Errors
/// `INSUFFICIENT_PERMISSIONS`.
pub(crate) async fn check_read(
    session: &Session,
    reader: &Reader,
    reads: &Reads,
    securable: &Securable,
    privilege: Privilege,
) -> Result<()> {
    let Some(principal) = reader.principal(session) else {
        return Ok(());
    };
    if session.engine().metastore().administers(principal) {
        return Ok(());
    }
    let policy = reads.policy(session).await?;
    let checked = policy.check(&policy.identity(principal), securable, Need::Privilege(privilege));
    match (checked, reader) {
        (Ok(()), _) => Ok(()),
        (Err(denied), Reader::Owner(owner)) => Err(Error::Condition {
            kind: Kind::PermissionDenied,
            condition: "INSUFFICIENT_PERMISSIONS",
            sqlstate: "42501",
            message: format!(
                "{denied} It is read with the rights of `{owner}`, who owns the view or function that names it."
            ),
        }),
        (Err(denied), _) => Err(ingot_catalog::Error::Denied(Box::new(denied)).into()),
    }
}

/// Finds a table or a view that a query may read.
///
/// # Errors
/// `TABLE_OR_VIEW_NOT_FOUND`, `INSUFFICIENT_PERMISSIONS`.
pub(crate) async fn table_to_read(
    session: &Session,
    reader: &Reader,
    reads: &Reads,
    name: &TableName,
) -> Result<TableInfo> {
    match session.engine().metastore().table(name).await {
        Ok(info) => {
            check_read(session, reader, reads, &Securable::from(&info), Privilege::Select).await?;
            Ok(info)
        }
        Err(ingot_catalog::Error::NotFound { .. }) => {
            let within = in_schema(session, &name.schema_name()).await;
            if let (Some(schema), Reader::Session) = (within, reader) {
                check_read(session, reader, reads, &schema, Privilege::UseSchema).await?;
            }
            Err(Error::table_not_found(name))
        }
        Err(error) => Err(error.into()),
    }
}

/// Checks that the session's principal has what is needed on a securable.
///
/// # Errors
/// `Denied`.
pub(crate) async fn check(session: &Session, securable: impl Into<Securable>, need: Need) -> Found<()> {
    let principal = session.context().principal.as_str();
    let metastore = session.engine().metastore();
    metastore.authorize(principal, &securable.into(), need).await
}

/// Finds a table or a view on which the session's principal has what is needed.
///
/// # Errors
/// `NotFound`, `Denied`.
pub(crate) async fn table(session: &Session, name: &TableName, need: Need) -> Found<TableInfo> {
    let found = session.engine().metastore().table(name).await;
    let info = unless_hidden(session, found, &name.schema_name()).await?;
    check(session, &info, need).await?;
    Ok(info)
}

/// Finds a function on which the session's principal has what is needed.
///
/// # Errors
/// `NotFound`, `Denied`.
pub(crate) async fn function(session: &Session, name: &FunctionName, need: Need) -> Found<FunctionInfo> {
    let found = session.engine().metastore().function(name).await;
    let info = unless_hidden(session, found, &name.schema).await?;
    check(session, &info, need).await?;
    Ok(info)
}

/// Finds a volume whose files a query may read.
///
/// # Errors
/// `VOLUME_DOES_NOT_EXIST`, `INSUFFICIENT_PERMISSIONS`.
pub(crate) async fn volume_to_read(
    session: &Session,
    reader: &Reader,
    name: &VolumeName,
) -> Result<VolumeInfo> {
    let found = session.engine().metastore().volume(name).await;
    let info = unless_hidden(session, found, &name.schema).await?;
    let reads = Reads::default();
    check_read(
        session,
        reader,
        &reads,
        &Securable::from(&info),
        Privilege::ReadVolume,
    )
    .await?;
    Ok(info)
}

/// Finds a volume on which the session's principal has what is needed.
///
/// # Errors
/// `NotFound`, `Denied`.
pub(crate) async fn volume(session: &Session, name: &VolumeName, need: Need) -> Found<VolumeInfo> {
    let found = session.engine().metastore().volume(name).await;
    let info = unless_hidden(session, found, &name.schema).await?;
    check(session, &info, need).await?;
    Ok(info)
}

/// Finds a schema on which the session's principal has what is needed.
///
/// # Errors
/// `NotFound`, `Denied`.
pub(crate) async fn schema(session: &Session, name: &SchemaName, need: Need) -> Found<SchemaInfo> {
    let info = session.engine().metastore().schema(name).await?;
    check(session, &info, need).await?;
    Ok(info)
}

/// Finds a catalog on which the session's principal has what is needed.
///
/// # Errors
/// `NotFound`, `Denied`.
pub(crate) async fn catalog(session: &Session, name: &Identifier, need: Need) -> Found<CatalogInfo> {
    let info = session.engine().metastore().catalog(name).await?;
    check(session, &info, need).await?;
    Ok(info)
}

/// Checks that the session's principal may make something in a schema.
///
/// # Errors
/// `NotFound`, `Denied`.
pub(crate) async fn check_create(session: &Session, name: &SchemaName, privilege: Privilege) -> Found<()> {
    schema(session, name, Need::Privilege(privilege)).await.map(drop)
}

/// Checks that files may be read and written by their paths.
///
/// # Errors
/// `INSUFFICIENT_PERMISSIONS` for all but administrators.
pub(crate) fn check_path(session: &Session, reader: &Reader, path: &str) -> Result<()> {
    let metastore = session.engine().metastore();
    match reader
        .principal(session)
        .is_none_or(|principal| metastore.administers(principal))
    {
        true => Ok(()),
        false => Err(Error::Condition {
            kind: Kind::PermissionDenied,
            condition: "INSUFFICIENT_PERMISSIONS",
            sqlstate: "42501",
            message: format!(
                "Insufficient privileges: User does not have permission SELECT on any file. `{path}` is read and \
                 written by the administrator; others use the names of tables, or volumes"
            ),
        }),
    }
}

/// Refuses what would read rows of a table past its row filter and masks.
///
/// # Errors
/// `UNSUPPORTED_FEATURE`.
pub(crate) fn check_unfiltered(info: &TableInfo, read: &str) -> Result<()> {
    match info.filters.is_empty() {
        true => Ok(()),
        false => Err(Error::unsupported(format!(
            "`{}` has a row filter or column masks; {read} cannot be read past them",
            info.name
        ))),
    }
}

/// Refuses to read the files of a table past its row filter and masks, where there is one at a location.
///
/// # Errors
/// As [`check_unfiltered`].
pub(crate) async fn check_unfiltered_at(session: &Session, location: &Url) -> Result<()> {
    let info = session.engine().metastore().filtered_table_at(location).await?;
    info.map_or(Ok(()), |info| check_unfiltered(&info, "its files by their path"))
}

/// Checks that the session's principal may know of the tables that foreign keys of a table refer to.
///
/// # Errors
/// `NotFound`, `Denied`.
pub(crate) async fn check_parents(session: &Session, of: &TableName, keys: &[NewConstraint]) -> Found<()> {
    for key in keys {
        if let NewKey::Foreign { parent, .. } = &key.key
            && parent != of
        {
            table(session, parent, Need::Sight).await?;
        }
    }
    Ok(())
}

/// Returns what the session's principal may know of.
pub(crate) async fn sight(session: &Session) -> Found<Sight> {
    let principal = session.context().principal.as_str();
    session.engine().metastore().sight(principal).await
}

/// Tells who may not use a schema that, and not whether something is in it.
async fn unless_hidden<T>(session: &Session, found: Found<T>, schema: &SchemaName) -> Found<T> {
    if matches!(found, Err(ingot_catalog::Error::NotFound { .. }))
        && let Some(schema) = in_schema(session, schema).await
    {
        check(session, schema, Need::Privilege(Privilege::UseSchema)).await?;
    }
    found
}

async fn in_schema(session: &Session, name: &SchemaName) -> Option<Securable> {
    let name = SecurableName::Schema(name.clone());
    session.engine().metastore().securable(&name).await.ok()
}
