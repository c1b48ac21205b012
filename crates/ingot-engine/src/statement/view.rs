//! Views: CREATE VIEW; and DROP of views and tables.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_catalog::{ColumnInfo, Need, NewTable, Privilege, Replace, TableFilters, TableInfo, TableKind};
use ingot_common::{Kind, TableName};

use super::cursor::Cursor;
use super::{Work, done, namespace, temporary_view};
use crate::dialect::quoted;
use crate::metric_view::MetricView;
use crate::resolve::{self, Reads};
use crate::write::type_text;
use crate::{Error, Result, Session, access};

/// What stands between the name of a view and the end of its CREATE.
#[derive(Debug)]
pub(super) struct ViewText {
    /// Names of columns with their comments, where the statement gives them.
    named: Vec<(String, Option<String>)>,
    pub comment: Option<String>,
    pub properties: BTreeMap<String, String>,
    definition: Definition,
}

#[derive(Debug)]
enum Definition {
    Query(String),
    Metrics { yaml: String, view: MetricView },
}

impl ViewText {
    /// `[(column [COMMENT 'text'], …)] [COMMENT 'text'] [TBLPROPERTIES (…)] AS query`, or
    /// `WITH METRICS LANGUAGE YAML … AS $$yaml$$`, whose comment is the view's if the statement gives none.
    ///
    /// # Errors
    /// `PARSE_SYNTAX_ERROR`; `METRIC_VIEW_INVALID_VIEW_DEFINITION`.
    pub fn parse(cursor: &mut Cursor<'_>) -> Result<Self> {
        let mut named = Vec::new();
        if cursor.at_token(&Token::LParen) {
            named = cursor.in_parentheses(|cursor| {
                let column = cursor.name()?;
                let comment = match cursor.accept("COMMENT") {
                    true => Some(cursor.string()?),
                    false => None,
                };
                Ok((column, comment))
            })?;
        }
        let mut comment = None;
        let mut properties = BTreeMap::new();
        let mut metrics = false;
        while !cursor.accept("AS") {
            if cursor.accept("COMMENT") {
                comment = Some(cursor.string()?);
            } else if cursor.accept("TBLPROPERTIES") {
                properties.extend(cursor.properties()?);
            } else if cursor.accept_all(&["DEFAULT", "COLLATION"]) {
                collation(&cursor.name()?)?;
            } else if cursor.accept_all(&["WITH", "METRICS"]) {
                cursor.expect("LANGUAGE")?;
                cursor.expect("YAML")?;
                metrics = true;
            } else if cursor.at("WITH") {
                schema_mode(cursor)?;
            } else {
                return Err(cursor.expected("COMMENT, TBLPROPERTIES, WITH SCHEMA, WITH METRICS or AS"));
            }
        }
        let definition = match cursor.dollar_quoted() {
            Some(yaml) => {
                let mut view = MetricView::parse(&yaml)?;
                comment = comment.or_else(|| view.comment.take());
                Definition::Metrics { yaml, view }
            }
            None if metrics => return Err(cursor.expected("$$ before the definition of the metric view")),
            None => Definition::Query(cursor.query_text()?.to_owned()),
        };
        cursor.end()?;
        Ok(Self {
            named,
            comment,
            properties,
            definition,
        })
    }

    /// Says if it is the definition of a metric view.
    pub fn is_metrics(&self) -> bool {
        matches!(self.definition, Definition::Metrics { .. })
    }

    /// Plans the query of a view of the metastore, as [`Self::plan`].
    ///
    /// # Errors
    /// `RECURSIVE_VIEW`; `INVALID_TEMP_OBJ_REFERENCE` for what is of the session; and what is wrong with the query.
    pub async fn plan_lasting(
        &self,
        session: &Session,
        name: &TableName,
    ) -> Result<(String, Vec<ColumnInfo>)> {
        let reads = Reads::default();
        let planned = self.plan(session, &reads).await?;
        if reads.has_view(name) {
            return Err(recursive(&name.to_string()));
        }
        match reads.of_session() {
            Some(named) => Err(Error::temporary_reference(&format!("view `{name}`"), &named)),
            None => Ok(planned),
        }
    }

