"""Intervals for means, paired differences and corpus statistics, all of them clustered by family.

Items that descend from one question are not independent, so every spread here is taken between clusters.

What cannot be known is None, never a number that looks like one:

- no items: no value and no interval;
- one cluster: a value, but no interval, since nothing is known of the spread;
- a value that is NaN or infinite: no value and no interval (leaving it out would hide a model that has diverged);
- a corpus statistic that is undefined on any resample: no interval.

When all clusters agree exactly, `mean` and `paired` give an interval of zero width: that is what a t interval says of a
continuous measure that never varies. For 0/1 measures, where it would be false certainty (no leak among 30 prompts does
not prove that there are none), `paired_shares` never does so.
"""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, stdtr, stdtrit

from tunewell.errors import DataError

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
_Key = TypeVar("_Key")

RESAMPLES = 1000
_WEIGHTS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval, standard error, and the numbers of items and clusters beneath; None is unknown."""

    value: float | None
    low: float | None
    high: float | None
    standard_error: float | None
    n: int
    clusters: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """What base and tuned model reach on the same items, and the estimate of tuned − base."""

    base: float | None
    tuned: float | None
    difference: Estimate


def mean(values: ArrayLike, clusters: ArrayLike | None = None, *, confidence: float = 0.95) -> Estimate:
    """The mean with a t interval on the clustered standard error.

    SE² = C/(C−1) · Σ_c (Σ_{i∈c} (s_i − s̄))² / n², with C−1 degrees of freedom. Without `clusters` each item is its own,
    and SE is the usual sd/√n. Source: Miller 2024, "Adding Error Bars to Evals", arXiv 2411.00640. Known
    problems: below about 30 clusters of very unequal sizes the interval is a little too narrow; and where values are skewed,
    one of its ends errs more often than 2.5 % (of 20 values with skewness 1 in 4.6 % of cases, with skewness 2 in 7.7 %).

    >>> mean([1.0, 2.0, 3.0, 4.0]).value
    2.5
    """
    array = np.asarray(values, dtype=np.float64)
    labels = _labels(clusters, len(array))
    return _t_interval(array, labels, _finite_mean(array), confidence=confidence)


def paired(base: ArrayLike, tuned: ArrayLike, clusters: ArrayLike | None = None, *, confidence: float = 0.95) -> Comparison:
    """Both means and the clustered t interval of tuned − base on the same items, in the same order.

    Pairing removes what makes an item hard for both models: SE_d² = SE_A² + SE_B² − 2ρ·SE_A·SE_B (Miller 2024).
    Raises ValueError when the lengths differ.
    """
    first, second = _same_shape(base, tuned)
    return Comparison(_finite_mean(first), _finite_mean(second), mean(second - first, clusters, confidence=confidence))


def paired_shares(base: ArrayLike, tuned: ArrayLike, clusters: ArrayLike | None = None, *, confidence: float = 0.95) -> Comparison:
    """Both shares and an interval of tuned − base for 0/1 measures on the same items.

    The interval is that of `paired` after one item that only the tuned model has and one that only the base model has are
    added, each as a cluster of its own; the values themselves are left as they are. Source: Bonett and Price 2012,
    "Adjusted Wald confidence interval for a difference of binomial proportions based on paired data", JEBS 37(4). The plain t
    interval is far too sure where events are rare: with a true leak rate of 5 % and 100 prompts it lies wholly below 5 % in
    one case of eight. The added items are no observations: they add no degrees of freedom. Known
    problem: for shares that are near 0 or 1 for both models the interval is wider than it need be.
    """
    plain = paired(base, tuned, clusters, confidence=confidence)
    if plain.difference.low is None:
        return plain
    first, second = _same_shape(base, tuned)
    labels = _labels(clusters, len(first))
    widened = np.concatenate([second - first, [1.0, -1.0]])
    new_labels = np.concatenate([labels, [plain.difference.clusters, plain.difference.clusters + 1]])
    degrees = plain.difference.clusters - 1
    wider = _t_interval(widened, new_labels, float(widened.mean()), confidence=confidence, degrees=degrees)
    return replace(plain, difference=replace(plain.difference, low=wider.low, high=wider.high, standard_error=wider.standard_error))


def paired_bootstrap(
    statistic: Statistic, base: ArrayLike, tuned: ArrayLike, clusters: ArrayLike, *, confidence: float, seed: int
) -> Comparison:
    """A corpus statistic of both models, and the percentile interval of tuned − base over resampled clusters.

    Args:
        statistic: maps summed sufficient statistics, shape (…, k), to values of shape (…).
        base: sufficient statistics of each item, shape (n, k), that add up over items.
        tuned: the same for the tuned model, in the same order.
        clusters: one label an item; both models are resampled with the same clusters.
        confidence: the level of the interval.
        seed: the interval is a function of it and of the data.

    Known problem: a percentile interval of few clusters (below about 30) is somewhat too narrow.
    """
    first, second = _same_shape(base, tuned)
    labels = _labels(clusters, len(first))
    n, count = len(first), _count(labels)
    if n == 0:
        return Comparison(None, None, Estimate(None, None, None, None, 0, 0))
    sums = np.stack([_cluster_sums(first, labels), _cluster_sums(second, labels)])
    before, after = (_known(float(value)) for value in statistic(sums.sum(axis=1)))
    if before is None or after is None:
        return Comparison(before, after, Estimate(None, None, None, None, n, count))
    draws = _resampled(statistic, sums, seed=seed)
    return Comparison(before, after, _percentile_interval(after - before, draws[1] - draws[0], n, count, confidence=confidence))


def bootstrap(statistic: Statistic, values: ArrayLike, clusters: ArrayLike, *, confidence: float, seed: int) -> Estimate:
    """A corpus statistic of one model, with its percentile interval over resampled clusters.

    The arguments are those of `paired_bootstrap`, which resamples the same clusters under the same seed; so is the known problem.

    >>> bootstrap(lambda sums: sums[..., 0] / sums[..., 1], [[1, 2], [3, 2]], ["a", "b"], confidence=0.95, seed=0).value
    1.0
    """
    rows = np.asarray(values, dtype=np.float64)
    labels = _labels(clusters, len(rows))
    if len(rows) == 0:
        return Estimate(None, None, None, None, 0, 0)
    sums = _cluster_sums(rows, labels)[None]
    value = _known(float(statistic(sums.sum(axis=1))[0]))
    if value is None:
        return Estimate(None, None, None, None, len(rows), _count(labels))
    [draws] = _resampled(statistic, sums, seed=seed)
    return _percentile_interval(value, draws, len(rows), _count(labels), confidence=confidence)


def two_sided_p(estimate: Estimate) -> float | None:
    """The p value of a difference against none at all: a t test on its standard error, with one degree less than clusters.

    None where the spread is unknown. Of a bootstrapped difference this is the test that its standard error gives, which is not
    bound to thousandths as a count of resamples is, and for few clusters is more careful than the percentile interval.

    >>> round(two_sided_p(Estimate(value=2.0, low=None, high=None, standard_error=1.0, n=21, clusters=21)), 3)
    0.059
    """
    if estimate.value is None or estimate.standard_error is None:
        return None
    if estimate.standard_error == 0:
        return 1.0 if estimate.value == 0 else 0.0
    return 2 * float(stdtr(estimate.clusters - 1, -abs(estimate.value) / estimate.standard_error))


def one_sided_p(estimate: Estimate, limit: float = 0.0) -> float | None:
    """The p value of the test that a true value is at most `limit`, as the intervals of `mean`, `paired`, `paired_shares` test it.

    It is below α just where `limit` lies under the interval of confidence 1 − 2α. None where there is no interval.

    >>> round(one_sided_p(Estimate(value=2.0, low=0.0, high=4.0, standard_error=1.0, n=21, clusters=21)), 4)
    0.0296
    """
    if estimate.low is None or estimate.high is None or estimate.standard_error is None:
        return None
    # The interval of shares is not centred on the value.
    distance = (estimate.low + estimate.high) / 2 - limit
    if estimate.standard_error == 0:
        return 0.0 if distance > 0 else 1.0
    return float(stdtr(estimate.clusters - 1, -distance / estimate.standard_error))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values of several tests, corrected so that the chance of any false find stays below the level, in the same order.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6(2). It
    holds however the tests depend on each other.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected


def exact_share(hits: int, n: int, *, confidence: float = 0.95) -> Estimate:
    """A share of independent items with the exact interval of Clopper and Pearson, which never covers less than it says.

    Source: Clopper and Pearson 1934, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26(4). Known problem: it is wider than it need be, more so for items drawn without replacement from few.

    >>> estimate = exact_share(0, 100)
    >>> estimate.low, round(estimate.high, 4)
    (0.0, 0.0362)
    """
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} of {n} items is no share")
    if n == 0:
        return Estimate(None, None, None, None, 0, 0)
    tail = (1 - confidence) / 2
    low = float(betaincinv(hits, n - hits + 1, tail)) if hits else 0.0
    high = float(betaincinv(hits + 1, n - hits, 1 - tail)) if hits < n else 1.0
    share = hits / n
    return Estimate(share, low, high, math.sqrt(share * (1 - share) / n), n, n)


def kappa(first: Sequence[Hashable], second: Sequence[Hashable], *, confidence: float = 0.95) -> Estimate:
    """Cohen's κ, the agreement of two raters beyond chance, with an interval.

    κ = (a − c) / (1 − c) for the share a of items on which both agree and the share c that chance would give. The interval is that
    of Cohen, who holds c as it was observed, with the exact interval of a in place of the normal one. No value where c is 1: both
    gave one and the same label to all items. Raises ValueError when the lengths differ.

    Source: Cohen 1960, "A coefficient of agreement for nominal scales", EPMS 20(1). Known problem: the interval is wider than it
    need be. The large-sample one of Fleiss, Cohen and Everitt 1969 is not used: in simulations of 20 items, most of them of one
    label, it held the true value in 44 to 85 % of cases, and it has no width where both agree on all.

    >>> estimate = kappa(["a", "a", "b", "b"], ["a", "a", "b", "a"])
    >>> estimate.value, estimate.n
    (0.5, 4)
    """
    if len(first) != len(second):
        raise ValueError(f"both raters must judge the same items: {len(first)} and {len(second)}")
    n = len(first)
    agreed = exact_share(sum(one == other for one, other in zip(first, second, strict=True)), n, confidence=confidence)
    labels, others = Counter(first), Counter(second)
    # In whole numbers, so that a chance of 1 is found for certain.
    by_chance = sum(count * others[label] for label, count in labels.items())
    if by_chance == n * n or agreed.value is None or agreed.low is None or agreed.high is None:
        return Estimate(None, None, None, None, n, n)
    chance = by_chance / (n * n)
    value, low, high = ((share - chance) / (1 - chance) for share in (agreed.value, agreed.low, agreed.high))
    error = None if agreed.standard_error is None else agreed.standard_error / (1 - chance)
    return Estimate(value, max(low, -1.0), high, error, n, n)


def smallest_difference(estimate: Estimate, *, confidence: float = 0.95, power: float = 0.8) -> float | None:
    """The smallest true difference that a set like this one shows with the given power, or None where the spread is unknown.

    (t_{1−α/2} + t_{power}) · SE, about 2.8 standard errors for many clusters (Miller 2024).
    """
    if estimate.standard_error is None:
        return None
    degrees = estimate.clusters - 1
    return (_quantile((1 + confidence) / 2, degrees) + _quantile(power, degrees)) * estimate.standard_error


def items_needed(
    estimate: Estimate, limit: float, *, tests: int = 1, confidence: float = 0.95, most: int = 1_000_000
) -> int | None:
    """About how many items of this kind it takes until the interval no longer holds `limit`, if the value stays where it is.

    n · (half width / distance)², rounded up. Of several `tests` the interval is widened as Bonferroni does, so that the number
    settles this one whatever Holm's correction makes of the others; `confidence` is the interval's own. None where the
    interval is unknown, where the value sits on the limit, and where the answer is above `most`: then no practical number of
    items settles it.

    >>> items_needed(Estimate(value=0.02, low=-0.02, high=0.06, standard_error=0.02, n=100, clusters=100), 0.0)
    400
    """
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    distance = abs(estimate.value - limit)
    half_width = (estimate.high - estimate.low) / 2
    if tests > 1:
        tail, degrees = (1 - confidence) / 2, estimate.clusters - 1
        half_width *= _quantile(1 - tail / tests, degrees) / _quantile(1 - tail, degrees)
    if distance == 0 or estimate.n * (half_width / distance) ** 2 > most:
        return None
    # Rounding first keeps 400.00000000000006 from becoming 401.
    return math.ceil(round(estimate.n * (half_width / distance) ** 2, 6))


def shared_keys(base: Mapping[_Key, Any], tuned: Mapping[_Key, Any], *, where: str) -> list[_Key]:
    """The keys of both mappings, sorted. Raises `DataError` when one has a key that the other lacks."""
    unpaired = sorted(base.keys() ^ tuned.keys(), key=str)
    if unpaired:
        raise DataError(
            f"items answered by one model only: {len(unpaired)}, the first is {unpaired[0]}",
            where=where,
            hint="both models must answer the same items: run `tunewell evaluate` again",
        )
    return sorted(base, key=str)


def _t_interval(
    values: Floats, labels: NDArray[np.intp], centre: float | None, *, confidence: float, degrees: int | None = None
) -> Estimate:
    n, count = len(values), _count(labels)
    if centre is None or count < 2:
        return Estimate(centre, None, None, None, n, count)
    deviations = np.bincount(labels, weights=values - centre)
    error = math.sqrt(count / (count - 1) * float(deviations @ deviations)) / n
    half_width = _quantile((1 + confidence) / 2, count - 1 if degrees is None else degrees) * error
    return Estimate(centre, centre - half_width, centre + half_width, error, n, count)


def _percentile_interval(value: float, draws: Floats, n: int, clusters: int, *, confidence: float) -> Estimate:
    if clusters < 2 or not np.isfinite(draws).all():
        return Estimate(value, None, None, None, n, clusters)
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()
    return Estimate(value, low, high, float(draws.std(ddof=1)), n, clusters)


def _resampled(statistic: Statistic, sums: Floats, *, seed: int) -> Floats:
    """The statistic of each model on resampled clusters: from sums of shape (models, clusters, k) to (models, resamples)."""
    count = sums.shape[1]
    rng = np.random.default_rng(seed)
    at_once = max(1, _WEIGHTS_AT_ONCE // count)
    parts = []
    for start in range(0, RESAMPLES, at_once):
        weights = rng.multinomial(count, np.full(count, 1 / count), size=min(at_once, RESAMPLES - start)).astype(np.float64)
        parts.append(statistic(weights @ sums))
    return np.concatenate(parts, axis=1)


def _labels(clusters: ArrayLike | None, n: int) -> NDArray[np.intp]:
    if clusters is None:
        return np.arange(n)
    array = np.asarray(clusters)
    if array.shape != (n,):
        raise ValueError(f"one cluster label an item: {n} items, labels of shape {array.shape}")
    return np.unique(array, return_inverse=True)[1]


def _count(labels: NDArray[np.intp]) -> int:
    return int(labels.max()) + 1 if labels.size else 0


def _cluster_sums(statistics: Floats, labels: NDArray[np.intp]) -> Floats:
    sums = np.zeros((_count(labels), statistics.shape[1]))
    np.add.at(sums, labels, statistics)
    return sums


def _same_shape(base: ArrayLike, tuned: ArrayLike) -> tuple[Floats, Floats]:
    first, second = np.asarray(base, dtype=np.float64), np.asarray(tuned, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"base and tuned must be on the same items: shapes {first.shape} and {second.shape}")
    return first, second


def _finite_mean(values: Floats) -> float | None:
    return float(values.mean()) if values.size and bool(np.isfinite(values).all()) else None


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _quantile(probability: float, degrees: int) -> float:
    return float(stdtrit(degrees, probability))
