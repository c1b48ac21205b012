"""Tables that Ingot wrote, read by engines that share none of its code."""

import datetime
import decimal
from pathlib import Path

import pytest

#: Rows of a table whose numbers and texts outgrow their dictionaries.
ENCODED = 100_000


def test_every_type_round_trips(ingot, readers, engine):
    ingot.sql(
        "CREATE TABLE main.default.types (a BIGINT, b INT, c SMALLINT, d TINYINT, e DOUBLE, f FLOAT, g BOOLEAN,"
        " h STRING, i DATE, j TIMESTAMP, k DECIMAL(12,3), l ARRAY<INT>, m STRUCT<x: INT, y: STRING>) USING DELTA"
    )
    ingot.sql(
        "INSERT INTO main.default.types SELECT 1, 2, 3, 4, 1.5, 2.5, true, 'größe', DATE'2024-02-29',"
        " TIMESTAMP'2024-02-29 12:34:56.789012', 123456789.125, array(1, 2, 3),"
        " named_struct('x', 7, 'y', 'z')"
    )
    ingot.sql("INSERT INTO main.default.types (a) VALUES (2)")
    rows = readers[engine](
        ingot.path("main.default.types"), "SELECT a, b, c, d, e, f, g, h, i, k, l, m FROM t ORDER BY a"
    )
    assert rows[0] == (
        1, 2, 3, 4, 1.5, 2.5, True, "größe", datetime.date(2024, 2, 29),
        decimal.Decimal("123456789.125"), [1, 2, 3], {"x": 7, "y": "z"},
    )
    assert rows[1][:2] == (2, None)
    (instant,) = readers[engine](ingot.path("main.default.types"), "SELECT j FROM t WHERE a = 1")
    assert instant == (datetime.datetime(2024, 2, 29, 12, 34, 56, 789012),)


@pytest.mark.parametrize("codec", ["zstd", "snappy", "uncompressed"])
def test_every_encoding_reads_the_same(ingot, readers, engine, codec):
    ingot.sql(
        "CREATE TABLE main.default.encoded (id BIGINT NOT NULL, few INT, many BIGINT, runs INT NOT NULL, small TINYINT,"
        " day DATE, moment TIMESTAMP, cents DECIMAL(9,2), money DECIMAL(18,4), word STRING, long STRING, raw BINARY,"
        f" nothing INT) TBLPROPERTIES ('delta.parquet.compression.codec' = '{codec}')"
    )
    ingot.sql(
        "INSERT INTO main.default.encoded SELECT id, IF(id % 5 = 0, NULL, id % 7), (n - 500000) * 1000000007,"
        " id DIV 1000, id % 256 - 128, date_add(DATE'1970-01-01', CAST(n % 20000 - 10000 AS INT)),"
        " timestamp_micros(n * 1000003), CAST(concat(n, '.25') AS DECIMAL(9,2)),"
        " CAST(concat('-', n, '.0625') AS DECIMAL(18,4)), IF(id % 3 = 0, NULL, concat('word', id % 11)),"
        " concat(n, repeat('é', CAST(id % 5 AS INT))), CAST(concat('b', n) AS BINARY), NULL"
        f" FROM (SELECT id, id * 7919 % 1000003 AS n FROM range({ENCODED}))"
    )
    folder = ingot.path("main.default.encoded")
    columns = "id, few, many, runs, small, day, moment, cents, money, word, long, raw, nothing"
    rows = readers[engine](folder, f"SELECT {columns} FROM t ORDER BY id")
    assert len(rows) == ENCODED
    # Not compared as lists: their difference would take minutes to print.
    assert next((both for both in zip(rows, map(encoded, range(ENCODED))) if both[0] != both[1]), None) is None
    # These are found by the bounds of pages.
    for row in map(encoded, [0, 20_000, 77_777, ENCODED - 1]):
        for condition in [f"many = {row[2]}", f"long = '{row[10]}'", f"id = {row[0]}"]:
            assert readers[engine](folder, f"SELECT id, long FROM t WHERE {condition}") == [(row[0], row[10])]
    assert readers[engine](folder, "SELECT count(*) FROM t WHERE few = 3 AND word IS NULL") == [
        (sum(row[1] == 3 and row[9] is None for row in map(encoded, range(ENCODED))),)
    ]


