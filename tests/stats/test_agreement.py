"""The exact interval of a share and Cohen's κ, against other computations and by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from tunewell.stats import exact_share, kappa

LABELS = st.sampled_from(["accept", "mend", "reject"])


@given(n=st.integers(1, 300), share=st.floats(0, 1), confidence=st.sampled_from([0.8, 0.95, 0.99]))
def test_exact_interval_is_that_of_scipy(n: int, share: float, confidence: float) -> None:
    hits = round(share * n)
    expected = binomtest(hits, n).proportion_ci(confidence, method="exact")
    estimate = exact_share(hits, n, confidence=confidence)
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert (estimate.value, estimate.n) == (hits / n, n)


def test_a_share_of_nothing_is_unknown_and_an_impossible_one_a_bug() -> None:
    assert exact_share(0, 0).value is None
    assert exact_share(0, 0).low is None
    with pytest.raises(ValueError, match="4 of 3 items is no share"):
        exact_share(4, 3)


def test_kappa_of_a_known_table() -> None:
    # Cohen 1960, table 1: shares .25 .13 .12 / .12 .02 .16 / .03 .15 .02 of 100 items agree on 29 %.
    table = {("p", "p"): 25, ("p", "n"): 13, ("p", "s"): 12, ("n", "p"): 12, ("n", "n"): 2, ("n", "s"): 16, ("s", "p"): 3}
    table |= {("s", "n"): 15, ("s", "s"): 2}
    pairs = [pair for pair, count in table.items() for _ in range(count)]
    first, second = zip(*pairs, strict=True)
    chance = (50 * 40 + 30 * 30 + 20 * 30) / 100**2
    estimate = kappa(first, second)
    assert estimate.value == pytest.approx((0.29 - chance) / (1 - chance))
    agreed = binomtest(29, 100).proportion_ci(0.95, method="exact")
    assert (estimate.low, estimate.high) == pytest.approx(
        ((agreed.low - chance) / (1 - chance), (agreed.high - chance) / (1 - chance))
    )


@given(st.lists(st.tuples(LABELS, LABELS), max_size=40))
def test_kappa_lies_in_its_interval_and_does_not_hang_on_order(pairs: list[tuple[str, str]]) -> None:
    first, second = [one for one, _ in pairs], [other for _, other in pairs]
    estimate = kappa(first, second)
    if not pairs or (len(set(first)) == 1 and set(first) == set(second)):
        assert (estimate.value, estimate.low, estimate.high) == (None, None, None)
        return
    assert estimate.value is not None
    assert estimate.low is not None
    assert estimate.high is not None
    assert -1 <= estimate.low <= estimate.value + 1e-12
    assert estimate.value - 1e-12 <= estimate.high <= 1 + 1e-12
    assert estimate == kappa(second, first)
    assert (estimate.value == pytest.approx(1)) == (first == second)
    if first == second:
        assert estimate.low < 1, "agreeing on a few rows does not prove agreement"


def test_interval_of_kappa_holds_the_true_value_often_enough() -> None:
    table = np.array([[0.7, 0.05, 0.0], [0.05, 0.1, 0.02], [0.0, 0.02, 0.06]])
    chance = float(table.sum(1) @ table.sum(0))
    true = (np.trace(table) - chance) / (1 - chance)
    rng = np.random.default_rng(5)
    cells = [(row, column) for row in range(3) for column in range(3)]
    held = 0
    for _ in range(400):
        drawn = [cells[place] for place in rng.choice(9, 40, p=table.ravel())]
        estimate = kappa([one for one, _ in drawn], [other for _, other in drawn])
        held += estimate.low is not None and estimate.high is not None and estimate.low <= true <= estimate.high
    assert held / 400 > 0.95


def test_kappa_needs_the_same_items() -> None:
    with pytest.raises(ValueError, match="both raters must judge the same items: 1 and 2"):
        kappa(["a"], ["a", "b"])
