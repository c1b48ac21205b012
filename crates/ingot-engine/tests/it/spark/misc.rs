//! Functions of the session, of nulls, of errors and of types; casts that are written as calls; URLs.

use super::check;

#[tokio::test]
async fn nulls_are_replaced() {
    check(&[
        ("SELECT coalesce(NULL, 1, NULL), coalesce(1, 2.5d), typeof(coalesce('1', 2)), coalesce(NULL, NULL)", "1|1.0|bigint|NULL"),
        ("SELECT nvl(NULL, 'a'), ifnull(1, 2), nvl2(NULL, 2, 1), nvl2(0, 2, 1), nullif(2, 2), nullif(1, 2), nullif(NULL, 1)", "a|1|1|2|NULL|1|NULL"),
        ("SELECT zeroifnull(NULL), zeroifnull(2), nullifzero(0), nullifzero(2), typeof(zeroifnull(NULL))", "0|2|NULL|2|int"),
        ("SELECT equal_null(3, 3), equal_null(1, '11'), equal_null(NULL, NULL), equal_null(1, NULL)", "true|false|true|false"),
        ("SELECT isnull(1), isnotnull(1), isnan(double('NaN')), nanvl(double('NaN'), 123)", "false|true|true|123.0"),
        ("SELECT if(1 < 2, 'a', 'b'), if(NULL, 1, 2)", "a|2"),
    ])
    .await;
}

#[tokio::test]
async fn casts_may_be_calls() {
    check(&[
        ("SELECT int('12'), bigint(1), typeof(bigint(1)), double('1.5'), float(1) AS f, string(1.50), boolean('true')", "12|1|bigint|1.5|1.0|1.50|true"),
        ("SELECT date('2024-01-02'), smallint(1), tinyint(1) AS t, typeof(decimal('1')), hex(binary('a'))", "2024-01-02|1|1|decimal(10,0)|61"),
        ("SELECT int('x')", "!CAST_INVALID_INPUT"),
    ])
    .await;
}

#[tokio::test]
async fn a_session_says_what_it_is() {
    check(&[
        (
            "SELECT current_user(), user(), session_user()",
            "tester|tester|tester",
        ),
        (
            "SELECT current_catalog(), current_schema(), current_database() AS d",
            "main|default|default",
        ),
        (
            "SELECT version() LIKE '4.%', spark_partition_id(), length(uuid())",
            "true|0|36",
        ),
        (
            "SELECT typeof(1), typeof('a'), typeof(array(1)), typeof(NULL), typeof(1.5), typeof(map('a', 1))",
            "int|string|array<int>|void|decimal(2,1)|map<string,int>",
        ),
        (
            "SELECT collation('a'), collate('a', 'UTF8_BINARY'), 'a' COLLATE UTF8_BINARY",
            "SYSTEM.BUILTIN.UTF8_BINARY|a|a",
        ),
        ("SELECT collate('a', 'x')", "!COLLATION_INVALID_NAME"),
        (
            "SELECT try_reflect('x', 'y')",
            "!DATATYPE_MISMATCH.UNEXPECTED_CLASS_TYPE",
        ),
    ])
    .await;
}

#[tokio::test]
async fn queries_raise_errors() {
    check(&[
        (
            "SELECT raise_error('custom error message')",
            "!USER_RAISED_EXCEPTION",
        ),
        ("SELECT assert_true(0 < 1)", "NULL"),
        ("SELECT assert_true(0 > 1)", "!USER_RAISED_EXCEPTION"),
        ("SELECT assert_true(NULL, 'no')", "!USER_RAISED_EXCEPTION"),
        (
            "SELECT CASE WHEN v > 0 THEN v ELSE raise_error('x') END FROM VALUES (1) t(v)",
            "1",
        ),
    ])
    .await;
}

