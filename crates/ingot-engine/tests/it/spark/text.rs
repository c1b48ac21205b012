//! Functions of text and bytes.

use super::check;

#[tokio::test]
async fn text_is_cut_and_put_together() {
    check(&[
        ("SELECT trim('  a '), ltrim('  a '), rtrim('  a '), btrim('  a ')", "a|a |  a|a"),
        ("SELECT ltrim('x', 'xxa'), rtrim('xy', 'axyx'), btrim('xax', 'x')", "a|a|a"),
        ("SELECT trim(BOTH 'x' FROM 'xax'), trim(LEADING 'x' FROM 'xax'), trim(TRAILING 'x' FROM 'xax')", "a|ax|xa"),
        ("SELECT trim(NULL), ltrim('x', NULL)", "NULL|NULL"),
        ("SELECT lpad('hi', 5, '??'), rpad('hi', 1), lpad('hi', 5), rpad('hi', 4, ''), lpad('hi', -1)", "???hi|h|   hi|hi|"),
        ("SELECT hex(lpad(X'1020', 4)), hex(rpad(X'1020', 3, X'05'))", "00001020|102005"),
        ("SELECT upper('SparkSql'), ucase('straße'), lower('ÀB'), lcase('X')", "SPARKSQL|STRASSE|àb|x"),
        ("SELECT initcap('sPark sQL'), initcap('a-b  c')", "Spark Sql|A-b  C"),
        ("SELECT left('Spark SQL', 3), right('Spark SQL', 3), left('a', -1), right('a', 0)", "Spa|SQL||"),
        ("SELECT substring('hello', 2, 3), substr('hello', -3), substring('hello' FROM 2 FOR 2), substring('hello', 0, 2)", "ell|llo|el|he"),
        ("SELECT hex(substring(X'010203', 2)), substring('héllo', 2, 1)", "0203|é"),
        ("SELECT substring_index('www.apache.org', '.', 2), substring_index('a.b', '.', -1), substring_index('a', '.', 0)", "www.apache|b|"),
        ("SELECT split_part('11.12.13', '.', 3), split_part('a.b', '.', -1), split_part('a.b', '.', 5), split_part('a', '', 1)", "13|b||a"),
        ("SELECT split_part('a', '.', 0)", "!INVALID_INDEX_OF_ZERO"),
        ("SELECT overlay('Spark SQL' PLACING '_' FROM 6), overlay('Spark SQL', 'ANSI ', 7, 0), overlay('Spark SQL' PLACING 'CORE' FROM 7)", "Spark_SQL|Spark ANSI SQL|Spark CORE"),
        ("SELECT hex(overlay(X'0102', X'FF', 1))", "FF02"),
        ("SELECT replace('ABCabc', 'abc', 'DEF'), replace('abc', 'b'), replace('a', '', 'x')", "ABCDEF|ac|a"),
        ("SELECT translate('AaBbCc', 'abc', '123'), translate('abc', 'ab', 'x')", "A1B2C3|xc"),
        ("SELECT repeat('123', 2), repeat('a', -1), space(2) || '1', concat(space(0), '1')", "123123||  1|1"),
        ("SELECT mask('AbCD123-@$#'), mask('AbCD123-@$#', 'Q', 'q', 'd', 'o'), mask('AbC', NULL), mask(NULL)", "XxXXnnn-@$#|QqQQdddoooo|AxC|NULL"),
        ("SELECT quote('Don\\'t')", "'Don\\'t'"),
        ("SELECT elt(1, 'scala', 'java'), elt(2, 'a', NULL), elt(NULL, 'a')", "scala|NULL|NULL"),
        ("SELECT elt(3, 'a', 'b')", "!INVALID_ARRAY_INDEX"),
        ("SELECT concat_ws(' ', 'Spark', 'SQL'), concat_ws('/', 'foo', NULL, 'bar')", "Spark SQL|foo/bar"),
        ("SELECT repeat(array(1), 2)", "!DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE"),
        ("SELECT upper()", "!WRONG_NUM_ARGS.WITHOUT_SUGGESTION"),
    ])
    .await;
}

