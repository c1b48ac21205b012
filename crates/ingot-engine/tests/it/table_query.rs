//! Tables as the data API reads them: filters, groups, changes, and pages while others write.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use ingot_common::port::{
    Aggregate, AggregateFunction, Aggregation, Filter, FilterOperator, FilterValue, OrderBy, PageRequest,
    RowPosition, StatementService, TableQuery, TableReader, TableRequest, TableVersion,
};
use ingot_common::{Kind, Principal, RequestContext, ServiceError, TableName};
use ingot_engine::{Engine, Session};
use tempfile::TempDir;
use test_case::test_case;

use crate::sql::{open, rows, run};
use crate::support::{self, Random};

fn request(table: &str, version: TableVersion) -> TableRequest {
    TableRequest {
        table: TableName::parse(&format!("main.default.{table}")).expect("a name"),
        version,
        changes_since: None,
    }
}

async fn reader(engine: &Engine, request: TableRequest) -> Result<Arc<dyn TableReader>, ServiceError> {
    let context = RequestContext::new(Principal::new("tester"));
    engine.open_table(&context, request).await
}

async fn opened(engine: &Engine, table: &str, version: TableVersion) -> Arc<dyn TableReader> {
    reader(engine, request(table, version)).await.expect("opened")
}

/// Rows, their values joined by `|`.
fn shown(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::new().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).expect("printable"))
            .collect();
        for row in 0..batch.num_rows() {
            let values: Vec<String> = columns
                .iter()
                .map(|column| column.value(row).to_string())
                .collect();
            rows.push(values.join("|"));
        }
    }
    rows
}

async fn read(reader: &dyn TableReader, query: TableQuery) -> Result<Vec<String>, ServiceError> {
    let result = reader.rows(query).await?;
    let batches: Vec<RecordBatch> = result.batches.try_collect().await?;
    Ok(shown(&batches))
}

fn filter(column: &str, operator: FilterOperator, value: &str) -> Filter {
    let value = match operator {
        FilterOperator::In | FilterOperator::NotIn => {
            FilterValue::Texts(value.split(',').map(str::to_owned).collect())
        }
        _ => FilterValue::Text(value.to_owned()),
    };
    Filter {
        column: column.to_owned(),
        operator,
        value,
    }
}

fn order(columns: &[&str]) -> Vec<OrderBy> {
    let parse = |column: &&str| OrderBy {
        column: column.trim_start_matches('-').to_owned(),
        descending: column.starts_with('-'),
    };
    columns.iter().map(parse).collect()
}

fn aggregate(function: AggregateFunction, column: Option<&str>, name: &str) -> Aggregate {
    Aggregate {
        function,
        column: column.map(str::to_owned),
        name: name.to_owned(),
    }
}

async fn flights() -> (TempDir, Engine, Session) {
    let (directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id BIGINT, carrier STRING, delay DOUBLE, price DECIMAL(10, 2), day DATE)",
            "INSERT INTO t VALUES (1, 'UA', 10.5, 1.50, '2024-01-01'), (2, 'AA', NULL, 2.25, '2024-01-02'), \
             (3, NULL, -3.0, NULL, '2024-01-03'), (4, 'u_', 0.0, 1.50, NULL)",
        ],
    )
    .await;
    (directory, engine, session)
}

#[test_case(&[("carrier", FilterOperator::Eq, "UA")], "1"; "equal")]
#[test_case(&[("carrier", FilterOperator::NotEq, "UA")], "2,4"; "unequal")]
#[test_case(&[("DELAY", FilterOperator::GtEq, "0")], "1,4"; "at least, in any case")]
#[test_case(&[("delay", FilterOperator::Lt, "10.5"), ("delay", FilterOperator::Gt, "-3")], "4"; "between")]
#[test_case(&[("id", FilterOperator::In, "1,3,9")], "1,3"; "one of")]
#[test_case(&[("id", FilterOperator::NotIn, "1,3,9")], "2,4"; "none of")]
#[test_case(&[("carrier", FilterOperator::Like, "U%")], "1"; "pattern")]
#[test_case(&[("carrier", FilterOperator::ILike, "u%")], "1,4"; "pattern in any case")]
#[test_case(&[("carrier", FilterOperator::Like, "u\\_")], "4"; "escaped pattern")]
#[test_case(&[("price", FilterOperator::Eq, "1.5")], "1,4"; "decimal")]
#[test_case(&[("day", FilterOperator::LtEq, "2024-01-02")], "1,2"; "date")]
#[test_case(&[("carrier", FilterOperator::IsNull, "true")], "3"; "null")]
#[test_case(&[("day", FilterOperator::IsNull, "false"), ("carrier", FilterOperator::IsNull, "false")], "1,2"; "not null")]
#[test_case(&[("carrier", FilterOperator::Eq, "' OR true --")], ""; "text that looks like SQL")]
#[tokio::test]
async fn filters_keep_rows(filters: &[(&str, FilterOperator, &str)], expected: &str) {
    let (_directory, engine, _session) = flights().await;
    let query = TableQuery {
        filters: filters
            .iter()
            .map(|(column, operator, value)| filter(column, *operator, value))
            .collect(),
        order: order(&["id"]),
        select: vec!["id".to_owned()],
        ..TableQuery::default()
    };
    let reader = opened(&engine, "t", TableVersion::Latest).await;
    let found = read(reader.as_ref(), query).await.expect("rows");
    assert_eq!(found.join(","), expected);
}

