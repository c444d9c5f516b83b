"""Next-token distributions of a model along given texts, kept small enough to compare with another model's later."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import torch
from transformers import PreTrainedModel

from tunewell.model.attention import lay_end_to_end, row_logits
from tunewell.model.score import Continuations

_AT_ONCE = 8
_MULTIPLE = 128
_NEVER = -1e4  # in place of the logarithm of 0, which JSON cannot hold


class Likeliest(NamedTuple):
    """The likeliest next tokens at one place: their ids, their log-probabilities (nats), and that of all others together."""

    ids: list[int]
    log_probabilities: list[float]
    rest: float


def likeliest_tokens(model: PreTrainedModel, items: Iterable[Continuations], *, count: int) -> Iterator[list[Likeliest]]:
    """For each item, the `count` likeliest tokens at each place of its one choice, in the order of likelihood."""
    for logits in _distributions(model, items):
        top = logits.topk(min(count, logits.shape[1]), dim=1)
        yield [
            Likeliest(ids, values, rest)
            for ids, values, rest in zip(top.indices.tolist(), top.values.tolist(), _rests(top.values), strict=True)
        ]


def log_probabilities_at(
    model: PreTrainedModel, items: Sequence[Continuations], places: Sequence[Sequence[Likeliest]]
) -> Iterator[list[Likeliest]]:
    """The same tokens as in `places`, in the same order, with this model's log-probabilities."""
    for logits, seen in zip(_distributions(model, items), places, strict=True):
        ids = torch.tensor([place.ids for place in seen], device=logits.device)
        values = logits.gather(1, ids)
        yield [Likeliest(place.ids, row, rest) for place, row, rest in zip(seen, values.tolist(), _rests(values), strict=True)]


@torch.inference_mode()
def _distributions(model: PreTrainedModel, items: Iterable[Continuations]) -> Iterator[torch.Tensor]:
    """Log-probabilities of shape (tokens of the choice, vocabulary), in double precision so that what is left over is exact."""
    for together in _batched(items, _AT_ONCE):
        row = lay_end_to_end([[*item.prompt, *item.choices[0]] for item in together], multiple_of=_MULTIPLE)
        keep: list[int] = []
        lengths: list[int] = []
        start = 0
        for item in together:
            first, length = start + len(item.prompt) - 1, len(item.choices[0])
            keep += range(first, first + length)
            lengths.append(length)
            start = first + 1 + length
        for logits in row_logits(model, row, torch.tensor(keep)).split(lengths):
            yield logits.double().log_softmax(dim=1)


def _batched(items: Iterable[Continuations], size: int) -> Iterator[list[Continuations]]:
    rest = iter(items)
    while together := list(islice(rest, size)):
        yield together


def _rests(values: torch.Tensor) -> list[float]:
    left = 1 - values.exp().sum(dim=1)
    return [math.log(share) if share > 0 else (_NEVER if share <= 0 else math.nan) for share in left.tolist()]
