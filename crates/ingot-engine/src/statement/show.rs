//! `SHOW CATALOGS | SCHEMAS | TABLES | VIEWS | COLUMNS | TBLPROPERTIES | TABLE EXTENDED | CREATE TABLE | PARTITIONS |
//! FUNCTIONS | VOLUMES | GRANTS`.

mod create_table;
mod extended;
mod functions;
mod partitions;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, StringArray};
use arrow::datatypes::{DataType, Field};
use datafusion::sql::sqlparser::ast::ObjectName;
use datafusion::sql::sqlparser::tokenizer::Token;
use ingot_catalog::{Need, Page, TableKind};
use ingot_common::SchemaName;

use super::cursor::Cursor;
use super::describe::{columns_of, open};
use super::namespace::schema_name;
use super::{Work, grant, rows, text_rows, volume};
use crate::session::identifier;
use crate::{Result, Session, access, resolve, system_tables};

/// Parses the statement.
pub(super) fn parse<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    if cursor.accept("CATALOGS") {
        return catalogs(session, cursor);
    }
    if cursor.accept("SCHEMAS") || cursor.accept("DATABASES") {
        return schemas(session, cursor);
    }
    if cursor.accept("TABLES") {
        return tables(session, cursor, false);
    }
    if cursor.accept("VIEWS") {
        return tables(session, cursor, true);
    }
    if cursor.accept("COLUMNS") {
        return columns(session, cursor);
    }
    if cursor.accept("TBLPROPERTIES") {
        return properties(session, cursor);
    }
    if cursor.accept_all(&["TABLE", "EXTENDED"]) {
        let schema = in_schema(session, cursor)?;
        cursor.expect("LIKE")?;
        let pattern = Pattern(Some(cursor.string()?.to_lowercase()));
        cursor.end()?;
        return Ok(Work::reads(extended::tables(session, schema, pattern)));
    }
    if cursor.accept_all(&["CREATE", "TABLE"]) {
        let name = cursor.object_name()?;
        cursor.end()?;
        return Ok(Work::reads(create_table::show(session, name)));
    }
    if cursor.accept("PARTITIONS") {
        let name = cursor.table_or_path()?;
        cursor.end()?;
        return Ok(Work::reads(partitions::show(session, name)).heavy());
    }
    for kind in ["USER", "SYSTEM", "ALL"] {
        if cursor.accept_all(&[kind, "FUNCTIONS"]) {
            let shown = functions::Shown {
                system: kind != "USER",
                user: kind != "SYSTEM",
            };
            return functions::show(session, cursor, shown);
        }
    }
    if cursor.accept("FUNCTIONS") {
        let shown = functions::Shown {
            system: true,
            user: true,
        };
        return functions::show(session, cursor, shown);
    }
    if cursor.accept("VOLUMES") {
        let schema = in_schema(session, cursor)?;
        let pattern = pattern(cursor)?;
        cursor.end()?;
        return Ok(Work::reads(volume::show(session, schema, pattern)));
    }
    if cursor.accept("GRANTS") || cursor.accept("GRANT") {
        return grant::show(session, cursor);
    }
    Err(cursor.expected(
        "CATALOGS, SCHEMAS, TABLES, TABLE EXTENDED, VIEWS, COLUMNS, CREATE TABLE, TBLPROPERTIES, PARTITIONS, FUNCTIONS, \
         VOLUMES or GRANTS",
    ))
}

/// `SHOW TBLPROPERTIES t [('key')]`: those of a table or view, and what a table's protocol says, as Spark shows it.
fn properties<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let name = cursor.object_name()?;
    let key = match cursor.at_token(&Token::LParen) {
        true => cursor.in_parentheses(Cursor::property_key)?.pop(),
        false => None,
    };
    cursor.end()?;
    Ok(Work::reads(async move {
        let mut shown = match view_properties(session, &name).await? {
            Some(properties) => properties,
            None => table_properties(session, &name).await?,
        };
        if let Some(key) = key {
            let missing = || format!("Table {name} does not have property: {key}");
            let value = shown.get(&key).cloned().unwrap_or_else(missing);
            shown = [(key, value)].into();
        }
        text_rows(&[
            ("key", shown.keys().map(String::as_str).collect()),
            ("value", shown.values().map(String::as_str).collect()),
        ])
    }))
}

