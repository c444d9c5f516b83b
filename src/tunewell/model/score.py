"""Likelihoods: how probable a model finds given continuations of a prompt."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from transformers import PreTrainedModel

from tunewell.model.attention import Row, Segment, Span, row_logits


class Continuations(NamedTuple):
    """One prompt and the continuations to score after it, all as token ids."""

    prompt: Sequence[int]
    choices: Sequence[Sequence[int]]


@torch.inference_mode()
def log_likelihoods(model: PreTrainedModel, items: Iterable[Continuations], *, row_tokens: int = 2048) -> Iterator[list[float]]:
    """For each item, the log-probability (nats, summed over tokens) of each choice after the prompt.

    The prompt is computed once for all its choices, and several items share one row of about `row_tokens` tokens without
    seeing each other.
    """
    batch: list[Continuations] = []
    size = 0
    for item in items:
        length = len(item.prompt) + sum(map(len, item.choices))
        if batch and size + length > row_tokens:
            yield from _score_row(model, batch)
            batch, size = [], 0
        batch.append(item)
        size += length
    if batch:
        yield from _score_row(model, batch)


class _Layout(NamedTuple):
    row: Row
    keep: list[int]
    targets: list[int]
    owners: list[int]


def _score_row(model: PreTrainedModel, items: Sequence[Continuations]) -> list[list[float]]:
    layout = _lay_out(items)
    logits = row_logits(model, layout.row, torch.tensor(layout.keep)).float()
    targets = torch.tensor(layout.targets, device=logits.device)
    per_token = logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(dim=1)
    owners = torch.tensor(layout.owners, device=logits.device)
    sums = torch.zeros(sum(len(item.choices) for item in items), device=logits.device).index_add_(0, owners, per_token).tolist()
    scores = iter(sums)
    return [[next(scores) for _ in item.choices] for item in items]


def _lay_out(items: Sequence[Continuations]) -> _Layout:
    """Prompt, choice, choice, …, prompt, … in one row; the first token of a choice is predicted at the prompt's last position."""
    ids: list[int] = []
    positions: list[int] = []
    segments: list[Segment] = []
    keep: list[int] = []
    targets: list[int] = []
    owners: list[int] = []
    choice_index = 0
    for item in items:
        prompt = Span(len(ids), len(ids) + len(item.prompt))
        segments.append(Segment(prompt))
        ids.extend(item.prompt)
        positions.extend(range(len(item.prompt)))
        for choice in item.choices:
            own = Span(len(ids), len(ids) + len(choice))
            segments.append(Segment(own, prompt))
            keep.extend([prompt.end - 1, *range(own.start, own.end - 1)])
            targets.extend(choice)
            owners.extend([choice_index] * len(choice))
            ids.extend(choice)
            positions.extend(range(len(item.prompt), len(item.prompt) + len(choice)))
            choice_index += 1
    return _Layout(Row(torch.tensor([ids]), torch.tensor([positions]), tuple(segments)), keep, targets, owners)
