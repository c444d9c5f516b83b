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
_ROUND = 32


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


def lay_end_to_end(sequences: Sequence[Sequence[int]], *, multiple_of: int = 1) -> Row:
    """One row of independent sequences; positions start anew in each.

    A last sequence of filler brings the row to a multiple of so many tokens: a CPU library compiles and keeps a kernel for each
    size of matrix it meets, gigabytes of them where every row has another length.
    """
    filler = -sum(map(len, sequences)) % multiple_of
    if filler:
        sequences = [*sequences, [0] * filler]
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
    scale = options.get("scaling") or query.shape[3] ** -0.5
    dropout = options.get("dropout", 0.0)
    if query.requires_grad and query.device.type == "cpu" and not dropout and not any(map(_has_prefix, segments)):
        return _attend_in_groups(query, key, value, segments, scale), None
    outputs = [_attend(query, key, value, segment, scale, dropout) for segment in segments]
    return torch.cat(outputs, dim=2).transpose(1, 2), None


class _CausalAttention(torch.autograd.Function):
    """Causal attention over (sequences, heads, tokens, head size), its backward pass written out as matrix products.

    Torch's own backward pass on a CPU takes three times as long on sequences of 90 tokens. The weights are computed anew
    there, so that nothing of size tokens × tokens is kept between the passes (the idea of FlashAttention, Dao et al. 2022,
    arXiv 2205.14135). Padding on the right needs no mask: no token before it attends to it.
    """

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
        output = functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)
        ctx.save_for_backward(query, key, value, output)
        ctx.scale = scale
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, None]:
        query, key, value, output = ctx.saved_tensors
        gradient = gradients[0].to(query.dtype)
        tokens = query.shape[2]
        future = torch.ones(tokens, tokens, dtype=torch.bool, device=query.device).triu(diagonal=1)
        scores = (query @ key.transpose(2, 3)).float().mul_(ctx.scale).masked_fill_(future, float("-inf"))
        weights = scores.softmax(dim=-1)
        on_weights = (gradient @ value.transpose(2, 3)).float()
        expected = (gradient.float() * output.float()).sum(dim=-1, keepdim=True)
        on_scores = on_weights.sub_(expected).mul_(weights).mul_(ctx.scale).to(query.dtype)
        on_value = weights.to(query.dtype).transpose(2, 3) @ gradient
        return on_scores @ key, on_scores.transpose(2, 3) @ query, on_value, None


def _has_prefix(segment: Segment) -> bool:
    return segment.prefix.start < segment.prefix.end


def _attend_in_groups(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, segments: Sequence[Segment], scale: float
) -> torch.Tensor:
    """Segments of like length are padded to one batch; returns (1, tokens, heads, head size) in the order of the row."""
    # Under autocast rotary positions leave query and key in float32 beside a value in bfloat16.
    query, key = query.to(value.dtype), key.to(value.dtype)
    lengths = [segment.own.end - segment.own.start for segment in segments]
    repeats = query.shape[1] // key.shape[1]
    queries, keys, values = (_split(tensor, lengths) for tensor in (query, key, value))
    outputs: list[torch.Tensor] = [query] * len(segments)
    for group in _like_lengths(lengths):
        padded = [_pad([pieces[place] for place in group]) for pieces in (queries, keys, values)]
        attended = _CausalAttention.apply(  # type: ignore[no-untyped-call]
            padded[0], padded[1].repeat_interleave(repeats, dim=1), padded[2].repeat_interleave(repeats, dim=1), scale
        )
        for row, place in enumerate(group):
            outputs[place] = attended[row, :, : lengths[place]]
    return torch.cat(outputs, dim=1).transpose(0, 1)[None]


def _like_lengths(lengths: Sequence[int]) -> list[list[int]]:
    """Places of the lengths in groups in which the longest is at most a half longer than the shortest."""
    groups: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if groups and 2 * lengths[place] <= 3 * lengths[groups[-1][0]]:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups


def _split(tensor: torch.Tensor, lengths: list[int]) -> tuple[torch.Tensor, ...]:
    """From (1, heads, tokens, head size) to a (tokens, heads, head size) for each segment."""
    return tuple(tensor[0].transpose(0, 1).split(lengths))


def _pad(pieces: list[torch.Tensor]) -> torch.Tensor:
    """To (segments, heads, longest segment rounded up to a multiple of 32, head size)."""
    padded = pad_sequence(pieces, batch_first=True).transpose(1, 2)
    return functional.pad(padded, (0, 0, 0, -padded.shape[2] % _ROUND))


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, segment: Segment, scale: float, dropout: float
) -> torch.Tensor:
    own, prefix = segment
    query = query[:, :, own.start : own.end]
    columns: slice | torch.Tensor = slice(own.start, own.end)
    mask = None
    if _has_prefix(segment):
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
