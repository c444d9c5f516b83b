"""Intervals against scipy, by simulation, and in the corners where nothing can be known."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from tunewell.errors import DataError
from tunewell.stats import (
    RESAMPLES,
    Estimate,
    Floats,
    items_needed,
    mean,
    paired,
    paired_bootstrap,
    paired_shares,
    shared_keys,
    smallest_difference,
)

VALUES = st.lists(st.floats(-100, 100).map(lambda value: round(value, 3)), min_size=3, max_size=30)
CLUSTERED = VALUES.flatmap(
    lambda values: st.tuples(st.just(values), st.lists(st.integers(0, 6), min_size=len(values), max_size=len(values)))
)


def _ends(estimate: Estimate) -> tuple[float, float]:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


def _mean_of_sums(sums: Floats) -> Floats:
    return np.asarray(sums[..., 0] / sums[..., 1])


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
def test_unclustered_interval_is_that_of_scipy(confidence: float) -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 23)
    expected = scipy_stats.ttest_1samp(values, 0.0).confidence_interval(confidence)
    estimate = mean(values, confidence=confidence)
    assert _ends(estimate) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert estimate.standard_error == pytest.approx(scipy_stats.sem(values), rel=1e-12)


def test_paired_interval_is_that_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(2)
    base = rng.normal(0.4, 0.2, 40)
    tuned = base + rng.normal(0.1, 0.1, 40)
    expected = scipy_stats.ttest_rel(tuned, base).confidence_interval(0.95)
    comparison = paired(base, tuned)
    assert _ends(comparison.difference) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert [comparison.base, comparison.tuned] == pytest.approx([base.mean(), tuned.mean()])


def test_clustered_standard_error_worked_out_by_hand() -> None:
    # Mean 3; cluster sums of deviations: a −3, b +1, c +2; C/(C−1)·14/n² = 1.5·14/25.
    estimate = mean([1.0, 2.0, 3.0, 4.0, 5.0], ["a", "a", "b", "b", "c"])
    assert estimate.standard_error == pytest.approx(math.sqrt(1.5 * (9 + 1 + 4) / 25))
    assert (estimate.n, estimate.clusters) == (5, 3)
    assert _ends(estimate)[1] == pytest.approx(3 + scipy_stats.t.ppf(0.975, 2) * math.sqrt(0.84))


@given(CLUSTERED, st.floats(-50, 50))
def test_a_shift_moves_the_interval_and_keeps_its_width(drawn: tuple[list[float], list[int]], shift: float) -> None:
    values, clusters = drawn
    plain, moved = mean(values, clusters), mean(np.array(values) + shift, clusters)
    assert moved.value == pytest.approx((plain.value or 0.0) + shift, abs=1e-9)
    assert (moved.standard_error or 0.0) == pytest.approx(plain.standard_error or 0.0, abs=1e-9)


@given(CLUSTERED, st.floats(0.01, 50))
def test_a_change_of_unit_scales_the_interval(drawn: tuple[list[float], list[int]], scale: float) -> None:
    values, clusters = drawn
    plain, scaled = mean(values, clusters), mean(np.array(values) * scale, clusters)
    if plain.low is None:
        assert scaled.low is None
    else:
        assert _ends(scaled) == pytest.approx(np.array(_ends(plain)) * scale, abs=1e-6)


@given(CLUSTERED, st.randoms(use_true_random=False))
def test_the_order_of_items_and_the_names_of_clusters_do_not_matter(drawn: tuple[list[float], list[int]], random: Random) -> None:
    values, clusters = drawn
    order = list(range(len(values)))
    random.shuffle(order)
    plain = mean(values, clusters)
    other = mean([values[index] for index in order], [f"family {9 - clusters[index]}" for index in order])
    assert other.clusters == plain.clusters
    assert (other.standard_error or 0.0) == pytest.approx(plain.standard_error or 0.0, abs=1e-9)
    assert other.value == pytest.approx(plain.value, abs=1e-9)


@given(VALUES)
def test_copies_within_a_cluster_add_no_certainty(values: list[float]) -> None:
    copied = mean(np.repeat(values, 4), np.repeat(np.arange(len(values)), 4))
    assert copied.standard_error == pytest.approx(mean(values).standard_error, abs=1e-9)


@given(VALUES)
def test_swapping_the_models_mirrors_the_interval(values: list[float]) -> None:
    base, tuned = np.array(values), np.array(values[::-1])
    there, back = paired(base, tuned).difference, paired(tuned, base).difference
    assert _ends(there) == pytest.approx((-_ends(back)[1], -_ends(back)[0]), abs=1e-9)


@pytest.mark.parametrize("sizes", [[1] * 25, [4] * 20, [1, 2, 3, 6] * 12], ids=["unclustered", "equal", "unequal"])
def test_95_percent_of_intervals_hold_the_truth(sizes: list[int]) -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    shared = rng.normal(0.0, 1.0, (10_000, len(sizes)))[:, labels] if max(sizes) > 1 else 0.0
    draws = 0.5 + shared + rng.normal(0.0, 1.0, (10_000, len(labels)))
    covered = 0
    for draw in draws:
        low, high = _ends(mean(draw, labels))
        covered += low <= 0.5 <= high
    assert 0.94 <= covered / 10_000 <= 0.96


def test_ignoring_clusters_would_be_far_too_sure() -> None:
    rng = np.random.default_rng(4)
    labels = np.repeat(np.arange(20), 8)
    draws = rng.normal(0.0, 1.0, (500, 20))[:, labels] + rng.normal(0.0, 0.5, (500, 160))
    covered = sum(_ends(mean(draw))[0] <= 0 <= _ends(mean(draw))[1] for draw in draws)
    assert covered / 500 < 0.7


@pytest.mark.parametrize(
    ("values", "clusters", "expected"),
    [
        ([], None, Estimate(None, None, None, None, 0, 0)),
        ([2.0], None, Estimate(2.0, None, None, None, 1, 1)),
        ([2.0, 4.0], ["a", "a"], Estimate(3.0, None, None, None, 2, 1)),
        ([1.0, math.nan, 2.0], None, Estimate(None, None, None, None, 3, 3)),
        ([1.0, math.inf, 2.0], None, Estimate(None, None, None, None, 3, 3)),
        ([0.5, 0.5, 0.5], None, Estimate(0.5, 0.5, 0.5, 0.0, 3, 3)),
    ],
    ids=["none", "one", "one cluster", "nan", "infinite", "no variance"],
)
def test_what_is_unknown_is_none(values: list[float], clusters: list[str] | None, expected: Estimate) -> None:
    assert mean(values, clusters) == expected


def test_a_diverged_model_leaves_the_base_value_known() -> None:
    comparison = paired([1.0, 2.0], [math.nan, 2.0])
    assert (comparison.base, comparison.tuned, comparison.difference.value) == (1.5, None, None)
    shares = paired_shares([1.0, 0.0], [math.nan, 1.0])
    assert (shares.base, shares.tuned, shares.difference.low) == (0.5, None, None)


def test_values_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ValueError, match=r"base and tuned must be on the same items: shapes \(2,\) and \(3,\)"):
        paired([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"one cluster label an item: 2 items, labels of shape \(3,\)"):
        mean([1.0, 2.0], ["a", "b", "c"])


def test_shares_get_the_interval_of_bonett_and_price() -> None:
    # 8 of 50 only with the tuned model, 3 only with the base: (9 − 4)/52, variance ((9 + 4)/52 − d²)/52.
    base = np.array([0] * 8 + [1] * 3 + [1] * 20 + [0] * 19)
    tuned = np.array([1] * 8 + [0] * 3 + [1] * 20 + [0] * 19)
    comparison = paired_shares(base, tuned)
    centre = 5 / 52
    # The divisor n−1 and the t quantile, of the 50 that were observed, are ours; the paper has n and z.
    half = scipy_stats.t.ppf(0.975, 49) * math.sqrt((13 / 52 - centre**2) / 51)
    assert comparison.difference.value == pytest.approx(0.1)
    assert _ends(comparison.difference) == pytest.approx((centre - half, centre + half), rel=1e-12)


def test_no_event_is_not_certainty_for_shares() -> None:
    nothing = np.zeros(30)
    low, high = _ends(paired_shares(nothing, nothing).difference)
    assert low == -high
    assert 0.05 < high < 0.15
    assert paired_shares([1.0], [1.0]).difference == Estimate(0.0, None, None, None, 1, 1)


def test_rare_events_are_covered_by_shares_and_not_by_the_plain_interval() -> None:
    rng = np.random.default_rng(5)
    base = np.zeros(100)
    leaks = (rng.random((3_000, 100)) < 0.05).astype(float)
    too_sure = np.mean([_ends(paired(base, draw).difference)[1] < 0.05 if draw.any() else True for draw in leaks])
    careful = np.mean([_ends(paired_shares(base, draw).difference)[1] < 0.05 for draw in leaks])
    assert too_sure > 0.1
    assert careful <= 0.05


def test_bootstrap_of_a_mean_agrees_with_the_t_interval() -> None:
    rng = np.random.default_rng(6)
    labels = np.repeat(np.arange(150), 2)
    base = rng.normal(0.5, 0.2, 300)
    tuned = base + rng.normal(0.1, 0.1, 150)[labels] + rng.normal(0.0, 0.1, 300)
    ones = np.ones(300)
    drawn = paired_bootstrap(
        _mean_of_sums, np.stack([base, ones], axis=1), np.stack([tuned, ones], axis=1), labels, confidence=0.95, seed=0
    )
    exact = paired(base, tuned, labels)
    assert [drawn.base, drawn.tuned] == pytest.approx([exact.base, exact.tuned])
    assert drawn.difference.value == pytest.approx(exact.difference.value)
    assert drawn.difference.standard_error == pytest.approx(exact.difference.standard_error, rel=0.08)
    assert _ends(drawn.difference) == pytest.approx(_ends(exact.difference), abs=0.6 * (exact.difference.standard_error or 0.0))


def test_bootstrap_is_a_function_of_its_seed() -> None:
    rng = np.random.default_rng(7)
    base, tuned, labels = rng.random((40, 2)) + 1, rng.random((40, 2)) + 1, np.arange(40)
    first, again, other = (
        paired_bootstrap(_mean_of_sums, base, tuned, labels, confidence=0.9, seed=seed).difference for seed in (1, 1, 2)
    )
    assert first == again
    assert first.low != other.low


def test_bootstrap_covers_the_truth_for_clustered_ratios() -> None:
    rng = np.random.default_rng(8)
    labels = np.repeat(np.arange(40), 3)
    covered = 0
    for seed in range(400):
        weights = rng.integers(1, 20, 120).astype(float)
        loss = rng.normal(1.0, 0.3, 40)[labels] + rng.normal(0.0, 0.2, 120)
        better = loss - 0.2 - rng.normal(0.0, 0.2, 40)[labels]
        base, tuned = np.stack([loss * weights, weights], axis=1), np.stack([better * weights, weights], axis=1)
        low, high = _ends(paired_bootstrap(_mean_of_sums, base, tuned, labels, confidence=0.95, seed=seed).difference)
        covered += low <= -0.2 <= high
    # A percentile interval of 40 clusters is a little narrow, as its docstring says.
    assert 0.90 <= covered / 400 <= 0.98


def test_bootstrap_without_knowledge_has_no_interval() -> None:
    ones = np.ones((3, 2))
    empty = paired_bootstrap(_mean_of_sums, np.empty((0, 2)), np.empty((0, 2)), [], confidence=0.95, seed=0)
    assert (empty.base, empty.difference.value, empty.difference.n) == (None, None, 0)
    single = paired_bootstrap(_mean_of_sums, ones, 2 * ones, ["a"] * 3, confidence=0.95, seed=0)
    assert (single.difference.value, single.difference.low) == (0.0, None)

    def often_undefined(sums: Floats) -> Floats:
        return np.where(sums[..., 0] == 3, 1.0, np.nan)

    columns = np.array([[2.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    undefined = paired_bootstrap(often_undefined, columns, columns, ["a", "b", "c"], confidence=0.95, seed=0)
    assert (undefined.base, undefined.difference.value, undefined.difference.low) == (1.0, 0.0, None)


def test_bootstrap_in_blocks_draws_all_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def counting(sums: Floats) -> Floats:
        seen.append(sums.shape[-2] if sums.ndim == 3 else 0)
        return _mean_of_sums(sums)

    monkeypatch.setattr("tunewell.stats._WEIGHTS_AT_ONCE", 300 * 5)
    table = np.random.default_rng(9).random((5, 2)) + 1
    paired_bootstrap(counting, table, table + 1, np.arange(5), confidence=0.95, seed=0)
    assert seen == [0, 300, 300, 300, RESAMPLES - 900]


def test_smallest_difference_is_shown_with_80_percent_power() -> None:
    rng = np.random.default_rng(10)
    sample = rng.normal(0.0, 1.0, 60)
    shown = smallest_difference(mean(sample / sample.std(ddof=1)))
    assert shown is not None
    assert shown == pytest.approx(2.8 / math.sqrt(60), rel=0.03)
    lows = np.array([_ends(mean(draw))[0] for draw in rng.normal(shown, 1.0, (2_000, 60))])
    assert (lows > 0).mean() == pytest.approx(0.8, abs=0.03)
    assert smallest_difference(mean([1.0])) is None


@pytest.mark.parametrize(
    ("limit", "expected"), [(0.0, 400), (0.01, 1600), (0.02, None), (0.02 + 1e-6, None), (-0.02, 100), (0.06, 100)]
)
def test_items_needed_to_clear_a_limit(limit: float, expected: int | None) -> None:
    assert items_needed(Estimate(0.02, -0.02, 0.06, 0.02, 100, 100), limit) == expected


def test_items_needed_is_unknown_without_an_interval() -> None:
    assert items_needed(Estimate(0.02, None, None, None, 1, 1), 0.0) is None
    assert items_needed(Estimate(0.02, -0.02, 0.06, 0.02, 100, 100), 0.0, most=399) is None


def test_items_answered_by_one_model_only_are_named() -> None:
    assert shared_keys({"b": 1, "a": 2}, {"a": 3, "b": 4}, where="here") == ["a", "b"]
    with pytest.raises(DataError) as caught:
        shared_keys({"a": 1, "c": 1}, {"a": 2, "b": 1}, where="6-evaluate/results")
    assert caught.value.what == "items answered by one model only: 2, the first is b"
    assert caught.value.where == "6-evaluate/results"
    assert caught.value.hint == "both models must answer the same items: run `tunewell evaluate` again"
