"""Each feature of Delta, written by Ingot and read alike by every engine that supports it."""

import functools

import pytest

from conftest import Ingot
from features import FEATURES


@pytest.fixture(scope="module")
def written(binary, tmp_path_factory):
    """The folders of the tables by feature; each is written once, when first asked for."""
    ingot = Ingot(binary, tmp_path_factory.mktemp("features"))

    @functools.cache
    def write(name: str) -> str:
        (feature,) = (feature for feature in FEATURES if feature.name == name)
        table = f"main.default.{name}"
        ingot.sql(f"DROP TABLE IF EXISTS {table}")
        ingot.sql(";\n".join(statement.format(t=table) for statement in feature.statements))
        return ingot.path(table)

    return write


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_engine_reads_what_was_written(feature, engine, readers, written):
    folder = written(feature.name)
    query = f"SELECT {feature.columns} FROM t ORDER BY 1"
    if word := feature.refused_by.get(engine):
        with pytest.raises(Exception, match=word):
            readers[engine](folder, query)
        return
    assert readers[engine](folder, query) == feature.rows
