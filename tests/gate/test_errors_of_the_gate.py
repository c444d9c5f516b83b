"""How often the gate is wrong, by simulation: a loss just beyond a margin must rarely pass, and noise must rarely be a gain.

Each claim is drawn at about the size that a recipe's defaults give it.
"""

from collections.abc import Callable

import numpy as np
import pytest

from tunewell.gate.judge import judge
from tunewell.gate.rules import RULES
from tunewell.gate.series import Series
from tunewell.stats import Floats

DRAWS = 2_000
# 5 % and three Monte Carlo standard errors.
MOST = 0.05 + 3 * (0.05 * 0.95 / DRAWS) ** 0.5
MARGINS = {"retention": 0.05, "brittleness": 0.05, "constraints": 0.1, "leakage": 0.05, "gap": 0.2}
_RULES = {rule.name: rule for rule in RULES}

Pair = tuple[Floats, Floats]


def _verdicts(name: str, draw: Callable[[np.random.Generator], Pair]) -> dict[str, float]:
    rule, rng = _RULES[name], np.random.default_rng(12)
    shares = {"pass": 0.0, "fail": 0.0, "inconclusive": 0.0}
    for _ in range(DRAWS):
        base, tuned = draw(rng)
        series = Series(base.tolist(), tuned.tolist(), [str(index) for index in range(len(base))])
        comparison = rule.compare(series, confidence=0.95)
        shares[judge(comparison, better=rule.better, margin=rule.limit(comparison.base, MARGINS)).verdict] += 1 / DRAWS
    return shares


def _retention(rng: np.random.Generator, *, lost: float) -> Pair:
    # Skewed probabilities of mean 0.5; the loss is a share of each, so that the relative loss is exact.
    base = rng.beta(1.0, 1.0, 300)
    return base, base * (1 - lost) + rng.normal(0.0, 0.08, 300)


def _drops(rng: np.random.Generator, *, grown: float, n: int) -> Pair:
    # Skewed as drops are: most questions lose nothing, a few lose much.
    base = rng.normal(0.1, 0.1, n)
    return base, base + grown + (rng.gamma(4.0, 0.05, n) - 0.2)


def _constraints(rng: np.random.Generator, *, lost: float) -> Pair:
    base = rng.random(60) < 0.5
    tuned = np.where(rng.random(60) < 0.2, rng.random(60) < 0.5, base) & (rng.random(60) >= lost)
    return base.astype(float), tuned.astype(float)


def _leaks(rng: np.random.Generator, *, grown: float) -> Pair:
    base = rng.random(100) < 0.01
    # Only prompts that did not leak can start to, so the rate among them is a little higher.
    return base.astype(float), (base | (rng.random(100) < grown / 0.99)).astype(float)


LOSSES: dict[str, tuple[str, Callable[[np.random.Generator], Pair]]] = {
    "retention": ("retention", lambda rng: _retention(rng, lost=0.0501)),
    "brittleness": ("brittleness", lambda rng: _drops(rng, grown=0.0501, n=20)),
    "constraints": ("constraints", lambda rng: _constraints(rng, lost=0.1001)),
    "leakage": ("leakage", lambda rng: _leaks(rng, grown=0.0501)),
    "gap": ("gap", lambda rng: _drops(rng, grown=0.2001, n=60)),
}


@pytest.mark.parametrize("case", LOSSES)
def test_a_loss_just_beyond_the_margin_rarely_passes(case: str) -> None:
    name, draw = LOSSES[case]
    assert _verdicts(name, draw)["pass"] <= MOST


@pytest.mark.parametrize("name", ["domain_gain", "domain_loss"])
def test_the_base_model_against_itself_is_rarely_better(name: str) -> None:
    def two_samples_of_one_model(rng: np.random.Generator) -> Pair:
        question = rng.beta(2.0, 4.0, 60)
        return question + rng.normal(0.0, 0.1, 60), question + rng.normal(0.0, 0.1, 60)

    shares = _verdicts(name, two_samples_of_one_model)
    assert shares["pass"] <= MOST
    assert shares["fail"] <= MOST


def test_a_model_that_lost_nothing_passes_and_one_that_lost_much_fails() -> None:
    assert _verdicts("retention", lambda rng: _retention(rng, lost=0.0))["pass"] > 0.95
    assert _verdicts("retention", lambda rng: _retention(rng, lost=0.15))["fail"] > 0.95
    assert _verdicts("leakage", lambda rng: _leaks(rng, grown=0.2))["fail"] > 0.95
