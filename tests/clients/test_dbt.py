"""dbt-databricks, as it is, on the project `examples/flights_dbt`, and on one of all ways to build."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import REPOSITORY

FLIGHTS = 336_776
UNTIL_JUNE = 166_158


class Dbt:
    """Runs dbt on a copy of a project."""

    def __init__(self, url: str, project: Path, copy: Path):
        self.project = copy
        shutil.copytree(project, copy)
        self.environment = os.environ | {
            "INGOT_URL": url,
            "FLIGHTS_DATA": str(REPOSITORY / "examples" / "flights" / "data"),
            "DBT_PROFILES_DIR": str(copy),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        }

    def __call__(self, *arguments) -> dict[str, str]:
        """Returns the status of each node by its name."""
        self.output(*arguments)
        results = json.loads((self.project / "target" / "run_results.json").read_text())["results"]
        return {result["unique_id"].split(".")[2]: result["status"] for result in results}

    def output(self, *arguments) -> str:
        """Returns what a command that ends well says."""
        done = self._run(arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def fails(self, *arguments, timeout=None) -> str:
        """Returns what a command says that must fail, within `timeout` seconds."""
        done = self._run(arguments, timeout)
        assert done.returncode != 0, done.stdout
        return done.stdout

    def freshness(self) -> dict[str, str]:
        """Returns how fresh each source is."""
        self.output("source", "freshness")
        results = json.loads((self.project / "target" / "sources.json").read_text())["results"]
        return {result["unique_id"]: result["status"] for result in results}

    def _run(self, arguments, timeout=None):
        program = Path(sys.executable).parent / "dbt"
        command = [program, "--no-use-colors", *arguments, "--project-dir", self.project]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=timeout)


@pytest.fixture(scope="module")
def dbt(url, tmp_path_factory):
    return Dbt(url, REPOSITORY / "examples" / "flights_dbt", tmp_path_factory.mktemp("dbt") / "flights")


@pytest.fixture(scope="module")
def strategies(url, tmp_path_factory):
    return Dbt(url, Path(__file__).parent / "strategies", tmp_path_factory.mktemp("dbt") / "strategies")


def test_a_project_is_built_twice(dbt, rows):
    first = dbt("build", "--vars", 'until: "2013-06-30"')
    assert set(first.values()) <= {"success", "pass"}, first
    assert rows("SELECT count(*), count(DISTINCT flight_id) FROM main.flights_dbt.flights") == [(UNTIL_JUNE, UNTIL_JUNE)]

    second = dbt("build")
    assert set(second.values()) <= {"success", "pass"}, second
    assert second.keys() == first.keys()
    assert rows("SELECT count(*), count(DISTINCT flight_id) FROM main.flights_dbt.flights") == [(FLIGHTS, FLIGHTS)]
    operations = [row[0] for row in rows("SELECT operation FROM (DESCRIBE HISTORY main.flights_dbt.flights)")]
    assert operations.count("MERGE") == 1
    # The snapshot has a version of each carrier for each of the builds.
    versions = "SELECT count(*), count(dbt_valid_to) FROM main.flights_dbt.carriers_snapshot"
    assert rows(versions) == [(32, 16)]


def test_docs_describe_what_was_built(dbt):
    dbt("docs", "generate")
    catalog = json.loads((dbt.project / "target" / "catalog.json").read_text())
    nodes = {name.split(".")[-1]: node for name, node in catalog["nodes"].items()}
    assert {"airlines", "stg_flights", "flights", "carrier_delay", "origin_month", "carriers_snapshot"} <= nodes.keys()
    columns = {name: column["type"] for name, column in nodes["carrier_delay"]["columns"].items()}
    assert columns == {
        "carrier": "string",
        "name": "string",
        "flights": "bigint",
        "cancelled": "bigint",
        "mean_arr_delay": "decimal(10,2)",
    }
    assert nodes["flights"]["metadata"]["comment"] == "Each flight once, up to a day."


def test_every_way_to_build_a_model(strategies, rows):
    for _ in range(2):
        built = strategies("build")
        assert set(built.values()) <= {"success", "pass"}, built
    counts = {
        "appended": 6,
        "overwritten": 3,
        "overwritten_by_partition": 3,
        "replaced": 2,
        "deleted_and_inserted": 3,
        "ordered": 3,
        "shown": 2,
    }
    found = {table: rows(f"SELECT count(*) FROM main.strategies.{table}")[0][0] for table in counts}
    assert found == counts
    for table in ["columns_synced", "schema_evolved"]:
        assert rows(f"SELECT count(*), sum(extra) FROM main.strategies.{table}") == [(3, 3)]
    operations = [row[0] for row in rows("SELECT operation FROM (DESCRIBE HISTORY main.strategies.ordered)")]
    assert "OPTIMIZE" in operations
