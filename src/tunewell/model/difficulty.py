"""How little a question helps a model to foresee its answer: the instruction-following difficulty of rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from transformers import PreTrainedModel

from tunewell.model.score import Continuations, log_likelihoods
from tunewell.progress import progress_bar
from tunewell.store import Journal

_BATCH = 16
_ROW_TOKENS = 1024  # of each token of an answer the logits of the whole vocabulary are held at once
_CERTAIN = 1e-6


class Answered(NamedTuple):
    """Token ids of a prompt, and those of its answer: both at least one."""

    prompt: Sequence[int]
    answer: Sequence[int]


def difficulty(
    model: PreTrainedModel, rows: Mapping[str, Answered], no_question: Sequence[int], *, journal: Path
) -> dict[str, float]:
    """The instruction-following difficulty (IFD) of each row, by its key.

    Mean token loss of the answer after its prompt ÷ mean token loss of the same answer after `no_question`, the ids of a prompt
    that asks nothing (Li et al. 2024, arXiv 2308.12032). The model needs packed attention. Rows are scored in batches that
    depend on `rows` alone, each kept in a journal as soon as it is there: what a killed run ends with is what an uninterrupted
    one gives.

    Example: loss 0.9 with the question and 1.8 without gives 0.5: the question tells much. Near 1 it tells little, and the row
    has something to teach. Above 1 it misleads: most often question and answer do not belong together.

    Known problems: long or odd questions and short answers get high ratios whatever they teach; a small base finds hard what
    a large one finds easy, though their rankings agree widely (Li et al. 2024, arXiv 2402.00530); in bfloat16 the third digit
    is noise.
    """
    keys = list(rows)
    with Journal(journal) as done, progress_bar("difficulty", total=len(keys)) as (progress, bar):
        for start in range(0, len(keys), _BATCH):
            batch = keys[start : start + _BATCH]
            if any(key not in done for key in batch):
                ratios = _ratios(model, [rows[key] for key in batch], no_question)
                done.record(dict(zip(batch, ratios, strict=True)))
            progress.advance(bar, len(batch))
        return {key: done[key] for key in keys}


def _ratios(model: PreTrainedModel, rows: Sequence[Answered], no_question: Sequence[int]) -> list[float]:
    items = [Continuations(prompt, [answer]) for answered, answer in rows for prompt in (answered, no_question)]
    losses = [-total for [total] in log_likelihoods(model, items, row_tokens=_ROW_TOKENS)]
    # Both are sums over the same tokens, so that their means have the same ratio. An answer that the model is sure of without
    # any question would divide by zero.
    return [given / max(alone, _CERTAIN) for given, alone in zip(losses[::2], losses[1::2], strict=True)]
