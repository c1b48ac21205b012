//! Dates and times, with the results of Spark's documentation.

use super::check;
use crate::sql::{open, rows, run};

const LOS_ANGELES: (&str, &str) = (
    "SET TIME ZONE 'America/Los_Angeles'",
    "spark.sql.session.timeZone|America/Los_Angeles",
);

#[tokio::test]
async fn literals_are_read() {
    check(&[
        ("SELECT DATE'2024-2', DATE'2024'", "2024-02-01|2024-01-01"),
        (
            "SELECT TIMESTAMP'2024-01-02 03:04:05.6'",
            "2024-01-02T03:04:05.600Z",
        ),
        (
            "SELECT TIMESTAMP'2024-01-02 03:04:05+01:00'",
            "2024-01-02T02:04:05Z",
        ),
        ("SELECT TIMESTAMP_LTZ'2024-01-02'", "2024-01-02T00:00:00Z"),
        (
            "SELECT TIMESTAMP_NTZ'2024-01-02 03:04:05+01:00'",
            "2024-01-02T03:04:05",
        ),
        ("SELECT DATE'2024-13-01'", "!INVALID_TYPED_LITERAL"),
        ("SELECT TIMESTAMP'yesterday' < now()", "true"),
        ("SELECT TIMESTAMP'2024-01-01 24:00:00'", "!INVALID_TYPED_LITERAL"),
        ("SELECT TIME'10:11:12'", "!UNSUPPORTED_TIME_TYPE"),
        ("SELECT INTERVAL '1 02:03:04' DAY TO SECOND", "PT93784S"),
        ("SELECT INTERVAL 3 days 2 hours", "PT266400S"),
        ("SELECT INTERVAL -5 MINUTES", "-PT300S"),
        (
            "SELECT INTERVAL 'one' DAY",
            "!INVALID_INTERVAL_FORMAT.UNMATCHED_FORMAT_STRING",
        ),
        (
            "SELECT INTERVAL '1-2' YEAR TO MONTH",
            "!UNSUPPORTED_DATA_TYPE_FOR_ARROW_CONVERSION",
        ),
    ])
    .await;
}

#[tokio::test]
async fn the_zone_of_a_session_is_set_and_reset() {
    check(&[
        ("SELECT current_timezone()", "UTC"),
        ("SET spark.sql.session.timeZone", "spark.sql.session.timeZone|UTC"),
        LOS_ANGELES,
        ("SELECT current_timezone()", "America/Los_Angeles"),
        ("SELECT TIMESTAMP'2024-01-02'", "2024-01-02T08:00:00Z"),
        ("SET TIMEZONE = Europe/Berlin", "TIMEZONE|Europe/Berlin"),
        ("SELECT TIMESTAMP'2024-07-02'", "2024-07-01T22:00:00Z"),
        (
            "SET TIME ZONE INTERVAL '-08:30' HOUR TO MINUTE",
            "spark.sql.session.timeZone|-08:30",
        ),
        ("SELECT hour(TIMESTAMP'2024-01-01 12:00:00Z')", "3"),
        ("SET TIME ZONE LOCAL", "spark.sql.session.timeZone|UTC"),
        ("SET TIME ZONE 'Mars'", "!INVALID_CONF_VALUE.TIME_ZONE"),
        (
            "SET spark.sql.session.timeZone = Mars",
            "!INVALID_CONF_VALUE.TIME_ZONE",
        ),
        ("SELECT current_timezone()", "UTC"),
    ])
    .await;
}

