"""How the numbers of the probe `domain` are defined: of each metric what an item adds, and what makes a value of the sum."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from rapidfuzz.distance import Indel
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from tunewell.evaluate.facts import FactCheck, check_facts
from tunewell.evaluate.peers import character_bleu4
from tunewell.records import Result
from tunewell.stats import Floats, Statistic
from tunewell.text import tokens

MIXED = "mixed"
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


class Metric(NamedTuple):
    """What a metric is called, and how it is computed: from values to average, or from sums and a statistic of them.

    `applies` says on which slices and languages it is told, `counts` which items have it (by the base model's result), and
    `by_facet` whether it is also told by topic, turns and length.
    """

    name: str
    definition: str
    unit: str
    better: Literal["higher", "lower"]
    rows: Callable[[Result], Sequence[float]]
    statistic: Statistic | None
    signature: Callable[[str], str]
    applies: Callable[[str, str], bool] = lambda slice_name, language: True
    counts: Callable[[Result], bool] = lambda result: True
    by_facet: bool = False


def language_of(result: Result) -> str:
    """`zh`, or `en` for every other language: the one whose BLEU tokenizer an item gets."""
    return "zh" if result.language == "zh" else "en"


@cache
def _bleu(language: str) -> BLEU:
    # Effective order changes the score of one sentence alone, which is not read here; without it sacrebleu logs a warning.
    return BLEU(tokenize=_BLEU_TOKENIZERS[language], effective_order=True)


def bleu_rows(result: Result) -> Sequence[float]:
    """What sacrebleu counts in one item: both lengths, matches and n-grams of four orders."""
    score = _bleu(language_of(result)).sentence_score(result.prediction, [result.reference])
    return [score.sys_len, score.ref_len, *score.counts, *score.totals]


def bleu_of_sums(sums: Floats) -> Floats:
    """Corpus BLEU of such counts, shape (…, 10), in points of 100."""
    flat = sums.reshape(-1, sums.shape[-1])
    scores = [
        # Without a word about it, `compute_bleu` would not smooth, as the signature says.
        BLEU.compute_bleu(row[2:6], row[6:], row[0], row[1], smooth_method="exp").score
        for row in flat.round().astype(int).tolist()
    ]
    return np.array(scores, dtype=np.float64).reshape(sums.shape[:-1])


def bleu_signature(language: str) -> str:
    """The signature of sacrebleu for a language."""
    metric = BLEU(tokenize=_BLEU_TOKENIZERS[language])
    metric.corpus_score(["a"], [["a"]])
    return str(metric.get_signature())


def _chrf_rows(result: Result) -> Sequence[float]:
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


def _llama_factory_rows(result: Result) -> Sequence[float]:
    return [character_bleu4(result.prediction, result.reference)]


def _swift_rows(result: Result) -> Sequence[float]:
    score = character_bleu4(result.prediction, result.reference)
    return [score, 1.0] if result.prediction and result.reference else [0.0, 0.0]


def share_of_sums(sums: Floats) -> Floats:
    """The first sum over the second; NaN where nothing was counted."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[..., 0] / sums[..., 1])


def _facts(result: Result) -> FactCheck:
    return check_facts(result.prediction, result.reference, result.prompt)


def _has_facts(result: Result) -> bool:
    return _facts(result).total > 0


def _contained_rows(result: Result) -> Sequence[float]:
    found = _facts(result)
    return [found.contained, found.total]


def _exact_rows(result: Result) -> Sequence[float]:
    return [float(_facts(result).exact)]


def _rouge_rows(result: Result) -> Sequence[float]:
    return [result.measures["rouge_l"]]


def loss_rows(result: Result) -> Sequence[float]:
    """The loss of the reference answer over its tokens, and how many there are."""
    count = result.measures["answer_tokens"]
    return [result.measures["answer_loss"] * count, count]


def _dispersion_rows(result: Result) -> Sequence[float]:
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


METRICS = (
    Metric(
        name="bleu",
        definition="Corpus BLEU of the answers against the references, by sacrebleu",
        unit="points of 100",
        better="higher",
        rows=bleu_rows,
        statistic=bleu_of_sums,
        signature=bleu_signature,
        applies=lambda slice_name, language: language != MIXED,
    ),
    Metric(
        name="chrf",
        definition="Corpus chrF: F2 over character n-grams of one to six",
        unit="points of 100",
        better="higher",
        rows=_chrf_rows,
        statistic=_chrf_of_sums,
        signature=_chrf_signature,
    ),
    Metric(
        name="rouge_l",
        definition="Mean ROUGE-L F1 over Latin words, digits and single Han characters",
        unit="points of 1",
        better="higher",
        rows=_rouge_rows,
        statistic=None,
        signature=lambda language: "f:1|tokens:words+han|case:lower|average:items",
        by_facet=True,
    ),
    Metric(
        name="facts_contained",
        definition="Share of the numbers and names of the reference answers that the answers hold, over all of them",
        unit="share",
        better="higher",
        rows=_contained_rows,
        statistic=share_of_sums,
        signature=lambda language: "facts:digits+names|case:lower|average:facts",
        counts=_has_facts,
        by_facet=True,
    ),
    Metric(
        name="facts_exact",
        definition="Share of answers that hold every number and name of the reference, and no number of their own",
        unit="share",
        better="higher",
        rows=_exact_rows,
        statistic=None,
        signature=lambda language: "facts:digits+names|case:lower|average:items",
        counts=_has_facts,
    ),
    Metric(
        name="bleu4_llama_factory",
        definition="LLaMA-Factory's BLEU-4: mean sentence BLEU over characters, an empty answer counted as 0",
        unit="points of 100",
        better="higher",
        rows=_llama_factory_rows,
        statistic=None,
        signature=lambda language: "nrefs:1|tok:char|smooth:nltk-method3|average:items",
    ),
    Metric(
        name="bleu4_ms_swift",
        definition="BLEU-4 of ms-swift 3: mean sentence BLEU over characters, empty answers left out",
        unit="points of 100",
        better="higher",
        rows=_swift_rows,
        statistic=share_of_sums,
        signature=lambda language: "nrefs:1|tok:char|smooth:nltk-method3|average:non-empty",
    ),
    Metric(
        name="answer_loss",
        definition="Mean negative log-likelihood of the reference answers, over all their tokens",
        unit="nats per token",
        better="lower",
        rows=loss_rows,
        statistic=share_of_sums,
        signature=lambda language: "log:e|average:tokens",
        by_facet=True,
    ),
    Metric(
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
