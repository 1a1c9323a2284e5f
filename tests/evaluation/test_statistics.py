"""Intervals, and what is said of sets."""

import numpy as np
import pytest
from known import cube

from core.data.mesh import Mesh
from core.evaluation.sets import one_nna, pairwise, set_metrics
from core.evaluation.statistics import estimate


@pytest.mark.parametrize("kind", ["mean", "median"])
def test_intervals_hold_the_truth_about_as_often_as_they_say(kind):
    rng = np.random.default_rng(0)
    held = 0
    for k in range(200):
        found = estimate(rng.normal(3, 2, 60), kind, seed=k)
        assert found is not None
        assert found.low <= found.value <= found.high
        held += found.low <= 3 <= found.high
    assert 0.88 <= held / 200 <= 0.99


def test_an_interval_is_as_wide_as_theory_says_and_the_same_again():
    values = np.random.default_rng(1).normal(0, 1, 400)
    found = estimate(values, "mean")
    assert found is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert found == estimate(values, "mean")
    assert found.number == 400


def test_values_of_one_group_count_as_one():
    values = np.random.default_rng(2).normal(0, 1, 50)
    alone, repeated = estimate(values, "mean"), estimate(np.repeat(values, 9), "mean", np.repeat(np.arange(50), 9))
    assert alone is not None
    assert repeated is not None
    assert repeated.high - repeated.low == pytest.approx(alone.high - alone.low, rel=0.1)
    uneven = estimate([1.0, 1.0, 1.0, 5.0], "median", [0, 0, 0, 1])
    assert uneven is not None
    assert (uneven.value, uneven.low, uneven.high) == (1, 1, 5)


def test_nothing_has_no_estimate_and_one_value_no_width():
    assert estimate([], "mean") is None
    assert estimate([0.25], "median") == (0.25, 0.25, 0.25, 1)


def boxes(count: int, seed: int, longest: float = 1.0) -> list[Mesh]:
    rng = np.random.default_rng(seed)
    sides = rng.uniform(0.2, 1, (count, 3)) * [1, longest, 1]
    return [Mesh((cube().vertices * side).astype(np.float32), cube().faces) for side in sides]


def test_one_distribution_cannot_be_told_apart():
    figures = set_metrics(boxes(40, 1), boxes(40, 2), 256)
    assert 0.35 <= figures["one_nna"] <= 0.65
    assert figures["coverage"] > 0.4
    assert figures["meshes"] == 40


def test_different_distributions_can():
    towers = set_metrics(boxes(20, 1, longest=9), boxes(20, 2), 256)
    alike = set_metrics(boxes(20, 1), boxes(20, 2), 256)
    assert towers["one_nna"] > 0.75 > alike["one_nna"]
    assert towers["mmd"] > 1.5 * alike["mmd"]
    assert towers["coverage"] < alike["coverage"]


def test_a_copied_set_covers_all_and_a_single_shape_one():
    true = boxes(12, 3)
    copied = set_metrics(true, true, 256)
    assert copied["coverage"] == 1
    assert copied["mmd"] == 0
    assert copied["one_nna"] == 0  # the nearest of each is its copy: that is no generation either
    assert set_metrics([true[0]] * 12, true, 256)["coverage"] == pytest.approx(1 / 12)


def test_sets_of_different_sizes_are_cut_to_the_smaller():
    assert set_metrics(boxes(5, 1), boxes(9, 2), 128)["meshes"] == 5
    assert set_metrics([], boxes(2, 1), 128) == {"meshes": 0}


def test_nearest_neighbours_by_hand():
    distances = np.array([[0, 1, 5, 5], [1, 0, 5, 5], [5, 5, 0, 9], [5, 4, 9, 0]], float)
    # 0 and 1 have each other, their own set; 2 and 3 have those of the other set.
    assert one_nna(distances, 2) == 0.5
    clouds = [np.zeros((4, 3)), np.ones((4, 3)), np.full((4, 3), 3.0)]
    assert np.allclose(pairwise(clouds), np.sqrt(3) * np.array([[0, 1, 3], [1, 0, 2], [3, 2, 0]]))
