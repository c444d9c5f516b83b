"""Greedy answers for many prompts at once."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from transformers import DynamicCache, PreTrainedModel

from tunewell.progress import progress_bar
from tunewell.store import Journal

# Finished rows are taken out of the batch once they are this share of it: sooner costs more copying than it saves.
_WORTH_COMPACTING = 0.25


class Answer(NamedTuple):
    """Generated token ids, without the end token; `cut` when the length limit ended it."""

    ids: list[int]
    cut: bool


class Decoding(NamedTuple):
    """How answers are written: answers decoded at once, ids that end one, longest answer in tokens."""

    batch: int
    stop_ids: Collection[int]
    max_new_tokens: int


def answer_all(
    model: PreTrainedModel, prompts: Mapping[str, Sequence[int]], decoding: Decoding, *, journal: Path, title: str
) -> dict[str, Answer]:
    """A greedy answer to each prompt (token ids by key), each batch kept in a journal as soon as it is there.

    The batches depend on the prompts alone, so that a run that was cut off ends with the answers of an uninterrupted one.
    """
    keys = list(prompts)
    with Journal(journal) as done, progress_bar(title, total=len(keys)) as (progress, bar):
        for indexes in plan_batches([prompts[key] for key in keys], decoding.batch):
            batch = [keys[index] for index in indexes]
            if any(key not in done for key in batch):
                answers = greedy_answers(
                    model,
                    [prompts[key] for key in batch],
                    stop_ids=decoding.stop_ids,
                    max_new_tokens=decoding.max_new_tokens,
                )
                done.record(dict(zip(batch, answers, strict=True)))
            progress.advance(bar, len(batch))
        return {key: Answer(*done[key]) for key in keys}


def plan_batches(prompts: Sequence[Sequence[int]], batch: int) -> list[list[int]]:
    """Indexes of the prompts, grouped by similar length. The grouping depends on nothing but the prompts."""
    by_length = sorted(range(len(prompts)), key=lambda index: (-len(prompts[index]), index))
    return [by_length[start : start + batch] for start in range(0, len(by_length), batch)]


@torch.inference_mode()
def greedy_answers(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], *, stop_ids: Collection[int], max_new_tokens: int
) -> list[Answer]:
    """The most probable continuation of each prompt, token by token, until a stop token or the limit.

    Prompts are padded on the left. A row that has finished leaves the batch, so that long answers do not pay for short ones.
    """
    device = next(model.parameters()).device
    ids, mask = _pad_left(prompts)
    ids, mask = ids.to(device), mask.to(device)
    stops = torch.tensor(sorted(stop_ids), device=device)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    cache = DynamicCache()
    rows = torch.arange(len(prompts), device=device)
    running = torch.ones(len(prompts), dtype=torch.bool, device=device)
    answers: list[list[int]] = [[] for _ in prompts]
    for _ in range(max_new_tokens):
        # Given as an index: of a slice, torch would copy the whole vocabulary projection once for each row.
        last = torch.tensor([ids.shape[1] - 1], device=device)
        output = model(input_ids=ids, attention_mask=mask, position_ids=positions, cache=cache, use_cache=True, logits_to_keep=last)
        chosen = output.logits[:, -1].argmax(dim=-1)
        running &= ~torch.isin(chosen, stops)
        for row, token, is_running in zip(rows.tolist(), chosen.tolist(), running.tolist(), strict=True):
            if is_running:
                answers[row].append(token)
        if not running.any():
            break
        if (~running).float().mean() >= _WORTH_COMPACTING:
            keep = running.nonzero()[:, 0]
            cache.batch_select_indices(keep)
            rows, chosen, mask, positions, running = rows[keep], chosen[keep], mask[keep], positions[keep], running[keep]
        ids = chosen[:, None]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        positions = positions[:, -1:] + 1
    cut = set(rows[running].tolist())
    return [Answer(answer, index in cut) for index, answer in enumerate(answers)]


def _pad_left(prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, prompts))
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    mask = torch.zeros(len(prompts), width, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return ids, mask
