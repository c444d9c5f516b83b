"""Agreement of two raters on a scale, and the slope of scores on length, with intervals that resample clusters."""

from collections.abc import Hashable, Sequence

import numpy as np

from tunewell.stats import Estimate, Floats, bootstrap

_NOTHING = 1e-9


def quadratic_kappa(
    first: Sequence[float], second: Sequence[float], clusters: Sequence[Hashable], *, confidence: float, seed: int
) -> Estimate:
    """Cohen's κ with quadratic weights: how much nearer two raters are to each other than chance would bring them.

    κ = 1 − Σ(x − y)² / E Σ(x − y)², where chance pairs every score of the one with every score of the other. Scores need not be
    whole: for means of repeats this is Lin's concordance correlation. No value where both gave all items one and the
    same score. The interval is a percentile bootstrap over clusters.

    Source: Cohen 1968, "Weighted kappa", Psychological Bulletin 70(4); Fleiss and Cohen 1973 for the equivalence. Known problems:
    with 50 items the interval held the true value in 90 to 94 % of simulated cases instead of 95; where both agree on every item it
    has no width; and κ hangs on the spread of the items: the same judge has a lower one where all answers are alike.

    >>> quadratic_kappa([1, 2, 3, 4], [1, 2, 4, 3], "abcd", confidence=0.95, seed=0).value
    0.8
    """
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if x.shape != y.shape:
        raise ValueError(f"both raters must judge the same items: {len(x)} and {len(y)}")
    rows = np.stack([np.ones_like(x), x, y, x * x + y * y, x * y], axis=-1)
    return bootstrap(_kappa_of_sums, rows, np.asarray(list(clusters)), confidence=confidence, seed=seed)


def slope(
    values: Sequence[float],
    on: Sequence[float],
    groups: Sequence[Hashable],
    clusters: Sequence[Hashable],
    *,
    confidence: float,
    seed: int,
) -> Estimate:
    """The least-squares slope of values on a covariate, with an intercept for each group, by a bootstrap over clusters.

    No value where the covariate does not vary within any group. Known problem: a slope is no proof of bias by itself, since longer
    answers may be better; that of a judge's errors against labels is.

    >>> slope([1, 2, 3, 7], [0, 1, 2, 9], ["en", "en", "en", "zh"], "abcd", confidence=0.95, seed=0).value
    1.0
    """
    y, x = _centred(values, groups), _centred(on, groups)
    rows = np.stack([x * y, x * x], axis=-1)
    return bootstrap(_slope_of_sums, rows, np.asarray(list(clusters)), confidence=confidence, seed=seed)


def _kappa_of_sums(sums: Floats) -> Floats:
    n, x, y, squares, product = (sums[..., part] for part in range(5))
    with np.errstate(divide="ignore", invalid="ignore"):
        by_chance = squares / n - 2 * x * y / (n * n)
        kappa = 1 - (squares - 2 * product) / n / by_chance
        return np.asarray(np.where(by_chance > _NOTHING, kappa, np.nan))


def _slope_of_sums(sums: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(sums[..., 1] > _NOTHING, sums[..., 0] / sums[..., 1], np.nan))


def _centred(values: Sequence[float], groups: Sequence[Hashable]) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    labels = np.unique(np.asarray(list(groups)), return_inverse=True)[1]
    counts = np.bincount(labels)
    means = np.bincount(labels, weights=array) / np.maximum(counts, 1)
    return np.asarray(array - means[labels])
