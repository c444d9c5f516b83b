"""The numbers of the probe `domain`: corpus BLEU, chrF, ROUGE-L, answer loss and dispersion, base and tuned side by side.

Each metric is a function of sums over items, so that its bootstrap adds rows of counts instead of scoring texts again.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
from rapidfuzz.distance import Indel
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from tunewell.records import Result
from tunewell.stats import Comparison, Floats, Statistic, paired, paired_bootstrap, shared_keys
from tunewell.text import tokens

MIXED = "mixed"
_FEW = 10
_SLICES = ("seen", "paraphrase", "unseen")
_BLEU_TOKENIZERS = {"zh": "zh", "en": "13a"}
_CHRF_ORDER = 6
_CHRF_BETA = 2
_NO_SPREAD = 1e-12


def rouge_l(prediction: str, reference: str) -> float:
    """ROUGE-L F1 over `text.tokens`, from 0 to 1: 2·LCS / (tokens of prediction + tokens of reference).

    Source: Lin 2004, with β = 1 and no stemming. A prediction or a reference without any token scores 0, so that a model
    that says nothing gains nothing. Known problem: scripts other than Latin and Han have no tokens and score 0.

    >>> rouge_l("refunds take 5 days", "Refunds take 3 days."), rouge_l("退款要五天", "退款需五天"), rouge_l("", "")
    (0.75, 0.8, 0.0)
    """
    first, second = tokens(prediction), tokens(reference)
    return float(Indel.normalized_similarity(first, second)) if first and second else 0.0


def corpus_metrics(results: Sequence[Result], *, confidence: float, seed: int) -> list[dict[str, Any]]:
    """Every metric of the probe `domain` on every slice, with a paired interval of tuned − base.

    A slice is `all`, `seen`, `paraphrase` or `unseen`, in one `language`: `en`, `zh`, or, where both occur, also `mixed`.
    BLEU has no mixed rows, because its tokenizer depends on the language; an item that is not Chinese counts as English.
    Results of other probes are ignored. Below ten families an entry carries a `note` and supports no verdict.

    Returns:
        Entries of name, definition, signature, slice, language, n, base, tuned, difference, low, high, unit, better. An
        unknown number is None.

    Raises:
        DataError: an item was answered by one model only.
    """
    items = _pair_up(result for result in results if result.probe == "domain")
    return [
        _entry(metric, slice_name, language, _compare(metric, part, language, confidence=confidence, seed=seed), len(part))
        for slice_name, language, part in _slices(items)
        for metric in _METRICS
        if metric.applies(slice_name, language)
    ]


class CorpusSums(NamedTuple):
    """A corpus metric of one model: what each item adds, of shape (items, k), and the statistic that makes a value of a sum."""

    rows: Floats
    statistic: Statistic


def corpus_bleu(results: Sequence[Result]) -> CorpusSums:
    """Corpus BLEU of one model's answers, each item's n-grams under the tokenizer of its own language.

    Over one language it is the BLEU of `corpus_metrics`. Over both the counts of all items are added up, which compares models
    on the same items and is no BLEU that anybody else prints.
    """
    return CorpusSums(np.array([_bleu_rows(result, _language(result)) for result in results]), _bleu_of_sums)


def bleu_signatures(results: Sequence[Result]) -> dict[str, str]:
    """The signature of sacrebleu for each language among the items, sorted."""
    return {language: _bleu_signature(language) for language in sorted({_language(result) for result in results})}


def corpus_loss(results: Sequence[Result]) -> CorpusSums:
    """The mean loss of the reference answers over all their tokens, in nats."""
    return CorpusSums(np.array([_loss_rows(result, "") for result in results]), _loss_of_sums)


@dataclass(frozen=True, slots=True)
class _Item:
    """One domain item with the answers of both models."""

    base: Result
    tuned: Result


class _Metric(NamedTuple):
    """What a metric is called, and how it is computed: from values to average, or from sums and a statistic of them."""

    name: str
    definition: str
    unit: str
    better: Literal["higher", "lower"]
    rows: Callable[[Result, str], Sequence[float]]
    statistic: Statistic | None
    signature: Callable[[str], str]
    applies: Callable[[str, str], bool] = lambda slice_name, language: True


def _pair_up(results: Iterable[Result]) -> list[_Item]:
    answers: dict[str, dict[tuple[str, str], Result]] = {"base": {}, "tuned": {}}
    for result in results:
        answers[result.model][result.variant, result.item] = result
    keys = shared_keys(answers["base"], answers["tuned"], where="probe domain")
    return [_Item(answers["base"][key], answers["tuned"][key]) for key in keys]


def _slices(items: Sequence[_Item]) -> Iterator[tuple[str, str, list[_Item]]]:
    languages = sorted({_language(item.base) for item in items})
    for language in [MIXED, *languages] if len(languages) > 1 else languages:
        spoken = [item for item in items if language in (MIXED, _language(item.base))]
        for slice_name in ("all", *_SLICES):
            part = [item for item in spoken if slice_name in ("all", item.base.variant)]
            if part:
                yield slice_name, language, part


def _language(result: Result) -> str:
    return "zh" if result.language == "zh" else "en"


def _compare(metric: _Metric, items: Sequence[_Item], language: str, *, confidence: float, seed: int) -> Comparison:
    base = np.array([metric.rows(item.base, language) for item in items])
    tuned = np.array([metric.rows(item.tuned, language) for item in items])
    families = [item.base.family for item in items]
    if metric.statistic is None:
        return paired(base[:, 0], tuned[:, 0], families, confidence=confidence)
    return paired_bootstrap(metric.statistic, base, tuned, families, confidence=confidence, seed=seed)


def _entry(metric: _Metric, slice_name: str, language: str, comparison: Comparison, n: int) -> dict[str, Any]:
    difference = comparison.difference
    entry = {
        "name": metric.name,
        "definition": metric.definition,
        "signature": metric.signature(language),
        "slice": slice_name,
        "language": language,
        "n": n,
        "base": comparison.base,
        "tuned": comparison.tuned,
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "unit": metric.unit,
        "better": metric.better,
    }
    return {**entry, "note": "n below 10: shown without a verdict"} if difference.clusters < _FEW else entry


@cache
def _bleu(language: str) -> BLEU:
    # Effective order changes the score of one sentence alone, which is not read here; without it sacrebleu logs a warning.
    return BLEU(tokenize=_BLEU_TOKENIZERS[language], effective_order=True)


def _bleu_rows(result: Result, language: str) -> Sequence[float]:
    score = _bleu(language).sentence_score(result.prediction, [result.reference])
    return [score.sys_len, score.ref_len, *score.counts, *score.totals]


def _bleu_of_sums(sums: Floats) -> Floats:
    flat = sums.reshape(-1, sums.shape[-1])
    scores = [
        # Without a word about it, `compute_bleu` would not smooth, as the signature says.
        BLEU.compute_bleu(row[2:6], row[6:], row[0], row[1], smooth_method="exp").score
        for row in flat.round().astype(int).tolist()
    ]
    return np.array(scores, dtype=np.float64).reshape(sums.shape[:-1])


def _bleu_signature(language: str) -> str:
    metric = BLEU(tokenize=_BLEU_TOKENIZERS[language])
    metric.corpus_score(["a"], [["a"]])
    return str(metric.get_signature())


def _chrf_rows(result: Result, language: str) -> Sequence[float]:
    rows: list[float] = []
    prediction, reference = "".join(result.prediction.split()), "".join(result.reference.split())
    for order in range(1, _CHRF_ORDER + 1):
        said, wanted = _ngrams(prediction, order), _ngrams(reference, order)
        # An order for which the reference is too short has nothing to match, and counts for neither side.
        rows += [said.total() if wanted else 0, wanted.total(), (said & wanted).total()]
    return rows


def _ngrams(text: str, order: int) -> Counter[str]:
    return Counter(text[start : start + order] for start in range(len(text) - order + 1))


def _chrf_of_sums(sums: Floats) -> Floats:
    said, wanted, shared = (sums[..., part::3] for part in range(3))
    counted = (said > 0) & (wanted > 0)
    orders = np.maximum(counted.sum(axis=-1), 1)
    precision = np.divide(shared, said, out=np.zeros_like(shared), where=counted).sum(axis=-1) / orders
    recall = np.divide(shared, wanted, out=np.zeros_like(shared), where=counted).sum(axis=-1) / orders
    weighted = _CHRF_BETA**2 * precision + recall
    score = np.divide(precision * recall, weighted, out=np.zeros_like(weighted), where=weighted > 0)
    return np.asarray(100 * (1 + _CHRF_BETA**2) * score)


def _chrf_signature(language: str) -> str:
    metric = CHRF(char_order=_CHRF_ORDER, beta=_CHRF_BETA)
    metric.corpus_score(["a"], [["a"]])
    return str(metric.get_signature())


def _rouge_rows(result: Result, language: str) -> Sequence[float]:
    return [result.measures["rouge_l"]]


def _loss_rows(result: Result, language: str) -> Sequence[float]:
    count = result.measures["answer_tokens"]
    return [result.measures["answer_loss"] * count, count]


def _loss_of_sums(sums: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])


def _dispersion_rows(result: Result, language: str) -> Sequence[float]:
    value = result.measures["rouge_l"]
    moments = [1.0, value, value * value]
    blank = [0.0, 0.0, 0.0]
    return [*(moments if result.variant == "seen" else blank), *(moments if result.variant == "unseen" else blank)]


def _dispersion_of_sums(sums: Floats) -> Floats:
    count, total, squares = (sums.reshape(*sums.shape[:-1], 2, 3)[..., part] for part in range(3))
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = (squares - total**2 / count) / (count - 1)
        seen, unseen = variance[..., 0], variance[..., 1]
        return np.asarray(np.where(seen > _NO_SPREAD, np.sqrt(np.maximum(unseen, 0) / seen), np.nan))


_METRICS = (
    _Metric(
        name="bleu",
        definition="Corpus BLEU of the answers against the references, by sacrebleu",
        unit="points of 100",
        better="higher",
        rows=_bleu_rows,
        statistic=_bleu_of_sums,
        signature=_bleu_signature,
        applies=lambda slice_name, language: language != MIXED,
    ),
    _Metric(
        name="chrf",
        definition="Corpus chrF: F2 over character n-grams of one to six",
        unit="points of 100",
        better="higher",
        rows=_chrf_rows,
        statistic=_chrf_of_sums,
        signature=_chrf_signature,
    ),
    _Metric(
        name="rouge_l",
        definition="Mean ROUGE-L F1 over Latin words, digits and single Han characters",
        unit="points of 1",
        better="higher",
        rows=_rouge_rows,
        statistic=None,
        signature=lambda language: "f:1|tokens:words+han|case:lower|average:items",
    ),
    _Metric(
        name="answer_loss",
        definition="Mean negative log-likelihood of the reference answers, over all their tokens",
        unit="nats per token",
        better="lower",
        rows=_loss_rows,
        statistic=_loss_of_sums,
        signature=lambda language: "log:e|average:tokens",
    ),
    _Metric(
        name="dispersion",
        definition="Standard deviation of ROUGE-L on unseen questions over that on seen ones; 1 is equally even",
        unit="ratio",
        better="lower",
        rows=_dispersion_rows,
        statistic=_dispersion_of_sums,
        signature=lambda language: "sd:n-1|of:rouge_l|unseen/seen",
        applies=lambda slice_name, language: slice_name == "all",
    ),
)
