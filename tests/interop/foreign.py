"""Tables that other engines make with features of Delta: (id BIGINT, v STRING) with rows 0 to 9, without row 3.

`{f}` stands for the folder. What their SQL cannot say is done by the function that is named instead.
"""

from dataclasses import dataclass

COLUMNS = "id BIGINT, v STRING"
ROWS = ", ".join(f"({i}, 'v{i}')" for i in range(10))
INSERT = f"INSERT INTO delta.`{{f}}` (id, v) VALUES {ROWS}"
DELETE = "DELETE FROM delta.`{f}` WHERE id = 3"


@dataclass(frozen=True)
class ForeignTable:
    name: str
    engine: str
    #: SQL for engines that have it.
    statements: tuple[str, ...] = ()
    #: Arguments of deltalake's `write_deltalake`.
    options: tuple = ()
    constraint: str | None = None


def properties(*pairs: str) -> str:
    listed = ", ".join(f"'delta.{key}' = '{value}'" for key, value in (pair.split("=") for pair in pairs))
    return f"TBLPROPERTIES ({listed})"


def spark(name: str, clause: str = "", columns: str = COLUMNS, after: tuple[str, ...] = ()) -> ForeignTable:
    create = f"CREATE TABLE delta.`{{f}}` ({columns}) USING DELTA {clause}"
    return ForeignTable(name, "spark", (create, INSERT, *after, DELETE))


VECTORS = "enableDeletionVectors=true"

TABLES = [
    ForeignTable("plain", "deltalake"),
    ForeignTable("partitioned", "deltalake", options=(("partition_by", ["v"]),)),
    ForeignTable("mapped", "deltalake", options=(("configuration", {"delta.columnMapping.mode": "name"}),)),
    ForeignTable("change_data_feed", "deltalake", options=(("configuration", {"delta.enableChangeDataFeed": "true"}),)),
    ForeignTable("constrained", "deltalake", constraint="id >= 0"),
    ForeignTable("vectors", "sail", (
        f"CREATE TABLE vectors ({COLUMNS}) USING DELTA LOCATION '{{f}}' {properties(VECTORS)}",
        f"INSERT INTO vectors (id, v) VALUES {ROWS}",
        "DELETE FROM vectors WHERE id = 3",
    )),
    spark("plain"),
    spark("vectors", properties(VECTORS)),
    spark("partitioned", "PARTITIONED BY (v) " + properties(VECTORS)),
    spark("mapped_by_name", properties("columnMapping.mode=name", VECTORS)),
    spark("mapped_by_id", properties("columnMapping.mode=id")),
    spark(
        "renamed",
        properties("columnMapping.mode=name", VECTORS),
        columns="id BIGINT, w STRING, v STRING",
        after=(
            "ALTER TABLE delta.`{f}` DROP COLUMN w",
            "ALTER TABLE delta.`{f}` RENAME COLUMN v TO x",
            "ALTER TABLE delta.`{f}` RENAME COLUMN x TO v",
        ),
    ),
    spark("constrained", after=("ALTER TABLE delta.`{f}` ADD CONSTRAINT positive CHECK (id >= 0)",)),
    spark("not_null", columns="id BIGINT NOT NULL, v STRING"),
    spark("defaults", properties("feature.allowColumnDefaults=supported"), columns="id BIGINT, v STRING DEFAULT 'none'"),
    spark("change_data_feed", properties("enableChangeDataFeed=true", VECTORS)),
    spark("clustered", "CLUSTER BY (id)", after=("OPTIMIZE delta.`{f}`",)),
    spark("row_tracking", properties("enableRowTracking=true", VECTORS)),
    spark("v2_checkpoint", properties("checkpointPolicy=v2", "checkpointInterval=1", VECTORS)),
    spark(
        "widened",
        properties("enableTypeWidening=true"),
        columns="id INT, v STRING",
        after=("ALTER TABLE delta.`{f}` ALTER COLUMN id TYPE BIGINT",),
    ),
    spark("in_commit_timestamps", properties("enableInCommitTimestamps=true")),
    spark("vacuum_checked", properties("feature.vacuumProtocolCheck=supported")),
]


def make(table: ForeignTable, engine, folder: str) -> None:
    """Writes the table; `engine` is the answer of `engines`."""
    if table.engine == "deltalake":
        _by_deltalake(table, folder)
        return
    for statement in table.statements:
        engine.session.sql(statement.format(f=folder))


def _by_deltalake(table: ForeignTable, folder: str) -> None:
    import pyarrow
    from deltalake import DeltaTable, write_deltalake

    rows = pyarrow.table({"id": pyarrow.array(range(10), pyarrow.int64()), "v": [f"v{i}" for i in range(10)]})
    write_deltalake(folder, rows, **dict(table.options))
    written = DeltaTable(folder)
    if table.constraint:
        written.alter.add_constraint({"rule": table.constraint})
    written.delete("id = 3")
