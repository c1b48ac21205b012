//! Parameters as clients write them, and as nobody would.

use ingot_common::clock;
use test_case::test_case;

use super::*;

fn pairs(pairs: &[(&str, &str)]) -> Pairs {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn read(given: &[(&str, &str)]) -> Result<Asked, ApiError> {
    Asked::read("main.gold.t", &pairs(given), 100)
}

fn json(column: &str, operator: FilterOperator, value: Value) -> Filter {
    Filter {
        column: column.to_owned(),
        operator,
        value: FilterValue::Json(value),
    }
}

fn text(column: &str, operator: FilterOperator, value: &str) -> Filter {
    Filter {
        column: column.to_owned(),
        operator,
        value: FilterValue::Text(value.to_owned()),
    }
}

#[test]
fn conditions_become_filters() {
    let given = r#"{"carrier":"UA","month":[1,2],"flights":{"gte":10,"ne":null}}"#;
    assert_eq!(
        read(&[("filters", given)]).expect("filters").query.filters,
        [
            json("carrier", FilterOperator::Eq, "UA".into()),
            json("month", FilterOperator::In, vec![1, 2].into()),
            json("flights", FilterOperator::GtEq, 10.into()),
            json("flights", FilterOperator::NotEq, Value::Null),
        ]
    );
}

#[test]
fn parameters_become_filters() {
    let asked = read(&[
        ("carrier", "UA"),
        ("dep_delay.gte", "10"),
        ("origin.in", "EWR,\"J,F\"\"K\", LGA"),
        ("month.is_null", "true"),
        ("tailnum.like", "N1%"),
        ("limit.eq", "5"),
        ("a.b", "x"),
        ("a.lt.eq", "y"),
    ]);
    let list = ["EWR", "J,F\"K", "LGA"].map(str::to_owned).to_vec();
    assert_eq!(
        asked.expect("filters").query.filters,
        [
            text("carrier", FilterOperator::Eq, "UA"),
            text("dep_delay", FilterOperator::GtEq, "10"),
            Filter {
                column: "origin".to_owned(),
                operator: FilterOperator::In,
                value: FilterValue::Texts(list),
            },
            text("month", FilterOperator::IsNull, "true"),
            text("tailnum", FilterOperator::Like, "N1%"),
            text("limit", FilterOperator::Eq, "5"),
            text("a.b", FilterOperator::Eq, "x"),
            text("a.lt", FilterOperator::Eq, "y"),
        ]
    );
}

#[test]
fn groups_order_and_pages_are_read() {
    let asked = read(&[
        ("group_by", "carrier, origin"),
        (
            "aggregate",
            "count,avg:dep_delay,max:arr_delay:worst,count:*:flights",
        ),
        ("order", "-flights,carrier"),
        ("select", "carrier,flights"),
        ("limit", "7"),
        ("page_size", "1000"),
        ("version", "3"),
        ("format", "ndjson"),
    ])
    .expect("asked");
    let aggregation = asked.query.aggregation.expect("aggregation");
    assert_eq!(aggregation.group_by, ["carrier", "origin"]);
    let names: Vec<&str> = aggregation
        .aggregates
        .iter()
        .map(|aggregate| aggregate.name.as_str())
        .collect();
    assert_eq!(names, ["count", "avg_dep_delay", "worst", "flights"]);
    assert!(asked.query.order.first().is_some_and(|order| order.descending));
    assert_eq!(asked.page_rows, Some(100), "as many as a page may have");
    assert_eq!(asked.request.version, TableVersion::Version(3));
    assert_eq!(asked.format, Some(Format::Ndjson));
}

#[test_case(&[("filters", "UA")]; "no JSON")]
#[test_case(&[("filters", "[1]")]; "no object")]
#[test_case(&[("filters", r#"{"carrier":{"near":"U"}}"#)]; "unknown operator")]
#[test_case(&[("filters", r#"{"carrier":{"eq":[1]}}"#)]; "array for a scalar")]
#[test_case(&[("filters", r#"{"carrier":{"in":1}}"#)]; "scalar for an array")]
#[test_case(&[("filters", r#"{"carrier":[{"a":1}]}"#)]; "object in an array")]
#[test_case(&[("filters", r#"{"carrier":{"is_null":"yes"}}"#)]; "word for a flag")]
#[test_case(&[("limit", "many")]; "a word for a number")]
#[test_case(&[("limit", "-1")]; "fewer than none")]
#[test_case(&[("limit", "1"), ("limit", "2")]; "twice")]
#[test_case(&[("page_size", "0")]; "an empty page")]
#[test_case(&[("version", "1"), ("timestamp", "2")]; "two points in time")]
#[test_case(&[("timestamp", "yesterday")]; "no instant")]
#[test_case(&[("format", "xml")]; "unknown format")]
#[test_case(&[("aggregate", "median:x")]; "unknown function")]
#[test_case(&[("aggregate", "sum")]; "sum of nothing")]
#[test_case(&[("origin.in", "\"EWR")]; "open quote")]
#[test_case(&[("origin.in", "\"EWR\"x,y")]; "text after a quote")]
fn wrong_parameters_are_refused(given: &[(&str, &str)]) {
    read(given).expect_err("wrong");
}

#[test_case("1000", Some(1000); "milliseconds")]
#[test_case("1970-01-01T00:00:01Z", Some(1000); "utc")]
#[test_case("1970-01-01T01:00:01+01:00", Some(1000); "offset")]
#[test_case("1970-01-01T00:00:01", Some(1000); "no offset")]
#[test_case("yesterday", None; "a word")]
fn instants_are_read(text: &str, expected: Option<i64>) {
    assert_eq!(instant(text), expected);
}

/// Whatever a client writes is read or refused.
#[test]
fn no_parameter_is_too_strange() {
    const NAMES: [&str; 12] = [
        "filters",
        "order",
        "select",
        "aggregate",
        "group_by",
        "limit",
        "page_size",
        "timestamp",
        "a.in",
        "a.not_in",
        "",
        ".",
    ];
    const PARTS: [&str; 18] = [
        "\"",
        "\"\"",
        ",",
        ":",
        "*",
        "-",
        "{",
        "}",
        "[",
        "null",
        "1e999",
        "9223372036854775808",
        "\u{0}",
        "é",
        "count",
        ".",
        "\\",
        " ",
    ];
    let seed = clock::random_below(u64::MAX);
    eprintln!("seed={seed}");
    // xorshift: the same texts for the same seed.
    let mut state = seed | 1;
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % bound as u64).expect("small")
    };
    for _ in 0..20_000 {
        let given: Pairs = (0..=below(3))
            .map(|_| {
                let name = NAMES[below(NAMES.len())].to_owned();
                let value = (0..below(8)).map(|_| PARTS[below(PARTS.len())]).collect();
                (name, value)
            })
            .collect();
        if let Ok(asked) = Asked::read("a.b.c", &given, 100) {
            assert!(asked.page_rows.is_none_or(|rows| (1..=100).contains(&rows)));
        }
    }
}
