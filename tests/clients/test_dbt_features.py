"""dbt-databricks, as it is, on the project `features`: keys, datasets, batches, and the commands around them."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from test_dbt import Dbt

PROJECT = Path(__file__).parent / "features"
GOOD = {"success", "pass"}


def project(url, tmp_path_factory, schema, v2=False):
    """A copy of the project that builds into a schema of its own."""
    dbt = Dbt(url, PROJECT, tmp_path_factory.mktemp("dbt") / schema)
    dbt.environment["DBT_SCHEMA"] = schema
    file = dbt.project / "dbt_project.yml"
    file.write_text(file.read_text().replace("use_materialization_v2: false", f"use_materialization_v2: {str(v2).lower()}"))
    return dbt


@pytest.fixture(scope="module", params=["v1", "v2"])
def keys(request, url, tmp_path_factory):
    return project(url, tmp_path_factory, f"keys_{request.param}", v2=request.param == "v2")


@pytest.fixture(scope="module")
def datasets(url, tmp_path_factory):
    return project(url, tmp_path_factory, "datasets")


@pytest.fixture(scope="module")
def batches(url, tmp_path_factory):
    return project(url, tmp_path_factory, "batches")


@pytest.fixture(scope="module", params=["v1", "v2"])
def metrics(request, url, tmp_path_factory):
    return project(url, tmp_path_factory, f"metrics_{request.param}", v2=request.param == "v2")


def vars(**values):
    return ["--vars", json.dumps(values)]


def history(rows, table):
    return [row[0] for row in rows(f"SELECT operation FROM (DESCRIBE HISTORY {table})")]


def test_keys_of_contracts(keys, rows):
    schema = keys.environment["DBT_SCHEMA"]
    in_schema = f"WHERE constraint_schema = '{schema}'"
    for _ in range(2):
        built = keys("build", "--select", "people", "keys")
        assert set(built.values()) <= GOOD, built
        constraints = rows(
            "SELECT table_name, constraint_type, constraint_name FROM main.information_schema.table_constraints "
            f"{in_schema} AND constraint_name NOT LIKE '________________________________' ORDER BY ALL"
        )
        assert constraints == [
            ("members", "FOREIGN KEY", "members_team"),
            ("teams", "CHECK", "people_in_it"),
            ("teams", "PRIMARY KEY", "teams_key"),
        ]
        references = f"SELECT constraint_name, unique_constraint_name FROM main.information_schema.referential_constraints {in_schema}"
        assert rows(references) == [("members_team", "teams_key")]
        named = f"SELECT count(*) FROM main.information_schema.table_constraints {in_schema} AND table_name = 'members' AND constraint_type = 'PRIMARY KEY'"
        assert rows(named) == [(1,)]
    tags = f"SELECT tag_name, tag_value FROM main.information_schema.table_tags WHERE schema_name = '{schema}'"
    assert rows(tags) == [("owner", "core")]
    comment = f"SELECT comment FROM main.information_schema.tables WHERE table_schema = '{schema}' AND table_name = 'teams'"
    assert rows(comment) == [("Teams; it's their names",)]

    # A key that the contract has no more is dropped from the incremental model.
    file = keys.project / "models" / "keys" / "keys.yml"
    text = file.read_text()
    file.write_text(re.sub(r"      - type: foreign_key.*?to_columns: \[team\]\n", "", text, flags=re.S))
    assert set(keys("run", "--select", "members").values()) <= GOOD
    assert rows(references) == []
    file.write_text(text)
    assert set(keys("run", "--select", "members").values()) <= GOOD
    assert rows(references) == [("members_team", "teams_key")]


def test_materialized_views_and_streaming_tables(datasets, rows):
    first = datasets("build", "--select", "people", "datasets")
    assert set(first.values()) <= GOOD, first
    assert rows("SELECT * FROM main.datasets.totals ORDER BY team") == [("blue", 1), ("red", 2)]
    assert rows("SELECT * FROM main.datasets.received ORDER BY id") == [(1, "RED"), (2, "RED"), (3, "BLUE")]
    kinds = "SELECT table_name, table_type FROM main.information_schema.tables WHERE table_schema = 'datasets' ORDER BY ALL"
    assert rows(kinds) == [
        ("events", "MANAGED"),
        ("nightly", "MATERIALIZED_VIEW"),
        ("people", "MANAGED"),
        ("received", "STREAMING_TABLE"),
        ("totals", "MATERIALIZED_VIEW"),
    ]

    # Nothing of their configuration is taken for changed: they are refreshed, and no more.
    assert set(datasets("run", "--select", "datasets", *vars(since=2)).values()) <= GOOD
    assert rows("SELECT * FROM main.datasets.totals ORDER BY team") == [("blue", 2), ("red", 2)]
    assert history(rows, "main.datasets.totals") == ["REFRESH", "CREATE MATERIALIZED VIEW"]
    assert history(rows, "main.datasets.nightly") == ["REFRESH", "CREATE MATERIALIZED VIEW"]
    # One that is refreshed by a schedule is left to it.
    assert history(rows, "main.datasets.received") == ["CREATE STREAMING TABLE"]
    rows("REFRESH STREAMING TABLE main.datasets.received")
    assert rows("SELECT count(*), count(DISTINCT id) FROM main.datasets.received") == [(4, 3)]


def described(rows, table, key):
    return [value for name, value, _ in rows(f"DESCRIBE EXTENDED {table}") if name == key]


def test_changes_of_configuration(datasets, rows):
    assert described(rows, "main.datasets.received", "Refresh Schedule") == ["EVERY 2 HOURS"]
    changed = vars(every="1 day", cron="0 0 1 * * ?", tag="other", since=9)
    assert set(datasets("run", "--select", "datasets", *changed).values()) <= GOOD
    assert described(rows, "main.datasets.received", "Refresh Schedule") == ["EVERY 1 DAYS"]
    schedule = "CRON '0 0 1 * * ?' AT TIME ZONE 'Etc/UTC'"
    assert described(rows, "main.datasets.nightly", "Refresh Schedule") == [schedule]
    tags = "SELECT table_name, tag_value FROM main.information_schema.table_tags WHERE schema_name = 'datasets'"
    assert rows(tags) == [("totals", "other")]
    # Another query is another view.
    changed = vars(every="1 day", cron="0 0 1 * * ?", tag="other", since=9, least=1)
    assert set(datasets("run", "--select", "totals", *changed).values()) <= GOOD
    assert history(rows, "main.datasets.totals")[0] == "CREATE OR REPLACE MATERIALIZED VIEW"
    # What is not to be changed stays, or fails.
    stays = vars(every="1 day", cron="0 0 2 * * ?", tag="other", since=9, least=1, on_change="continue")
    assert set(datasets("run", "--select", "nightly", *stays).values()) <= GOOD
    assert described(rows, "main.datasets.nightly", "Refresh Schedule") == [schedule]
    fails = vars(every="1 day", cron="0 0 2 * * ?", tag="other", since=9, least=1, on_change="fail")
    assert "on_configuration_change" in datasets.fails("run", "--select", "nightly", *fails)


def test_datasets_are_made_anew(datasets, rows):
    assert set(datasets("run", "--full-refresh", "--select", "datasets").values()) <= GOOD
    assert rows("SELECT count(*) FROM main.datasets.received") == [(3,)]
    assert history(rows, "main.datasets.received") == ["CREATE STREAMING TABLE"]


def test_metric_views(metrics, rows):
    schema = metrics.environment["DBT_SCHEMA"]
    view = f"main.{schema}.teams_measured"
    measured = f"SELECT team, MEASURE(people), MEASURE(first) IS NULL FROM {view} GROUP BY team ORDER BY team"
    kind = f"SELECT table_type FROM main.information_schema.tables WHERE table_schema = '{schema}' AND table_name = 'teams_measured'"
    altered = kind.replace("table_type", "last_altered")
    assert set(metrics("build", "--select", "people", "metrics").values()) <= GOOD
    assert rows(measured) == [("BLUE", 1, False), ("RED", 2, False)]
    assert rows(kind) == [("METRIC_VIEW",)]
    before = rows(altered)
    assert set(metrics("run", "--select", "metrics").values()) <= GOOD
    assert rows(altered) == before
    # Another definition, and another property, by ALTER VIEW.
    changed = vars(counted="DISTINCT team", quality="silver")
    assert set(metrics("run", "--select", "metrics", *changed).values()) <= GOOD
    assert rows(measured) == [("BLUE", 1, False), ("RED", 1, False)]
    assert ("quality", "silver") in rows(f"SHOW TBLPROPERTIES {view}")
    tags = f"SELECT tag_value FROM main.information_schema.table_tags WHERE schema_name = '{schema}'"
    assert rows(tags) == [("core",)]


def test_microbatches(batches, rows):
    built = batches("build", "--select", "people", "batches", "--event-time-start", "2024-01-01", "--event-time-end", "2024-01-04")
    assert set(built.values()) <= GOOD, built
    assert rows("SELECT count(*), count(DISTINCT id) FROM main.batches.daily") == [(3, 3)]
    rows("UPDATE main.batches.joined SET name = 'Bo' WHERE id = 2")
    again = ["--event-time-start", "2024-01-02", "--event-time-end", "2024-01-03"]
    assert set(batches("run", "--select", "daily", *again).values()) <= GOOD
    assert rows("SELECT id, name FROM main.batches.daily ORDER BY id") == [(1, "Ann"), (2, "Bo"), (3, "Cid")]


def test_freshness_of_sources(batches):
    batches("seed", "--select", "people")
    batches("run", "--select", "joined")
    found = batches.freshness()
    assert found == {"source.features.raw.people": "pass", "source.features.raw.joined": "warn"}


def test_show_and_clone(batches, rows):
    batches("build", "--select", "people", "joined")
    shown = batches.output("show", "--select", "joined", "--limit", "2", "--output", "json")
    assert json.loads(shown[shown.index("{") :])["show"][0].keys() == {"id", "name", "joined_at"}
    inline = batches.output("show", "--inline", "select count(*) as people from {{ ref('people') }}", "--output", "json")
    assert json.loads(inline[inline.index("{") :])["show"] == [{"people": 3}]
    state = batches.project / "state"
    state.mkdir(exist_ok=True)
    (state / "manifest.json").write_bytes((batches.project / "target" / "manifest.json").read_bytes())
    batches.environment["DBT_SCHEMA"] = "cloned"
    assert set(batches("clone", "--select", "people", "joined", "--state", state).values()) <= GOOD
    batches.environment["DBT_SCHEMA"] = "batches"
    assert rows("SELECT count(*) FROM main.cloned.joined") == [(3,)]
    assert history(rows, "main.cloned.joined") == ["CLONE"]


def test_what_failed_is_tried_again(batches, rows):
    model = batches.project / "models" / "batches" / "broken.sql"
    model.write_text(
        "{{ config(materialized='table') }} select assert_true(false) as x from {{ ref('joined') }}"
    )
    assert "USER_RAISED_EXCEPTION" in batches.fails("run", "--select", "joined", "broken")
    model.write_text("select count(*) as x from {{ ref('joined') }}")
    assert batches("retry") == {"broken": "success"}
    model.unlink()


def test_failures_of_tests_are_stored(keys, rows):
    schema = keys.environment["DBT_SCHEMA"]
    rows(f"INSERT INTO main.{schema}.members VALUES (9, 'red', NULL)")
    assert "FAIL 1" in keys.fails("test", "--select", "members")
    assert rows(f"SELECT count(*) FROM main.{schema}_dbt_test__audit.not_null_members_name") == [(1,)]
    rows(f"DELETE FROM main.{schema}.members WHERE id = 9")


@pytest.mark.parametrize("method", ["serverless_cluster", "all_purpose_cluster"])
def test_python_models_are_refused_at_once(batches, method):
    model = batches.project / "models" / "batches" / "computed.py"
    config = f"materialized='table', submission_method='{method}', cluster_id='any'"
    model.write_text(f"def model(dbt, session):\n    dbt.config({config})\n    return dbt.ref('people')\n")
    try:
        assert "Python models of dbt cannot run" in batches.fails("run", "--select", "computed", timeout=90)
    finally:
        model.unlink()
