"""Tables that use Delta's features, one each: how they are made, what they then hold, and who cannot read them.

`{t}` stands for the table's name. Rows are those of `SELECT {columns} ... ORDER BY 1`.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal


@dataclass(frozen=True)
class Feature:
    name: str
    statements: list[str]
    rows: list[tuple]
    columns: str = "*"
    #: Engines that refuse the table, and a word of their refusal: when one learns the feature, its test says so.
    refused_by: dict[str, str] = field(default_factory=dict)


def numbered(rows: int, change: dict[int, str | None] | None = None) -> list[tuple]:
    """Rows (id, 'v'+id) for id from 0, with some changed; `None` drops a row."""
    change = change or {}
    made = [(i, change.get(i, f"v{i}")) for i in range(rows)]
    return [row for row in made if row[1] is not None]


HUNDRED = "INSERT INTO {t} VALUES " + ", ".join(f"({i}, 'v{i}')" for i in range(100))
TABLE = "CREATE TABLE {t} (id BIGINT, v STRING)"

FEATURES = [
    Feature("append", [TABLE, HUNDRED], numbered(100)),
    Feature(
        "overwrite",
        [TABLE, HUNDRED, "INSERT OVERWRITE {t} VALUES (1, 'x'), (2, NULL)"],
        [(1, "x"), (2, None)],
    ),
    Feature(
        "delete_with_vectors",
        [TABLE, HUNDRED, "DELETE FROM {t} WHERE id % 10 = 3", "DELETE FROM {t} WHERE id = 50"],
        numbered(100, {i: None for i in [*range(3, 100, 10), 50]}),
    ),
    Feature(
        "update_with_vectors",
        [TABLE, HUNDRED, "UPDATE {t} SET v = 'new' WHERE id IN (7, 77)"],
        numbered(100, {7: "new", 77: "new"}),
    ),
    Feature(
        "merge_with_vectors",
        [
            TABLE,
            HUNDRED,
            "MERGE INTO {t} t USING (SELECT * FROM VALUES (5, 'm'), (6, 'd'), (100, 'i') AS s(id, v)) s ON t.id = s.id"
            " WHEN MATCHED AND s.v = 'd' THEN DELETE WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *",
        ],
        sorted([*numbered(100, {5: "m", 6: None}), (100, "i")]),
    ),
    Feature(
        "delete_by_rewriting",
        [
            TABLE + " TBLPROPERTIES ('delta.enableDeletionVectors' = 'false')",
            HUNDRED,
            "DELETE FROM {t} WHERE id >= 10",
        ],
        numbered(10),
    ),
    Feature(
        "optimized",
        [TABLE, HUNDRED, "INSERT INTO {t} VALUES (100, 'v100')", "DELETE FROM {t} WHERE id = 0", "OPTIMIZE {t}"],
        numbered(101, {0: None}),
    ),
    Feature(
        "purged",
        [TABLE, HUNDRED, "DELETE FROM {t} WHERE id < 50", "REORG TABLE {t} APPLY (PURGE)"],
        numbered(100, {i: None for i in range(50)}),
    ),
    Feature("z_ordered", [TABLE, HUNDRED, "OPTIMIZE {t} ZORDER BY (id, v)"], numbered(100)),
    Feature("clustered", [TABLE + " CLUSTER BY (id, v)", HUNDRED, "OPTIMIZE {t}"], numbered(100)),
    Feature(
        "restored",
        [TABLE, HUNDRED, "DELETE FROM {t} WHERE id < 90", "RESTORE TABLE {t} TO VERSION AS OF 1"],
        numbered(100),
    ),
    Feature(
        "vacuumed",
        [
            TABLE + " TBLPROPERTIES ('delta.deletedFileRetentionDuration' = 'interval 0 hours')",
            HUNDRED,
            "UPDATE {t} SET v = 'u' WHERE id = 1",
            "OPTIMIZE {t}",
            "VACUUM {t}",
        ],
        numbered(100, {1: "u"}),
    ),
    Feature(
        "partitioned",
        [
            "CREATE TABLE {t} (id INT, p STRING, d DATE) PARTITIONED BY (p, d)",
            "INSERT INTO {t} VALUES (1, 'a/b', DATE'2024-02-29'), (2, NULL, NULL), (3, 'k=v %', DATE'1969-12-31')",
            "INSERT OVERWRITE {t} PARTITION (p = 'a/b', d) SELECT 4, DATE'2024-03-01'",
        ],
        [(2, None, None), (3, "k=v %", date(1969, 12, 31)), (4, "a/b", date(2024, 3, 1))],
    ),
    Feature(
        "replace_where",
        [TABLE, HUNDRED, "INSERT INTO {t} REPLACE WHERE id >= 2 VALUES (5, 'five')"],
        [(0, "v0"), (1, "v1"), (5, "five")],
    ),
    Feature(
        "checkpointed",
        [TABLE + " TBLPROPERTIES ('delta.checkpointInterval' = '2')", HUNDRED]
        + [f"UPDATE {{t}} SET v = 'r{i}' WHERE id = {i}" for i in range(5)],
        numbered(100, {i: f"r{i}" for i in range(5)}),
    ),
    Feature(
        "v2_checkpoint",
        [
            TABLE + " TBLPROPERTIES ('delta.checkpointPolicy' = 'v2', 'delta.checkpointInterval' = '2')",
            HUNDRED,
        ]
        + [f"UPDATE {{t}} SET v = 'r{i}' WHERE id = {i}" for i in range(5)],
        numbered(100, {i: f"r{i}" for i in range(5)}),
    ),
    Feature(
        "check_constraint",
        [TABLE, "ALTER TABLE {t} ADD CONSTRAINT positive CHECK (id >= 0)", HUNDRED],
        numbered(100),
    ),
    Feature(
        "not_null",
        ["CREATE TABLE {t} (id BIGINT NOT NULL, v STRING)", HUNDRED],
        numbered(100),
    ),
    Feature(
        "generated_column",
        [
            "CREATE TABLE {t} (id INT, at TIMESTAMP, day DATE GENERATED ALWAYS AS (CAST(at AS DATE)))",
            "INSERT INTO {t} (id, at) VALUES (1, TIMESTAMP'2024-02-29 12:00:00'), (2, NULL)",
        ],
        [(1, date(2024, 2, 29)), (2, None)],
        columns="id, day",
    ),
    Feature(
        "identity_column",
        [
            "CREATE TABLE {t} (id BIGINT GENERATED ALWAYS AS IDENTITY (START WITH 10 INCREMENT BY 5), v STRING)",
            "INSERT INTO {t} (v) VALUES ('a')",
            "INSERT INTO {t} (v) VALUES ('b')",
        ],
        [("a",), ("b",)],
        columns="v",
    ),
    Feature(
        "column_default",
        [
            "CREATE TABLE {t} (id INT, v STRING DEFAULT 'none')"
            " TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')",
            "INSERT INTO {t} (id) VALUES (1)",
            "INSERT INTO {t} VALUES (2, DEFAULT), (3, 'c')",
        ],
        [(1, "none"), (2, "none"), (3, "c")],
    ),
    Feature(
        "change_data_feed",
        [
            TABLE + " TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')",
            HUNDRED,
            "UPDATE {t} SET v = 'u' WHERE id = 4",
            "DELETE FROM {t} WHERE id = 5",
        ],
        numbered(100, {4: "u", 5: None}),
    ),
    Feature(
        "column_mapping",
        [
            "CREATE TABLE {t} (id BIGINT, v STRING, gone INT, s STRUCT<a: INT, `b c`: INT>)"
            " TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
            "INSERT INTO {t} VALUES (1, 'a', 9, named_struct('a', 1, 'b c', 2))",
            "ALTER TABLE {t} RENAME COLUMN v TO `the value`",
            "ALTER TABLE {t} DROP COLUMN gone",
            "INSERT INTO {t} VALUES (2, 'b', named_struct('a', 3, 'b c', 4))",
            "DELETE FROM {t} WHERE id = 1",
            "INSERT INTO {t} VALUES (3, 'c', NULL)",
        ],
        [(2, "b", {"a": 3, "b c": 4}), (3, "c", None)],
    ),
    Feature(
        "column_mapping_later",
        [
            TABLE,
            HUNDRED,
            "ALTER TABLE {t} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
            "ALTER TABLE {t} RENAME COLUMN v TO w",
            "INSERT INTO {t} VALUES (100, 'v100')",
        ],
        numbered(101),
    ),
    Feature(
        "added_columns",
        [
            "CREATE TABLE {t} (id INT, s STRUCT<a: INT>)",
            "INSERT INTO {t} VALUES (1, named_struct('a', 1))",
            "ALTER TABLE {t} ADD COLUMNS (v STRING COMMENT 'text', s.b INT)",
            "INSERT INTO {t} VALUES (2, named_struct('a', 2, 'b', 3), 'two')",
        ],
        [(1, {"a": 1, "b": None}, None), (2, {"a": 2, "b": 3}, "two")],
    ),
    Feature(
        "type_widening",
        [
            "CREATE TABLE {t} (id INT, n SMALLINT, d DECIMAL(5, 2))"
            " TBLPROPERTIES ('delta.enableTypeWidening' = 'true')",
            "INSERT INTO {t} VALUES (1, 2, 3.25)",
            "ALTER TABLE {t} ALTER COLUMN n TYPE INT",
            "ALTER TABLE {t} ALTER COLUMN d TYPE DECIMAL(10, 4)",
            "INSERT INTO {t} VALUES (2, 70000, 12345.6789)",
        ],
        [(1, 2, Decimal("3.2500")), (2, 70000, Decimal("12345.6789"))],
        refused_by={"deltalake": "[tT]ypeWidening"},
    ),
    Feature(
        "timestamp_ntz",
        [
            "CREATE TABLE {t} (id INT, at TIMESTAMP_NTZ)",
            "INSERT INTO {t} VALUES (1, TIMESTAMP_NTZ'2024-02-29 12:34:56.789012'), (2, NULL)",
        ],
        [(1, datetime(2024, 2, 29, 12, 34, 56, 789012)), (2, None)],
    ),
    Feature(
        "row_tracking",
        [
            TABLE + " TBLPROPERTIES ('delta.enableRowTracking' = 'true')",
            HUNDRED,
            "INSERT INTO {t} VALUES (100, 'v100')",
            "UPDATE {t} SET v = 'u' WHERE id = 1",
            "MERGE INTO {t} t USING (SELECT * FROM VALUES (2, 'm'), (101, 'i') AS s(id, v)) s ON t.id = s.id"
            " WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *",
            "OPTIMIZE {t}",
        ],
        sorted([*numbered(101, {1: "u", 2: "m"}), (101, "i")]),
    ),
    Feature(
        "row_tracking_with_mapped_columns",
        [
            TABLE + " TBLPROPERTIES ('delta.enableRowTracking' = 'true', 'delta.columnMapping.mode' = 'name')",
            HUNDRED,
            "ALTER TABLE {t} RENAME COLUMN v TO w",
            "UPDATE {t} SET w = 'u' WHERE id = 1",
            "OPTIMIZE {t} ZORDER BY (id)",
        ],
        numbered(100, {1: "u"}),
    ),
    Feature(
        "schema_evolved_by_merge",
        [
            TABLE,
            "INSERT INTO {t} VALUES (1, 'a')",
            "MERGE WITH SCHEMA EVOLUTION INTO {t} t USING (SELECT 2 AS id, 'b' AS v, 7 AS n) s ON t.id = s.id"
            " WHEN NOT MATCHED THEN INSERT *",
        ],
        [(1, "a", None), (2, "b", 7)],
    ),
    Feature(
        "in_commit_timestamps_later",
        [
            TABLE + " TBLPROPERTIES ('delta.enableInCommitTimestamps' = 'false')",
            HUNDRED,
            "ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableInCommitTimestamps' = 'true')",
            "INSERT INTO {t} VALUES (100, 'v100')",
        ],
        numbered(101),
    ),
    *(
        Feature(
            f"compressed_by_{codec}",
            [TABLE + f" TBLPROPERTIES ('delta.parquet.compression.codec' = '{codec}')", HUNDRED, "OPTIMIZE {t} ZORDER BY (id)"],
            numbered(100),
        )
        for codec in ["snappy", "gzip", "lz4_raw", "uncompressed"]
    ),
    Feature(
        "dropped_deletion_vectors",
        [
            TABLE,
            HUNDRED,
            "DELETE FROM {t} WHERE id % 10 = 3",
            "ALTER TABLE {t} DROP FEATURE deletionVectors",
            "UPDATE {t} SET v = 'u' WHERE id = 1",
        ],
        numbered(100, {1: "u"} | {i: None for i in range(3, 100, 10)}),
    ),
    Feature(
        "dropped_column_mapping",
        [
            "CREATE TABLE {t} (id BIGINT, v STRING, gone INT) TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
            "INSERT INTO {t} VALUES (1, 'a', 9)",
            "ALTER TABLE {t} RENAME COLUMN v TO w",
            "ALTER TABLE {t} DROP COLUMN gone",
            "ALTER TABLE {t} DROP FEATURE columnMapping",
            "INSERT INTO {t} VALUES (2, 'b')",
        ],
        [(1, "a"), (2, "b")],
    ),
    Feature(
        "dropped_type_widening",
        [
            "CREATE TABLE {t} (id INT, n SMALLINT) TBLPROPERTIES ('delta.enableTypeWidening' = 'true')",
            "INSERT INTO {t} VALUES (1, 2)",
            "ALTER TABLE {t} ALTER COLUMN n TYPE INT",
            "ALTER TABLE {t} DROP FEATURE typeWidening",
            "INSERT INTO {t} VALUES (2, 70000)",
        ],
        [(1, 2), (2, 70000)],
    ),
    Feature(
        "append_only",
        [TABLE + " TBLPROPERTIES ('delta.appendOnly' = 'true')", HUNDRED],
        numbered(100),
    ),
    Feature(
        "vacuum_protocol_check",
        [TABLE + " TBLPROPERTIES ('delta.feature.vacuumProtocolCheck' = 'supported')", HUNDRED],
        numbered(100),
        refused_by={"deltalake": "VacuumProtocolCheck"},
    ),
]
