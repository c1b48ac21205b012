"""dbt-databricks, as it is, on the project `examples/flights_dbt`."""

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


@pytest.fixture(scope="module")
def dbt(url, tmp_path_factory):
    """Runs dbt on a copy of the project; returns its results, by the names of nodes."""
    project = tmp_path_factory.mktemp("dbt") / "project"
    shutil.copytree(REPOSITORY / "examples" / "flights_dbt", project)
    environment = os.environ | {
        "INGOT_URL": url,
        "FLIGHTS_DATA": str(REPOSITORY / "examples" / "flights" / "data"),
        "DBT_PROFILES_DIR": str(project),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }

    def dbt(*arguments) -> dict[str, str]:
        command = [Path(sys.executable).parent / "dbt", "--no-use-colors", *arguments, "--project-dir", project]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        results = json.loads((project / "target" / "run_results.json").read_text())["results"]
        return {result["unique_id"].split(".")[2]: result["status"] for result in results}

    dbt.project = project
    return dbt


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