#[tokio::test]
async fn groups_are_computed_ordered_and_selected() {
    let (_directory, engine, session) = flights().await;
    run(&session, &["INSERT INTO t VALUES (5, 'UA', 1.5, 3.00, NULL)"]).await;
    let query = TableQuery {
        filters: vec![filter("carrier", FilterOperator::IsNull, "false")],
        aggregation: Some(Aggregation {
            group_by: vec!["Carrier".to_owned()],
            aggregates: vec![
                aggregate(AggregateFunction::Count, None, "flights"),
                aggregate(AggregateFunction::Avg, Some("delay"), "avg_delay"),
                aggregate(AggregateFunction::Sum, Some("price"), "sum_price"),
                aggregate(AggregateFunction::CountDistinct, Some("day"), "days"),
            ],
        }),
        order: order(&["-flights", "carrier"]),
        select: ["carrier", "flights", "avg_delay", "sum_price", "days"]
            .map(str::to_owned)
            .to_vec(),
        limit: Some(2),
    };
    let reader = opened(&engine, "t", TableVersion::Latest).await;
    let found = read(reader.as_ref(), query).await.expect("rows");
    assert_eq!(found, ["UA|2|6.0|4.50|1", "AA|1|NULL|2.25|1"]);
    let twice = TableQuery {
        aggregation: Some(Aggregation {
            group_by: vec!["carrier".to_owned()],
            aggregates: vec![aggregate(AggregateFunction::Count, None, "CARRIER")],
        }),
        ..TableQuery::default()
    };
    let error = read(reader.as_ref(), twice).await.expect_err("one name twice");
    assert_eq!(error.kind, Kind::InvalidArgument);
}

#[tokio::test]
async fn changes_since_a_version_are_those_of_later_commits() {
    let (_directory, engine, session) = flights().await;
    let since = |since, version| TableRequest {
        changes_since: Some(since),
        ..request("t", version)
    };
    let changes = |request: TableRequest| {
        let engine = engine.clone();
        async move {
            let query = TableQuery {
                select: ["id", "_change_type", "_commit_version"]
                    .map(str::to_owned)
                    .to_vec(),
                order: order(&["_commit_version", "id", "_change_type"]),
                ..TableQuery::default()
            };
            read(reader(&engine, request).await?.as_ref(), query).await
        }
    };
    let off = changes(since(1, TableVersion::Latest))
        .await
        .expect_err("the feed is off");
    assert_eq!(off.kind, Kind::FailedPrecondition);
    assert!(
        off.message.contains("delta.enableChangeDataFeed = true"),
        "{}",
        off.message
    );
    run(
        &session,
        &[
            "ALTER TABLE t SET TBLPROPERTIES (delta.enableChangeDataFeed = true)",
            "INSERT INTO t (id) VALUES (7)",
            "DELETE FROM t WHERE id = 1",
            "UPDATE t SET carrier = 'ZZ' WHERE id = 2",
        ],
    )
    .await;
    assert_eq!(
        changes(since(2, TableVersion::Latest)).await.expect("changes"),
        [
            "7|insert|3",
            "1|delete|4",
            "2|update_postimage|5",
            "2|update_preimage|5"
        ]
    );
    assert_eq!(
        changes(since(3, TableVersion::Version(4)))
            .await
            .expect("changes"),
        ["1|delete|4"]
    );
    assert!(
        changes(since(5, TableVersion::Latest))
            .await
            .expect("none")
            .is_empty()
    );
    let ahead = changes(since(6, TableVersion::Latest))
        .await
        .expect_err("after the newest");
    assert_eq!(ahead.kind, Kind::InvalidArgument);
}

