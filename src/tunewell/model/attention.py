"""Attention over sequences laid end to end in one row: no padding, and no sequence sees another.

A row is described by segments. Each segment attends causally to itself and, where it has one, to a prefix that lies elsewhere
in the row: that is how several continuations share one prompt. The function is registered with transformers under the name
`tunewell`, so that every architecture built on its attention interface can use it; without segments it is its `sdpa`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.utils.import_utils import is_flash_attn_2_available

from tunewell.model.fast.causal import attend_within
from tunewell.model.load import Choice

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


def attention_kernel(device: torch.device) -> Choice:
    """What computes the attention of a row in training on this device."""
    if device.type == "cpu":
        return Choice("attention by matrix products", "torch's own kernel takes several times as long on a CPU")
    if is_flash_attn_2_available():
        return Choice("FlashAttention", "the package flash-attn is installed; one call for all examples of a row")
    return Choice("torch's attention, example by example", "the package flash-attn is not installed")


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
    form = _form(query, segments, options)
    if form.is_plain and query.requires_grad and query.device.type == "cpu":
        return attend_within(*_rows(query, key, value), [segment.own for segment in segments], form.scale)[None], None
    if form.is_plain and query.is_cuda and is_flash_attn_2_available():
        return _flash(*_rows(query, key, value), segments, form.scale)[None], None
    outputs = [_attend(query, key, value, segment, form) for segment in segments]
    return torch.cat(outputs, dim=2).transpose(1, 2), None


class _Form(NamedTuple):
    """How a layer attends. `window` is set where it hides something, `softcap` where scores are bent by it (Gemma 2)."""

    scale: float
    dropout: float
    window: int | None
    softcap: float | None
    has_prefixes: bool

    @property
    def is_plain(self) -> bool:
        return not (self.dropout or self.window or self.softcap or self.has_prefixes)


def _form(query: torch.Tensor, segments: Sequence[Segment], options: Mapping[str, Any]) -> _Form:
    scale = options.get("scaling") or query.shape[3] ** -0.5
    longest = max(own.end - own.start + prefix.end - prefix.start for own, prefix in segments)
    window = options.get("sliding_window")
    hides = window is not None and window < longest
    return _Form(
        scale, options.get("dropout", 0.0), window if hides else None, options.get("softcap"), any(map(_has_prefix, segments))
    )


def _has_prefix(segment: Segment) -> bool:
    return segment.prefix.start < segment.prefix.end


def _rows(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """From (1, heads, tokens, size) to (tokens, heads, size), in the numbers of autocast where it is on."""
    device = query.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else query.dtype
    query, key, value = (tensor[0].transpose(0, 1).to(dtype) for tensor in (query, key, value))
    return query, key, value


def _flash(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, segments: Sequence[Segment], scale: float) -> torch.Tensor:
    """FlashAttention 2 (Dao 2023, arXiv 2307.08691) over (tokens, heads, size). Not covered by the tests: it needs a GPU."""
    from flash_attn import flash_attn_varlen_func  # type: ignore[import-not-found]

    ends = torch.tensor([0, *(segment.own.end for segment in segments)], dtype=torch.int32, device=query.device)
    longest = max(segment.own.end - segment.own.start for segment in segments)
    output: torch.Tensor = flash_attn_varlen_func(query, key, value, ends, ends, longest, longest, softmax_scale=scale, causal=True)
    return output


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, segment: Segment, form: _Form) -> torch.Tensor:
    own, prefix = segment
    query = query[:, :, own.start : own.end]
    columns: slice | torch.Tensor = slice(own.start, own.end)
    if _has_prefix(segment):
        columns = torch.cat([torch.arange(*prefix), torch.arange(*own)]).to(key.device)
    key, value = key[:, :, columns], value[:, :, columns]
    if form.softcap:
        return _attend_bent(query, key, value, form, form.softcap)
    visible = None
    if _has_prefix(segment) or form.window:
        visible = _visible(query, key, form.window)
    return functional.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=visible,
        dropout_p=form.dropout,
        is_causal=visible is None,
        scale=form.scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def _attend_bent(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, form: _Form, softcap: float) -> torch.Tensor:
    """Attention with scores bent to within ±softcap, which torch's own function does not know."""
    repeats = query.shape[1] // key.shape[1]
    key, value = (tensor.repeat_interleave(repeats, dim=1) for tensor in (key, value))
    scores = (query @ key.transpose(2, 3)).float() * form.scale
    bent = (scores / softcap).tanh() * softcap
    weights = bent.masked_fill(~_visible(query, key, form.window), float("-inf")).softmax(dim=-1)
    return functional.dropout(weights, form.dropout).to(value.dtype) @ value


def _visible(query: torch.Tensor, key: torch.Tensor, window: int | None) -> torch.Tensor:
    """Which keys each query sees: those up to its own place, at most `window` of them; the last query stands at the last key."""
    queries, keys = query.shape[2], key.shape[2]
    visible = torch.ones(queries, keys, dtype=torch.bool, device=key.device).tril(keys - queries)
    return visible.triu(keys - queries - window + 1) if window else visible