#[tokio::test]
async fn random_values_of_a_seed_are_those_of_spark() {
    check(&[
        ("SELECT rand(0), randn(0), randstr(3, 0), uniform(10, 20, 0), uniform(1, 2, 1)", "0.7604953758285915|1.6034991609278433|ceV|17|1"),
        ("SELECT typeof(uniform(1, 2L)), typeof(uniform(1, 2.5d)), uniform(0, 1d) < 1, rand() < 1, length(randstr(5))", "bigint|double|true|true|5"),
        ("SELECT count(DISTINCT r), count(*) FROM (SELECT rand(7) AS r FROM VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10) a(x), VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10) b(x), VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10) c(x), VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10) d(x))", "10000|10000"),
        ("SELECT monotonically_increasing_id() FROM VALUES (1), (2) t(v)", "0; 1"),
        ("SELECT rand('x')", "!DATATYPE_MISMATCH.NON_FOLDABLE_INPUT"),
    ])
    .await;
}

#[tokio::test]
async fn urls_are_read() {
    check(&[
        ("SELECT parse_url('http://spark.apache.org/path?query=1', 'HOST'), parse_url('http://spark.apache.org/path?query=1', 'QUERY', 'query')", "spark.apache.org|1"),
        ("SELECT url_encode('https://spark.apache.org'), url_decode('https%3A%2F%2Fspark.apache.org'), try_url_decode('%')", "https%3A%2F%2Fspark.apache.org|https://spark.apache.org|NULL"),
        ("SELECT url_decode('%')", "!CANNOT_DECODE_URL"),
        ("SELECT try_parse_url('inva lid://x', 'HOST')", "NULL"),
        ("SELECT parse_url('inva lid://x', 'HOST')", "!INVALID_URL"),
    ])
    .await;
}

#[tokio::test]
async fn bitmaps_have_places() {
    check(&[(
        "SELECT bitmap_bit_position(1), bitmap_bit_position(123), bitmap_bucket_number(123), bitmap_count(X'1010'), bitmap_bucket_number(-1)",
        "0|122|1|2|0",
    )])
    .await;
}

#[tokio::test]
async fn bytes_are_encrypted() {
    check(&[
        (
            "SELECT string(aes_decrypt(unhex('83F16B2AA704794132802D248E6BFD4E380078182D1544813898AC97E709B28A94'), '0000111122223333'))",
            "Spark",
        ),
        (
            "SELECT string(aes_decrypt(unbase64('3lmwu+Mw0H3fi5NDvcu9lg=='), '1234567890abcdef', 'ECB', 'PKCS'))",
            "Spark SQL",
        ),
        (
            "SELECT base64(aes_encrypt('Spark', 'abcdefghijklmnop12345678ABCDEFGH', 'CBC', 'DEFAULT', unhex('00000000000000000000000000000000')))",
            "AAAAAAAAAAAAAAAAAAAAAPSd4mWyMZ5mhvjiAPQJnfg=",
        ),
        (
            "SELECT base64(aes_encrypt('Spark', 'abcdefghijklmnop12345678ABCDEFGH', 'GCM', 'DEFAULT', unhex('000000000000000000000000'), 'This is an AAD mixed into the input'))",
            "AAAAAAAAAAAAAAAAQiYi+sTLm7KD9UcZ2nlRdYDe/PX4",
        ),
        (
            "SELECT string(aes_decrypt(aes_encrypt('a', '0000111122223333'), '0000111122223333')), try_aes_decrypt(X'00', '0000111122223333'), aes_encrypt(NULL, '0000111122223333')",
            "a|NULL|NULL",
        ),
        ("SELECT aes_encrypt('a', 'short')", "!INVALID_PARAMETER_VALUE.AES_KEY_LENGTH"),
        ("SELECT aes_decrypt(X'00', '0000111122223333')", "!INVALID_PARAMETER_VALUE.AES_CRYPTO_ERROR"),
        ("SELECT aes_encrypt('a', '0000111122223333', 'CTR')", "!UNSUPPORTED_FEATURE.AES_MODE"),
    ])
    .await;
}
