"""Agreement and slopes against other ways to compute them, and judges against labels."""

import json
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tunewell.bundled import asset
from tunewell.evaluate.judge.agreement import quadratic_kappa, slope
from tunewell.evaluate.judge.calibration import calibrate, labelled_items

_SCORES = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2, max_size=40)


def _kappa(first: Sequence[float], second: Sequence[float]) -> float | None:
    return quadratic_kappa(first, second, range(len(first)), confidence=0.95, seed=0).value


@given(pairs=_SCORES)
def test_quadratic_kappa_is_that_of_the_table_of_counts(pairs: list[tuple[int, int]]) -> None:
    observed = np.zeros((5, 5))
    for first, second in pairs:
        observed[first - 1, second - 1] += 1
    weights = np.subtract.outer(np.arange(5), np.arange(5)) ** 2
    by_chance = np.outer(observed.sum(axis=1), observed.sum(axis=0)) / len(pairs)
    assume((weights * by_chance).sum() > 0)
    expected = 1 - (weights * observed).sum() / (weights * by_chance).sum()
    assert _kappa(*zip(*pairs, strict=True)) == pytest.approx(expected, abs=1e-12)


def test_quadratic_kappa_of_means_is_lins_concordance() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.uniform(1, 5, 50), rng.uniform(1, 5, 50)
    covariance = np.cov(first, second, bias=True)
    expected = 2 * covariance[0, 1] / (covariance[0, 0] + covariance[1, 1] + (first.mean() - second.mean()) ** 2)
    assert _kappa(first.tolist(), second.tolist()) == pytest.approx(expected)


def test_the_interval_of_kappa_is_that_of_clusters_and_of_its_seed() -> None:
    first, second = [1, 2, 3, 4, 5, 1, 2, 3, 4, 5] * 4, [1, 2, 3, 5, 4, 2, 2, 3, 3, 5] * 4
    alone = quadratic_kappa(first, second, range(40), confidence=0.95, seed=1)
    grouped = quadratic_kappa(first, second, [place % 10 for place in range(40)], confidence=0.95, seed=1)
    assert alone == quadratic_kappa(first, second, range(40), confidence=0.95, seed=1)
    assert alone.low is not None
    assert alone.high is not None
    assert grouped.low is not None
    assert alone.value is not None
    assert alone.low < alone.value < alone.high < 1
    assert grouped.low < alone.low
    assert (alone.clusters, grouped.clusters) == (40, 10)


def test_kappa_is_unknown_where_all_got_one_score_and_of_nothing() -> None:
    assert _kappa([3, 3, 3], [3, 3, 3]) is None
    assert _kappa([3.1, 3.1, 3.1], [3.1, 3.1, 3.1]) is None
    assert _kappa([], []) is None
    assert _kappa([1, 2, 3], [3, 3, 3]) == pytest.approx(0)
    with pytest.raises(ValueError, match="both raters must judge the same items: 1 and 2"):
        _kappa([1], [1, 2])


@given(values=st.lists(st.tuples(st.floats(-9, 9), st.floats(0, 9)), min_size=3, max_size=30))
def test_a_slope_in_one_group_is_least_squares(values: list[tuple[float, float]]) -> None:
    y, x = (list(column) for column in zip(*values, strict=True))
    assume(np.std(x) > 0.01)
    found = slope(y, x, ["en"] * len(y), range(len(y)), confidence=0.95, seed=0)
    assert found.value == pytest.approx(np.polyfit(x, y, 1)[0], abs=1e-6)


def test_groups_have_levels_of_their_own() -> None:
    # Chinese answers are short and good here: without an intercept for each language, short would seem good.
    lengths, languages = [2.0, 3.0, 4.0, 8.0, 9.0, 10.0], ["zh"] * 3 + ["en"] * 3
    found = slope([5.0, 5.1, 5.2, 1.0, 1.1, 1.2], lengths, languages, range(6), confidence=0.95, seed=0)
    assert found.value == pytest.approx(0.1)
    assert slope([1, 2], [3, 3], ["en", "en"], [0, 1], confidence=0.95, seed=0).value is None
    assert slope([], [], [], [], confidence=0.95, seed=0).value is None


def test_the_labelled_items_are_of_both_languages_and_of_all_scores() -> None:
    rows = [json.loads(line) for line in asset("judge", "calibration.jsonl").read_text(encoding="utf-8").splitlines()]
    assert Counter(row["language"] for row in rows) == {"en": 25, "zh": 25}
    assert len({row["id"] for row in rows}) == 50
    assert len({row["question"] for row in rows}) == 50
    assert all(row["question"] and row["reference"] and row["answer"] for row in rows)
    for place in (0, 1):
        for language in ("en", "zh"):
            labels = Counter(row["passes"][place] for row in rows if row["language"] == language)
            assert set(labels) == {1, 2, 3, 4, 5}
            assert max(labels.values()) < 12
    passes = [row["passes"] for row in rows]
    assert any(first != second for first, second in passes)
    assert all(abs(first - second) <= 1 for first, second in passes)


@pytest.mark.parametrize(
    ("judge", "expected", "within"),
    [
        (lambda label: label, 1.0, 1e-9),
        (lambda label: 3.0, 0.0, 1e-9),
        (lambda label: 6 - label, -1.0, 0.1),
    ],
)
def test_kappa_of_judges_of_known_worth(judge: Callable[[float], float], expected: float, within: float) -> None:
    items = labelled_items({"en", "zh"})
    found = calibrate(items, {item.id: judge(item.label) for item in items}, confidence=0.95, seed=0)
    assert found.kappa.value == pytest.approx(expected, abs=within)
    assert (found.kappa.n, found.of) == (50, 50)
    assert set(found.by_language) == {"en", "zh"}


def test_the_passes_agree_nearly_but_not_wholly() -> None:
    found = calibrate(labelled_items({"en", "zh"}), {}, confidence=0.95, seed=0)
    assert found.between_passes.value == pytest.approx(0.981, abs=0.005)
    assert (found.kappa.value, found.kappa.n, found.of) == (None, 0, 50)


def test_items_without_a_score_are_left_out() -> None:
    items = labelled_items({"zh"})
    found = calibrate(items, {item.id: item.label for item in items[:12]}, confidence=0.95, seed=0)
    assert (found.kappa.n, found.of) == (12, 25)
    assert list(found.by_language) == ["zh"]
