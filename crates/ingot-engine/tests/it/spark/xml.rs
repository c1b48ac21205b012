//! XML, with the results of Spark's documentation.

use super::check;

#[tokio::test]
async fn xml_is_read_and_written() {
    check(&[
        ("SELECT from_xml('<p><a>1</a><b>0.8</b></p>', 'a INT, b DOUBLE')", "{a: 1, b: 0.8}"),
        (
            "SELECT from_xml('<p><time>26/08/2015</time></p>', 'time TIMESTAMP', map('timestampFormat', 'dd/MM/yyyy'))",
            "{time: 2015-08-26T00:00:00Z}",
        ),
        (
            "SELECT from_xml('<p><teacher>Alice</teacher><student><name>Bob</name><rank>1</rank></student>\
             <student><name>Charlie</name><rank>2</rank></student></p>', \
             'STRUCT<teacher: STRING, student: ARRAY<STRUCT<name: STRING, rank: INT>>>')",
            "{teacher: Alice, student: [{name: Bob, rank: 1}, {name: Charlie, rank: 2}]}",
        ),
        ("SELECT from_xml('<p><a k=\"7\">x &amp; y</a></p>', 'a STRUCT<_k: INT, _VALUE: STRING>')",
         "{a: {_k: 7, _VALUE: x & y}}"),
        ("SELECT from_xml('<p><a>1</a></p>', 'a ARRAY<INT>, b INT')", "{a: [1], b: NULL}"),
        ("SELECT from_xml('<p><a>x</a><b></b><c/></p>', 'a INT, b INT, c STRING')", "{a: NULL, b: NULL, c: }"),
        ("SELECT from_xml('<p><a>1</p>', 'a INT'), from_xml(NULL, 'a INT')", "{a: NULL}|NULL"),
        ("SELECT from_xml('<p><a>1</p>', 'a INT', map('mode', 'FAILFAST'))",
         "!MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION"),
        ("SELECT schema_of_xml('<p><a>1</a></p>')", "STRUCT<a: BIGINT>"),
        ("SELECT schema_of_xml('<p><a attr=\"2\">1</a><a>3</a></p>', map('excludeAttribute', 'true'))",
         "STRUCT<a: ARRAY<BIGINT>>"),
        ("SELECT to_xml(named_struct('a', 1, 'b', array('x', '<')))",
         "<ROW>\n    <a>1</a>\n    <b>x</b>\n    <b>&lt;</b>\n</ROW>"),
        ("SELECT to_xml(named_struct('_k', 1, '_VALUE', 'x'), map('rowTag', 'r'))", "<r k=\"1\">x</r>"),
    ])
    .await;
}
