//! What stands between the name of a dataset and the end of its CREATE.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::dataframe::DataFrame;
use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_catalog::NewConstraint;
use ingot_common::{Kind, TableName};
use ingot_delta::column::{CURRENT_DEFAULT, GENERATION_EXPRESSION, IDENTITY_START};

use super::super::alter::Clustering;
use super::super::column::{ColumnDefinition, bare_column};
use super::super::create_table::{Elements, TableElement, elements};
use super::super::cursor::Cursor;
use super::super::row_filter::{FilterClauses, FunctionClause};
use super::super::{key, view};
use super::{DatasetKind, schedule};
use crate::{Error, Result, Session};

/// See the module's documentation.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    pub kind: DatasetKind,
    pub name: TableName,
    pub if_not_exists: bool,
    /// Columns by their places in the query; those of the query when empty. One without a type has [`DataType::Null`].
    columns: Vec<Field>,
    pub keys: Vec<NewConstraint>,
    pub partition_columns: Vec<String>,
    pub clustering_columns: Option<Vec<Vec<String>>>,
    pub comment: Option<String>,
    pub properties: BTreeMap<String, String>,
    pub schedule: Option<String>,
    pub filters: FilterClauses,
    /// The query, as the statement wrote it.
    pub query: String,
}

impl Definition {
    /// `[IF NOT EXISTS] name [(columns)] clauses… AS query`.
    pub fn parse(session: &Session, cursor: &mut Cursor<'_>, kind: DatasetKind) -> Result<Self> {
        let if_not_exists = cursor.if_not_exists();
        let name = cursor.table_name(session)?;
        let Elements { columns, keys, masks } = match cursor.at_token(&Token::LParen) {
            true => elements(cursor, |cursor| element(session, cursor))?,
            false => Elements::default(),
        };
        let mut definition = Self {
            kind,
            name,
            if_not_exists,
            columns,
            keys,
            partition_columns: Vec::new(),
            clustering_columns: None,
            comment: None,
            properties: BTreeMap::new(),
            schedule: None,
            filters: FilterClauses {
                row_filter: None,
                masks,
            },
            query: String::new(),
        };
        while !cursor.accept("AS") {
            definition.clause(cursor)?;
        }
        definition.query = cursor.query_text()?.to_owned();
        cursor.end()?;
        Ok(definition)
    }

    fn clause(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        if cursor.accept_all(&["PARTITIONED", "BY"]) {
            self.partition_columns = cursor.names_in_parentheses()?;
        } else if cursor.accept_all(&["CLUSTER", "BY"]) {
            self.clustering_columns = Clustering::parse(cursor)?.of_new_table(&mut self.properties);
        } else if cursor.accept("COMMENT") {
            self.comment = Some(cursor.string()?);
        } else if cursor.accept("TBLPROPERTIES") {
            self.properties.extend(cursor.properties()?);
        } else if cursor.accept_all(&["DEFAULT", "COLLATION"]) {
            view::collation(&cursor.name()?)?;
        } else if cursor.accept_all(&["WITH", "ROW", "FILTER"]) {
            self.filters.row_filter = Some(FunctionClause::row_filter(cursor)?);
        } else if let Some(schedule) = schedule::accept(cursor)? {
            self.schedule = Some(schedule);
        } else {
            return Err(cursor.expected(
                "PARTITIONED BY, CLUSTER BY, COMMENT, TBLPROPERTIES, SCHEDULE, TRIGGER ON UPDATE, WITH ROW FILTER or AS",
            ));
        }
        Ok(())
    }

    /// Returns the names of its columns, where the statement gives them.
    pub fn named(&self) -> Option<Vec<String>> {
        let names = self.columns.iter().map(|field| field.name().clone());
        (!self.columns.is_empty()).then(|| names.collect())
    }

    /// Returns the columns that the table has: those of the statement, in the types of the query where it gives none.
    ///
    /// # Errors
    /// `CREATE_VIEW_COLUMN_ARITY_MISMATCH` for more or fewer columns than the query gives.
    pub fn schema(&self, rows: &DataFrame) -> Result<SchemaRef> {
        let given = rows.schema().fields();
        if self.columns.is_empty() {
            let fields = given
                .iter()
                .map(|field| Field::new(field.name(), stored(field.data_type()), true));
            return Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())));
        }
        view::arity(self.columns.len(), given.len())?;
        let fields = self
            .columns
            .iter()
            .zip(given)
            .map(|(column, given)| match column.data_type() {
                DataType::Null => column.clone().with_data_type(stored(given.data_type())),
                _ => column.clone(),
            });
        Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
    }

    /// Returns the partition columns as the table spells them.
    pub fn partition_columns(&self, schema: &Schema) -> Vec<String> {
        let spelled = self.partition_columns.iter().map(|name| {
            let mut fields = schema.fields().iter();
            let found = fields.find(|field| field.name().eq_ignore_ascii_case(name));
            found.map_or_else(|| name.clone(), |field| field.name().clone())
        });
        spelled.collect()
    }
}

/// A column of nulls is one of texts, as in CREATE TABLE AS.
fn stored(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Null => DataType::Utf8,
        other => other.clone(),
    }
}

fn element(session: &Session, cursor: &mut Cursor<'_>) -> Result<TableElement> {
    if key::at_key(cursor) {
        return Ok(TableElement::Key(key::table_key(session, cursor)?));
    }
    let column: ColumnDefinition = bare_column(session, cursor)?;
    let made = [CURRENT_DEFAULT, GENERATION_EXPRESSION, IDENTITY_START];
    if made.iter().any(|key| column.field.metadata().contains_key(*key)) {
        return Err(Error::Condition {
            kind: Kind::InvalidArgument,
            condition: "PARSE_SYNTAX_ERROR",
            sqlstate: "42601",
            message: format!(
                "column `{}`: values come from the query, which has no place for DEFAULT and GENERATED",
                column.field.name()
            ),
        });
    }
    Ok(TableElement::Column(column))
}
