"""Sketches beside Apache DataSketches itself, whose binaries Spark writes: each side reads the other's."""

import pytest
from datasketches import (
    compact_theta_sketch, frequent_strings_sketch, hll_sketch, kll_doubles_sketch, kll_floats_sketch, tgt_hll_type,
    theta_union, update_theta_sketch,
)

# Few enough for a list, for a hash set, and for registers.
COUNTS = [3, 100, 20_000]


def hll_of(values, kind=tgt_hll_type.HLL_8) -> hll_sketch:
    sketch = hll_sketch(12, kind)
    for value in values:
        sketch.update(value)
    return sketch


def theta_of(values) -> update_theta_sketch:
    sketch = update_theta_sketch(12)
    for value in values:
        sketch.update(value)
    return sketch


def literal(binary: bytes) -> str:
    return f"X'{binary.hex()}'"


@pytest.mark.parametrize("count", COUNTS)
def test_hll_of_ours_is_read(rows, count):
    ((ours,),) = rows(f"SELECT hll_sketch_agg(id) FROM range({count})")
    theirs = hll_of(range(count))
    assert hll_sketch.deserialize(ours).get_estimate() == pytest.approx(theirs.get_estimate(), rel=0.01)
    ((texts,),) = rows(f"SELECT hll_sketch_agg(CAST(id AS STRING)) FROM range({count})")
    theirs = hll_of(str(value) for value in range(count))
    assert hll_sketch.deserialize(texts).get_estimate() == pytest.approx(theirs.get_estimate(), rel=0.01)


@pytest.mark.parametrize("kind", [tgt_hll_type.HLL_4, tgt_hll_type.HLL_6, tgt_hll_type.HLL_8], ids=str)
@pytest.mark.parametrize("form", ["serialize_compact", "serialize_updatable"])
@pytest.mark.parametrize("count", COUNTS)
def test_hll_of_theirs_is_read(rows, count, form, kind):
    theirs = hll_of(range(count), kind)
    # The same values hash alike: the union with a sketch of them is no larger.
    ((estimate, joined),) = rows(
        f"""SELECT hll_sketch_estimate(sketch), hll_sketch_estimate(hll_union(sketch, ours))
            FROM (SELECT {literal(getattr(theirs, form)())} AS sketch), (SELECT hll_sketch_agg(id) AS ours FROM range({count}))"""
    )
    assert estimate == round(theirs.get_estimate())
    assert joined == pytest.approx(estimate, rel=0.01)


@pytest.mark.parametrize("count", COUNTS)
def test_theta_goes_both_ways(rows, count):
    ((ours,),) = rows(f"SELECT theta_sketch_agg(id) FROM range({count})")
    both = theta_union(12)
    both.update(compact_theta_sketch.deserialize(ours))
    both.update(theta_of(range(count)))
    assert both.get_result().get_estimate() == pytest.approx(count, rel=0.05)
    other = literal(theta_of(range(count // 2, 2 * count)).compact().serialize())
    ((joined, common),) = rows(
        f"""SELECT theta_sketch_estimate(theta_union({literal(ours)}, {other})),
                   theta_sketch_estimate(theta_intersection({literal(ours)}, {other}))"""
    )
    assert joined == pytest.approx(2 * count, rel=0.1)
    assert common == pytest.approx(count - count // 2, rel=0.1)


@pytest.mark.parametrize(
    ("sql_type", "sketch_type", "name"),
    [("DOUBLE", kll_doubles_sketch, "double"), ("FLOAT", kll_floats_sketch, "float")],
    ids=["double", "float"],
)
@pytest.mark.parametrize("count", COUNTS)
def test_kll_goes_both_ways(rows, count, sql_type, sketch_type, name):
    ((ours,),) = rows(f"SELECT kll_sketch_agg_{name}(CAST(id AS {sql_type})) FROM range({count})")
    read = sketch_type.deserialize(ours)
    assert read.n == count
    assert read.get_quantile(0.5) == pytest.approx(count / 2, rel=0.1, abs=1)
    theirs = sketch_type(200)
    for value in range(count):
        theirs.update(float(value))
    ((seen, median),) = rows(
        f"""SELECT kll_sketch_get_n_{name}(sketch), kll_sketch_get_quantile_{name}(sketch, 0.5)
            FROM (SELECT {literal(theirs.serialize())} AS sketch)"""
    )
    assert seen == count
    assert median == theirs.get_quantile(0.5, True)  # Java's default


def test_frequent_texts_of_ours_are_read(rows):
    ((sketch,),) = rows(
        """SELECT approx_top_k_accumulate(s).sketch
           FROM VALUES ('a'), ('b'), ('a'), ('ü'), ('a'), ('b') AS t(s)"""
    )
    read = frequent_strings_sketch.deserialize(sketch)
    assert {item: read.get_estimate(item) for item in ("a", "b", "ü", "c")} == {"a": 3, "b": 2, "ü": 1, "c": 0}