#[tokio::test]
async fn a_state_tells_what_is_read() {
    let (_directory, engine, session) = flights().await;
    run(&session, &["CREATE VIEW v AS SELECT id FROM t"]).await;
    let first = opened(&engine, "t", TableVersion::Latest).await;
    assert_eq!(first.state().id.as_ref().map(|id| id.version), Some(1));
    assert_eq!(first.state().schema.fields().len(), 5);
    run(&session, &["INSERT INTO t (id) VALUES (9)"]).await;
    // What is opened stays at its version.
    let all = read(first.as_ref(), TableQuery::default()).await.expect("rows");
    assert_eq!(all.len(), 4);
    let second = opened(&engine, "t", TableVersion::Latest).await;
    assert_ne!(first.state().id, second.state().id);
    let again = opened(&engine, "t", TableVersion::Version(1)).await;
    assert_eq!(first.state().id, again.state().id);
    assert_eq!(opened(&engine, "v", TableVersion::Latest).await.state().id, None);
    run(
        &session,
        &[
            "DROP TABLE t",
            "CREATE TABLE t (id BIGINT)",
            "INSERT INTO t VALUES (1)",
        ],
    )
    .await;
    let new = opened(&engine, "t", TableVersion::Latest).await;
    assert_ne!(first.state().id, new.state().id);
}

/// Reads all pages of a query, a reader for each, and runs `between` after each page.
async fn pages(
    engine: &Engine,
    query: &TableQuery,
    rows_max: usize,
    mut between: impl AsyncFnMut(usize),
) -> Vec<String> {
    let mut after: Option<RowPosition> = None;
    let mut version = TableVersion::Latest;
    let mut all = Vec::new();
    for number in 0.. {
        let reader = opened(engine, "t", version).await;
        let id = reader.state().id.clone().expect("a version");
        let request = PageRequest {
            rows_max,
            bytes_max: usize::MAX,
            after,
        };
        let page = reader.page(query.clone(), request).await.expect("a page");
        let rows = shown(&page.batches);
        assert!(rows.len() <= rows_max);
        all.extend(rows);
        after = page.next;
        version = TableVersion::Version(id.version);
        if after.is_none() {
            break;
        }
        between(number).await;
    }
    all
}

/// Rows with many equal values, nulls, NaN and both zeros, in several files with deleted rows.
async fn awkward() -> (TempDir, Engine, Session) {
    let (directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id BIGINT, k INT, x DOUBLE, s STRING, p INT) PARTITIONED BY (p)",
            "INSERT INTO t SELECT id, CAST(id % 3 AS INT), CASE id % 5 WHEN 0 THEN CAST('NaN' AS DOUBLE) WHEN 1 THEN NULL \
             WHEN 2 THEN CAST('-0.0' AS DOUBLE) WHEN 3 THEN 0.0D ELSE CAST(id AS DOUBLE) END, \
             CASE WHEN id % 4 = 0 THEN NULL ELSE concat('s', id % 7) END, CAST(id % 2 AS INT) FROM range(60)",
            "INSERT INTO t SELECT id, NULL, 1.0D, 'same', NULL FROM range(100, 130)",
            "INSERT INTO t SELECT id, 1, CAST('NaN' AS DOUBLE), 'same', 1 FROM range(200, 210)",
            "DELETE FROM t WHERE id % 11 = 0",
        ],
    )
    .await;
    (directory, engine, session)
}

#[test_case(&[], 7; "no order")]
#[test_case(&[], 1; "no order, one by one")]
#[test_case(&["k"], 7; "equal values and nulls")]
#[test_case(&["-k"], 7; "downwards")]
#[test_case(&["x"], 4; "floats")]
#[test_case(&["-x"], 4; "floats downwards")]
#[test_case(&["s", "-x", "k"], 5; "several")]
#[test_case(&["p", "-s"], 6; "partitions")]
#[test_case(&["-p"], 6; "partitions downwards")]
#[test_case(&["id"], 1000; "one page")]
#[tokio::test]
async fn pages_hold_each_row_once_while_others_write(columns: &[&str], rows_max: usize) {
    let (_directory, engine, session) = awkward().await;
    let query = TableQuery {
        order: order(columns),
        select: vec!["id".to_owned()],
        ..TableQuery::default()
    };
    let expected = rows(&session, "SELECT id FROM t").await;
    let another = support::engine(_directory.path()).await;
    let writer = support::session(&another);
    let found = pages(&engine, &query, rows_max, async |number| {
        let statement = match number % 5 {
            0 => format!("INSERT INTO t VALUES ({}, 0, 0.0, 's0', 0)", 1000 + number),
            1 => format!("DELETE FROM t WHERE id = {number}"),
            2 => "OPTIMIZE t".to_owned(),
            3 => format!("UPDATE t SET k = 9 WHERE id = {}", 100 + number),
            _ => return,
        };
        run(&writer, &[&statement]).await;
    })
    .await;
    let mut sorted = found.clone();
    sorted.sort();
    let mut all = expected;
    all.sort();
    assert_eq!(sorted, all, "each row of the version once");
}

