//! Catalogs, schemas, volumes: their comments, owners, properties and tags.

use super::{open, run, steps};

#[tokio::test]
async fn catalogs_and_schemas_are_changed() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE SCHEMA s COMMENT 'first' WITH DBPROPERTIES ('a' = '1')",
            "ALTER SCHEMA s SET DBPROPERTIES ('b' = '2', c = 3)",
            "ALTER DATABASE s UNSET DBPROPERTIES ('a')",
            "ALTER SCHEMA s OWNER TO `someone@example.com`",
            "COMMENT ON SCHEMA main.s IS 'second'",
            "ALTER CATALOG main SET OWNER TO another",
            "COMMENT ON CATALOG main IS 'the first'",
            "ALTER SCHEMA s DEFAULT COLLATION UTF8_BINARY",
        ],
    )
    .await;
    steps(
        &session,
        &[
            (
                "DESCRIBE SCHEMA EXTENDED s",
                "Catalog Name|main; Namespace Name|s; Comment|second; Owner|someone@example.com; Properties|((b,2), (c,3))",
            ),
            ("DESCRIBE CATALOG main", "Catalog Name|main; Comment|the first; Owner|another"),
            ("COMMENT ON CATALOG main IS NULL", ""),
            ("DESCRIBE CATALOG main", "Catalog Name|main; Comment|; Owner|another"),
            ("ALTER SCHEMA nowhere OWNER TO x", "!SCHEMA_NOT_FOUND"),
            ("ALTER CATALOG nowhere OWNER TO x", "!CATALOG_NOT_FOUND"),
            ("ALTER SCHEMA s DEFAULT COLLATION UNICODE", "!UNSUPPORTED_FEATURE"),
            ("ALTER SCHEMA s RENAME TO t", "!PARSE_SYNTAX_ERROR"),
        ],
    )
    .await;
}

