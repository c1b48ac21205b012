"""Tables of other engines, changed by Ingot in every way and read again by those who made them."""

import pytest

import engines
from foreign import TABLES, make

CHANGES = [
    "INSERT INTO {t} (id, v) VALUES (10, 'ours')",
    "UPDATE {t} SET v = 'u' WHERE id = 1",
    "DELETE FROM {t} WHERE id = 2",
    "MERGE INTO {t} t USING (SELECT * FROM VALUES (4, 'm'), (11, 'i') AS s(id, v)) s ON t.id = s.id"
    " WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, s.v)",
    "OPTIMIZE {t}",
]
BEFORE = [(i, f"v{i}") for i in range(10) if i != 3]
AFTER = [
    (0, "v0"), (1, "u"), (4, "m"), (5, "v5"), (6, "v6"), (7, "v7"), (8, "v8"), (9, "v9"), (10, "ours"), (11, "i"),
]


@pytest.mark.parametrize(
    "table",
    [table for table in TABLES if table.engine in engines.CHOSEN],
    ids=lambda table: f"{table.engine}-{table.name}",
)
def test_table_of_another_engine_is_read_and_changed(table, ingot, readers, tmp_path):
    folder = str(tmp_path / "foreign")
    answer = readers[table.engine]
    make(table, answer.answer, folder)
    name = "main.default.theirs"
    ingot.sql(f"CREATE TABLE {name} USING DELTA LOCATION 'file://{folder}'")
    ours = [(row["id"], row["v"]) for row in ingot.sql(f"SELECT id, v FROM {name} ORDER BY id")]
    assert ours == BEFORE
    ingot.sql(";\n".join(change.format(t=name) for change in CHANGES))
    ours = [(row["id"], row["v"]) for row in ingot.sql(f"SELECT id, v FROM {name} ORDER BY id")]
    assert ours == AFTER
    assert answer(folder, "SELECT id, v FROM t ORDER BY id") == AFTER
