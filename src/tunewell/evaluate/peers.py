"""BLEU-4 as other tools print it, so that their tables can be read beside ours."""

import math
from collections import Counter

_ORDER = 4


def character_bleu4(prediction: str, reference: str) -> float:
    """Sentence BLEU-4 over characters, spaces among them, in points of 100.

    What nltk's `sentence_bleu` with `SmoothingFunction().method3` gives for `list(reference)` and `list(prediction)`: the n-th
    order without a match gets 1 / (2^n · its n-grams) in place of 0; without any common character the score is 0. Source:
    LLaMA-Factory, `train/sft/metric.py`, and ms-swift 3, `plugin/metric.py`. Known problem: for English it rewards shared
    letters, so that unrelated sentences reach 5 to 10 points.

    >>> character_bleu4("退款要五天", "退款要五天"), round(character_bleu4("退款", "退款要五天"), 2), character_bleu4("", "退款")
    (100.0, 13.27, 0.0)
    """
    if not set(prediction) & set(reference):
        return 0.0
    total, misses = 0.0, 0
    for order in range(1, _ORDER + 1):
        said, wanted = _ngrams(prediction, order), _ngrams(reference, order)
        matches: float = (said & wanted).total()
        if not matches:
            misses += 1
            matches = 1 / 2**misses
        total += math.log(matches / max(1, said.total()))
    penalty = min(0.0, 1 - len(reference) / len(prediction))
    return 100 * math.exp(penalty + total / _ORDER)


def _ngrams(text: str, order: int) -> Counter[str]:
    return Counter(text[start : start + order] for start in range(len(text) - order + 1))
