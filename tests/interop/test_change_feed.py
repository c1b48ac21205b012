"""The change data feed of Ingot read by deltalake, and that of deltalake read by Ingot."""

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake


def theirs(folder: str, start: int) -> list[tuple]:
    """The changes from version `start` on, as deltalake tells them."""
    feed = pa.table(DeltaTable(folder).load_cdf(starting_version=start).read_all())
    rows = feed.select(["_commit_version", "_change_type", "id", "v"]).to_pylist()
    return sorted((tuple(row.values()) for row in rows), key=lambda row: (row[0], row[2], row[1]))


def ours(ingot, source: str) -> list[tuple]:
    rows = ingot.sql(f"SELECT _commit_version, _change_type, id, v FROM {source} ORDER BY 1, 3, 2")
    return [tuple(row.values()) for row in rows]


@pytest.mark.parametrize("vectors", ["true", "false"])
@pytest.mark.parametrize("partitioned", ["", "PARTITIONED BY (p)"])
def test_deltalake_reads_what_statements_recorded(ingot, vectors, partitioned):
    ingot.sql(
        f"CREATE TABLE main.default.t (id BIGINT, p STRING, v STRING) USING DELTA {partitioned} TBLPROPERTIES "
        f"('delta.enableChangeDataFeed' = 'true', 'delta.enableDeletionVectors' = '{vectors}')"
    )
    ingot.sql("INSERT INTO main.default.t VALUES (1, 'a', 'x'), (2, 'a', 'x'), (3, 'b', 'x'), (4, 'b', 'x')")
    ingot.sql("UPDATE main.default.t SET v = 'y' WHERE id IN (1, 3)")
    ingot.sql("DELETE FROM main.default.t WHERE id = 2")
    ingot.sql(
        "MERGE INTO main.default.t t USING (SELECT * FROM VALUES (3, 'b', 'm'), (4, 'b', 'd'), (5, 'c', 'm') "
        "AS s(id, p, v)) s ON t.id = s.id WHEN MATCHED AND s.v = 'd' THEN DELETE WHEN MATCHED THEN UPDATE SET * "
        "WHEN NOT MATCHED THEN INSERT *"
    )
    ingot.sql("INSERT OVERWRITE main.default.t VALUES (9, 'z', 'o')")
    expected = [
        (1, "insert", 1, "x"), (1, "insert", 2, "x"), (1, "insert", 3, "x"), (1, "insert", 4, "x"),
        (2, "update_postimage", 1, "y"), (2, "update_preimage", 1, "x"),
        (2, "update_postimage", 3, "y"), (2, "update_preimage", 3, "x"),
        (3, "delete", 2, "x"),
        (4, "update_postimage", 3, "m"), (4, "update_preimage", 3, "y"), (4, "delete", 4, "x"), (4, "insert", 5, "m"),
        (5, "delete", 1, "y"), (5, "delete", 3, "m"), (5, "delete", 5, "m"), (5, "insert", 9, "o"),
    ]
    assert ours(ingot, "table_changes('main.default.t', 0)") == expected
    # deltalake 1.6.6 does not take the old vector off the new one, and tells of rows that went before.
    if vectors == "false":
        assert theirs(ingot.path("main.default.t"), 0) == expected


@pytest.mark.parametrize("partition_by", [None, ["p"]])
def test_ingot_reads_what_deltalake_recorded(ingot, tmp_path, partition_by):
    folder = str(tmp_path / "foreign")
    rows = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "p": ["a", "a", "b"], "v": ["x", "x", "x"]})
    configuration = {"delta.enableChangeDataFeed": "true"}
    write_deltalake(folder, rows, partition_by=partition_by, configuration=configuration)
    DeltaTable(folder).update(predicate="id = 1", updates={"v": "'y'"})
    DeltaTable(folder).delete("id = 2")
    source = pa.table({"id": pa.array([3, 4], pa.int64()), "p": ["b", "c"], "v": ["m", "m"]})
    merge = DeltaTable(folder).merge(source, "t.id = s.id", source_alias="s", target_alias="t")
    merge.when_matched_update_all().when_not_matched_insert_all().execute()
    found = ours(ingot, f"table_changes_by_path('{folder}', 0)")
    assert found == theirs(folder, 0)
    assert [row for row in found if row[0] == 1] == [
        (1, "update_postimage", 1, "y"), (1, "update_preimage", 1, "x"),
    ]
    # Both go on recording in one table.
    ingot.sql(f"CREATE TABLE main.default.t USING DELTA LOCATION '{folder}'")
    ingot.sql("UPDATE main.default.t SET v = 'z' WHERE id = 4")
    version = DeltaTable(folder).version()
    expected = [(version, "update_postimage", 4, "z"), (version, "update_preimage", 4, "m")]
    assert ours(ingot, f"table_changes('main.default.t', {version})") == theirs(folder, version) == expected