    /// Plans the query once, so that a view that cannot work is not made. Returns the view's query and columns.
    ///
    /// # Errors
    /// `CREATE_VIEW_COLUMN_ARITY_MISMATCH`, `UNSUPPORTED_FEATURE` for parameter markers, and what is wrong with the query.
    pub async fn plan(&self, session: &Session, reads: &Reads) -> Result<(String, Vec<ColumnInfo>)> {
        let mut definition = match &self.definition {
            Definition::Query(query) => query.clone(),
            Definition::Metrics { yaml, view } => {
                let columns = self.metric_columns(view, session, reads).await?;
                return Ok((yaml.clone(), columns));
            }
        };
        let planned = async |definition: &str| {
            let query = super::parse_query(definition)?;
            if resolve::has_parameters(&query) {
                return Err(Error::parameter_marker("CREATE VIEW"));
            }
            resolve::plan(session, query, &session.namespace(), reads).await
        };
        let mut rows = planned(&definition).await?;
        if !self.named.is_empty() {
            arity(self.named.len(), rows.schema().fields().len())?;
            let columns: Vec<String> = self.named.iter().map(|(column, _)| quoted(column)).collect();
            definition = format!("SELECT * FROM ({definition}\n) AS view({})", columns.join(", "));
            rows = planned(&definition).await?;
        }
        let columns = rows.schema().fields().iter().enumerate();
        let columns = columns.map(|(place, field)| ColumnInfo {
            name: field.name().clone(),
            type_text: type_text(field.data_type()),
            nullable: field.is_nullable(),
            comment: self.named.get(place).and_then(|(_, comment)| comment.clone()),
            partition_index: None,
        });
        Ok((definition, columns.collect()))
    }

    async fn metric_columns(
        &self,
        view: &MetricView,
        session: &Session,
        reads: &Reads,
    ) -> Result<Vec<ColumnInfo>> {
        if !self.named.is_empty() {
            return Err(Error::unsupported(
                "the columns of a metric view are named in its definition".to_owned(),
            ));
        }
        let rows = resolve::plan(session, view.all()?, &session.namespace(), reads).await?;
        let comments = view
            .dimensions
            .iter()
            .chain(&view.measures)
            .map(|column| &column.comment);
        let columns = rows.schema().fields().iter().zip(comments);
        let columns = columns.map(|(field, comment)| ColumnInfo {
            name: field.name().clone(),
            type_text: type_text(field.data_type()),
            nullable: field.is_nullable(),
            comment: comment.clone(),
            partition_index: None,
        });
        Ok(columns.collect())
    }

    /// Checks that a view that is given this text stays what it is.
    ///
    /// # Errors
    /// `UNSUPPORTED_METRIC_VIEW_USAGE.NON_YAML_DEFINITION`.
    pub fn check_same_kind(&self, view: &TableInfo) -> Result<()> {
        if self.is_metrics() == view.metrics {
            return Ok(());
        }
        let (is, takes) = match view.metrics {
            true => ("a metric view", "the YAML of one, in $$"),
            false => ("a view", "a query"),
        };
        Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "UNSUPPORTED_METRIC_VIEW_USAGE.NON_YAML_DEFINITION",
            sqlstate: "0A000",
            message: format!(
                "`{}` is {is}, and takes {takes}; CREATE OR REPLACE VIEW makes it another",
                view.name
            ),
        })
    }
}

/// Takes `WITH SCHEMA mode`: what becomes of the view when the columns of its query change. A view's columns are those
/// that its query gives when it is read.
pub(super) fn schema_mode(cursor: &mut Cursor<'_>) -> Result<()> {
    cursor.expect("WITH")?;
    cursor.expect("SCHEMA")?;
    let _ = cursor.accept("TYPE");
    let known = ["BINDING", "COMPENSATION", "EVOLUTION"];
    match known.iter().any(|mode| cursor.accept(mode)) {
        true => Ok(()),
        false => Err(cursor.expected("BINDING, COMPENSATION, TYPE EVOLUTION or EVOLUTION")),
    }
}

/// Checks a collation: texts compare by their bytes.
pub(super) fn collation(name: &str) -> Result<()> {
    match name.eq_ignore_ascii_case("UTF8_BINARY") {
        true => Ok(()),
        false => Err(Error::unsupported(format!("collation `{name}` is not supported"))),
    }
}

