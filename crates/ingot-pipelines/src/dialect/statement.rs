//! Statements.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::tokenizer::Token;

use super::cursor::{Cursor, Lexeme, SourceFile, lex};
use super::query;
use crate::Result;
use crate::definition::{
    CdcFlow, Columns, Dataset, DatasetKind, Definition, Expectation, OnViolation, Reference, ScdType,
};
use crate::text::FilledText;

/// Reads all statements of a file.
///
/// # Errors
/// `InvalidArgument`, with the place.
pub(crate) fn parse(text: &FilledText, namespace: &ingot_common::SchemaName) -> Result<Vec<Definition>> {
    let file = SourceFile { text, namespace };
    let lexemes = lex(&file)?;
    lexemes
        .split(|lexeme| lexeme.token == Token::SemiColon)
        .filter(|statement| !statement.is_empty())
        .map(|statement| definition(file, statement))
        .collect()
}

fn definition(file: SourceFile<'_>, lexemes: &[Lexeme]) -> Result<Definition> {
    let mut cursor = Cursor::new(file, lexemes);
    cursor.expect("CREATE")?;
    let parsed = if cursor.accept("FLOW") {
        Definition::Cdc(cdc_flow(&mut cursor)?)
    } else {
        cursor.expect("OR REFRESH")?;
        cursor.accept("PRIVATE");
        let kind = if cursor.accept("STREAMING TABLE") {
            DatasetKind::StreamingTable
        } else if cursor.accept("MATERIALIZED VIEW") {
            DatasetKind::MaterializedView
        } else {
            return Err(cursor.expected("STREAMING TABLE or MATERIALIZED VIEW"));
        };
        Definition::Dataset(dataset(&mut cursor, kind)?)
    };
    match cursor.peek() {
        None => Ok(parsed),
        Some(_) => Err(cursor.expected("the end of the statement")),
    }
}

fn dataset(cursor: &mut Cursor<'_>, kind: DatasetKind) -> Result<Dataset> {
    cursor.accept("IF NOT EXISTS");
    let Reference { name, place } = cursor.table_name()?;
    let mut dataset = Dataset {
        name,
        kind,
        query: None,
        expectations: Vec::new(),
        partition_columns: Vec::new(),
        comment: None,
        properties: BTreeMap::new(),
        place,
    };
    if cursor.accept_token(&Token::LParen) {
        dataset.expectations = expectations(cursor)?;
    }
    loop {
        if cursor.accept("PARTITIONED BY") {
            dataset.partition_columns = cursor.columns()?;
        } else if cursor.accept("COMMENT") {
            dataset.comment = Some(cursor.quoted_text()?);
        } else if cursor.accept("TBLPROPERTIES") {
            dataset.properties = properties(cursor)?;
        } else {
            break;
        }
    }
    if cursor.accept("AS") {
        let place = cursor.place();
        let query = query::parse(cursor)?;
        let streams = !query.sources.is_empty();
        let wrong = |message: &str| crate::Error::Definition {
            place,
            message: message.to_owned(),
        };
        match kind {
            DatasetKind::StreamingTable if !streams => {
                return Err(wrong("a streaming table reads at least one STREAM"));
            }
            DatasetKind::MaterializedView if streams => {
                return Err(wrong("a materialized view reads no STREAM"));
            }
            _ => dataset.query = Some(query),
        }
    } else if kind == DatasetKind::MaterializedView {
        return Err(cursor.expected("AS"));
    }
    Ok(dataset)
}

