"""How often the gate is wrong, by simulation: a loss just beyond a margin must rarely pass, and noise must rarely be a gain.

Each claim is drawn at about the size that a recipe's defaults give it.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tunewell.gate.judge import Tails, Verdict, corrected, judge, level_of, overall, p_values
from tunewell.gate.rules import RULES
from tunewell.gate.series import Series
from tunewell.stats import Comparison, Floats

DRAWS, FEWER = 2_000, 800


def _most(draws: int) -> float:
    """5 % and three Monte Carlo standard errors."""
    return 0.05 + 3 * float(np.sqrt(0.05 * 0.95 / draws))


MOST = _most(DRAWS)
MARGINS = {"retention": 0.05, "brittleness": 0.05, "constraints": 0.1, "leakage": 0.05, "gap": 0.2}
_RULES = {rule.name: rule for rule in RULES}

Pair = tuple[Floats, Floats]
Draw = Callable[[np.random.Generator], Pair]


def _comparison(name: str, pair: Pair) -> tuple[Comparison, float | None]:
    rule, (base, tuned) = _RULES[name], pair
    series = Series(base.tolist(), tuned.tolist(), [str(index) for index in range(len(base))])
    comparison = rule.compare(series, confidence=0.95)
    return comparison, rule.limit(comparison.base, MARGINS)


def _judged(names: Sequence[str], pairs: Sequence[Pair]) -> tuple[list[Verdict], list[Tails]]:
    """The verdicts of claims tested together, and their p values before correction."""
    compared = [_comparison(name, pair) for name, pair in zip(names, pairs, strict=True)]
    sides = [_RULES[name].better for name in names]
    raw = [p_values(one, better=side, margin=limit) for (one, limit), side in zip(compared, sides, strict=True)]
    adjusted = corrected(raw)
    level = level_of(adjusted, confidence=0.95)
    verdicts = [
        judge(one, better=side, margin=limit, raw=test, adjusted=after, level=level).verdict
        for (one, limit), side, test, after in zip(compared, sides, raw, adjusted, strict=True)
    ]
    return verdicts, [test for test in raw if test is not None]


def _verdicts(name: str, draw: Draw) -> dict[str, float]:
    rng = np.random.default_rng(12)
    shares = {"pass": 0.0, "fail": 0.0, "inconclusive": 0.0}
    for _ in range(DRAWS):
        [verdict], _ = _judged([name], [draw(rng)])
        shares[verdict] += 1 / DRAWS
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


LOSSES: dict[str, tuple[str, Draw]] = {
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


def _two_samples_of_one_model(rng: np.random.Generator) -> Pair:
    question = rng.beta(2.0, 4.0, 60)
    return question + rng.normal(0.0, 0.1, 60), question + rng.normal(0.0, 0.1, 60)


@pytest.mark.parametrize("name", ["domain_gain", "domain_loss"])
def test_the_base_model_against_itself_is_rarely_better(name: str) -> None:
    shares = _verdicts(name, _two_samples_of_one_model)
    assert shares["pass"] <= MOST
    assert shares["fail"] <= MOST


def test_a_model_that_lost_nothing_passes_and_one_that_lost_much_fails() -> None:
    assert _verdicts("retention", lambda rng: _retention(rng, lost=0.0))["pass"] > 0.95
    assert _verdicts("retention", lambda rng: _retention(rng, lost=0.15))["fail"] > 0.95
    assert _verdicts("leakage", lambda rng: _leaks(rng, grown=0.2))["fail"] > 0.95


def test_the_base_model_against_itself_is_rarely_called_better_or_worse_by_any_claim() -> None:
    rng, names = np.random.default_rng(13), ("domain_gain", "domain_loss", *LOSSES)
    better = worse = 0
    for _ in range(FEWER):
        verdicts, _ = _judged(
            names,
            [*(_two_samples_of_one_model(rng) for _ in range(2)), *(_unchanged(draw(rng)[0], rng) for _, draw in LOSSES.values())],
        )
        better += "pass" in verdicts[:2]
        worse += "fail" in verdicts
    assert better / FEWER <= _most(FEWER)
    assert worse / FEWER <= _most(FEWER)


def _unchanged(base: Floats, rng: np.random.Generator) -> Pair:
    """Another sample of the same model: shares swap places with each other, other measures move a little either way."""
    if set(np.unique(base)) <= {0.0, 1.0}:
        return base, rng.permutation(base)
    return base, base + rng.normal(0.0, 0.05, len(base))


def test_of_many_losses_just_beyond_their_margins_rarely_any_passes_and_without_holm_often_one_would() -> None:
    rng = np.random.default_rng(14)
    names = [name for name, _ in LOSSES.values()]
    passed = alone = 0
    for _ in range(FEWER):
        verdicts, raw = _judged(names, [draw(rng) for _, draw in LOSSES.values()])
        passed += "pass" in verdicts
        alone += min(test.holds for test in raw) < 0.025
    assert passed / FEWER <= _most(FEWER)
    assert alone / FEWER > 0.07


@pytest.mark.parametrize("case", LOSSES)
def test_one_loss_just_beyond_its_margin_rarely_lets_the_gate_pass(case: str) -> None:
    rng, (name, draw) = np.random.default_rng(15), LOSSES[case]
    others = {other: kept for other, kept in _GOOD.items() if other != name}
    passed = 0
    for _ in range(FEWER):
        verdicts, _ = _judged([name, *others], [draw(rng), *(kept(rng) for kept in others.values())])
        passed += overall(verdicts) == "pass"
    assert passed / FEWER <= _most(FEWER)


_GOOD: dict[str, Draw] = {
    "domain_gain": lambda rng: (rng.normal(0.2, 0.1, 60), rng.normal(0.5, 0.1, 60)),
    "retention": lambda rng: _retention(rng, lost=0.0),
    "gap": lambda rng: _drops(rng, grown=0.0, n=60),
}