pub(super) fn arity(named: usize, given: usize) -> Result<()> {
    let condition = match named.cmp(&given) {
        Ordering::Equal => return Ok(()),
        Ordering::Greater => "CREATE_VIEW_COLUMN_ARITY_MISMATCH.NOT_ENOUGH_DATA_COLUMNS",
        Ordering::Less => "CREATE_VIEW_COLUMN_ARITY_MISMATCH.TOO_MANY_DATA_COLUMNS",
    };
    Err(Error::Condition {
        kind: Kind::InvalidArgument,
        condition,
        sqlstate: "21S01",
        message: format!("the view names {named} columns, and its query gives {given}"),
    })
}

/// `CREATE [OR REPLACE] VIEW [IF NOT EXISTS] name …`.
pub(super) fn create<'a>(session: &'a Session, cursor: &mut Cursor<'_>, replace: bool) -> Result<Work<'a>> {
    let if_not_exists = cursor.if_not_exists();
    let name = cursor.table_name(session)?;
    let text = ViewText::parse(cursor)?;
    Ok(Work::defines(async move {
        access::check_create(session, &name.schema_name(), Privilege::CreateTable).await?;
        let existing = access::table(session, &name, Need::Ownership).await;
        let owner = match existing {
            Ok(view) => view.audit.owner,
            Err(ingot_catalog::Error::NotFound { .. }) => session.context().principal.as_str().to_owned(),
            Err(_) if if_not_exists => return done(),
            Err(error) if replace => return Err(error.into()),
            // There is one of somebody else's: that is what is wrong.
            Err(_) => String::new(),
        };
        let replace = match replace {
            true => Replace::OfOwner(&owner),
            false => Replace::No,
        };
        let (definition, columns) = text.plan_lasting(session, &name).await?;
        let view = NewTable {
            name,
            kind: TableKind::View,
            shallow_clone: false,
            metrics: text.is_metrics(),
            location: None,
            definition: Some(definition),
            definition_namespace: Some(session.namespace()),
            refresh_schedule: None,
            columns,
            constraints: Vec::new(),
            comment: text.comment,
            properties: text.properties,
            filters: TableFilters::default(),
        };
        let principal = session.context().principal.as_str();
        match session
            .engine()
            .metastore()
            .create_view(&view, replace, principal)
            .await
        {
            Ok(_) => done(),
            Err(ingot_catalog::Error::AlreadyExists { .. }) if if_not_exists => done(),
            Err(error) => Err(error.into()),
        }
    }))
}

pub(super) fn recursive(name: &str) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "RECURSIVE_VIEW",
        sqlstate: "42K0H",
        message: format!("view `{name}` would stand on itself"),
    }
}

/// What a DROP names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    Table,
    View,
}

/// `DROP TABLE | VIEW [IF EXISTS] name`. The files of a managed table go later.
pub(super) fn drop<'a>(session: &'a Session, cursor: &mut Cursor<'_>, dropped: Dropped) -> Result<Work<'a>> {
    let if_exists = cursor.if_exists();
    let name = cursor.object_name()?;
    cursor.accept("PURGE");
    cursor.end()?;
    let parts = resolve::parts(&name)?;
    Ok(Work::defines(async move {
        if dropped == Dropped::View && temporary_view::drop(session, &parts) {
            return done();
        }
        if session.temporary_view(&parts).is_some() {
            return Err(wrong_command(
                &name.to_string(),
                "DROP TABLE cannot drop a view; use DROP VIEW",
            ));
        }
        let name = session.resolve(&name)?;
        let metastore = session.engine().metastore();
        let info = match access::table(session, &name, Need::Manage).await {
            Err(error) => return namespace::missing_is_fine::<()>(Err(error), if_exists),
            Ok(info) => info,
        };
        let wrong = match (dropped, info.kind) {
            (Dropped::Table, TableKind::View) => Some("DROP TABLE cannot drop a view; use DROP VIEW"),
            (Dropped::View, kind) if kind != TableKind::View => {
                Some("DROP VIEW cannot drop a table; use DROP TABLE")
            }
            _ => None,
        };
        if let Some(hint) = wrong {
            return Err(wrong_command(&name.to_string(), hint));
        }
        let principal = session.context().principal.as_str();
        metastore.drop_table_by_id(info.id, principal).await?;
        done()
    }))
}

fn wrong_command(name: &str, hint: &str) -> Error {
    Error::Condition {
        kind: Kind::InvalidArgument,
        condition: "WRONG_COMMAND_FOR_OBJECT_TYPE",
        sqlstate: "42809",
        message: format!("`{name}`: {hint}"),
    }
}