/// Returns the properties of a view; `None` when the name is no view's.
async fn view_properties(session: &Session, name: &ObjectName) -> Result<Option<BTreeMap<String, String>>> {
    if let Some(view) = session.temporary_view(&resolve::parts(name)?) {
        return Ok(Some(view.properties.clone()));
    }
    if resolve::delta_path(name)?.is_some() {
        return Ok(None);
    }
    let info = access::table(session, &session.resolve(name)?, Need::Sight).await?;
    Ok((info.kind == TableKind::View).then_some(info.properties))
}

async fn table_properties(session: &Session, name: &ObjectName) -> Result<BTreeMap<String, String>> {
    let (_, table) = open(session, name, Need::Sight).await?;
    let snapshot = table.snapshot().await?;
    let protocol = snapshot.protocol();
    let mut shown = snapshot.properties().clone();
    shown.insert(
        "delta.minReaderVersion".to_owned(),
        protocol.min_reader_version.to_string(),
    );
    shown.insert(
        "delta.minWriterVersion".to_owned(),
        protocol.min_writer_version.to_string(),
    );
    if let Some(columns) = snapshot
        .clustering_columns()?
        .filter(|columns| !columns.is_empty())
    {
        // A list of paths, without spaces: clients cut it at the commas.
        let columns = serde_json::Value::from_iter(columns).to_string();
        shown.insert("clusteringColumns".to_owned(), columns);
    }
    for feature in protocol.writer_features.iter().flatten() {
        shown.insert(format!("delta.feature.{feature}"), "supported".to_owned());
    }
    Ok(shown)
}

fn catalogs<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let pattern = pattern(cursor)?;
    cursor.end()?;
    Ok(Work::reads(async move {
        let catalogs = session
            .engine()
            .metastore()
            .list_catalogs(&Page::default())
            .await?;
        let sight = access::sight(session).await?;
        let catalogs = catalogs.iter().filter(|catalog| sight.sees(*catalog));
        let names = catalogs.map(|catalog| catalog.name.as_str());
        text_rows(&[("catalog", names.filter(|name| pattern.matches(name)).collect())])
    }))
}

fn schemas<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let catalog = match cursor.accept("IN") || cursor.accept("FROM") {
        true => identifier(&cursor.name()?)?,
        false => session.namespace().catalog,
    };
    let pattern = pattern(cursor)?;
    cursor.end()?;
    Ok(Work::reads(async move {
        let schemas = session
            .engine()
            .metastore()
            .list_schemas(&catalog, &Page::default())
            .await?;
        let sight = access::sight(session).await?;
        let schemas = schemas.iter().filter(|schema| sight.sees(*schema));
        let names = schemas.map(|schema| schema.name.schema.as_str());
        text_rows(&[(
            "databaseName",
            names.filter(|name| pattern.matches(name)).collect(),
        )])
    }))
}

/// What SHOW TABLES and SHOW VIEWS say of one.
struct Listed<'a> {
    schema: &'a str,
    name: &'a str,
    temporary: bool,
    materialized: bool,
}