#[tokio::test]
async fn text_is_found() {
    check(&[
        ("SELECT locate('bar', 'foobarbar'), locate('bar', 'foobarbar', 5), position('bar' IN 'foobarbar'), position('bar', 'foobarbar', 5)", "4|7|4|7"),
        ("SELECT instr('SparkSQL', 'SQL'), instr('é1', '1'), locate('', 'a'), locate('x', 'a')", "6|2|1|0"),
        ("SELECT find_in_set('ab', 'abc,b,ab,c,def'), find_in_set('a,b', 'a,b'), find_in_set('', '')", "3|0|1"),
        ("SELECT contains('Spark SQL', 'Spark'), startswith('Spark', 'S'), endswith('Spark', 'k'), contains(X'537061', X'70')", "true|true|true|true"),
        ("SELECT contains(NULL, 'a'), startswith('a', ''), endswith('a', 'b')", "NULL|true|false"),
        ("SELECT length('héllo'), len('a '), char_length('ab'), length(X'FFFF'), octet_length('é'), bit_length('é')", "5|2|2|2|2|16"),
        ("SELECT typeof(length('a')), typeof(locate('a', 'b')), typeof(octet_length('a'))", "int|int|int"),
        ("SELECT levenshtein('kitten', 'sitting'), levenshtein('kitten', 'sitting', 2), soundex('Miller')", "3|-1|M460"),
        ("SELECT round(jaro_winkler_similarity('MARTHA', 'MARHTA'), 4)", "0.9611"),
        ("SELECT luhn_check('8112189876'), luhn_check('79927398714')", "true|false"),
        ("SELECT sentences('Hi there! Good morning.')", "[[Hi, there], [Good, morning]]"),
        ("SELECT ascii('222'), ascii(''), chr(65), char(65), chr(-1)", "50|0|A|A|"),
    ])
    .await;
}

#[tokio::test]
async fn text_becomes_bytes_and_back() {
    check(&[
        ("SELECT hex(encode('abc', 'utf-16be')), decode(encode('é', 'UTF-8'), 'UTF-8'), decode(X'E9', 'ISO-8859-1')", "006100620063|é|é"),
        ("SELECT encode('a', 'windows-1252')", "!INVALID_PARAMETER_VALUE.CHARSET"),
        ("SELECT encode('é', 'US-ASCII')", "!MALFORMED_CHARACTER_CODING"),
        ("SELECT decode(X'FF', 'UTF-8')", "!MALFORMED_CHARACTER_CODING"),
        ("SELECT decode(6, 1, 'Southlake', 2, 'San Francisco', 'Non domestic'), decode(2, 1, 'a'), decode(NULL, 6, 'x', NULL, 'y')", "Non domestic|NULL|y"),
        ("SELECT hex(to_binary('abc')), hex(to_binary('abc', 'utf-8')), decode(to_binary('YWI=', 'base64'), 'utf-8')", "0ABC|616263|ab"),
        ("SELECT to_binary('GG')", "!CONVERSION_INVALID_INPUT"),
        ("SELECT to_binary('a', 'x')", "!INVALID_PARAMETER_VALUE.BINARY_FORMAT"),
        ("SELECT try_to_binary('a!', 'base64'), hex(try_to_binary('abc', 'utf-8'))", "NULL|616263"),
        ("SELECT base64('Spark SQL'), decode(unbase64('U3BhcmsgU1FM'), 'UTF-8')", "U3BhcmsgU1FM|Spark SQL"),
        ("SELECT is_valid_utf8('a'), is_valid_utf8(X'80'), validate_utf8('a'), try_validate_utf8(X'80'), make_valid_utf8(X'80')", "true|false|a|NULL|\u{fffd}"),
        ("SELECT validate_utf8(X'80')", "!INVALID_UTF8_STRING"),
    ])
    .await;
}

#[tokio::test]
async fn numbers_are_written_and_read() {
    check(&[
        ("SELECT format_number(12332.123456, 4), format_number(12332.123456, '##################.###'), format_number(5, 2)", "12,332.1235|12332.123|5.00"),
        ("SELECT format_number(0.5, '#.##'), format_number(-1234567, 0), format_number(1.5d, 0), format_number(2.5d, 0), format_number(1, -1)", "0.5|-1,234,567|2|2|NULL"),
        ("SELECT to_number('454', '999'), to_number('454.00', '000.00'), to_number('12,454', '99,999'), to_number('$78.12', '$99.99'), to_number('12,454.8-', '99,999.9S')", "454|454.00|12454|78.12|-12454.8"),
        ("SELECT typeof(to_number('12.3', '99.9')), try_to_number('x', '999'), try_to_number('4', '9')", "decimal(3,1)|NULL|4"),
        ("SELECT to_number('x', '999')", "!INVALID_FORMAT.MISMATCH_INPUT"),
        ("SELECT to_number('1', 'abc')", "!INVALID_FORMAT.UNEXPECTED_TOKEN"),
        ("SELECT to_char(454, '999'), to_char(454.00, '000D00'), to_char(12454, '99G999'), to_char(78.12, '$99.99'), to_char(-12454.8, '99G999D9S'), to_varchar(X'616263', 'hex')", "454|454.00|12,454|$78.12|12,454.8-|616263"),
        ("SELECT format_string('Hello World %d %s', 100, 'days'), printf('%s-%05.1f', 'a', 2.3d)", "Hello World 100 days|a-002.3"),
    ])
    .await;
}
