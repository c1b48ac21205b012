//! Hashes of values.

use super::check;

#[tokio::test]
async fn hashes_are_those_of_spark() {
    check(&[
        ("SELECT hash('Spark', array(123), 2), xxhash64('Spark', array(123), 2)", "-1321691492|5602566077635097486"),
        ("SELECT hash('a'), hash(1L, 'b'), xxhash64('a'), hash(NULL), xxhash64(NULL)", "1485273170|-873449227|-8582455328737087284|42|42"),
        ("SELECT hash(1), hash(1Y) AS b, hash(true), hash(1S) AS s", "-559580957|-559580957|-559580957|-559580957"),
        ("SELECT hash(0.0d) = hash(-0.0d), hash(array()) = hash(NULL), hash(struct(1, 2)) = hash(1, 2), hash(1.5) = hash(15L)", "true|true|true|true"),
        ("SELECT hash(map(1, 2))", "!DATATYPE_MISMATCH.HASH_MAP_TYPE"),
        ("SELECT crc32('Spark'), md5('Spark'), sha1('Spark'), sha('Spark')", "1557323817|8cde774d6f7333752ed72cacddb05126|85f5955f4b27a9a4c2aab6ffe5d7189fc298b92c|85f5955f4b27a9a4c2aab6ffe5d7189fc298b92c"),
        ("SELECT substring(sha2('Spark', 256), 1, 8), sha2('a', 0) = sha2('a', 256), sha2('a', 1)", "529bc3b0|true|NULL"),
        ("SELECT hash(v) FROM VALUES ('a'), (NULL) t(v)", "1485273170; 42"),
    ])
    .await;
}