fn tables<'a>(session: &'a Session, cursor: &mut Cursor<'_>, views: bool) -> Result<Work<'a>> {
    let schema = in_schema(session, cursor)?;
    let pattern = pattern(cursor)?;
    cursor.end()?;
    Ok(Work::reads(async move {
        let tables = session
            .engine()
            .metastore()
            .list_tables(&schema, &Page::default())
            .await?;
        let sight = access::sight(session).await?;
        let shown = |table: &&ingot_catalog::TableInfo| {
            let view = matches!(table.kind, TableKind::View | TableKind::MaterializedView);
            (!views || view) && pattern.matches(table.name.table.as_str()) && sight.sees(*table)
        };
        let mut temporary = session.temporary_views().all();
        temporary.retain(|view| pattern.matches(&view.name));
        let names = tables.iter().filter(shown).map(|table| Listed {
            schema: schema.schema.as_str(),
            name: table.name.table.as_str(),
            temporary: false,
            materialized: table.kind == TableKind::MaterializedView,
        });
        let made = system_tables::list(&schema)?;
        let made = made
            .iter()
            .filter(|table| !views && pattern.matches(table.name.table.as_str()))
            .map(|table| Listed {
                schema: schema.schema.as_str(),
                name: table.name.table.as_str(),
                temporary: false,
                materialized: false,
            });
        let own = temporary.iter().map(|view| Listed {
            schema: "",
            name: view.name.as_str(),
            temporary: true,
            materialized: false,
        });
        let mut listed: Vec<Listed<'_>> = names.chain(made).chain(own).collect();
        listed.sort_by_key(|shown| shown.name);
        let all = || listed.iter();
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(all().map(|shown| Some(shown.schema)).collect::<StringArray>()),
            Arc::new(all().map(|shown| Some(shown.name)).collect::<StringArray>()),
            Arc::new(all().map(|shown| Some(shown.temporary)).collect::<BooleanArray>()),
        ];
        let (namespace, name) = if views {
            ("namespace", "viewName")
        } else {
            ("database", "tableName")
        };
        let mut fields = vec![
            Field::new(namespace, DataType::Utf8, false),
            Field::new(name, DataType::Utf8, false),
            Field::new("isTemporary", DataType::Boolean, false),
        ];
        if views {
            fields.push(Field::new("isMaterialized", DataType::Boolean, false));
            columns.push(Arc::new(
                all()
                    .map(|shown| Some(shown.materialized))
                    .collect::<BooleanArray>(),
            ));
        }
        rows(fields, columns)
    }))
}

fn columns<'a>(session: &'a Session, cursor: &mut Cursor<'_>) -> Result<Work<'a>> {
    let _ = cursor.accept("IN") || cursor.accept("FROM");
    let name = cursor.object_name()?;
    cursor.end()?;
    Ok(Work::reads(async move {
        let fields = columns_of(session, &name).await?;
        let names = fields.iter().map(|field| field.name().as_str());
        text_rows(&[("col_name", names.collect())])
    }))
}

fn in_schema(session: &Session, cursor: &mut Cursor<'_>) -> Result<SchemaName> {
    match cursor.accept("IN") || cursor.accept("FROM") {
        true => schema_name(session, &cursor.object_name()?),
        false => Ok(session.namespace()),
    }
}

/// Takes `[LIKE] 'pattern'`.
fn pattern(cursor: &mut Cursor<'_>) -> Result<Pattern> {
    let like = cursor.accept("LIKE");
    if like || !(cursor.at_end() || cursor.accept_token(&Token::EOF)) {
        return Ok(Pattern(Some(cursor.string()?.to_lowercase())));
    }
    Ok(Pattern(None))
}

/// A pattern of SHOW: `*` stands for any text, `|` for alternatives. Source: Databricks, `SHOW TABLES`.
pub(super) struct Pattern(Option<String>);

impl Pattern {
    pub fn matches(&self, name: &str) -> bool {
        let Some(pattern) = &self.0 else { return true };
        pattern
            .split('|')
            .any(|pattern| glob(&pattern.replace('%', "*"), name))
    }
}

/// Says if `name` is `pattern`, in which `*` stands for any text. Each piece between the stars is taken where it
/// comes first: if that leaves no match, no later place would.
fn glob(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let Some(last) = pieces.next_back() else {
        return rest.is_empty();
    };
    for piece in pieces {
        let Some(place) = rest.find(piece) else {
            return false;
        };
        rest = &rest[place + piece.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("flights*", "flights_raw", true)]
    #[test_case("*raw", "flights_raw", true)]
    #[test_case("a|b*", "bcd", true)]
    #[test_case("flights", "flights_raw", false)]
    #[test_case("*", "", true)]
    #[test_case("a*a", "a", false)]
    #[test_case("a*b*c", "axbybzc", true)]
    #[test_case("*b*", "abc", true)]
    #[test_case("a*bc", "abcbd", false)]
    fn pattern_matches(pattern: &str, name: &str, expected: bool) {
        assert_eq!(Pattern(Some(pattern.to_owned())).matches(name), expected);
    }

    #[test]
    fn many_stars_take_no_longer_than_the_name() {
        assert!(!glob(&"*a".repeat(200), &"a".repeat(199)));
    }
}
