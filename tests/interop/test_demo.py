"""The demo, whole: its answers, its second run, and its tables in other engines' eyes."""

import subprocess

import pytest

from conftest import Ingot

LAYERS = [
    "bronze.flights_raw", "bronze.airlines", "bronze.airports", "bronze.planes", "bronze.weather",
    "silver.flights_parsed", "silver.flights", "silver.flights_quarantine", "silver.aircraft_sightings",
    "gold.carrier_delay", "gold.airport_month", "gold.route_day", "gold.dim_aircraft",
]


def counts(ingot: Ingot) -> dict[str, int]:
    return {table: ingot.value(f"SELECT count(*) FROM main.{table}") for table in LAYERS}


@pytest.fixture(scope="module")
def demo(binary, tmp_path_factory) -> Ingot:
    data_dir = tmp_path_factory.mktemp("demo")
    done = subprocess.run([binary, "demo", "--data-dir", str(data_dir)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12.6390702573" in done.stdout
    return Ingot(binary, data_dir)


def test_known_answers(demo):
    assert demo.value("SELECT count(*) FROM main.silver.flights") == 336_776
    mean = demo.value("SELECT avg(dep_delay) FROM main.silver.flights")
    assert mean == pytest.approx(12.639070257304708, rel=1e-12)
    changed = demo.value(
        "SELECT count(*) FROM (SELECT tailnum FROM main.gold.dim_aircraft GROUP BY tailnum HAVING count(*) > 1)"
    )
    assert changed == 17
    assert demo.value("SELECT count(DISTINCT tailnum) FROM main.gold.dim_aircraft") == 4_043


def test_second_run_changes_no_count(demo):
    before = counts(demo)
    done = subprocess.run([demo.binary, "demo", "--data-dir", str(demo.data_dir)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert counts(demo) == before


def test_other_engines_count_and_sum_the_same(demo, readers, engine):
    for table, ours in counts(demo).items():
        assert readers[engine](demo.path(f"main.{table}"), "SELECT count(*) FROM t") == [(ours,)], table
    query = "SELECT count(dep_delay), sum(dep_delay), sum(arr_delay), sum(distance) FROM t"
    ours = demo.sql(query.replace(" t", " main.silver.flights"))[0]
    (theirs,) = readers[engine](demo.path("main.silver.flights"), query)
    assert tuple(float(value) for value in theirs) == tuple(float(value) for value in ours.values())