/// The order of pages is that of all rows; values that are equal may come in any.
#[test_case(&["k", "id"])]
#[test_case(&["-x", "-id"])]
#[test_case(&["s", "x", "-id"])]
#[tokio::test]
async fn pages_are_in_the_order_that_was_asked_for(columns: &[&str]) {
    let (_directory, engine, _session) = awkward().await;
    let query = TableQuery {
        order: order(columns),
        select: vec!["id".to_owned()],
        filters: vec![filter("id", FilterOperator::Lt, "125")],
        ..TableQuery::default()
    };
    let reader = opened(&engine, "t", TableVersion::Latest).await;
    let expected = read(reader.as_ref(), query.clone()).await.expect("rows");
    assert_eq!(pages(&engine, &query, 6, async |_| {}).await, expected);
}

#[tokio::test]
async fn groups_have_pages() {
    let (_directory, engine, session) = awkward().await;
    let query = TableQuery {
        aggregation: Some(Aggregation {
            group_by: vec!["s".to_owned(), "k".to_owned()],
            aggregates: vec![
                aggregate(AggregateFunction::Count, None, "n"),
                aggregate(AggregateFunction::Avg, Some("x"), "mean"),
            ],
        }),
        order: order(&["-mean"]),
        select: ["s", "k", "n"].map(str::to_owned).to_vec(),
        ..TableQuery::default()
    };
    let mut expected = rows(&session, "SELECT s, k, count(*) FROM t GROUP BY s, k").await;
    let mut found = pages(&engine, &query, 4, async |_| {}).await;
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_page_ends_at_its_bytes_and_says_so() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id BIGINT, s STRING)",
            "INSERT INTO t SELECT id, repeat('x', 1000) FROM range(2000)",
        ],
    )
    .await;
    let reader = opened(&engine, "t", TableVersion::Latest).await;
    let request = PageRequest {
        rows_max: 5000,
        bytes_max: 500_000,
        after: None,
    };
    let page = reader.page(TableQuery::default(), request).await.expect("a page");
    let given: usize = page.batches.iter().map(RecordBatch::num_rows).sum();
    assert!((500..1000).contains(&given), "{given}");
    assert!(page.next.is_some());
    let rest = PageRequest {
        rows_max: 5000,
        bytes_max: usize::MAX,
        after: page.next,
    };
    let rest = reader.page(TableQuery::default(), rest).await.expect("a page");
    let mut ids: Vec<i64> = page
        .batches
        .iter()
        .chain(&rest.batches)
        .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..2000).collect::<Vec<i64>>());
}

#[tokio::test]
async fn what_has_no_versions_has_no_pages() {
    let (_directory, engine, session) = flights().await;
    run(
        &session,
        &[
            "CREATE VIEW v AS SELECT id FROM t",
            "CREATE TABLE l (a ARRAY<INT>)",
            "INSERT INTO l VALUES (array(1))",
        ],
    )
    .await;
    let page = || PageRequest {
        rows_max: 1,
        bytes_max: usize::MAX,
        after: None,
    };
    let view = opened(&engine, "v", TableVersion::Latest).await;
    let error = view
        .page(TableQuery::default(), page())
        .await
        .expect_err("a view");
    assert_eq!(error.kind, Kind::InvalidArgument);
    assert!(
        error.message.contains("leave `page_size` out"),
        "{}",
        error.message
    );
    let lists = opened(&engine, "l", TableVersion::Latest).await;
    let query = TableQuery {
        order: order(&["a"]),
        ..TableQuery::default()
    };
    let error = lists.page(query, page()).await.expect_err("an order of lists");
    assert_eq!(error.kind, Kind::InvalidArgument);
}

