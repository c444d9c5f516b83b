"""Does an answer sound like the domain? A classifier fitted on the run's own training answers, and their overlap."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from tunewell.stats import Estimate, Floats, exact_share
from tunewell.text import tokens

# On the run's own general answers, this share may look like the domain: it sets the threshold.
_FALSE_ALARMS = 0.01
_OVERLAP_TOKENS = 5
_COPIED = 0.5


class Leak(NamedTuple):
    """How domain-like an answer is."""

    is_leak: bool
    domain_probability: float
    overlap: float


def separation(domain: Sequence[float], general: Sequence[float], *, confidence: float = 0.95) -> Estimate:
    """AUROC: how often a domain answer scores above a general one, ties counted as half, with an interval.

    The interval is that of DeLong, DeLong and Clarke-Pearson 1988, "Comparing the areas under two or more correlated receiver
    operating characteristic curves", Biometrics 44(3). Where nothing overlaps, which leaves it without width, the lower end is
    that of a share without a miss among as many items as the smaller side has.

    >>> separation([3.0, 2.0], [1.0, 2.0]).value
    0.875
    """
    n = len(domain) + len(general)
    if not domain or not general:
        return Estimate(None, None, None, None, n, n)
    high, low = np.sort(np.asarray(domain)), np.sort(np.asarray(general))
    above = _share_below(low, high)
    value = float(above.mean())
    if min(len(high), len(low)) < 2:
        return Estimate(value, None, None, None, n, n)
    error = float(np.sqrt(above.var(ddof=1) / len(high) + _share_below(high, low).var(ddof=1) / len(low)))
    if error == 0:
        sure = exact_share(min(len(high), len(low)), min(len(high), len(low)), confidence=confidence)
        return Estimate(value, sure.low, 1.0, error, n, n) if value == 1 else Estimate(value, None, None, error, n, n)
    half = float(ndtri((1 + confidence) / 2)) * error
    return Estimate(value, max(0.0, value - half), min(1.0, value + half), error, n, n)


def _share_below(ordered: Floats, values: Floats) -> Floats:
    """For each value, the share of `ordered` that is below it, ties counted as half."""
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / (2 * len(ordered))


class SceneDetector:
    """Tells domain answers from general ones by their tokens and pairs of tokens.

    The score is the mean log-odds of these features under two smoothed multinomial models (naive Bayes), fitted on one half
    of the rows. On the other half a threshold is set so that at most 1 % of the general answers lie above it, and two
    normal curves turn the score into a probability. An answer leaks when its score is above the threshold and it is more
    probably a domain answer than not, or when half of its 5-token sequences occur in a training answer of the domain.

    Known problems: an answer about payments to a general prompt counts as a leak even where it is right; answers of fewer
    than three tokens carry little evidence and are counted as no leak.
    """

    def __init__(self, domain: Sequence[str], general: Sequence[str]) -> None:
        self._log_odds, self._unknown = _fit_log_odds(domain[::2], general[::2])
        domain_scores = [self._score(text) for text in domain[1::2]]
        general_scores = [self._score(text) for text in general[1::2]]
        self._domain = _normal(domain_scores)
        self._general = _normal(general_scores)
        self._threshold = max(_quantile(general_scores, 1 - _FALSE_ALARMS), 0.0)
        self._copied = {gram for text in domain for gram in _grams(tokens(text), _OVERLAP_TOKENS)}
        self.accuracy = _balanced_accuracy(domain_scores, general_scores, self._threshold)
        self.auroc = separation(domain_scores, general_scores)

    def judge(self, answer: str) -> Leak:
        """How domain-like the answer is."""
        words = tokens(answer)
        grams = _grams(words, _OVERLAP_TOKENS)
        overlap = sum(gram in self._copied for gram in grams) / len(grams) if grams else 0.0
        if len(words) < 3:
            return Leak(is_leak=False, domain_probability=0.0, overlap=overlap)
        score = self._score(answer)
        probability = self._probability(score)
        sounds_like_it = score > self._threshold and probability > 0.5
        return Leak(sounds_like_it or overlap >= _COPIED, probability, overlap)

    def _score(self, text: str) -> float:
        features = _features(text)
        return sum(self._log_odds.get(feature, self._unknown) for feature in features) / max(1, len(features))

    def _probability(self, score: float) -> float:
        domain, general = (_log_density(score, curve) for curve in (self._domain, self._general))
        return 1 / (1 + math.exp(min(700.0, max(-700.0, general - domain))))


class _Normal(NamedTuple):
    mean: float
    deviation: float


def _features(text: str) -> list[tuple[str, ...]]:
    words = tokens(text)
    return [*_grams(words, 1), *_grams(words, 2)]


def _grams(words: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + size]) for start in range(len(words) - size + 1)]


def _fit_log_odds(domain: Iterable[str], general: Iterable[str]) -> tuple[dict[tuple[str, ...], float], float]:
    counts = [Counter(feature for text in texts for feature in _features(text)) for texts in (domain, general)]
    vocabulary = set(counts[0]) | set(counts[1])
    totals = [count.total() + len(vocabulary) + 1 for count in counts]
    unknown = math.log(totals[1] / totals[0])
    log_odds = {
        feature: math.log((counts[0][feature] + 1) / totals[0]) - math.log((counts[1][feature] + 1) / totals[1])
        for feature in vocabulary
    }
    return log_odds, unknown


def _normal(scores: Sequence[float]) -> _Normal:
    mean = sum(scores) / max(1, len(scores))
    variance = sum((score - mean) ** 2 for score in scores) / max(1, len(scores) - 1)
    return _Normal(mean, max(math.sqrt(variance), 0.05))


def _log_density(score: float, curve: _Normal) -> float:
    return -0.5 * ((score - curve.mean) / curve.deviation) ** 2 - math.log(curve.deviation)


def _quantile(scores: Sequence[float], share: float) -> float:
    ordered = sorted(scores)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _balanced_accuracy(domain: Sequence[float], general: Sequence[float], threshold: float) -> float:
    found = sum(score > threshold for score in domain) / max(1, len(domain))
    spared = sum(score <= threshold for score in general) / max(1, len(general))
    return (found + spared) / 2
