"""Answers of a base under several formats, made up so that their differences are known."""

from collections.abc import Sequence

import numpy as np

from tunewell.evaluate.definitions import rouge_l
from tunewell.records import Result
from tunewell.sweep.formats import Candidate, Role

_REFERENCE = "refunds take five working days and come back to the card that was charged once we have seen the goods"


def candidate(name: str, role: Role = "other") -> Candidate:
    """A format of that name."""
    return Candidate(name, role)


def answers(shares: Sequence[float], *, loss: float = 2.0, per_family: int = 1, language: str = "en") -> list[Result]:
    """One item for each share: the answer keeps so much of the front of the reference and goes on with other words."""
    return [
        _result(place, share, family=f"f{place // per_family}", loss=loss, language=language) for place, share in enumerate(shares)
    ]


def shares(count: int, centre: float, *, seed: int, spread: float = 0.15) -> list[float]:
    """So many shares around a centre."""
    return [float(share) for share in np.clip(np.random.default_rng(seed).normal(centre, spread, count), 0, 1)]


def _result(place: int, share: float, *, family: str, loss: float, language: str) -> Result:
    words = [f"{word}{place % 7}" for word in _REFERENCE.split()]
    kept = round(share * len(words))
    prediction = " ".join([*words[:kept], *("other" for _ in words[kept:])])
    measures = {
        "rouge_l": rouge_l(prediction, " ".join(words)),
        "answer_loss": loss,
        "answer_tokens": 20.0,
        "cut": float(kept == 0),
    }
    return Result("domain", "unseen", f"i{place}", family, language, "base", "?", " ".join(words), prediction, measures)