def encoded(id: int) -> tuple:
    """A row of the table above."""
    n = id * 7919 % 1000003
    epoch = datetime.datetime(1970, 1, 1)
    return (
        id, None if id % 5 == 0 else id % 7, (n - 500000) * 1000000007, id // 1000, id % 256 - 128,
        epoch.date() + datetime.timedelta(days=n % 20000 - 10000), epoch + datetime.timedelta(microseconds=n * 1000003),
        decimal.Decimal(f"{n}.25"), decimal.Decimal(f"-{n}.0625"), None if id % 3 == 0 else f"word{id % 11}",
        f"{n}{'é' * (id % 5)}", f"b{n}".encode(), None,
    )  # fmt: skip


def test_hostile_partition_values_are_found_again(ingot, readers, engine):
    values = ["plain", "with space", "a/b", "50%", "k=v", "ünï", "quo''te", "a:b?c#d", " lead"]
    ingot.sql("CREATE TABLE main.default.parts (id INT, p STRING) USING DELTA PARTITIONED BY (p)")
    rows = ", ".join(f"({i}, '{value}')" for i, value in enumerate(values))
    ingot.sql(f"INSERT INTO main.default.parts VALUES {rows}, ({len(values)}, NULL)")
    expected = [(i, value.replace("''", "'")) for i, value in enumerate(values)] + [(len(values), None)]
    folder = ingot.path("main.default.parts")
    assert readers[engine](folder, "SELECT id, p FROM t ORDER BY id") == expected
    assert [(row["id"], row["p"]) for row in ingot.sql("SELECT * FROM main.default.parts ORDER BY id")] == expected


def test_checkpointed_and_merged_table_reads_the_same(ingot, readers, engine):
    ingot.sql("CREATE TABLE main.default.accounts (id BIGINT, balance BIGINT) USING DELTA")
    for batch in range(12):
        ingot.sql(
            "MERGE INTO main.default.accounts t USING (SELECT * FROM VALUES "
            f"({batch}, 1), ({batch + 1}, 10) AS s(id, balance)) s ON t.id = s.id "
            "WHEN MATCHED THEN UPDATE SET balance = t.balance + s.balance WHEN NOT MATCHED THEN INSERT *"
        )
    query = "SELECT count(*), sum(balance), sum(id * balance) FROM t"
    ours = ingot.sql(query.replace(" t", " main.default.accounts"))[0]
    folder = ingot.path("main.default.accounts")
    assert readers[engine](folder, query) == [tuple(ours.values())] == [(13, 132, 846)]


def test_time_travel_agrees(ingot, readers, engine):
    ingot.sql("CREATE TABLE main.default.steps (id INT)")
    ingot.sql("INSERT INTO main.default.steps VALUES (1), (2)")
    ingot.sql("INSERT OVERWRITE main.default.steps SELECT 30")
    assert ingot.value("SELECT sum(id) FROM main.default.steps VERSION AS OF 1") == 3
    folder = ingot.path("main.default.steps")
    assert readers[engine](folder, "SELECT sum(id) FROM t") == [(30,)]


@pytest.mark.parametrize("partitioned", [False, True])
def test_deleted_and_updated_rows_are_gone_for_others_too(ingot, readers, engine, partitioned):
    by = "PARTITIONED BY (p)" if partitioned else ""
    ingot.sql(f"CREATE TABLE main.default.changed (id INT, p STRING, v INT) {by}")
    rows = ", ".join(f"({n}, '{'a/b' if n % 3 else 'c'}', {n % 7})" for n in range(100))
    ingot.sql(f"INSERT INTO main.default.changed VALUES {rows}")
    ingot.sql("DELETE FROM main.default.changed WHERE id % 10 = 4")
    ingot.sql("UPDATE main.default.changed SET v = v + 100, p = 'z' WHERE v = 6")
    ingot.sql("DELETE FROM main.default.changed WHERE id IN (SELECT id + 1 FROM main.default.changed WHERE v = 0)")
    folder = ingot.path("main.default.changed")
    assert list(Path(folder).glob("deletion_vector_*.bin")), "rows were deleted by vectors"
    everything = "SELECT id, p, v FROM t ORDER BY id"
    ours = [tuple(row.values()) for row in ingot.sql(everything.replace(" t ", " main.default.changed "))]
    expected = [(n, "a/b" if n % 3 else "c", n % 7) for n in range(100) if n % 10 != 4]
    expected = [(n, "z", v + 100) if v == 6 else (n, p, v) for n, p, v in expected]
    gone = {n + 1 for n, _, v in expected if v == 0}
    expected = [row for row in expected if row[0] not in gone]
    assert ours == expected
    assert readers[engine](folder, everything) == expected
    assert readers[engine](folder, "SELECT count(*) FROM t") == [(len(expected),)]