#[tokio::test]
async fn moments_are_moved() {
    check(&[
        LOS_ANGELES,
        ("SELECT DATE'2024-01-31' + 1, 1 + DATE'2024-01-31', DATE'2024-03-01' - 1", "2024-02-01|2024-02-01|2024-02-29"),
        ("SELECT DATE'2024-01-31' + INTERVAL 1 MONTH", "2024-02-29"),
        ("SELECT DATE'2024-01-31' - INTERVAL 1 DAY", "2024-01-30"),
        ("SELECT DATE'2024-01-31' + INTERVAL 1 HOUR", "2024-01-31T09:00:00Z"),
        // A day of 23 hours, and 24 hours.
        ("SELECT TIMESTAMP'2024-03-09 12:00:00' + INTERVAL 1 DAY", "2024-03-10T19:00:00Z"),
        ("SELECT TIMESTAMP_NTZ'2024-03-09 12:00:00' + INTERVAL 1 DAY", "2024-03-10T12:00:00"),
        ("SELECT TIMESTAMP'2024-03-31 12:00:00' - INTERVAL '0-1' YEAR TO MONTH", "2024-02-29T20:00:00Z"),
        ("SELECT DATE'2024-03-01' - DATE'2024-02-28'", "PT172800S"),
        ("SELECT TIMESTAMP'2024-01-02' - TIMESTAMP'2024-01-01 12:00:00'", "PT43200S"),
        ("SELECT INTERVAL 1 DAY + INTERVAL 2 HOURS, INTERVAL 3 HOURS * 1.5, INTERVAL 1 HOUR / 2", "PT93600S|PT16200S|PT1800S"),
        ("SELECT - INTERVAL 1 HOUR, INTERVAL 1 DAY > INTERVAL 23 HOURS", "-PT3600S|true"),
        ("SELECT INTERVAL 1 DAY / 0", "!INTERVAL_DIVIDED_BY_ZERO"),
        ("SELECT DATE'2024-01-01' + 1L", "!DATATYPE_MISMATCH.BINARY_OP_DIFF_TYPES"),
        ("SELECT DATE'2024-01-01' + CAST(NULL AS INT)", "NULL"),
        ("SELECT DATE'2024-01-01' > '2023-01-01', TIMESTAMP'2024-01-01' = '2024-01-01'", "true|true"),
        ("SELECT DATE'2024-01-01' = TIMESTAMP'2024-01-01 08:00:00Z'", "true"),
        ("SELECT TIMESTAMP'2024-01-01' BETWEEN '2024-01-01' AND '2024-01-02', DATE'2024-01-01' IN ('2024-01-01')", "true|true"),
    ])
    .await;
}

#[tokio::test]
async fn days_are_counted() {
    check(&[
        ("SELECT date_add('2016-07-30', 1), date_sub('2016-07-30', 1)", "2016-07-31|2016-07-29"),
        ("SELECT datediff('2009-07-31', '2009-07-30'), date_diff('2009-07-30', '2009-07-31')", "1|-1"),
        ("SELECT add_months('2016-08-31', 1), add_months('2016-03-31', -1)", "2016-09-30|2016-02-29"),
        ("SELECT months_between('1997-02-28 10:30:00', '1996-10-30')", "3.94959677"),
        ("SELECT months_between('1997-02-28 10:30:00', '1996-10-30', false)", "3.9495967741935485"),
        ("SELECT last_day('2009-01-12'), next_day('2015-01-14', 'TU')", "2009-01-31|2015-01-20"),
        ("SELECT next_day('2015-01-14', 'xx')", "!ILLEGAL_DAY_OF_WEEK"),
        ("SELECT date_add(DATE'2016-07-30', 1L)", "!DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE"),
        ("SELECT date_add('x', 1)", "!CAST_INVALID_INPUT"),
        ("SELECT date_add('5881580-07-11', 1)", "!DATETIME_OVERFLOW"),
        ("SELECT date_add(NULL, 1), datediff(NULL, '2024-01-01')", "NULL|NULL"),
        ("SELECT trunc('2019-08-04', 'week'), trunc('2019-08-04', 'quarter'), trunc('2009-02-12', 'MM')", "2019-07-29|2019-07-01|2009-02-01"),
        ("SELECT trunc('2015-10-27', 'nothing'), trunc('2015-10-27', 'day')", "NULL|NULL"),
        ("SELECT date_trunc('HOUR', '2015-03-05T09:32:05.359'), date_trunc('MILLISECOND', '2015-03-05T09:32:05.123456')", "2015-03-05T09:00:00Z|2015-03-05T09:32:05.123Z"),
        ("SELECT sequence(1, 5), sequence(5, 1), sequence(1, 6, 2)", "[1, 2, 3, 4, 5]|[5, 4, 3, 2, 1]|[1, 3, 5]"),
        ("SELECT sequence(DATE'2018-01-31', DATE'2018-03-31', INTERVAL 1 MONTH)", "[2018-01-31, 2018-02-28, 2018-03-31]"),
        ("SELECT sequence(DATE'2018-01-02', DATE'2018-01-01')", "[2018-01-02, 2018-01-01]"),
        ("SELECT sequence(1, 5, -1)", "!ILLEGAL_SEQUENCE_BOUNDARIES"),
        ("SELECT sequence(1, NULL), sequence(1, 1, 0)", "NULL|[1]"),
    ])
    .await;
}

