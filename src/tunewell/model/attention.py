"""Attention over sequences laid end to end in one row: no padding, and no sequence sees another.

A row is described by segments. Each segment attends causally to itself and, where it has one, to a prefix that lies elsewhere
in the row: that is how several continuations share one prompt. The function is registered with transformers under the name
`tunewell`, so that every architecture built on its attention interface can use it; without segments it is its `sdpa`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "tunewell"
_LONGEST_AS_PRODUCTS = 512


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
    scale, dropout = options.get("scaling"), options.get("dropout", 0.0)
    if query.requires_grad and _better_as_products(query, segments) and not dropout:
        return _attend_as_products(query, key, value, segments, scale), None
    outputs = [_attend(query, key, value, segment, scale, dropout) for segment in segments]
    return torch.cat(outputs, dim=2).transpose(1, 2), None


def _better_as_products(query: torch.Tensor, segments: Sequence[Segment]) -> bool:
    """On a CPU torch's fused attention is slow backwards: three times as slow as plain products on segments of 90 tokens."""
    independent = all(segment.prefix.start == segment.prefix.end for segment in segments)
    longest = max(segment.own.end - segment.own.start for segment in segments)
    return query.device.type == "cpu" and independent and longest <= _LONGEST_AS_PRODUCTS


def _attend_as_products(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, segments: Sequence[Segment], scale: float | None
) -> torch.Tensor:
    """The same as batched matrix products over segments padded on the right, where the causal mask hides the padding."""
    lengths = [segment.own.end - segment.own.start for segment in segments]
    groups = query.shape[1] // key.shape[1]
    padded = [_pad_segments(tensor, lengths) for tensor in (query, key, value)]
    queries, keys, values = padded[0], *(tensor.repeat_interleave(groups, dim=1) for tensor in padded[1:])
    size = queries.shape[2]
    future = torch.ones(size, size, dtype=torch.bool, device=query.device).triu(diagonal=1)
    scores = queries @ keys.transpose(2, 3) * (scale or query.shape[3] ** -0.5)
    weights = scores.masked_fill(future, float("-inf")).softmax(dim=-1, dtype=torch.float32).to(query.dtype)
    attended = (weights @ values).transpose(1, 2)
    return torch.cat([attended[place, :length] for place, length in enumerate(lengths)])[None]


def _pad_segments(tensor: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    """From (1, heads, tokens, head size) to (segments, heads, longest segment, head size)."""
    return pad_sequence(tensor[0].transpose(0, 1).split(lengths), batch_first=True).transpose(1, 2)


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, segment: Segment, scale: float | None, dropout: float
) -> torch.Tensor:
    own, prefix = segment
    query = query[:, :, own.start : own.end]
    columns: slice | torch.Tensor = slice(own.start, own.end)
    mask = None
    if prefix.start < prefix.end:
        columns = torch.cat([torch.arange(*prefix), torch.arange(*own)]).to(key.device)
        mask = torch.ones(query.shape[2], len(columns), dtype=torch.bool, device=key.device).tril(len(columns) - query.shape[2])
    return functional.scaled_dot_product_attention(
        query,
        key[:, :, columns],
        value[:, :, columns],
        attn_mask=mask,
        dropout_p=dropout,
        is_causal=mask is None,
        scale=scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )
