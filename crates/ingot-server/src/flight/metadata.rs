//! What there is: catalogs, schemas, tables, keys, types, as queries of `information_schema`, and what the server is.
//!
//! A description tells the columns and runs nothing; its ticket is the command itself. Catalogs are asked for by their
//! names, schemas and tables by patterns. The columns of tables come from planning a read of each, so they are what the
//! table's rows have. Source: `FlightSql.proto`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::sql::{Command, CommandGetTables};
use arrow_flight::{FlightData, FlightInfo, SchemaResult};
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use ingot_common::port::StatementSession;
use ingot_common::{Kind, RequestContext, ServiceError};

use super::begun::Begun;
use super::call::Call;
use super::command::any;
use super::statement::{encoded, info_of, schema_result as encoded_schema};
use super::{Answers, sql_info, unsupported, xdbc_types};
use crate::listings::{self, Listing, Names};

/// A listing as a command shows it.
struct Shown {
    schema: SchemaRef,
    query: Listing,
    /// Which columns of the query, in the order of the schema's.
    places: &'static [usize],
}

/// What a command about what there is gives.
enum Asked {
    Listing(Shown),
    /// Tables, with their columns.
    Tables(Shown),
    Rows(RecordBatch),
}

/// Describes what a command gives; `ticket` is the command.
pub(super) fn info(command: &Command, ticket: &Bytes) -> Result<FlightInfo, ServiceError> {
    info_of(&asked(command)?.schema(), any(ticket)?)
}

/// Tells the columns of what a command gives.
pub(super) fn schema_result(command: &Command) -> Result<SchemaResult, ServiceError> {
    encoded_schema(&asked(command)?.schema())
}

/// Streams what a command gives.
pub(super) async fn rows(call: &Call, command: Command) -> Result<Answers<FlightData>, ServiceError> {
    let (shown, with_columns) = match asked(&command)? {
        Asked::Rows(batch) => {
            let rows = futures::stream::iter([Ok(batch.clone())]);
            return Ok(encoded(call, batch.schema(), rows));
        }
        Asked::Listing(shown) => (shown, false),
        Asked::Tables(shown) => (shown, true),
    };
    let Shown {
        schema,
        query,
        places,
    } = shown;
    let session = call.session().await?;
    let own = Arc::clone(session.own());
    let (query, parameters) = query;
    let begun = Begun::new(call, session, async move |own, context| {
        own.execute(&context, query, parameters).await
    })?;
    begun.finished().await?;
    let context = call.context.clone();
    let shown = Arc::clone(&schema);
    let rows = begun.rows().then(move |batch| {
        let (own, context, schema) = (Arc::clone(&own), context.clone(), Arc::clone(&shown));
        async move {
            let mut columns = taken(&batch?, places, &schema)?;
            if with_columns {
                columns.push(schemas_of(own.as_ref(), &context, &columns).await?);
            }
            RecordBatch::try_new(schema, columns).map_err(|error| unshown(&error))
        }
        .boxed()
    });
    Ok(encoded(call, schema, rows))
}

impl Asked {
    fn schema(&self) -> SchemaRef {
        match self {
            Self::Listing(shown) | Self::Tables(shown) => Arc::clone(&shown.schema),
            Self::Rows(batch) => batch.schema(),
        }
    }
}

/// Where a listing of foreign keys has the columns of Flight SQL.
const FOREIGN_KEYS: &[usize] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 9, 10];

const ANY_TABLE: [Names<'static>; 3] = [Names::All; 3];

fn table_of<'a>(catalog: Option<&'a str>, schema: Option<&'a str>, table: &'a str) -> [Names<'a>; 3] {
    [named(catalog), named(schema), Names::One(table)]
}

fn asked(command: &Command) -> Result<Asked, ServiceError> {
    let listing = |schema: Vec<Field>, query: Listing, places: &'static [usize]| {
        Asked::Listing(Shown {
            schema: Arc::new(Schema::new(schema)),
            query,
            places,
        })
    };
    Ok(match command {
        Command::CommandGetCatalogs(_) => {
            listing(vec![text("catalog_name", false)], listings::catalogs(), &[0])
        }
        Command::CommandGetDbSchemas(asked) => listing(
            vec![text("catalog_name", true), text("db_schema_name", false)],
            listings::schemas(
                named(asked.catalog.as_deref()),
                like(asked.db_schema_filter_pattern.as_deref()),
            ),
            &[1, 0],
        ),
        Command::CommandGetTables(asked) => tables(asked),
        Command::CommandGetTableTypes(_) => {
            listing(vec![text("table_type", false)], listings::table_types(), &[0])
        }
        Command::CommandGetPrimaryKeys(asked) => {
            let [catalog, schema, table] =
                table_of(asked.catalog.as_deref(), asked.db_schema.as_deref(), &asked.table);
            listing(
                primary_key_fields(),
                listings::primary_keys(catalog, schema, table),
                &[0, 1, 2, 3, 5, 4],
            )
        }
        Command::CommandGetExportedKeys(asked) => {
            let parent = table_of(asked.catalog.as_deref(), asked.db_schema.as_deref(), &asked.table);
            listing(
                foreign_key_fields(),
                listings::foreign_keys(parent, ANY_TABLE),
                FOREIGN_KEYS,
            )
        }
        Command::CommandGetImportedKeys(asked) => {
            let foreign = table_of(asked.catalog.as_deref(), asked.db_schema.as_deref(), &asked.table);
            listing(
                foreign_key_fields(),
                listings::foreign_keys(ANY_TABLE, foreign),
                FOREIGN_KEYS,
            )
        }
        Command::CommandGetCrossReference(asked) => {
            let parent = table_of(
                asked.pk_catalog.as_deref(),
                asked.pk_db_schema.as_deref(),
                &asked.pk_table,
            );
            let foreign = table_of(
                asked.fk_catalog.as_deref(),
                asked.fk_db_schema.as_deref(),
                &asked.fk_table,
            );
            listing(
                foreign_key_fields(),
                listings::foreign_keys(parent, foreign),
                FOREIGN_KEYS,
            )
        }
        Command::CommandGetSqlInfo(asked) => Asked::Rows(sql_info::rows(&asked.info)?),
        Command::CommandGetXdbcTypeInfo(asked) => Asked::Rows(xdbc_types::rows(asked.data_type)?),
        other => {
            let what = other.type_url().rsplit('.').next().unwrap_or_default();
            return Err(unsupported(&format!("commands of the type `{what}`")));
        }
    })
}

fn tables(asked: &CommandGetTables) -> Asked {
    let kinds: Vec<&str> = asked.table_types.iter().map(String::as_str).collect();
    let query = listings::tables(
        named(asked.catalog.as_deref()),
        like(asked.db_schema_filter_pattern.as_deref()),
        like(asked.table_name_filter_pattern.as_deref()),
        &kinds,
    );
    let mut fields = vec![
        text("catalog_name", true),
        text("db_schema_name", true),
        text("table_name", false),
        text("table_type", false),
    ];
    if asked.include_schema {
        fields.push(Field::new("table_schema", DataType::Binary, false));
    }
    let shown = Shown {
        schema: Arc::new(Schema::new(fields)),
        query,
        places: &[0, 1, 2, 3],
    };
    match asked.include_schema {
        true => Asked::Tables(shown),
        false => Asked::Listing(shown),
    }
}

fn named(name: Option<&str>) -> Names<'_> {
    name.map_or(Names::All, Names::One)
}

fn like(pattern: Option<&str>) -> Names<'_> {
    pattern.map_or(Names::All, Names::Like)
}

fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}

fn primary_key_fields() -> Vec<Field> {
    vec![
        text("catalog_name", true),
        text("db_schema_name", true),
        text("table_name", false),
        text("column_name", false),
        text("key_name", true),
        Field::new("key_sequence", DataType::Int32, false),
    ]
}

fn foreign_key_fields() -> Vec<Field> {
    vec![
        text("pk_catalog_name", true),
        text("pk_db_schema_name", true),
        text("pk_table_name", false),
        text("pk_column_name", false),
        text("fk_catalog_name", true),
        text("fk_db_schema_name", true),
        text("fk_table_name", false),
        text("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]
}

/// Takes columns of a listing in the types of the schema.
fn taken(batch: &RecordBatch, places: &[usize], schema: &Schema) -> Result<Vec<ArrayRef>, ServiceError> {
    let columns = places.iter().zip(schema.fields()).map(|(place, field)| {
        let column = batch.columns().get(*place);
        let column = column.ok_or_else(|| ServiceError::new(Kind::Internal, "a listing lacks a column"))?;
        cast(column, field.data_type()).map_err(|error| unshown(&error))
    });
    columns.collect()
}

/// Returns the columns of tables, each schema as a message of Arrow. A view that cannot be read any more has none.
async fn schemas_of(
    session: &dyn StatementSession,
    context: &RequestContext,
    names: &[ArrayRef],
) -> Result<ArrayRef, ServiceError> {
    let names: Vec<&StringArray> = names
        .iter()
        .take(3)
        .map(|column| column.as_string::<i32>())
        .collect();
    let rows = names.first().map_or(0, |column| column.len());
    let mut schemas = BinaryBuilder::new();
    for row in 0..rows {
        let parts = names
            .iter()
            .map(|column| format!("`{}`", column.value(row).replace('`', "``")));
        let name = parts.collect::<Vec<_>>().join(".");
        let described = session.describe(context, format!("SELECT * FROM {name}")).await;
        let schema = match described {
            Ok(described) => described.schema.unwrap_or_else(|| Arc::new(Schema::empty())),
            Err(error) if matches!(error.kind, Kind::Cancelled | Kind::Unavailable) => return Err(error),
            Err(error) => {
                tracing::debug!(
                    name,
                    message = error.message,
                    "a table is listed without its columns"
                );
                Arc::new(Schema::empty())
            }
        };
        schemas.append_value(encoded_schema(&schema)?.schema);
    }
    Ok(Arc::new(schemas.finish()))
}

fn unshown(error: &arrow::error::ArrowError) -> ServiceError {
    ServiceError::new(Kind::Internal, format!("a listing cannot be shown: {error}"))
}
