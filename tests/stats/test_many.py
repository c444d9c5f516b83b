"""Statistics of one model alone, and of many differences at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from tunewell.stats import Estimate, Floats, bootstrap, holm, mean, paired, paired_bootstrap, two_sided_p

_P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def _ratio(sums: Floats) -> Floats:
    return np.asarray(sums[..., 0] / sums[..., 1])


def test_bootstrap_of_one_model_resamples_as_the_paired_one() -> None:
    rows = np.random.default_rng(5).uniform(1, 3, size=(30, 2))
    clusters = [place // 2 for place in range(30)]
    nothing = np.stack([np.zeros(30), np.ones(30)], axis=1)
    alone = bootstrap(_ratio, rows, clusters, confidence=0.9, seed=7)
    assert alone == paired_bootstrap(_ratio, nothing, rows, clusters, confidence=0.9, seed=7).difference
    assert (alone.n, alone.clusters) == (30, 15)
    assert alone.low is not None
    assert alone.high is not None
    assert alone.low < rows[:, 0].sum() / rows[:, 1].sum() < alone.high


def test_bootstrap_says_what_it_cannot_know() -> None:
    empty = np.empty((0, 2))
    assert bootstrap(_ratio, empty, [], confidence=0.95, seed=0) == Estimate(None, None, None, None, 0, 0)
    one = bootstrap(_ratio, [[1.0, 2.0], [3.0, 2.0]], ["a", "a"], confidence=0.95, seed=0)
    assert one == Estimate(1.0, None, None, None, 2, 1)
    diverged = bootstrap(_ratio, [[np.inf, 2.0], [3.0, 2.0]], ["a", "b"], confidence=0.95, seed=0)
    assert diverged == Estimate(None, None, None, None, 2, 2)


def test_the_p_value_of_a_paired_mean_is_that_of_the_t_test() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(size=25)
    tuned = base + rng.normal(0.2, 1, size=25)
    assert two_sided_p(paired(base, tuned).difference) == pytest.approx(float(ttest_rel(tuned, base).pvalue))


def test_p_values_at_the_edges() -> None:
    assert two_sided_p(mean([1.0])) is None
    assert two_sided_p(mean([0.0, 0.0, 0.0])) == 1.0
    assert two_sided_p(mean([2.0, 2.0, 2.0])) == 0.0


def test_holm_by_hand() -> None:
    assert holm([]) == []
    assert holm([0.04]) == [0.04]
    assert holm([0.04, 0.01, 0.5]) == pytest.approx([0.08, 0.03, 0.5])
    assert holm([0.6, 0.5]) == [1.0, 1.0]


@given(_P_VALUES)
def test_holm_keeps_the_order_and_never_lowers_a_p_value(values: list[float]) -> None:
    corrected = holm(values)
    assert all(before <= after <= min(1.0, len(values) * before) for before, after in zip(values, corrected, strict=True)) or (
        sorted(corrected) == [corrected[place] for place in sorted(range(len(values)), key=values.__getitem__)]
    )
    for one, first in enumerate(values):
        for other, second in enumerate(values):
            assert first > second or one == other or corrected[one] <= corrected[other] or first == second


@given(_P_VALUES, st.floats(0.001, 0.2))
def test_holm_rejects_what_stepping_down_rejects(values: list[float], level: float) -> None:
    rejected = set()
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        if (len(values) - rank) * values[place] >= level:
            break
        rejected.add(place)
    assert {place for place, p in enumerate(holm(values)) if p < level} == rejected