/// Reads the rest of `(CONSTRAINT …, …)`.
fn expectations(cursor: &mut Cursor<'_>) -> Result<Vec<Expectation>> {
    let mut expectations = Vec::new();
    loop {
        if !cursor.accept("CONSTRAINT") {
            return Err(cursor.expected("CONSTRAINT (columns and their types come from the query)"));
        }
        let name = cursor.word("the expectation's name")?;
        cursor.expect("EXPECT")?;
        let condition = cursor.parenthesised()?.to_owned();
        let on_violation = if cursor.accept("ON VIOLATION DROP ROW") {
            OnViolation::DropRow
        } else if cursor.accept("ON VIOLATION FAIL UPDATE") {
            OnViolation::FailUpdate
        } else {
            OnViolation::Keep
        };
        expectations.push(Expectation {
            name,
            condition,
            on_violation,
        });
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(expectations)
}

fn properties(cursor: &mut Cursor<'_>) -> Result<BTreeMap<String, String>> {
    cursor.expect_token(&Token::LParen)?;
    let mut properties = BTreeMap::new();
    loop {
        let key = cursor.quoted_text()?;
        cursor.expect_token(&Token::Eq)?;
        properties.insert(key, cursor.quoted_text()?);
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(properties)
}

fn cdc_flow(cursor: &mut Cursor<'_>) -> Result<CdcFlow> {
    let place = cursor.place();
    let name = cursor.table_name()?.name.table.to_string();
    cursor.expect("AS AUTO CDC INTO")?;
    let target = cursor.table_name()?;
    cursor.expect("FROM STREAM")?;
    let parenthesis = cursor.accept_token(&Token::LParen);
    let source = cursor.table_name()?;
    if parenthesis {
        cursor.expect_token(&Token::RParen)?;
    }
    cursor.expect("KEYS")?;
    let keys = cursor.columns()?;
    let delete_when = cursor
        .accept("APPLY AS DELETE WHEN")
        .then(|| cursor.text_until(&["SEQUENCE", "COLUMNS", "STORED"]).to_owned());
    cursor.expect("SEQUENCE BY")?;
    let sequence_by = cursor.word("the column to sequence by")?;
    let columns = if cursor.accept("COLUMNS") {
        columns(cursor)?
    } else {
        Columns::All
    };
    let stored_as = stored_as(cursor)?;
    Ok(CdcFlow {
        name,
        target,
        source,
        keys,
        sequence_by,
        delete_when,
        columns,
        stored_as,
        place,
    })
}

fn stored_as(cursor: &mut Cursor<'_>) -> Result<ScdType> {
    if !cursor.accept("STORED AS SCD TYPE") {
        return Ok(ScdType::One);
    }
    match cursor.next().map(|lexeme| lexeme.token.to_string()).as_deref() {
        Some("1") => Ok(ScdType::One),
        Some("2") => {
            let track = if cursor.accept("TRACK HISTORY ON") {
                columns(cursor)?
            } else {
                Columns::All
            };
            Ok(ScdType::Two { track })
        }
        _ => Err(cursor.error("SCD TYPE is 1 or 2")),
    }
}

/// Reads `(a, b)`, `*` or `* EXCEPT (a, b)`.
fn columns(cursor: &mut Cursor<'_>) -> Result<Columns> {
    if !cursor.accept_token(&Token::Mul) {
        return Ok(Columns::Only(cursor.columns()?));
    }
    if cursor.accept("EXCEPT") {
        return Ok(Columns::Except(cursor.columns()?));
    }
    Ok(Columns::All)
}

#[cfg(test)]
mod tests {
    use ingot_common::{Identifier, SchemaName};
    use test_case::test_case;

    use super::*;
    use crate::definition::{Query, StreamOrigin};

    fn parsed(text: &str) -> Result<Vec<Definition>> {
        let part = |text| Identifier::new(text).expect("name");
        let text = FilledText::new("a.sql", text, &BTreeMap::new()).expect("filled");
        parse(&text, &SchemaName::new(part("main"), part("default")))
    }

    fn only_dataset(text: &str) -> Dataset {
        match parsed(text).expect("parses").pop() {
            Some(Definition::Dataset(dataset)) => dataset,
            other => panic!("{other:?}"),
        }
    }

    fn query_of(text: &str) -> Query {
        only_dataset(text).query.expect("a query")
    }

    #[test]
    fn streams_become_relations() {
        let query = query_of(
            "CREATE OR REFRESH STREAMING TABLE silver.f AS\n\
             WITH x AS (SELECT 1 AS one)\n\
             SELECT r.v, p.w FROM STREAM bronze.raw r JOIN bronze.planes AS p ON r.id = p.id JOIN x ON true",
        );
        assert!(query.text.contains("FROM __stream_0 r JOIN"), "{}", query.text);
        let names: Vec<_> = query
            .relations
            .iter()
            .map(|reference| reference.name.to_string())
            .collect();
        assert_eq!(names, ["main.bronze.planes"]);
        assert!(
            matches!(&query.sources[0].origin, StreamOrigin::Table { reference, .. } if reference.name.to_string() == "main.bronze.raw")
        );
    }

    #[test]
    fn a_stream_keeps_the_name_of_its_table() {
        let query = query_of(
            "CREATE OR REFRESH STREAMING TABLE f AS SELECT raw.v FROM STREAM(bronze.raw) WHERE raw.v > 1",
        );
        assert_eq!(
            query.text,
            "SELECT raw.v FROM __stream_0 AS `raw` WHERE raw.v > 1"
        );
    }

    #[test_case("STREAM b.raw WITH (readChangeFeed = true, 'startingVersion' 0) AS r"; "after the name")]
    #[test_case("STREAM(b.raw WITH ('readChangeFeed' = 'true', startingVersion = 0)) AS r"; "in parentheses")]
    fn a_table_is_streamed_with_options(stream: &str) {
        let query = query_of(&format!(
            "CREATE OR REFRESH STREAMING TABLE f AS SELECT r.v FROM {stream} WHERE r.v > 1"
        ));
        let StreamOrigin::Table { options, .. } = &query.sources[0].origin else {
            panic!("no table");
        };
        let options: Vec<_> = options
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(options, ["readChangeFeed=true", "startingVersion=0"]);
        assert_eq!(query.text, "SELECT r.v FROM __stream_0 AS r WHERE r.v > 1");
    }

    #[test]
    fn kafka_options_are_sparks() {
        let query = query_of(
            "CREATE OR REFRESH STREAMING TABLE f AS SELECT * FROM STREAM read_kafka(\n\
             bootstrapServers => 'h:1', subscribe => 'flights', `kafka.client.id` => 'x', maxOffsetsPerTrigger => 5)",
        );
        let StreamOrigin::Kafka(options) = &query.sources[0].origin else {
            panic!("not kafka");
        };
        let options: Vec<_> = options
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            options,
            [
                "kafka.bootstrap.servers=h:1",
                "kafka.client.id=x",
                "maxOffsetsPerTrigger=5",
                "subscribe=flights"
            ]
        );
        assert_eq!(query.text, "SELECT * FROM __stream_0");
    }

    #[test]
    fn files_are_streamed_with_their_options() {
        let query = query_of(
            "CREATE OR REFRESH STREAMING TABLE f AS SELECT * FROM STREAM read_files(\n\
             '/landing', format => 'csv', header => true, maxFilesPerTrigger => 5) WHERE a > 1",
        );
        let StreamOrigin::Files { path, options } = &query.sources[0].origin else {
            panic!("not files");
        };
        assert_eq!(path, "/landing");
        let options: Vec<_> = options
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(options, ["format=csv", "header=true", "maxFilesPerTrigger=5"]);
        assert_eq!(query.text, "SELECT * FROM __stream_0 WHERE a > 1");
    }

    #[test]
    fn expectations_and_clauses_are_read() {
        let dataset = only_dataset(
            "CREATE OR REFRESH STREAMING TABLE f (\n\
             CONSTRAINT a EXPECT (x > (1 + 2)),\n\
             CONSTRAINT b EXPECT (y IS NOT NULL) ON VIOLATION DROP ROW,\n\
             CONSTRAINT c EXPECT (z) ON VIOLATION FAIL UPDATE)\n\
             PARTITIONED BY (month) COMMENT 'text' TBLPROPERTIES ('delta.checkpointInterval' = '5')\n\
             AS SELECT * FROM STREAM g",
        );
        let found: Vec<_> = dataset
            .expectations
            .iter()
            .map(|expectation| (expectation.condition.as_str(), expectation.on_violation))
            .collect();
        assert_eq!(
            found,
            [
                ("x > (1 + 2)", OnViolation::Keep),
                ("y IS NOT NULL", OnViolation::DropRow),
                ("z", OnViolation::FailUpdate),
            ]
        );
        assert_eq!(dataset.partition_columns, ["month"]);
        assert_eq!(dataset.comment.as_deref(), Some("text"));
        assert_eq!(dataset.properties.len(), 1);
    }

    #[test]
    fn a_flow_of_changes_is_read() {
        let text = "CREATE FLOW d AS AUTO CDC INTO gold.dim FROM STREAM(silver.f) KEYS (tailnum)\n\
                    APPLY AS DELETE WHEN gone = true SEQUENCE BY at COLUMNS * EXCEPT (gone)\n\
                    STORED AS SCD TYPE 2 TRACK HISTORY ON (carrier)";
        let Some(Definition::Cdc(flow)) = parsed(text).expect("parses").pop() else {
            panic!("not a flow");
        };
        assert_eq!(flow.keys, ["tailnum"]);
        assert_eq!(flow.delete_when.as_deref(), Some("gone = true"));
        assert_eq!(flow.sequence_by, "at");
        assert_eq!(flow.columns, Columns::Except(vec!["gone".to_owned()]));
        let track = Columns::Only(vec!["carrier".to_owned()]);
        assert_eq!(flow.stored_as, ScdType::Two { track });
    }

    #[test_case("SELECT 1", "a.sql:1:1: expected CREATE, found `SELECT`"; "not a definition")]
    #[test_case("CREATE OR REFRESH TABLE t AS SELECT 1", "a.sql:1:19: expected STREAMING TABLE"; "another kind")]
    #[test_case("CREATE OR REFRESH STREAMING TABLE t AS SELECT 1", "reads at least one STREAM"; "no stream")]
    #[test_case("CREATE OR REFRESH MATERIALIZED VIEW t AS SELECT * FROM STREAM s", "reads no STREAM"; "stream in a view")]
    #[test_case("CREATE OR REFRESH STREAMING TABLE t AS SELECT * FROM STREAM range(5)", "cannot be streamed"; "another function")]
    #[test_case("CREATE OR REFRESH STREAMING TABLE t AS SELECT * FROM STREAM read_files(x)", "a.sql:1:72: expected a text in quotes"; "files without a path")]
    #[test_case("CREATE OR REFRESH STREAMING TABLE t AS\nSELECT * FROM STREAM s WHERE (", "a.sql:2:31: in this query"; "broken query")]
    #[test_case("CREATE OR REFRESH STREAMING TABLE t AS\nSELECT *\nFROM STREAM(s) JOIN a.b.c.d", "a.sql:3:21: `a.b.c.d` is no table's name"; "long name in a query")]
    #[test_case("CREATE OR REFRESH STREAMING TABLE a.b.c.d AS SELECT 1", "has 4 parts"; "long name")]
    fn mistakes_are_placed(text: &str, message: &str) {
        let error = parsed(text).expect_err("a mistake").to_string();
        assert!(error.contains(message), "{error}");
    }
}