#[tokio::test]
async fn what_is_hidden_is_not_read() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE FUNCTION seen(id INT) RETURNS BOOLEAN RETURN id > 1",
            "CREATE FUNCTION star(text STRING) RETURNS STRING RETURN '*'",
            "CREATE TABLE f (id INT, phone STRING MASK star) WITH ROW FILTER seen ON (id)",
            "INSERT INTO f VALUES (1, '111'), (2, '222')",
        ],
    )
    .await;
    let reader_of = opened(&engine, "f", TableVersion::Latest).await;
    let all = read(&*reader_of, TableQuery::default()).await;
    assert_eq!(all.expect("rows"), ["2|*"]);
    assert!(
        reader_of.state().id.is_none(),
        "an answer may change while the version does not"
    );
    let page = PageRequest {
        rows_max: 1,
        bytes_max: usize::MAX,
        after: None,
    };
    let error = reader_of.page(TableQuery::default(), page).await;
    assert_eq!(error.expect_err("no pages").kind, Kind::InvalidArgument);
    let past = reader(&engine, request("f", TableVersion::Version(0))).await;
    assert_eq!(past.err().map(|error| error.kind), Some(Kind::Unsupported));
    let changes = TableRequest {
        changes_since: Some(0),
        ..request("f", TableVersion::Latest)
    };
    let changes = reader(&engine, changes).await;
    assert_eq!(changes.err().map(|error| error.kind), Some(Kind::InvalidArgument));
}

#[tokio::test]
async fn pages_of_a_vacuumed_version_are_not_found() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (id BIGINT) TBLPROPERTIES (delta.enableDeletionVectors = false)",
            "INSERT INTO t SELECT id FROM range(10)",
        ],
    )
    .await;
    let first = opened(&engine, "t", TableVersion::Latest).await;
    let request = PageRequest {
        rows_max: 3,
        bytes_max: usize::MAX,
        after: None,
    };
    let page = first
        .page(TableQuery::default(), request.clone())
        .await
        .expect("a page");
    run(
        &session,
        &[
            "UPDATE t SET id = id + 100",
            "SET spark.databricks.delta.retentionDurationCheck.enabled = false",
            "VACUUM t RETAIN 0 HOURS",
        ],
    )
    .await;
    let version = first.state().id.as_ref().expect("a version").version;
    let again = opened(&engine, "t", TableVersion::Version(version)).await;
    let request = PageRequest {
        after: page.next,
        ..request
    };
    let error = again
        .page(TableQuery::default(), request)
        .await
        .expect_err("files are gone");
    assert_eq!(error.kind, Kind::NotFound, "{error}");
}

/// Filters and orders made at random: rows, or an error that says what is wrong.
#[tokio::test]
async fn no_query_is_too_strange() {
    const COLUMNS: [&str; 8] = ["id", "K", "x", "s", "p", "missing", "", "__ingot_row"];
    const VALUES: [&str; 12] = [
        "0",
        "-1",
        "9223372036854775808",
        "NaN",
        "inf",
        "1e400",
        "",
        "%",
        "\\",
        "s1",
        "true",
        "\u{0}",
    ];
    const OPERATORS: [FilterOperator; 11] = [
        FilterOperator::Eq,
        FilterOperator::NotEq,
        FilterOperator::Lt,
        FilterOperator::LtEq,
        FilterOperator::Gt,
        FilterOperator::GtEq,
        FilterOperator::In,
        FilterOperator::NotIn,
        FilterOperator::Like,
        FilterOperator::ILike,
        FilterOperator::IsNull,
    ];
    let (_directory, engine, _session) = awkward().await;
    let reader = opened(&engine, "t", TableVersion::Latest).await;
    let mut random = Random(support::seed());
    let mut with_rows = 0;
    for _ in 0..200 {
        let filters = (0..random.below(3)).map(|_| {
            let column = COLUMNS[random.below(COLUMNS.len())];
            let operator = OPERATORS[random.below(OPERATORS.len())];
            filter(column, operator, VALUES[random.below(VALUES.len())])
        });
        let query = TableQuery {
            filters: filters.collect(),
            order: order(&COLUMNS[..random.below(3)]),
            ..TableQuery::default()
        };
        let request = PageRequest {
            rows_max: 1 + random.below(50),
            bytes_max: usize::MAX,
            after: None,
        };
        match reader.page(query.clone(), request).await {
            Ok(_) => with_rows += 1,
            Err(error) => assert_eq!(error.kind, Kind::InvalidArgument, "{query:?}: {error}"),
        }
    }
    assert!(with_rows > 0);
}