#[tokio::test]
async fn views_have_comments_and_modes() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a INT)",
            "CREATE VIEW v (b COMMENT 'the b') WITH SCHEMA TYPE EVOLUTION COMMENT 'old' AS SELECT a FROM t",
            "COMMENT ON TABLE v IS 'new'",
            "CREATE OR REPLACE VIEW w WITH SCHEMA EVOLUTION AS SELECT * FROM t",
            "ALTER VIEW w WITH SCHEMA BINDING",
            "COMMENT ON VIEW w IS 'a view'",
        ],
    )
    .await;
    steps(
        &session,
        &[
            (
                "SELECT comment FROM information_schema.tables WHERE table_name IN ('v', 'w') ORDER BY 1",
                "a view; new",
            ),
            ("DESCRIBE v", "b|int|the b"),
            (
                "CREATE VIEW x WITH SCHEMA SOMETHING AS SELECT 1",
                "!PARSE_SYNTAX_ERROR",
            ),
            (
                "COMMENT ON VIEW t IS 'x'",
                "!EXPECT_VIEW_NOT_TABLE.NO_ALTERNATIVE",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn securables_and_columns_have_tags() {
    let (_directory, _, session) = open().await;
    run(
        &session,
        &[
            "CREATE TABLE t (a INT, B STRING)",
            "CREATE VIEW v AS SELECT a FROM t",
            "CREATE VOLUME vol",
            "ALTER TABLE t SET TAGS ('owner' = 'x', 'kept')",
            "ALTER TABLE t SET TAGS ('owner' = 'y')",
            "ALTER TABLE t ALTER COLUMN b SET TAGS ('pii' = 'yes')",
            "ALTER VIEW v SET TAGS ('of' = 'view')",
            "ALTER SCHEMA default SET TAGS ('level' = 'gold')",
            "SET TAG ON CATALOG main env = prod",
            "SET TAG ON COLUMN t.a `k` = `v`",
            "SET TAG ON VOLUME vol k = v",
        ],
    )
    .await;
    steps(
        &session,
        &[
            (
                "SELECT table_name, tag_name, tag_value FROM information_schema.table_tags ORDER BY 1, 2",
                "t|kept|; t|owner|y; v|of|view",
            ),
            (
                "SELECT table_name, column_name, tag_name, tag_value FROM information_schema.column_tags ORDER BY 2",
                "t|B|pii|yes; t|a|k|v",
            ),
            ("SELECT schema_name, tag_name, tag_value FROM information_schema.schema_tags", "default|level|gold"),
            ("SELECT * FROM system.information_schema.catalog_tags", "main|env|prod"),
            ("SELECT volume_name, tag_name FROM information_schema.volume_tags", "vol|k"),
            ("ALTER TABLE t UNSET TAGS ('kept', 'nothing')", ""),
            ("UNSET TAG ON COLUMN t.b pii", ""),
            ("SELECT count(*) FROM information_schema.table_tags", "2"),
            ("SELECT column_name FROM information_schema.column_tags", "a"),
            ("SET TAG ON COLUMN t.nothing k = v", "!UNRESOLVED_COLUMN.WITHOUT_SUGGESTION"),
            ("ALTER TABLE nowhere SET TAGS ('a' = 'b')", "!TABLE_OR_VIEW_NOT_FOUND"),
            ("ALTER TABLE t RENAME TO renamed", ""),
            ("SELECT DISTINCT table_name FROM information_schema.column_tags", "renamed"),
            ("DROP TABLE renamed", ""),
            ("SELECT table_name FROM information_schema.table_tags", "v"),
        ],
    )
    .await;
}

#[tokio::test]
async fn volumes_hold_files() {
    let (directory, _, session) = open().await;
    let external = directory.path().join("outside");
    std::fs::create_dir_all(external.join("deep")).expect("folder");
    std::fs::write(external.join("a.csv"), "x,y\n1,one\n2,two\n").expect("file");
    std::fs::write(external.join("deep/b.csv"), "x,y\n3,three\n").expect("file");
    run(
        &session,
        &[
            "CREATE VOLUME managed COMMENT 'ours'",
            &format!("CREATE EXTERNAL VOLUME theirs LOCATION '{}'", external.display()),
            "CREATE VOLUME IF NOT EXISTS managed",
        ],
    )
    .await;
    steps(
        &session,
        &[
            ("CREATE VOLUME managed", "!VOLUME_ALREADY_EXISTS"),
            ("CREATE EXTERNAL VOLUME x", "!PARSE_SYNTAX_ERROR"),
            ("CREATE OR REPLACE VOLUME managed", "!PARSE_SYNTAX_ERROR"),
            ("CREATE OR REPLACE EXTERNAL VOLUME theirs LOCATION '/tmp/x'", "!PARSE_SYNTAX_ERROR"),
            ("CREATE OR REPLACE SCHEMA other", "!PARSE_SYNTAX_ERROR"),
            ("CREATE OR REPLACE CATALOG other", "!PARSE_SYNTAX_ERROR"),
            ("CREATE GLOBAL VOLUME x", "!PARSE_SYNTAX_ERROR"),
            ("CREATE GLOBAL TABLE x (a INT)", "!PARSE_SYNTAX_ERROR"),
            ("CREATE TEMPORARY VOLUME x", "!PARSE_SYNTAX_ERROR"),
            ("CREATE VOLUME x LOCATION '/tmp/x'", "!PARSE_SYNTAX_ERROR"),
            ("SHOW VOLUMES", "default|managed; default|theirs"),
            ("SHOW VOLUMES IN main.default LIKE 'm*'", "default|managed"),
            (
                "SELECT volume_name, volume_type, comment FROM information_schema.volumes ORDER BY 1",
                "managed|MANAGED|ours; theirs|EXTERNAL|NULL",
            ),
            ("SELECT path, name, size FROM (VALUES (1)) t(a) CROSS JOIN (SELECT 'p' AS path, 'n' AS name, 1 AS size)", "p|n|1"),
            (
                "SELECT * FROM read_files('/Volumes/main/default/theirs/a.csv', header => true) ORDER BY x",
                "1|one; 2|two",
            ),
            (
                "SELECT count(*) FROM read_files('/Volumes/main/default/theirs/', format => 'csv', header => true)",
                "3",
            ),
            ("SELECT * FROM read_files('/Volumes/main/default/theirs/../x.csv')", "!INVALID_PARAMETER_VALUE"),
            ("SELECT * FROM read_files('/Volumes/main/default/nothing/x.csv')", "!VOLUME_DOES_NOT_EXIST"),
            ("SELECT * FROM read_files('/Volumes/main')", "!INVALID_PARAMETER_VALUE"),
            ("CREATE TABLE t (x INT, y STRING)", ""),
            (
                "COPY INTO t FROM '/Volumes/main/default/theirs/a.csv' FILEFORMAT = CSV FORMAT_OPTIONS ('header' = 'true', \
                 'inferSchema' = 'true')",
                "2|2|0",
            ),
            ("COMMENT ON VOLUME managed IS 'changed'", ""),
            ("ALTER VOLUME managed OWNER TO someone", ""),
            ("ALTER VOLUME managed RENAME TO other", ""),
            ("ALTER VOLUME other RENAME TO theirs", "!VOLUME_ALREADY_EXISTS"),
            ("SELECT volume_owner, comment FROM information_schema.volumes WHERE volume_name = 'other'", "someone|changed"),
            ("DROP SCHEMA default", "!SCHEMA_NOT_EMPTY"),
            ("DROP VOLUME theirs", ""),
            ("DROP VOLUME theirs", "!VOLUME_DOES_NOT_EXIST"),
            ("DROP VOLUME IF EXISTS theirs", ""),
            ("DROP VOLUME other", ""),
        ],
    )
    .await;
    assert!(
        external.join("a.csv").exists(),
        "files of an external volume stay"
    );
}

#[tokio::test]
async fn a_path_stays_in_its_volume() {
    let (directory, _, session) = open().await;
    let outside = directory.path().join("outside");
    let folder = outside.join("volume");
    std::fs::create_dir_all(folder.join("%2e%2e")).expect("folder");
    std::fs::write(outside.join("secret.csv"), "x\n99\n").expect("file");
    std::fs::write(folder.join("%2e%2e/secret.csv"), "x\n1\n").expect("file");
    std::fs::write(folder.join("no#1.csv"), "x\n2\n").expect("file");
    std::fs::write(folder.join("no"), "x\n98\n").expect("file");
    std::fs::write(folder.join("a 100%.csv"), "x\n3\n").expect("file");
    let read = |path: &str| {
        format!("SELECT x FROM read_files('/Volumes/main/default/v/{path}', format => 'csv', header => true)")
    };
    run(
        &session,
        &[
            &format!("CREATE EXTERNAL VOLUME v LOCATION '{}'", folder.display()),
            "CREATE TABLE t (x INT)",
        ],
    )
    .await;
    steps(
        &session,
        &[
            (&read("%2e%2e/secret.csv"), "1"),
            (&read("no#1.csv"), "2"),
            (&read("no?1.csv"), "2"),
            (&read("a 100%.csv"), "3"),
            (&read("./a 100%.csv"), "3"),
            (&read("../secret.csv"), "!INVALID_PARAMETER_VALUE"),
            (&read("a/../../secret.csv"), "!INVALID_PARAMETER_VALUE"),
            (
                "COPY INTO t FROM '/Volumes/main/default/v' FILEFORMAT = CSV FILES = ('../secret.csv')",
                "!INVALID_PARAMETER_VALUE",
            ),
            (
                "COPY INTO t FROM '/Volumes/main/default/v' FILEFORMAT = CSV PATTERN = '../*.csv'",
                "!INVALID_PARAMETER_VALUE",
            ),
            (
                "COPY INTO t FROM '/Volumes/main/default/v/' FILEFORMAT = CSV FILES = ('no#1.csv', 'a 100%.csv') \
                 FORMAT_OPTIONS ('header' = 'true')",
                "2|2|0",
            ),
            ("SELECT * FROM t ORDER BY x", "2; 3"),
            ("LIST '/Volumes/main/default/v/..'", "!INVALID_PARAMETER_VALUE"),
        ],
    )
    .await;
    let listed = super::rows(&session, "LIST '/Volumes/main/default/v/%2e%2e'").await;
    assert_eq!(listed.len(), 1, "{listed:?}");
}

#[tokio::test]
async fn files_of_managed_volumes_go_after_the_volumes() {
    let (_directory, engine, session) = open().await;
    run(
        &session,
        &[
            "CREATE CATALOG c",
            "CREATE SCHEMA s",
            "CREATE VOLUME dropped",
            "CREATE VOLUME s.of_schema",
            "CREATE VOLUME c.default.of_catalog",
            "CREATE VOLUME kept",
        ],
    )
    .await;
    let located = super::rows(
        &session,
        "SELECT volume_name, storage_location FROM system.information_schema.volumes ORDER BY 1",
    )
    .await;
    let mut files = std::collections::BTreeMap::new();
    for row in &located {
        let (name, location) = row.split_once('|').expect("two columns");
        let folder = url::Url::parse(location)
            .expect("URL")
            .to_file_path()
            .expect("a path");
        std::fs::create_dir_all(&folder).expect("folder");
        std::fs::write(folder.join("a.txt"), "a").expect("file");
        files.insert(name.to_owned(), folder.join("a.txt"));
    }
    run(
        &session,
        &[
            "DROP VOLUME dropped",
            "DROP SCHEMA s CASCADE",
            "DROP CATALOG c CASCADE",
        ],
    )
    .await;
    assert_eq!(engine.purge_dropped().await.expect("purged"), 0);
    assert!(files.values().all(|file| file.exists()), "files of readers stay");
    let purged = engine.purge_dropped_before(std::time::Duration::ZERO).await;
    assert_eq!(purged.expect("purged"), 3);
    let left: Vec<&String> = files
        .iter()
        .filter(|(_, file)| file.exists())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(left, ["kept"]);
    let again = engine.purge_dropped_before(std::time::Duration::ZERO).await;
    assert_eq!(again.expect("purged"), 0);
}

#[tokio::test]
async fn folders_are_listed() {
    let (directory, _, session) = open().await;
    let folder = directory.path().join("listed");
    std::fs::create_dir_all(folder.join("below")).expect("folder");
    std::fs::write(folder.join("a.txt"), "12345").expect("file");
    std::fs::write(folder.join("below/b.txt"), "1").expect("file");
    run(
        &session,
        &[&format!(
            "CREATE EXTERNAL VOLUME v LOCATION '{}'",
            folder.display()
        )],
    )
    .await;
    let listed = super::rows(&session, "LIST '/Volumes/main/default/v/'").await;
    let listed: Vec<String> = listed
        .iter()
        .map(|row| row.split('|').take(3).collect::<Vec<_>>().join("|"))
        .collect();
    assert_eq!(
        listed,
        [
            "/Volumes/main/default/v/a.txt|a.txt|5",
            "/Volumes/main/default/v/below/|below/|0"
        ]
    );
    assert_eq!(
        super::rows(&session, "LIST '/Volumes/main/default/v' LIMIT 1")
            .await
            .len(),
        1
    );
}

#[tokio::test]
async fn tables_are_analyzed_and_settings_described() {
    let (_directory, _, session) = open().await;
    run(&session, &["CREATE TABLE t (a INT)"]).await;
    steps(
        &session,
        &[
            ("ANALYZE TABLE t COMPUTE STATISTICS", ""),
            ("ANALYZE TABLE t COMPUTE STATISTICS NOSCAN", ""),
            ("ANALYZE TABLE t COMPUTE STATISTICS FOR COLUMNS a", ""),
            ("ANALYZE TABLE t COMPUTE STATISTICS FOR ALL COLUMNS", ""),
            ("ANALYZE TABLE t COMPUTE DELTA STATISTICS", ""),
            ("ANALYZE TABLES IN default COMPUTE STATISTICS", ""),
            (
                "ANALYZE TABLE t COMPUTE STATISTICS FOR COLUMNS b",
                "!COLUMN_NOT_FOUND",
            ),
            (
                "ANALYZE TABLE nowhere COMPUTE STATISTICS",
                "!TABLE_OR_VIEW_NOT_FOUND",
            ),
        ],
    )
    .await;
    let settings = super::rows(&session, "SET -v").await;
    assert!(
        settings
            .iter()
            .any(|line| line.starts_with("spark.sql.ansi.enabled|"))
    );
}