#[tokio::test]
async fn parts_are_taken() {
    check(&[
        LOS_ANGELES,
        ("SELECT year('2016-07-30'), quarter('2016-08-31'), month('2016-07-30'), day('2009-07-30')", "2016|3|7|30"),
        ("SELECT dayofweek('2009-07-30'), weekday('2009-07-30'), dayofyear('2016-04-09'), weekofyear('2008-02-20')", "5|3|100|8"),
        ("SELECT hour('2018-02-14 12:58:59'), minute('2009-07-30 12:58:59'), second(TIMESTAMP'2009-07-30 12:58:59.9')", "12|58|59"),
        ("SELECT hour(DATE'2024-01-01'), hour(TIMESTAMP'2024-01-01 00:00:00Z'), day(TIMESTAMP'2024-01-01 00:00:00Z')", "0|16|31"),
        ("SELECT date_part('SECONDS', TIMESTAMP'2019-10-01 00:00:01.000001'), date_part('doy', DATE'2019-08-12')", "1.000001|224"),
        ("SELECT extract(YEAROFWEEK FROM DATE'2021-01-01'), extract(DOW_ISO FROM DATE'2024-01-07'), extract(WEEK FROM DATE'2021-01-01')", "2020|7|53"),
        ("SELECT extract(DAYS FROM INTERVAL 5 days 3 hours), date_part('month', INTERVAL '2-5' YEAR TO MONTH)", "5|5"),
        ("SELECT extract(FORTNIGHT FROM DATE'2021-01-01')", "!INVALID_EXTRACT_FIELD"),
        ("SELECT dayname(DATE'2008-02-20'), monthname('2008-02-20')", "Wed|Feb"),
        ("SELECT year(CAST(NULL AS DATE))", "NULL"),
        ("SELECT year(1)", "!DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE"),
    ])
    .await;
}

#[tokio::test]
async fn moments_are_made() {
    check(&[
        LOS_ANGELES,
        ("SELECT make_date(2013, 7, 15), make_date(2019, 7, NULL)", "2013-07-15|NULL"),
        ("SELECT make_date(2019, 13, 1)", "!DATETIME_FIELD_OUT_OF_BOUNDS.WITH_SUGGESTION"),
        ("SELECT make_timestamp(2014, 12, 28, 6, 30, 45.887)", "2014-12-28T14:30:45.887Z"),
        ("SELECT make_timestamp(2014, 12, 28, 6, 30, 45.887, 'CET')", "2014-12-28T05:30:45.887Z"),
        ("SELECT make_timestamp(2019, 6, 30, 23, 59, 60)", "2019-07-01T07:00:00Z"),
        ("SELECT make_timestamp(2019, 6, 30, 23, 59, 60.5)", "!INVALID_FRACTION_OF_SECOND"),
        ("SELECT make_timestamp_ntz(2014, 12, 28, 6, 30, 45.887)", "2014-12-28T06:30:45.887"),
        ("SELECT try_make_timestamp(2024, 13, 22, 15, 30, 0)", "NULL"),
        ("SELECT make_dt_interval(1, 12, 30, 1.001001)", "PT131401.001001S"),
        ("SELECT DATE'2024-01-31' + make_ym_interval(1, 1), DATE'2024-01-31' + make_interval(0, 1, 0, 1)", "2025-02-28|2024-03-01"),
        ("SELECT timestamp_seconds(1230219000), timestamp_seconds(1.5), timestamp_millis(1230219000123), timestamp_micros(1)", "2008-12-25T15:30:00Z|1970-01-01T00:00:01.500Z|2008-12-25T15:30:00.123Z|1970-01-01T00:00:00.000001Z"),
        ("SELECT timestamp_seconds(9223372036854775807)", "!DATETIME_OVERFLOW"),
        ("SELECT unix_seconds(TIMESTAMP'1970-01-01 00:00:01Z'), unix_millis(TIMESTAMP'1970-01-01 00:00:01Z'), unix_micros(TIMESTAMP'1969-12-31 23:59:59.5Z')", "1|1000|-500000"),
        ("SELECT unix_date(DATE'1970-01-02'), date_from_unix_date(1)", "1|1970-01-02"),
    ])
    .await;
}

