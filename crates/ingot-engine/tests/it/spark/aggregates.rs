//! Aggregate functions that DataFusion has not, or calls otherwise.

use super::check;

const ROWS: &str =
    "(VALUES (1, 1, 'a', 1.5D), (1, 2, 'b', 2.5D), (2, 3, 'b', NULL), (2, 4, NULL, 4.5D)) AS t(k, v, s, d)";

fn of_rows(select: &str) -> String {
    format!("SELECT {select} FROM {ROWS}")
}

#[tokio::test]
async fn names_of_spark_are_known() {
    check(&[
        (
            &of_rows("every(v > 0), some(v > 3), any(v > 4)"),
            "true|true|false",
        ),
        (&of_rows("count_if(v > 2)"), "2"),
        (
            &of_rows("std(v) = stddev(v), variance(v) = var_samp(v)"),
            "true|true",
        ),
        (&of_rows("first(s), last(s), last(s, true)"), "a|NULL|b"),
        (
            &of_rows("approx_count_distinct(s), typeof(approx_count_distinct(s))"),
            "2|bigint",
        ),
        (&of_rows("listagg(s, ','), string_agg(s)"), "a,b,b|abb"),
    ])
    .await;
}

#[tokio::test]
async fn a_value_goes_by_the_order_of_another() {
    check(&[
        (
            &of_rows("max_by(s, v), min_by(s, v), max_by(s, d)"),
            "NULL|a|NULL",
        ),
        (&of_rows("max_by(s, CAST(NULL AS INT))"), "NULL"),
        (
            "SELECT max_by(x, y) FROM (VALUES ('a', 10), ('b', 50), ('c', 20)) AS t(x, y)",
            "b",
        ),
    ])
    .await;
}

#[tokio::test]
async fn percentiles_interpolate_or_are_values() {
    check(&[
        (
            &of_rows("percentile(v, 0.5), percentile(v, array(0.25, 0.75))"),
            "2.5|[1.75, 3.25]",
        ),
        (
            &of_rows("percentile_approx(v, 0.5), approx_percentile(v, array(0.0, 1.0), 100)"),
            "2|[1, 4]",
        ),
        ("SELECT percentile(x, 0.3) FROM (VALUES (0), (10)) AS t(x)", "3.0"),
        (
            "SELECT percentile(x, 0.3) FROM (VALUES (CAST(NULL AS INT))) AS t(x)",
            "NULL",
        ),
    ])
    .await;
}

#[tokio::test]
async fn moments_are_those_of_the_documentation() {
    check(&[
        (
            "SELECT round(skewness(x), 10) FROM (VALUES (-10), (-20), (100), (1000)) AS t(x)",
            "1.1135657469",
        ),
        (
            "SELECT round(kurtosis(x), 10) FROM (VALUES (-10), (-20), (100), (1000)) AS t(x)",
            "-0.7014368048",
        ),
        ("SELECT skewness(x) FROM (VALUES (1), (1)) AS t(x)", "NULL"),
    ])
    .await;
}

