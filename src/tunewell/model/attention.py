"""Attention over sequences laid end to end in one row: no padding, and no sequence sees another.

A row is described by segments. Each segment attends causally to itself and, where it has one, to a prefix that lies elsewhere
in the row: that is how several continuations share one prompt. The function is registered with transformers under the name
`tunewell`, so that every architecture built on its attention interface can use it; without segments it is its `sdpa`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "tunewell"


class Span(NamedTuple):
    """Positions `start` up to `end` (exclusive) of a row."""

    start: int
    end: int


class Segment(NamedTuple):
    """A sequence in a row, and the part of the row that comes before it (empty for an independent sequence)."""

    own: Span
    prefix: Span = Span(0, 0)


class Row(NamedTuple):
    """Model inputs for one row: ids and positions of shape (1, tokens), and the segments for the attention function."""

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    segments: tuple[Segment, ...]


def lay_end_to_end(sequences: Sequence[Sequence[int]]) -> Row:
    """One row of independent sequences; positions start anew in each."""
    ids: list[int] = []
    positions: list[int] = []
    segments = []
    for sequence in sequences:
        segments.append(Segment(Span(len(ids), len(ids) + len(sequence))))
        ids.extend(sequence)
        positions.extend(range(len(sequence)))
    return Row(torch.tensor([ids]), torch.tensor([positions]), tuple(segments))


def enable_packed_attention(model: PreTrainedModel) -> None:
    """Switch the model to the attention function of this module. Raises ValueError where the architecture cannot."""
    AttentionInterface.register(NAME, packed_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)
    if model.config._attn_implementation != NAME:
        raise ValueError(f"{type(model).__name__} does not use transformers' attention interface")


def row_logits(model: torch.nn.Module, row: Row, keep: torch.Tensor) -> torch.Tensor:
    """Logits of shape (len(keep), vocabulary) at the positions `keep` of a row: the others are never projected."""
    device = next(model.parameters()).device
    # A mask of four dimensions is taken as ready-made: transformers builds none, and `packed_attention` does not look at it.
    no_mask = torch.empty((1, 1, 1, 1), dtype=torch.bool, device=device)
    output = model(
        input_ids=row.input_ids.to(device),
        position_ids=row.position_ids.to(device),
        attention_mask=no_mask,
        use_cache=False,
        logits_to_keep=keep.to(device),
        segments=row.segments,
    )
    logits: torch.Tensor = output.logits[0]
    return logits


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Scaled dot-product attention within each segment; query, key and value of shape (1, heads, tokens, head size).

    Returns (1, tokens, heads, head size). Options are those of transformers' attention interface, and `segments`.
    """
    segments: Sequence[Segment] | None = options.pop("segments", None)
    if segments is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    outputs = [_attend(query, key, value, segment, options.get("scaling"), options.get("dropout", 0.0)) for segment in segments]
    return torch.cat(outputs, dim=2).transpose(1, 2), None


def _attend(  # noqa: PLR0913  the signature of the operation itself
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, segment: Segment, scale: float | None, dropout: float
) -> torch.Tensor:
    own, prefix = segment
    rows = slice(own.start, own.end)
    grouped = {"scale": scale, "dropout_p": dropout, "enable_gqa": query.shape[1] != key.shape[1]}
    if prefix.start == prefix.end:
        return functional.scaled_dot_product_attention(
            query[:, :, rows], key[:, :, rows], value[:, :, rows], is_causal=True, **grouped
        )
    columns = torch.cat([torch.arange(*prefix), torch.arange(*own)]).to(key.device)
    length = own.end - own.start
    mask = torch.ones(length, len(columns), dtype=torch.bool, device=key.device).tril(diagonal=len(columns) - length)
    return functional.scaled_dot_product_attention(
        query[:, :, rows], key[:, :, columns], value[:, :, columns], attn_mask=mask, **grouped
    )
