//! `SHOW CREATE TABLE name`: a statement that makes the table or view.
//!
//! Source: Databricks, `SHOW CREATE TABLE`.

use std::collections::BTreeMap;

use arrow::datatypes::Field;
use datafusion::sql::sqlparser::ast::ObjectName;
use ingot_catalog::{Need, TableConstraint, TableInfo, TableKind};
use ingot_common::port::StatementResult;
use ingot_delta::Snapshot;

use super::super::describe::open;
use super::super::{key, text_rows};
use crate::dialect::quoted;
use crate::types::ColumnType;
use crate::{Result, Session, access};

/// Writes the statement.
pub(super) async fn show(session: &Session, name: ObjectName) -> Result<StatementResult> {
    let info = access::table(session, &session.resolve(&name)?, Need::Sight).await?;
    let text = match info.kind {
        TableKind::View if info.metrics => metric_view(&info),
        TableKind::View => view(&info),
        _ => {
            let (_, table) = open(session, &name, Need::Sight).await?;
            let snapshot = table.snapshot().await?;
            let clustered = table.detail().await?.clustering_columns;
            let keys = session.engine().metastore().table_constraints(info.id).await?;
            table_text(&info, &snapshot, &clustered, &keys)
        }
    };
    text_rows(&[("createtab_stmt", vec![text.as_str()])])
}

fn full_name(info: &TableInfo) -> String {
    format!("{}.{}.{}", info.name.catalog, info.name.schema, info.name.table)
}

fn metric_view(info: &TableInfo) -> String {
    let mut text = format!("CREATE VIEW {}\nWITH METRICS\nLANGUAGE YAML\n", full_name(info));
    if let Some(comment) = &info.comment {
        text += &format!("COMMENT {}\n", literal(comment));
    }
    text += &properties(&info.properties);
    let definition = info.definition.as_deref().unwrap_or_default();
    text + &format!("AS {}\n", dollar_quoted(definition))
}

/// Writes a text between dollars, with a tag that does not end it too early.
fn dollar_quoted(text: &str) -> String {
    let mut tag = String::new();
    loop {
        let quote = format!("${tag}$");
        let quoted = format!("{text}{quote}");
        if quoted.find(&quote) == Some(text.len()) {
            return quote + &quoted;
        }
        tag.push('q');
    }
}

fn view(info: &TableInfo) -> String {
    let columns: Vec<String> = info
        .columns
        .iter()
        .map(|column| match &column.comment {
            Some(comment) => format!("  {} COMMENT {}", quoted(&column.name), literal(comment)),
            None => format!("  {}", quoted(&column.name)),
        })
        .collect();
    let mut text = format!("CREATE VIEW {} (\n{})\n", full_name(info), columns.join(",\n"));
    if let Some(comment) = &info.comment {
        text += &format!("COMMENT {}\n", literal(comment));
    }
    text += &properties(&info.properties);
    text + &format!("AS {}\n", info.definition.as_deref().unwrap_or_default())
}

fn table_text(
    info: &TableInfo,
    snapshot: &Snapshot,
    clustered: &[String],
    keys: &[TableConstraint],
) -> String {
    let mut columns: Vec<String> = snapshot
        .schema()
        .fields()
        .iter()
        .map(|field| {
            let mut column = format!("  {} {}", quoted(field.name()), sql_type(field));
            if !field.is_nullable() {
                column += " NOT NULL";
            }
            if let Some(comment) = field.metadata().get("comment") {
                column += &format!(" COMMENT {}", literal(comment));
            }
            column
        })
        .collect();
    let keys = keys.iter();
    columns.extend(keys.map(|key| format!("  CONSTRAINT {} {}", quoted(&key.name), key::text(key))));
    let (kind, format) = match info.kind {
        TableKind::MaterializedView => ("MATERIALIZED VIEW", ""),
        TableKind::StreamingTable => ("STREAMING TABLE", ""),
        _ => ("TABLE", "USING delta\n"),
    };
    let mut text = format!(
        "CREATE {kind} {} (\n{})\n{format}",
        full_name(info),
        columns.join(",\n")
    );
    let names = |columns: &[String]| {
        columns
            .iter()
            .map(|column| quoted(column))
            .collect::<Vec<_>>()
            .join(", ")
    };
    if !snapshot.partition_columns().is_empty() {
        text += &format!("PARTITIONED BY ({})\n", names(snapshot.partition_columns()));
    }
    if !clustered.is_empty() {
        text += &format!("CLUSTER BY ({})\n", names(clustered));
    }
    if let Some(location) = info
        .location
        .as_ref()
        .filter(|_| info.kind == TableKind::External)
    {
        text += &format!("LOCATION {}\n", literal(location));
    }
    if let Some(comment) = &info.comment {
        text += &format!("COMMENT {}\n", literal(comment));
    }
    text += &properties(snapshot.properties());
    if let Some(schedule) = &info.refresh_schedule {
        let word = if schedule.starts_with("TRIGGER") {
            ""
        } else {
            "SCHEDULE "
        };
        text += &format!("{word}{schedule}\n");
    }
    match &info.definition {
        Some(query) => text + &format!("AS {query}\n"),
        None => text,
    }
}

fn sql_type(field: &Field) -> String {
    let text = ColumnType::of(field).to_string();
    // Names of fields keep their case.
    match text.contains("struct<") {
        true => text,
        false => text.to_uppercase(),
    }
}

fn properties(properties: &BTreeMap<String, String>) -> String {
    if properties.is_empty() {
        return String::new();
    }
    let properties: Vec<String> = properties
        .iter()
        .map(|(key, value)| format!("  {} = {}", literal(key), literal(value)))
        .collect();
    format!("TBLPROPERTIES (\n{})\n", properties.join(",\n"))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::tokenizer::Token;
    use test_case::test_case;

    use super::*;

    #[test_case("version: 1.1", "$$version: 1.1$$")]
    #[test_case("costs $5", "$$costs $5$$")]
    #[test_case("'$$'", "$q$'$$'$q$")]
    #[test_case("ends with $", "$q$ends with $$q$")]
    #[test_case("$$ and $q$", "$qq$$$ and $q$$qq$")]
    fn a_text_between_dollars_is_read_as_it_was(text: &str, expected: &str) {
        let quoted = dollar_quoted(text);
        assert_eq!(quoted, expected);
        let read = crate::dialect::parser(&quoted)
            .expect("tokens")
            .peek_token()
            .token;
        match read {
            Token::DollarQuotedString(read) => assert_eq!(read.value, text),
            other => panic!("`{other}`"),
        }
    }
}