#[tokio::test]
async fn units_are_added_and_counted() {
    check(&[
        LOS_ANGELES,
        ("SELECT timestampadd(HOUR, 8, TIMESTAMP_NTZ'2022-02-11 20:30:00')", "2022-02-12T04:30:00"),
        ("SELECT timestampadd(MONTH, 1, TIMESTAMP'2022-01-31 00:00:00')", "2022-02-28T08:00:00Z"),
        ("SELECT dateadd(DAY, 1, TIMESTAMP'2024-03-09 12:00:00'), dateadd(HOUR, 24, TIMESTAMP'2024-03-09 12:00:00')", "2024-03-10T19:00:00Z|2024-03-10T20:00:00Z"),
        ("SELECT date_add(YEAR, 1, DATE'2024-02-29')", "2025-02-28T08:00:00Z"),
        ("SELECT timestampdiff(HOUR, TIMESTAMP_NTZ'2022-02-11 20:30:00', TIMESTAMP_NTZ'2022-02-12 04:30:00')", "8"),
        ("SELECT timestampdiff(MONTH, TIMESTAMP'2021-02-28 12:00:00', TIMESTAMP'2021-03-28 11:59:59')", "0"),
        ("SELECT datediff(YEAR, DATE'2021-01-01', DATE'1900-03-28'), date_diff(QUARTER, DATE'2021-01-01', DATE'2021-12-31')", "-120|3"),
        ("SELECT timestampadd(AGE, 1, TIMESTAMP'2022-01-31')", "!INVALID_PARAMETER_VALUE.DATETIME_UNIT"),
    ])
    .await;
}

#[tokio::test]
async fn texts_are_moments_by_a_pattern() {
    check(&[
        LOS_ANGELES,
        ("SELECT date_format('2016-04-08', 'y'), date_format(TIMESTAMP'2024-01-02 15:04:05.678', 'dd/MM/yy hh:mm a SSS z')", "2016|02/01/24 03:04 PM 678 PST"),
        ("SELECT to_char(DATE'2016-04-08', 'y'), to_varchar(TIMESTAMP'2016-04-08', 'HH')", "2016|00"),
        ("SELECT date_format('2016-04-08', 'YYYY')", "!INVALID_DATETIME_PATTERN.ILLEGAL_CHARACTER"),
        ("SELECT to_date('2009-07-30 04:17:52'), to_date('12/31/16', 'MM/dd/yy')", "2009-07-30|2016-12-31"),
        ("SELECT to_date('2016-12-31', 'yyyy/MM/dd')", "!CANNOT_PARSE_TIMESTAMP"),
        ("SELECT to_date('x')", "!CAST_INVALID_INPUT"),
        ("SELECT try_to_date('x'), try_to_timestamp('2016-12-31', 'yyyy/MM/dd')", "NULL|NULL"),
        ("SELECT to_timestamp('2016-12-31 00:12:00'), to_timestamp('2016-12-31', 'yyyy-MM-dd')", "2016-12-31T08:12:00Z|2016-12-31T08:00:00Z"),
        ("SELECT to_timestamp_ntz('2016-12-31 00:12:00')", "2016-12-31T00:12:00"),
        ("SELECT unix_timestamp('2016-04-08', 'yyyy-MM-dd'), to_unix_timestamp('2016-04-08 00:00:00')", "1460098800|1460098800"),
        ("SELECT from_unixtime(0), from_unixtime(0, 'yyyy HH')", "1969-12-31 16:00:00|1969 16"),
        ("SELECT to_date(NULL, 'yyyy'), date_format(NULL, 'y'), from_unixtime(NULL)", "NULL|NULL|NULL"),
    ])
    .await;
}

#[tokio::test]
async fn zones_are_converted() {
    check(&[
        ("SELECT convert_timezone('Europe/Brussels', 'America/Los_Angeles', TIMESTAMP_NTZ'2021-12-06 00:00:00')", "2021-12-05T15:00:00"),
        ("SELECT convert_timezone('America/New_York', TIMESTAMP_NTZ'2021-12-06 00:00:00')", "2021-12-05T19:00:00"),
        ("SELECT from_utc_timestamp('2016-08-31', 'Asia/Seoul'), to_utc_timestamp('2016-08-31', 'Asia/Seoul')", "2016-08-31T09:00:00Z|2016-08-30T15:00:00Z"),
        ("SELECT from_utc_timestamp('2016-08-31', 'Mars')", "!INVALID_TIMEZONE"),
        ("SELECT from_utc_timestamp('2016-08-31', NULL)", "NULL"),
        ("SELECT current_date() = date(now()), current_date = curdate(), localtimestamp() = timestamp_ntz(now())", "true|true|true"),
        ("SELECT now() = current_timestamp()", "true"),
        ("SELECT window(TIMESTAMP'2021-01-01 00:04:30', '5 minutes').end, window_time(window(TIMESTAMP'2021-01-01', '5 minutes'))", "2021-01-01T00:05:00Z|2021-01-01T00:04:59.999999Z"),
    ])
    .await;
}