#[tokio::test]
async fn sums_and_ranks_have_the_types_of_spark() {
    check(&[
        (
            &of_rows("typeof(sum(v)), typeof(avg(v)), typeof(sum(CAST(v AS DECIMAL(10,2))))"),
            "bigint|double|decimal(20,2)",
        ),
        (&of_rows("typeof(avg(CAST(v AS DECIMAL(10,2))))"), "decimal(14,6)"),
        ("SELECT sum(x) FROM (VALUES ('1'), ('2.5')) AS t(x)", "3.5"),
        (
            "SELECT DISTINCT typeof(row_number() OVER (ORDER BY x)) FROM (VALUES (1), (2)) AS t(x)",
            "int",
        ),
        (
            &of_rows("histogram_numeric(v, 4)"),
            "[{x: 1, y: 1.0}, {x: 2, y: 1.0}, {x: 3, y: 1.0}, {x: 4, y: 1.0}]",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_sum_that_does_not_fit_is_an_error() {
    let longs =
        "(SELECT * FROM VALUES ('a', 9223372036854775807L), ('a', 1L), ('b', NULL), ('b', 5L) AS t(k, v))";
    let decimals = "(SELECT * FROM VALUES (99999999999999999999999999999999999999BD), (1BD) AS t(v))";
    let days = "(SELECT * FROM VALUES (INTERVAL '106751991' DAY), (INTERVAL '1' DAY) AS t(v))";
    let months = "(SELECT * FROM VALUES (INTERVAL '178956970' YEAR), (INTERVAL '1' YEAR) AS t(v))";
    let overflow = "!ARITHMETIC_OVERFLOW";
    let interval_overflow = "!INTERVAL_ARITHMETIC_OVERFLOW.WITHOUT_SUGGESTION";
    check(&[
        (&format!("SELECT sum(v) FROM {longs}"), overflow),
        (&format!("SELECT try_sum(v) FROM {longs}"), "NULL"),
        (&format!("SELECT sum(DISTINCT v) FROM {longs}"), overflow),
        (&format!("SELECT k, sum(v) FROM {longs} GROUP BY k"), overflow),
        (
            &format!("SELECT k, sum(DISTINCT v) FROM {longs} GROUP BY k"),
            overflow,
        ),
        (
            &format!("SELECT k, sum(v) FROM {longs} WHERE v < 9 GROUP BY k ORDER BY k"),
            "a|1; b|5",
        ),
        (
            &format!("SELECT sum(v) OVER (PARTITION BY k ORDER BY v) FROM {longs}"),
            overflow,
        ),
        (
            &format!(
                "SELECT sum(v) OVER (ORDER BY k, v ROWS BETWEEN 0 PRECEDING AND CURRENT ROW) FROM {longs}"
            ),
            "1; 9223372036854775807; NULL; 5",
        ),
        (
            &format!(
                "SELECT sum(v) OVER (ORDER BY k, v ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM {longs}"
            ),
            overflow,
        ),
        (
            &format!("SELECT avg(v) FROM {longs} WHERE k = 'a'"),
            "4.611686018427388e18",
        ),
        (&format!("SELECT sum(v) FROM {decimals}"), overflow),
        (
            &format!("SELECT v > 0, sum(v) FROM {decimals} GROUP BY v > 0"),
            overflow,
        ),
        (
            &format!("SELECT sum(v - 1) FROM {decimals}"),
            "99999999999999999999999999999999999998",
        ),
        (&format!("SELECT sum(v) FROM {days}"), interval_overflow),
        (
            &format!("SELECT true, sum(v) FROM {days} GROUP BY 1"),
            interval_overflow,
        ),
        (&format!("SELECT string(sum(v)) FROM {months}"), interval_overflow),
        ("SELECT sum(v) FROM (VALUES (1L)) AS t(v) WHERE v > 1", "NULL"),
        (
            "SELECT sum(id), sum(DISTINCT id % 10), sum(-id) FROM range(100000)",
            "4999950000|45|-4999950000",
        ),
        (
            "SELECT sum(s) FROM (SELECT id % 7 AS k, sum(id * 1000000007) AS s FROM range(10000) GROUP BY 1)",
            "49995000349965000",
        ),
    ])
    .await;
}

#[tokio::test]
async fn averages_of_decimals_are_rounded_and_fit() {
    let thirds = "(VALUES ('a', 2BD), ('a', 2BD), ('a', 1BD), ('b', -2BD), ('b', -2BD), ('b', -1BD), ('c', NULL)) AS t(k, v)";
    let large = "(VALUES (99999999999999999999999999999999999999BD), (1BD)) AS t(v)";
    let wide = "(VALUES (CAST(1e36 AS DECIMAL(38,0)))) AS t(v)";
    let (overflow, range) = (
        "!ARITHMETIC_OVERFLOW",
        "!NUMERIC_VALUE_OUT_OF_RANGE.WITH_SUGGESTION",
    );
    check(&[
        (
            &format!("SELECT k, avg(v), typeof(avg(v)) FROM {thirds} GROUP BY k ORDER BY k"),
            "a|1.6667|decimal(5,4); b|-1.6667|decimal(5,4); c|NULL|decimal(5,4)",
        ),
        (&format!("SELECT avg(v), mean(v), try_avg(v) FROM {thirds} WHERE k = 'a'"), "1.6667|1.6667|1.6667"),
        (&format!("SELECT avg(DISTINCT v) FROM {thirds} WHERE k = 'a'"), "1.5000"),
        (&format!("SELECT avg(v) FROM {thirds} WHERE k = 'c'"), "NULL"),
        (
            &format!("SELECT avg(v) OVER (ORDER BY k, v ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM {thirds} WHERE k = 'a'"),
            "1.0000; 1.5000; 1.6667",
        ),
        (&format!("SELECT avg(v) FROM {large}"), overflow),
        (&format!("SELECT v > 0, avg(v) FROM {large} GROUP BY v > 0"), overflow),
        (&format!("SELECT try_avg(v) FROM {large}"), "NULL"),
        (&format!("SELECT v > 0, try_avg(v) FROM {large} GROUP BY v > 0"), "true|NULL"),
        (&format!("SELECT avg(v) FROM {wide}"), range),
        (&format!("SELECT try_avg(v) FROM {wide}"), "NULL"),
        ("SELECT avg(CAST(id AS DECIMAL(10,2))) FROM range(100001)", "50000.000000"),
        ("SELECT try_avg(v), try_avg(i) FROM (VALUES (1, INTERVAL '1' DAY), (2, INTERVAL '3' DAY)) AS t(v, i) HAVING true",
         "1.5|PT172800S"),
    ])
    .await;
}
