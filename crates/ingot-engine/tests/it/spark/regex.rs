//! Functions of regular expressions.

use super::check;

#[tokio::test]
async fn patterns_replace_and_extract_as_in_java() {
    check(&[
        (r"SELECT regexp_replace('100-200', '(\\d+)', 'num'), regexp_replace('a1b2', '(\\d)', '<$1>'), regexp_replace('100-200', '(\\d+)', 'num', 4)", "num-num|a<1>b<2>|100-num"),
        (r"SELECT regexp_replace('ab', '(?<x>a)', '${x}!'), regexp_replace('a', 'a', '\\$1'), regexp_replace('abc', '', '-'), regexp_replace('a', 'b', 'c', 9)", "a!b|$1|-a-b-c-|a"),
        (r"SELECT regexp_replace('a', 'a', '$1')", "!INVALID_PARAMETER_VALUE.PATTERN"),
        (r"SELECT regexp_replace('price: 12', '(?<=: )\\d+', 'x'), regexp_replace('aab', '(a)\\1', '$1')", "price: x|ab"),
        (r"SELECT regexp_extract('100-200', '(\\d+)-(\\d+)', 1), regexp_extract('100-200', '(\\d+)-(\\d+)', 0), regexp_extract('x', '(\\d+)'), regexp_extract('a', '(b)?', 1)", "100|100-200||"),
        (r"SELECT regexp_extract('a', '(a)', 2)", "!INVALID_PARAMETER_VALUE.REGEX_GROUP_INDEX"),
        (r"SELECT regexp_extract('a', '(')", "!INVALID_PARAMETER_VALUE.PATTERN"),
        (r"SELECT regexp_extract_all('100-200, 300-400', '(\\d+)-(\\d+)', 1), regexp_extract_all('a', 'b', 0), regexp_extract_all(NULL, 'b')", "[100, 300]|[]|NULL"),
        (r"SELECT regexp_count('Steven Jones and Stephen Smith', 'Ste(v|ph)en'), regexp_count('a', 'b'), typeof(regexp_count('a', 'b'))", "2|0|int"),
        (r"SELECT regexp_substr('Steven Jones', 'Ste(v|ph)en'), regexp_substr('a', 'b'), regexp_instr('a1', '\\d'), regexp_instr('a', 'b'), regexp_instr('user@spark', '@[^.]*', 0)", "Steven|NULL|2|0|5"),
        (r"SELECT 'abc' RLIKE '^a', 'abc' NOT RLIKE 'b', regexp_like('a', '\\d'), regexp('ab', 'b$'), 'a' REGEXP 'A', rlike('x', NULL)", "true|false|false|true|false|NULL"),
        (r"SELECT '%SystemDrive%\\Users\\John' RLIKE '%SystemDrive%\\\\Users.*'", "true"),
        (r"SELECT split('oneAtwoBthreeC', '[ABC]'), split('a,b,c', ',', 2), split('a,b,,', ',', 0), split('abc', ''), split(NULL, ',')", "[one, two, three, ]|[a, b,c]|[a, b, , ]|[a, b, c]|NULL"),
        (r"SELECT split('a.b', '\\.'), split('a|b', '|'), split('', ',')", "[a, b]|[a, |, b, ]|[]"),
        (r"SELECT like('Spark', '_park'), ilike('Spark', '_PARK'), 'a_c' LIKE 'a\\_c'", "true|true|true"),
    ])
    .await;
}

#[tokio::test]
async fn patterns_may_be_columns() {
    check(&[(
        "SELECT regexp_extract(v, p, 0) FROM VALUES ('a1', '\\\\d') t(v, p)",
        "1",
    )])
    .await;
}