#[tokio::test]
async fn what_is_written_is_of_the_sessions_zone() {
    check(&[
        LOS_ANGELES,
        (
            "SELECT count(*) FROM (SELECT 1) WHERE TIMESTAMP'2024-01-01' > '2023-12-31'",
            "1",
        ),
    ])
    .await;
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (at TIMESTAMP, d DATE, s STRING)",
            "SET TIME ZONE 'America/Los_Angeles'",
            "INSERT INTO t VALUES ('2024-01-01 12:00:00', TIMESTAMP'2024-01-01 02:00:00Z', 'a')",
            "INSERT INTO t VALUES (DATE'2024-01-02', '2024-01-02', 'b')",
        ],
    )
    .await;
    run(
        &session,
        &["UPDATE t SET at = '2024-01-02 01:00:00' WHERE s = 'b'"],
    )
    .await;
    let found = rows(
        &session,
        "SELECT at, d FROM t WHERE at > '2023-12-31 23:00:00' ORDER BY at",
    )
    .await;
    assert_eq!(
        found,
        [
            "2024-01-01T20:00:00Z|2023-12-31",
            "2024-01-02T09:00:00Z|2024-01-02"
        ]
    );
}

#[tokio::test]
async fn rows_are_grouped_by_windows() {
    let (_directory, _, session) = open().await;
    let query = "SELECT window.start, count(*) AS n FROM VALUES (TIMESTAMP'2024-01-01 00:01:00'), \
                 (TIMESTAMP'2024-01-01 00:02:00'), (TIMESTAMP'2024-01-01 00:07:00') AS t(at) \
                 GROUP BY window(at, '5 minutes') ORDER BY window.start DESC";
    let found = rows(&session, query).await;
    assert_eq!(found, ["2024-01-01T00:05:00Z|1", "2024-01-01T00:00:00Z|2"]);
}

#[tokio::test]
async fn casts_go_by_the_sessions_zone() {
    check(&[
        LOS_ANGELES,
        (
            "SELECT CAST(TIMESTAMP'2024-01-02 03:04:05.60' AS STRING)",
            "2024-01-02 03:04:05.6",
        ),
        (
            "SELECT CAST(DATE'2024-01-02' AS TIMESTAMP)",
            "2024-01-02T08:00:00Z",
        ),
        (
            "SELECT CAST('2024-01-02 25:00:00' AS TIMESTAMP)",
            "!CAST_INVALID_INPUT",
        ),
        ("SELECT TRY_CAST('x' AS DATE)", "NULL"),
        (
            "SELECT CAST(INTERVAL '1 02:03:04.50' DAY TO SECOND AS STRING)",
            "INTERVAL '1 02:03:04.5' DAY TO SECOND",
        ),
        (
            "SELECT CAST(INTERVAL -14 MONTHS AS STRING)",
            "INTERVAL '-1-2' YEAR TO MONTH",
        ),
        (
            "SELECT CAST(make_interval(1, 2, 0, 3, 4) AS STRING)",
            "1 years 2 months 3 days 4 hours",
        ),
        ("SELECT CAST('1 02:03:04' AS INTERVAL DAY TO SECOND)", "PT93784S"),
        (
            "SELECT CAST(CAST('1-2' AS INTERVAL YEAR TO MONTH) AS STRING)",
            "INTERVAL '1-2' YEAR TO MONTH",
        ),
        (
            "SELECT DATE'2024-01-31' + CAST('1 month 1 day' AS INTERVAL)",
            "2024-03-01",
        ),
        (
            "SELECT CAST('x' AS INTERVAL DAY TO SECOND)",
            "!CAST_INVALID_INPUT",
        ),
        (
            "SELECT CAST(INTERVAL 1 DAY AS INT)",
            "!DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION",
        ),
        ("SELECT current_time()", "!UNSUPPORTED_TIME_TYPE"),
    ])
    .await;
}
